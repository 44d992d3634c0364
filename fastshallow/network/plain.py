"""X and Y that kernels take as they are: they need no conversion, and one thread is enough.

The checks of `fastshallow.network.checks` take longer than a small network. What is not plain, or
wrong, is left to them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..jit.linking import prepare
from ..jit.threads import choose_workers
from .checks import flat_values

__all__ = ["plain_arguments", "plain_inputs"]

# Operations of a call that takes so long that Ctrl-C and other threads should not wait for it.
OPERATIONS_MOST = 1e8


def plain_inputs(net: Any, X: Any, operations: float, repeats: int = 1) -> tuple[Any, ...] | None:
    """Return the network and X for `fastshallow.kernels.calls`, None if X is not plain.

    Parameters
    ----------
    net : Network
        The network.
    X
        As for `Network.cost_and_grad`.
    operations : float
        Operations for each parameter and example.
    repeats : int
        Passes over the examples.

    Returns
    -------
    tuple or None
        Parameters, table of layers, slope; values of X, the steps between examples and within one.
    """
    dtype = net.dtype
    if not (
        type(X) is np.ndarray
        and X.dtype is dtype
        and X.ndim == 2
        and X.shape[0] == net.sizes[0]
        and X.size
    ):
        return None
    m = X.shape[1]
    work = operations * net._memory.size * m
    if work * repeats > OPERATIONS_MOST or choose_workers(None, m, work) > 1:
        return None
    flat = flat_values(X) if X.flags.aligned else None
    if flat is None:
        return None
    prepare(dtype, dtype)
    return (net._memory, net.layers, net.leaky_slope, *flat)


def plain_arguments(
    net: Any, X: Any, Y: Any, alpha: Any, repeats: int = 1
) -> tuple[Any, ...] | None:
    """Return all of `plain_inputs`, Y likewise, whether it holds class numbers, m and alpha."""
    if not (type(alpha) is float and 0 <= alpha < math.inf):
        return None
    inputs = plain_inputs(net, X, 6.0, repeats)
    if inputs is None:
        return None
    targets = _targets(net, Y, X.shape[1])
    return None if targets is None else (*inputs, *targets, X.shape[1], alpha)


def _targets(net: Any, Y: Any, m: int) -> tuple[Any, ...] | None:
    """Return the values of Y, their steps, and 1 if they are class numbers, else 0."""
    if type(Y) is not np.ndarray:
        return None
    if Y.dtype is not net.dtype:
        if Y.dtype.kind not in "biu":  # a cast of these warns of nothing
            return None
        Y = Y.astype(net.dtype)
    n_y, labels = net.sizes[-1], 0
    if Y.shape == (m,) and (n_y == 1 or net.output == "softmax"):
        labels, Y = int(net.output == "softmax"), Y.reshape(1, m)
    elif Y.shape != (n_y, m):
        return None
    flat = flat_values(Y) if Y.flags.aligned else None
    return None if flat is None else (*flat, labels)
