"""How networks and examples lie in flat arrays."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest

import fastshallow as fs
from fastshallow.jit.compile import jit
from fastshallow.kernels import block_count, targets
from fastshallow.kernels import layout as layout_module
from fastshallow.kernels.activations import ACTIVATIONS
from fastshallow.kernels.layout import (
    DZ,
    FAN_IN,
    FAN_OUT,
    IN,
    LANES_OVER_EXAMPLES,
    OUT,
    WIDEST,
    Y_AT,
    B,
    G,
    W,
)
from fastshallow.network.checks import flat_rows
from fastshallow.simd.matmul import Matrix

pytestmark = pytest.mark.usefixtures("prepared")


# These kernels have no entry for Python of their own.
@jit
def load_rows(source, first, n, width, to):
    """Call the kernel of that name."""
    layout_module.load_rows(source, first, n, width, to)


@jit
def load_targets(output, labels, source, first, n, n_y, to):
    """Call the kernel of that name."""
    return targets.load_targets(output, labels, source, first, n, n_y, to)


@jit
def input_is_finite(layers, X, first, n, scratch):
    """Return whether the rows that the first layer takes are finite."""
    tile = layout_module.new_tile(layers, scratch, layout_module.padded(layers, n), n)
    layout_module.load_input(layers, X, first, n, tile)
    rows = layout_module.input_rows(layers, X, first, tile)
    return layout_module.rows_finite(rows, n, layers[0, FAN_IN])


@jit
def rows_finite(rows, n, width):
    """Return what the kernel of that name does."""
    return layout_module.rows_finite(rows, n, width)


@jit
def scratch_parts(layers, longest):
    """Return what the kernel of that name does."""
    return layout_module.scratch_parts(layers, longest)


@jit
def padded_length(layers, n):
    """Return what the kernel `padded` does."""
    return layout_module.padded(layers, n)


LINEAR, SIGMOID, SOFTMAX, EXP = (
    ACTIVATIONS[name] for name in ("linear", "sigmoid", "softmax", "exp")
)


@pytest.mark.parametrize("sizes", [(65, 5, 1), (3, 5, 2), (65, 16, 4), (7, 1), (4, 32, 16, 3)])
def test_parameters_follow_each_other_without_a_gap(sizes):
    net = fs.Network(sizes)
    at = 0
    for name, (fan_in, fan_out), row in zip(
        (*net.hidden, net.output), itertools.pairwise(sizes), net.layers, strict=True
    ):
        assert (row[FAN_IN], row[FAN_OUT], row[G]) == (fan_in, fan_out, ACTIVATIONS[name])
        assert (row[W], row[B]) == (at, at + fan_in * fan_out)
        at += (fan_in + 1) * fan_out
    assert layout_module.n_params(net.layers) == at == net.params.size


@pytest.mark.parametrize("itemsize", [4, 8])
@pytest.mark.parametrize(
    "sizes",
    [
        (65, 5, 1),
        (3, 5, 2),
        (65, 16, 4),
        (7, 1),
        (784, 10),
        (4, 32, 16, 3),
        (64, 96, 12),
        (2, 300, 2),
    ],
)
def test_nothing_in_scratch_overlaps(sizes, itemsize):
    layers = fs.Network(sizes).layers
    longest = layout_module.tile_length(layers, itemsize)
    over_examples, n_y = layers[:, LANES_OVER_EXAMPLES], sizes[-1]
    parts = [(longest * layers[0, Y_AT], longest * n_y)]
    for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        ones = over_examples[i]  # a unit that is 1 follows what such a layer reads
        if i == 0 or over_examples[i] != over_examples[i - 1]:
            parts.append((longest * layers[i, IN], longest * (fan_in + ones)))
        else:
            assert layers[i, IN] == layers[i - 1, OUT]
        ones = ones if i < len(sizes) - 2 else 0
        parts.append((longest * layers[i, OUT], longest * (fan_out + ones)))
        parts.append((longest * layers[i, DZ], longest * fan_out))
    zeros, free, ones = scratch_parts(layers, longest)
    parts += [(zeros, max(longest, *sizes)), (free, longest * max(*sizes, 3)), (ones, longest)]
    parts.sort()
    for (start, size), (following, _) in itertools.pairwise(parts):
        assert start + size == following or following > zeros
        assert start + size <= following
    assert (layers[:, Y_AT] == layers[0, Y_AT]).all()
    assert (layers[:, WIDEST] == max(sizes)).all()
    assert parts[0][0] == 0
    assert sum(parts[-1]) == layout_module.scratch_size(layers, itemsize)


@pytest.mark.parametrize(
    ("sizes", "across"),
    [
        # small, and units would leave lanes idle
        *[((2, 4, 1), [1, 1]), ((13, 50, 3), [1, 1]), ((20, 20, 2), [1, 1])],
        *[((30, 1), [1]), ((10, 16, 8, 1), [1, 1, 1]), ((4, 10, 16, 4), [1, 1, 1])],
        # units fill whole vectors, and there is one output, or many
        *[((10, 16, 1), [0, 0]), ((10, 32, 13), [0, 0])],
        # large, or wide
        *[((9, 80, 3), [0, 0]), ((9, 80, 4), [0, 1])],
        *[((30, 60, 1), [0, 0]), ((784, 4, 1), [0, 0]), ((784, 10), [0])],
        # in the output layer alone
        *[((10, 16, 2), [0, 1]), ((4, 32, 16, 4), [0, 0, 1])],
        *[((64, 30, 10), [0, 1]), ((784, 128, 12), [0, 1])],
    ],
)
def test_lanes_run_over_examples_where_units_are_few(sizes, across):
    assert fs.Network(sizes).layers[:, LANES_OVER_EXAMPLES].tolist() == across


@pytest.mark.parametrize("blocks", [1, 2, 8, 128])
@pytest.mark.parametrize("tile", [64, 192, 512])
def test_tiles_are_even(blocks, tile):
    for m in (1, 15, 64, 178, 569, 1797, 10_000, 123_457):
        if blocks > 1 and m < blocks * tile:
            continue
        length = layout_module.even_tile(m, blocks, tile)
        assert length <= tile and length % layout_module.EVEN_STEP == 0
        # as many tiles in each block, but for what rounding up saves
        assert blocks <= -(-m // length) <= -(-m // (blocks * tile)) * blocks
        assert length == tile or m <= layout_module.EVEN_MOST * tile


@pytest.mark.parametrize("itemsize", [4, 8])
def test_tiles_are_a_function_of_the_sizes_within_their_bounds(itemsize):
    for width in cases.SIZES:
        layers = fs.Network((width, 16, 1)).layers
        tile = layout_module.tile_length(layers, itemsize)
        assert layout_module.TILE_LEAST <= tile <= layout_module.TILE_MOST
        # X, A[1], A[2], dZ[1], dZ[2] and Y at the least
        assert layout_module.scratch_size(layers, itemsize) >= tile * (width + 2 * 17 + 1)


def test_blocks_are_a_function_of_m_and_the_sizes():
    layers = fs.Network((5, 16, 1)).layers
    counts = [block_count(m, layers, 4) for m in (1, 256, 257, 512, 513, 10**4, 10**9)]
    assert counts[0] == 1
    assert counts == sorted(counts)
    assert counts[-1] == block_count(10**10, layers, 4)
    # slots of a large layer are few: there is a bound for all of them together
    large = fs.Network((4096, 4096)).layers
    assert 1 <= block_count(10**9, large, 4) <= 8


@pytest.mark.parametrize("sizes", [(5, 9, 1), (30, 64, 1), (100, 100, 3), (784, 1024, 10)])
def test_no_block_is_empty(sizes):
    layers = fs.Network(sizes).layers
    longest = layout_module.tile_length(layers, 4)
    for m in [*range(1, 3000), *range(10**4, 10**5, 777)]:
        blocks = block_count(m, layers, 4)
        tile = layout_module.even_tile(m, blocks, longest)
        assert tile <= longest and blocks <= -(-m // tile), m


@pytest.mark.parametrize("layout", cases.MEMORY)
@pytest.mark.parametrize("kind", cases.DTYPES)
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_rows_are_loaded_from_any_layout(layout, kind, dtype, rng):
    X = cases.lay_out(rng.standard_normal((5, 30)), layout, kind)
    out = np.full(7 + 4 * 5 + 7, 99, dtype)
    load_rows(flat_rows(X), 20, 4, 5, Matrix(out, 7, 5, 1))
    assert np.array_equal(out[7:-7].reshape(4, 5), X.T[20:24].astype(dtype))
    assert (out[:7] == 99).all()
    assert (out[-7:] == 99).all()


@pytest.mark.parametrize("kind", cases.DTYPES)
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_any_rows_of_any_strides_go_to_any_strides(kind, dtype, rng):
    # every short cut of `load_rows`: one row, one column, rows one behind the other, transposed
    source = rng.standard_normal(4000).astype(kind)
    for n, width, first in itertools.product((1, 2, 5, 16, 17), (1, 2, 3, 8, 17), (0, 1, 30)):
        along = (0, 1, width, width + 3, -1, -width, -width - 5)
        for row, col in itertools.product(along, (0, 1, 2, -1, 40, -40)):
            rows, columns = np.arange(first, first + n) * row, np.arange(width) * col
            wanted = source[2000 + rows[:, None] + columns].astype(dtype)
            for to_row, to_col in ((width, 1), (1, n), (1, n + 2), (width + 1, 1)):
                at = 3 + np.arange(n)[:, None] * to_row + np.arange(width) * to_col
                out = np.full(at.max() + 4, 99, dtype)
                to = Matrix(out, 3, to_row, to_col)
                load_rows(Matrix(source, 2000, row, col), first, n, width, to)
                assert np.array_equal(out[at], wanted), (n, width, first, row, col, to_row, to_col)
                untouched = np.ones(out.size, bool)
                untouched[at] = False
                assert (out[untouched] == 99).all()


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_any_value_of_any_rows_that_is_not_finite_is_seen_and_no_other(dtype):
    for n, width in itertools.product((1, 2, 5), (1, 3, 17)):
        strides = [(width, 1), (width + 2, 1), (1, n), (1, n + 3), (2 * width, 2), (-width, 1)]
        for row, col in [*strides, (-1, n), (1, -n), (-2 * width - 1, -2)]:
            at = 300 + np.arange(n)[:, None] * row + np.arange(width) * col
            source = np.full(600, np.nan, dtype)  # what lies between does not matter
            source[at] = 1
            rows = Matrix(source, 300, row, col)
            assert rows_finite(rows, n, width), (n, width, row, col)
            for place, value in zip(at.ravel(), itertools.cycle([np.nan, np.inf, -np.inf])):
                source[place] = value
                assert not rows_finite(rows, n, width), (n, width, row, col, place)
                source[place] = 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_value_that_is_not_finite_is_seen_where_it_is_read(value, order):
    X = np.ones((3, 30), order=order)
    X[1, 20] = value
    # copied unit by unit; copied, as the units are few; and read where it lies
    for sizes in ((3, 1), (3, 2, 1000), (3, 1000)):
        for dtype in (np.float32, np.float64):
            layers = fs.Network(sizes).layers

            def finite(first, n, layers=layers, dtype=dtype):
                return input_is_finite(layers, flat_rows(X), first, n, np.empty(200, dtype))

            assert finite(0, 20)
            assert finite(20, 1) == (value == 1e300 and dtype == np.float64)
            assert finite(0, 30) == (value == 1e300 and dtype == np.float64)
            assert finite(21, 9)


def test_units_begin_on_cache_lines_where_lanes_run_over_examples():
    layers = fs.Network((13, 50, 3)).layers
    assert [padded_length(layers, n) for n in (1, 17, 64, 65, 80, 82, 97)] == [
        *(1, 17, 64),  # a few, of which padding would be too large a part
        *(80, 80, 96, 112),
    ]
    assert padded_length(fs.Network((30, 100, 1)).layers, 82) == 82  # lanes over units
    X, scratch = np.arange(1, 83) * np.ones((13, 1)), np.full(96 * 100, np.nan)
    assert input_is_finite(layers, flat_rows(X), 0, 82, scratch)
    expected = np.ones((14, 96))  # the last is the unit that is 1
    expected[:13] = np.minimum(np.arange(1, 97), 82)  # the last example stands for those behind it
    assert np.array_equal(scratch[: 14 * 96].reshape(14, 96), expected)


def loaded(output, labels, Y):
    """Load all targets; return whether they were fit, and what was loaded."""
    Y = np.array(Y, float, ndmin=2)
    n_y, m = 3 if labels else Y.shape[0], Y.shape[1]
    found = []
    for row, col in ((n_y, 1), (1, m), (1, m + 5)):  # by example, by unit, and padded
        out = np.full(max(m, col) * n_y, 99.0)
        fit = load_targets(output, labels, flat_rows(Y), 0, m, n_y, Matrix(out, 0, row, col))
        values = out.reshape(m, n_y).T if col == 1 else out.reshape(n_y, col)
        assert not values[:, m:].any()
        found.append((fit, values[:, :m].tolist()))
    assert found[0] == found[1] == found[2] or np.isnan(Y).any()
    return found[0]


def test_class_numbers_become_one_hot():
    fit, Y = loaded(SOFTMAX, 1, [2, 0, 1])
    assert fit
    assert Y == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    for wrong in (-1, 3, 0.5, np.nan, np.inf, 1e300):
        assert not loaded(SOFTMAX, 1, [2, wrong, 1])[0]


@pytest.mark.parametrize(
    ("output", "right", "wrong"),
    [
        (SIGMOID, [0, 0.5, 1], [-0.01, 1.01, np.nan, np.inf]),
        (EXP, [0, 0.5, 1e9], [-0.01, np.nan, np.inf, -np.inf]),
        (LINEAR, [-5, 0, 1e9], [np.nan, np.inf, -np.inf]),
        (ACTIVATIONS["relu"], [-5, 0, 1e9], [np.nan, np.inf, -np.inf]),
    ],
)
def test_targets_that_a_loss_is_not_made_for_are_seen(output, right, wrong):
    assert loaded(output, 0, right) == (True, [right])
    for value in wrong:
        assert not loaded(output, 0, [*right, value])[0]


def test_one_hot_columns_have_one_1():
    assert loaded(SOFTMAX, 0, np.eye(3))[0]
    for column in ([0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [1, np.nan, 0], [2, 0, 0], [1, -1, 1]):
        Y = np.eye(3)
        Y[:, 1] = column
        assert not loaded(SOFTMAX, 0, Y)[0]
