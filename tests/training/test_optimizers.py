"""Optimisers against tables of steps that other programs, or exact arithmetic, computed."""

from __future__ import annotations

import itertools

import cases
import numpy as np
import pytest
from sklearn.neural_network import _stochastic_optimizers as sklearn_optimizers

import fastshallow as fs
from fastshallow.kernels.rules import Rule, update

START = [1.0, -2.0]
GRADIENTS = [[0.5, -1.0], [0.25, 2.0], [-0.125, 0.0], [4.0, -0.5]]

# Parameters after each of the four steps. SGD and Adam from their formulas with 30 digits
# (mpmath); AdamW from torch.optim.AdamW 2.13 in float64.
TABLES = [
    (
        fs.SGD(0.1, momentum=0.9, nesterov=False),
        [[0.95, -1.9], [0.88, -2.01], [0.8295, -2.109], [0.38405, -2.1481]],
    ),
    (
        fs.SGD(0.1, momentum=0.9),
        [[0.905, -1.81], [0.817, -2.109], [0.78405, -2.1981], [-0.016855, -2.18329]],
    ),
    (
        fs.Adam(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.01),
        [
            [0.90594834871519755, -1.9030653430031716],
            [0.81828616419172338, -1.9439939715810183],
            [0.77030598776778839, -1.9743787238660072],
            [0.7035636361689506, -1.9824509721230857],
        ],
    ),
    (
        fs.AdamW(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.01, weight_decay=0.05),
        [
            [0.8969607843137255, -1.890990099009901],
            [0.801970423343717, -1.9227915681240264],
            [0.7486340074847377, -1.9437800154559637],
            [0.677932924247018, -1.9421843008875777],
        ],
    ),
]


def steps(optimizer, start, gradients, dtype="f8", cuts=(0, None)):
    """Return the parameters after each step, taken in parts."""
    w = np.array(start, dtype)
    rule = optimizer.rule(np.zeros((optimizer.vectors, w.size), dtype))
    result = []
    for t, g in enumerate(gradients, 1):
        ends = [w.size if cut is None else cut for cut in cuts]
        for first, last in itertools.pairwise(ends):
            update(rule, optimizer.learning_rate, t, w, np.array(g, dtype), first, last)
        result.append(w.copy())
    return np.array(result)


@pytest.mark.parametrize(("optimizer", "wanted"), TABLES)
def test_steps_are_those_of_the_table(prepared, optimizer, wanted):
    assert np.allclose(steps(optimizer, START, GRADIENTS), wanted, rtol=1e-14, atol=0)
    assert np.allclose(steps(optimizer, START, GRADIENTS, "f4"), wanted, rtol=2e-6, atol=0)


def sklearns(optimizer, size):
    """Return scikit-learn's optimiser for parameters that it is then to update."""
    zeros = [np.zeros(size)]
    if isinstance(optimizer, fs.Adam):
        constants = optimizer.beta_1, optimizer.beta_2, optimizer.epsilon
        return sklearn_optimizers.AdamOptimizer(zeros, optimizer.learning_rate, *constants)
    return sklearn_optimizers.SGDOptimizer(
        zeros, optimizer.learning_rate, "constant", optimizer.momentum, optimizer.nesterov
    )


@pytest.mark.parametrize(
    "optimizer", [fs.Adam(), fs.SGD(), fs.SGD(0.3, 0.5, nesterov=False), fs.SGD(0.1, momentum=0)]
)
def test_steps_are_scikit_learns(prepared, rng, optimizer):
    start, gradients = rng.standard_normal(37), rng.standard_normal((50, 37))
    params, other = [start.copy()], sklearns(optimizer, 37)
    for g in gradients:
        other.update_params(params, [g])
    assert np.allclose(steps(optimizer, start, gradients)[-1], params[0], rtol=1e-13, atol=1e-15)


def test_one_step_of_gradient_descent():
    net = fs.Network((1, 1), output="linear", dtype="float64")
    fs.train(net, [[2.0]], [3.0], fs.GradientDescent(0.25), epochs=1)
    assert net.params.tolist() == [1.5, 0.75]  # dW = -6, db = -3


@pytest.mark.parametrize("optimizer", [t[0] for t in TABLES])
def test_parts_give_the_bits_of_the_whole(prepared, rng, optimizer):
    start, gradients = rng.standard_normal(100), rng.standard_normal((5, 100))
    for dtype in ("f4", "f8"):
        whole = steps(optimizer, start, gradients, dtype)
        assert np.array_equal(steps(optimizer, start, gradients, dtype, (0, 17, 64, None)), whole)


@cases.flushes
@pytest.mark.parametrize("optimizer", [fs.Adam(), fs.AdamW(), fs.SGD()])
def test_vectors_of_state_fade_to_0(prepared, optimizer):
    # 0.9 times the smallest numbers is rounded to the same number, so that they would stay for ever
    state, w = np.full((optimizer.vectors, 20), 2e-38, np.float32), np.ones(20, np.float32)
    for t in range(1, 20):
        update(optimizer.rule(state), 0.1, t, w, np.zeros_like(w), 0, w.size)
    assert not state[0].any()


def test_hyper_parameters_reach_the_kernel():
    rule = fs.AdamW(beta_1=0.5, beta_2=0.6, epsilon=0.7, weight_decay=0.8).rule(np.zeros((2, 1)))
    assert isinstance(rule, Rule)
    assert rule.constants.tolist() == [0.5, 0.6, 0.7, 0.8]
    assert fs.SGD(momentum=0.3).constants()[0] == 0.3
    codes = {o.code for o in (fs.GradientDescent(), fs.SGD(), fs.SGD(nesterov=False), fs.Adam())}
    assert len(codes | {fs.AdamW().code}) == 5


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fs.Adam(-1), ValueError, "learning_rate: expected a finite number >= 0; got -1"),
        (lambda: fs.SGD("x"), TypeError, "learning_rate: expected a finite number >= 0; got 'x'"),
        (lambda: fs.SGD(momentum=1.5), ValueError, r"momentum: .* >= 0 and <= 1; got 1.5"),
        (lambda: fs.SGD(nesterov=1), TypeError, "nesterov: expected True or False; got 1"),
        (lambda: fs.Adam(beta_1=1.0), ValueError, r"beta_1: .* >= 0 and < 1; got 1.0"),
        (lambda: fs.Adam(beta_2=-0.1), ValueError, r"beta_2: .* >= 0 and < 1; got -0.1"),
        (lambda: fs.Adam(epsilon=0), ValueError, r"epsilon: .* > 0; got 0"),
        (lambda: fs.AdamW(weight_decay=np.nan), ValueError, "weight_decay: .* >= 0; got nan"),
        (lambda: fs.LBFGS(memory=0), ValueError, "memory: expected an integer >= 1; got 0"),
        (lambda: fs.LBFGS(gtol=-1), ValueError, "gtol: .* >= 0; got -1"),
    ],
)
def test_wrong_hyper_parameters(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_equal_optimizers_are_equal():
    assert fs.Adam(1) == fs.Adam(1.0) != fs.Adam(2.0)
    assert fs.GradientDescent(np.float32(0.5)).learning_rate == 0.5
