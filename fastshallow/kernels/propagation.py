"""Forward and backward propagation of one tile of examples.

For every layer l = 1 ... L, with A[0] = X and examples as rows (the notes' equations seen
transposed: the same memory)::

    forward                                 backward
    Z[l] = A[l-1] W[l] + b[l]               dA[l-1] = dZ[l] W[l]^T
    A[l] = g[l](Z[l])                       dZ[l-1] = dA[l-1] * g[l-1]'(Z[l-1])
                                            dW[l]   = A[l-1]^T dZ[l]
                                            db[l]   = dZ[l]^T 1

Results too small to be normal numbers, below 1.2e-38 in float32, are 0 in a gradient, and in the
steps of SGD, Adam and AdamW: Intel's cores take some hundred cycles for a product with one, and
outputs of softmax that are nearly 0 make many (64-32-10 over 1,797 examples, after some 1,300
epochs of Adam: 1.7 ms an epoch, so 0.25).

Every matrix product is `fastshallow.simd.matmul.matmul_add`; how a network and a tile lie in memory
stands in `fastshallow.kernels.layout`. Who goes through all examples is `fastshallow.kernels`.
"""

from __future__ import annotations

import numpy as np

from ..jit.compile import ONE, ZERO, jit
from ..jit.linking import INT, out_of_line, vector
from ..simd.intrinsics import inlined
from ..simd.matmul import FEW, PACKED, matmul_add, matrix, pack, pays_to_pack
from ..simd.processor import flush_subnormals, restore_subnormals
from .activations import SOFTMAX, activate, multiply_dg
from .layout import (
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
    constants,
    input_rows,
    layout,
    load_input,
    load_rows,
    padded,
    rows_finite,
    tile_length,
)
from .losses import output_step
from .model import examples_type, matrix_type, model_type, packs, ready_type, table_type, transposes
from .one_output import has_one_pass, rank_one
from .targets import load_targets

__all__ = ["HELD", "NEW", "USABLE", "forward_tile", "tile_gradient", "tile_step"]

# What a tile found in the data: bits of a status.
OK, BAD_X, BAD_Y = 0, 1, 2

# What a kernel that users call returns of sizes that do not fit, where it does not raise.
REFUSED = 4

# What is known of the examples of a tile: nothing yet; that X and Y are usable, as an earlier step
# found; that the scratch still holds all that was copied there of them, too. A part of a batch that
# is all 0 is of new ones.
NEW, USABLE, HELD = np.int64(0), np.int64(1), np.int64(2)

# A dZ is read by one product alone, and so copied packed only if its rows lie as far apart (dW of
# 28 x 64 over 304 examples on one core with AVX2: 49 thousand cycles packed, 38 as it lies; of
# 784 x 1,024 over 64, 5.0 and 6.5 million).
FAR_BYTES = 4096

# One layer -----------------------------------------------------------------------------------


@jit(internal=True)
def tile_matrix(across, scratch, start, width, n):
    """Return n examples of a layer in scratch as a `Matrix`."""
    row, col = layout(across, width, n)
    return matrix(scratch, start, row, col)


@jit(internal=True)
def tile_zeros(layers, i, scratch, tile):
    """Return as many zeros as a product that gives values of layer i + 1 starts from."""
    at_zeros, _, _ = constants(layers, tile)
    row, col = (ONE, ZERO) if layers[i, ACROSS] else (ZERO, ONE)
    return matrix(scratch, at_zeros, row, col)


@jit(internal=True)
def forward_layer(model, ready, i, x, scratch, tile, n):
    """Z[l] = A[l-1] W[l] + b[l] of the n examples in scratch, for layer i = l - 1."""
    inlined()
    params, layers, _ = model
    fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
    across = layers[i, ACROSS]
    # A[l] comes in the place of Z[l]
    Z = tile_matrix(across, scratch, tile * layers[i, OUT], fan_out, n)
    A = x if i == 0 else tile_matrix(across, scratch, tile * layers[i, IN], fan_in, n)
    if i > 0 and across != layers[i - 1, ACROSS]:
        below = tile * layers[i - 1, OUT]
        below = tile_matrix(layers[i - 1, ACROSS], scratch, below, fan_in, n)
        load_rows(below, ZERO, n, fan_in, scratch, A.start, A.row, A.col)
    b = matrix(params, layers[i, B], ZERO, ONE)
    W_l = matrix(params, w, fan_out, ONE)
    if across:  # b[l] is the weight of a unit that is 1
        zeros = tile_zeros(layers, i, scratch, tile)
        if n == 1 and fan_out > 1:  # lanes over the units of the only example: the same bits
            Z = matrix(Z.data, Z.start, fan_out, ONE)
            A = matrix(A.data, A.start, fan_in + 1, ONE)
            zeros = matrix(zeros.data, zeros.start, ZERO, ONE)
        matmul_add(Z, zeros, A, W_l, n, fan_out, fan_in + 1)
        return
    if fan_out == 1:
        W_l = matrix(params, w, ONE, fan_in)
    elif transposes(layers, i):
        W_l = matrix(ready.W_T, w, ONE, fan_in)
    elif ready.W.size > 0 and packs(layers, i, scratch.itemsize):
        W_l = matrix(ready.W, w, PACKED, ONE)
    matmul_add(Z, b, A, W_l, n, fan_out, fan_in)


