"""The backward pass of an output layer of a few units."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest

from fastshallow.jit.compile import jit
from fastshallow.kernels import few_outputs as module
from fastshallow.kernels.activations import ACTIVATIONS, dg
from fastshallow.simd.matmul import PACKED, Matrix, matrix, pack

# Activations that the pass is written for.
PASSES = [name for name, code in ACTIVATIONS.items() if code in module.CODES]

pytestmark = pytest.mark.usefixtures("prepared")

AROUND = 40


# The kernel has no entry for Python of its own.
@jit
def output_pass(code, slope, data, starts, n, width, outputs, fresh, row, dz_row, dz_col):
    """Call the kernel of that name with parts of one array; ``row`` is that of dZ[L-1]."""
    module.output_pass(
        *(code, slope, matrix(data, starts[0], 1, 1), matrix(data, starts[1], dz_row, dz_col)),
        *(matrix(data, starts[2], 1, 1), matrix(data, starts[3], row, 1)),
        *(matrix(data, starts[4], 1, 1), matrix(data, starts[5], 1, 1), n, width, outputs, fresh),
    )


def check(name, n, width, outputs, dtype, fresh, packed):
    rng = np.random.default_rng(1000 * n + width)
    sizes = [n * width, n * outputs, width * outputs, n * width, width * outputs, width]
    *starts, end = itertools.accumulate((size + AROUND for size in sizes), initial=AROUND)
    data = rng.standard_normal(end).astype(dtype)
    inside = np.zeros(end, bool)
    for start, size in zip(starts, sizes, strict=True):
        inside[start : start + size] = True
    data[~inside] = np.nan
    below, dW, db = (slice(s, s + size) for s, size in zip(starts[3:6], sizes[3:], strict=True))
    data[below] = np.nan
    if fresh:  # what lies there does not matter
        data[dW] = data[db] = np.nan
    wanted = data.astype(np.float64)
    dz_row, dz_col = (outputs, 1) if packed else (1, n)
    parts = [Matrix(wanted, start, 1, 1) for start in starts]
    parts[1] = Matrix(wanted, starts[1], dz_row, dz_col)
    parts[3] = Matrix(wanted, starts[3], width, 1)
    module.output_pass_loops(ACTIVATIONS[name], 0.25, *parts, n, width, outputs, fresh)
    if packed:
        rows = wanted[below].astype(dtype)
        pack(Matrix(rows.copy(), 0, width, 1), n, width, rows, 0)
        wanted[below] = rows
    before = data.copy()
    row = PACKED if packed else width
    strides = row, dz_row, dz_col
    output_pass(ACTIVATIONS[name], 0.25, data, np.array(starts), n, width, outputs, fresh, *strides)
    written = np.zeros(end, bool)
    for part in (below, dW, db):
        written[part] = True
        tolerance = 2 * (n + 4) * np.finfo(dtype).eps
        assert np.allclose(data[part], wanted[part], rtol=tolerance, atol=tolerance), (name, width)
    assert np.array_equal(data[~written], before[~written], equal_nan=True)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", PASSES)
def test_nothing_around_is_used_or_written(name, dtype):
    widths = (1, 7, 16, 33, 64, 65, 150)
    cases = itertools.product((1, 3, 16), widths, (1, 2, 3), (0, 1), (0, 1))
    for n, width, outputs, fresh, packed in cases:
        check(name, n, width, outputs, dtype, fresh, packed)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", PASSES)
def test_every_width(name, dtype):
    for n, width, outputs in itertools.product((0, 1, 2, 50), range(1, 200), (1, 2, 3)):
        for packed in (0, 1):
            check(name, n, width, outputs, dtype, (n + width) % 2, packed)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("name", PASSES)
def test_what_is_not_finite_is_passed_on(name, dtype):
    # a diverged training is noticed by its parameters
    data = np.array([np.nan, 0.5, 1, 1, 1, 2, 0, 0, 0, 0, 0, 0], dtype)
    starts = np.array([0, 3, 4, 6, 8, 10])
    output_pass(ACTIVATIONS[name], 0.25, data, starts, 1, 2, 1, 1, 2, 1, 1)
    below, dW, db = (np.isnan(data[at : at + 2]).tolist() for at in (6, 8, 10))
    assert below == dW == db == [True, False]
    assert data[7] == 2 * dg(ACTIVATIONS[name], data[1], 0.25)
