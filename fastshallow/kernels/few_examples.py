"""One example or a few: forward on the stack of the caller, with all checks, allocating nothing.

`fastshallow.kernels.forward` allocates memory, copies the weights and shares tiles out among
threads. For one example that takes as long as the network itself.
"""

from __future__ import annotations

import numpy as np
from numba import types

from ..jit.argument_types import REAL, array, table
from ..jit.compile import ONE, ZERO, jit
from ..jit.linking import INT, out_of_line, vector
from ..jit.refusals import heard, holds_values, no_answer
from ..simd.intrinsics import address, flat, on_stack
from ..simd.matmul import matmul_add, matrix
from ..simd.transpose import transpose
from .activations import SIGMOID, SOFTMAX, activate
from .layout import (
    FAN_IN,
    FAN_OUT,
    IN,
    LANES_OVER_EXAMPLES,
    OUT,
    TILE_LEAST,
    TILE_STEP,
    WIDEST,
    Y_AT,
    B,
    G,
    W,
    input_rows,
    layer_matrix,
    load_input,
    new_tile,
    rows_finite,
)
from .model import Model, WeightCopies, matrix_type, model_type, transposes
from .propagation import BAD_X, OK, activate_output, forward_layer
from .sizes import is_network

__all__ = ["predict", "predict_few"]

# Why `predict_few` returns without predictions, beside BAD_X: the shape of X or of out; strides
# that are negative or not whole; a network too large for the stack; a parameter or a Z[l] that is
# not finite.
X_SIZE, OUT_SIZE, STRIDES, STACK, OVERFLOW = 4, 8, 16, 32, 64


@jit
def predict_few(params, layers, slope, X, threshold, out):
    """Predict for one example or a few, without an exception: what `predict` is made of.

    Arguments are those of `predict`, of types that it takes. Return 0, or why not. After `OVERFLOW`
    ``out`` may be partly written; after all others it is as it was.
    """
    top = layers.shape[0] - 1
    n_x, n_y, output = layers[0, FAN_IN], layers[top, FAN_OUT], layers[top, G]
    m, row, col = ONE, n_x, X.strides[0] // X.itemsize
    if X.ndim == 2:
        m, row = X.shape[1], X.strides[1] // X.itemsize
    if X.shape[0] != n_x:
        return X_SIZE
    if out.shape[-1] != m or (out.shape[0] != n_y if out.ndim == 2 else output != SOFTMAX):
        return OUT_SIZE
    values = flat(X)
    whole = (address(values, ZERO) | X.strides[0] | X.strides[X.ndim - 1]) % X.itemsize == 0
    if not whole or row < 0 or col < 0:
        return STRIDES
    rows = matrix(values, ZERO, row, col)
    if not rows_finite(rows, m, n_x):
        return BAD_X
    model, scratch = Model(params, layers, slope), on_stack(params)
    longest = few_tile_length(layers, scratch.size)
    if longest < 1:
        return STACK
    for at in range(0, m, longest):
        n = min(longest, m - at)
        a = forward_few(model, rows, at, n, longest, scratch)
        if a < 0:
            return OVERFLOW
        write_predictions(output, scratch, a, n, n_y, threshold, out, at)
    return OK


