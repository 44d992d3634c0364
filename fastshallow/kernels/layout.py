"""Layout: how a network and a tile of examples lie in flat arrays.

A network is `Network.params`, `Network.layers` and `Network.leaky_slope`:

params
    for each layer the weights, (n_{l-1}, n_l) in C order, then b[l]. In the kernels W[l] is this
    array. The W[l] of the notes is its transpose.
layers
    int64, one row a layer, with these columns:

===================  =========================================================
column               meaning
===================  =========================================================
FAN_IN               n_{l-1}, units of the layer before
FAN_OUT              n_l, units of the layer
W, B                 where W[l] and b[l] begin in ``params``
G                    code of the activation
IN, OUT              where A[l-1] and A[l] begin in a scratch of one example
DZ                   where dZ[l] begins, likewise
Y_AT                 where the targets begin, likewise; the same in every row
WIDEST               units of the widest layer or X; the same in every row
LANES_OVER_EXAMPLES  1 where vector lanes run over examples, 0 where over units
===================  =========================================================

A `Tile` is a few examples in the scratch of one thread, a flat array: X, A[1] ... A[L],
dZ[1] ... dZ[L], Y, zeros, free memory, ones. An offset of the table is multiplied by the length of
the longest tile.

The lanes of vectors run over units or over examples, by layer. Over units: a layer lies example by
example. Over examples: it lies unit by unit. Lanes run over examples in all layers of a small
network, or in the output layer alone, which then has a copy of A[L-1] that lies unit by unit. In
such a layer one more unit follows A[l-1]. It is 1 for every example, so that one product gives
A[l-1] W[l] + b[l], and one gives dW[l] and db[l]. Products take matrices with strides, so that the
equations are the same for both.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from ..jit.compile import ONE, ZERO, jit
from ..simd.intrinsics import address, all_finite, view_as
from ..simd.matmul import FEW, matrix
from ..simd.transpose import transpose
from ..simd.vectors import LINE_BYTES

__all__ = ["describe", "load_rows", "scratch_size", "tile_length"]

FAN_IN, FAN_OUT, W, B, G, IN, OUT, DZ, Y_AT, WIDEST, LANES_OVER_EXAMPLES = range(11)
COLUMNS = 11

# Largest scratch of a tile in bytes, a part of the smallest L2 cache in use. Least and largest
# number of its examples, and the step between. Above LARGE_BYTES of parameters the least is
# doubled: no L2 cache holds the gradient, which is read and written once a tile.
TILE_BYTES, LARGE_BYTES = 216_000, 1 << 20
TILE_LEAST, TILE_MOST, TILE_STEP = 64, 512, 16

# Up to EVEN_MOST longest tiles, tiles are made shorter, so that all blocks have equally many.
EVEN_MOST, EVEN_STEP = 32, 16

# Above so many features and units, X is copied if its features lie far apart.
COPY_FEATURES, COPY_UNITS = 64, 256

# Bounds of `lanes_over_examples`.
SMALL_WIDEST, SMALL_WEIGHTS, FULL_LANES, FEW_OUTPUTS, SMALL_HIDDEN = 64, 1_500, 16, 12, 32


def describe(sizes, codes) -> np.ndarray:
    """Return the ``layers`` table of a network.

    Parameters
    ----------
    sizes : sequence of int
        n_x, n_1, ..., n_y.
    codes : sequence of int
        Code of the activation of each layer, the output layer's last.
    """
    fan_in, fan_out = np.array(sizes[:-1]), np.array(sizes[1:])
    layers = np.empty((len(codes), COLUMNS), np.int64)
    layers[:, FAN_IN], layers[:, FAN_OUT], layers[:, G] = fan_in, fan_out, codes
    ends = np.cumsum((fan_in + 1) * fan_out)
    layers[:, B] = ends - fan_out
    layers[:, W] = layers[:, B] - fan_in * fan_out
    across = layers[:, LANES_OVER_EXAMPLES] = lanes_over_examples(sizes)
    at = 0
    for i in range(len(codes)):
        layers[i, IN] = layers[i - 1, OUT]  # replaced below for i = 0
        if i == 0 or across[i] != across[i - 1]:  # X, or another copy of A[l-1]
            layers[i, IN], at = at, at + fan_in[i] + across[i]
        layers[i, OUT], at = at, at + fan_out[i] + (across[i] if i < len(codes) - 1 else 0)
    layers[:, DZ] = at + np.cumsum(fan_out) - fan_out
    layers[:, Y_AT] = at + fan_out.sum()
    layers[:, WIDEST] = max(sizes)
    return layers


def lanes_over_examples(sizes) -> np.ndarray:
    """Choose the vectorised axis of each layer: 1 for examples, 0 for units.

    Lanes run over examples in all layers of a small network, unless its hidden layers fill whole
    vectors. In larger networks they do in an output layer of a few units.
    """
    hidden, n_y = sizes[1:-1], sizes[-1]
    weights = sum(into * out for into, out in itertools.pairwise(sizes))
    full = len(hidden) > 0 and all(n % FULL_LANES == 0 for n in hidden)
    across = np.zeros(len(sizes) - 1, np.int64)
    if max(sizes) <= SMALL_WIDEST and weights <= SMALL_WEIGHTS and not full:
        across[:] = 1
    elif len(hidden) > 0 and 1 < n_y <= FEW_OUTPUTS:
        # 2 or 3 outputs of a wider layer are summed with lanes over its units: that rounds less
        across[-1] = n_y > FEW or hidden[-1] <= SMALL_HIDDEN
    return across


@jit
def n_params(layers):
    """Return the length of the parameter vector."""
    return layers[-1, B] + layers[-1, FAN_OUT]


@jit
def tile_length(layers, itemsize):
    """Return how many examples the longest tile has: a function of the sizes alone."""
    fits = TILE_BYTES // ((layers[0, Y_AT] + layers[-1, FAN_OUT]) * itemsize)
    least = 2 * TILE_LEAST if n_params(layers) * itemsize > LARGE_BYTES else TILE_LEAST
    return max(least, min(TILE_MOST, fits // TILE_STEP * TILE_STEP))


@jit
def even_tile(m, blocks, longest):
    """Return the length of tiles, at most ``longest``.

    Up to `EVEN_MOST` tiles it is such that all blocks have equally many.
    """
    if m > EVEN_MOST * longest:
        return longest
    tiles = (m + blocks * longest - 1) // (blocks * longest) * blocks
    return min(longest, ((m + tiles - 1) // tiles + EVEN_STEP - 1) // EVEN_STEP * EVEN_STEP)


@jit(internal=True)
def layout(across, width, n):
    """Return the strides of examples and units of a layer, in a tile of n examples."""
    return (ONE, n) if across else (width, ONE)


@jit(internal=True)
def padded(layers, n):
    """Return how many examples are computed for a tile of n.

    Where lanes run over the examples of all layers, whole cache lines are computed, so that every
    unit begins on one. `load_input` repeats the last example, and
    `fastshallow.kernels.losses.output_step` makes dZ[L] of the copies 0: they add nothing to a sum.
    """
    pays = layers[0, LANES_OVER_EXAMPLES] and n > TILE_LEAST
    return (n + TILE_STEP - 1) // TILE_STEP * TILE_STEP if pays else n


@jit(internal=True)
def unit_length(n, row, col):
    """Return how many values a unit of n examples has, padding included."""
    return max(n, col) if row == 1 else n


@jit(internal=True)
def zero_padding(values, start, n, n_y, row, col):
    """Write zeros behind the n values of every unit, up to the next unit."""
    length = unit_length(n, row, col)
    if length > n:
        for j in range(n_y):
            for i in range(np.uint64(start + j * col + n), np.uint64(start + j * col + length)):
                values[i] = 0


@jit(internal=True, allocates=True)
def aligned_empty(n, like):
    """Return n values of the dtype of ``like``, not set, that begin on a cache line.

    A vector that lies in two lines takes two loads.
    """
    line = LINE_BYTES // like.itemsize
    buffer = np.empty(n + line, like.dtype)
    skip = -address(buffer, 0) // like.itemsize % line
    return buffer[skip : skip + n]


def aligned_zeros(n, dtype) -> np.ndarray:
    """Return n zeros that begin on a cache line."""
    buffer = np.zeros(n + LINE_BYTES // dtype.itemsize, dtype)
    skip = -buffer.ctypes.data % LINE_BYTES // dtype.itemsize
    return buffer[skip : skip + n]


@jit(internal=True)
def scratch_parts(layers, longest):
    """Return where in scratch the zeros, the free memory and the ones begin."""
    zeros = longest * (layers[0, Y_AT] + layers[-1, FAN_OUT])
    free = zeros + max(longest, (layers[0, WIDEST] + 15) // 16 * 16)
    return zeros, free, free + longest * max(layers[0, WIDEST], 3)  # 3: see `losses.output_step`


@jit
def scratch_size(layers, itemsize):
    """Return the length of one thread's scratch."""
    longest = tile_length(layers, itemsize)
    _, _, ones = scratch_parts(layers, longest)
    return ones + longest


