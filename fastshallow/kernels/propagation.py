"""Forward and backward propagation of one tile of examples.

For every layer l = 1 ... L, with A[0] = X and examples as rows (the notes' equations seen
transposed: the same memory)::

    forward                                 backward
    Z[l] = A[l-1] W[l] + b[l]               dA[l-1] = dZ[l] W[l]^T
    A[l] = g[l](Z[l])                       dZ[l-1] = dA[l-1] * g[l-1]'(Z[l-1])
                                            dW[l]   = A[l-1]^T dZ[l]
                                            db[l]   = dZ[l]^T 1

Every product is `fastshallow.simd.matmul.matmul_add`, except in `backward_output`.
`fastshallow.kernels.layout` says how the operands lie in memory. `fastshallow.kernels.blocks` goes
through all examples.

Numbers too small to be normal, below 1.2e-38 in float32, become 0 in a gradient and in the steps
of SGD, Adam and AdamW. Processors compute with them slowly, and softmax makes many.
"""

from __future__ import annotations

import numpy as np

from ..jit.compile import ONE, ZERO, jit
from ..jit.linking import INT, out_of_line, vector
from ..simd.intrinsics import inlined
from ..simd.matmul import (
    FEW,
    PACKED,
    matmul_add,
    matmul_add_in_order,
    matrix,
    pack,
    pays_to_pack,
)
from ..simd.processor import flush_subnormals, restore_subnormals
from .activations import SOFTMAX, activate, multiply_dg, softmax_by_units
from .few_outputs import has_one_pass, output_pass
from .layout import (
    DZ,
    FAN_IN,
    FAN_OUT,
    FEW_OUTPUTS,
    IN,
    LANES_OVER_EXAMPLES,
    OUT,
    Y_AT,
    B,
    G,
    W,
    input_rows,
    layer_matrix,
    layout,
    load_input,
    load_rows,
    new_tile,
    rows_finite,
    tile_length,
)
from .losses import output_step
from .model import (
    copies_type,
    examples_type,
    matrix_type,
    model_type,
    packs,
    table_type,
    transposes,
)
from .targets import load_targets

__all__ = ["HELD", "NEW", "USABLE", "forward_tile", "tile_gradient", "tile_step"]

# What a tile found in the data: bits of a status.
OK, BAD_X, BAD_Y = 0, 1, 2

# What a kernel that users call returns of sizes that do not fit, where it does not raise.
REFUSED = 4

# What is known of the examples of a tile. NEW: nothing; X and Y are copied and tested. USABLE: an
# earlier step has tested them; they are copied. HELD: scratch has the copies of that step. NEW is
# 0, as the trainer begins with a `Part` of zeros.
NEW, USABLE, HELD = np.int64(0), np.int64(1), np.int64(2)

# dZ[l] is read by one product only, that for dW[l]. It is packed if its rows lie as far apart.
FAR_BYTES = 4096

# One layer -----------------------------------------------------------------------------------


@jit(internal=True)
def zero_rows(layers, i, tile):
    """Return zeros as the D of a product that writes layer i + 1."""
    row, col = (ONE, ZERO) if layers[i, LANES_OVER_EXAMPLES] else (ZERO, ONE)
    return matrix(tile.data, tile.zeros, row, col)


