"""Plots: the loss curve, a decision boundary, and a diagnosis. matplotlib is imported lazily."""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Boundary", "cost_png", "plot_boundary", "plot_cost", "plot_diagnosis"]


def _matplotlib(module: str) -> Any:
    """Return a module of matplotlib, or raise an error that says how to install it."""
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError as error:
        raise ImportError(
            f'a plot needs matplotlib ({error}): python -m pip install "fastshallow[plot]"'
        ) from error


def _curve(name: str, values: Any) -> np.ndarray:
    array = checks.numeric(name, values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name}: expected the cost by step, 1-D; got shape {array.shape}")
    return array


def plot_cost(cost: Any, validation: Any = None, ax: Axes | None = None) -> Axes:
    """Draw the cost J against the step.

    Parameters
    ----------
    cost : array_like, (n,)
        J at each step, as in ``fs.gradient_descent(...).cost``. NaN and infinity leave gaps.
    validation : array_like, (n,), or None
        J of held-out examples at the same steps.
    ax : matplotlib Axes or None
        Axes to draw on; None opens a new figure with pyplot.

    Returns
    -------
    matplotlib Axes
        The axes with the curves.

    Raises
    ------
    ImportError
        matplotlib is missing; ``pip install "fastshallow[plot]"`` installs it.

    Examples
    --------
    >>> import fastshallow as fs
    >>> from matplotlib.figure import Figure
    >>> ax = fs.plot_cost([0.69, 0.4, 0.3], validation=[0.7, 0.5, 0.45], ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel(), len(ax.lines)
    ('step', 'cost J', 2)
    """
    curves = {"training": _curve("cost", cost)}
    if validation is not None:
        curves["validation"] = _curve("validation", validation)
        if curves["validation"].size != curves["training"].size:
            raise ValueError(
                f"validation: expected a value for each of the {curves['training'].size} steps "
                f"of cost; got {curves['validation'].size}"
            )
    if ax is None:
        ax = _matplotlib("pyplot").subplots()[1]
    for label, values in curves.items():
        # one step is a point, not a line
        ax.plot(values, label=label, marker="o" if values.size == 1 else None)
    ax.set_xlabel("step")
    ax.set_ylabel("cost J")
    if len(curves) > 1:
        ax.legend()
    return ax


@dataclass
class Boundary:
    """Predicted classes on a grid over two features, and the examples in its rectangle.

    Attributes
    ----------
    names : list of str
        Names of the two features.
    x, y : ndarray, (n,)
        Coordinates of the grid.
    numbers : ndarray, (n, n)
        Class number of each grid point; the row is the index of y.
    points : ndarray, (m, 2)
        Examples.
    labels : ndarray, (m,)
        Class numbers of the examples.
    classes : list of str
        Names of the classes.
    """

    names: list[str]
    x: np.ndarray
    y: np.ndarray
    numbers: np.ndarray
    points: np.ndarray
    labels: np.ndarray
    classes: list[str]


def _colours(n: int) -> Any:
    """Return a colour map for n classes."""
    _matplotlib("figure")  # raises a clear error if matplotlib is missing
    colours = importlib.import_module("matplotlib").colormaps
    return colours["tab10" if n <= 10 else "turbo"].resampled(n)


def plot_boundary(boundary: Boundary, ax: Axes) -> Axes:
    """Draw the regions of the classes, and the examples as points.

    Parameters
    ----------
    boundary : Boundary
        Grid, classes and examples.
    ax : matplotlib Axes
        Axes to draw on.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.network.plotting import Boundary, plot_boundary
    >>> from matplotlib.figure import Figure
    >>> grid, half = np.arange(3.0), np.array([[0, 0, 1]] * 3)
    >>> points = np.array([[0.0, 1.0], [2.0, 1.0]])
    >>> boundary = Boundary(["a", "b"], grid, grid, half, points, np.array([0, 1]), ["no", "yes"])
    >>> ax = plot_boundary(boundary, Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel(), len(ax.collections)
    ('a', 'b', 3)
    """
    n = len(boundary.classes)
    colours = _colours(n)
    shown = {"cmap": colours, "vmin": -0.5, "vmax": n - 0.5}
    ax.pcolormesh(boundary.x, boundary.y, boundary.numbers, alpha=0.3, **shown)
    for number, name in enumerate(boundary.classes):
        x, y = boundary.points[boundary.labels == number].T
        ax.scatter(x, y, s=6, color=colours(number), label=name)
    ax.set_xlabel(boundary.names[0])
    ax.set_ylabel(boundary.names[1])
    if n <= 10:
        ax.legend()
    return ax


def cost_png(
    cost: Any,
    title: str = "",
    validation: Any = None,
    boundary: Boundary | None = None,
    step: str = "step",
) -> bytes:
    """Return the loss curve as a PNG, drawn without a screen and without pyplot's state.

    Parameters
    ----------
    cost : array_like, (n,)
        J at each step.
    title : str
        Title of the curve.
    validation : array_like, (n,), or None
        J of held-out examples at the same steps.
    boundary : Boundary or None
        Decision boundary, drawn beside the curve.
    step : str
        Label of the x axis, such as "epoch".

    Examples
    --------
    >>> from fastshallow.network.plotting import cost_png
    >>> cost_png([0.69, 0.4, 0.3])[1:4]
    b'PNG'
    """
    panels = 1 if boundary is None else 2
    figure = _matplotlib("figure").Figure(figsize=(6.4 * panels, 4.8), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    plot_cost(cost, validation, axes[0]).set(title=title, xlabel=step)
    if validation is not None:
        axes[0].legend(["training", "held out"])
    if boundary is not None:
        plot_boundary(boundary, axes[1]).set_title("decision boundary")
    buffer = io.BytesIO()
    _matplotlib("backends.backend_agg").FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def plot_diagnosis(
    shares: dict[str, list[float | None]], norms: list[float | None], ax: Axes | None = None
) -> Axes:
    """Draw the result of `fastshallow.diagnose`: shares as bars, norms of dW as a line.

    Parameters
    ----------
    shares : dict of str to list
        For each name, the share of units of each layer; None draws nothing.
    norms : list
        Norm of dW of each layer, on a second axis at the right; None draws nothing.
    ax : matplotlib Axes or None
        Axes to draw on; None opens a new figure with pyplot.

    Examples
    --------
    >>> from fastshallow.network.plotting import plot_diagnosis
    >>> from matplotlib.figure import Figure
    >>> ax = plot_diagnosis({"twins": [1.0, None]}, [1e-9, 0.1], Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel(), len(ax.patches)
    ('layer', 'share of units', 2)
    """
    if ax is None:
        ax = _matplotlib("pyplot").subplots(layout="constrained")[1]
    layers = np.arange(1, len(norms) + 1)
    width = 0.8 / len(shares)
    for i, (name, values) in enumerate(shares.items()):
        heights = [0.0 if value is None else value for value in values]
        ax.bar(layers + (i - (len(shares) - 1) / 2) * width, heights, width, label=name)
    ax.set_xticks(layers)
    ax.set_xlabel("layer")
    ax.set_ylabel("share of units")
    ax.set_ylim(0, 1)
    handles, labels = ax.get_legend_handles_labels()
    if any(norms):
        right = ax.twinx()
        # a logarithmic axis cannot show 0
        (line,) = right.plot(layers, [norm or np.nan for norm in norms], "k.-")
        right.set_yscale("log")
        right.set_ylabel("norm of dW")
        handles, labels = [*handles, line], [*labels, "norm of dW"]
    # the legend stands above the plot, or it would cover bars
    ax.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(labels))
    return ax
