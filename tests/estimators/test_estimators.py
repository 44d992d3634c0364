"""The estimators: what they have beyond scikit-learn's, and what they take."""

from __future__ import annotations

import copy
import json
import pickle
import warnings

import joblib
import numpy as np
import pytest
from cases import by_dict
from peer import NUMBERS, PEERS, QUICK, both, data, difference, fitted, mine, quietly
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.utils import compute_sample_weight

import fastshallow as fs
from fastshallow.tables.columns import Column, Target

CLASSIFIER, REGRESSOR = fs.ShallowClassifier, fs.ShallowRegressor


# Warnings and messages -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["iris", "regression"])
def test_printed(name, capsys):
    for arguments in (
        {"tol": 0.1, "n_iter_no_change": 2},
        {"early_stopping": True, "n_iter_no_change": 2},
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "learning_rate_init": 1e-5,
            "tol": 1.0,
            "n_iter_no_change": 1,
        },
        {"solver": "sgd", "max_iter": 3},
    ):
        printed = []
        for estimator in both(name, **QUICK | {"max_iter": 40} | arguments, verbose=True):
            quietly(estimator.fit, *data(name))
            printed.append(capsys.readouterr().out)
        assert printed[0] == printed[1]
        assert "Iteration 3, loss = " in printed[0]


@pytest.mark.parametrize("name", ["iris", "regression"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"max_iter": 2},
        {"batch_size": 1000, "tol": 10.0},
        {"solver": "lbfgs", "max_iter": 2},
        {"solver": "lbfgs", "max_fun": 3},
        {"solver": "lbfgs", "tol": 100.0},
        {"early_stopping": True, "max_iter": 2},
        {"max_iter": 60, "tol": 0.5},
    ],
    ids=str,
)
def test_warnings(name, arguments):
    told = []
    for estimator in both(name, **QUICK | arguments):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            estimator.fit(*data(name))
        told.append([(w.category, str(w.message)) for w in caught])
    assert told[0] == told[1]


def test_a_batch_of_which_nothing_counts_is_left_out():
    # scikit-learn divides by the sum of its weights, which is 0, and raises ZeroDivisionError
    X, y = data("iris")
    weight = np.repeat([1.0, 0.0, 1.0], 50)
    model = CLASSIFIER(**QUICK | {"batch_size": 50, "shuffle": False})
    quietly(model.fit, X, y, sample_weight=weight)
    assert np.isfinite(model.loss_curve_).all()


def test_columns_that_should_be_flat():
    X, y = data("iris")
    for ours in PEERS:
        with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
            quietly(ours(**QUICK).fit, X, y.reshape(-1, 1))


# Inputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ours", PEERS)
def test_layouts(ours, tmp_path):
    X, y = data("iris")
    wanted = fitted(ours)
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.zeros((300, 8))
    wide[::2, ::2] = X
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for other in (np.asfortranarray(X), read_only, wide[::2, ::2], mapped, X.tolist()):
        model = quietly(ours(**QUICK).fit, other, y)
        assert difference(model, wanted) == 0
        assert np.array_equal(model.predict(other), wanted.predict(X))
        assert np.array_equal(model.predict(other[:1]), wanted.predict(X[:1]))
    assert np.array_equal(mapped, X)


