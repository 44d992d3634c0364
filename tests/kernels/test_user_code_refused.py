"""What a user's compiled code passes wrongly: an error with the name, or NaN, never a number."""

from __future__ import annotations

import math
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.errors import TypingError
from processes import run
from test_user_code import rows

import fastshallow as fs
from fastshallow import kernels
from fastshallow.jit import refusals
from fastshallow.kernels import Examples, Matrix, Model, WeightCopies, activations, losses
from fastshallow.kernels.layout import scratch_size
from fastshallow.simd import elementary, matmul

pytestmark = pytest.mark.usefixtures("prepared")

SIZES, M = (3, 7, 4), 70


def network(dtype="float64", output="softmax"):
    return fs.Network(SIZES, "tanh", output, dtype).init(seed=0)


# Types ---------------------------------------------------------------------------------------


def flat(dtype, n=400):
    return np.full(n, 0.5, dtype)


def matrix_of(data):
    return Matrix(data, 0, 1, 1)


def calls():
    """Return right arguments of what users may call, by function."""
    net = network()
    model = Model(net.params, net.layers, 0.01)
    x, whole = flat("f8"), matrix_of(flat("f8"))
    examples = Examples(whole, whole, 0, flat("f8"))
    few = (net.params, net.layers, 0.01, np.ones(3), math.nan, np.ones((4, 1)))
    return {
        kernels.predict: few,
        kernels.forward: (model, whole, 1, whole, 1),
        kernels.forward_layers: (model, whole, 1, x, x),
        kernels.cost_and_grad: (model, examples, 1, 1.0, 0.0, 1, x),
        kernels.gradient_descent: (model, examples, 1, 1.0, 0.0, 1, 0.1, x),
        kernels.block_step: (model, WeightCopies(x, x), examples, 0, 1, x, x),
        kernels.weight_copies: (model, 1, True),
        kernels.block_count: (1, net.layers, 8),
        kernels.task_count: (1, net.layers, 8),
        kernels.in_panels: (net.layers, 8),
        activations.g: (1, 0.5, 0.1),
        activations.dg: (1, 0.5, 0.1),
        activations.activate: (1, 0.1, x, 0, 1, 1),
        activations.multiply_dg: (1, 0.1, x, 0, x, 0, 1),
        activations.da_dz: (1, 0.1, x, np.ones((2, 2))),
        activations.softmax: (x, 0, 1),
        losses.loss: (1, x, x),
        losses.dL_da: (1, x, x, x),
        losses.dL_dz: (1, x, x, x),
        elementary.log_sum_exp: (x, 0, 1),
        matmul.matmul_add: (whole, whole, whole, whole, 1, 1, 1),
    }


def spoiled(value):
    """Yield what is of no type that an argument of a kernel has, in the place of this one."""
    yield "tanh"
    if isinstance(value, np.ndarray):
        yield value.astype(np.complex128)
        yield value.reshape(*value.shape, 1, 1)
        yield 3.0
    elif isinstance(value, tuple):  # of the package
        yield value[0]
        yield tuple(value)
        for i, item in enumerate(value):
            for worse in spoiled(item):
                yield value._replace(**{value._fields[i]: worse})
    else:
        yield np.ones(3)
        yield 1j
        if isinstance(value, int) and not isinstance(value, bool):
            yield 1.5


def wrong_calls():
    for function, arguments in calls().items():
        for i, value in enumerate(arguments):
            for worse in spoiled(value):
                yield function, i, (*arguments[:i], worse, *arguments[i + 1 :])


def test_wrong_types_are_refused_by_name():
    names = set()
    for function, i, arguments in wrong_calls():
        plain = getattr(function, "py_func", getattr(function, "__wrapped__", function))
        name = plain.__code__.co_varnames[i]
        names.add((plain.__name__, name))
        given = ", ".join(f"a{j}" for j in range(len(arguments)))
        scope = {"function": function}
        exec(f"def user({given}): return function({given})", scope)
        for called in (function, numba.njit(scope["user"])):
            with pytest.raises(TypingError) as caught:
                called(*arguments)
            text = str(caught.value)
            assert f"{plain.__name__}: {name}" in text, text
            assert "expected" in text and "got" in text
            first = next(line for line in text.splitlines() if "expected" in line)
            assert len(first) < 400
            if called is function:
                assert isinstance(caught.value, TypeError)
    assert len(names) == sum(map(len, calls().values()))


