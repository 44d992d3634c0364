"""What the estimators refuse, in scikit-learn's words where it has some; nothing is half done."""

from __future__ import annotations

import re

import numpy as np
import pytest
from peer import PEERS, QUICK, data, fitted
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError

import fastshallow as fs

CLASSIFIER, REGRESSOR = fs.ShallowClassifier, fs.ShallowRegressor


@pytest.mark.parametrize("ours", PEERS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"hidden_layer_sizes": (3, 0)},
        {"hidden_layer_sizes": -1},
        {"alpha": -1},
        {"activation": "swish"},
        {"solver": "newton"},
        {"batch_size": 0},
        {"momentum": 2},
        {"validation_fraction": 1.0, "early_stopping": True},
        {"early_stopping": True, "validation_fraction": 0.001},
    ],
    ids=str,
)
def test_errors_are_theirs(ours, arguments):
    X, y = data("iris")
    told = []
    for estimator in (ours(random_state=0, **arguments), PEERS[ours](random_state=0, **arguments)):
        with pytest.raises(ValueError) as error:
            estimator.fit(X, y)
        # ours know more names
        text = str(error.value).replace("Shallow", "MLP").replace("'leaky_relu', ", "")
        told.append((type(error.value), text.split("Got")[0].split(" among ")[0]))
    assert told[0] == told[1]


@pytest.mark.parametrize("ours", PEERS)
@pytest.mark.parametrize("sizes", [(3.5,), [[3, 4]], ["a"], [True]], ids=str)
def test_layers_that_are_no_integers(ours, sizes):
    with pytest.raises(TypeError, match="hidden_layer_sizes: expected an integer >= 1; got"):
        ours(hidden_layer_sizes=sizes).fit(*data("iris"))


def test_numbers_that_are_strings():
    X, y = data("regression")
    with pytest.raises(ValueError, match="y: expected numbers; got dtype <U"):
        REGRESSOR(**QUICK).fit(X, y.astype(str))


@pytest.mark.parametrize("ours", PEERS)
def test_not_fitted(ours):
    X, _ = data("iris")
    for method in ("predict", "predict_proba")[: 2 if ours is CLASSIFIER else 1]:
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            getattr(ours(), method)(X)
    with pytest.raises(AttributeError, match="has no attribute 'coefs_'"):
        _ = ours().coefs_


def test_errors_of_prediction():
    X, _ = data("iris")
    model = fitted()
    for bad, message in (
        (X[:, :3], "X has 3 features, but ShallowClassifier is expecting 4 features as input"),
        (np.full((1, 4), np.nan), "Input X contains NaN"),
        (np.full((1, 4), np.inf), "Input X contains infinity"),
        (np.full((800, 4), np.nan), "Input X contains NaN"),
        (X[0], "Expected 2D array, got 1D array instead"),
        (X[:0], re.escape("Found array with 0 sample(s)")),
        (np.full((1, 4), "a"), "could not convert string to float"),
    ):
        for method in (model.predict, model.predict_proba):
            with pytest.raises(ValueError, match=message):
                method(bad)
    with pytest.raises(ValueError, match="X: expected finite float32 numbers"):
        fitted(dtype="float32").predict(np.full((1, 4), 1e300))


@pytest.mark.parametrize("ours", PEERS)
def test_sparse_is_refused(ours):
    X, y = data("iris")
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        ours().fit(csr_array(X), y)
    with pytest.raises(TypeError, match="Sparse data was passed for X"):
        fitted(ours).predict(csr_array(X))


