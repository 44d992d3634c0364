"""Products whose operands begin or end at a page that must not be touched: `test_matmul` runs it.

    python tests/simd/guarded.py

ends with a segmentation fault where a product reads or writes outside.
"""

from __future__ import annotations

import itertools

import numpy as np
from pages import guarded
from test_matmul import LANES, elements, integers, packed_copy, strides, widths

from fastshallow.jit.linking import prepare
from fastshallow.simd.matmul import Matrix, matmul_add

SIZES = (1, 2, 3, 4, 5, 7, 8, 13, 17, 33)
DEPTHS = (0, 1, 3, 8, 17)


def put(values, step, at_end):
    """Return the values as a `Matrix` of these strides that has not one value more."""
    M, N = values.shape
    row, col = step
    data = guarded(max(1, (M - 1) * row + (N - 1) * col + 1), values.dtype, at_end)
    matrix = Matrix(data, 0, row, col)
    elements(matrix, M, N)[...] = values
    return matrix


def check(lanes, M, N, K, dtype, at_end, seed):
    """Compare one product with NumPy's."""
    rng = np.random.default_rng(seed)
    A, B, D = (integers(rng, shape, dtype) for shape in ((M, K), (K, N), (M, N)))
    steps = strides(rng, lanes, M, N, K)
    if steps[1][0] == 0:
        D[:] = D[0]
    if steps[1][1] == 0:
        D[:] = D[:, :1]
    c = put(np.zeros((M, N), dtype), steps[0], at_end)
    d, a, b = (put(x, s, at_end) for x, s in zip((D, A, B), steps[1:], strict=True))
    b = packed_copy(b, K, N, 0) if lanes == "packed" else b
    matmul_add(c, d, a, b, M, N, K)
    assert np.array_equal(elements(c, M, N), D + A @ B), (lanes, M, N, K, dtype, at_end, seed)


def main():
    """Check a sample of shapes."""
    rng = np.random.default_rng(0)
    for dtype, lanes in itertools.product(map(np.dtype, ("f4", "f8")), LANES):
        prepare(dtype)
        shapes = [s for s in itertools.product(SIZES, SIZES, DEPTHS) if s[1] in widths(lanes)]
        picked = rng.choice(len(shapes), min(150, len(shapes)), replace=False)
        for seed, i in enumerate([0, *picked]):
            check(lanes, *shapes[i], dtype, seed % 2 == 0, seed)


if __name__ == "__main__":
    main()
