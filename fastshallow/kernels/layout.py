"""Tiles: how a network and a few examples lie in flat arrays.

A network is three flat things, `Network.params`, `Network.layers` and `Network.leaky_slope`:

params
    for each layer W[l] transposed, (n_{l-1}, n_l) in C order, then b[l].
layers
    int64, one row a layer, with the columns below.

==========  =====================================================================
column      meaning
==========  =====================================================================
FAN_IN      n_{l-1}, units of the layer before
FAN_OUT     n_l, units of the layer
W, B        where W[l] and b[l] begin in ``params``
G           code of the activation, `fastshallow.kernels.activations.ACTIVATIONS`
IN, OUT     where A[l-1] and A[l] begin in a tile's scratch, by the tile's length
DZ          where dZ[l] begins, likewise
Y_AT        where the targets begin, likewise; the same in every row
WIDEST      units of the widest layer, n_x too; the same in every row
ACROSS      1 where lanes run over examples, 0 over units
==========  =====================================================================

A tile's scratch is one flat array, examples as rows: X, A[1] ... A[L], dZ[1] ... dZ[L], Y, then as
many zeros as the widest layer has units and the tile has examples, room for losses or a packed dZ,
and a tile of ones. (dZ[1] may be packed: `fastshallow.kernels.propagation.packs_dz`.)

Where units do not fill the lanes of a vector, a tile may hold a layer unit by unit instead, and
the lanes run over its examples: all layers of a small network, or the output layer alone, which
then has a copy of A[L-1] for itself. A unit that is 1 for every example follows those of A[l-1]:
as b[l] follows W[l], a product with it is the linear step, and its gradient is that of both. Where
all layers lie so, units are `padded` to whole cache lines. The equations do not know: they are
written for matrices with strides.
"""

from __future__ import annotations

import itertools

import numpy as np

from ..jit.compile import ONE, ZERO, jit
from ..simd.intrinsics import address, all_finite, view_as
from ..simd.matmul import FEW, matrix
from ..simd.transpose import transpose
from ..simd.vectors import LINE_BYTES

__all__ = ["describe", "load_rows", "scratch_size", "tile_length"]

FAN_IN, FAN_OUT, W, B, G, IN, OUT, DZ, Y_AT, WIDEST, ACROSS = range(11)
COLUMNS = 11

# Examples of a tile: as many as keep its scratch within these bytes, a part of the smallest
# L2 cache in use; no fewer than make a register tile worth filling. (100,000 bytes and 192
# examples: 30-100-1, m = 569, 57 us a step on one thread instead of 53; 30-64-1 no faster.)
# Twice as many where the gradient fits no L2 cache: it streams through once a tile (784-1024-10,
# m = 2,048, one core with AVX2: 100 ms a step in tiles of 64, 90 of 128, 93 of 192).
TILE_BYTES, LARGE_BYTES = 216_000, 1 << 20
TILE_LEAST, TILE_MOST, TILE_STEP = 64, 512, 16

# Tiles up to which blocks, and so threads, have as many each (30-100-1, m = 569, 2 threads: 38 us
# a step with 1 and 2, 33 us with 2 and 2), and of what their length is a multiple. More are of the
# longest length (30-64-1, m = 100,000: 128 examples, not 112).
EVEN_MOST, EVEN_STEP = 32, 16

# Features and units above which X is copied if its features lie far apart, each on a page of its
# own (784-1024-10, X feature by feature: 158 ms a step as it lies, 95 ms example by example).
COPY_FEATURES, COPY_UNITS = 64, 256

