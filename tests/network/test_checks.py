"""Bad input: one clear exception that names the argument, and nothing changed."""

from __future__ import annotations

import functools

import cases
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastshallow as fs
from fastshallow.kernels.activations import HIDDEN
from fastshallow.network import checks

M = 6
NAN, INF = float("nan"), float("inf")
NAMES = ", ".join(HIDDEN)


def good(output="sigmoid", dtype="float64"):
    """Return a network, X and Y that nothing is wrong with."""
    rng = np.random.default_rng(0)
    n_y = 1 if output == "sigmoid" else 3
    net = fs.Network((2, 4, n_y), "tanh", output, dtype).init(seed=0)
    return net, rng.standard_normal((2, M)), cases.draw_targets(rng, output, n_y, M)


def refused(call, net, arrays, error, message):
    """Check that the call raises this message, and changes neither parameters nor inputs."""
    before = [np.array(a, copy=True) for a in (net.params, *arrays)]
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    for was, now in zip(before, (net.params, *arrays), strict=True):
        assert np.asarray(now).tobytes() == was.tobytes()


def refused_everywhere(net, X, Y, error, message, **options):
    """Check that every method that takes X and Y refuses them."""
    calls = [
        lambda: net.cost(X, Y, **options),
        lambda: net.cost_and_grad(X, Y, n_threads=2, **options),
        lambda: net.backward(X, Y, **options),
        lambda: fs.gradient_descent(net, X, Y, 0.1, 3, **options),
    ]
    if net.dtype == np.float64:  # the check computes in float64, and says so
        calls.append(lambda: fs.gradient_check(net, X, Y, **options))
    for call in calls:
        arrays = [a for a in (X, Y, *options.values()) if isinstance(a, np.ndarray)]
        refused(call, net, arrays, error, message)


def with_value(array, value, at=-1):
    """Return a copy of the array with one value replaced."""
    array = np.array(array)
    array.flat[at] = value
    return array


X_SHAPE = "X: expected shape (2, m) with examples as columns, or (2,) for one example; got "
WRONG_X = [
    (np.ones((M, 2)), ValueError, X_SHAPE + "shape (6, 2); did you mean X.T?"),
    (np.ones((3, M)), ValueError, X_SHAPE + "shape (3, 6)"),
    (np.ones(3), ValueError, X_SHAPE + "shape (3,)"),
    (np.ones((2, M, 1)), ValueError, X_SHAPE + "shape (2, 6, 1)"),
    (1.0, ValueError, X_SHAPE + "shape ()"),
    (np.ones((2, 0)), ValueError, X_SHAPE + "an empty array, shape (2, 0)"),
    ([], ValueError, "X: expected"),
    (np.full((2, M), "a"), TypeError, "X: expected real numbers; got dtype <U1"),
    (np.full((2, M), None), TypeError, "X: expected real numbers; got dtype object"),
    (np.ones((2, M), complex), TypeError, "X: expected real numbers; got dtype complex128"),
    (np.ones((2, M), "M8[s]"), TypeError, "X: expected real numbers; got dtype datetime64[s]"),
    ([[1, 2], [3]], ValueError, "X: expected an array of numbers"),
    (None, TypeError, "X: expected real numbers; got dtype object"),
]


@pytest.mark.parametrize(("X", "error", "message"), WRONG_X)
def test_wrong_x(X, error, message):
    net, _, Y = good()
    refused_everywhere(net, X, Y, error, message)
    arrays = [X] if isinstance(X, np.ndarray) else []
    for method in (net.predict, net.predict_proba, net.forward):
        refused(lambda method=method: method(X), net, arrays, error, message)
    refused(lambda: net.score(X, Y), net, arrays, error, message)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("value", "name"), [(NAN, "nan"), (INF, "inf"), (-INF, "-inf")])
def test_x_that_is_not_finite(value, name, dtype):
    net, X, Y = good(dtype=dtype)
    message = f"X: expected finite {dtype} numbers; got {name} at [1, 5] (1 such of 12)"
    for order in "CF":
        bad = np.array(with_value(X, value), order=order)
        refused_everywhere(net, bad, Y, ValueError, message)
        for method in (net.predict, net.predict_proba, net.forward):
            refused(functools.partial(method, bad), net, [bad], ValueError, message)


def test_x_too_large_for_float32():
    net, X, Y = good(dtype="float32")
    bad = with_value(X, 1e300, 0)
    message = "X: expected finite float32 numbers; got 1e+300 at [0, 0] (1 such of 12)"
    refused_everywhere(net, bad, Y, ValueError, message)
    refused(lambda: net.predict(bad), net, [bad], ValueError, message)
    refused(lambda: net.predict(np.full((2, 3), 10**300, object)), net, [], TypeError, "X: ")


