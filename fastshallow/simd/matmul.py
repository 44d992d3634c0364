"""The one matrix product that every layer, forward and backward, is made of.

.. math:: C_{ij} = D_{ij} + \\sum_k A_{ik} B_{kj}

All operands are views into flat arrays: element (i, j) of a `Matrix` is
``data[start + i * row + j * col]``. A transpose swaps ``row`` and ``col``; a row that is
repeated for every i, such as a bias, has ``row = 0``.

==================================  ==========  ============  =============  ===========
product (examples are rows)         C           D             A              B
==================================  ==========  ============  =============  ===========
Z[l] = A[l-1] W[l] + b[l]           (n, n_l)    b[l], row 0   A[l-1]         W[l]
dA[l-1] = dZ[l] W[l]^T              (n, n_l-1)  zeros         dZ[l]          W[l]^T
dW[l] += A[l-1]^T dZ[l]             (n_l-1,     dW[l]         A[l-1]^T       dZ[l]
                                    n_l)
db[l] += 1^T dZ[l]                  (1, n_l)    db[l]         ones           dZ[l]
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

__all__ = ["FEW", "PACKED", "Matrix", "matmul_add", "pack", "pays_to_pack", "unpacked"]


class Matrix(NamedTuple):
    """A strided matrix in a flat array: element (i, j) is ``data[start + i*row + j*col]``."""

    data: Any
    start: int
    row: int
    col: int


@jit(internal=True)
def matrix(data, start, row, col):
    """Return a `Matrix` whose numbers are of one type, also where they are constants.

    Numba types a tuple with a constant anew, and would compile a kernel for every such type.
    """
    return Matrix(data, start, row, col)


#: Up to so many columns, lanes run over k or over the rows: see `matmul_add`.
FEW = 3


# A right operand is packed where its rows lie far apart and are many: at 1,024 columns of 4 bytes
# they fall on the same sets of the L1 cache and a page each (48 x 784 x 1,024 on one core: 65
# GFLOP/s as it lies, 113 with rows 64 bytes longer, 140 packed).
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
        (K, N), of any strides.
    K, N : int
        Its sizes.
    out : ndarray, 1-D
        Modified in place: K N values from ``start`` on. The packed operand is then
        ``Matrix(out, start, PACKED, 1)``.
    """
    j = 0
    while j < N:
        width = panel_width(N - j, out.itemsize)
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
    """Return where element (k, j) of K rows of N lies, `pack`ed or not."""
    if B.row != PACKED:
        return B.start + k * B.row + j * B.col
    panel, width = 0, panel_width(N, B.data.itemsize)
    while panel + width <= j:
        panel += width
        width = panel_width(N - panel, B.data.itemsize)
    return B.start + panel * K + k * width + j - panel


@jit
def matmul_add_loops(C, D, A, B, M, N, K):
    """Compute `matmul_add` in plain loops: its meaning, and the oracle of its tests."""
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

    The lanes of a vector run over what is contiguous:

    ==========  ======================================  =====================================
    lanes over  where                                   every element is
    ==========  ======================================  =====================================
    rows        C and A lie column by column (``C.row   summed over k in rising order, from D
                = 1``), D is a column for all (``D.row
                = 1``, ``D.col = 0``)
    rows        N <= `FEW` and ``A.row = 1``            D plus four interleaved sums over k
    k           ``A.col = B.row = 1``; rows of C and D  D plus one sum over k a lane
                are contiguous, or ``D.col = 0``; for
                N = 1 < M: ``C.row = 1``, ``D.row < 2``
    columns     else: rows of B, C and D are            summed over k in rising order, from D
                contiguous, or B is `pack`ed
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


if config.DISABLE_JIT:
    matmul_add = matmul_add_loops