@pytest.mark.parametrize("ours", PEERS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4", "u1", "?", ">f8"])
def test_dtypes(ours, dtype):
    X, y = data("iris")
    X = X.astype(dtype)
    model = quietly(ours(**QUICK).fit, X, y)
    wanted = np.dtype("f4" if dtype == "f4" else "f8")
    assert model.net_.dtype == wanted
    assert all(array.dtype == wanted for array in model.coefs_ + model.intercepts_)
    theirs = quietly(PEERS[ours](**QUICK).fit, X, y)
    assert difference(model, theirs) <= (1e-3 if dtype == "f4" else 1e-6)
    assert model.predict(X).dtype == theirs.predict(X).dtype
    for kind in ("float32", "float64", np.float32):
        model = quietly(ours(**QUICK, dtype=kind).fit, X, y)
        assert model.net_.dtype == np.dtype(kind)


def test_arguments_are_not_modified():
    X, y = data("iris")
    weight = np.linspace(1, 2, len(X))
    kept = [array.copy() for array in (X, y, weight)]
    quietly(CLASSIFIER(**QUICK, class_weight={0: 2.0}).fit, X, y, weight, eval_set=(X, y))
    assert all(np.array_equal(a, b) for a, b in zip((X, y, weight), kept, strict=True))


# The network ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ours", PEERS)
def test_coefs_are_views(ours):
    X, _ = data("iris")
    model = fitted(ours)
    net = model.net_
    assert isinstance(net, fs.Network)
    assert all(np.shares_memory(W, net.params) for W in model.coefs_ + model.intercepts_)
    model.coefs_[0] *= 0
    assert not net.W1.any()
    model.coefs_[1] = np.ones(model.coefs_[1].shape)
    assert (net.W2 == 1).all()
    model.intercepts_ = [np.full(b.shape, 3.0) for b in model.intercepts_]
    assert (net.b1 == 3).all()
    assert (net.b2 == 3).all()
    assert np.allclose(net.predict(X.T).T.reshape(150, -1)[:, 0], np.ravel(model.predict(X)))
    with pytest.raises(ValueError, match=r"expected shape \(4, 8\); got shape \(4, 9\)"):
        model.coefs_[0] = np.ones((4, 9))


def test_parameters_given_before_there_is_a_network():
    X, y = data("regression")
    source = fitted(REGRESSOR, "regression")
    model = REGRESSOR(**QUICK | {"max_iter": 1}, warm_start=True)
    model.coefs_, model.intercepts_ = list(source.coefs_), list(source.intercepts_)
    model.n_features_in_ = 10
    model.n_outputs_ = 1
    assert np.array_equal(model.predict(X), source.predict(X))
    quietly(model.fit, X, y)
    assert 0 < difference(model, source) < 0.1


def test_threads_change_no_bit():
    X, y = data("digits")
    one, two = (quietly(CLASSIFIER(**QUICK, n_threads=n).fit, X, y) for n in (1, 2))
    assert difference(one, two) == 0


# What is new ---------------------------------------------------------------------------------


def test_class_weights():
    X, y = data("iris")
    y = np.where(np.arange(150) < 120, y, 2)
    for weights in ("balanced", {0: 3.0, 2: 0.5}):
        factors = compute_sample_weight(weights, y)
        model = quietly(CLASSIFIER(**QUICK, class_weight=weights).fit, X, y)
        same = quietly(CLASSIFIER(**QUICK).fit, X, y, sample_weight=factors)
        assert difference(model, same) == 0
        half = np.linspace(0, 1, 150)
        model = quietly(model.fit, X, y, sample_weight=half)
        same = quietly(same.fit, X, y, sample_weight=half * factors)
        assert difference(model, same) == 0
    model = CLASSIFIER(**QUICK, class_weight={0: 3.0}).partial_fit(X, y, classes=[0, 1, 2])
    same = CLASSIFIER(**QUICK).partial_fit(X, y, compute_sample_weight({0: 3.0}, y), [0, 1, 2])
    assert difference(model, same) == 0


def test_activations():
    model = fitted(name="digits", hidden_layer_sizes=(9, 7), activation=["tanh", "leaky_relu"])
    assert model.net_.hidden == ("tanh", "leaky_relu")
    same = fitted(name="digits", hidden_layer_sizes=(9, 7), activation=["tanh", "tanh"])
    name = fitted(name="digits", hidden_layer_sizes=(9, 7), activation="tanh")
    assert difference(same, name) == 0
    assert fitted(activation="leaky_relu").net_.hidden == ("leaky_relu",)
    for bad, message in (
        (["tanh"], "activation: expected one name, or 2 for the hidden layers; got 1"),
        (["tanh", "swish"], "activation: expected one of identity, .*; got 'swish'"),
    ):
        with pytest.raises(ValueError, match=message):
            fitted(hidden_layer_sizes=(9, 7), activation=bad)


def test_outputs_that_are_chosen():
    X, y = data("regression")
    model = fitted(REGRESSOR, "regression", output_activation="relu", max_iter=60)
    assert model.predict(X).min() >= 0
    assert model.out_activation_ == "relu"
    X, y = data("iris")
    model = fitted(output_activation="logistic", solver="lbfgs", max_iter=100)
    assert model.net_.output == "sigmoid"
    assert model.score(X, y) > 0.95
    probabilities = model.predict_proba(X)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert np.array_equal(model.predict(X), probabilities.argmax(axis=1))
    assert np.array_equal(model.predict(X[:1]), probabilities[:1].argmax(axis=1))
    for ours, arguments, name in (
        (CLASSIFIER, {"output_activation": "softmax"}, "binary"),
        (REGRESSOR, {"output_activation": "exp"}, "regression"),
        (REGRESSOR, {"output_activation": "relu", "loss": "poisson"}, "counts"),
    ):
        with pytest.raises(ValueError, match="output_activation: expected 'auto' or"):
            fitted(ours, name, **arguments)


def test_initial_weights():
    start = [fitted(init=init, max_iter=1, learning_rate_init=1e-12) for init in ("course", "he")]
    assert np.abs(start[0].coefs_[0]).max() < 0.05
    assert 0.3 < np.abs(start[1].coefs_[0]).std() < 0.9
    assert difference(fitted(init="glorot"), fitted(init="glorot")) == 0
    assert difference(fitted(init="glorot"), fitted(init="glorot", random_state=1)) > 0


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("name", ["iris", "binary", "regression", "outputs"])
def test_eval_set(name, solver):
    X, y = data(name)
    chosen, rest = np.arange(0, len(X), 2), np.arange(1, len(X), 2)
    arguments = QUICK | {"solver": solver, "alpha": 5.0, "learning_rate_init": 0.05}
    model = mine(name, **arguments | {"restore_best": False, "max_iter": 25})
    quietly(model.fit, X[chosen], y[chosen], eval_set=(X[rest], y[rest]))
    assert len(model.eval_loss_curve_) == model.n_iter_ == len(model.loss_curve_)

    def loss(model):
        if name in NUMBERS:
            return mean_squared_error(y[rest], model.predict(X[rest])) / 2
        return log_loss(y[rest], model.predict_proba(X[rest]))

    assert np.isclose(model.eval_loss_curve_[-1], loss(model))
    curve = model.eval_loss_curve_
    quietly(
        model.set_params(restore_best=True).fit, X[chosen], y[chosen], eval_set=(X[rest], y[rest])
    )
    assert model.eval_loss_curve_ == curve
    assert np.isclose(loss(model), min(curve))
    weighted = quietly(model.fit, X, y, eval_set=(X, y, np.arange(len(X)) < 50))
    part = quietly(weighted.fit, X, y, eval_set=(X[:50], y[:50])).eval_loss_curve_
    assert np.allclose(part, weighted.eval_loss_curve_)


def test_eval_set_is_the_validation_set_of_early_stopping():
    X, y = data("iris")
    model = CLASSIFIER(**QUICK | {"max_iter": 200}, early_stopping=True, learning_rate_init=0.02)
    model.fit(X[::2], y[::2], eval_set=(X[1::2], y[1::2]))
    assert len(model.validation_scores_) == len(model.eval_loss_curve_) == model.n_iter_ < 200
    assert model.score(X[1::2], y[1::2]) == model.best_validation_score_


class Remember:
    def __init__(self, stop=-1):
        self.epochs, self.stop = [], stop

    def on_epoch_end(self, state):
        self.epochs.append((state.epoch, state.cost))
        return state.epoch == self.stop


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks(solver):
    X, y = data("iris")
    callback = Remember(stop=4)
    model = CLASSIFIER(**QUICK | {"max_iter": 50}, solver=solver, callbacks=[callback])
    model.fit(X, y)  # that it was stopped on purpose is worth no warning
    (called,) = model.callbacks_  # a copy: fit changes no parameter
    assert [epoch for epoch, _ in called.epochs] == [0, 1, 2, 3, 4]
    assert [cost for _, cost in called.epochs] == model.loss_curve_
    assert callback.epochs == [] and model.callbacks[0] is callback
    assert model.n_iter_ == 5


def test_ctrl_c():
    class Interrupt(Remember):
        def on_epoch_end(self, state):
            super().on_epoch_end(state)
            if state.epoch == 3:
                raise KeyboardInterrupt

    X, y = data("iris")
    for early_stopping in (False, True):
        model = CLASSIFIER(**QUICK, callbacks=[Interrupt()], early_stopping=early_stopping)
        with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
            model.fit(X, y)
        assert model.n_iter_ == len(model.loss_curve_) == 4
        assert model.predict(X).shape == (150,)
    # scikit-learn's leaves the fit too; here with all that there is of the iterations
    model.set_params(solver="lbfgs", callbacks=[Interrupt()])
    for eval_set in (None, (X, y)):
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y, eval_set=eval_set)
        assert model.n_iter_ == len(model.loss_curve_) == 4
        assert model.loss_ == model.loss_curve_[-1]
        assert model.net_.score(X.T, y) == model.score(X, y)


