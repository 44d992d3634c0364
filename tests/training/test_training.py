"""Gradient descent against the naive form, step by step."""

from __future__ import annotations

import cases
import naive
import numpy as np
import pytest

import fastshallow as fs


@pytest.mark.parametrize("output", cases.OUTPUTS)
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_steps_are_those_of_the_naive_form(output, dtype):
    for seed, hidden in enumerate([(), ("tanh",), ("sigmoid", "leaky_relu")]):
        sizes = (*(3, 7, 4)[: len(hidden) + 1], 2)
        case = cases.Case(sizes, hidden, output, dtype, "C", 300, seed)
        drawn = cases.draw(case)
        W, b = cases.exact_parameters(drawn.net)
        w, alpha = drawn.options.get("sample_weight"), drawn.options.get("alpha", 0.0)
        cost, W, b = naive.descend(
            *(W, b, (*hidden, output), drawn.exact_X, drawn.exact_Y, 0.05, 20), w=w, alpha=alpha
        )
        result = fs.gradient_descent(drawn.net, drawn.X, drawn.Y, 0.05, 20, **drawn.options)
        # rounding adds up over 20 steps
        tolerance = 10 * cases.TOLERANCE[dtype]
        assert result.cost.shape == (20,)
        assert result.cost.dtype == np.float64
        cases.assert_close(result.cost, cost, tolerance, f"cost of {case}")
        for i in range(len(W)):
            cases.assert_close(drawn.net.W[i], W[i], tolerance, f"W{i + 1} of {case}")
            cases.assert_close(drawn.net.b[i], b[i], tolerance, f"b{i + 1} of {case}", 0.1)


def problem():
    """Return a small network and its data."""
    rng = np.random.default_rng(0)
    net = fs.Network((3, 5, 1), "tanh").init(seed=0)
    return net, rng.standard_normal((3, 40)), rng.integers(0, 2, 40)


def test_cost_i_is_j_before_step_i():
    net, X, Y = problem()
    J = net.cost(X, Y)
    result = fs.gradient_descent(net, X, Y, 0.5, 1)
    assert result.cost.tolist() == [J]
    J = net.cost(X, Y)
    assert fs.gradient_descent(net, X, Y, 0.5, 3).cost[0] == J


def test_a_step_is_w_minus_rate_times_gradient():
    net, X, Y = problem()
    wanted = net.params - np.float32(0.5) * net.backward(X, Y).vector
    fs.gradient_descent(net, X, Y, 0.5, 1)
    cases.assert_close(net.params, wanted, 1e-7, "params")


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_one_long_run_is_many_short_ones(dtype, call_seconds):
    # The loop goes back to Python now and then, to let Ctrl-C through: when must not matter.
    nets, costs = [], []
    for seconds in (0.0, 1e9):
        call_seconds(seconds)
        net, X, Y = problem()
        net = fs.Network((3, 5, 1), "tanh", dtype=dtype).init(seed=0)
        costs.append(fs.gradient_descent(net, X, Y, 0.5, 101).cost)
        nets.append(net)
    parts = fs.Network((3, 5, 1), "tanh", dtype=dtype).init(seed=0)
    pieces = [fs.gradient_descent(parts, X, Y, 0.5, n).cost for n in (1, 60, 40)]
    assert nets[0] == nets[1] == parts
    assert np.array_equal(costs[0], costs[1])
    assert np.array_equal(costs[0], np.concatenate(pieces))


def test_the_views_see_the_training():
    net, X, Y = problem()
    W1, before = net.W1, net.W1.copy()
    fs.gradient_descent(net, X, Y, 0.5, 1)
    assert net.W1 is W1
    assert not np.array_equal(W1, before)


def test_learning_rate_zero_changes_nothing():
    net, X, Y = problem()
    before = net.copy()
    cost = fs.gradient_descent(net, X, Y, 0, 3).cost
    assert net == before
    assert (cost == cost[0]).all()


def test_numpy_scalars_are_numbers():
    net, X, Y = problem()
    other = net.copy()
    fs.gradient_descent(net, X, Y, 0.5, 2, alpha=1.0)
    fs.gradient_descent(other, X, Y, np.float32(0.5), np.int64(2), alpha=np.float64(1), n_threads=1)
    assert net == other


def test_divergence_warns_and_says_from_which_step():
    net = fs.Network((1, 1), output="linear", dtype="float64")
    with pytest.warns(RuntimeWarning, match=r"not finite from step \d+ on \(learning_rate 1000\)"):
        cost = fs.gradient_descent(net, [[1.0, 2.0]], [[2.0, 4.0]], 1000, 200).cost
    assert np.isfinite(cost[0])
    assert not np.isfinite(cost[-1])


def test_bad_y_leaves_the_network_as_it_was():
    net, X, Y = problem()
    before = net.copy()
    with pytest.raises(ValueError, match="Y: expected labels between 0 and 1"):
        fs.gradient_descent(net, X, Y + 1, 0.5, 100)
    assert net == before


def test_result_says_what_was_done():
    net, X, Y = problem()
    result = fs.gradient_descent(net, X, Y, 0.5, 3)
    assert repr(result) == f"GradientDescentResult(3 steps, last cost {result.cost[-1]:.6g})"
