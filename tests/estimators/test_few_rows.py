"""Few rows and many: two ways to a prediction, of which nobody can tell which one was taken.

What the way through scikit-learn's validation and the kernels for many examples answers is right:
type, dtype, shape, order in memory, bits, or the error.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

import fastshallow as fs
from fastshallow.estimators import base, classifier, regressor
from fastshallow.network import network

N_X = 6
# The last number of rows of the one way, and the first of the other.
BELOW = network.FEW_VALUES // N_X
ROWS = (1, 2, BELOW, BELOW + 1)


def only_the_long_way(patch):
    """Leave nothing of the short way."""
    for module in (network, classifier, regressor, base):
        patch.setattr(module, "FEW_VALUES", -1)
    patch.setattr(base.BaseShallow, "_plain", lambda self, X: None)


def facts(value):
    """Return all that can be seen of an answer."""
    if scipy.sparse.issparse(value):
        value = value.tocsr()
        return type(value), value.dtype, value.shape, value.toarray().tolist()
    flags = value.flags
    order = flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned
    return type(value), value.dtype, value.shape, order, value.tolist()


def answer(function, *arguments):
    """Return the facts of what a call returns, or of its error and warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = facts(function(*arguments))
        except Exception as error:
            found = type(error), str(error)
    return found, [str(warning.message) for warning in caught]


def targets(name, X):
    """Return targets of a kind."""
    step = X[:, 0] + X[:, 1] ** 2
    binary = (step > 0.5).astype(int)
    several = np.digitize(step, [0.0, 1.0, 2.0])
    labels = np.column_stack([binary, X[:, 2] > 0, X[:, 3] > 0]).astype(int)
    return {
        "binary": binary,
        "column": binary.reshape(-1, 1),
        "strings": np.array(["no", "yes"])[binary],
        "objects": np.array(["no", "yes"], object)[binary],
        "bools": binary.astype(bool),
        "floats": binary * 2.0 - 1,
        "one class": np.full(len(X), 3),
        "several": several,
        "several strings": np.array(list("dbca"))[several],
        "labels": labels,
        "sparse labels": scipy.sparse.csr_matrix(labels),
        "sparse array": scipy.sparse.csc_array(labels),
        "against the rest": several,
        "number": step,
        "number column": step.reshape(-1, 1),
        "numbers": np.column_stack([step, X[:, 2]]),
        "counts": np.abs(step),
        "relu": np.abs(step),
    }[name]


SETTINGS = {
    "against the rest": {"output_activation": "logistic"},
    "counts": {"loss": "poisson"},
    "relu": {"output_activation": "relu"},
}
NUMBERS = ("number", "number column", "numbers", "counts", "relu")
CLASSES = (
    *("binary", "column", "strings", "objects", "bools", "floats", "one class", "several"),
    *("several strings", "labels", "sparse labels", "sparse array", "against the rest"),
)


def drawn():
    return np.random.default_rng(0).standard_normal((BELOW + 2, N_X))


def fitted(name, dtype):
    """Return an estimator that has seen targets of a kind."""
    X = drawn()[:200]
    kind = fs.ShallowRegressor if name in NUMBERS else fs.ShallowClassifier
    model = kind(
        hidden_layer_sizes=(5,), max_iter=3, random_state=0, dtype=dtype, **SETTINGS.get(name, {})
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, targets(name, X))


def inputs():
    """Return X of every kind, by its description; all of BELOW + 2 rows."""
    X = drawn()
    wide = np.zeros((2 * len(X), 2 * N_X))
    wide[::2, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        **{f"float{bits}": X.astype(f"f{bits // 8}") for bits in (16, 32, 64)},
        **{"int": X.astype(int), "bool": X > 0, "other end": X.astype(">f8")},
        "columns": np.asfortranarray(X),
        "slices": wide[::2, ::2],
        "backwards": X[::-1, ::-1],
        "read-only": read_only,
        "objects": X.astype(object),
        "frame": pd.DataFrame(X, columns=list("abcdef")),
        "beyond float32": X * np.where(np.arange(N_X) == 1, 1e300, 1),
        "nan": np.where(np.arange(N_X) == 4, np.nan, X),
        "inf": np.where(np.arange(N_X) == 4, np.inf, X),
        "narrow": X[:, :-1],
        "text": X.astype(str).astype(object),
        "complex": X + 0j,
        "sparse": scipy.sparse.csr_matrix(X),
    }


