"""Which sizes fit each other, of what users pass to the kernels; see `fastshallow.jit.refusals`."""

from __future__ import annotations

from ..jit.compile import jit
from ..jit.refusals import fill, no_answer
from .activations import SOFTMAX
from .layout import COLUMNS, FAN_IN, FAN_OUT, G, n_params

__all__ = ["examples_fit", "fill_matrix", "fits", "is_network"]


@jit(internal=True)
def fill_matrix(M, m, n):
    """Fill m rows of n values with the invalid value, NaN or -1.

    Fill the whole array if the rows do not lie within it. Otherwise what lies beside them stays.
    """
    if not fits(M, m, n):
        fill(M.data)
        return
    for i in range(m):
        for j in range(n):
            M.data[M.start + i * M.row + j * M.col] = no_answer(M.data)


@jit(internal=True)
def fits(M, m, n):
    """Return whether m rows of n elements of a `Matrix` lie in its array."""
    if m < 0:
        return False
    if m == 0 or n == 0:
        return True
    # in float64, where nothing overflows
    down, along = (float(m) - 1) * M.row, (float(n) - 1) * M.col
    first = M.start + min(down, 0.0) + min(along, 0.0)
    return first >= 0 and M.start + max(down, 0.0) + max(along, 0.0) < M.data.size


@jit(internal=True)
def is_network(params, layers):
    """Return whether there are as many parameters as a table of layers says."""
    return layers.shape[0] > 0 and layers.shape[1] == COLUMNS and n_params(layers) == params.size


@jit(internal=True)
def examples_fit(model, examples, m):
    """Return whether there are inputs, targets and weights of m examples for a network."""
    params, layers, _ = model
    X, Y, labels, weight = examples
    if not is_network(params, layers) or m < 1:
        return False
    top = layers.shape[0] - 1
    if labels and layers[top, G] != SOFTMAX:
        return False
    n_y = 1 if labels else layers[top, FAN_OUT]
    weighted = weight.size == 0 or weight.size >= m
    return weighted and fits(X, m, layers[0, FAN_IN]) and fits(Y, m, n_y)
