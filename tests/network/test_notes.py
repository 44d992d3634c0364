"""What the course notes say will happen, happens."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from sklearn.datasets import make_moons

import fastshallow as fs

XOR_X = np.array([[0.0, 0, 1, 1], [0, 1, 0, 1]])
XOR_Y = np.array([0, 1, 1, 0])


def moons():
    """Return two moons, examples as columns."""
    X, Y = make_moons(400, noise=0.1, random_state=0)
    return X.T, Y


# The course's published test case: X = randn(2, 3), Y = randn(1, 3) > 0 from seed 1, W from seed
# 2, tanh and sigmoid, learning rate 1.2, 10,000 steps.
COST_AT_STEP = {
    0: 0.692739,
    1000: 0.000218,
    2000: 0.000107,
    3000: 0.000071,
    4000: 0.000053,
    5000: 0.000042,
    6000: 0.000035,
    7000: 0.000030,
    8000: 0.000026,
    9000: 0.000023,
}
W1 = [
    [-0.65848169, 1.21866811],
    [-0.76204273, 1.39377573],
    [0.5792005, -1.10397703],
    [0.76773391, -1.41477129],
]
b1 = [[0.287592], [0.3511264], [-0.2431246], [-0.35772805]]
W2 = [[-2.45566237, -3.27042274, 2.00784958, 3.36773273]]
b2 = [[0.20459656]]


@pytest.mark.parametrize("n_threads", [None, 1, 4])
def test_the_published_course_result(n_threads):
    legacy = np.random.RandomState(1)
    X, Y = legacy.randn(2, 3), legacy.randn(1, 3) > 0
    net = fs.Network((2, 4, 1), "tanh", "sigmoid", "float64").init("course", seed=2)
    result = fs.gradient_descent(net, X, Y, 1.2, 10_000, n_threads=n_threads)
    assert {step: round(float(result.cost[step]), 6) for step in COST_AT_STEP} == COST_AT_STEP
    for got, published in ((net.W1, W1), (net.b1, b1), (net.W2, W2), (net.b2, b2)):
        assert np.abs(got - published).max() < 1e-6


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "linear"])
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_zero_initialization_keeps_hidden_units_equal_for_ever(hidden, dtype):
    X, Y = (values[..., :301] for values in moons())  # classes of unequal number
    net = fs.Network((2, 4, 1), hidden, "sigmoid", dtype).init("zeros")
    for _ in range(5):
        fs.gradient_descent(net, X, Y, 1.0, 200)
        for unit in range(1, 4):
            assert np.array_equal(net.W1[unit], net.W1[0])
            assert np.array_equal(net.b1[unit], net.b1[0])
            assert np.array_equal(net.W2[:, unit], net.W2[:, 0])
    if hidden == "sigmoid":  # a = 1/2 at the start, so that something is learnt: one unit
        assert net.W1[0].any()


@pytest.mark.parametrize("hidden", ["tanh", "relu", "leaky_relu"])
def test_zero_initialization_of_units_that_are_zero_at_zero_learns_the_mean_alone(hidden):
    # a[1] = 0 makes dW[2] = 0, and W[2] = 0 makes dZ[1] = 0: only b[2] ever moves.
    X, Y = XOR_X, np.array([0, 1, 1, 1])
    net = fs.Network((2, 4, 1), hidden, dtype="float64").init("zeros")
    fs.gradient_descent(net, X, Y, 1.0, 500)
    assert not any(array.any() for array in (net.W1, net.b1, net.W2))
    assert net.predict_proba(X) == pytest.approx(np.full((1, 4), 0.75))


def test_small_random_initialization_tells_hidden_units_apart():
    X, Y = moons()
    net = fs.Network((2, 4, 1), "tanh", dtype="float64").init("course", seed=0)
    fs.gradient_descent(net, X, Y, 1.0, 3000)
    for unit in range(4):
        for other in range(unit):
            assert np.abs(net.W1[unit] - net.W1[other]).max() > 0.1
    assert net.score(X, Y) > 0.97


def test_logistic_regression_learns_from_zeros():
    # Without hidden units there is nothing to tell apart.
    X, Y = moons()
    net = fs.Network((2, 1), dtype="float64").init("zeros")
    result = fs.gradient_descent(net, X, Y, 1.0, 2000)
    assert result.cost[0] == pytest.approx(np.log(2), rel=1e-14)
    assert (np.diff(result.cost) < 0).all()
    assert net.score(X, Y) > 0.85


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_linear_hidden_layers_collapse_to_one_linear_map(output, rng):
    X = rng.standard_normal((5, 200))
    deep = fs.Network((5, 7, 4, 2), "linear", output, "float64").init("glorot", seed=0)
    deep.b1, deep.b2 = rng.standard_normal((7, 1)), rng.standard_normal((4, 1))
    flat = fs.Network((5, 2), output=output, dtype="float64")
    # W3 (W2 (W1 x + b1) + b2) + b3
    flat.W1 = deep.W3 @ deep.W2 @ deep.W1
    flat.b1 = deep.W3 @ (deep.W2 @ deep.b1 + deep.b2) + deep.b3
    cases.assert_close(deep.forward(X).Z3, flat.forward(X).Z1, 1e-14, "Z[L]")
    cases.assert_close(deep.forward(X).A3, flat.forward(X).A1, 1e-13, "A[L]")
    Y = cases.draw_targets(rng, output, 2, 200)
    assert deep.cost(X, Y) == pytest.approx(flat.cost(X, Y), rel=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_2_4_1_learns_xor(seed):
    net = fs.Network((2, 4, 1), "tanh").init("glorot", seed=seed)
    result = fs.gradient_descent(net, XOR_X, XOR_Y, 1.0, 2000)
    assert result.cost[-1] < 0.01
    assert net.predict(XOR_X).tolist() == [[0, 1, 1, 0]]


@pytest.mark.parametrize("sizes", [(2, 1), (2, 4, 1), (2, 4, 4, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_no_linear_network_learns_xor(sizes, seed):
    # The best that a line can do is to say 1/2 everywhere: J = log 2.
    net = fs.Network(sizes, "linear", dtype="float64").init("glorot", seed=seed)
    result = fs.gradient_descent(net, XOR_X, XOR_Y, 0.5, 5000)
    assert result.cost[-1] == pytest.approx(np.log(2), abs=1e-9)
    assert net.predict_proba(XOR_X) == pytest.approx(np.full((1, 4), 0.5), abs=1e-4)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_2_4_1_learns_two_moons_and_no_linear_one_does(dtype):
    X, Y = moons()
    net = fs.Network((2, 4, 1), "tanh", dtype=dtype).init("glorot", seed=0)
    fs.gradient_descent(net, X, Y, 1.0, 3000)
    assert net.score(X, Y) > 0.99
    for sizes in ((2, 1), (2, 4, 1)):
        line = fs.Network(sizes, "linear", dtype=dtype).init("glorot", seed=0)
        fs.gradient_descent(line, X, Y, 1.0, 3000)
        assert 0.8 < line.score(X, Y) < 0.92


@pytest.mark.parametrize("hidden", ["tanh", "sigmoid"])
@pytest.mark.parametrize("seed", range(3))
def test_large_initial_weights_saturate_and_slow_learning(hidden, seed):
    X, Y = moons()
    slopes, pulls, costs = [], [], []
    for factor in (1, 100):
        net = fs.Network((2, 8, 1), hidden, dtype="float64").init("glorot", seed=seed)
        net.W1 *= factor
        a = net.forward(X).A1
        slopes.append(np.median(1 - a**2 if hidden == "tanh" else a * (1 - a)))
        g = net.backward(X, Y)
        pulls.append(np.abs(g.dW1).mean() / np.abs(g.dW2).mean())
        costs.append(fs.gradient_descent(net, X, Y, 0.5, 300).cost[-1])
    # g' vanishes for most units and examples, with it dW[1], and the cost stays behind
    assert slopes[1] < 1e-6 < slopes[0]
    assert pulls[1] < 0.02 * pulls[0]
    assert costs[1] > 1.15 * costs[0]
