"""Targets: a tile's Y as the loss takes it, and which values are targets of a loss.

The rules work on one number in kernels, and on an array in Python, where a message names the first
wrong value.
"""

from __future__ import annotations

import numpy as np

from ..jit.compile import ZERO, jit
from ..simd.intrinsics import all_finite
from .activations import EXP, SIGMOID, SOFTMAX
from .layout import load_rows, unit_length, zero_padding

__all__ = ["class_number", "load_targets", "not_negative", "of_one_hot", "share"]


@jit(internal=True)
def share(y):
    """Return whether y is from 0 to 1; NaN is not."""
    return (y >= 0) & (y <= 1)


@jit(internal=True)
def not_negative(y):
    """Return whether y is 0 or more; NaN is not."""
    return y >= 0


@jit(internal=True)
def of_one_hot(y):
    """Return whether y is 0 or 1."""
    return (y == 0) | (y == 1)


@jit(internal=True)
def class_number(y, n_y):
    """Return whether y is one of 0 ... n_y - 1."""
    return (y >= 0) & (y < n_y) & (np.floor(y) == y)


@jit(internal=True)
def load_targets(output, labels, source, first, n, n_y, to):
    """Copy the targets of n examples into scratch, class numbers as one-hot rows.

    Parameters
    ----------
    output : int
        Code of the output activation.
    labels : int
        1 where ``source`` holds class numbers, one a row; 0 where it holds n_y values a row.
    source, first, n, to
        As for `load_rows`. The padding of ``to`` becomes 0.

    Returns
    -------
    bool
        Whether every target is one that the loss is made for: finite; within 0 and 1 for
        sigmoid; not negative for exp; a class number or a one-hot row for softmax.
    """
    if labels:
        return load_labels(source, first, n, n_y, to)
    load_rows(source, first, n, n_y, to)
    out, start, row, col = to
    zero_padding(out, start, n, n_y, row, col)
    size = unit_length(n, row, col) * n_y
    y = out[start : start + size]
    bad = 0 if all_finite(out, start, size) else 1
    if output == SIGMOID:
        for p in range(y.size):
            bad |= not share(y[p])
    elif output == EXP:
        for p in range(y.size):
            bad |= not not_negative(y[p])
    elif output == SOFTMAX:
        for i in range(n):
            ones = 0
            for j in range(n_y):
                value = y[i * row + j * col]
                ones += value == 1
                bad |= not of_one_hot(value)
            bad |= ones != 1
    return bad == 0


@jit(internal=True)
def load_labels(source, first, n, n_y, to):
    """Copy class numbers as one-hot rows; see `load_targets`."""
    out, start, row, col = to
    o, bad = np.uint64(start), False
    for p in range(np.uint64(unit_length(n, row, col) * n_y)):
        out[o + p] = 0
    s = np.uint64(source.start + first * source.row)
    step = np.uint64(np.int64(source.row))  # -1 wraps round
    o_row, o_col = np.uint64(row), np.uint64(col)
    for i in range(np.uint64(n)):
        y = source.data[s + i * step]
        label = np.int64(y) if y >= 0 and y < n_y else ZERO
        out[o + i * o_row + np.uint64(label) * o_col] = 1
        bad |= y != label
    return not bad
