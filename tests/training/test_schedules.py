"""Learning rates by step, against their formulas."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

import fastshallow as fs
from fastshallow.training.schedules import SCHEDULES, Plateau, schedule_of


def problem():
    """Return a small network and 10 examples: with batches of 4, 3 steps an epoch."""
    rng = np.random.default_rng(0)
    net = fs.Network((2, 1), output="linear", dtype="float64")
    return net, rng.standard_normal((2, 10)), rng.standard_normal(10)


def rates(schedule, epochs=5, learning_rate=1e-3, **options):
    """Return the learning rate of every epoch's last step."""
    net, X, Y = problem()
    optimizer = fs.SGD(learning_rate)
    options = {"batch_size": 4, "schedule": schedule} | options
    return fs.train(net, X, Y, optimizer, epochs, **options).learning_rate


def test_constant():
    assert rates(None).tolist() == rates("constant").tolist() == [1e-3] * 5


def test_inverse_scaling_counts_the_examples_before_the_epoch():
    wanted = [1e-3 / (10 * epoch + 1) ** 0.7 for epoch in range(5)]
    assert rates(fs.InverseScaling(0.7)).tolist() == wanted


def test_cosine_ends_at_its_least():
    wanted = [
        1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * t / 15)) / 2 for t in (2, 5, 8, 11, 14)
    ]
    assert np.allclose(rates(fs.Cosine(1e-5)), wanted, rtol=1e-14)
    assert rates(fs.Cosine(1e-5, steps=6))[2:].tolist() == [1e-5] * 3


def test_step_decay():
    assert np.allclose(rates(fs.StepDecay(2, 0.5)), [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4], rtol=1e-14)


def test_a_callable_is_asked_for_every_step_once():
    asked = []

    def schedule(step):
        asked.append(step)
        return 1e-3 / (1 + step)

    net, X, Y = problem()
    fs.train(net, X, Y, fs.SGD(), 2, batch_size=4, schedule=schedule, callbacks=[Nothing()])
    # the last of every epoch is asked for once more, for the history
    assert sorted(set(asked)) == list(range(6))
    assert type(asked[0]) is int


class Nothing:
    """A callback that is only there."""

    def on_epoch_end(self, state):
        """Do nothing."""


def test_a_step_uses_its_rate():
    net, X, Y = problem()
    by_hand = net.copy()
    fs.train(*(net, X, Y, fs.GradientDescent(), 3), schedule=lambda step: [0.5, 0.0, 0.25][step])
    for rate in (0.5, 0.25):
        by_hand.params -= rate * by_hand.backward(X, Y).vector
    assert np.allclose(net.params, by_hand.params, rtol=1e-13)


def test_adaptive_divides_and_stops():
    # every epoch is taken back: the cost never improves after the first
    schedule = fs.Adaptive(factor=10, patience=1, least=2e-6)
    net, X, Y = problem()
    options = {"batch_size": None, "schedule": schedule, "callbacks": [Freeze(net)]}
    history = fs.train(net, X, Y, fs.SGD(1e-4), 100, **options)
    # epoch 0 improves, 1 and 2 stand still: after two of them in a row the rate falls
    wanted = [1e-4] * 3 + [1e-5] * 2 + [1e-6] * 2
    assert np.allclose(history.learning_rate, wanted, rtol=1e-12)
    assert history.stopped == "the learning rate of Adaptive is at its least"


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("halvings", [0, 1, 4])
def test_adaptive_stops_at_its_least_exactly(patience, halvings):
    # halves are exact: the rate is ``least`` itself, and one epoch more than patience stands still
    net, X, Y = problem()
    schedule = fs.Adaptive(factor=2, patience=patience, least=2.0**-halvings)
    options = {"batch_size": None, "schedule": schedule, "callbacks": [Freeze(net)]}
    history = fs.train(net, X, Y, fs.SGD(1.0), 100, **options)
    wanted = [2.0**-i for i in range(halvings + 1) for _ in range(patience + 1)]
    assert history.learning_rate.tolist() == [1.0, *wanted]  # the first epoch is the best
    assert history.stopped == "the learning rate of Adaptive is at its least"


class Freeze:
    """A callback that takes back what an epoch did."""

    def __init__(self, net):
        self.params = net.params.copy()

    def on_epoch_end(self, state):
        """Take it back."""
        state.net.params[...] = self.params


def see(plateau, values):
    """Return the counts after each of the values."""
    counts = []
    for value in values:
        plateau.see(SimpleNamespace(cost=value, validation_cost=None, validation_score=value))
        counts.append(plateau.count)
    return counts


def test_plateau_counts_as_scikit_learn():
    # a cost of best - tol is an improvement, one above it is none, but may be the best
    plateau = Plateau(0.25)
    assert see(plateau, [2.0, 1.75, 1.625, 1.5, 1.25, math.nan]) == [0, 0, 1, 2, 0, 0]
    assert plateau.best == 1.25
    plateau = Plateau(0.25, "validation_score")
    assert see(plateau, [0.0, 0.25, 0.375, 0.625, 0.1, math.nan]) == [0, 0, 1, 0, 1, 0]
    assert plateau.best == 0.625


def test_a_monitor_without_validation():
    net, X, Y = problem()
    with pytest.raises(ValueError, match="monitor: validation_score needs validation examples"):
        fs.train(net, X, Y, callbacks=[fs.EarlyStopping(monitor="validation_score")])


def test_names():
    for name, kind in SCHEDULES.items():
        assert type(schedule_of(name)) is kind
        assert repr(schedule_of(name)).startswith(kind.__name__)


@pytest.mark.parametrize(
    ("schedule", "error", "message"),
    [
        ("cos", ValueError, "schedule: expected one of constant, .*; got 'cos'"),
        (0.1, TypeError, "schedule: expected None, one of .*; got 0.1"),
        (fs.Cosine, TypeError, "schedule: expected None, one of .*; got <class"),
        (lambda step: "x", TypeError, r"schedule\(step\): expected a finite number >= 0"),
        (lambda step: -1.0, ValueError, r"schedule\(step\): expected a finite number >= 0"),
    ],
)
def test_wrong_schedules(schedule, error, message):
    with pytest.raises(error, match=message):
        rates(schedule)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fs.InverseScaling(-1),
        lambda: fs.Adaptive(factor=1),
        lambda: fs.Adaptive(patience=-1),
        lambda: fs.Adaptive(tol=-1),
        lambda: fs.Adaptive(monitor="loss"),
        lambda: fs.Cosine(least=-1),
        lambda: fs.Cosine(steps=0),
        lambda: fs.StepDecay(every=0),
        lambda: fs.StepDecay(factor=0),
    ],
)
def test_wrong_arguments_of_schedules(make):
    with pytest.raises(
        ValueError, match=r"^(power|factor|patience|tol|monitor|least|steps|every):"
    ):
        make()
