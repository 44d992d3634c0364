"""Drawn input of every kind: a right result, or a documented exception, and nothing changed.

What is right is what `naive.by_columns` gives in float64 for a network in float64; in float32, and
for numbers near the ends of the range, that nothing crashes, hangs or changes its arguments.
"""

from __future__ import annotations

import contextlib
import math
import warnings

import cases
import naive
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.exceptions import UndefinedMetricWarning

import fastshallow as fs

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 3.0, 1e-310, 5e-324, 1e-45, 1e38, 3.5e38, 1e300]
EDGES += [-1e300, 1.7e308, math.nan, math.inf, -math.inf]
TAME = st.floats(-4, 4, width=32)
WILD = st.sampled_from(EDGES) | TAME
ORDERS = ("C", "F", "strided", "reversed", "read_only")
DTYPES = ["f8", "f8", "f4", "f2", "i8", "u1", "?", "c16", "O", "U3", "M8[s]", ">f8"]

# What the documents name.
DOCUMENTED = (ValueError, TypeError, fs.DivergenceError, MemoryError)


def network_of(draw):
    """Draw an architecture, with parameters that are drawn too."""
    sizes = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=4)))
    hidden = [draw(st.sampled_from(cases.HIDDEN)) for _ in sizes[1:-1]]
    output, dtype = draw(st.sampled_from(cases.OUTPUTS)), draw(st.sampled_from(cases.DTYPES))
    net = fs.Network(sizes, hidden, output, dtype).init(seed=draw(st.integers(0, 99)))
    if draw(st.integers(0, 19)) == 0:
        with np.errstate(over="ignore"):
            net.params[draw(st.integers(0, net.params.size - 1))] = draw(st.sampled_from(EDGES))
    return net


def array_of(draw, shape, values):
    """Draw an array, mostly of this shape."""
    if draw(st.integers(0, 9)) == 0:
        shape = tuple(draw(st.lists(st.integers(0, 6), max_size=3)))
    array = draw(hnp.arrays(np.float64, shape, elements=values, fill=values))
    if draw(st.integers(0, 9)) == 0 and array.ndim == 2:
        array[...] = array[:, :1]  # constant features
    dtype = draw(st.sampled_from(DTYPES)) if draw(st.booleans()) else "f8"
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        with contextlib.suppress(ValueError, OverflowError):  # nan as an integer
            array = array.astype(dtype)
    if array.ndim == 2 and array.size:
        order = draw(st.sampled_from(ORDERS))
        if order == "strided":
            array = np.repeat(array, 2, axis=1)[:, ::2]
        elif order == "reversed":
            array = np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
        elif order == "F":
            array = np.asfortranarray(array)
    array.setflags(write=draw(st.booleans()))
    return array


def targets_of(draw, net, m):
    """Draw targets that the loss may be made for, or not."""
    output, n_y = net.output, net.sizes[-1]
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return array_of(draw, (n_y, m), WILD)
    if output == "softmax" and kind == 1:
        return np.eye(n_y)[:, draw(hnp.arrays(np.int64, m, elements=st.integers(0, n_y - 1)))]
    if output == "softmax":
        most = n_y - 1 + draw(st.integers(0, 1))
        return draw(hnp.arrays(np.int64, m, elements=st.integers(0, most)))
    low = 0 if output in ("sigmoid", "exp") else -4
    high = 1 if output == "sigmoid" else 4
    return array_of(draw, (n_y, m), st.floats(low, high, width=32))


@st.composite
def problems(draw):
    """Draw a network, X, Y and options."""
    net = network_of(draw)
    m = draw(st.integers(1, 70)) if draw(st.integers(0, 3)) == 0 else draw(st.integers(0, 6))
    X = array_of(draw, (net.sizes[0], m), WILD if draw(st.integers(0, 2)) == 0 else TAME)
    Y = targets_of(draw, net, m)
    options = {"n_threads": draw(st.sampled_from([None, 1, 2]))}
    if draw(st.booleans()):
        weight = draw(st.sampled_from(["any", "zero", "right"]))
        values = {"any": WILD, "zero": st.just(0.0), "right": st.integers(0, 3).map(float)}
        options["sample_weight"] = array_of(draw, (m,), values[weight])
    if draw(st.booleans()):
        options["alpha"] = draw(st.sampled_from([0.0, 0.5, 1e300, -1.0, math.nan, None, "1"]))
    return net, X, Y, options


