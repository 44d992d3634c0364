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

from ._jit import jit

__all__ = ["Matrix", "matmul_add"]


class Matrix(NamedTuple):
    """A strided matrix in a flat array: element (i, j) is ``data[start + i*row + j*col]``."""

    data: Any
    start: int
    row: int
    col: int


@jit
def matmul_add(C, D, A, B, M, N, K):
    """Compute C = D + A B in place of C: (M, N) = (M, N) + (M, K) (K, N).

    Every element is summed over k in rising order, starting from D. C and D may be the same.

    Parameters
    ----------
    C, D, A, B : Matrix
        Views into flat arrays of one dtype; rows of C, D and B are contiguous (``col = 1``).
    M, N, K : int
        Sizes; K = 0 gives C = D.
    """
    for i in range(M):
        c = C.start + i * C.row
        d = D.start + i * D.row
        for j in range(N):
            C.data[c + j] = D.data[d + j]
        for k in range(K):
            a = A.data[A.start + i * A.row + k * A.col]
            b = B.start + k * B.row
            for j in range(N):
                C.data[c + j] += a * B.data[b + j]