@pytest.mark.parametrize("at", [0, 47, 48, 255, 256, 1500, 2999])
@pytest.mark.parametrize("which", ["X", "Y"])
def test_one_bad_value_among_many_is_found(at, which):
    # In any tile and block, first and last place, whoever computes it.
    net, _, _ = good()
    X, Y = np.ones((2, 3000)), np.ones((1, 3000))
    {"X": X, "Y": Y}[which][0, at] = NAN
    for n_threads in (1, 4):
        with pytest.raises(ValueError, match=rf"{which}: expected .* got nan at \[0, {at}\]"):
            net.cost(X, Y, n_threads=n_threads)
    if which == "X":
        with pytest.raises(ValueError, match=rf"got nan at \[0, {at}\]"):
            net.predict(X, n_threads=4)


WRONG_Y = [
    ("sigmoid", np.ones(5), ValueError, "Y: expected shape (1, 6) or (6,); got shape (5,)"),
    ("sigmoid", np.ones((6, 1)), ValueError, "Y: expected shape (1, 6) or (6,); got shape (6, 1)"),
    ("linear", np.ones((6, 3)), ValueError, "Y: expected shape (3, 6); got shape (6, 3)"),
    ("linear", np.ones(6), ValueError, "Y: expected shape (3, 6); got shape (6,)"),
    (
        *("softmax", np.ones(3), ValueError),
        "Y: expected shape (3, 6), one-hot, or class numbers of shape (6,); got shape (3,)",
    ),
    ("sigmoid", np.ones((1, 0)), ValueError, "Y: expected shape (1, 6) or (6,); got an empty"),
    ("sigmoid", [], ValueError, "Y: expected shape (1, 6) or (6,); got"),
    ("sigmoid", 1.0, ValueError, "Y: expected shape (1, 6) or (6,); got shape ()"),
    ("sigmoid", list("abcdef"), TypeError, "Y: expected real numbers; got dtype <U1"),
    ("sigmoid", [None] * 6, TypeError, "Y: expected real numbers; got dtype object"),
    ("sigmoid", [[0, 1], [1]], ValueError, "Y: expected an array of numbers"),
    ("sigmoid", [0, 1, 0, 1, 0, 2], ValueError, "Y: expected labels between 0 and 1; got 2.0 at"),
    ("sigmoid", [0, 1, 0, 1, 0, -1], ValueError, "Y: expected labels between 0 and 1; got -1.0"),
    ("softmax", [0, 1, 2, 3, 0, 1], ValueError, "Y: expected class numbers 0 ... 2; got 3.0 at ex"),
    ("softmax", [0, 1, 2, -1, 0, 1], ValueError, "Y: expected class numbers 0 ... 2; got -1.0 at"),
    ("softmax", [0, 1, 0.5, 1, 0, 1], ValueError, "Y: expected class numbers 0 ... 2; got 0.5 at"),
    ("softmax", [0, 1, NAN, 1, 0, 1], ValueError, "Y: expected class numbers 0 ... 2; got nan at"),
    ("softmax", [0, 1, INF, 1, 0, 1], ValueError, "Y: expected class numbers 0 ... 2; got inf at"),
    ("softmax", np.ones((3, 6)), ValueError, "Y: expected one-hot columns: one 1 and else 0; got"),
    ("softmax", np.zeros((3, 6)), ValueError, "Y: expected one-hot columns: one 1 and else 0; got"),
    ("exp", with_value(np.ones((3, 6)), -1), ValueError, "Y: expected finite numbers >= 0; got -1"),
]


@pytest.mark.parametrize(("output", "Y", "error", "message"), WRONG_Y)
def test_wrong_y(output, Y, error, message):
    net, X, _ = good(output)
    refused_everywhere(net, X, Y, error, message)


@pytest.mark.parametrize("output", cases.OUTPUTS)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_y_that_is_not_finite(output, value):
    for dtype in cases.DTYPES:
        net, X, Y = good(output, dtype)
        refused_everywhere(net, X, with_value(Y, value), ValueError, "Y: expected ")


@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
@pytest.mark.parametrize("value", [NAN, INF])
def test_weights_that_are_not_finite(name, value):
    net, X, Y = good()
    getattr(net, name)[0, 0] = value
    message = f"{name}: expected finite parameters; got {value} at (0, 0)"
    refused_everywhere(net, X, Y, ValueError, message)
    for method in (net.predict, net.predict_proba, net.forward):
        refused(lambda method=method: method(X), net, [X], ValueError, message)


