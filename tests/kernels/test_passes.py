"""Every kernel against both naive forms, over the whole grid of cases."""

from __future__ import annotations

import cases
import naive
import numpy as np
import pytest

import fastshallow as fs
from fastshallow.kernels import passes

COMBINATIONS = list(cases.combinations())
SHAPES = list(cases.shapes())


def check(case):
    """Compare J, gradient and predictions of one case with the naive form."""
    drawn = cases.draw(case)
    expected = cases.reference(case, drawn)
    J, g = drawn.net.cost_and_grad(drawn.X, drawn.Y, **drawn.options)
    cases.assert_gradient(case, drawn, J, g, expected)
    assert drawn.net.cost(drawn.X, drawn.Y, **drawn.options) == J
    check_forward(case, drawn)


def check_forward(case, drawn):
    """Compare Z and A of every layer, and what predict gives, with the naive form."""
    tolerance, names = cases.TOLERANCE[case.dtype], (*case.hidden, case.output)
    W, b = cases.exact_parameters(drawn.net)
    Z, A = naive.forward(W, b, names, drawn.exact_X)
    values, least = drawn.net.forward(drawn.X), 0.0
    for i in range(len(Z)):
        # g' is 1 at most, but for exp it is a: an error of z grows by no more than that
        least = cases.typical_z(W[i], b[i], A[i])
        cases.assert_close(values.Z[i], Z[i], tolerance, f"Z{i + 1} of {case}", least)
        least *= A[-1].max() if names[i] == "exp" else 1
        cases.assert_close(values.A[i], A[i + 1], tolerance, f"A{i + 1} of {case}", least)
    last = drawn.net.predict_proba if case.output in ("sigmoid", "softmax") else drawn.net.predict
    cases.assert_close(last(drawn.X), A[-1], tolerance, f"A[L] of {case}", least)


@pytest.mark.slow_in_plain_python
@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_sample_of_the_grid(output):
    picked = cases.sample(COMBINATIONS, 400) + cases.sample(SHAPES, 200)
    for case in picked:
        if case.output == output:
            check(case)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_whole_grid(output, dtype):
    for case in COMBINATIONS + SHAPES:
        if case.output == output and case.dtype == dtype:
            check(case)


@pytest.mark.parametrize("output", cases.OUTPUTS)
@pytest.mark.parametrize("hidden", cases.HIDDEN)
def test_every_pair_against_a_loop_over_examples(hidden, output):
    for seed, depth in enumerate((0, 1, 2)):
        for dtype in cases.DTYPES:
            sizes = (*(3, 7, 4, 2)[: depth + 1], 2)
            case = cases.Case(sizes, (hidden,) * depth, output, dtype, "C", 53, seed)
            drawn = cases.draw(case)
            J, g = drawn.net.cost_and_grad(drawn.X, drawn.Y, **drawn.options)
            expected = cases.reference(case, drawn, naive.by_example)
            cases.assert_gradient(case, drawn, J, g, expected)


def test_the_two_naive_forms_agree():
    # They share g alone: one goes through dL/da and Jacobians, the other through a - y.
    for case in cases.sample((c for c in COMBINATIONS if c.m <= 17 and c.dtype == "float64"), 100):
        drawn = cases.draw(case)
        J, dW, db = cases.reference(case, drawn, naive.by_example)
        J_columns, dW_columns, db_columns = cases.reference(case, drawn)
        assert J == pytest.approx(J_columns, rel=1e-11)
        for one, other in zip(dW + db, dW_columns + db_columns, strict=True):
            cases.assert_close(one, other, 1e-11, str(case), 1e-3)


def test_a_wrong_factor_is_seen():
    # The comparison itself, put to the test: 1 % of one parameter array is enough to fail.
    case = cases.Case((4, 7, 2), ("tanh",), "sigmoid", "float32", "C", 1000, 0)
    drawn = cases.draw(case)
    J, g = drawn.net.cost_and_grad(drawn.X, drawn.Y)
    g.db1[...] *= 1.01
    with pytest.raises(AssertionError, match="db1"):
        cases.assert_gradient(case, drawn, J, g, cases.reference(case, drawn))


@pytest.mark.slow_in_plain_python
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_layouts_of_the_same_numbers_give_the_same_bits(dtype, rng):
    X, Y = rng.integers(-3, 4, (5, 700)).astype(float), rng.integers(0, 2, (2, 700)).astype(float)
    net = fs.Network((5, 16, 2), hidden="tanh", dtype=dtype).init(seed=0)
    J, g = net.cost_and_grad(X, Y)
    for layout in (set(cases.LAYOUTS) - {"bool"}) | {"float32"}:
        J_other, g_other = net.cost_and_grad(
            cases.lay_out(X, layout, dtype), cases.lay_out(Y, layout, dtype)
        )
        assert J_other == J
        assert np.array_equal(g_other.vector, g.vector), layout


@pytest.mark.parametrize("n_y", [1, 2, 3, 10])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_of_each_row(n_y, dtype, rng):
    A = rng.integers(-2, 3, (200, n_y)).astype(dtype)  # many are equal
    A[0], A[1], A[2, -1] = np.inf, -np.inf, np.inf
    found = np.empty(200, np.int64)
    passes.largest(A, found)
    np.testing.assert_array_equal(found, A.argmax(axis=1))