@jit(internal=True)
def forward_layer(model, copies, i, x, tile):
    """Z[l] = A[l-1] W[l] + b[l] of a tile, for layer i = l - 1, in the place of A[l]."""
    inlined()
    params, layers, _ = model
    fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
    across = layers[i, LANES_OVER_EXAMPLES]
    Z = layer_matrix(layers, i, OUT, tile)
    A = x if i == 0 else layer_matrix(layers, i, IN, tile)
    if i > 0 and across != layers[i - 1, LANES_OVER_EXAMPLES]:
        load_rows(layer_matrix(layers, i - 1, OUT, tile), ZERO, tile.n, fan_in, A)
    b = matrix(params, layers[i, B], ZERO, ONE)
    W_l = matrix(params, w, fan_out, ONE)
    if across:  # the last unit of A is 1, and b[l] follows W[l]: one product
        zeros = zero_rows(layers, i, tile)
        if tile.n == 1 and fan_out > 1:  # lanes over the units of the only example: the same bits
            Z = matrix(Z.data, Z.start, fan_out, ONE)
            A = matrix(A.data, A.start, fan_in + 1, ONE)
            zeros = matrix(zeros.data, zeros.start, ZERO, ONE)
        matmul_add(Z, zeros, A, W_l, tile.n, fan_out, fan_in + 1)
        return
    if fan_out == 1:
        W_l = matrix(params, w, ONE, fan_in)
    elif transposes(layers, i):
        W_l = matrix(copies.W_T, w, ONE, fan_in)
    elif copies.W.size > 0 and packs(layers, i, tile.data.itemsize):
        W_l = matrix(copies.W, w, PACKED, ONE)
    matmul_add(Z, b, A, W_l, tile.n, fan_out, fan_in)


@jit(internal=True)
def backward_layer(model, copies, i, tile):
    """Differentiate `forward_layer` by A[l-1], and that by Z[l-1]: from dZ[l] to dZ[l-1].

    dA[l-1] = dZ[l] W[l]^T, dZ[l-1] = dA[l-1] * g[l-1]'(Z[l-1])
    """
    inlined()
    params, layers, slope = model
    fan_in, fan_out, w = layers[i, FAN_IN], layers[i, FAN_OUT], layers[i, W]
    dA = layer_matrix(layers, i - 1, DZ, tile)
    dZ = layer_matrix(layers, i, DZ, tile)
    W_T = matrix(copies.W_T, w, fan_in, ONE)
    if layers[i - 1, LANES_OVER_EXAMPLES] or fan_in <= FEW:
        W_T = matrix(params, w, ONE, fan_out)
    elif pays_to_pack(fan_out, fan_in, tile.data.itemsize):
        W_T = matrix(copies.W_T, w, PACKED, ONE)
    matmul_add(dA, zero_rows(layers, i - 1, tile), dZ, W_T, tile.n, fan_in, fan_out)
    a = tile.longest * layers[i - 1, OUT]
    multiply_dg(layers[i - 1, G], slope, tile.data, dA.start, tile.data, a, tile.n * fan_in)


@jit(internal=True)
def packs_dz(layers, shares):
    """Return whether `backward_output` writes dZ[1] packed.

    It does for two layers and one share: then the product for dW[1] alone reads dZ[1].
    """
    alone = layers.shape[0] == 2 and shares == 1
    return alone and has_one_pass(layers) and layers[0, FAN_OUT] > FEW


@jit(internal=True)
def backward_output(model, copies, tile, slot, fresh):
    """Do what `backward_layer` does for an output layer of a few units, and add dW[L] and db[L-1].

    With an empty slot the two sums go to free memory, where nobody reads them.
    """
    params, layers, slope = model
    top = layers.shape[0] - 1
    width, outputs, below = layers[top, FAN_IN], layers[top, FAN_OUT], top - 1
    sums, w, b = slot, layers[top, W], layers[below, B]
    dZ = layer_matrix(layers, below, DZ, tile)
    if slot.size == 0:
        sums, w, b = tile.data, tile.free, tile.free + outputs * width
    elif packs_dz(layers, ONE):
        dZ = matrix(tile.data, dZ.start, PACKED, ONE)
    A, dZ_L = layer_matrix(layers, below, OUT, tile), layer_matrix(layers, top, DZ, tile)
    W_L, dW = matrix(params, layers[top, W], ONE, ONE), matrix(sums, w, ONE, ONE)
    if outputs > 1:
        W_L = matrix(copies.W_T, layers[top, W], ONE, ONE)
        dW = matrix(tile.data, tile.free, ONE, ONE)
    db = matrix(sums, b, ONE, ONE)
    code, n = layers[below, G], tile.n
    output_pass(code, slope, A, dZ_L, W_L, dZ, dW, db, n, width, outputs, fresh)
    if outputs > 1 and slot.size > 0:
        add_by_outputs(layers, tile.data, tile.free, ZERO, width, slot, fresh)