@jit(
    takes={
        "params": array(1),
        "layers": table,
        "slope": REAL,
        "X": array(1, 2, like="params", any_order=True),
        "threshold": REAL,
        "out": array(1, 2, like="params", any_order=True, written=True, also=(types.int64,)),
    }
)
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
    out : ndarray, (n_y, m) or (m,), of the dtype of the parameters, or of int64 for classes
        Modified in place. With one dimension: the class numbers of softmax. Where the status is
        not 0, or an exception is raised, it is filled with NaN, or -1 for int64.

    Returns
    -------
    int
        0; 1 where X holds a value that is not finite; 64 where a parameter, or a layer's Z[l], is
        not finite.

    Raises
    ------
    ValueError
        Where sizes do not fit, X lies backwards in memory, or the network is too large for the
        stack. In a ``prange`` Numba would forget it: there a status is returned.
    TypingError
        When the call is compiled: naming the argument, what was expected and what came.

    Examples
    --------
    >>> import numba, numpy as np, fastshallow as fs
    >>> from fastshallow import kernels
    >>> @numba.njit
    ... def positive(params, layers, slope, x):
    ...     out = np.empty((1, 1))
    ...     kernels.predict(params, layers, slope, x, 0.0, out)
    ...     return out[0, 0] > 0
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> net.W1 = [[3]]
    >>> positive(*net.model, np.array([2.0])), positive(*net.model, np.array([-2.0]))
    (True, False)
    """
    if not is_network(params, layers):
        refuse_all(out)
        if heard():
            raise ValueError(
                "fastshallow.kernels.predict: params and layers: expected those of one network"
            )
        return X_SIZE
    output = layers[layers.shape[0] - 1, G]
    numbers = output == SOFTMAX and out.ndim == 1
    status = OUT_SIZE
    if holds_values(out) or numbers or (output == SIGMOID and not np.isnan(threshold)):
        status = predict_few(params, layers, slope, X, threshold, out)
    if status == OK:
        return status
    refuse_all(out)
    if status in (BAD_X, OVERFLOW) or not heard():
        return status
    if status == X_SIZE:
        raise ValueError(
            "fastshallow.kernels.predict: X: expected shape (n_x, m), or (n_x,) for one example, "
            "of the network's n_x; got another one"
        )
    if status == OUT_SIZE:
        raise ValueError(
            "fastshallow.kernels.predict: out: expected shape (n_y, m), or (m,) for the classes of "
            "softmax, and int64 for classes alone; got another one"
        )
    if status == STRIDES:
        raise ValueError(
            "fastshallow.kernels.predict: X: expected an array that lies forwards in memory, by "
            "whole values; pass a copy of it"
        )
    raise ValueError(
        "fastshallow.kernels.predict: params: expected a network small enough for the stack; "
        "fastshallow.kernels.forward takes any"
    )


@jit(internal=True)
def refuse_all(out):
    """Fill what `predict` was to write with what no answer is."""
    for i in range(out.shape[0]):
        if out.ndim == 2:
            for j in range(out.shape[1]):
                out[i, j] = no_answer(out)
        else:
            out[i] = no_answer(out)


@jit(internal=True)
def write_predictions(output, A, start, n, n_y, threshold, out, at):
    """Write what `predict` makes of A[L] of a tile to examples at ... at + n - 1 of ``out``."""
    classes = output == SIGMOID and not np.isnan(threshold)
    limit = A.dtype.type(threshold)  # as NumPy compares an array with a number
    for i in range(n):
        a = start + i * n_y
        if out.ndim == 2:
            for j in range(n_y):
                out[j, at + i] = A[a + j] > limit if classes else A[a + j]
        else:
            best = ZERO
            for j in range(1, n_y):
                if A[a + j] > A[a + best]:
                    best = np.int64(j)
            out[at + i] = best


@jit(internal=True)
def copy_size(layers):
    """Return how many values `forward_few` needs for the copy of a layer's weights."""
    size = ZERO
    for i in range(layers.shape[0]):
        if transposes(layers, i):
            size = max(size, layers[i, FAN_IN] * layers[i, FAN_OUT])
    return size


@jit(internal=True)
def few_tile_length(layers, size):
    """Return how many examples `forward_few` takes in scratch of a size."""
    size -= copy_size(layers)
    if layers[-1, LANES_OVER_EXAMPLES]:  # with dZ[L] and zeros
        length = (size - layers[0, WIDEST] - 16) // (layers[0, Y_AT] + layers[-1, FAN_OUT] + 1)
        # it may be padded
        return length // TILE_STEP * TILE_STEP if length > TILE_LEAST else length
    return size // (layers[-1, OUT] + layers[-1, FAN_OUT])


@out_of_line(
    lambda model, *_: (model[0].dtype,),
    lambda dtype: (model_type(dtype), matrix_type(vector(dtype)), INT, INT, INT, vector(dtype)),
    result=INT,
    group="few",
    internal=True,
)
def forward_few(model, X, at, n, longest, scratch):
    """Take examples at ... at + n - 1 to A[L], and return where in scratch it begins.

    Return -1 where a Z[l] is not finite. A parameter that is not finite makes one, so that the
    parameters need no test of their own.
    """
    params, layers, slope = model
    top, copy = layers.shape[0] - 1, scratch.size - copy_size(layers)
    copies, tile = WeightCopies(scratch[:0], scratch[:0]), new_tile(layers, scratch, longest, n)
    if layers[top, LANES_OVER_EXAMPLES]:
        for p in range(tile.zeros, tile.zeros + max(tile.n, layers[0, WIDEST])):
            scratch[p] = 0
    load_input(layers, X, at, n, tile)
    x = input_rows(layers, X, at, tile)
    for i in range(top + 1):
        fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
        Z = layer_matrix(layers, i, OUT, tile)
        if transposes(layers, i):  # as `forward_layer`, but with a copy of this layer alone
            A = x if i == 0 else layer_matrix(layers, i, IN, tile)
            transpose(params, w, fan_out, scratch, copy, fan_in, fan_in, fan_out)
            b, W_l = matrix(params, layers[i, B], ZERO, ONE), matrix(scratch, copy, ONE, fan_in)
            matmul_add(Z, b, A, W_l, n, fan_out, fan_in)
        else:
            forward_layer(model, copies, i, x, tile)
        if not rows_finite(Z, n, fan_out):
            return np.int64(-1)
        if i < top:
            activate(layers[i, G], slope, scratch, Z.start, tile.n * fan_out, 1)
    if layers[top, LANES_OVER_EXAMPLES]:
        return activate_output(layers, slope, tile).start
    Z = layer_matrix(layers, top, OUT, tile)  # without the memory that `activate_output` needs
    activate(layers[top, G], slope, scratch, Z.start, tile.n, layers[top, FAN_OUT])
    return Z.start