class Tile(NamedTuple):
    """Some examples in one thread's scratch.

    data : ndarray, 1-D
        The scratch.
    longest : int
        Examples of the longest tile, by which layers are placed.
    n : int
        Examples of this tile, `padded`.
    zeros, free, ones : int
        Where `scratch_parts` begin.
    """

    data: Any
    longest: int
    n: int
    zeros: int
    free: int
    ones: int


@jit(internal=True)
def new_tile(layers, scratch, longest, n):
    """Return the `Tile` of n examples in scratch."""
    zeros, free, ones = scratch_parts(layers, longest)
    return Tile(scratch, longest, padded(layers, n), zeros, free, ones)


@jit(internal=True)
def layer_matrix(layers, i, column, tile):
    """Return a tile's A[l-1], A[l] or dZ[l] for layer i = l - 1: column `IN`, `OUT` or `DZ`."""
    width = layers[i, FAN_IN] if column == IN else layers[i, FAN_OUT]
    row, col = layout(layers[i, LANES_OVER_EXAMPLES], width, tile.n)
    return matrix(tile.data, tile.longest * layers[i, column], row, col)


@jit(internal=True)
def prepare_scratch(layers, scratch):
    """Write the zeros and the ones."""
    longest = tile_length(layers, scratch.itemsize)
    zeros, free, ones = scratch_parts(layers, longest)
    for p in range(np.uint64(zeros), np.uint64(free)):
        scratch[p] = 0
    for p in range(np.uint64(ones), np.uint64(ones + longest)):
        scratch[p] = 1


