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
G           code of the activation, `fastshallow.activations.ACTIVATIONS`
AT          values of X and A[1] ... A[l-1] of one example: where A[l] begins in a
            tile's scratch, in units of the tile's length
==========  =====================================================================

A tile's scratch is one flat array, examples as rows: X, A[1] ... A[L], dZ[1] ... dZ[L], Y, a row
of zeros and a one.
"""

from __future__ import annotations

import numpy as np

from ._jit import jit
from .activations import EXP, SIGMOID, SOFTMAX

__all__ = ["describe", "load_rows", "load_targets", "scratch_size", "tile_length"]

FAN_IN, FAN_OUT, W, B, G, AT = range(6)

# Examples of a tile: as many as keep its scratch within these bytes, a part of the smallest
# L2 cache in use; no fewer than make a register tile worth filling.
TILE_BYTES = 400_000
TILE_LEAST, TILE_MOST, TILE_STEP = 48, 192, 48


def describe(sizes, codes) -> np.ndarray:
    """Return the ``layers`` table of a network.

    Parameters
    ----------
    sizes : sequence of int
        n_x, n_1, ..., n_y.
    codes : sequence of int
        Code of the activation of each layer, the output layer's last.
    """
    layers = np.zeros((len(sizes) - 1, 6), np.int64)
    at, w = sizes[0], 0
    for i, (fan_in, fan_out, code) in enumerate(zip(sizes, sizes[1:], codes, strict=False)):
        b = w + fan_in * fan_out
        layers[i] = fan_in, fan_out, w, b, code, at
        at, w = at + fan_out, b + fan_out
    return layers


@jit
def n_params(layers):
    """Return the length of the parameter vector."""
    return layers[-1, B] + layers[-1, FAN_OUT]


@jit
def input_start(layers, i, tile):
    """Return where the input of layer i, A of the layer before or X, begins in scratch."""
    return tile * (layers[i, AT] - layers[i, FAN_IN])


@jit
def a_start(layers, i, tile):
    """Return where A of layer i begins in scratch."""
    return tile * layers[i, AT]


@jit
def dz_start(layers, i, tile):
    """Return where dZ of layer i begins in scratch: behind X and all A, in A's order."""
    end_of_a = layers[-1, AT] + layers[-1, FAN_OUT]
    return tile * (end_of_a + layers[i, AT] - layers[0, FAN_IN])


@jit
def y_start(layers, tile):
    """Return where the targets begin in scratch: behind the last dZ."""
    return dz_start(layers, layers.shape[0] - 1, tile) + tile * layers[-1, FAN_OUT]


@jit
def zeros_start(layers, tile):
    """Return where the row of zeros begins in scratch: behind the targets."""
    return y_start(layers, tile) + tile * layers[-1, FAN_OUT]


@jit
def one_start(layers, tile):
    """Return where the one lies in scratch: behind the zeros, as many as the widest layer."""
    widest = layers[0, FAN_IN]
    for i in range(layers.shape[0]):
        widest = max(widest, layers[i, FAN_OUT])
    return zeros_start(layers, tile) + widest


@jit
def tile_length(layers, itemsize):
    """Return how many examples a tile has: a function of the sizes alone."""
    fits = TILE_BYTES // (zeros_start(layers, 1) * itemsize)
    return max(TILE_LEAST, min(TILE_MOST, fits // TILE_STEP * TILE_STEP))


@jit
def scratch_size(layers, tile):
    """Return the length of one thread's scratch array."""
    return one_start(layers, tile) + 1


@jit
def load_rows(source, first, n, width, out, start):
    """Copy n rows of a strided matrix into scratch, converting their dtype.

    Parameters
    ----------
    source : Matrix
        Any strides, any floating dtype.
    first, n, width : int
        First row, rows and columns to copy.
    out : ndarray, 1-D
        Modified in place, from ``start`` on: the rows, one after the other.

    Returns
    -------
    bool
        Whether every value is finite after conversion.
    """
    bad = 0
    if source.col == 1:
        for i in range(n):
            s = source.start + (first + i) * source.row
            o = start + i * width
            for j in range(width):
                out[o + j] = source.data[s + j]
                bad |= out[o + j] - out[o + j] != 0
    else:
        for j in range(width):
            s = source.start + first * source.row + j * source.col
            for i in range(n):
                o = start + i * width + j
                out[o] = source.data[s + i * source.row]
                bad |= out[o] - out[o] != 0
    return bad == 0


@jit
def load_targets(output, labels, source, first, n, n_y, out, start):
    """Copy the targets of n examples into scratch, class numbers as one-hot rows.

    Parameters
    ----------
    output : int
        Code of the output activation.
    labels : int
        1 where ``source`` holds class numbers, one a row; 0 where it holds n_y values a row.
    source, first, n, out, start
        As for `load_rows`.

    Returns
    -------
    bool
        Whether every target is one that the loss is made for: finite; within 0 and 1 for
        sigmoid; not negative for exp; a class number or a one-hot row for softmax.
    """
    if labels:
        return load_labels(source, first, n, n_y, out, start)
    bad = not load_rows(source, first, n, n_y, out, start)
    stop = start + n * n_y
    if output == SIGMOID:
        for p in range(start, stop):
            bad |= not (out[p] >= 0 and out[p] <= 1)
    elif output == EXP:
        for p in range(start, stop):
            bad |= not out[p] >= 0
    elif output == SOFTMAX:
        for p in range(start, stop, n_y):
            ones = 0
            for q in range(p, p + n_y):
                ones += out[q] == 1
                bad |= not (out[q] == 0 or out[q] == 1)
            bad |= ones != 1
    return not bad


@jit
def load_labels(source, first, n, n_y, out, start):
    """Copy class numbers as one-hot rows; see `load_targets`."""
    bad = False
    for i in range(n):
        y = source.data[source.start + (first + i) * source.row]
        o = start + i * n_y
        for j in range(n_y):
            out[o + j] = 0
        if y >= 0 and y < n_y and y == np.floor(y):
            out[o + int(y)] = 1
        else:
            bad = True
    return not bad