# Where lanes run over examples: see `lanes_over_examples`.
ACROSS_WIDEST, ACROSS_WEIGHTS, ACROSS_FILL, ACROSS_OUTPUTS = 64, 1_500, 16, 12


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
    layers = np.empty((len(codes), 11), np.int64)
    layers[:, FAN_IN], layers[:, FAN_OUT], layers[:, G] = fan_in, fan_out, codes
    ends = np.cumsum((fan_in + 1) * fan_out)
    layers[:, B] = ends - fan_out
    layers[:, W] = layers[:, B] - fan_in * fan_out
    across = layers[:, ACROSS] = lanes_over_examples(sizes)
    at = 0
    for i in range(len(codes)):
        layers[i, IN] = layers[i - 1, OUT]
        if i == 0 or across[i] != across[i - 1]:  # X, or another copy of A[l-1]
            layers[i, IN], at = at, at + fan_in[i] + across[i]
        layers[i, OUT], at = at, at + fan_out[i] + (across[i] if i < len(codes) - 1 else 0)
    layers[:, DZ] = at + np.cumsum(fan_out) - fan_out
    layers[:, Y_AT] = at + fan_out.sum()
    layers[:, WIDEST] = max(sizes)
    return layers


def lanes_over_examples(sizes) -> np.ndarray:
    """Return, layer by layer, whether lanes run over examples: where units would leave some idle.

    They do in all of a small network, unless its hidden layers fill whole vectors (a step over
    5,000 examples on one core with AVX2, lanes over units and over examples: 8-20-3 341 and 275 us,
    13-50-1 533 and 485, 2-8-1 over 400 9.8 and 6.5; but 4-16-1 190 and 222). Larger networks gain
    less, and lose in batches of a few examples, which leave lanes idle then (30-64-2 in batches of
    32: 11 and 15 us a batch). Else they do in an output layer of a few units (30-64-10 over 10,000:
    3.1 ms, so 2.8 ms; 4-16-3 257 and 226 us; but 30-64-16 over 200 82 and 97).
    """
    hidden, n_y = sizes[1:-1], sizes[-1]
    weights = sum(into * out for into, out in itertools.pairwise(sizes))
    full = len(hidden) > 0 and all(n % ACROSS_FILL == 0 for n in hidden)
    across = np.zeros(len(sizes) - 1, np.int64)
    if max(sizes) <= ACROSS_WIDEST and weights <= ACROSS_WEIGHTS and not full:
        across[:] = 1
    elif len(hidden) > 0 and 1 < n_y <= ACROSS_OUTPUTS:
        # 2 or 3 outputs of a wide layer are summed with lanes over its units: that rounds less
        across[-1] = n_y > FEW or hidden[-1] <= ACROSS_WIDEST
    return across


@jit
def n_params(layers):
    """Return the length of the parameter vector."""
    return layers[-1, B] + layers[-1, FAN_OUT]


