"""The matrix product of all layers, forward and backward.

.. math:: C_{ij} = D_{ij} + \\sum_k A_{ik} B_{kj}

All operands are views into flat arrays: element (i, j) of a `Matrix` is
``data[start + i * row + j * col]``. A transpose swaps ``row`` and ``col``. A bias is one row for
every i and has ``row = 0``.

==================================  ==========  ============  =============  ===========
product (examples are rows)         C           D             A              B
==================================  ==========  ============  =============  ===========
Z[l] = A[l-1] W[l] + b[l]           (n, n_l)    b[l], row 0   A[l-1]         W[l]
dA[l-1] = dZ[l] W[l]^T              (n, n_l-1)  zeros         dZ[l]          W[l]^T
dW[l] += A[l-1]^T dZ[l]             (n_l-1,     dW[l]         A[l-1]^T       dZ[l]
                                    n_l)
db[l] += dZ[l]^T 1                  (n_l, 1)    db[l]         dZ[l]^T        ones
==================================  ==========  ============  =============  ===========
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import config

from ..jit import argument_types
from ..jit.argument_types import INTEGER
from ..jit.compile import jit
from .intrinsics import address
from .register_tile import PACKED, columns, dots, panel_width, product
from .transpose import transpose

__all__ = [
    "FEW",
    "PACKED",
    "Matrix",
    "matmul_add",
    "matmul_add_in_order",
    "pack",
    "pays_to_pack",
    "unpacked",
]


class Matrix(NamedTuple):
    """A strided matrix in a flat array: element (i, j) is ``data[start + i*row + j*col]``."""

    data: Any
    start: int
    row: int
    col: int


@jit(internal=True)
def matrix(data, start, row, col):
    """Return a `Matrix` of integers that are not constants.

    Numba would compile a kernel for each set of constants in a tuple.
    """
    return Matrix(data, start, row, col)


#: Largest number of columns for which lanes run over k or over rows: see `matmul_add`.
FEW = 3


# A wide right operand of more bytes is packed: see `pays_to_pack`. Its rows fall on the same
# sets of the L1 cache, and each on its own page.
PACK_BYTES = 1 << 16


@jit
def pays_to_pack(K, N, itemsize):
    """Return whether a right operand of K rows of N is worth packing."""
    return K > FEW and N > panel_width(N, itemsize) and K * N * itemsize > PACK_BYTES


@jit
def pack(B, K, N, out, start):
    """Copy the right operand of a product panel by panel, each panel row by row.

    Parameters
    ----------
    B : Matrix
        (K, N), with any strides.
    K, N : int
        Sizes of B.
    out : ndarray, 1-D
        Modified in place: K N values from ``start`` on. ``Matrix(out, start, PACKED, 1)`` is the
        packed operand.
    """
    j = 0
    while j < N:
        width = panel_width(N - j, out.itemsize)
        if B.row == 1:  # a panel is the transpose of contiguous rows
            transpose(B.data, B.start + j * B.col, B.col, out, start + j * K, width, width, K)
            j += width
            continue
        for k in range(K):
            s = np.uint64(B.start + k * B.row + j * B.col)
            o = np.uint64(start + j * K + k * width)
            if B.col == 1:
                for p in range(np.uint64(width)):
                    out[o + p] = B.data[s + p]
            else:
                for p in range(width):
                    out[start + j * K + k * width + p] = B.data[
                        B.start + k * B.row + (j + p) * B.col
                    ]
        j += width


@jit
def unpacked(B, k, j, N, K):
    """Return the index of element (k, j) of B, (K, N), packed or not."""
    if B.row != PACKED:
        return B.start + k * B.row + j * B.col
    panel, width = 0, panel_width(N, B.data.itemsize)
    while panel + width <= j:
        panel += width
        width = panel_width(N - panel, B.data.itemsize)
    return B.start + panel * K + k * width + j - panel


@jit
def matmul_add_loops(C, D, A, B, M, N, K):
    """Compute `matmul_add` in plain loops; tests use it as the reference."""
    for i in range(M):
        for j in range(N):
            total = D.data[D.start + i * D.row + j * D.col]
            for k in range(K):
                a = A.data[A.start + i * A.row + k * A.col]
                total += a * B.data[unpacked(B, k, j, N, K)]
            C.data[C.start + i * C.row + j * C.col] = total


@jit(
    takes={
        "C": argument_types.matrix(written=True),
        **{name: argument_types.matrix() for name in "DAB"},
        **{name: INTEGER for name in "MNK"},
    }
)
def matmul_add(C, D, A, B, M, N, K):
    """Compute C = D + A B: (M, N) = (M, N) + (M, K) (K, N).

    The strides choose what the lanes of a vector run over. The first matching row counts:

    ==========  ======================================  =====================================
    lanes over  condition                               order of the sum for one element
    ==========  ======================================  =====================================
    rows        columns of C and A are contiguous       k rises, starting from D
                (``C.row = 1``); D is one column
                (``D.row = 1``, ``D.col = 0``)
    rows        N <= `FEW` and ``A.row = 1``            D plus four interleaved sums over k
    k           ``A.col = B.row = 1``; rows of C and D  D plus one sum over k for each lane
                are contiguous, or ``D.col = 0``; for
                N = 1 < M: ``C.row = 1``, ``D.row < 2``
    columns     all others: rows of B, C and D must be  k rises, starting from D
                contiguous; B may be packed instead
    ==========  ======================================  =====================================

    Parameters
    ----------
    C, D, A, B : Matrix
        Views into flat arrays of one dtype. C is modified in place and may be D.
    M, N, K : int
        Sizes; K = 0 gives C = D.
    """
    zero = C.data.dtype.type(0)
    c, d = address(C.data, C.start), address(D.data, D.start)
    a, b = address(A.data, A.start), address(B.data, B.start)
    if C.row == 1 and D.row == 1 and D.col == 0:
        product(zero, c, C.col, d, D.col, b, B.col, B.row, a, A.col, N, M, K)
    elif A.row == 1 and N <= FEW:
        c_row, c_col, d_row, d_col = C.row, C.col, D.row, D.col
        columns(zero, c, c_row, c_col, d, d_row, d_col, a, A.col, b, B.row, B.col, M, N, K)
    elif A.col == 1 and B.row == 1 and (N > 1 or M == 1 or (C.row == 1 and D.row <= 1)):
        dots(zero, c, C.row, d, D.row, D.col, a, A.row, b, B.col, M, N, K)
    else:
        product(zero, c, C.row, d, D.row, a, A.row, A.col, b, B.row, M, N, K)


@jit(internal=True)
def matmul_add_in_order(C, D, A, B, M, N, K):
    """Compute `matmul_add` with lanes over columns: each sum is one chain in rising k.

    `matmul_add` may sum in another order if there are few columns.
    """
    zero = C.data.dtype.type(0)
    c, d = address(C.data, C.start), address(D.data, D.start)
    a, b = address(A.data, A.start), address(B.data, B.start)
    product(zero, c, C.row, d, D.row, a, A.row, A.col, b, B.row, M, N, K)


if config.DISABLE_JIT:
    matmul_add = matmul_add_in_order = matmul_add_loops