def sound(net, X, Y, options):
    """Return X, Y, w and alpha in float64, if they are what the documents ask for, and tame."""
    w, alpha = options.get("sample_weight"), options.get("alpha", 0.0)
    m = X.shape[1] if X.ndim == 2 else 0
    tame = X.dtype.kind in "fiub" and X.ndim == 2 and X.size and X.shape[0] == net.sizes[0]
    if not tame or type(alpha) is not float or not 0 <= alpha < 1e3:
        return None
    if Y.dtype.kind not in "fiub":
        return None
    if net.output == "softmax" and Y.shape == (m,):
        if not np.isin(Y, np.arange(net.sizes[-1])).all():
            return None
        Y = np.eye(net.sizes[-1])[:, Y.astype(int)]
    if Y.shape == (m,) and net.sizes[-1] == 1:
        Y = Y.reshape(1, m)
    if Y.shape != (net.sizes[-1], m):
        return None
    right = {
        "sigmoid": lambda: (Y >= 0).all() and (Y <= 1).all(),
        "softmax": lambda: np.isin(Y, (0, 1)).all() and (Y.sum(axis=0) == 1).all(),
        "exp": lambda: bool((Y >= 0).all()),
    }
    values = [net.params, X, Y]
    if w is not None:
        if w.dtype.kind not in "fiub" or w.shape != (m,) or not (w >= 0).all():
            return None
        # 1e-310 is 0 in float32, and has no reciprocal in float64
        if w[w < 100].astype(net.dtype).sum(dtype=float) < np.finfo(net.dtype).tiny:
            return None
        values.append(w)
    exact = [np.asarray(value, float) for value in values]
    if not all(np.isfinite(value).all() and np.abs(value).max() < 100 for value in exact):
        return None
    if not right.get(net.output, lambda: True)():
        return None
    return exact[1], exact[2], exact[3] if w is not None else None, alpha


def unchanged(call, net, arrays):
    """Return what a call gives, or its documented exception; check that it changed nothing."""
    arrays = [a for a in (net.params, *arrays) if isinstance(a, np.ndarray)]
    before = [(a.tobytes(), a.shape, a.dtype, a.strides, a.flags.writeable) for a in arrays]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", UndefinedMetricWarning)  # R^2 of one example is nan
            result = call()
    except DOCUMENTED as error:
        assert str(error)
        result = error
    after = [(a.tobytes(), a.shape, a.dtype, a.strides, a.flags.writeable) for a in arrays]
    assert before == after
    return result


def check_cost(net, X, Y, options):
    """Compare J and its gradient with the notes' equations."""
    result = unchanged(
        lambda: net.cost_and_grad(X, Y, **options), net, [X, Y, options.get("sample_weight")]
    )
    exact = sound(net, X, Y, options)
    if exact is None:
        return
    assert isinstance(result, tuple), result
    if net.dtype == np.float32:
        return  # test_kernels has the bounds of float32
    X, Y, w, alpha = exact
    names = (*net.hidden, net.output)
    with np.errstate(all="ignore"):
        J, dW, db = naive.by_columns(*cases.exact_parameters(net), names, X, Y, w, alpha)
        scale = (
            1
            + np.abs(Y).max() ** 2
            + sum(np.abs(Z).max() for Z in naive.forward(*cases.exact_parameters(net), names, X)[0])
            ** 2
        )
    if not np.isfinite(J) or not all(np.isfinite(array).all() for array in (*dW, *db)):
        return
    kinks = {"relu", "leaky_relu"} & set(names)
    assert abs(result[0] - J) <= 1e-10 * max(scale, abs(J))
    for got, wanted in zip((*result[1].dW, *result[1].db), (*dW, *db), strict=True):
        if not kinks:  # where z = 0 both sides are right
            size = max(np.abs(wanted).max(), scale)
            assert np.abs(got - wanted).max() <= 1e-10 * size


def check_predictions(net, X):
    """Predict: shapes, and a class or a number."""
    result = unchanged(lambda: net.predict(X), net, [X])
    if not isinstance(result, Exception):
        assert result.shape[-1] == (X.shape[1] if X.ndim == 2 else 1)
        if net.output == "softmax":
            assert ((result >= 0) & (result < net.sizes[-1])).all()


