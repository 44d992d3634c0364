"""Faults that keep a network from learning: saturated, dead and twin units, vanishing gradients.

The course notes warn of each: the slope of sigmoid and tanh is about 0 where abs(z) is large; ReLU
units that are 0 for all examples learn nothing; units that start equal (W = 0) stay equal; in many
layers, dW of the first ones is a product of many small derivatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.activations import TABLE, multiply_dg
from ..kernels.propagation import BAD_X
from . import checks
from .network import Network
from .plotting import plot_diagnosis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diagnosis", "LayerDiagnosis", "diagnose"]

# A unit is saturated if its mean g' is below this part of the largest g'.
SATURATED = 0.1
# Least share of saturated or dead units of a layer for advice.
ADVISED = 0.1
# Twins differ by at most this multiple of the rounding of their largest parameter.
TWIN_ROUNDINGS = 100
# dW vanishes if its root mean square is below this part of a later layer's.
VANISHING = 1e-3

# Values of Z and A in memory at a time: some megabytes.
CHUNK_VALUES = 1 << 20

ADVICE = {
    "not finite": "dW is not finite: scale the features, or start from smaller W",
    "twins": "equal units stay equal: start from random W, net.init(seed=...)",
    "saturated": "flat at most examples: smaller W, features scaled to -1 ... 1, or relu",
    "dead": "z <= 0 for every example: init('he'), a smaller learning rate, or leaky_relu",
    "zero": "dW is 0: all A[l-1] or all W above are 0, or nothing is left to learn",
    "vanishing": "dW is far below that of later layers: relu, init('glorot'), or fewer layers",
}
NOTHING = "nothing to note"

COLUMNS = ("layer", "g", "units", "saturated", "dead", "twins", "norm of dW", "advice")


@dataclass(frozen=True)
class LayerDiagnosis:
    """Diagnosis of one layer. Shares are from 0 to 1, and None if they do not apply.

    Attributes
    ----------
    layer : int
        l, from 1 on.
    g : str
        Its activation.
    units : int
        n_l.
    saturated, dead, twins : float or None
        Shares of the units; see `diagnose`.
    dW_norm : float or None
        Square root of the sum of dW[l]^2; None without targets.
    faults : tuple of str
        Keys of `ADVICE`.
    """

    layer: int
    g: str
    units: int
    saturated: float | None
    dead: float | None
    twins: float | None
    dW_norm: float | None
    faults: tuple[str, ...]

    @property
    def advice(self) -> str:
        """What to do about each fault, in one line."""
        return "; ".join(ADVICE[fault] for fault in self.faults) or NOTHING

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table, as text."""
        shares = (self.saturated, self.dead, self.twins)
        return (
            str(self.layer),
            self.g,
            str(self.units),
            *("" if share is None else f"{share:.0%}" for share in shares),
            "" if self.dW_norm is None else f"{self.dW_norm:.2e}",
            self.advice,
        )