@pytest.mark.parametrize("dtypes", [("f4", "f8"), ("f8", "f4")])
def test_another_dtype_is_refused_by_name(dtypes):
    of_net, other = dtypes
    net = network(of_net)
    call = numba.njit(lambda p, t, s, x, out: kernels.predict(p, t, s, x, math.nan, out))
    good = (net.params, net.layers, 0.01)
    dtype = np.dtype(of_net).name
    with pytest.raises(TypingError, match=rf"predict: X: expected a 1-D or 2-D array of {dtype}"):
        call(*good, np.ones(3, other), np.ones((4, 1), of_net))
    with pytest.raises(TypingError, match=rf"predict: out: expected a 1-D or 2-D array of {dtype}"):
        call(*good, np.ones(3, of_net), np.ones((4, 1), other))
    fixed = np.ones((4, 1), of_net)
    fixed.flags.writeable = False
    with pytest.raises(TypingError, match=r"predict: out: .* that can be written to; got"):
        call(*good, np.ones(3, of_net), fixed)


# Codes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("code", [-1, len(activations.ACTIVATIONS), 99])
def test_an_unknown_code_gives_nan(code, dtype):
    x, out = np.full(4, 0.5, dtype), np.zeros((4, 4), dtype)
    one = x[0]
    for value in (activations.g(code, one, 0.1), activations.dg(code, one, 0.1)):
        assert np.isnan(value)
    activations.da_dz(code, 0.1, x, out)
    assert np.isnan(out).all()
    assert np.isnan(losses.loss(code, x, x))
    for function in (losses.dL_da, losses.dL_dz):
        function(code, x, x, out[0])
        assert np.isnan(out[0]).all()
        out[:] = 0
    for function in (
        lambda a: activations.activate(code, 0.1, a, 1, 1, 2),
        lambda a: activations.multiply_dg(code, 0.1, a, 1, x, 1, 2),
    ):
        a = x.copy()
        function(a)
        assert np.isnan(a).tolist() == [False, True, True, False]


def test_an_activation_without_a_loss_has_none():
    x, out = np.full(4, 0.5), np.zeros(4)
    for name in set(activations.ACTIVATIONS) - set(losses.LOSSES):
        code = activations.ACTIVATIONS[name]
        assert np.isnan(losses.loss(code, x, x))
        losses.dL_dz(code, x, x, out)
        assert np.isnan(out).all()


# Sizes ---------------------------------------------------------------------------------------


@numba.njit(cache=True)
def one(params, layers, X, threshold, out):
    return kernels.predict(params, layers, 0.01, X, threshold, out)


@numba.njit(cache=True, parallel=True)
def many(params, layers, X, threshold, out, status):
    for i in numba.prange(len(X)):
        status[i] = one(params, layers, X[i], threshold, out[i])


def nothing(out):
    """Return whether an output holds no answer anywhere."""
    return bool(np.isnan(out).all() if out.dtype.kind == "f" else (out == -1).all())


# Network, shape of X, of out, dtype of out, threshold: what does not fit
UNFIT = [
    ("softmax", (2,), (4, 1), "f8", math.nan),
    ("softmax", (4,), (4, 1), "f8", math.nan),
    ("softmax", (0,), (4, 1), "f8", math.nan),
    ("softmax", (3,), (3, 1), "f8", math.nan),
    ("softmax", (3,), (5, 1), "f8", math.nan),
    ("softmax", (3,), (4, 2), "f8", math.nan),
    ("softmax", (3,), (4, 0), "f8", math.nan),
    ("softmax", (3, 2), (4, 1), "f8", math.nan),
    ("softmax", (3, 2), (1,), "i8", 0.5),
    ("softmax", (3,), (4, 1), "i8", math.nan),
    ("sigmoid", (3,), (4, 1), "i8", math.nan),
    ("sigmoid", (3,), (1,), "f8", 0.5),
    ("linear", (3,), (4, 1), "i8", math.nan),
    ("linear", (3,), (1,), "f8", math.nan),
]


@pytest.mark.parametrize("case", UNFIT, ids=str)
def test_predict_refuses_sizes_that_do_not_fit(case):
    output, x_shape, out_shape, dtype, threshold = case
    net = network(output=output)
    out = np.full(out_shape, 7, dtype)
    with pytest.raises(ValueError, match=r"fastshallow.kernels.predict: \w+: expected"):
        one(net.params, net.layers, np.ones(x_shape), threshold, out)
    assert nothing(out)
    with pytest.raises(ValueError, match=r"fastshallow.kernels.predict: \w+: expected"):
        kernels.predict(*net.model, np.ones(x_shape), threshold, out)
    # in parallel nobody hears of it: every output says so
    out, status = np.full((50, *out_shape), 7, dtype), np.zeros(50, np.int64)
    many(net.params, net.layers, np.ones((50, *x_shape)), threshold, out, status)
    assert nothing(out) and status.all()