@jit(internal=True)
def backward_layer(model, ready, i, scratch, tile, n):
    """Differentiate `forward_layer` by A[l-1], and that by Z[l-1]: from dZ[l] to dZ[l-1].

    dA[l-1] = dZ[l] W[l]^T, dZ[l-1] = dA[l-1] * g[l-1]'(Z[l-1])
    """
    inlined()
    params, layers, slope = model
    fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
    below, da = layers[i - 1, ACROSS], tile * layers[i - 1, DZ]
    dA = tile_matrix(below, scratch, da, fan_in, n)
    dZ = tile_matrix(layers[i, ACROSS], scratch, tile * layers[i, DZ], fan_out, n)
    W_T = matrix(ready.W_T, w, fan_in, ONE)
    if below or fan_in <= FEW:
        W_T = matrix(params, w, ONE, fan_out)
    elif pays_to_pack(fan_out, fan_in, scratch.itemsize):
        W_T = matrix(ready.W_T, w, PACKED, ONE)
    matmul_add(dA, tile_zeros(layers, i - 1, scratch, tile), dZ, W_T, n, fan_in, fan_out)
    a, size = tile * layers[i - 1, OUT], n * fan_in
    multiply_dg(layers[i - 1, G], slope, scratch, da, scratch, a, size)


@jit(internal=True)
def packs_dz(layers, parts):
    """Return whether `backward_output` writes dZ[L-1] packed: where dW[1] alone reads it.

    It has a slot where dW[1] has one part, and none where there are more.

    (dW of 30 x 100 over 144 examples: 32 thousand cycles as rows, 30 packed, with AVX2.)
    """
    alone = layers.shape[0] == 2 and parts == 1
    return alone and has_one_pass(layers) and layers[0, FAN_OUT] > FEW


@jit(internal=True)
def backward_output(model, scratch, tile, n, slot, fresh):
    """Do what `backward_layer` does for an output layer of one unit, and add dW[L] and db[L-1].

    If the slot is empty, their sums over the tile go where nobody looks.
    """
    params, layers, slope = model
    top = layers.shape[0] - 1
    width, below = layers[top, FAN_IN], top - 1
    _, room, _ = constants(layers, tile)
    sums, w, b = slot, layers[top, W], layers[below, B]
    dZ = tile_matrix(ZERO, scratch, tile * layers[below, DZ], width, n)
    if slot.size == 0:
        sums, w, b = scratch, room, room + width
    elif packs_dz(layers, ONE):
        dZ = matrix(scratch, dZ.start, PACKED, ONE)
    rank_one(
        *(layers[below, G], slope),
        tile_matrix(ZERO, scratch, tile * layers[top, IN], width, n),
        tile_matrix(ZERO, scratch, tile * layers[top, DZ], ONE, n),
        matrix(params, layers[top, W], ONE, ONE),
        dZ,
        *(matrix(sums, w, ONE, ONE), matrix(sums, b, ONE, ONE)),
        *(n, width, fresh),
    )


