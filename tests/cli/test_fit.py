"""Training by options, without a command line."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastshallow as fs
from fastshallow.cli import report
from fastshallow.cli.fit import Recorder, estimator, fit
from fastshallow.cli.options import TrainOptions
from fastshallow.cli.prepare import prepare
from fastshallow.cli.report import plot_png
from fastshallow.tables.mistakes import Mistake

FEW = TrainOptions(hidden=(8,), epochs=3, quiet=True)


@pytest.fixture(scope="module")
def data():
    """Return the digits."""
    return prepare(FEW)


@pytest.mark.parametrize("make", [fs.ShallowClassifier, fs.ShallowRegressor])
def test_the_estimator_has_what_the_options_say(make):
    task = "classification" if make is fs.ShallowClassifier else "regression"
    defaults = make().get_params()
    found = estimator(task, TrainOptions(), Recorder()).get_params()
    changed = {name for name in found if found[name] != defaults[name]}
    assert changed == {"random_state", "callbacks", "progress"}
    options = TrainOptions(
        hidden=(8, 4),
        activation="tanh",
        solver="sgd",
        epochs=7,
        batch_size=9,
        learning_rate=0.5,
        alpha=0.0,
        early_stopping=True,
        seed=3,
        threads=2,
        quiet=True,
    )
    found = estimator(task, options, Recorder()).get_params()
    wanted = {
        "hidden_layer_sizes": (8, 4),
        "activation": "tanh",
        "solver": "sgd",
        "max_iter": 7,
        "batch_size": 9,
        "learning_rate_init": 0.5,
        "alpha": 0.0,
        "early_stopping": False,  # that goes by the score, and the command by the loss
        "random_state": 3,
        "n_threads": 2,
        "progress": False,
    }
    assert {name: found[name] for name in wanted} == wanted
    _, stopping = found["callbacks"]
    assert (stopping.patience, stopping.restore_best) == (10, False)
    assert stopping.get_state()["best_epoch"] == -1 and isinstance(stopping, fs.EarlyStopping)


def test_a_run_is_that_of_the_estimator(data, capsys):
    run = fit(data, FEW)
    learner = fs.ShallowClassifier(8, max_iter=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learner.fit(data.X, data.y)
    assert run.model.net == learner.net_
    assert run.model.names == [column.name for column in data.columns]
    assert run.loss == learner.loss_curve_ and len(run.loss) == 3
    assert (run.stopped, run.held_out_loss) == ("epochs", [])
    assert run.seconds > 0
    assert capsys.readouterr() == ("", "")


def test_a_plot_needs_the_loss_of_the_rows_held_out(data):
    run = fit(data, TrainOptions(hidden=(8,), epochs=3, quiet=True, plot="loss.png"))
    assert len(run.held_out_loss) == 3
    cost = run.model.net.cost(data.X_held_out.T, data.y_held_out.astype("f4"))
    assert run.held_out_loss[-1] == pytest.approx(float(cost), rel=1e-6)


def test_the_plot_of_the_digits_has_both_curves(data, monkeypatch):
    monkeypatch.setattr(report, "cost_png", lambda *given: given)
    run = fit(data, TrainOptions(hidden=(8,), epochs=3, quiet=True, plot="loss.png"))
    loss, _, held_out, *_ = plot_png(run, data)
    assert len(loss) == len(held_out) == 3 and np.isfinite(held_out).all()
    run.held_out_loss.pop()  # as after Ctrl-C
    assert np.isnan(plot_png(run, data)[2]).tolist() == [False, False, True]


def test_weights_that_are_not_finite_are_a_mistake(data):
    with pytest.raises(Mistake, match="try a --learning-rate smaller than 1e"):
        fit(data, TrainOptions(epochs=3, quiet=True, learning_rate=1e36))


def test_a_batch_of_more_than_the_rows_is_noted(data, capsys):
    few = TrainOptions(hidden=(), epochs=1, batch_size=2000, quiet=True)
    assert len(fit(data, few).loss) == 1
    noted = "fastshallow: warning: --batch-size 2000 is more than the rows: all are taken\n"
    assert capsys.readouterr().err == noted


def test_lbfgs_ends_when_it_does_not_improve():
    options = TrainOptions(solver="lbfgs", hidden=(), alpha=1.0, epochs=2000, quiet=True)
    run = fit(prepare(options), options)
    assert run.stopped == "converged"
    assert run.model.net.dtype == np.float64 and run.loss[-1] <= run.loss[0]