@jit(internal=True)
def add_by_outputs(layers, sums, start, first, rows, slot, fresh):
    """Add to rows of dW[L] in the slot, from ``first`` on, sums that lie output by output."""
    outputs = layers[-1, FAN_OUT]
    to = layers[-1, W] + first * outputs
    for j in range(rows):
        for c in range(outputs):
            before = slot[to + j * outputs + c]
            total = sums[start + c * rows + j]
            slot[to + j * outputs + c] = total if fresh else before + total


@jit(internal=True)
def layer_gradient(layers, i, x, tile, free, slot, fresh, share, shares):
    """Add one share of the rows of a tile's dW[l] to the slot, and db[l] with share 0.

    dW[l] = A[l-1]^T dZ[l], db[l] = dZ[l]^T 1
    """
    inlined()
    A = x if i == 0 else layer_matrix(layers, i, IN, tile)
    dZ = layer_matrix(layers, i, DZ, tile)
    # A few output units, one share: `backward_output` has summed dW[L] and db[L-1] already.
    # Several shares: they are summed here, in the same order, which gives the same bits.
    top, one_pass = layers.shape[0] - 1, has_one_pass(layers)
    of_pass, db_as_column = one_pass and i == top, one_pass and i == top - 1
    several = layers[i, FAN_OUT] > 1
    if of_pass and several and shares > 1:
        output_gradient(layers, dZ, tile, free, slot, fresh, share, shares)
    elif shares > 1 or not of_pass:
        right = gradient_operand(layers, i, dZ, tile, free, shares)
        weight_gradient(layers, i, A, right, tile, slot, fresh, share, shares, of_pass)
    has_bias = share == 0 and (of_pass or not layers[i, LANES_OVER_EXAMPLES])
    if has_bias and (shares > 1 or not db_as_column):
        bias_gradient(layers, i, dZ, tile, slot, fresh, db_as_column)


@jit(internal=True)
def output_gradient(layers, dZ, tile, free, slot, fresh, share, shares):
    """Add one share of dW[L] of a few outputs: the sums of `backward_output`."""
    top, width = layers.shape[0] - 1, layers[-1, FAN_IN]
    first, last = share * width // shares, (share + 1) * width // shares
    rows, outputs = last - first, layers[top, FAN_OUT]
    A = layer_matrix(layers, top - 1, OUT, tile)
    A, zeros = matrix(A.data, A.start + first, width, ONE), matrix(tile.data, tile.zeros, ZERO, ONE)
    sums = matrix(free.data, free.start, rows, ONE)
    dZ_T = matrix(dZ.data, dZ.start, dZ.col, dZ.row)
    matmul_add_in_order(sums, zeros, dZ_T, A, outputs, rows, tile.n)
    add_by_outputs(layers, free.data, free.start, first, rows, slot, fresh)


@jit(internal=True)
def gradient_operand(layers, i, dZ, tile, free, shares):
    """Return dZ[l] as the product for dW[l] reads it: as it lies, or packed."""
    inlined()
    fan_out, itemsize = layers[i, FAN_OUT], tile.data.itemsize
    if i == 0 and packs_dz(layers, shares):
        return matrix(tile.data, dZ.start, PACKED, ONE)
    if fan_out * itemsize >= FAR_BYTES and pays_to_pack(tile.n, fan_out, itemsize):
        pack(dZ, tile.n, fan_out, free.data, free.start)
        return matrix(free.data, free.start, PACKED, ONE)
    return dZ