def test_predict_refuses_parameters_of_another_network():
    net, out = network(), np.full((4, 1), 7.0)
    for params, layers in (
        (net.params[:-1].copy(), net.layers),
        (np.append(net.params, 1), net.layers),
        (net.params, net.layers[:1]),
        (net.params, net.layers[:0]),
        (net.params, np.ones((2, 10), np.int64)),
    ):
        out[:] = 7
        with pytest.raises(ValueError, match="params and layers: expected those of one network"):
            one(params, layers, np.ones(3), math.nan, out)
        assert nothing(out)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_row_of_many_spoils_itself_alone(bad):
    net, X = network(), np.random.default_rng(0).standard_normal((50, 3))
    wanted = net.predict_proba(X.T).T[..., None]
    X[[17, 40], 1] = bad
    out, status = np.full((50, 4, 1), 7.0), np.full(50, 9)
    many(net.params, net.layers, X, math.nan, out, status)
    spoiled = np.isin(np.arange(50), [17, 40])
    assert np.isnan(out[spoiled]).all() and (status == spoiled).all()
    assert np.array_equal(out[~spoiled], wanted[~spoiled])
    # so does forward
    flat_out = np.full((50, 4), 7.0)
    assert whole(net.params, net.layers, X, 50, flat_out, 1) == 1
    assert np.isnan(flat_out[spoiled]).all()
    assert np.array_equal(flat_out[~spoiled], wanted[~spoiled, :, 0])


def test_parameters_that_are_not_finite_and_backward_arrays():
    net, out = network(), np.full((4, 2), 7.0)
    X = np.ones((3, 4))
    for wrong in (X[:, 1::-1], X[:, ::-2], X[::-1, :2]):
        out[:] = 7
        with pytest.raises(ValueError, match="X: expected an array that lies forwards"):
            one(net.params, net.layers, wrong, math.nan, out)
        assert nothing(out)
    net.params[3], out[:] = math.inf, 7
    assert one(net.params, net.layers, X[:, :2], math.nan, out) != 0
    assert nothing(out)


@numba.njit(cache=True)
def whole(params, layers, X, m, out, workers):
    return kernels.forward(Model(params, layers, 0.01), rows(X), m, rows(out), workers)


@numba.njit(cache=True)
def by_layer(params, layers, X, m, Z, A):
    return kernels.forward_layers(Model(params, layers, 0.01), rows(X), m, Z, A)


@numba.njit(cache=True)
def gradient(params, layers, X, Y, labels, weight, m, workers, grad):
    examples = Examples(rows(X), rows(Y), labels, weight)
    return kernels.cost_and_grad(
        Model(params, layers, 0.01), examples, m, float(m), 0.0, workers, grad
    )


@numba.njit(cache=True)
def descent(params, layers, X, Y, labels, weight, m, workers, cost):
    examples = Examples(rows(X), rows(Y), labels, weight)
    return kernels.gradient_descent(
        Model(params, layers, 0.01), examples, m, float(m), 0.0, workers, 0.1, cost
    )


@numba.njit(cache=True)
def block(params, layers, X, Y, labels, weight, first, last, scratch, W, W_T, slot):
    examples = Examples(rows(X), rows(Y), labels, weight)
    model = Model(params, layers, 0.01)
    return kernels.block_step(model, WeightCopies(W, W_T), examples, first, last, scratch, slot)


class Sizes:
    """Right arguments of the kernels above, and for each what does not fit."""

    def __init__(self):
        net = network()
        n, units = net.params.size, sum(SIZES[1:])
        rng = np.random.default_rng(0)
        X = rng.standard_normal((M, 3))
        Y = np.eye(4)[rng.integers(0, 4, M)]
        scratch = np.empty(int(scratch_size(net.layers, 8)))
        copies = kernels.weight_copies(net.model, M, True)
        of_net = {"params": net.params, "layers": net.layers, "X": X}
        examples = of_net | {"Y": Y, "labels": 0, "weight": np.ones(M)}
        steps = examples | {"m": M, "workers": 1}
        part = {"first": 0, "last": M, "scratch": scratch, "W": copies.W, "W_T": copies.W_T}
        self.right = {
            whole: of_net | {"m": M, "out": np.empty((M, 4)), "workers": 1},
            by_layer: of_net | {"m": M, "Z": np.empty(M * units), "A": np.empty(M * units)},
            gradient: steps | {"grad": np.empty(n)},
            descent: steps | {"cost": np.empty(3)},
            block: examples | part | {"slot": np.empty(n)},
        }

    def wrong(self, function):
        """Yield arguments one of which does not fit the others."""
        right = self.right[function]
        for name, value in right.items():
            if name == "layers":
                others = [value[:1], value[:0], value[:, :10].copy()]
            elif name == "workers":
                others = [0, -1]
            elif name in ("m", "last"):
                others = [M + 1, -1, 2**62] + [0] * (function not in (whole, by_layer))
            elif name == "first":
                others = [-1, M, M + 1]
            elif name in {"labels", "cost"}:
                others = []
            elif name in ("weight", "grad", "slot", "W"):  # empty ones are none
                others = [value[:-1]] + [np.append(value, 1)] * (name != "weight")
            elif name in ("scratch", "X", "Y", "out"):
                others = [value[:-1], value[:0].copy()]
            else:
                others = [value[:-1], np.append(value, 1), value[:0]]
            for other in others:
                yield name, right | {name: other}