@jit
def tile_length(layers, itemsize):
    """Return how many examples a tile has: a function of the sizes alone."""
    fits = TILE_BYTES // ((layers[0, Y_AT] + layers[-1, FAN_OUT]) * itemsize)
    least = 2 * TILE_LEAST if n_params(layers) * itemsize > LARGE_BYTES else TILE_LEAST
    return max(least, min(TILE_MOST, fits // TILE_STEP * TILE_STEP))


@jit
def even_tile(m, blocks, tile):
    """Return the length of tiles: ``tile``, or less, so that few are as many in each block."""
    if m > EVEN_MOST * tile:
        return tile
    tiles = (m + blocks * tile - 1) // (blocks * tile) * blocks
    return min(tile, ((m + tiles - 1) // tiles + EVEN_STEP - 1) // EVEN_STEP * EVEN_STEP)


@jit(internal=True)
def layout(across, width, n):
    """Return the strides of examples and units of a layer, in a tile of n examples."""
    return (ONE, n) if across else (width, ONE)


@jit(internal=True)
def padded(layers, n):
    """Return of how many examples a tile of n is computed.

    Where lanes run over the examples of all layers, units begin on cache lines so. The last example
    stands for those behind it, too, and `fastshallow.kernels.losses.output_step` makes their dZ[L]
    0: they add nothing to any sum. (82 examples of 13-50-3 on an Intel Xeon: 18 % faster so. Of
    fewer than 64 too large a part would be computed for nothing.)
    """
    pays = layers[0, ACROSS] and n > TILE_LEAST
    return (n + TILE_STEP - 1) // TILE_STEP * TILE_STEP if pays else n


@jit(internal=True)
def unit_length(n, row, col):
    """Return how many values a unit of n examples has, with those that a tile is padded with."""
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

    A vector that straddles two lines takes two loads: the products ran 12 % slower.
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
def constants(layers, tile):
    """Return where in scratch the zeros, the room for what is short-lived, and the ones begin."""
    zeros = tile * (layers[0, Y_AT] + layers[-1, FAN_OUT])
    room = zeros + max(tile, (layers[0, WIDEST] + 15) // 16 * 16)
    return zeros, room, room + tile * max(layers[0, WIDEST], 3)  # 3: see `losses.output_step`


@jit
def scratch_size(layers, tile):
    """Return the length of one thread's scratch array."""
    _, _, ones = constants(layers, tile)
    return ones + tile


@jit(internal=True)
def prepare_scratch(layers, tile, scratch):
    """Write the zeros and the ones."""
    zeros, room, ones = constants(layers, tile)
    for p in range(np.uint64(zeros), np.uint64(room)):
        scratch[p] = 0
    for p in range(np.uint64(ones), np.uint64(ones + tile)):
        scratch[p] = 1


@jit(internal=True)
def reads_as_it_lies(layers, X, scratch):
    """Return whether the first layer's product reads X itself, in its own order and strides.

    Not if its dtype is not that of the scratch; or lanes run over examples; or the first layer has
    few units, where the order of a sum would follow the strides; or its features lie far apart and
    are read so often that a copy pays.
    """
    if X.data.itemsize != scratch.itemsize or layers[0, ACROSS]:
        return False
    many = layers[0, FAN_IN] > COPY_FEATURES and layers[0, FAN_OUT] > COPY_UNITS
    return layers[0, FAN_OUT] > FEW and not (X.col != 1 and many)


@jit(internal=True)
def load_input(layers, X, first, n, tile, scratch):
    """Copy n rows of X into scratch, if they are not read as they lie, and write units of 1.

    They are `padded` with the last of them.
    """
    length = padded(layers, n)
    if not reads_as_it_lies(layers, X, scratch):
        row, col = layout(layers[0, ACROSS], layers[0, FAN_IN], length)
        load_rows(X, first, n, layers[0, FAN_IN], scratch, ZERO, row, col)
        for j in range(layers[0, FAN_IN]):  # not zeros: Z may overflow at 0 alone
            for i in range(n, length):
                scratch[i * row + j * col] = scratch[(n - 1) * row + j * col]
    for i in range(layers.shape[0]):
        if layers[i, ACROSS]:
            start = np.uint64(tile * layers[i, IN] + length * layers[i, FAN_IN])
            for p in range(np.uint64(length)):
                scratch[start + p] = 1


@jit(internal=True)
def input_rows(layers, X, first, n, scratch):
    """Return n rows of X as the first layer's product takes them, after `load_input`."""
    if reads_as_it_lies(layers, X, scratch):
        return matrix(view_as(X.data, scratch), X.start + first * X.row, X.row, X.col)
    row, col = layout(layers[0, ACROSS], layers[0, FAN_IN], padded(layers, n))
    return matrix(scratch, ZERO, row, col)


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
def load_rows(source, first, n, width, out, start, row, col):
    """Copy n rows of a strided matrix into scratch, converting their dtype.

    Parameters
    ----------
    source : Matrix
        Any strides, any floating dtype.
    first, n, width : int
        First row, rows and columns to copy.
    out : ndarray, 1-D
        Modified in place, from ``start`` on.
    row, col : int
        Strides of the copy.
    """
    same = source.data.itemsize == out.itemsize
    if n > 1 and width > 1 and row == 1 and source.col == 1 and same:
        values = view_as(source.data, out)
        transpose(values, source.start + first * source.row, source.row, out, start, col, n, width)
        return
    # Indices are unsigned: a test for negative ones would keep the loops from being vectorised.
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