@jit(internal=True)
def layer_gradient(layers, i, x, scratch, tile, n, room, slot, fresh, part, parts):
    """Differentiate `forward_layer` by one of equal parts of W[l], and by b[l] with part 0.

    dW[l] = A[l-1]^T dZ[l], db[l] = dZ[l]^T 1
    """
    inlined()
    fan_in, fan_out = layers[i, FAN_IN], layers[i, FAN_OUT]
    first, last = part * fan_in // parts, (part + 1) * fan_in // parts
    at_zeros, _, at_ones = constants(layers, tile)
    zeros, ones = matrix(scratch, at_zeros, ZERO, ONE), matrix(scratch, at_ones, ONE, ONE)
    across = layers[i, ACROSS]
    A = x if i == 0 else tile_matrix(across, scratch, tile * layers[i, IN], fan_in, n)
    A_T = matrix(A.data, A.start + first * A.col, A.col, A.row)
    dZ = tile_matrix(across, scratch, tile * layers[i, DZ], fan_out, n)
    right = dZ
    if i == 0 and packs_dz(layers, parts):
        right = matrix(scratch, dZ.start, PACKED, ONE)
    elif fan_out * scratch.itemsize >= FAR_BYTES and pays_to_pack(n, fan_out, scratch.itemsize):
        pack(dZ, n, fan_out, room.data, room.start)
        right = matrix(room.data, room.start, PACKED, ONE)
    dW = matrix(slot, layers[i, W] + first * fan_out, fan_out, ONE)
    db = matrix(slot, layers[i, B], ONE, ONE)
    dW_zeros = db_zeros = zeros
    # Of these two, `backward_output` has summed up all, unless the parts of W[l] are shared out:
    # then the same sums, lanes over the units of layer L - 1, give the same bits.
    one_unit, below = has_one_pass(layers), layers.shape[0] - 1 - i
    if one_unit and below == 0:
        dW, dW_zeros = matrix(slot, dW.start, ONE, ZERO), matrix(scratch, at_zeros, ONE, ZERO)
    elif one_unit and below == 1:
        db, db_zeros = matrix(slot, db.start, ONE, ZERO), matrix(scratch, at_zeros, ONE, ZERO)
    if across and part == parts - 1:  # db[l] is the gradient of a unit that is 1
        last += 1
    if across and n == 1:  # lanes over the units of the only example
        A_T, right = matrix(A_T.data, A_T.start, ONE, ZERO), matrix(dZ.data, dZ.start, ZERO, ONE)
    if parts > 1 or not (one_unit and below == 0):
        matmul_add(dW, dW_zeros if fresh else dW, A_T, right, last - first, fan_out, n)
    if part == 0 and not across and (parts > 1 or not (one_unit and below == 1)):
        dZ_T = matrix(dZ.data, dZ.start, dZ.col, dZ.row)
        matmul_add(db, db_zeros if fresh else db, dZ_T, ones, fan_out, ONE, n)


# One tile ------------------------------------------------------------------------------------


@jit(internal=True)
def forward_tile(model, ready, x, scratch, tile, n):
    """Take a tile to Z[L] of its output layer, leaving A[1] ... A[L-1] in scratch.

    Parameters
    ----------
    model : Model
        The network.
    ready : Ready
        Its weights from `ready_weights`.
    x : Matrix
        The tile's inputs, from `fastshallow.kernels.layout.input_rows`.
    scratch : ndarray, 1-D
        Laid out as in `fastshallow.kernels.layout`; modified in place.
    tile, n : int
        Length of a tile, and examples in this one, `padded`.
    """
    inlined()
    _, layers, slope = model
    last = layers.shape[0] - 1
    for i in range(last + 1):
        forward_layer(model, ready, i, x, scratch, tile, n)
        if i < last:
            size = n * layers[i, FAN_OUT]
            activate(layers[i, G], slope, scratch, tile * layers[i, OUT], size, 1)


@jit(internal=True)
def activate_output(layers, slope, scratch, tile, n):
    """Take a tile's Z[L] to A[L], and return where that begins, as rows of examples."""
    top = layers.shape[0] - 1
    n_y, at = layers[top, FAN_OUT], tile * layers[top, OUT]
    if layers[top, ACROSS] and n_y > 1:
        Z, at = tile_matrix(ONE, scratch, at, n_y, n), tile * layers[top, DZ]
        load_rows(Z, ZERO, n, n_y, scratch, at, n_y, ONE)
    activate(layers[top, G], slope, scratch, at, n, n_y)
    return at


