"""The one matrix product, C = D + A B.

Values are small integers where right or wrong is asked, as every order of summation is exact then;
and normal where the bits are compared.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import cases
import numpy as np
import pytest
from processes import run

from fastshallow.simd.matmul import FEW, Matrix, matmul_add, matmul_add_loops, pack
from fastshallow.simd.register_tile import PACKED

pytestmark = pytest.mark.usefixtures("prepared")

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


# Every way in which lanes run -----------------------------------------------------------------

ROWS = range(1, 27)
COLUMNS = (*range(1, 71), *range(127, 131))
DEPTHS = (0, 1, 7, 64, 301)
LANES = ("rows", "few", "k", "columns", "packed")
UNTOUCHED = 12345  # around and between the rows of C; in the other operands there is NaN


def put(values, row, col, start, around=np.nan):
    """Return the values as a `Matrix` of these strides, from ``start`` on in a larger array."""
    M, N = values.shape
    size = start + max(M - 1, 0) * row + max(N - 1, 0) * col + 1 + AROUND
    result = Matrix(np.full(size, around, values.dtype), start, row, col)
    elements(result, M, N)[...] = values
    return result


def any_strides(rng, M, N):
    """Return strides in which no two of (M, N) elements share a place."""
    inner, outer = (int(n) for n in rng.integers(1, 4, 2))
    if rng.random() < 0.5:
        return inner * max(N, 1) + outer, inner
    return inner, inner * max(M, 1) + outer


def strides(rng, lanes, M, N, K):
    """Return strides of C, D, A and B, odd ones among them, for which the lanes run so."""
    gap = rng.integers(0, 4, 4).tolist()
    if lanes == "rows":
        C, A = (1, M + gap[0]), (1, M + gap[1])
        return C, (1, 0), A, any_strides(rng, K, N)
    if lanes == "few":
        C, A = (N + 1 + gap[0], 1), (1, M + gap[1])
        return C, any_strides(rng, M, N), A, any_strides(rng, K, N)
    if lanes == "k":
        C, A, B = (N + 1 + gap[0], 1), (max(K, 1) + gap[1], 1), (1, K + 1 + gap[2])
        if M == N == 1:  # any strides are right
            return any_strides(rng, M, N), any_strides(rng, M, N), A, B
        D = (N + gap[3], 0 if gap[0] == 0 else 1)
        return ((1, 1), (D[1], 1), A, B) if N == 1 else (C, D, A, B)
    D = (0, 1) if gap[3] == 3 else (N + gap[3], 1)
    return (N + gap[0], 1), D, any_strides(rng, M, K), (N + gap[2], 1)


def packed_copy(B, K, N, start):
    """Return the right operand `pack`ed, with NaN around it."""
    out = np.full(start + K * N + AROUND, np.nan, B.data.dtype)
    pack(B, K, N, out, start)
    assert np.isnan(out[:start]).all()
    assert np.isnan(out[start + K * N :]).all()
    return Matrix(out, start, PACKED, 1)


def check_lanes(lanes, M, N, K, dtype, seed, function=matmul_add):
    """Compare one product, with guards around and between the rows of every operand."""
    rng = np.random.default_rng(seed)
    A, B, D = (integers(rng, shape, dtype) for shape in ((M, K), (K, N), (M, N)))
    steps = strides(rng, lanes, M, N, K)
    starts = (AROUND + rng.integers(0, 18, 4)).tolist()
    c = put(np.full((M, N), np.nan, dtype), *steps[0], starts[0], UNTOUCHED)
    if steps[1][0] == 0:
        D[:] = D[0]
    if steps[1][1] == 0:
        D[:] = D[:, :1]
    d, a, b = (
        put(values, *step, start)
        for values, step, start in zip((D, A, B), steps[1:], starts[1:], strict=True)
    )
    if lanes == "packed":
        b = packed_copy(b, K, N, starts[3])
    before = [operand.data.copy() for operand in (d, a, b)]
    expected = c.data.copy()
    elements(Matrix(expected, *c[1:]), M, N)[...] = D + A @ B
    function(c, d, a, b, M, N, K)
    assert np.array_equal(c.data, expected), (lanes, M, N, K, dtype, seed)
    for was, operand in zip(before, (d, a, b), strict=True):
        assert np.array_equal(operand.data, was, equal_nan=True), (lanes, M, N, K, dtype, seed)


def widths(lanes):
    """Return the numbers of columns that a product with such lanes may have."""
    if lanes == "few":
        return [N for N in COLUMNS if N <= FEW]
    return [N for N in COLUMNS if N > FEW] if lanes == "packed" else COLUMNS


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("lanes", LANES)
def test_sample_of_guarded_tiles(lanes, dtype):
    # every number of rows, and every number of columns, with some of the others
    rng = np.random.default_rng(1)
    rows = [(M, N) for M in ROWS for N in rng.choice(widths(lanes), 8).tolist()]
    columns = [(M, N) for N in widths(lanes) for M in rng.choice(ROWS, 3).tolist()]
    for seed, (M, N) in enumerate(rows + columns):
        check_lanes(lanes, M, N, DEPTHS[seed % len(DEPTHS)], dtype, seed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("lanes", LANES)
def test_every_guarded_tile(lanes, dtype):
    for seed, (M, N, K) in enumerate(itertools.product(ROWS, widths(lanes), DEPTHS)):
        check_lanes(lanes, M, N, K, dtype, seed)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("lanes", LANES)
def test_long_sums(lanes, dtype):
    N = 3 if lanes == "few" else 67
    for seed, K in enumerate((4095, 4096, 4099)):
        check_lanes(lanes, 13, N, K, dtype, seed)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("lanes", LANES)
def test_the_oracle_in_plain_loops(lanes, dtype):
    for seed, (M, N, K) in enumerate([(1, 4, 3), (7, 66, 5), (5, 130, 9), (3, 17, 0)]):
        width = 1 + N % FEW if lanes == "few" else N
        check_lanes(lanes, M, width, K, dtype, seed, matmul_add_loops)


@pytest.mark.skipif(os.name != "posix", reason="pages are forbidden by mprotect")
def test_nothing_outside_is_touched():
    run([Path(__file__).with_name("guarded.py")])


# Bits ------------------------------------------------------------------------------------------


def product_bits(lanes, D, A, B, rng):
    """Return C = D + A B, with strides and starts drawn anew, as integers."""
    (M, N), K = D.shape, A.shape[1]
    steps, starts = strides(rng, lanes, M, N, K), (AROUND + rng.integers(0, 18, 4)).tolist()
    c = put(np.full_like(D, np.nan), *steps[0], starts[0], UNTOUCHED)
    d_step = steps[1] if lanes == "rows" or 0 not in steps[1] else (N, 1)
    b = put(B, *steps[3], starts[3])
    if lanes == "packed":
        b = packed_copy(b, K, N, starts[3])
    matmul_add(c, put(D, *d_step, starts[1]), put(A, *steps[2], starts[2]), b, M, N, K)
    return elements(c, M, N).copy().view(f"u{D.itemsize}")


def normal(lanes, dtype, rng, K, M=29):
    """Return D, A and B, of normal values, for such lanes."""
    N = FEW if lanes == "few" else 133
    shapes = ((M, N), (M, K), (K, N))
    D, A, B = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    if lanes == "rows":
        D[:] = D[:, :1]
    return D, A, B


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("K", [2, 7, 300])
def test_bits_are_the_same_for_any_strides_and_starts(lanes, dtype, K, rng):
    D, A, B = normal(lanes, dtype, rng, K)
    wanted = product_bits(lanes, D, A, B, rng)
    for _ in range(20):
        assert np.array_equal(product_bits(lanes, D, A, B, rng), wanted)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("K", [2, 7, 300])
def test_a_packed_operand_gives_the_same_bits(dtype, K, rng):
    D, A, B = normal("packed", dtype, rng, K)
    for N in (4, 16, 63, 64, 65, 130, 133):
        columns = product_bits("columns", D[:, :N], A, B[:, :N], rng)
        assert np.array_equal(product_bits("packed", D[:, :N], A, B[:, :N], rng), columns)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("K", [2, 7, 300])
def test_lanes_over_rows_and_over_columns_give_the_same_bits(dtype, K, rng):
    # both sum in rising k from D, as the docstring says
    D, A, B = normal("rows", dtype, rng, K)
    columns = product_bits("columns", D, A, B, rng)
    assert np.array_equal(product_bits("rows", D, A, B, rng), columns)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("lanes", LANES)
def test_bits_do_not_depend_on_the_place_of_a_row_or_column(lanes, dtype, rng):
    D, A, B = normal(lanes, dtype, rng, 37)
    wanted = product_bits(lanes, D, A, B, rng)
    M, N = D.shape
    for _ in range(20):
        # any choice of rows and columns, in any order: the tiles around them are others
        i = rng.permutation(M)[: rng.integers(1, M + 1)]
        least = FEW + 1 if lanes == "packed" else 1
        j = rng.permutation(N)[: rng.integers(least, N + 1)]
        if lanes == "columns" and j.size == 1:
            j = np.arange(2)  # a single column of B may be taken for contiguous in k
        chosen = product_bits(lanes, D[np.ix_(i, j)], A[i], B[:, j], rng)
        assert np.array_equal(chosen, wanted[np.ix_(i, j)])
