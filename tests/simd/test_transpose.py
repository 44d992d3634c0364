"""Transposed copies."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest

from fastshallow.jit.compile import jit
from fastshallow.simd import transpose as module

pytestmark = pytest.mark.usefixtures("prepared")

AROUND = 40


# The kernel has no entry for Python of its own.
@jit
def transpose(source, start, row, out, at, to_row, M, N):
    """Call the kernel of that name."""
    module.transpose(source, start, row, out, at, to_row, M, N)


def check(M, N, dtype, gap=0, to_gap=0):
    rng = np.random.default_rng(M * 100 + N)
    values = rng.standard_normal((M, N)).astype(dtype)
    source = np.full((M, N + gap), np.nan, dtype)
    source[:, :N] = values
    source = np.concatenate([np.full(AROUND, np.nan, dtype), source.ravel()])
    before = source.copy()
    out = np.full(2 * AROUND + N * (M + to_gap), 99, dtype)
    expected = out.copy()
    expected[AROUND:-AROUND].reshape(N, M + to_gap)[:, :M] = values.T
    transpose(source, AROUND, N + gap, out, AROUND, M + to_gap, M, N)
    assert np.array_equal(out, expected), (M, N, dtype, gap, to_gap)
    assert np.array_equal(source, before, equal_nan=True)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_nothing_around_is_used_or_written(dtype):
    for M, N in itertools.product((1, 2, 7, 8, 15, 16, 17, 33, 64), repeat=2):
        check(M, N, dtype, gap=M % 3, to_gap=N % 4)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_every_shape(dtype):
    for M, N in itertools.product(range(1, 70), repeat=2):
        check(M, N, dtype, gap=N % 2, to_gap=M % 2)


def test_no_rows_and_no_columns():
    for M, N in ((0, 3), (3, 0), (0, 0)):
        out = np.ones(8)
        transpose(np.zeros(8), 0, N, out, 0, M, M, N)
        assert (out == 1).all()
