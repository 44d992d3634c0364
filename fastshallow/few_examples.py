"""One example or a few: forward on the stack of the caller, with all checks, allocating nothing.

`fastshallow.kernels.forward` asks for memory, prepares copies of the weights, and shares tiles out
among threads: one example of 30-64-1 takes 0.61 us there, and 0.38 us here (one core with AVX2).
"""

from __future__ import annotations

import numpy as np

from ._jit import ONE, ZERO, jit
from ._linking import INT, out_of_line, vector
from .activations import SIGMOID, SOFTMAX, activate
from .matmul import matmul_add, matrix
from .model import Model, Ready, matrix_type, model_type, transposes
from .propagation import BAD_X, OK, activate_output, forward_layer, tile_matrix
from .simd import address, flat, on_stack
from .tiles import (
    ACROSS,
    FAN_IN,
    FAN_OUT,
    IN,
    OUT,
    TILE_LEAST,
    TILE_STEP,
    WIDEST,
    Y_AT,
    B,
    G,
    W,
    constants,
    input_rows,
    load_input,
    padded,
    rows_finite,
)
from .transpose import transpose

__all__ = ["REFUSED", "predict"]

# What `predict` leaves to others.
REFUSED = 4


@jit
def predict(params, layers, slope, X, threshold, out):
    """Predict for one example or a few: nothing is allocated, and all is checked.

    Parameters
    ----------
    params, layers, slope : ndarray, ndarray, float
        The network: the items of `Network.model`.
    X : ndarray, (n_x, m) or (n_x,), of the dtype of the parameters
        Inputs; examples are columns.
    threshold : float
        A sigmoid output predicts 1 where A[L] > threshold. NaN asks for A[L] itself.
    out : ndarray, (n_y, m) or (m,)
        Modified in place: all of it if all is well, a part where a Z[l] of finite parameters
        overflows, else nothing. With one dimension: the class numbers of softmax.

    Returns
    -------
    int
        0; 1 where X holds a value that is not finite; `REFUSED` where parameters, or a layer's
        Z[l], are not finite, shapes do not fit, strides are odd, or the network is too large for
        the stack.

    Examples
    --------
    >>> import numba, numpy as np, fastshallow as fs
    >>> from fastshallow import kernels
    >>> @numba.njit
    ... def positive(params, layers, slope, x):
    ...     out = np.empty((1, 1))
    ...     assert kernels.predict(params, layers, slope, x, 0.0, out) == 0
    ...     return out[0, 0] > 0
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> net.W1 = [[3]]
    >>> positive(*net.model, np.array([2.0])), positive(*net.model, np.array([-2.0]))
    (True, False)
    """
    top = layers.shape[0] - 1
    n_x, n_y, output = layers[0, FAN_IN], layers[top, FAN_OUT], layers[top, G]
    m, row, col = ONE, n_x, X.strides[0] // X.itemsize
    if X.ndim == 2:
        m, row = X.shape[1], X.strides[1] // X.itemsize
    values = flat(X)
    whole = (address(values, ZERO) | X.strides[0] | X.strides[X.ndim - 1]) % X.itemsize == 0
    fits = whole and X.shape[0] == n_x and out.shape[-1] == m and row >= 0 and col >= 0
    if out.ndim == 2:
        fits &= out.shape[0] == n_y
    else:
        fits &= output == SOFTMAX
    if not fits:
        return REFUSED
    rows = matrix(values, ZERO, row, col)
    if not rows_finite(rows, m, n_x):
        return BAD_X
    model, scratch = Model(params, layers, slope), on_stack(params)
    tile = tile_of_few(layers, scratch.size)
    if tile < 1:
        return REFUSED
    for at in range(0, m, tile):
        n = min(tile, m - at)
        a = forward_few(model, rows, at, n, tile, scratch)
        if a < 0:
            return REFUSED
        write_predictions(output, scratch, a, n, n_y, threshold, out, at)
    return OK


@jit(internal=True)
def write_predictions(output, A, start, n, n_y, threshold, out, at):
    """Write what `predict` makes of A[L] of a tile to examples at ... at + n - 1 of ``out``."""
    classes = output == SIGMOID and not np.isnan(threshold)
    for i in range(n):
        a = start + i * n_y
        if out.ndim == 2:
            for j in range(n_y):
                out[j, at + i] = A[a + j] > threshold if classes else A[a + j]
        else:
            best = ZERO
            for j in range(1, n_y):
                if A[a + j] > A[a + best]:
                    best = np.int64(j)
            out[at + i] = best


@jit(internal=True)
def copies_of_few(layers):
    """Return the room that `forward_few` needs for the copy of a layer's weights."""
    room = ZERO
    for i in range(layers.shape[0]):
        if transposes(layers, i):
            room = max(room, layers[i, FAN_IN] * layers[i, FAN_OUT])
    return room


@jit(internal=True)
def tile_of_few(layers, size):
    """Return how many examples `forward_few` takes in scratch of a size."""
    size -= copies_of_few(layers)
    if layers[-1, ACROSS]:  # with dZ[L], and the zeros where a tile that has all of them has them
        tile = (size - layers[0, WIDEST] - 16) // (layers[0, Y_AT] + layers[-1, FAN_OUT] + 1)
        return tile // TILE_STEP * TILE_STEP if tile > TILE_LEAST else tile  # it may be padded
    return size // (layers[-1, OUT] + layers[-1, FAN_OUT])


@out_of_line(
    lambda model, *_: (model[0].dtype,),
    lambda dtype: (
        *(model_type(dtype), matrix_type(vector(dtype))),
        *(INT, INT, INT, vector(dtype)),
    ),
    result=INT,
    group="few",
    internal=True,
)
def forward_few(model, X, at, n, tile, scratch):
    """Take examples at ... at + n - 1 to A[L], and return where in scratch it is.

    -1 where a Z[l] is not finite. If all are, all parameters are: one that is not leaves no finite
    Z[l], whatever it is multiplied by. For one example of 784-100-10 a test of all parameters takes
    as long as all else.
    """
    params, layers, slope = model
    top, copy = layers.shape[0] - 1, scratch.size - copies_of_few(layers)
    ready, length = Ready(scratch[:0], scratch[:0]), padded(layers, n)
    if layers[top, ACROSS]:
        at_zeros, _, _ = constants(layers, tile)
        for p in range(at_zeros, at_zeros + max(length, layers[0, WIDEST])):
            scratch[p] = 0
    load_input(layers, X, at, n, tile, scratch)
    x = input_rows(layers, X, at, n, scratch)
    for i in range(top + 1):
        fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
        z = tile * layers[i, OUT]
        across = layers[i, ACROSS]
        Z = tile_matrix(across, scratch, z, fan_out, length)
        if transposes(layers, i):  # as `forward_layer`, but with a copy of this layer alone
            A = x if i == 0 else tile_matrix(across, scratch, tile * layers[i, IN], fan_in, n)
            transpose(params, w, fan_out, scratch, copy, fan_in, fan_in, fan_out)
            b, W_l = matrix(params, layers[i, B], ZERO, ONE), matrix(scratch, copy, ONE, fan_in)
            matmul_add(Z, b, A, W_l, n, fan_out, fan_in)
        else:
            forward_layer(model, ready, i, x, scratch, tile, length)
        if not rows_finite(Z, n, fan_out):
            return np.int64(-1)
        if i < top:
            activate(layers[i, G], slope, scratch, z, length * fan_out, 1)
    return activate_output(layers, slope, scratch, tile, length)