def check_training(net, X, Y, options, seed):
    """Train: finite parameters, or those from before."""
    arrays = [X, Y, options.get("sample_weight")]
    frozen = [a.tobytes() for a in arrays if isinstance(a, np.ndarray)]
    before = net.params.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # gradient_descent: the cost is not finite
        try:
            if seed % 3 == 0:
                fs.gradient_descent(net, X, Y, 0.1, 2, **options)
            else:
                rule = fs.Adam(0.01) if seed % 3 == 1 else fs.SGD(0.1)
                fs.train(net, X, Y, rule, 2, batch_size=1 + seed % 9, **options)
                assert np.isfinite(net.params).all()
        except fs.DivergenceError:
            assert np.isfinite(net.params).all()
        except DOCUMENTED as error:
            assert str(error) and net.params.tobytes() == before.tobytes()
    assert frozen == [a.tobytes() for a in arrays if isinstance(a, np.ndarray)]


def examine(problem, seed):
    """Put one problem through everything that takes X and Y."""
    net, X, Y, options = problem
    check_cost(net, X, Y, options)
    check_predictions(net, X)
    unchanged(lambda: net.score(X, Y, options.get("sample_weight")), net, [X, Y])
    check_training(net, X, Y, options, seed)


COMMON = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


@settings(max_examples=250, **COMMON)
@given(problems(), st.integers(0, 1000))
def test_drawn_input(problem, seed):
    examine(problem, seed)


@pytest.mark.slow
@settings(max_examples=20_000, **COMMON)
@given(problems(), st.integers(0, 1000))
def test_much_drawn_input(problem, seed):
    examine(problem, seed)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-1, 4) | st.floats() | st.text(max_size=2), max_size=4),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from([np.float64, object(), b"x", 1j, np.int8(3), np.array(2.0), np.array([]), {1}]),
)
ARGUMENTS = (
    *("optimizer", "epochs", "batch_size", "shuffle", "seed", "alpha", "sample_weight"),
    *("validation", "callbacks", "schedule", "n_threads", "resume", "on_interrupt"),
)


@settings(max_examples=200, **COMMON)
@given(st.sampled_from(ARGUMENTS), ANYTHING)
def test_any_argument_of_train(name, value):
    if name == "epochs" and type(value) is int and value > 10:
        return  # right, and long
    net = fs.Network((2, 3, 1), "tanh", dtype="float64").init(seed=0)
    before = net.params.copy()
    X, Y = np.linspace(-1, 1, 20).reshape(2, 10), np.arange(10) % 2
    try:
        fs.train(net, X, Y, **({"epochs": 1} | {name: value}))
    except (ValueError, TypeError) as error:
        assert name in str(error), error
        assert net.params.tobytes() == before.tobytes()


@settings(max_examples=200, **COMMON)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_any_argument_of_a_network(sizes, hidden, output, dtype, slope):
    for arguments in (
        {"sizes": sizes},
        {"sizes": (2, 3, 1), "hidden": hidden},
        {"sizes": (2, 1), "output": output},
        {"sizes": (2, 1), "dtype": dtype},
        {"sizes": (2, 1), "leaky_slope": slope},
    ):
        name = list(arguments)[-1]
        try:
            fs.Network(**arguments)
        except (ValueError, TypeError, MemoryError) as error:
            assert name in str(error), error


def test_weights_of_any_size():
    X, Y = np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, 1.0, 0.0]])
    net = fs.Network((1, 1), output="linear", dtype="float64").init(seed=0)
    wanted = net.score(X, Y, [1.0, 2.0, 1.0])
    assert net.score(X, Y, [4e307, 8e307, 4e307]) == wanted
    assert abs(net.score(X, Y, [1e-310, 2e-310, 1e-310]) - wanted) < 1e-12
    assert net.score(X, Y, [0.0, 1.0, 1e-310]) == -np.inf
    with pytest.raises(ValueError, match="sample_weight: expected numbers with a finite sum"):
        net.cost(X, Y, [1.7e308, 1.7e308, 0.0])
    with pytest.raises(ValueError, match=r"sample_weight: .* got zeros only, as float32"):
        fs.Network((1, 1)).init(seed=0).cost(X, Y, [1e-310, 0.0, 0.0])
    with pytest.raises(
        ValueError, match=r"sample_weight: .* a sum of 2.23e-308 or more, in float64; got 1e-310"
    ):
        net.cost(X, Y, [1e-310, 0.0, 0.0])
    with pytest.raises(
        ValueError, match=r"sample_weight: .* a sum of 1.18e-38 or more, in float32; got 1e-40"
    ):
        fs.Network((1, 1)).init(seed=0).cost(X, Y, [1e-40, 0.0, 0.0])


def test_sizes_beyond_all_memory():
    for sizes in ((2**40, 2**40), (2**62, 1), (10**30, 1), (1, 2**63)):
        with pytest.raises(MemoryError, match=r"sizes: .* want [0-9]+ bytes of parameters"):
            fs.Network(sizes)