@jit(internal=True)
def reads_as_it_lies(layers, X, scratch):
    """Return whether the first layer's product reads X itself, with its strides.

    It reads a copy if X has another dtype; if lanes run over examples; if the first layer has few
    units, as the order of a sum would depend on the strides; if features lie far apart and are
    read often.
    """
    if X.data.itemsize != scratch.itemsize or layers[0, LANES_OVER_EXAMPLES]:
        return False
    many = layers[0, FAN_IN] > COPY_FEATURES and layers[0, FAN_OUT] > COPY_UNITS
    return layers[0, FAN_OUT] > FEW and not (X.col != 1 and many)


@jit(internal=True)
def load_input(layers, X, first, n, tile):
    """Copy n rows of X into a tile, if they are not read as they lie, and write units of 1.

    Padding repeats the last row. Were it 0, Z would be b alone, and could overflow where no example
    does.
    """
    fan_in = layers[0, FAN_IN]
    if not reads_as_it_lies(layers, X, tile.data):
        to = layer_matrix(layers, ZERO, IN, tile)
        load_rows(X, first, n, fan_in, to)
        for j in range(fan_in):
            for i in range(n, tile.n):
                tile.data[i * to.row + j * to.col] = tile.data[(n - 1) * to.row + j * to.col]
    for i in range(layers.shape[0]):
        if layers[i, LANES_OVER_EXAMPLES]:
            start = np.uint64(tile.longest * layers[i, IN] + tile.n * layers[i, FAN_IN])
            for p in range(np.uint64(tile.n)):
                tile.data[start + p] = 1


@jit(internal=True)
def input_rows(layers, X, first, tile):
    """Return a tile's rows of X as the first layer's product takes them, after `load_input`."""
    if reads_as_it_lies(layers, X, tile.data):
        return matrix(view_as(X.data, tile.data), X.start + first * X.row, X.row, X.col)
    return layer_matrix(layers, ZERO, IN, tile)


@jit(internal=True)
def rows_finite(rows, n, width):
    """Return whether all values of n rows are finite."""
    if rows.col == 1 and rows.row == width:
        return all_finite(rows.data, rows.start, n * width)
    finite = True
    if rows.col == 1:
        for i in range(n):
            finite &= all_finite(rows.data, rows.start + i * rows.row, width)
    elif rows.row == 1:
        for j in range(width):
            finite &= all_finite(rows.data, rows.start + j * rows.col, n)
    else:
        for i in range(n):
            for j in range(width):
                x = rows.data[rows.start + i * rows.row + j * rows.col]
                finite &= x - x == 0
    return finite


@jit(internal=True)
def load_rows(source, first, n, width, to):
    """Copy n rows of a strided matrix into another one, converting their dtype.

    Parameters
    ----------
    source : Matrix
        Any strides, any floating dtype.
    first, n, width : int
        First row, rows and columns to copy.
    to : Matrix
        Modified in place. Its strides are not negative.
    """
    out, start, row, col = to
    same = source.data.itemsize == out.itemsize
    if n > 1 and width > 1 and row == 1 and source.col == 1 and same:
        values = view_as(source.data, out)
        transpose(values, source.start + first * source.row, source.row, out, start, col, n, width)
        return
    # Indices are unsigned: a test for negative ones would prevent vectorised loops.
    if source.col == 1 and col == 1 and (n == 1 or (source.row == width and row == width)):
        # by source.row: a single row may lie in a wider matrix
        s, o = np.uint64(source.start + first * source.row), np.uint64(start)
        for p in range(np.uint64(n * width)):
            out[o + p] = source.data[s + p]
    else:
        for j in range(width):
            s, o = (
                np.uint64(source.start + first * source.row + j * source.col),
                np.uint64(start + j * col),
            )
            s_step, o_step = np.uint64(np.int64(source.row)), np.uint64(row)  # -1 wraps round
            for i in range(np.uint64(n)):
                out[o + i * o_step] = source.data[s + i * s_step]
