"""Small calls, which take a kernel at once: the bits and the errors are those of all others."""

from __future__ import annotations

import numpy as np
import pytest

import fastshallow as fs
from fastshallow.network.plain import OPERATIONS_MOST, plain_arguments, plain_inputs

NETWORKS = [
    ((2, 4, 1), "tanh", "sigmoid"),
    ((1, 1), "relu", "linear"),
    ((3, 5, 3), "relu", "softmax"),
    ((5, 2), "tanh", "sigmoid"),
    ((4, 9, 7, 2), "leaky_relu", "linear"),
    ((10, 16, 1), "sigmoid", "exp"),
]
LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "rows reversed": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "part": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "read-only": lambda X: (X := X.copy(), X.setflags(write=False))[0],
    "list": lambda X: X.tolist(),
}


def data(net, m, rng):
    X = rng.standard_normal((net.sizes[0], m)).astype(net.dtype)
    if net.output == "softmax":
        return X, rng.integers(0, net.sizes[-1], m)
    Y = rng.random((net.sizes[-1], m))
    return X, (Y > 0.5 if net.output == "sigmoid" else Y.astype(net.dtype))


def same(a, b):
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [1, 2, 47, 48, 129])
def test_the_bits_are_those_of_a_call_with_one_thread(network, dtype, m, rng):
    net = fs.Network(*network, dtype=dtype).init(seed=1)
    X, Y = data(net, m, rng)
    assert plain_arguments(net, X, Y, 0.0) is not None
    for alpha in (0.0, 0.5):
        J, g = net.cost_and_grad(X, Y, None, alpha, 1)
        wanted = net.copy()
        costs = fs.gradient_descent(wanted, X, Y, 0.1, 4, alpha=alpha, n_threads=1).cost
        for layout in LAYOUTS.values():
            given = layout(X)
            found = net.cost_and_grad(given, Y, alpha=alpha)
            assert found[0] == J == net.cost(given, Y, alpha=alpha)
            assert same(found[1].vector, g.vector)
            stepped = net.copy()
            assert same(fs.gradient_descent(stepped, given, Y, 0.1, 4, alpha=alpha).cost, costs)
            assert stepped == wanted
    many = net.forward(X.tolist())
    for layout in LAYOUTS.values():
        found = net.forward(layout(X))
        assert all(map(same, [*found.Z, *found.A], [*many.Z, *many.A]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, Y, net: X.__setitem__((0, 1), np.nan), r"X: expected finite .* at \[0, 1\]"),
        (lambda X, Y, net: Y.__setitem__((0, 1), 2.0), r"Y: .* at \[0, 1\]"),
        (lambda X, Y, net: net.W1.__setitem__((0, 0), np.inf), "W1: expected finite parameters"),
    ],
)
def test_errors_are_those_of_other_calls_and_nothing_is_changed(change, message, rng):
    net = fs.Network((2, 4, 1), "tanh").init(seed=0)
    X = rng.standard_normal((2, 60)).astype("f4")
    Y = (X[:1] > 0).astype("f4")
    change(X, Y, net)
    before = net.params.copy(), X.copy(), Y.copy()
    for call in (
        lambda: net.cost_and_grad(X, Y),
        lambda: net.cost(X, Y),
        lambda: fs.gradient_descent(net, X, Y, 0.1, 3),
    ):
        with pytest.raises(ValueError, match=message):
            call()
        assert all(map(same, (net.params, X, Y), before))
    if not message.startswith("Y"):
        with pytest.raises(ValueError, match=message):
            net.forward(X)


def test_arrays_stay_writable_and_read_only_parameters_are_refused(rng):
    net = fs.Network((2, 4, 1)).init(seed=0)
    X = rng.standard_normal((2, 60)).astype("f4")
    Y = (X[:1] > 0).astype("f4")
    net.cost_and_grad(X, Y)
    assert X.flags.writeable and Y.flags.writeable
    net.params.flags.writeable = False
    net.cost_and_grad(X, Y)
    with pytest.raises(ValueError, match="params: expected writable parameters"):
        fs.gradient_descent(net, X, Y, 0.1, 3)


def test_what_is_not_plain(rng):
    net = fs.Network((2, 4, 1)).init(seed=0)
    X = rng.standard_normal((2, 60)).astype("f4")
    Y = (X[:1] > 0).astype("f4")
    for other in (X.astype("f8"), X.tolist(), X.T, X[:, :0], X[:, ::2], X[0], X.view(np.matrix)):
        assert plain_inputs(net, other, 6.0) is None
    for other in (Y.tolist(), Y.astype("f8"), Y[:, :-1], Y[:, ::-1]):
        assert plain_arguments(net, X, other, 0.0) is None
    for alpha in (-1.0, np.nan, np.inf, 0, "0"):
        assert plain_arguments(net, X, Y, alpha) is None
    assert plain_arguments(net, X, Y, 0.0, repeats=int(OPERATIONS_MOST)) is None


def test_a_diverging_descent_warns_as_ever(rng):
    net = fs.Network((2, 4, 1), output="linear").init(seed=0)
    X = rng.standard_normal((2, 60)).astype("f4")
    with pytest.warns(RuntimeWarning, match="the cost is not finite from step"):
        fs.gradient_descent(net, X, X[:1] * 1e3, 1e6, 60)