@out_of_line(
    lambda model, ready, examples, *_: (model[0].dtype, examples[0][0].dtype),
    lambda dtype, x_dtype: (
        model_type(dtype),
        ready_type(dtype),
        examples_type(dtype, x_dtype),
        *[INT] * 4,
        *[vector(dtype)] * 2,
        INT,
    ),
    internal=True,
)
def tile_step(model, ready, examples, first, last, known, backward, scratch, slot, fresh):
    """Take examples first ... last - 1 through forward, loss and, if asked, backward to dZ[1].

    Parameters
    ----------
    model : Model
        The network.
    ready : Ready
        Its weights from `ready_weights`.
    examples : Examples
        All examples.
    first, last : int
        The tile: `tile_length` examples at most.
    known : int
        `NEW`, `USABLE` or `HELD`: the last of the only tile of a block that has a scratch of its
        own. (Of a step of 30-64-1, looking for values that are not finite takes a hundredth.)
    backward : int
        Whether dZ[1] ... dZ[L-1] are wanted; dZ[L] always comes with the loss.
    scratch : ndarray, 1-D, of the dtype of the parameters
        `scratch_size` long at least, its constants set by `prepare_scratch`; nothing else in it
        matters. Modified in place.
    slot, fresh : ndarray, 1-D, and int
        As for `tile_gradient`, which does the rest: only `backward_output` needs them here. The
        same slot where that has one part; empty where it sums up all, in parts.

    Returns
    -------
    loss : float
        Sum of w L over the tile.
    status : int
        0, or bits that say that X holds a value that is not finite (1), or Y one that the loss
        is not made for (2).
    """
    layers = model.layers
    X, Y, labels, weight = examples
    n, top, status = last - first, layers.shape[0] - 1, OK
    n_y, output = layers[top, FAN_OUT], layers[top, G]
    tile = tile_length(layers, scratch.itemsize)
    y, z, dz = tile * layers[top, Y_AT], tile * layers[top, OUT], tile * layers[top, DZ]
    length = padded(layers, n)
    row, col = layout(layers[top, ACROSS], n_y, length)
    if known != HELD:
        load_input(layers, X, first, n, tile, scratch)
    before = flush_subnormals()  # X as it is, whatever its dtype
    x = input_rows(layers, X, first, n, scratch)
    forward_tile(model, ready, x, scratch, tile, length)
    # after forward, which brought them in
    if known == NEW and not rows_finite(x, n, layers[0, FAN_IN]):
        status |= BAD_X
    if known != HELD:
        y_row, y_col = (ONE, length) if output == SOFTMAX else (row, col)
        if not load_targets(output, labels, Y, first, n, n_y, scratch, y, y_row, y_col):
            status |= BAD_Y
    _, room, _ = constants(layers, tile)
    loss = output_step(output, scratch, z, y, dz, room, n, n_y, row, col, weight, first)
    if backward:
        one_unit = has_one_pass(layers)
        if one_unit:
            backward_output(model, scratch, tile, length, slot, fresh)
        for i in range(top - one_unit, 0, -1):
            backward_layer(model, ready, i, scratch, tile, length)
    restore_subnormals(before)
    return loss, status


@out_of_line(
    lambda layers, X, first, last, scratch, *_: (scratch.dtype, X[0].dtype),
    lambda dtype, x_dtype: (
        table_type(),
        matrix_type(vector(x_dtype)),
        INT,
        INT,
        vector(dtype),
        vector(dtype),
        INT,
        vector(dtype),
        INT,
        INT,
        INT,
    ),
    internal=True,
)
def tile_gradient(layers, X, first, last, scratch, room, at_room, slot, fresh, part, parts):
    """Add dW and db of a tile that `tile_step` went through to the slot.

    Parameters
    ----------
    layers : ndarray
        `Network.layers`.
    X : Matrix
        Inputs of all examples.
    first, last : int
        The tile.
    scratch : ndarray, 1-D
        As `tile_step` left it; not modified.
    room, at_room : ndarray, 1-D, and int
        Where a dZ may be packed: a tile of the widest layer, from ``at_room`` on. Modified in
        place.
    slot : ndarray, 1-D
        Modified in place: the gradient's sums, in the order of ``params``.
    fresh : int
        Whether the sums start here: the slot is overwritten, not added to.
    part, parts : int
        Which of so many equal parts of every W[l] to do; 0, 1 for all.
    """
    before = flush_subnormals()
    n, tile = last - first, tile_length(layers, scratch.itemsize)
    x = input_rows(layers, X, first, n, scratch)
    packed, length = matrix(room, at_room, ZERO, ONE), padded(layers, n)
    for i in range(layers.shape[0] - 1, -1, -1):
        layer_gradient(layers, i, x, scratch, tile, length, packed, slot, fresh, part, parts)
    restore_subnormals(before)