def some(X, rows):
    return X.iloc[:rows] if isinstance(X, pd.DataFrame) else X[:rows]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CLASSES + NUMBERS)
def test_few_rows_are_answered_as_many(name, dtype, monkeypatch):
    model = fitted(name, dtype)
    methods = ["predict"] + ["predict_proba", "predict_log_proba"] * (name in CLASSES)
    cases = [(kind, rows, some(X, rows)) for kind, X in inputs().items() for rows in ROWS]
    X = drawn()
    cases += [
        *(("empty", 0, X[:0]), ("one dimension", 1, X[0]), ("three", 1, X[None, :2])),
        *(("list", 2, X[:2].tolist()), ("nothing", 0, None), ("number", 0, np.array(1.0))),
    ]
    found = {
        (kind, rows, method): answer(getattr(model, method), given)
        for kind, rows, given in cases
        for method in methods
    }
    only_the_long_way(monkeypatch)
    for kind, rows, given in cases:
        for method in methods:
            wanted = answer(getattr(model, method), given)
            assert found[kind, rows, method] == wanted, (kind, rows, method)


@pytest.mark.parametrize("name", CLASSES + NUMBERS)
def test_a_row_more_changes_nothing_of_the_others(name):
    model, X = fitted(name, "float64"), drawn()
    for method in ["predict"] + ["predict_proba"] * (name in CLASSES):
        few, many = (getattr(model, method)(X[:rows]) for rows in (BELOW, BELOW + 1))
        kind, dtype, _, *order, values = facts(few)
        other, other_dtype, _, *other_order, others = facts(many)
        assert (kind, dtype, order) == (other, other_dtype, other_order)
        assert values == others[:-1]


OUTPUTS = ("sigmoid", "softmax", "linear", "relu", "exp")


@pytest.mark.parametrize("n_y", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_network_answers_few_examples_as_many(output, dtype, n_y, monkeypatch):
    net = fs.Network((N_X, 5, n_y), "tanh", output, dtype).init(seed=0)
    given = {kind: np.asarray(X).T for kind, X in inputs().items() if kind != "sparse"}
    given |= {"rows": drawn(), "many of float32": np.ascontiguousarray(given["float32"])}
    cases = [(kind, X[..., :rows]) for kind, X in given.items() for rows in ROWS]
    x = drawn()[0].astype(dtype)
    cases += [("one", x), ("a number", np.array(1.0, dtype)), ("none", x[:0]), ("short", x[:3])]
    cases += [("three", x.reshape(N_X, 1, 1)), ("nothing", np.empty((N_X, 0), dtype))]

    def calls(X):
        yield net.predict, (X,)
        if output in ("sigmoid", "softmax"):
            yield net.predict_proba, (X,)
        # 0.1 is another number in float32
        value = float(np.ravel(net.predict_proba(x))[0]) if output in network.CLASSIFIERS else 0.1
        for threshold in (0.1, 0, value, 1e300, -1e300, float("nan"), np.float32(0.3), "0.5"):
            yield net.predict, (X, threshold)
            m = X.shape[-1] if X.ndim == 2 else 1
            shape = (m,) if output == "softmax" else (n_y, m)
            kinds = (dtype, "f2", "i8", "i4", "bool", ">f8")
            for out in (
                *(np.full(shape, 7, kind) for kind in kinds),
                *(np.full(shape, 7, dtype, "F"), np.full((*shape[:-1], m + 1), 7.0)),
                *(np.full((2, m), 7, dtype), np.full(m, 7, "i8"), [7]),
            ):
                yield written, (X, threshold, out)

    def written(X, threshold, out):
        """Return what is in ``out`` then, refused or not."""
        out = np.copy(out, "K") if isinstance(out, np.ndarray) else out
        before = np.copy(out)
        try:
            assert net.predict(X, threshold, out=out) is out
        except Exception:
            assert np.array_equal(out, before)
            raise
        return out

    found = [answer(*call) for _, X in cases for call in ((f, *a) for f, a in calls(X))]
    only_the_long_way(monkeypatch)
    wanted = [answer(*call) for _, X in cases for call in ((f, *a) for f, a in calls(X))]
    named = [(kind, X.shape, a[1:]) for kind, X in cases for _, a in calls(X)]
    for one, other, which in zip(found, wanted, named, strict=True):
        assert one == other, which
