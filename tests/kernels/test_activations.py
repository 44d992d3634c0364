"""g(z), g'(a) and the Jacobian, against the naive forms and central differences."""

from __future__ import annotations

import re

import naive
import numba
import numpy as np
import pytest

import fastshallow as fs
from fastshallow import kernels
from fastshallow.jit.compile import jit
from fastshallow.jit.linking import prepare
from fastshallow.kernels import Examples, Model, activations
from fastshallow.kernels.activations import ACTIVATIONS, HIDDEN
from fastshallow.kernels.layout import FAN_IN, FAN_OUT, G, W
from fastshallow.network.checks import flat_rows

SCALAR = [name for name in ACTIVATIONS if name != "softmax"]
# Both signs, tiny and large, where exp overflows in either precision; no kink at 0.
Z = np.array([-1e4, -800, -90, -30, -3, -0.5, -1e-9, 1e-9, 0.25, 1, 4, 20, 50])
ULP = {np.float32: 2.0**-23, np.float64: 2.0**-52}


def test_the_table_of_names_is_the_documented_one():
    rows = re.findall(r"^(\w+) +\S.*?  (hidden|output)\b.*$", activations.__doc__, re.MULTILINE)
    assert [name for name, _ in rows] == list(ACTIVATIONS)
    assert sorted(ACTIVATIONS.values()) == list(range(len(ACTIVATIONS)))
    assert {name for name, where in rows if where == "output"} == set(ACTIVATIONS) - set(HIDDEN)


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_g_is_right_to_a_few_units_in_the_last_place(name, dtype):
    z = Z.astype(dtype)
    got = np.array([activations.g(ACTIVATIONS[name], value, 0.25) for value in z])
    wanted = naive.g(name, z.astype(float), 0.25)
    # Relative everywhere; below the smallest normal number there are fewer digits to be had.
    np.testing.assert_allclose(got, wanted, rtol=8 * ULP[dtype], atol=np.finfo(dtype).tiny)


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tile_of_activations_is_that_of_its_units(name, dtype):
    values = np.concatenate([Z, -Z[3:-2]]).astype(dtype)
    tile = np.concatenate([[7], values, [7]]).astype(dtype)
    activations.activate(ACTIVATIONS[name], 0.25, tile, 1, values.size // 2, 2)
    inside = values.size // 2 * 2
    wanted = naive.g(name, values[:inside].astype(float), 0.25)
    np.testing.assert_allclose(
        tile[1 : inside + 1], wanted, rtol=8 * ULP[dtype], atol=np.finfo(dtype).tiny
    )
    # Nothing around it was written to.
    assert tile[0] == 7
    assert np.array_equal(tile[inside + 1 :], [*values[inside:], 7])


@pytest.mark.parametrize("name", SCALAR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tile_of_any_length_has_the_bits_of_its_units_one_by_one(name, dtype, rng):
    code = ACTIVATIONS[name]
    for size in (0, 1, 63, 64, 65, 127, 128, 200, 321):
        tile = rng.normal(0, 3, size + 2).astype(dtype)
        tile[1:3][:size] = (np.nan, np.inf)[: min(size, 2)]
        wanted = [activations.g(code, value, dtype(0.25)) for value in tile[1:-1]]
        wanted = np.array([tile[0], *wanted, tile[-1]], dtype)
        activations.activate(code, 0.25, tile, 1, size, 1)
        np.testing.assert_array_equal(tile, wanted)


@pytest.mark.parametrize("name", SCALAR)
def test_derivative_from_a_is_the_difference_quotient(name):
    code, eps = ACTIVATIONS[name], 1e-6
    for z in (-3.0, -0.5, -1e-3, 1e-3, 0.25, 1.0, 4.0):
        above, below = activations.g(code, z + eps, 0.25), activations.g(code, z - eps, 0.25)
        got = activations.dg(code, activations.g(code, z, 0.25), 0.25)
        assert got == pytest.approx((above - below) / (2 * eps), rel=1e-7, abs=1e-10)
        assert got == pytest.approx(float(naive.dg(name, np.array(z), 0.25)), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "derivative"),
    # z = 0 exactly: relu's is 0 and leaky_relu's the slope; for the others see the table.
    [
        *[("relu", 0), ("leaky_relu", 0.25), ("linear", 1), ("sigmoid", 0.25), ("tanh", 1)],
        *[("exp", 1), ("softplus", 0.5), ("elu", 1)],
    ],
)
def test_derivative_at_zero(name, derivative):
    code = ACTIVATIONS[name]
    assert activations.dg(code, activations.g(code, 0.0, 0.25), 0.25) == derivative


# The kernel has no entry for Python of its own.
@jit
def dg_steps(code, slope):
    """Call the kernel of that name."""
    return activations.dg_steps(code, slope)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "linear"])