class Diagnosis:
    """The result of `diagnose`: a table with a row for each layer, as text or HTML.

    Attributes
    ----------
    rows : list of LayerDiagnosis
        In the order of the layers.
    """

    def __init__(self, rows: list[LayerDiagnosis]):
        self.rows = rows

    @property
    def healthy(self) -> bool:
        """Whether no layer has a fault."""
        return not any(row.faults for row in self.rows)

    def __repr__(self) -> str:
        table = [COLUMNS, *(row.cells() for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        # numbers to the right, g and the advice to the left
        lines = [
            "  ".join(
                cell.ljust(width) if name in ("g", "advice") else cell.rjust(width)
                for name, cell, width in zip(COLUMNS, cells, widths, strict=True)
            ).rstrip()
            for cells in table
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def line(tag: str, cells: Iterable[str]) -> str:
            return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(line("td", row.cells()).replace("<=", "&lt;=") for row in self.rows)
        return f"<table><thead>{line('th', COLUMNS)}</thead><tbody>{body}</tbody></table>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the shares as bars and the norms of dW as a line; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; None opens a new figure with pyplot.

        Returns
        -------
        matplotlib Axes
            The axes with the bars.
        """
        shares = {
            name: [getattr(row, name) for row in self.rows]
            for name in ("saturated", "dead", "twins")
        }
        return plot_diagnosis(shares, [row.dW_norm for row in self.rows], ax)


def diagnose(net: Network, X: Any, Y: Any = None) -> Diagnosis:
    """Look for saturated, dead and twin units, and for vanishing gradients.

    Parameters
    ----------
    net : Network
        Not modified.
    X : array_like, (n_x, m) or (n_x,)
        Inputs; examples are columns. They are processed in pieces, without an array of size
        m x n_l.
    Y : array_like or None
        Targets as for `Network.cost`, for the norms of dW; None omits the norms.

    Returns
    -------
    Diagnosis
        A table with a row for each layer, for ``print`` and notebooks. ``.rows`` holds its values,
        ``.healthy`` is True if no layer has a fault, ``.plot()`` draws it.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the message names it.

    Notes
    -----
    Each column has a limit, from which on the table gives advice.

    saturated
        Share of the units of a hidden layer that can saturate (such as sigmoid and tanh) with a
        mean g'(z) below a tenth of the largest g'. Their z lie where g is flat, and dZ[l] = dA[l] *
        g'(Z[l]) is small. Limit: a tenth of the units. Output layers are not judged: a saturated
        output is a confident one.
    dead
        Share of the units of a relu layer with z <= 0 for every example: g' = 0, and their weights
        never change. Dead units of leaky_relu are linear with the small slope. Limit: a tenth of
        the units.
    twins
        Share of the hidden units that equal another unit of their layer, up to 100 roundings, in
        incoming weights, bias and outgoing weights. Equal units receive equal gradients and stay
        equal, as after W = 0. Limit: one pair.
    norm of dW
        sqrt(sum of dW[l]^2). Limit: the root mean square of dW[l] is below a thousandth of that of
        a later layer, or all of these are 0.

    Examples
    --------
    >>> import numpy as np, fastshallow as fs
    >>> X = np.random.default_rng(0).standard_normal((2, 100))
    >>> net = fs.Network((2, 4, 1), hidden="tanh")             # all zeros
    >>> first = fs.diagnose(net, X).rows[0]
    >>> first.twins, first.advice
    (1.0, 'equal units stay equal: start from random W, net.init(seed=...)')
    >>> fs.diagnose(net.init(seed=0), X).healthy
    True
    """
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a Network; got {type(net).__name__}")
    gradient = None if Y is None else net.backward(X, Y)
    mean_dg, active = _unit_statistics(net, X)
    layers = list(zip((*net.hidden, net.output), mean_dg, active, strict=True))
    rms = None if gradient is None else [_root_mean_square(dW) for dW in gradient.dW]
    rows = []
    for i, (g, dg, positive) in enumerate(layers):
        hidden = i < len(net.hidden)
        saturated = dead = twins = None
        if hidden and TABLE[g].largest_dg:
            saturated = float(np.mean(dg < SATURATED * TABLE[g].largest_dg))
        if TABLE[g].dies:
            dead = float(np.mean(~positive))
        if hidden:
            twins = _twins(net, i)
        faults = []
        if rms is not None:
            if not np.isfinite(rms[i]):
                faults.append("not finite")
            elif max(rms[i:]) == 0:
                faults.append("zero")
            elif rms[i] < VANISHING * max(rms[i:]):
                faults.append("vanishing")
        shares = {"twins": (twins, 0), "saturated": (saturated, ADVISED), "dead": (dead, ADVISED)}
        faults += [k for k, (share, least) in shares.items() if share and share >= least]
        norm = None if rms is None else rms[i] * net.W[i].size ** 0.5
        order = tuple(fault for fault in ADVICE if fault in faults)
        rows.append(LayerDiagnosis(i + 1, g, net.sizes[i + 1], saturated, dead, twins, norm, order))
    return Diagnosis(rows)


@np.errstate(all="ignore")  # the report names infinity and 0 as faults
def _root_mean_square(dW: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(dW, dtype=np.float64))))


@np.errstate(all="ignore")
def _unit_statistics(net: Network, X: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return, by layer, the mean g'(z) of each unit (0 if it cannot saturate) and any(a > 0)."""
    X = checks.inputs(X, net.sizes[0], net.dtype)
    m, piece = X.shape[1], max(1, CHUNK_VALUES // sum(net.sizes))
    mean_dg = [np.zeros(n) for n in net.sizes[1:]]
    active = [np.zeros(n, bool) for n in net.sizes[1:]]
    for first in range(0, m, piece):
        part = X[:, first : first + piece]
        if not checks.finite(part, net.dtype).all():
            checks.explain(BAD_X, X, None, 0, net)
        for i, a in enumerate(net.forward(part).A):
            active[i] |= (a > 0).any(axis=1)
            if i < len(net.hidden) and TABLE[net.hidden[i]].largest_dg:
                dg = np.ones(a.T.shape, a.dtype)
                code = TABLE[net.hidden[i]].code
                multiply_dg(code, net.leaky_slope, dg.ravel(), 0, a.T.ravel(), 0, a.size)
                mean_dg[i] += dg.sum(axis=0, dtype=np.float64) / m
    return mean_dg, active


@np.errstate(all="ignore")
def _twins(net: Network, i: int) -> float:
    """Return the share of units of hidden layer i that equal another one, up to rounding."""
    units = np.hstack([net.W[i], net.b[i], net.W[i + 1].T])
    tolerance = TWIN_ROUNDINGS * np.finfo(net.dtype).eps
    # Equal units have equal projections on any direction. A unit is compared with the groups of
    # nearby projections only, not with all units.
    direction = np.random.default_rng(0).standard_normal(units.shape[1])
    projections = units @ direction
    near = 2 * tolerance * np.abs(units).max() * np.abs(direction).sum()
    firsts: list[int] = []
    group = np.empty(len(units), int)
    for j in np.argsort(projections, kind="stable"):
        group[j] = len(firsts)
        for k in range(len(firsts) - 1, -1, -1):
            other = units[firsts[k]]
            if projections[j] - projections[firsts[k]] > near:
                break
            largest = max(np.abs(units[j]).max(), np.abs(other).max())
            if np.abs(units[j] - other).max() <= tolerance * largest:
                group[j] = k
                break
        if group[j] == len(firsts):
            firsts.append(j)
    return float(np.mean(np.bincount(group)[group] > 1))
