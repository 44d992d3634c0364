"""The one matrix product, C = D + A B, on integers: every order of summation is exact."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest

from fastshallow.matmul import Matrix, matmul_add

LENGTHS = (1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100)
AROUND = 70  # values before and behind each operand, which must stay as they are


def integers(rng, shape, dtype):
    """Return small integers: sums of a thousand products are exact even in float32."""
    return rng.integers(-8, 9, shape).astype(dtype)


def place(values, gap=0, transposed=False):
    """Return the values as a `Matrix` in the midst of a larger array, rows ``gap`` apart."""
    stored = values.T if transposed else values
    n, width = stored.shape
    data = np.full(2 * AROUND + n * (width + gap), 99, values.dtype)
    inside = data[AROUND : AROUND + n * (width + gap)].reshape(n, width + gap)
    inside[:, :width] = stored
    steps = (1, width + gap) if transposed else (width + gap, 1)
    return Matrix(data, AROUND, *steps)


def elements(matrix, M, N):
    """Return a `Matrix` as a view, (M, N)."""
    data, start, row, col = matrix
    size = data.itemsize
    return np.lib.stride_tricks.as_strided(data[start:], (M, N), (row * size, col * size))


def check(M, N, K, dtype, gap=0, transposed=False, bias=False, seed=0):
    """Compare one product with NumPy's, and everything around C with what it was."""
    rng = np.random.default_rng(seed)
    A, B = integers(rng, (M, K), dtype), integers(rng, (K, N), dtype)
    D = integers(rng, (1 if bias else M, N), dtype)
    C = place(np.full((M, N), 55, dtype), gap)
    d = place(D, gap)
    d = Matrix(d.data, d.start, 0, 1) if bias else d
    expected = C.data.copy()
    elements(Matrix(expected, *C[1:]), M, N)[...] = D + A @ B
    matmul_add(C, d, place(A, gap, transposed), place(B, gap), M, N, K)
    assert np.array_equal(C.data, expected), (M, N, K, dtype, gap, transposed, bias)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_sample_of_shapes(dtype):
    grid = list(itertools.product(LENGTHS, LENGTHS, (0, *LENGTHS)))
    picked = np.random.default_rng(0).choice(len(grid), 400, replace=False)
    for seed, i in enumerate(picked):
        gap, transposed, bias = seed % 3, bool(seed // 3 % 2), bool(seed // 6 % 2)
        check(*grid[i], dtype, gap, transposed, bias, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_every_shape(dtype):
    for M, N, K in itertools.product(LENGTHS, LENGTHS, (0, *LENGTHS)):
        for transposed, bias in itertools.product((False, True), repeat=2):
            check(M, N, K, dtype, M % 3, transposed, bias)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_c_and_d_may_be_the_same(dtype, rng):
    # dW[l] += A[l-1]^T dZ[l]
    for M, N, K in ((3, 5, 48), (64, 16, 7), (17, 33, 100), (1, 1, 1)):
        A, B, D = (integers(rng, shape, dtype) for shape in ((M, K), (K, N), (M, N)))
        C = place(D)
        matmul_add(C, C, place(A, transposed=True), place(B), M, N, K)
        assert np.array_equal(elements(C, M, N), D + A @ B)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_row_of_ones_sums_columns(dtype, rng):
    # db[l] += 1^T dZ[l], with a single one for them all
    B, D = integers(rng, (53, 19), dtype), integers(rng, (1, 19), dtype)
    C, one = place(D), Matrix(np.ones(1, dtype), 0, 0, 0)
    matmul_add(C, C, one, place(B), 1, 19, 53)
    assert np.array_equal(elements(C, 1, 19), D + B.sum(axis=0))


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_operands_are_not_modified(dtype, rng):
    A, B, D = (place(integers(rng, shape, dtype)) for shape in ((9, 7), (7, 20), (9, 20)))
    before = [m.data.copy() for m in (A, B, D)]
    matmul_add(place(np.zeros((9, 20), dtype)), D, A, B, 9, 20, 7)
    for was, matrix in zip(before, (A, B, D), strict=True):
        assert np.array_equal(was, matrix.data)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_rounding_is_that_of_a_sum_of_k_products(dtype, rng):
    for K in (1, 10, 100, 3000):
        A, B = (rng.standard_normal(s).astype(dtype) for s in ((6, K), (K, 20)))
        C = place(np.zeros((6, 20), dtype))
        matmul_add(C, place(np.zeros((6, 20), dtype)), place(A), place(B), 6, 20, K)
        exact = A.astype(float) @ B.astype(float)
        terms = np.abs(A.astype(float)) @ np.abs(B.astype(float))
        # the bound of any order of summation, K roundings, is far from reached: sqrt(K)
        limit = 4 * np.sqrt(K + 1) * np.finfo(dtype).eps
        assert (np.abs(elements(C, 6, 20) - exact) <= limit * terms).all()


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_nan_and_inf_go_through(dtype):
    # 0 * inf is NaN: no product may be left out, or divergence would go unseen.
    C = place(np.zeros((1, 3), dtype))
    A, B = place(np.array([[0.0, 1.0]], dtype)), np.array([[np.inf, 1, 2], [1, np.nan, 3]], dtype)
    matmul_add(C, C, A, place(B), 1, 3, 2)
    assert np.array_equal(elements(C, 1, 3), [[np.nan, np.nan, 3]], equal_nan=True)
