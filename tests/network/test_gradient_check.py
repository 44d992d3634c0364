"""The gradient against central differences of J, and against cases worked by hand."""

from __future__ import annotations

import math

import cases
import numpy as np
import pytest

import fastshallow as fs

# eps^2 of the difference and rounding of J / eps leave about 1e-9; see the module.
TOLERANCE = 1e-7


@pytest.mark.parametrize("output", cases.OUTPUTS)
@pytest.mark.parametrize("hidden", cases.HIDDEN)
def test_every_pair(hidden, output):
    for depth, seed in ((0, 1), (1, 3), (2, 5)):
        case = cases.Case((*(3, 5, 4, 2)[: depth + 1], 3), (), output, "float64", "C", 11, seed)
        case = case._replace(hidden=(hidden,) * depth)
        drawn = cases.draw(case)
        errors = fs.gradient_check(drawn.net, drawn.X, drawn.Y, **drawn.options)
        assert list(errors) == [f"{v}{i}" for i in range(1, depth + 2) for v in "Wb"]
        assert max(errors.values()) < TOLERANCE, (case, errors)


def test_it_computes_in_float64_and_leaves_the_network_alone(rng):
    X, Y = rng.standard_normal((3, 9)).astype("float32"), rng.integers(0, 2, 9)
    net = fs.Network((3, 4, 1), hidden="tanh").init(seed=0)
    before = net.params.copy()
    assert max(fs.gradient_check(net, X, Y).values()) < TOLERANCE
    assert np.array_equal(net.params, before)


def test_it_sees_a_wrong_gradient(rng, monkeypatch):
    X, Y = rng.standard_normal((3, 9)), rng.integers(0, 2, 9)
    net = fs.Network((3, 4, 1), hidden="tanh").init(seed=0)
    right = fs.Network.backward

    def wrong(self, *arguments):
        g = right(self, *arguments)
        g.dW1[...] *= 2
        return g

    monkeypatch.setattr(fs.Network, "backward", wrong)
    errors = fs.gradient_check(net, X, Y)
    assert errors["W1"] == pytest.approx(1, rel=1e-4)
    assert errors["W2"] < TOLERANCE


def test_it_refuses_what_backward_refuses():
    with pytest.raises(ValueError, match=r"X: expected shape \(3, m\)"):
        fs.gradient_check(fs.Network((3, 1)), np.ones((4, 2)), [0, 1])


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_1_1_1_by_hand(dtype):
    net = fs.Network((1, 1, 1), hidden="tanh", output="sigmoid", dtype=dtype)
    net.W1, net.b1, net.W2, net.b2 = [[0.5]], [[0.25]], [[2.0]], [[-1.0]]
    J, g = net.cost_and_grad([[1.5]], [[1.0]])
    # z1 = 0.5 * 1.5 + 0.25 = 1              a1 = tanh(1)
    # z2 = 2 * a1 - 1                        a2 = 1 / (1 + exp(-z2))
    # dz2 = a2 - 1, dW2 = dz2 a1             dz1 = 2 dz2 (1 - a1^2), dW1 = 1.5 dz1
    a1 = 0.7615941559557649
    a2 = 1 / (1 + math.exp(-0.5231883119115297))
    dz2 = a2 - 1
    dz1 = 2 * dz2 * 0.41997434161402614
    rel = 1e-14 if dtype == "float64" else 5e-7
    assert J == pytest.approx(-math.log(a2), rel=rel)
    # The same in figures: a2 = 0.627893, dz2 = -0.372107, J = 0.465386
    assert [a2, dz2, J] == pytest.approx([0.627893, -0.372107, 0.465386], abs=1e-6)
    wanted = [1.5 * dz1, dz1, dz2 * a1, dz2]
    assert g.vector.tolist() == pytest.approx(wanted, rel=rel)


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_2_2_1_by_hand(dtype):
    net = fs.Network((2, 2, 1), hidden="relu", output="linear", dtype=dtype)
    net.W1, net.b1 = [[1, 2], [-1, 1]], [[0], [-1]]
    net.W2, net.b2 = [[3, -2]], [[1]]
    X, Y = [[1, -1], [2, 3]], [[10, 16]]
    J, g = net.cost_and_grad(X, Y)
    # example     1            2
    # x           (1, 2)       (-1, 3)
    # z1          (5, 0)       (5, 3)
    # a1          (5, 0)       (5, 3)          relu'(0) = 0
    # a2 = z2     16           10
    # y           10           16
    # loss        18           18              J = 18
    # dz2         6            -6
    # dW2 = 1/2 (6 (5, 0) - 6 (5, 3)) = (0, -9), db2 = 0
    # dz1         (18, 0)      (-18, 12)
    # dW1 = 1/2 (18 (1, 2), 0) + 1/2 (-18 (-1, 3), 12 (-1, 3)) = ((18, -9), (-6, 18))
    # db1 = (0, 6)
    assert J == 18
    assert g.dW1.tolist() == [[18, -9], [-6, 18]]
    assert g.db1.tolist() == [[0], [6]]
    assert g.dW2.tolist() == [[0, -9]]
    assert g.db2.tolist() == [[0]]
    # alpha 4 adds 4/(2 * 2) (1 + 4 + 1 + 1 + 9 + 4) = 20 to J and 4/2 W to dW
    J, g = net.cost_and_grad(X, Y, alpha=4)
    assert J == 38
    assert g.dW1.tolist() == [[20, -5], [-8, 20]]
    assert g.dW2.tolist() == [[6, -13]]
    assert g.db1.tolist() == [[0], [6]]
    # weights 3 and 1: dW2 = 1/4 (18 (5, 0) - 6 (5, 3)) = (15, -4.5), db2 = 3
    J, g = net.cost_and_grad(X, Y, sample_weight=[3, 1])
    assert J == 18
    assert g.dW2.tolist() == [[15, -4.5]]
    assert g.db2.tolist() == [[3]]
    # One step of 1/8 from the unweighted gradient, all of it exact in binary
    result = fs.gradient_descent(net, X, Y, 0.125, 1)
    assert result.cost.tolist() == [18]
    assert net.W1.tolist() == [[-1.25, 3.125], [-0.25, -1.25]]
    assert net.b1.tolist() == [[0], [-1.75]]
    assert net.W2.tolist() == [[3, -0.875]]
    assert net.b2.tolist() == [[1]]