OUTPUTS = {whole: ["out"], by_layer: ["Z", "A"], gradient: ["grad"], descent: ["cost"]}


@pytest.mark.parametrize("function", [whole, by_layer, gradient, descent, block])
def test_sizes_that_do_not_fit(function):
    sizes = Sizes()
    outputs = OUTPUTS.get(function, ["slot"])
    right = sizes.right[function]
    if function is not descent:
        assert np.all(np.ravel(function(*right.values()))[-1] == 0)
        assert all(np.isfinite(right[name]).all() for name in outputs)
    found = set()
    for name, arguments in sizes.wrong(function):
        if np.size(arguments.get("W", 1)) == 0 and name == "W":
            continue  # no copy at all
        for output in outputs:
            arguments[output] = arguments[output].copy()
            arguments[output][...] = 7
        before = arguments["params"].copy()
        with pytest.raises(ValueError, match=r"fastshallow\.kernels\.\w+: .*expected"):
            function(*arguments.values())
        assert all(nothing(arguments[output]) for output in outputs), name
        assert np.array_equal(arguments["params"], before)
        found.add(name)
    assert set(outputs) - {"cost"} <= found and {"params", "X"} <= found


@pytest.mark.parametrize("bad", ["X", "Y"])
def test_bad_values_leave_no_gradient(bad):
    sizes = Sizes()
    for function, output in ((gradient, "grad"), (descent, "cost"), (block, "slot")):
        arguments = dict(sizes.right[function])
        arguments[bad] = arguments[bad].copy()
        arguments[bad][M // 2, 1] = math.nan
        before = arguments["params"].copy()
        status = function(*arguments.values())
        if function is not descent:
            value, status = status
            assert math.isnan(value)
        assert status == {"X": 1, "Y": 2}[bad]
        assert nothing(arguments[output]) and np.array_equal(arguments["params"], before)


def test_labels_of_an_output_without_classes():
    net, n = network(output="linear"), np.empty(0)
    grad = np.empty_like(net.params)
    with pytest.raises(ValueError, match=r"cost_and_grad: .* expected sizes that fit"):
        gradient(net.params, net.layers, np.ones((M, 3)), np.ones((M, 1)), 1, n, M, 1, grad)
    assert nothing(grad)


def test_what_lies_beside_an_output_stays():
    net = network()

    @numba.njit
    def part(model, data, X):
        kernels.forward(model, rows(X), 5, Matrix(data, 8, 4, 1), 1)

    data = np.full(36, 7.0)
    with pytest.raises(ValueError, match=r"kernels\.forward: X, m and out"):
        part(net.model, data, np.ones((4, 3)))
    assert np.isnan(data).tolist() == [False] * 8 + [True] * 20 + [False] * 8


@numba.njit(cache=True, parallel=True)
def sums(z, n, out):
    for i in numba.prange(len(out)):
        out[i] = elementary.log_sum_exp(z, 0, n)


def test_a_sum_of_too_much_is_nan_in_parallel():
    out = np.zeros(40)
    sums(np.ones(3), 4, out)
    assert np.isnan(out).all()
    with pytest.raises(ValueError, match="n: expected 1 or more"):
        elementary.log_sum_exp(np.ones(3), 0, 4)


def test_python_hears_of_what_is_raised():
    assert refusals.in_parallel_loop() == 0


ELSEWHERE = """
import sys, numba, numpy as np, fastshallow as fs
sys.path.append(sys.argv[1])
import test_user_code_refused as t
net = t.network()
net.model
out, status = np.full((50, 4, 1), 7.0), np.zeros(50, np.int64)
t.many(net.params, net.layers, np.ones((50, 2)), np.nan, out, status)
assert numba.threading_layer() == "workqueue"
assert np.isnan(out).all() and status.all()
try:
    t.one(net.params, net.layers, np.ones(2), np.nan, out[0])
except ValueError:
    print("raised")
"""


def test_another_threading_layer():
    assert (
        run(["-c", ELSEWHERE, str(Path(__file__).parent)], NUMBA_THREADING_LAYER="workqueue")
        == "raised\n"
    )
