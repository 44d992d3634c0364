"""L, dL/da, dL/dz and the chain between them, for every output."""

from __future__ import annotations

import math

import cases
import naive
import numpy as np
import pytest

import fastshallow as fs
from fastshallow.kernels import activations, losses
from fastshallow.kernels.activations import ACTIVATIONS

LEGAL = {
    "sigmoid": "cross_entropy",
    "softmax": "cross_entropy",
    "linear": "squared_error",
    "relu": "squared_error",
    "exp": "poisson_deviance",
}


def example(output, rng, n_y=4):
    """Return z and y of one example, away from relu's kink."""
    z = rng.standard_normal(n_y)
    z[0] = 0.5
    return z, np.ascontiguousarray(cases.draw_targets(rng, output, n_y, 1)[:, 0])


def test_the_table_of_pairs_is_the_documented_one():
    assert losses.LOSSES == LEGAL


@pytest.mark.parametrize("output", cases.OUTPUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_from_z_is_the_loss_from_a(output, dtype, rng):
    for _ in range(20):
        z, y = (v.astype(dtype) for v in example(output, rng))
        wanted = naive.loss_of_a(output, naive.g(output, z.astype(float)), y.astype(float))
        got = losses.loss(ACTIVATIONS[output], z, y)
        assert got == pytest.approx(wanted, rel=2e-6 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_derivative_by_a_is_the_difference_quotient(output, rng):
    z, y = example(output, rng)
    a, out, eps = naive.g(output, z), np.empty(4), 1e-7
    losses.dL_da(ACTIVATIONS[output], a, y, out)
    for j in range(4):
        step = eps * np.eye(4)[j]
        above, below = (naive.loss_of_a(output, a + s, y) for s in (step, -step))
        assert out[j] == pytest.approx((above - below) / (2 * eps), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_derivative_by_z_is_the_difference_quotient(output, rng):
    z, y = example(output, rng)
    code, out, eps = ACTIVATIONS[output], np.empty(4), 1e-6
    losses.dL_dz(code, naive.g(output, z), y, out)
    for j in range(4):
        step = eps * np.eye(4)[j]
        difference = losses.loss(code, z + step, y) - losses.loss(code, z - step, y)
        assert out[j] == pytest.approx(difference / (2 * eps), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_the_chain_multiplies_out(output, rng):
    # dL/dz_k = sum_j dL/da_j da_j/dz_k: the notes' two links, and their product
    for _ in range(20):
        z, y = example(output, rng)
        a, dL_da, dL_dz, da_dz = naive.g(output, z), np.empty(4), np.empty(4), np.empty((4, 4))
        losses.dL_da(ACTIVATIONS[output], a, y, dL_da)
        activations.da_dz(ACTIVATIONS[output], 0.01, a, da_dz)
        losses.dL_dz(ACTIVATIONS[output], a, y, dL_dz)
        np.testing.assert_allclose(da_dz.T @ dL_da, dL_dz, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_output_layer_of_a_network_uses_this_derivative(output, rng):
    # With one example, no hidden layer and x = 1, db = dZ[L] = dW.
    z, y = example(output, rng)
    net = fs.Network((1, 4), output=output, dtype="float64")
    net.W1 = z[:, None]
    wanted = np.empty(4)
    losses.dL_dz(ACTIVATIONS[output], naive.g(output, z), y, wanted)
    g = net.backward([[1.0]], y[:, None])
    np.testing.assert_allclose(g.db1[:, 0], wanted, rtol=1e-14, atol=1e-16)
    np.testing.assert_allclose(g.dW1[:, 0], wanted, rtol=1e-14, atol=1e-16)


def test_losses_worked_by_hand():
    z, y = np.array([math.log(3.0)]), np.array([1.0])
    # a = 3/4: -log(3/4); for exp a = 3: 1 log(1/3) - 1 + 3
    assert losses.loss(activations.SIGMOID, z, y) == pytest.approx(math.log(4 / 3), rel=1e-15)
    assert losses.loss(activations.EXP, z, y) == pytest.approx(2 - math.log(3), rel=1e-15)
    # a = (1/4, 3/4) and y = (0, 1): -log(3/4)
    two = losses.loss(activations.SOFTMAX, np.array([0.0, math.log(3.0)]), np.array([0.0, 1.0]))
    assert two == pytest.approx(math.log(4 / 3), rel=1e-15)
    # ((-2 - 1)^2 + (2 - 0)^2) / 2, and with relu's a = (0, 2): ((0 - 1)^2 + 2^2) / 2
    z, y = np.array([-2.0, 2.0]), np.array([1.0, 0.0])
    assert losses.loss(activations.LINEAR, z, y) == 6.5
    assert losses.loss(activations.RELU, z, y) == 2.5


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "linear", "relu"])
@pytest.mark.parametrize("z", [-1e4, 1e4])
def test_cost_is_finite_where_a_rounds_to_0_or_1(output, z, dtype):
    net = fs.Network((1, 2), output=output, dtype=dtype)
    net.W1 = [[z], [-z]]
    Y = [[1.0], [0.0]]
    J, g = net.cost_and_grad([[1.0]], Y)
    # log(1 + exp(1e4)) = 1e4 to the last digit, for each wrong unit
    wanted = {"sigmoid": 2e4 * (z < 0), "softmax": 2e4 * (z < 0)}
    squared = (max(z, 0) - 1) ** 2 / 2 + max(-z, 0) ** 2 / 2
    wanted |= {"relu": squared, "linear": ((z - 1) ** 2 + z**2) / 2}
    assert J == pytest.approx(wanted[output], rel=1e-6)
    assert np.isfinite(g.vector).all()


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("m", [1, 20])
@pytest.mark.parametrize("sizes", [(1, 3), (1, 80, 16)])  # lanes over examples, and over units
def test_softmax_of_numbers_whose_difference_overflows(sizes, m, dtype):
    net = fs.Network(sizes, hidden="linear", output="softmax", dtype=dtype)
    if len(sizes) == 3:
        net.W1 = np.eye(80, 1)
    far = np.zeros((sizes[-1], sizes[-2]))
    far[:3, 0] = 0.75 * np.finfo(dtype).max * np.array([1, -1, 0])
    setattr(net, f"W{len(sizes) - 1}", far)
    J, g = net.cost_and_grad(np.ones((1, m)), np.zeros(m, int))
    assert J == 0
    assert (g.vector == 0).all()


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_cost_of_exp_far_out(dtype):
    # a = exp(-1e4) rounds to 0, and the loss of y = 2 is 2 log 2 + 2e4 - 2 all the same.
    net = fs.Network((1, 1), output="exp", dtype=dtype)
    net.W1 = [[-1e4]]
    J, g = net.cost_and_grad([[1.0]], [[2.0]])
    assert J == pytest.approx(2 * math.log(2) + 2e4 - 2, rel=1e-6)
    assert g.dW1.item() == -2


def test_poisson_loss_at_y_zero():
    # y log y is taken as 0: L = a
    net = fs.Network((1, 1), output="exp", dtype="float64")
    assert net.cost([[1.0]], [[0.0]]) == 1.0


def test_soft_labels_interpolate():
    net = fs.Network((1, 1), dtype="float64").init("glorot", seed=0)
    costs = [net.cost([[2.0]], [[y]]) for y in (0.0, 0.25, 1.0)]
    assert costs[1] == pytest.approx(0.75 * costs[0] + 0.25 * costs[2], rel=1e-14)