def test_progress(capsys):
    fitted(progress=True)
    assert "15/15" in capsys.readouterr().err


def test_loss_curve_of_lbfgs():
    model = fitted(solver="lbfgs", max_iter=10)
    assert len(model.loss_curve_) == 10
    assert model.loss_curve_[-1] == model.loss_
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 2 iteration"):
        model.set_params(max_iter=2).fit(*data("iris"))


# Estimators that come from somewhere else ------------------------------------------------------


def mapped(estimator, mode, folder):
    """Return an estimator whose arrays joblib maps from a file."""
    joblib.dump(estimator, folder / "estimator")
    return joblib.load(folder / "estimator", mmap_mode=mode)


def frozen(estimator, folder):
    """Return a copy whose solver has vectors that nobody can write to."""
    estimator = copy.deepcopy(estimator)
    estimator._optimizer.vectors.flags.writeable = False
    return estimator


WAYS = {
    "read": lambda e, folder: mapped(e, "r", folder),
    "write": lambda e, folder: mapped(e, "r+", folder),
    "private": lambda e, folder: mapped(e, "c", folder),
    "deepcopy": lambda e, folder: copy.deepcopy(e),
    "state": lambda e, folder: by_dict(e),
    "pickle": lambda e, folder: pickle.loads(pickle.dumps(e)),
    "frozen": frozen,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("make", [CLASSIFIER, REGRESSOR])
def test_training_goes_on_wherever_an_estimator_came_from(make, solver, way, tmp_path):
    X, y = data("iris" if make is CLASSIFIER else "regression")
    kind = make(
        hidden_layer_sizes=(20, 10), solver=solver, random_state=0, max_iter=3, warm_start=True
    )
    wanted = quietly(kind.fit, X, y)
    other = WAYS[way](wanted, tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert np.array_equal(other.predict(X), wanted.predict(X))
    for estimator in (other, wanted):
        estimator.partial_fit(X, y)
        quietly(estimator.fit, X, y)
    assert other.net_ == wanted.net_
    assert np.array_equal(other.predict(X), wanted.predict(X))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    other.coefs_[0][...] = 0
    assert not other.net_.W1.any() and wanted.net_.W1.any()


def goes_on(estimator, X, y):
    """Train in a worker of joblib; return the parameters."""
    return estimator.partial_fit(X, y).net_.params


def test_large_estimators_in_workers_of_joblib(rng):
    # above 1 MB joblib hands over maps, which are read-only
    X, y = rng.standard_normal((40, 500)), rng.standard_normal(40)
    estimator = REGRESSOR(hidden_layer_sizes=(600,), random_state=0).partial_fit(X, y)
    assert estimator._optimizer.vectors.nbytes > 1 << 20
    with joblib.parallel_config("loky", n_jobs=2):
        found = joblib.Parallel()(joblib.delayed(goes_on)(estimator, X, y) for _ in range(2))
    wanted = goes_on(estimator, X, y)
    assert all(np.array_equal(params, wanted) for params in found)


@pytest.mark.parametrize("make", [CLASSIFIER, REGRESSOR])
def test_a_state_of_a_version_with_fewer_attributes(make):
    X, y = data("iris" if make is CLASSIFIER else "regression")
    arguments = {"max_iter": 3, "random_state": 0, "hidden_layer_sizes": (5,)}
    estimator = quietly(make(**arguments).fit, X, y)
    wanted = estimator.predict(X)
    state = estimator.__getstate__()
    needed = {"net_", "classes_", "_label_binarizer", *arguments}
    for name in state.keys() - needed:
        other = object.__new__(make)
        other.__setstate__({key: value for key, value in state.items() if key != name})
        assert np.array_equal(other.predict(X), wanted), name
        assert set(other.get_params()) == set(estimator.get_params())
        other.net_ = other.net_.copy()
        for again in ({}, {"warm_start": True}):
            quietly(other.set_params(**again).fit, X, y)
            assert np.isfinite(other.predict(X)).all()
        other.partial_fit(X, y)
    few = object.__new__(make)
    few.__setstate__({key: state[key] for key in needed & state.keys()})
    assert np.array_equal(few.predict(X), wanted)
    few.partial_fit(X, y)


def test_a_state_whose_network_is_none():
    X, y = data("regression")
    estimator = quietly(REGRESSOR(hidden_layer_sizes=(5,), max_iter=2, random_state=0).fit, X, y)
    for wrong in (3, {"params": estimator.net_.params}, object.__new__(fs.Network)):
        with pytest.raises(TypeError, match="net_: expected a Network"):
            object.__new__(REGRESSOR).__setstate__({**estimator.__getstate__(), "net_": wrong})
    for wrong in (np.zeros(3), np.zeros((2, 3)), None):
        other = copy.deepcopy(estimator)
        other._optimizer.vectors = wrong
        with pytest.raises((TypeError, ValueError), match=r"state\.vectors: expected"):
            other.partial_fit(X, y)


def test_read_only_parameters_of_an_estimator():
    X, y = data("regression")
    estimator = quietly(REGRESSOR(max_iter=2, random_state=0, warm_start=True).fit, X, y)
    before, wanted = estimator.net_.copy(), estimator.predict(X)
    estimator.net_.params.flags.writeable = False
    for train in (estimator.partial_fit, estimator.fit):
        with pytest.raises(ValueError, match="params: expected writable"):
            train(X, y)
    with pytest.raises(ValueError, match=r"writable|read-only"):
        estimator.coefs_[0] = np.zeros(before.W1.T.shape)
    assert estimator.net_ == before
    assert np.array_equal(estimator.predict(X), wanted)
    estimator.set_params(warm_start=False)
    quietly(estimator.fit, X, y)  # a new network
    assert estimator.net_.params.flags.writeable


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "state"])
def test_copies_of_a_pipeline(way):
    net = fs.Network((3, 4, 1), "tanh").init(seed=0)
    columns = [
        Column("n", "number", 1.0, 2.0, fill=3.0),
        Column("t", "text", categories=("a", "b")),
    ]
    model = fs.Pipeline(net, columns, Target("y", "classification", (False, True)))
    other = WAYS[way](model, None)
    assert other == model and other is not model
    assert not np.shares_memory(other.net.params, net.params)
    state = model.__getstate__()
    assert json.loads(json.dumps({**state, "net": 0}, default=list)) is not None  # plain types
    for change in (
        {"net": None},
        {"net": fs.Network((4, 1))},
        {"columns": []},
        {"columns": [model.columns[0]]},
        {"target": {**state["target"], "classes": [0, 0]}},
        {"more": 1},
    ):
        with pytest.raises((TypeError, ValueError), match="expected"):
            object.__new__(fs.Pipeline).__setstate__(state | change)
