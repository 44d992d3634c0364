"""The kernel layer, called from a user's own compiled code, serial and parallel."""

from __future__ import annotations

import cases
import numba
import numpy as np
import pytest

import fastshallow as fs
from fastshallow.kernels import (
    Examples,
    Matrix,
    Model,
    activations,
    block_step,
    cost_and_grad,
    forward,
    forward_layers,
    gradient_descent,
    losses,
    weight_copies,
)
from fastshallow.kernels.layout import scratch_size

# Code that numba has cached calls kernels which the process must have loaded before.
pytestmark = pytest.mark.usefixtures("prepared")

N_NETWORKS, M = 6, 70


@numba.njit(cache=True)
def rows(array):
    """Return a C-ordered array as the kernels take it."""
    return Matrix(array.reshape(-1), 0, array.shape[1], 1)


@numba.njit(cache=True)
def predictions(params, layers, X, n_y):
    """Return A[L] of all examples, (m, n_y)."""
    out = np.empty((X.shape[0], n_y), params.dtype)
    forward(Model(params, layers, 0.01), rows(X), X.shape[0], rows(out), 1)
    return out


@numba.njit(cache=True)
def train(params, layers, X, Y, steps):
    """Train one network in place, and return its cost before every step."""
    cost, m = np.empty(steps), X.shape[0]
    examples = Examples(rows(X), rows(Y), 0, np.empty(0, params.dtype))
    gradient_descent(Model(params, layers, 0.01), examples, m, float(m), 0.0, 1, 0.5, cost)
    return cost


@numba.njit(cache=True)
def value_and_gradient(params, layers, X, Y):
    """Return J and the gradient of one network."""
    grad, m = np.empty_like(params), X.shape[0]
    examples = Examples(rows(X), rows(Y), 0, np.empty(0, params.dtype))
    model = Model(params, layers, 0.01)
    J, _ = cost_and_grad(model, examples, m, float(m), 0.0, 1, grad)
    return J, grad


@numba.njit(cache=True)
def one_network(i, params, layers, X, Y, J, grads, costs, values):
    """Fill in what there is to know of network i, and train it."""
    J[i], grads[i] = value_and_gradient(params[i], layers, X, Y)
    costs[i] = train(params[i], layers, X, Y, costs.shape[1])
    values[i] = predictions(params[i], layers, X, Y.shape[1])


# Two functions and not one compiled twice: Numba's disk cache would take them for the same.
@numba.njit(cache=True)
def serial_networks(params, layers, X, Y, J, grads, costs, values):
    """Go through the networks one by one."""
    for i in range(len(params)):
        one_network(i, params, layers, X, Y, J, grads, costs, values)


@numba.njit(cache=True, parallel=True)
def parallel_networks(params, layers, X, Y, J, grads, costs, values):
    """Go through the networks in parallel, each of them serially."""
    for i in numba.prange(len(params)):
        one_network(i, params, layers, X, Y, J, grads, costs, values)


def data(dtype):
    """Return networks, X and Y, examples as rows."""
    rng = np.random.default_rng(0)
    nets = [fs.Network((3, 7, 4), "tanh", "softmax", dtype).init(seed=i) for i in range(N_NETWORKS)]
    Y = cases.draw_targets(rng, "softmax", 4, M).T
    return nets, rng.standard_normal((M, 3)).astype(dtype), np.ascontiguousarray(Y, dtype)


# Every dtype compiles all kernels once more, for arrays that may be written to.
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("function", [serial_networks, parallel_networks])
def test_networks_trained_in_the_users_own_loop(function, dtype):
    nets, X, Y = data(dtype)
    params = np.stack([net.params for net in nets])
    J, grads, costs = np.empty(N_NETWORKS), np.empty_like(params), np.empty((N_NETWORKS, 5))
    values = np.empty((N_NETWORKS, *Y.shape), dtype)
    function(params, nets[0].layers, X, Y, J, grads, costs, values)
    for i, net in enumerate(nets):
        J_net, g = net.cost_and_grad(X.T, Y.T)
        assert J[i] == J_net
        assert np.array_equal(grads[i], g.vector)
        assert np.array_equal(costs[i], fs.gradient_descent(net, X.T, Y.T, 0.5, 5).cost)
        assert np.array_equal(params[i], net.params)
        assert np.array_equal(values[i], net.predict_proba(X.T).T)


@numba.njit(cache=True)
def block_sums(params, layers, X, Y, first, last, slot):
    """Add the gradient's sums over a block of examples to the slot; return the sum of losses."""
    model = Model(params, layers, 0.01)
    scratch = np.empty(scratch_size(layers, params.itemsize), params.dtype)
    copies = weight_copies(model, X.shape[0], True)
    examples = Examples(rows(X), rows(Y), 0, np.empty(0, params.dtype))
    loss, status = block_step(model, copies, examples, first, last, scratch, slot)
    return loss if status == 0 else np.nan