@jit(internal=True)
def weight_gradient(layers, i, A, dZ, tile, slot, fresh, share, shares, as_column):
    """Add A[l-1]^T dZ[l] for one share of the rows of dW[l].

    Where lanes run over examples, db[l] is the last row: the gradient of a unit that is 1.
    """
    inlined()
    fan_in, fan_out = layers[i, FAN_IN], layers[i, FAN_OUT]
    first, last = share * fan_in // shares, (share + 1) * fan_in // shares
    A_T = matrix(A.data, A.start + first * A.col, A.col, A.row)
    if layers[i, LANES_OVER_EXAMPLES]:
        last += share == shares - 1
        if tile.n == 1:  # lanes over the units of the only example
            A_T, dZ = matrix(A_T.data, A_T.start, ONE, ZERO), matrix(dZ.data, dZ.start, ZERO, ONE)
    dW = matrix(slot, layers[i, W] + first * fan_out, fan_out, ONE)
    start_from = matrix(tile.data, tile.zeros, ZERO, ONE)
    if as_column:
        dW = matrix(slot, dW.start, ONE, ZERO)
        start_from = matrix(tile.data, tile.zeros, ONE, ZERO)
    matmul_add(dW, start_from if fresh else dW, A_T, dZ, last - first, fan_out, tile.n)


@jit(internal=True)
def bias_gradient(layers, i, dZ, tile, slot, fresh, as_column):
    """Add dZ[l]^T 1 to db[l]."""
    inlined()
    dZ_T, ones = matrix(dZ.data, dZ.start, dZ.col, dZ.row), matrix(tile.data, tile.ones, ONE, ONE)
    # The strides of db choose the order of its sums: see `matmul_add`. As a column it is one chain
    # over the examples, as in `output_pass`.
    row, col = (ONE, ZERO) if as_column else (ONE, ONE)
    db = matrix(slot, layers[i, B], row, col)
    row, col = (ONE, ZERO) if as_column else (ZERO, ONE)
    start_from = matrix(tile.data, tile.zeros, row, col)
    matmul_add(db, start_from if fresh else db, dZ_T, ones, layers[i, FAN_OUT], ONE, tile.n)


# One tile ------------------------------------------------------------------------------------


@jit(internal=True)
def forward_tile(model, copies, x, tile):
    """Take a tile to Z[L] of its output layer, leaving A[1] ... A[L-1] in scratch.

    Parameters
    ----------
    model : Model
        The network.
    copies : WeightCopies
        Of its weights.
    x : Matrix
        The tile's inputs, from `fastshallow.kernels.layout.input_rows`.
    tile : Tile
        Its scratch is modified in place.
    """
    inlined()
    _, layers, slope = model
    last = layers.shape[0] - 1
    for i in range(last + 1):
        forward_layer(model, copies, i, x, tile)
        if i < last:
            start, size = tile.longest * layers[i, OUT], tile.n * layers[i, FAN_OUT]
            activate(layers[i, G], slope, tile.data, start, size, 1)


@jit(internal=True)
def activate_output(layers, slope, tile):
    """Take a tile's Z[L] to A[L]; return A[L], example by example.

    A few units of softmax lie unit by unit meanwhile, so that lanes run over examples.
    """
    top = layers.shape[0] - 1
    n_y, g, Z = layers[top, FAN_OUT], layers[top, G], layer_matrix(layers, top, OUT, tile)
    other = tile.longest * layers[top, DZ]
    by_rows = matrix(tile.data, Z.start, n_y, ONE)
    across = layers[top, LANES_OVER_EXAMPLES] and n_y > 1
    if g == SOFTMAX and (across or 1 < n_y <= FEW_OUTPUTS):
        by_units = Z
        if not across:
            by_units = matrix(tile.data, other, ONE, tile.n)
            load_rows(Z, ZERO, tile.n, n_y, by_units)
        at_targets = tile.longest * layers[top, Y_AT]
        softmax_by_units(tile.data, by_units.start, tile.n, n_y, at_targets)
        if not across:
            load_rows(by_units, ZERO, tile.n, n_y, by_rows)
    else:
        activate(g, slope, tile.data, Z.start, tile.n, n_y)
    if across:
        by_rows = matrix(tile.data, other, n_y, ONE)
        load_rows(Z, ZERO, tile.n, n_y, by_rows)
    return by_rows