def test_partial_fit_is_refused():
    X, y = data("iris")
    for ours in PEERS:
        assert not hasattr(ours(solver="lbfgs"), "partial_fit")
        with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
            fitted(ours, early_stopping=True).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"`y` has classes not in `self\.classes_`"):
        fitted().partial_fit(X, y + 1)
    with pytest.raises(ValueError, match=r"class_weight: .* got 'balanced'"):
        CLASSIFIER(**QUICK, class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_warm_start_refuses_another_network():
    X, y = data("iris")
    model = fitted(warm_start=True)
    before = model.net_.params.copy()
    with pytest.raises(ValueError, match=r"hidden_layer_sizes: expected .*\(4, 8, 3\).* got"):
        model.set_params(hidden_layer_sizes=(9,)).fit(X, y)
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same"):
        model.set_params(hidden_layer_sizes=(8,)).fit(X, y % 2)
    assert np.array_equal(model.net_.params, before)


def test_weights_that_are_refused():
    X, y = data("iris")
    for bad in (np.zeros(150), -np.ones(150), np.ones(149), np.full(150, np.nan)):
        with pytest.raises(ValueError, match=r"(?i)weight"):
            CLASSIFIER(**QUICK).fit(X, y, sample_weight=bad)


def test_poisson_refuses_negative_targets():
    with pytest.raises(ValueError, match=r"y: expected values >= 0 for loss='poisson'; got -1"):
        REGRESSOR("poisson", random_state=0).fit([[1.0], [2]], [1, -1])


def test_eval_sets_that_are_refused():
    X, y = data("iris")
    for bad, error, message in (
        (X, TypeError, r"eval_set: expected \(X, y\) or"),
        ((X,), TypeError, r"eval_set: expected \(X, y\) or"),
        ((X[:, :2], y), ValueError, "eval_set: X has 2 features"),
        ((X[:9], y), ValueError, "eval_set: Found input variables with inconsistent numbers"),
        ((X, y + 1), ValueError, "eval_set: `y` has classes not in"),
    ):
        with pytest.raises(error, match=message):
            CLASSIFIER(**QUICK).fit(X, y, eval_set=bad)
    X, y = data("regression")
    with pytest.raises(ValueError, match=r"eval_set: Y: expected shape \(1, 250\)"):
        REGRESSOR(**QUICK).fit(X, y, eval_set=(X, np.c_[y, y]))


def test_callbacks_that_are_none():
    with pytest.raises(TypeError, match=r"callbacks\[1\]: expected an object with a method"):
        fitted(callbacks=[fs.EarlyStopping(), 3])
    with pytest.raises(ValueError, match="The 'callbacks' parameter of ShallowClassifier must be"):
        fitted(callbacks=fs.EarlyStopping())


REFUSED = {
    "eval_set": ({}, {"eval_set": (np.ones((3, 9)), np.ones(3))}),
    "eval_set's y": ({}, {"eval_set": (np.ones((3, 4)), np.full(3, "a"))}),
    "X": ({}, {"X": np.full((150, 7), np.nan)}),
    "y": ({}, {"y": np.arange(7)}),
    "sample_weight": ({}, {"sample_weight": -np.ones(150)}),
    "no weight": ({}, {"sample_weight": np.zeros(150)}),
    "weights": ({}, {"sample_weight": np.ones(7)}),
    "layers": ({"hidden_layer_sizes": (0,)}, {}),
    "activation": ({"activation": ["tanh", "relu"]}, {}),
    "names": ({"activation": ["tanhh"]}, {}),
    "output": ({"output_activation": "logit"}, {}),
    "init": ({"init": "zeros"}, {}),
    "dtype": ({"dtype": "float16"}, {}),
    "callbacks": ({"callbacks": [3]}, {}),
    "class_weight": ({"class_weight": {7: 1.0}}, {}),
    "solver": ({"solver": "newton"}, {}),
    "validation": ({"early_stopping": True, "validation_fraction": 0.001}, {}),
}


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_leaves_the_model_as_it_was(what, warm_start):
    X, y = data("iris")
    arguments, named = REFUSED[what]
    model = fitted(warm_start=warm_start)
    kept, params = dict(vars(model)), model.net_.params.copy()
    model.set_params(**arguments)
    with pytest.raises((TypeError, ValueError)):
        model.fit(**{"X": X, "y": y} | named)
    model.set_params(**{name: kept[name] for name in arguments})
    assert all(vars(model)[name] is value for name, value in kept.items())
    assert vars(model).keys() == kept.keys()
    assert np.array_equal(model.net_.params, params)


def test_a_first_partial_fit_that_is_refused_is_none():
    X, y = data("iris")
    model = CLASSIFIER(**QUICK)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.partial_fit(np.full_like(X, np.nan), y, classes=[0, 1, 2])
    assert not hasattr(model, "classes_")
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