@numba.njit(cache=True)
def serial_blocks(params, layers, X, Y, slots, loss):
    """Take a block of ten examples for each slot."""
    for i in range(len(slots)):
        loss[i] = block_sums(params, layers, X, Y, 10 * i, 10 * i + 10, slots[i])


@numba.njit(cache=True, parallel=True)
def parallel_blocks(params, layers, X, Y, slots, loss):
    """Do the same in parallel."""
    for i in numba.prange(len(slots)):
        at = 10 * np.int64(i)
        loss[i] = block_sums(params, layers, X, Y, at, at + 10, slots[i])


@pytest.mark.parametrize("function", [serial_blocks, parallel_blocks])
def test_blocks_of_the_users_own(function):
    nets, X, Y = data("float64")
    net = nets[0]
    slots, loss = np.zeros((M // 10, net.params.size)), np.empty(M // 10)
    function(net.params, net.layers, X, Y, slots, loss)
    # sums, not means
    J, g = net.cost_and_grad(X.T, Y.T)
    assert loss.sum() == pytest.approx(J * M, rel=1e-14)
    cases.assert_close(slots.sum(axis=0), g.vector * M, 1e-14, "slots")


@numba.njit(cache=True)
def layer_values(params, layers, X, Z, A):
    """Fill in Z and A of all layers, flat."""
    return forward_layers(Model(params, layers, 0.01), rows(X), X.shape[0], Z, A)


def test_forward_layers():
    nets, X, _ = data("float64")
    net = nets[0]
    Z, A = np.empty(M * (7 + 4)), np.empty(M * (7 + 4))
    assert layer_values(net.params, net.layers, X, Z, A) == 0
    values = net.forward(X.T)
    assert np.array_equal(Z, np.concatenate([z.T.ravel() for z in values.Z]))
    assert np.array_equal(A, np.concatenate([a.T.ravel() for a in values.A]))
    X[0, 0] = np.nan
    assert layer_values(net.params, net.layers, X, Z, A) == 1


@numba.njit(cache=True)
def chain(i, code, Z, Y, L, links, products):
    """Fill in L and dL/dz of example i: by the notes' chain, and multiplied out."""
    n = Z.shape[1]
    a, dL_da, da_dz = Z[i].copy(), np.empty(n), np.empty((n, n))
    L[i] = losses.loss(code, Z[i], Y[i])
    activations.activate(code, 0.01, a, 0, 1, n)
    losses.dL_da(code, a, Y[i], dL_da)
    activations.da_dz(code, 0.01, a, da_dz)
    for k in range(n):
        links[i, k] = 0
        for j in range(n):
            links[i, k] += dL_da[j] * da_dz[j, k]
    losses.dL_dz(code, a, Y[i], products[i])


@numba.njit(cache=True)
def serial_chain(code, Z, Y, L, links, products):
    """Go through the examples one by one."""
    for i in range(len(Z)):
        chain(i, code, Z, Y, L, links, products)


@numba.njit(cache=True, parallel=True)
def parallel_chain(code, Z, Y, L, links, products):
    """Go through them in parallel."""
    for i in numba.prange(len(Z)):
        chain(i, code, Z, Y, L, links, products)


@pytest.mark.parametrize("function", [serial_chain, parallel_chain])
@pytest.mark.parametrize("output", cases.OUTPUTS)
def test_the_derivative_chain(function, output, rng):
    code = activations.ACTIVATIONS[output]
    Z, Y = rng.standard_normal((20, 3)), cases.draw_targets(rng, output, 3, 20).T.copy()
    L, links, products = np.empty(20), np.empty((20, 3)), np.empty((20, 3))
    function(code, Z, Y, L, links, products)
    np.testing.assert_allclose(links, products, rtol=1e-11, atol=1e-13)
    assert L.tolist() == [losses.loss(code, z, y) for z, y in zip(Z, Y, strict=True)]


@numba.njit(cache=True)
def scalars(code, z):
    """Return g(z) and g'(a)."""
    a = activations.g(code, z, 0.25)
    return a, activations.dg(code, a, 0.25)


@numba.njit(cache=True, parallel=True)
def scalars_parallel(code, z):
    """Return the same for many z."""
    out = np.empty((z.size, 2))
    for i in numba.prange(z.size):
        out[i] = scalars(code, z[i])
    return out


def test_scalar_activations(rng):
    z = rng.standard_normal(50)
    for code in activations.ACTIVATIONS.values():
        if code != activations.SOFTMAX:
            wanted = [(a := activations.g(code, v, 0.25), activations.dg(code, a, 0.25)) for v in z]
            assert np.array_equal(scalars_parallel(code, z), wanted)
