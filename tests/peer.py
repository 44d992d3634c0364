"""What the tests of the estimators share: data sets, and scikit-learn's model beside ours."""

from __future__ import annotations

import functools
import warnings

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    make_multilabel_classification,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import scale

import fastshallow as fs

# Largest difference of a parameter, over the largest parameter of its array.
EQUAL = 1e-6

# What is enough of a training for a test.
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0}

PEERS = {
    fs.ShallowClassifier: MLPClassifier,
    fs.ShallowRegressor: MLPRegressor,
}


@functools.cache
def data(name):
    """Return (X, y) of a data set by name, small enough for many fits."""
    if name in ("iris", "binary", "strings"):
        X, y = load_iris(return_X_y=True)
        labels = np.array(["setosa", "versicolor", "virginica"])
        return X, {"iris": y, "binary": y > 0, "strings": labels[y]}[name]
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return X[:300] / 16, y[:300]
    if name == "breast_cancer":
        X, y = load_breast_cancer(return_X_y=True)
        return scale(X), y
    if name == "multilabel":
        X, y = make_multilabel_classification(n_samples=150, n_features=10, random_state=0)
        return scale(X), y
    X, y = load_diabetes(return_X_y=True)
    X = scale(X[:250])
    return X, {
        "regression": scale(y[:250]),
        "outputs": np.c_[scale(y[:250]), X[:, 0] * X[:, 2], np.sin(X[:, 1])],
        "counts": np.floor(y[:250] / 50),
    }[name]


CLASSES = ("iris", "binary", "digits", "multilabel")
NUMBERS = ("regression", "outputs", "counts")


def estimator_for(name):
    """Return our class for a data set, and the arguments that it needs."""
    if name in NUMBERS:
        return fs.ShallowRegressor, {"loss": "poisson"} if name == "counts" else {}
    return fs.ShallowClassifier, {}


def mine(name, **arguments):
    """Return our estimator for a data set."""
    ours, needed = estimator_for(name)
    return ours(**{"random_state": 0} | needed | arguments)


def both(name, **arguments):
    """Return our estimator and scikit-learn's for a data set."""
    ours, needed = estimator_for(name)
    return mine(name, **arguments), PEERS[ours](**{"random_state": 0} | needed | arguments)


def quietly(method, *arguments, **named):
    """Call a method that may not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return method(*arguments, **named)


def fitted(ours=fs.ShallowClassifier, name="iris", **arguments):
    """Return one of our estimators after a `QUICK` training."""
    return quietly(ours(**QUICK | arguments).fit, *data(name))


def difference(ours, theirs):
    """Return the largest difference of an array, over that array's largest value."""
    pairs = zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def close(a, b):
    """Return whether two curves, numbers or Nones are the same but for rounding."""
    if a is None or b is None:
        return a is b
    return np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)


def assert_same(ours, theirs, X=None):
    """Compare the fitted models and all that they tell of themselves."""
    assert difference(ours, theirs) <= EQUAL
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert close(ours.loss_, theirs.loss_)
    for name in ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        if hasattr(theirs, name):
            assert close(getattr(ours, name), getattr(theirs, name)), name
    if X is None:
        return
    found, wanted = ours.predict(X), theirs.predict(X)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if hasattr(ours, "classes_"):
        assert np.array_equal(found, wanted)
        assert np.array_equal(ours.classes_, theirs.classes_)
        assert np.allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-6)
    else:
        assert np.allclose(found, wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())