def test_a_derivative_of_steps_has_two_values(name):
    code = ACTIVATIONS[name]
    up, down = dg_steps(code, 0.25)
    for a in [activations.g(code, z, 0.25) for z in (-800.0, -0.5, 0.0, 0.25, 20.0)]:
        assert activations.dg(code, a, 0.25) == (up if a > 0 else down)


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multiply_dg_is_the_product(name, dtype, rng):
    code, size = ACTIVATIONS[name], 37
    A = naive.g(name, rng.standard_normal(size + 3), 0.25).astype(dtype)
    dZ = rng.standard_normal(size + 5).astype(dtype)
    wanted = dZ.copy()
    for i in range(size):
        wanted[2 + i] *= activations.dg(code, A[1 + i], 0.25)
    activations.multiply_dg(code, 0.25, dZ, 2, A, 1, size)
    np.testing.assert_allclose(dZ, wanted, rtol=2 * ULP[dtype])
    assert np.array_equal(dZ[[0, 1, -1, -2, -3]], wanted[[0, 1, -1, -2, -3]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_sums_to_one_and_never_overflows(dtype, rng):
    for z in (rng.standard_normal(10), [1e4, -1e4, 0], [-1e4, -1e4], [5.0], [88.8, 88.8, 88.8]):
        values = np.array(z, dtype)
        wanted = naive.g("softmax", values.astype(float))
        activations.softmax(values, 0, values.size)
        np.testing.assert_allclose(values, wanted, rtol=16 * ULP[dtype], atol=1e-30)
        assert values.sum() == pytest.approx(1, abs=8 * ULP[dtype])


@pytest.mark.parametrize("n_y", [2, 3, 7, 12])
@pytest.mark.parametrize("n", [1, 7, 16, 33, 64])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_by_units_has_the_bits_of_softmax(n, n_y, dtype, rng):
    @jit
    def by_units(Z, n, n_y):
        activations.softmax_by_units(Z, 3, n, n_y, 3 + n * n_y)

    z = (10 * rng.standard_normal((n_y, n))).astype(dtype)
    z[0, 0], z[1, n // 2], z[-1, -1] = np.inf, np.nan, -np.inf
    z[:, n - 1] = 0, *[-1e4] * (n_y - 1)
    prepare(np.dtype(dtype))
    flat = np.concatenate([np.ones(3), z.ravel(), np.ones(2 * n)]).astype(dtype)
    by_units(flat, n, n_y)
    wanted = np.ascontiguousarray(z.T)
    for row in wanted:
        activations.softmax(row, 0, n_y)
    found = flat[3 : 3 + n * n_y].reshape(n_y, n)
    np.testing.assert_array_equal(found, wanted.T)


def test_softmax_does_not_see_a_shift_of_all_z():
    z = np.array([0.5, -1.0, 2.0])
    shifted = z + 256  # exact in binary
    activations.softmax(z, 0, 3)
    activations.softmax(shifted, 0, 3)
    assert np.array_equal(z, shifted)


def test_softmax_of_two_is_a_sigmoid():
    # exp(z0) / (exp(z0) + exp(z1)) = 1 / (1 + exp(-(z0 - z1)))
    z = np.array([1.5, -0.25])
    activations.softmax(z, 0, 2)
    assert z[0] == pytest.approx(activations.g(activations.SIGMOID, 1.75, 0.0), rel=1e-15)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_jacobian_is_the_difference_quotient(name):
    z, eps, n = np.array([0.3, -0.7, 1.1]), 1e-6, 3
    out = np.full((n, n), np.nan)
    activations.da_dz(ACTIVATIONS[name], 0.25, naive.g(name, z, 0.25), out)
    for k in range(n):
        step = eps * np.eye(n)[k]
        column = (naive.g(name, z + step, 0.25) - naive.g(name, z - step, 0.25)) / (2 * eps)
        np.testing.assert_allclose(out[:, k], column, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("code", [-1, len(ACTIVATIONS), 99, activations.SOFTMAX])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unknown_codes_fail_alike(code, dtype):
    # and softmax, which has no g of one unit
    assert np.isnan(activations.g(code, dtype(1), 0.01))
    assert np.isnan(activations.dg(code, dtype(1), 0.01))
    assert np.isnan(dg_steps(code, 0.01)).all()
    dZ = np.ones(3, dtype)
    activations.multiply_dg(code, 0.01, dZ, 0, np.ones(3, dtype), 0, 3)
    assert np.isnan(dZ).all()
    A, out = np.ones(3, dtype), np.ones((3, 3), dtype)
    if code != activations.SOFTMAX:
        activations.activate(code, 0.01, A, 0, 3, 1)
        activations.da_dz(code, 0.01, np.ones(3, dtype), out)
        assert np.isnan(A).all() and np.isnan(out).all()


UNKNOWN = [-1, len(ACTIVATIONS), 99]


@pytest.mark.parametrize("sizes", [(3, 20, 1), (3, 20, 2), (3, 4, 1)])
@pytest.mark.parametrize(
    ("layer", "code"),
    [
        *[(0, code) for code in (*UNKNOWN, activations.EXP, activations.SOFTMAX)],
        *[(-1, code) for code in (*UNKNOWN, activations.TANH, activations.ELU)],
    ],
)
def test_a_layer_of_a_code_that_it_cannot_have_has_no_gradient(sizes, layer, code):
    # a table of layers that no `Network` makes, for every way backward
    net = fs.Network(sizes, "relu", "linear").init(seed=0)
    params, layers, slope = net.model
    layers = layers.copy()
    layers[layer, G] = code
    X, Y = (flat_rows(np.ones((n, 5), np.float32)) for n in (3, sizes[-1]))
    examples, grad = Examples(X, Y, 0, np.empty(0, np.float32)), np.zeros_like(params)
    J, _ = kernels.cost_and_grad(Model(params, layers, slope), examples, 5, 5.0, 0.0, 1, grad)
    # of a hidden layer that g and dg are for, J is a number
    assert np.isnan(J) or layer == 0
    first = layers[layer, W]
    assert np.isnan(grad[first : first + layers[layer, FAN_IN] * layers[layer, FAN_OUT]]).all()


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0, 2.0])
def test_slope_of_leaky_relu(slope):
    net = fs.Network((1, 1, 1), "leaky_relu", "linear", "float64", leaky_slope=slope)
    net.W1, net.W2 = [[1.0]], [[1.0]]
    A1 = net.forward([[-4.0, 0.0, 4.0]]).A1
    assert A1.tolist() == [[-4 * slope, 0, 4]]
    # J = (x a - y)^2 / 2 with y = 0: dJ/dW1 = a g'(z) x at x = -4
    assert net.backward([[-4.0]], [[0.0]]).dW1.item() == 16 * slope * slope


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", [0.25, np.float32(0.25), 0])
def test_leaky_relu_keeps_the_dtype_of_z(dtype, slope):
    @numba.njit
    def of(z, slope):
        return np.array([activations.leaky_relu(z, slope)])

    for z, wanted in ((-2, -2 * slope), (3, 3), (-0.0, 0), (np.nan, np.nan)):
        got = of(dtype(z), slope)
        assert got.dtype == dtype
        assert np.array_equal(got, [wanted], equal_nan=True)