def _step_types(dtype, x_dtype):
    examples, values = examples_type(dtype, x_dtype), vector(dtype)
    return model_type(dtype), copies_type(dtype), examples, *[INT] * 4, values, values, INT


@out_of_line(
    lambda model, copies, examples, *_: (model[0].dtype, examples[0][0].dtype),
    _step_types,
    internal=True,
)
def tile_step(model, copies, examples, first, last, known, backward, scratch, slot, fresh):
    """Take examples first ... last - 1 through forward, loss and, if asked, backward to dZ[1].

    Parameters
    ----------
    model : Model
        The network.
    copies : WeightCopies
        Of its weights.
    examples : Examples
        All examples.
    first, last : int
        The tile: `tile_length` examples at most.
    known : int
        `NEW`, `USABLE` or `HELD`: the last only for the one tile of a block with its own scratch.
    backward : int
        Whether dZ[1] ... dZ[L-1] are wanted; dZ[L] always comes with the loss.
    scratch : ndarray, 1-D, of the dtype of the parameters
        `scratch_size` long at least, its constants set by `prepare_scratch`; nothing else in it
        matters. Modified in place.
    slot : ndarray, 1-D
        The slot of the tile's block, if `tile_gradient` will compute dW in one share; empty if it
        has several, or no gradient is wanted. Only `backward_output` uses it.
    fresh : int
        As for `tile_gradient`.

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
    tile = new_tile(layers, scratch, tile_length(layers, scratch.itemsize), n)
    y, z = tile.longest * layers[top, Y_AT], tile.longest * layers[top, OUT]
    dz = tile.longest * layers[top, DZ]
    row, col = layout(layers[top, LANES_OVER_EXAMPLES], n_y, tile.n)
    if known != HELD:
        load_input(layers, X, first, n, tile)
    control = flush_subnormals()  # only now: copying X must not turn its subnormal numbers into 0
    x = input_rows(layers, X, first, tile)
    forward_tile(model, copies, x, tile)
    # after forward, which has brought the rows into the cache
    if known == NEW and not rows_finite(x, n, layers[0, FAN_IN]):
        status |= BAD_X
    if known != HELD:
        y_row, y_col = (ONE, tile.n) if output == SOFTMAX else (row, col)
        if not load_targets(output, labels, Y, first, n, n_y, matrix(scratch, y, y_row, y_col)):
            status |= BAD_Y
    loss = output_step(output, scratch, z, y, dz, tile.free, n, n_y, row, col, weight, first)
    if backward:
        one_pass = has_one_pass(layers)
        if one_pass:
            backward_output(model, copies, tile, slot, fresh)
        for i in range(top - one_pass, 0, -1):
            backward_layer(model, copies, i, tile)
    restore_subnormals(control)
    return loss, status


def _gradient_types(dtype, x_dtype):
    X, values, free = matrix_type(vector(x_dtype)), vector(dtype), matrix_type(vector(dtype))
    return table_type(), X, INT, INT, values, free, values, INT, INT, INT


@out_of_line(
    lambda layers, X, first, last, scratch, *_: (scratch.dtype, X[0].dtype),
    _gradient_types,
    internal=True,
)
def tile_gradient(layers, X, first, last, scratch, free, slot, fresh, share, shares):
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
    free : Matrix
        Memory for a packed dZ[l], as large as a tile of the widest layer. Modified in place.
    slot : ndarray, 1-D
        Modified in place: the gradient's sums, in the order of ``params``.
    fresh : int
        Whether the sums start here: the slot is overwritten, not added to.
    share, shares : int
        Which of so many equal shares of the rows of every dW[l] to compute; 0, 1 for all.
    """
    control = flush_subnormals()
    tile = new_tile(layers, scratch, tile_length(layers, scratch.itemsize), last - first)
    x = input_rows(layers, X, first, tile)
    for i in range(layers.shape[0] - 1, -1, -1):
        layer_gradient(layers, i, x, tile, free, slot, fresh, share, shares)
    restore_subnormals(control)
