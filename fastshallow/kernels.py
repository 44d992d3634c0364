"""Forward and backward propagation, and gradient descent, in blocks of examples.

For every layer l = 1 ... L, with A[0] = X and examples as rows (the notes' equations seen
transposed: the same memory)::

    forward                                 backward
    Z[l] = A[l-1] W[l] + b[l]               dW[l]   = A[l-1]^T dZ[l]
    A[l] = g[l](Z[l])                       db[l]   = 1^T dZ[l]
                                            dA[l-1] = dZ[l] W[l]^T
                                            dZ[l-1] = dA[l-1] * g[l-1]'(Z[l-1])

Blocks make the bits
    The m examples are split into blocks by a rule that knows m and the sizes only. Each block
    adds its gradient into a slot of its own, and the slots are summed along a fixed binary
    tree. Threads share the blocks out among themselves: any number of them, none but the
    caller's included, gives the same bits.

Tiles make the speed
    A block goes through forward, loss and backward in tiles that fit the cache
    (`fastshallow.tiles`): Z, A and dZ never leave it, and X is read from memory once.

The functions that `__all__` names may be called from a user's own ``@njit`` code, with one
worker, on flat arrays.

Examples
--------
A trained network inside compiled code, examples as rows:

>>> import numba, numpy as np, fastshallow as fs
>>> from fastshallow.kernels import Matrix, forward
>>> @numba.njit
... def probabilities(model, X):
...     m, n_x = X.shape
...     out = np.empty(m, X.dtype)
...     forward(model, Matrix(X.reshape(-1), 0, n_x, 1), m, Matrix(out, 0, 1, 1), 1)
...     return out
>>> net = fs.Network((2, 3, 1)).init(seed=0)
>>> X = np.ones((5, 2), "float32")
>>> bool(np.all(probabilities(net.model, X) == net.predict_proba(X.T)))
True
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from ._jit import jit, prange
from ._linking import INT, REAL, out_of_line, vector
from .activations import activate, multiply_dg
from .losses import output_step
from .matmul import FEW, PACKED, Matrix, matmul_add, matrix, pack, pays_to_pack, transposed
from .tiles import (
    ACROSS,
    DZ,
    FAN_IN,
    FAN_OUT,
    IN,
    OUT,
    Y_AT,
    B,
    G,
    W,
    aligned_empty,
    constants,
    input_rows,
    layout,
    load_rows,
    load_targets,
    n_params,
    prepare_scratch,
    rows_finite,
    scratch_size,
    tile_length,
)

__all__ = [
    "Examples",
    "Matrix",
    "Model",
    "Ready",
    "backward_tile",
    "block_count",
    "block_step",
    "cost_and_grad",
    "forward",
    "forward_layers",
    "forward_tile",
    "gradient_descent",
    "ready_weights",
]

# What a block found in the data: bits of its status.
OK, BAD_X, BAD_Y = 0, 1, 2

# Blocks of a gradient: enough for many cores; each with examples enough to be worth its slot,
# which is written and summed once, and of some floating-point operations; all slots together
# within a bound.
BLOCK_LEAST, BLOCK_MOST, SLOT_BYTES_AN_EXAMPLE, BLOCK_WORK = 128, 1024, 256, 100_000
BLOCKS_MOST = 128
SLOTS_BYTES = 1 << 26

# Examples of a forward pass from which on packing the weights for it pays.
PACK_LEAST = 48

# Parameters that are summed over all slots at a time: a strip of them stays in the cache.
STRIP = 1024


class Model(NamedTuple):
    """A network as the kernels see it; `Network.model` makes one. See `fastshallow.tiles`."""

    params: Any
    layers: Any
    slope: float


class Examples(NamedTuple):
    """The examples of a gradient, as rows.

    X : Matrix
        Inputs, of any floating dtype and any strides.
    Y : Matrix
        Targets, of the dtype of the parameters.
    labels : int
        1 where Y holds class numbers, one a row; 0 where it holds values or one-hot rows.
    weight : ndarray, 1-D
        Weights w of the dtype of the parameters; empty for w = 1.
    """

    X: Matrix
    Y: Matrix
    labels: int
    weight: Any


# One tile ------------------------------------------------------------------------------------


@jit
def tile_matrix(layers, scratch, start, width, n):
    """Return n examples of a layer in scratch as a `Matrix`."""
    row, col, _ = layout(layers, width, n)
    return matrix(scratch, start, row, col)


@jit
def forward_layer(model, ready, i, x, scratch, tile, n):
    """Z[l] = A[l-1] W[l] + b[l] of the n examples in scratch, for layer i = l - 1."""
    params, layers, _ = model
    fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
    # A[l] comes in the place of Z[l]
    Z = tile_matrix(layers, scratch, tile * layers[i, OUT], fan_out, n)
    A = x if i == 0 else tile_matrix(layers, scratch, tile * layers[i, IN], fan_in, n)
    b = matrix(params, layers[i, B], 0, 1)
    W_l = matrix(params, w, fan_out, 1)
    if layers[0, ACROSS]:
        pass
    elif fan_out <= FEW:
        W_l = matrix(ready.W_T, w, 1, fan_in)
    elif ready.W.size > 0:
        packed = pays_to_pack(fan_in, fan_out, scratch.itemsize)
        W_l = matrix(ready.W, w, PACKED if packed else fan_out, 1)
    matmul_add(Z, b, A, W_l, n, fan_out, fan_in)


@jit
def backward_layer(model, ready, i, x, scratch, tile, n, slot, fresh):
    """Differentiate `forward_layer`: from dZ[l] to dW[l], db[l] and, where l > 1, dZ[l-1].

    dW[l] = A[l-1]^T dZ[l], db[l] = dZ[l]^T 1, dZ[l-1] = (dZ[l] W[l]^T) * g[l-1]'(Z[l-1])
    """
    params, layers, slope = model
    fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
    at_zeros, room, at_ones = constants(layers, tile)
    zeros, ones = matrix(scratch, at_zeros, 0, 1), matrix(scratch, at_ones, 1, 1)
    a = tile * layers[i, IN]
    A = x if i == 0 else tile_matrix(layers, scratch, a, fan_in, n)
    dZ = tile_matrix(layers, scratch, tile * layers[i, DZ], fan_out, n)
    A_T, dZ_T = transposed(A), transposed(dZ)
    dW, right = matrix(slot, w, fan_out, 1), dZ
    if pays_to_pack(n, fan_out, scratch.itemsize):
        pack(dZ, n, fan_out, scratch, room)
        right = matrix(scratch, room, PACKED, 1)
    matmul_add(dW, zeros if fresh else dW, A_T, right, fan_in, fan_out, n)
    db = matrix(slot, layers[i, B], 1, 1)
    matmul_add(db, zeros if fresh else db, dZ_T, ones, fan_out, 1, n)
    if i > 0:
        da = tile * layers[i - 1, DZ]
        dA = tile_matrix(layers, scratch, da, fan_in, n)
        W_T = matrix(ready.W_T, w, fan_in, 1)
        if layers[0, ACROSS] or fan_in <= FEW:
            W_T = matrix(params, w, 1, fan_out)
        elif pays_to_pack(fan_out, fan_in, scratch.itemsize):
            W_T = matrix(ready.W_T, w, PACKED, 1)
        matmul_add(dA, zeros, dZ, W_T, n, fan_in, fan_out)
        _, _, size = layout(layers, fan_in, n)
        multiply_dg(layers[i - 1, G], slope, scratch, da, scratch, a, size)


@jit
def forward_tile(model, ready, x, scratch, tile, n):
    """Take the X of a tile to Z[L] of its output layer, leaving A[1] ... A[L-1] in scratch.

    Parameters
    ----------
    model : Model
        The network.
    ready : Ready
        Its weights from `ready_weights`.
    x : Matrix
        The tile's inputs, from `fastshallow.tiles.input_rows`.
    scratch : ndarray, 1-D
        Laid out as in `fastshallow.tiles`; modified in place.
    tile, n : int
        Length of a tile, and examples in this one.
    """
    _, layers, slope = model
    last = layers.shape[0] - 1
    for i in range(last + 1):
        forward_layer(model, ready, i, x, scratch, tile, n)
        if i < last:
            _, _, size = layout(layers, layers[i, FAN_OUT], n)
            activate(layers[i, G], slope, scratch, tile * layers[i, OUT], size, 1)


@jit
def backward_tile(model, ready, x, scratch, tile, n, slot, fresh):
    """Take dZ[L] of a tile back to dZ[1], adding every dW and db to the slot.

    Parameters
    ----------
    model : Model
        The network.
    ready : Ready
        Its weights from `ready_weights`.
    x : Matrix
        The tile's inputs.
    scratch : ndarray, 1-D
        As `forward_tile` left it, with dZ[L] in its place; modified in place.
    tile, n : int
        Length of a tile, and examples in this one.
    slot : ndarray, 1-D
        Modified in place: the gradient's sums, in the order of ``params``.
    fresh : bool
        Whether the sums start here: the slot is overwritten, not added to.
    """
    for i in range(model.layers.shape[0] - 1, -1, -1):
        backward_layer(model, ready, i, x, scratch, tile, n, slot, fresh)


# One block -----------------------------------------------------------------------------------


class Ready(NamedTuple):
    """Copies of the weights, made once a step, that products read faster.

    W : ndarray, 1-D
        W[l] in C order, or `pack`ed where that pays, in the place that it has in ``params``.
        Empty if there are too few examples for a copy to pay.
    W_T : ndarray, 1-D
        W[l]^T, (n_l, n_{l-1}), likewise.
    """

    W: Any
    W_T: Any


@jit
def copy_right(B, K, N, out, start):
    """Copy the right operand of a product, (K, N), in C order or `pack`ed, as is faster."""
    if pays_to_pack(K, N, out.itemsize):
        pack(B, K, N, out, start)
        return
    for k in range(K):
        for j in range(N):
            out[start + k * N + j] = B.data[B.start + k * B.row + j * B.col]


@jit
def make_ready(model, backward, ready):
    """Fill the copies that forward needs, or forward and backward; W[1]^T is never needed."""
    params, layers, _ = model
    if layers[0, ACROSS]:  # the weights are broadcast, from wherever they lie
        return
    for i in range(layers.shape[0]):
        fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
        if ready.W.size > 0:
            copy_right(matrix(params, w, fan_out, 1), fan_in, fan_out, ready.W, w)
        if fan_out <= FEW or (backward and i > 0):
            copy_right(matrix(params, w, 1, fan_out), fan_out, fan_in, ready.W_T, w)


@jit
def ready_weights(model, m, backward):
    """Return the `Ready` of a model, for m examples and forward alone or backward too."""
    params = model.params
    copies = params.size if m >= PACK_LEAST else 0
    ready = Ready(aligned_empty(copies, params), aligned_empty(params.size, params))
    make_ready(model, backward, ready)
    return ready


def _model_type(dtype):
    table = types.Array(types.int64, 2, "C", readonly=True)
    return types.NamedTuple((vector(dtype, readonly=True), table, REAL), Model)


def _ready_type(dtype):
    return types.NamedUniTuple(vector(dtype, readonly=True), 2, Ready)


def _matrix_type(data):
    return types.NamedTuple((data, INT, INT, INT), Matrix)


def _examples_type(dtype, x_dtype):
    X, Y = (_matrix_type(vector(d, readonly=True)) for d in (x_dtype, dtype))
    return types.NamedTuple((X, Y, INT, vector(dtype, readonly=True)), Examples)


@out_of_line(
    lambda model, ready, examples, *_: (model[0].dtype, examples[0][0].dtype),
    lambda dtype, x_dtype: (
        _model_type(dtype),
        _ready_type(dtype),
        _examples_type(dtype, x_dtype),
        INT,
        INT,
        vector(dtype),
        vector(dtype),
    ),
)
def block_step(model, ready, examples, first, last, scratch, slot):
    """Take examples first ... last - 1 through forward, loss and backward.

    Parameters
    ----------
    model : Model
        The network.
    ready : Ready
        Its weights from `ready_weights`.
    examples : Examples
        All examples.
    first, last : int
        The block.
    scratch : ndarray, 1-D, of the dtype of the parameters
        `scratch_size` long at least; its contents do not matter. Modified in place.
    slot : ndarray, 1-D
        Overwritten with the sums of w dL/dW and w dL/db, in the order of ``params``. Empty
        for the loss alone.

    Returns
    -------
    loss : float
        Sum of w L over the block.
    status : int
        0, or bits that say that X holds a value that is not finite (1), or Y one that the loss
        is not made for (2).
    """
    layers = model.layers
    X, Y, labels, weight = examples
    top = layers.shape[0] - 1
    n_x, n_y, output = layers[0, FAN_IN], layers[top, FAN_OUT], layers[top, G]
    tile = tile_length(layers, scratch.itemsize)
    y, z, dz = tile * layers[top, Y_AT], tile * layers[top, OUT], tile * layers[top, DZ]
    prepare_scratch(layers, tile, scratch)
    loss, status = 0.0, OK
    for at in range(first, last, tile):
        n = min(tile, last - at)
        x = input_rows(layers, X, at, n, scratch)
        forward_tile(model, ready, x, scratch, tile, n)
        if not rows_finite(x, n, n_x):  # after forward, which brought them into the cache
            status |= BAD_X
        if not load_targets(output, labels, Y, at, n, n_y, scratch, y):
            status |= BAD_Y
        loss += output_step(output, scratch, z, y, dz, n, n_y, weight, at)
        if slot.size > 0:
            backward_tile(model, ready, x, scratch, tile, n, slot, at == first)
    return loss, status


@jit
def block_count(m, layers, itemsize):
    """Return into how many blocks m examples are split: a function of m and the sizes alone.

    A power of two, so that 2, 4, 8, ... threads have equal shares, of whole tiles but for the
    last.
    """
    slot = n_params(layers) * itemsize
    worth = max(BLOCK_LEAST, slot // SLOT_BYTES_AN_EXAMPLE, BLOCK_WORK // (6 * n_params(layers)))
    least = max(min(BLOCK_MOST, worth), tile_length(layers, itemsize))  # no block is empty
    most = min(BLOCKS_MOST, SLOTS_BYTES // slot, m // least)
    blocks = 1
    while 2 * blocks <= most:
        blocks *= 2
    return blocks


# All blocks ----------------------------------------------------------------------------------


class Workspace(NamedTuple):
    """Memory of a gradient: slots, losses and statuses by block, scratch by worker."""

    packed: Any
    transposed: Any
    slots: Any
    losses: Any
    found: Any
    scratch: Any


@jit
def allocate(model, m, workers, with_slots):
    """Return the `Workspace` for m examples."""
    params, layers, _ = model
    blocks = block_count(m, layers, params.itemsize)
    size = scratch_size(layers, tile_length(layers, params.itemsize))
    slot = (params.size + 15) // 16 * 16 if with_slots else 0
    return Workspace(
        aligned_empty(params.size, params),
        aligned_empty(params.size, params),
        aligned_empty(blocks * slot, params).reshape(blocks, slot),
        np.empty(blocks, np.float64),
        np.empty(blocks, np.int64),
        aligned_empty(workers * size, params).reshape(workers, size),
    )


@jit
def run_share(model, examples, m, share, workers, work):
    """Let one worker go through its share of the blocks."""
    blocks = work.losses.size
    tile = tile_length(model.layers, model.params.itemsize)
    tiles = (m + tile - 1) // tile
    for b in range(share * blocks // workers, (share + 1) * blocks // workers):
        work.losses[b], work.found[b] = block_step(
            model,
            Ready(work.packed, work.transposed),
            examples,
            b * tiles // blocks * tile,
            min(m, (b + 1) * tiles // blocks * tile),
            work.scratch[share],
            work.slots[b],
        )


@jit(parallel=True)
def run_blocks(model, examples, m, workers, work):
    """Fill the slots, losses and statuses of all blocks."""
    if workers == 1:
        run_share(model, examples, m, 0, 1, work)
        return
    # prange takes arrays and scalars only, so the tuples are taken apart and put together again
    params, layers, slope = model
    (X, x, x_row, x_col), (Y, y, y_row, y_col), labels, weight = examples
    packed, transposed, slots, losses, found, scratch = work
    for share in prange(workers):
        run_share(
            Model(params, layers, slope),
            Examples(Matrix(X, x, x_row, x_col), Matrix(Y, y, y_row, y_col), labels, weight),
            m,
            np.int64(share),
            workers,
            Workspace(packed, transposed, slots, losses, found, scratch),
        )


@jit
def sum_strip(slots, first, last):
    """Sum parameters first ... last - 1 of all slots into slot 0, along a binary tree."""
    step = 1
    while step < slots.shape[0]:
        for i in range(0, slots.shape[0] - step, 2 * step):
            for p in range(first, last):
                slots[i, p] += slots[i + step, p]
        step *= 2


@jit(parallel=True)
def sum_slots(slots, workers):
    """Sum all slots into slot 0: the same tree for every parameter, whoever sums it."""
    size = slots.shape[1]
    strips = (size + STRIP - 1) // STRIP
    if workers == 1 or strips == 1:
        for s in range(strips):
            sum_strip(slots, s * STRIP, min(size, (s + 1) * STRIP))
        return
    for s in prange(strips):
        first = np.int64(s) * STRIP
        sum_strip(slots, first, min(size, first + STRIP))


@jit
def sum_losses(losses):
    """Return the sum along the same tree; ``losses`` is modified in place."""
    step = 1
    while step < losses.size:
        for i in range(0, losses.size - step, 2 * step):
            losses[i] += losses[i + step]
        step *= 2
    return losses[0]


@jit
def l2(model, factor, grad):
    """Add factor * W to the gradient (biases have no penalty); return factor / 2 * sum W^2.

    ``grad`` is modified in place; an empty one is left alone.
    """
    params, layers, _ = model
    if factor == 0:
        return 0.0
    squares = 0.0
    for i in range(layers.shape[0]):
        for p in range(layers[i, W], layers[i, B]):
            squares += float(params[p]) * float(params[p])
            if grad.size > 0:
                grad[p] += factor * params[p]
    return 0.5 * factor * squares


@jit
def cost_and_grad_into(model, examples, m, total, alpha, workers, work, grad):
    """Compute J and its gradient in memory made before; see `cost_and_grad`."""
    make_ready(model, True, Ready(work.packed, work.transposed))
    run_blocks(model, examples, m, workers, work)
    status = OK
    for b in range(work.found.size):
        status |= work.found[b]
    if grad.size > 0:
        sum_slots(work.slots, workers)
        scale = model.params.dtype.type(1 / total)
        for p in range(grad.size):
            grad[p] = work.slots[0, p] * scale
    J = sum_losses(work.losses) / total
    return J + l2(model, alpha / total, grad), status


@jit
def cost_and_grad(model, examples, m, total, alpha, workers, grad):
    """Compute J and its gradient.

    .. math:: J = \\frac{1}{\\sum w} \\sum_i w_i L_i + \\frac{\\alpha}{2 \\sum w} \\sum W^2

    Parameters
    ----------
    model : Model
        The network.
    examples : Examples
        Inputs, targets and weights of m examples.
    m : int
        How many there are.
    total : float
        Sum of the weights; m where there are none.
    alpha : float
        L2 penalty on the weights, not on the biases.
    workers : int
        Threads; 1 runs in the calling thread and enters no parallel region.
    grad : ndarray, 1-D, of the length and dtype of the parameters
        Modified in place: the gradient. Empty for J alone.

    Returns
    -------
    J : float
        The cost.
    status : int
        As `block_step` gives it; if not 0, J and the gradient mean nothing.
    """
    work = allocate(model, m, workers, grad.size > 0)
    return cost_and_grad_into(model, examples, m, total, alpha, workers, work, grad)


@jit
def gradient_descent(model, examples, m, total, alpha, workers, learning_rate, cost):
    """Take as many steps params -= learning_rate * gradient as ``cost`` is long.

    Parameters
    ----------
    model : Model
        ``model.params`` is modified in place.
    examples, m, total, alpha, workers
        As for `cost_and_grad`.
    learning_rate : float
        The notes' alpha.
    cost : ndarray, 1-D, float64
        Modified in place: ``cost[i]`` is J before step i.

    Returns
    -------
    int
        Status as of `block_step`; if not 0, nothing was changed.
    """
    params = model.params
    rate = params.dtype.type(learning_rate)
    work = allocate(model, m, workers, True)
    grad = np.empty_like(params)
    for i in range(cost.size):
        cost[i], status = cost_and_grad_into(model, examples, m, total, alpha, workers, work, grad)
        if status != OK:
            return status
        for p in range(params.size):
            params[p] -= rate * grad[p]
    return OK


# Forward alone -------------------------------------------------------------------------------


@out_of_line(
    lambda model, ready, X, *_: (model[0].dtype, X[0].dtype),
    lambda dtype, x_dtype: (
        _model_type(dtype),
        _ready_type(dtype),
        _matrix_type(vector(x_dtype, readonly=True)),
        INT,
        _matrix_type(vector(dtype)),
        INT,
        INT,
        vector(dtype),
    ),
)
def forward_share(model, ready, X, m, out, share, workers, scratch):
    """Let one worker write A[L] of its share of the tiles; return the status."""
    _, layers, slope = model
    top = layers.shape[0] - 1
    n_x, n_y = layers[0, FAN_IN], layers[top, FAN_OUT]
    tile = tile_length(layers, scratch.itemsize)
    a = tile * layers[top, OUT]
    prepare_scratch(layers, tile, scratch)
    status, tiles = OK, (m + tile - 1) // tile
    for t in range(share * tiles // workers, (share + 1) * tiles // workers):
        at = t * tile
        n = min(tile, m - at)
        x = input_rows(layers, X, at, n, scratch)
        if not rows_finite(x, n, n_x):
            status |= BAD_X
        forward_tile(model, ready, x, scratch, tile, n)
        activate(layers[top, G], slope, scratch, a, n, n_y)
        for i in range(n):
            for j in range(n_y):
                value = scratch[a + i * n_y + j]
                out.data[out.start + (at + i) * out.row + j * out.col] = value
    return status


@jit(parallel=True)
def forward(model, X, m, out, workers):
    """Write A[L] of m examples; nothing else of their number is allocated.

    Parameters
    ----------
    model : Model
        The network.
    X : Matrix
        Inputs as rows, of any floating dtype and any strides.
    m : int
        Examples.
    out : Matrix
        Modified in place: (m, n_y), any strides.
    workers : int
        Threads; 1 runs in the calling thread and enters no parallel region.

    Returns
    -------
    int
        0, or 1 where X holds a value that is not finite.
    """
    params, layers, slope = model
    size = scratch_size(layers, tile_length(layers, params.itemsize))
    scratch = aligned_empty(workers * size, params).reshape(workers, size)
    ready = ready_weights(model, m, False)
    packed, transposed = ready
    if workers == 1:
        return forward_share(model, ready, X, m, out, 0, 1, scratch[0])
    found = np.empty(workers, np.int64)
    x_data, x, x_row, x_col = X
    o_data, o, o_row, o_col = out
    for share in prange(workers):
        found[share] = forward_share(
            Model(params, layers, slope),
            Ready(packed, transposed),
            Matrix(x_data, x, x_row, x_col),
            m,
            Matrix(o_data, o, o_row, o_col),
            np.int64(share),
            workers,
            scratch[share],
        )
    status = OK
    for share in range(workers):
        status |= found[share]
    return status


@jit
def forward_layers(model, X, m, Z, A):
    """Write Z[l] and A[l] of every layer for m examples, serially: for those who want to look.

    Parameters
    ----------
    model : Model
        The network.
    X : Matrix
        Inputs as rows.
    m : int
        Examples.
    Z, A : ndarray, 1-D
        Modified in place: layer by layer, (m, n_l) in C order.

    Returns
    -------
    int
        0, or 1 where X holds a value that is not finite.
    """
    _, layers, slope = model
    n_x = layers[0, FAN_IN]
    tile = tile_length(layers, Z.itemsize)
    scratch = aligned_empty(scratch_size(layers, tile), Z)
    ready = ready_weights(model, m, False)
    prepare_scratch(layers, tile, scratch)
    status = OK
    for at in range(0, m, tile):
        n = min(tile, m - at)
        x = input_rows(layers, X, at, n, scratch)
        if not rows_finite(x, n, n_x):
            status |= BAD_X
        for i in range(layers.shape[0]):
            a, width = tile * layers[i, OUT], layers[i, FAN_OUT]
            to = m * (layers[i, OUT] - n_x) + at * width
            forward_layer(model, ready, i, x, scratch, tile, n)
            layer = tile_matrix(layers, scratch, a, width, n)
            load_rows(layer, 0, n, width, Z, to, width, 1)
            _, _, size = layout(layers, width, n)
            activate(layers[i, G], slope, scratch, a, size // width, width)
            load_rows(layer, 0, n, width, A, to, width, 1)
    return status
