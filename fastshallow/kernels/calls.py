"""Kernels for calls from Python with few examples: arrays and numbers alone, one thread.

Numba takes tuples of tuples of arrays apart in Python, which takes longer than a small network.
These kernels count references, so they make their tuples themselves.
"""

from __future__ import annotations

import numpy as np

from ..jit.compile import ONE, ZERO, jit
from ..simd.intrinsics import all_finite
from ..simd.matmul import Matrix
from .blocks import all_tiles, allocate
from .layout import aligned_empty, scratch_size
from .model import Examples, Model, weight_copies
from .passes import cost_and_grad_into, descend, forward_layers_into
from .propagation import REFUSED

__all__ = ["cost_and_grad_call", "forward_layers_call", "gradient_descent_call"]


@jit(allocates=True)
def cost_and_grad_call(
    params, layers, slope, X, x_row, x_col, Y, y_row, y_col, labels, m, alpha, grad
):
    """Compute J and its gradient; see `fastshallow.kernels.cost_and_grad`.

    Parameters
    ----------
    params, layers, slope : ndarray, ndarray, float
        The network: the items of `Network.model`.
    X, x_row, x_col : ndarray, 1-D, read-only; int, int
        Inputs: value j of example i is ``X[i * x_row + j * x_col]``.
    Y, y_row, y_col : ndarray, 1-D, read-only, of the dtype of the parameters; int, int
        Targets, likewise.
    labels, m, alpha, grad
        As for `fastshallow.kernels.cost_and_grad`. Sizes are not checked.

    Returns
    -------
    J, status : float, int
        Likewise; `REFUSED` if a parameter is not finite. If the status is not 0, the gradient may
        be partly written.
    """
    if not all_finite(params, ZERO, params.size):
        return np.nan, REFUSED
    rows, wanted = Matrix(X, int(ZERO), x_row, x_col), Matrix(Y, int(ZERO), y_row, y_col)
    model, examples = Model(params, layers, slope), Examples(rows, wanted, labels, params[:0])
    work = allocate(model, m, ONE, grad.size > 0)
    return cost_and_grad_into(model, examples, m, float(m), alpha, ONE, work, all_tiles(m), grad)


@jit(allocates=True)
def forward_layers_call(params, layers, slope, X, x_row, x_col, m, Z, A):
    """Write Z[l] and A[l] of every layer; see `fastshallow.kernels.forward_layers`.

    Arguments are those of `cost_and_grad_call`. ``Z`` and ``A`` are modified in place. Return the
    status.
    """
    if not all_finite(params, ZERO, params.size):
        return REFUSED
    model, rows = Model(params, layers, slope), Matrix(X, int(ZERO), x_row, x_col)
    scratch = aligned_empty(scratch_size(layers, Z.itemsize), Z)
    return forward_layers_into(model, weight_copies(model, m, False), rows, m, Z, A, scratch)


@jit(allocates=True)
def gradient_descent_call(
    params, layers, slope, X, x_row, x_col, Y, y_row, y_col, labels, m, alpha, learning_rate, cost
):
    """Take steps of gradient descent; see `fastshallow.kernels.gradient_descent`.

    Arguments are those of `cost_and_grad_call`, and ``learning_rate`` and ``cost``. ``params`` and
    ``cost`` are modified in place. Return the status; if it is not 0, ``params`` is as before.
    """
    if not all_finite(params, ZERO, params.size):
        return REFUSED
    rows, wanted = Matrix(X, int(ZERO), x_row, x_col), Matrix(Y, int(ZERO), y_row, y_col)
    model, examples = Model(params, layers, slope), Examples(rows, wanted, labels, params[:0])
    return descend(model, examples, m, float(m), alpha, ONE, learning_rate, cost)