WEIGHTS = "sample_weight: expected finite numbers >= 0, not all of them 0; got "
WRONG_WEIGHTS = [
    (np.ones(5), ValueError, "sample_weight: expected shape (6,); got shape (5,)"),
    (np.ones((1, 6)), ValueError, "sample_weight: expected shape (6,); got shape (1, 6)"),
    (2.0, ValueError, "sample_weight: expected shape (6,); got shape ()"),
    ([], ValueError, "sample_weight: expected shape (6,); got shape (0,)"),
    (np.zeros(6), ValueError, WEIGHTS + "zeros only"),
    ([1, 1, -1, 1, 1, 1], ValueError, WEIGHTS + "-1 at 2"),
    ([1, 1, NAN, 1, 1, 1], ValueError, WEIGHTS + "nan at 2"),
    ([1, 1, INF, 1, 1, 1], ValueError, WEIGHTS + "inf at 2"),
    (["a"] * 6, TypeError, "sample_weight: expected real numbers; got dtype <U1"),
    (pd.Series([1, -2, 1, 1, 1, 1], index=list("abcdef")), ValueError, WEIGHTS + "-2 at 1"),
]


@pytest.mark.parametrize(("weight", "error", "message"), WRONG_WEIGHTS)
def test_wrong_sample_weight(weight, error, message):
    net, X, Y = good()
    refused_everywhere(net, X, Y, error, message, sample_weight=weight)


@pytest.mark.parametrize(("weight", "error", "message"), WRONG_WEIGHTS)
def test_score_refuses_what_cost_refuses(weight, error, message):
    for output in ("sigmoid", "softmax", "linear"):
        net, X, Y = good(output)
        refused(functools.partial(net.score, X, Y, weight), net, [X, Y], error, message)


@pytest.mark.parametrize(("output", "Y", "error", "message"), WRONG_Y)
def test_score_refuses_wrong_y(output, Y, error, message):
    net, X, _ = good(output)
    refused(lambda: net.score(X, Y), net, [X], error, message)


@pytest.mark.parametrize(
    ("alpha", "error", "got"),
    [
        (-1.0, ValueError, "got -1.0"),
        (NAN, ValueError, "got nan"),
        (INF, ValueError, "got inf"),
        (10**400, ValueError, "got 1000"),
        ("1", TypeError, "got '1' of type str"),
        (None, TypeError, "got None of type NoneType"),
        (True, TypeError, "got True of type bool"),
        (1j, TypeError, "got 1j of type complex"),
    ],
)
def test_wrong_alpha_and_learning_rate(alpha, error, got):
    net, X, Y = good()
    wanted = "expected a finite number >= 0; "
    refused_everywhere(net, X, Y, error, f"alpha: {wanted}{got}", alpha=alpha)
    message = f"learning_rate: {wanted}{got}"
    refused(lambda: fs.gradient_descent(net, X, Y, alpha, 3), net, [X, Y], error, message)


