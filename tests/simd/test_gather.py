"""Rows that are gathered in an order of their own."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest

from fastshallow.jit.compile import jit
from fastshallow.simd import gather
from fastshallow.simd.matmul import Matrix

AROUND = 40


# The kernel has no entry for Python of its own.
@jit
def gather_rows(source, order, width, out, first, last):
    """Call the kernel of that name."""
    gather.gather_rows(source, order, width, out, first, last)


def check(m, n, width, dtype, gap=0, first=0):
    rng = np.random.default_rng(m + width)
    values = rng.standard_normal((m, width)).astype(dtype)
    source = np.full((m, width + gap), np.nan, dtype)
    source[:, :width] = values
    source = np.concatenate([np.full(AROUND, np.nan, dtype), source.ravel()])
    before = source.copy()
    order = rng.integers(0, m, n)
    out = np.full(n * width + AROUND, 99, dtype)
    expected = out.copy()
    expected[: n * width].reshape(n, width)[first:] = values[order[first:]]
    gather_rows(Matrix(source, AROUND, width + gap, 1), order, width, out, first, n)
    assert np.array_equal(out, expected), (m, n, width, dtype, gap)
    assert np.array_equal(source, before, equal_nan=True)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_nothing_around_is_used_or_written(dtype):
    for n, width in itertools.product((1, 5, 40), (1, 2, 7, 8, 15, 16, 17, 30, 33, 64, 100)):
        check(20, n, width, dtype, gap=width % 3, first=n // 4)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_every_width(dtype):
    for n, width in itertools.product((0, 1, 17), range(1, 150)):
        check(50, n, width, dtype, gap=n % 2)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_any_strides(dtype, rng):
    values = rng.standard_normal((7, 12)).astype(dtype)
    order = rng.integers(0, 12, 30)
    out = np.empty(30 * 7, dtype)
    # feature by feature, and its rows and columns backwards
    gather_rows(Matrix(values.ravel(), 0, 1, 12), order, 7, out, 0, 30)
    assert np.array_equal(out.reshape(30, 7), values.T[order])
    gather_rows(Matrix(values.ravel(), 83, -1, -12), order, 7, out, 0, 30)
    assert np.array_equal(out.reshape(30, 7), values[::-1, ::-1].T[order])
    rows = np.empty(17 * 12, dtype)
    gather_rows(Matrix(values.ravel(), 72, -12, 1), order[:17] % 7, 12, rows, 0, 17)
    assert np.array_equal(rows.reshape(17, 12), values[::-1][order[:17] % 7])