@pytest.mark.parametrize(
    ("n_iter", "error"),
    [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("3", TypeError), (True, TypeError)],
)
def test_wrong_n_iter(n_iter, error):
    net, X, Y = good()
    message = f"n_iter: expected an integer >= 1; got {n_iter!r}"
    refused(lambda: fs.gradient_descent(net, X, Y, 0.1, n_iter), net, [X, Y], error, message)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sizes": (3,)}, ValueError, "sizes: expected (n_x, ..., n_y), two numbers or more"),
        ({"sizes": ()}, ValueError, "sizes: expected (n_x, ..., n_y), two numbers or more"),
        ({"sizes": 3}, TypeError, "sizes: expected (n_x, ..., n_y)"),
        ({"sizes": None}, TypeError, "sizes: expected (n_x, ..., n_y)"),
        ({"sizes": (3, 0, 1)}, ValueError, "sizes[1]: expected an integer >= 1; got 0"),
        ({"sizes": (3, 2.0)}, TypeError, "sizes[1]: expected an integer >= 1; got 2.0 of type fl"),
        ({"sizes": "34"}, TypeError, "sizes[0]: expected an integer >= 1; got '3' of type str"),
        (
            {"sizes": (3, 4, 1), "hidden": "logistic"},
            *(
                ValueError,
                f"hidden: expected one of {NAMES}; got 'l",
            ),
        ),
        (
            {"sizes": (3, 4, 1), "hidden": ["softmax"]},
            ValueError,
            f"hidden: expected one of {NAMES}",
        ),
        ({"sizes": (3, 4, 1), "hidden": []}, ValueError, "hidden: expected one name, or 1 for"),
        ({"sizes": (3, 4, 1), "hidden": None}, TypeError, "hidden: expected"),
        ({"sizes": (3, 4, 1), "hidden": [3]}, ValueError, f"hidden: expected one of {NAMES}"),
        (
            {"sizes": (3, 1), "output": "tanh"},
            *(
                ValueError,
                "output: expected one of sigmoid, softmax, linear, relu, exp; got 'tanh'",
            ),
        ),
        ({"sizes": (3, 1), "dtype": "float16"}, ValueError, "dtype: expected float32 or float64"),
        ({"sizes": (3, 1), "dtype": "flaot"}, ValueError, "dtype: expected float32 or float64"),
        ({"sizes": (3, 1), "dtype": ">f8"}, ValueError, "dtype: expected float32 or float64"),
        ({"sizes": (3, 1), "dtype": None}, ValueError, "dtype: expected float32 or float64"),
        ({"sizes": (3, 1), "leaky_slope": -0.1}, ValueError, "leaky_slope: expected a finite"),
        ({"sizes": (3, 1), "leaky_slope": "a"}, TypeError, "leaky_slope: expected a finite"),
    ],
)
def test_wrong_network(arguments, error, message):
    with pytest.raises(error) as caught:
        fs.Network(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("layout", cases.LAYOUTS)
def test_inputs_are_never_modified(layout, dtype):
    net, X, Y = good(dtype=dtype)
    laid = [cases.lay_out(a, layout, dtype) for a in (X, Y)]
    w = cases.lay_out(np.full((1, M), 2.0), layout, dtype)
    w = np.asarray(w)[0]
    before = [np.array(a, copy=True) for a in (*laid, w)]
    if layout in ("int", "bool", "float16"):
        laid[1] = (np.asarray(laid[1]) > 0).astype(layout)
        before[1] = laid[1].copy()
    net.cost_and_grad(*laid, sample_weight=w)
    net.predict(laid[0])
    fs.gradient_descent(net, *laid, 0.1, 3, sample_weight=w)
    net.score(*laid, w)
    for was, now in zip(before, (*laid, w), strict=True):
        assert np.array_equal(was, np.asarray(now))


ODD = {
    "big-endian": lambda X: X.astype(">f8"),
    "not aligned": lambda X: np.frombuffer(b"x" + X.tobytes(), "u1")[1:].view("f8").reshape(2, M),
    "broadcast": lambda X: np.broadcast_to(X[:, :1], (2, M)),
    "broadcast row": lambda X: np.broadcast_to(X[:1], (2, M)),
    "record field": lambda X: np.rec.fromarrays([X, X > 0], names="x,flag").x,
    "matrix slice": lambda X: np.dstack([X, X])[:, :, 1],
    "long double": lambda X: X.astype(np.longdouble),
    "masked": np.ma.masked_array,
}


@pytest.mark.parametrize("kind", list(ODD))
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_odd_memory_is_read_right(kind, dtype):
    net, X, Y = good(dtype=dtype)
    odd = ODD[kind](X)
    assert net.cost(odd, Y) == net.cost(np.array(odd, "f8"), Y)
    assert np.array_equal(net.predict(odd), net.predict(np.array(odd, "f8")))


@pytest.mark.parametrize("layout", [*cases.MEMORY, "broadcast", "row", "column", "one"])
def test_flat_rows_finds_every_value(layout, rng):
    array = rng.standard_normal((3, 4))
    if layout in cases.MEMORY:
        array = cases.lay_out(array, layout, "float64")
    array = {
        "broadcast": np.broadcast_to(array[:, 1:2], (3, 4)),
        "row": array[1:2, ::-1],
        "column": array[::-1, 2:3],
        "one": array[2:, 3:],
    }.get(layout, array)
    data, start, row, col = checks.flat_rows(array)
    assert data.ndim == 1
    assert data.flags.c_contiguous
    assert not data.flags.writeable
    for (j, i), value in np.ndenumerate(array):
        assert data[start + i * row + j * col] == value


# Warnings ------------------------------------------------------------------------------------


ONE_EPOCH = fs.ShallowClassifier((2,), max_iter=1, random_state=0)


def unconverged(_):
    """Fit for one epoch, which warns."""
    return ONE_EPOCH.fit(np.eye(4), [0, 1, 0, 1])


def nested(_):
    """Fit within an estimator of scikit-learn."""
    return make_pipeline(StandardScaler(), ONE_EPOCH).fit(np.eye(4), [0, 1, 0, 1])


def diverged(net):
    """Descend too fast."""
    return fs.gradient_descent(net, [[1.0, 2.0]], [2.0, 4.0], 1e30, 9)


@pytest.mark.parametrize("work", [unconverged, nested, diverged])
def test_a_warning_names_the_users_line(work):
    net = fs.Network((1, 1), output="linear").init(seed=0)
    with pytest.warns(Warning) as caught:
        work(net)
    first = work.__code__.co_firstlineno
    assert {warning.filename for warning in caught} == {__file__}
    assert all(first < warning.lineno <= first + 4 for warning in caught)
