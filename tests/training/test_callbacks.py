"""Callbacks: what they see, when they stop, what they keep."""

from __future__ import annotations

import json
import math
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_train import problem

import fastshallow as fs
from fastshallow.training.loop import Training


class Recorder:
    """A callback that keeps what it sees, with every method there is."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    def on_train_begin(self, state):
        """Note it."""
        self.seen.append(("begin", state.epoch, len(state.history)))

    def on_epoch_end(self, state):
        """Note it, and stop where asked to."""
        self.seen.append((state.epoch, state.cost, state.steps, state.net.params.copy()))
        return state.epoch == self.stop_at

    def on_train_end(self, state):
        """Note it."""
        self.seen.append(("end", state.epoch, len(state.history)))


def test_turns_and_what_is_seen():
    net, X, Y = problem()
    recorder = Recorder(stop_at=2)
    history = fs.train(net, X, Y, epochs=10, batch_size=100, callbacks=[recorder])
    assert history.stopped == "Recorder"
    assert recorder.seen[0] == ("begin", -1, 0)
    assert recorder.seen[-1] == ("end", 2, 3)
    epochs = recorder.seen[1:-1]
    assert [(epoch, steps) for epoch, _, steps, _ in epochs] == [(0, 3), (1, 6), (2, 9)]
    assert [cost for _, cost, _, _ in epochs] == history.cost.tolist()
    assert np.array_equal(epochs[-1][3], net.params)


def test_only_true_stops():
    class Talks:
        def on_epoch_end(self, state):
            return "yes"

    net, X, Y = problem()
    assert len(fs.train(net, X, Y, epochs=3, callbacks=[Talks()])) == 3


def test_an_error_of_a_callback_comes_through():
    class Fails:
        def on_epoch_end(self, state):
            raise KeyError("of the callback")

    net, X, Y = problem()
    with pytest.raises(KeyError, match="of the callback"):
        fs.train(net, X, Y, epochs=3, callbacks=[Fails()])


class Scripted:
    """A callback before others: the epoch's values are these."""

    def __init__(self, values):
        self.values, self.params = values, []

    def on_epoch_end(self, state):
        """Put the value in the place of what was computed."""
        state.cost = state.validation_cost = state.validation_score = self.values[state.epoch]
        self.params.append(state.net.params.copy())


@pytest.mark.parametrize("monitor", [None, "cost", "validation_cost", "validation_score"])
def test_early_stopping(monitor):
    sign = -1 if monitor == "validation_score" else 1
    values = [sign * v for v in (3.0, 2.0, 1.95, 1.9, 1.5, 1.6, 1.45, 1.49, 1.0, 1.0)]
    net, X, Y = problem()
    scripted = Scripted(values)
    stopping = fs.EarlyStopping(patience=2, tol=0.25, monitor=monitor)
    history = fs.train(
        net, X, Y, epochs=10, callbacks=[scripted, stopping], validation=(X[:, :9], Y[:9])
    )
    # 1.95, 1.9 stand still, 1.5 does not; 1.6, 1.45, 1.49 do: three are more than two
    assert len(history) == 8 and history.stopped == "EarlyStopping"
    assert (stopping.best, stopping.best_epoch) == (sign * 1.45, 6)
    assert np.array_equal(net.params, scripted.params[6])


@pytest.mark.parametrize("patience", [0, 1, 2, 5, math.inf])
@pytest.mark.parametrize("tol", [0.0, 1e-3, 10.0])
@pytest.mark.parametrize("size", [None, 32])
def test_epochs_that_cannot_stop_are_taken_at_once(patience, tol, size, monkeypatch):
    # a callback that looks at every network forces one epoch a call
    counts = []
    at_once = Training._epochs_at_once
    monkeypatch.setattr(
        Training, "_epochs_at_once", lambda t: counts.append(at_once(t)) or counts[-1]
    )

    def train(*others):
        net, X, Y = problem()
        counts.clear()
        stopping = fs.EarlyStopping(patience, tol, restore_best=False)
        optimizer = fs.Adam(0.05) if size else fs.GradientDescent(0.5)
        settings = {"batch_size": size, "seed": 0, "callbacks": [stopping, *others]}
        history = fs.train(net, X, Y, optimizer, epochs=40, **settings)
        seen = stopping.best, stopping.best_epoch, stopping.get_state()["count"]
        return history.cost.tolist(), history.stopped, seen, net.params.tolist()

    found = train()
    assert patience == 0 or max(counts) > 1
    assert sum(counts) == len(found[0])
    assert found == train(Recorder(stop_at=-1))
    assert max(counts) == 1


def test_early_stopping_may_keep_the_last():
    net, X, Y = problem()
    scripted = Scripted([1.0, 2.0, 2.0, 2.0])
    stopping = fs.EarlyStopping(patience=0, restore_best=False)
    history = fs.train(net, X, Y, epochs=4, callbacks=[scripted, stopping])
    assert len(history) == 2 and stopping.best_params is None
    assert np.array_equal(net.params, scripted.params[1])


def test_the_best_come_back_without_a_stop_too():
    net, X, Y = problem()
    scripted = Scripted([2.0, 1.0, 3.0])
    stopping = fs.EarlyStopping(patience=math.inf)
    history = fs.train(net, X, Y, epochs=3, callbacks=[scripted, stopping])
    assert history.stopped == "epochs"
    assert np.array_equal(net.params, scripted.params[1])


def test_a_callback_starts_anew_with_every_training():
    net, X, Y = problem()
    stopping = fs.EarlyStopping(patience=2, tol=0.0)
    for _ in range(2):
        fs.train(net, X, Y, epochs=3, callbacks=[Scripted([3.0, 2.0, 1.0]), stopping])
        assert (stopping.best, stopping.best_epoch) == (1.0, 2)


def test_model_checkpoint_keeps_the_best(tmp_path):
    net, X, Y = problem()
    scripted = Scripted([2.0, 1.0, 3.0])
    best, every = tmp_path / "best.safetensors", str(tmp_path / "{epoch}.safetensors")
    callbacks = [scripted, fs.ModelCheckpoint(best), fs.ModelCheckpoint(every, best_only=False)]
    fs.train(net, X, Y, epochs=3, callbacks=callbacks)
    assert np.array_equal(fs.load(best).params, scripted.params[1])
    for epoch in range(3):
        loaded = fs.load(every.replace("{epoch}", str(epoch)))
        assert np.array_equal(loaded.params, scripted.params[epoch])


def test_json_lines(tmp_path):
    net, X, Y = problem()
    path = tmp_path / "log.jsonl"
    path.write_text("of another training\n")
    history = fs.train(net, X, Y, epochs=3, callbacks=[fs.JSONLinesLogger(path)], validation=(X, Y))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    for name in ("cost", "validation_cost", "validation_score", "learning_rate", "steps"):
        assert [line[name] for line in lines] == getattr(history, name).tolist()
    fs.train(net, X, Y, epochs=1, callbacks=[Scripted([math.nan]), fs.JSONLinesLogger(path)])
    line = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert line["cost"] is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fs.EarlyStopping(-1), ValueError, "patience: expected an integer >= 0; got -1"),
        (lambda: fs.EarlyStopping(tol=-1), ValueError, "tol: expected a finite number >= 0"),
        (lambda: fs.EarlyStopping(monitor="loss"), ValueError, "monitor: expected one of cost"),
        (lambda: fs.EarlyStopping(restore_best=1), TypeError, "restore_best: expected True or"),
        (lambda: fs.ModelCheckpoint(3), TypeError, "path: expected a path; got 3"),
        (lambda: fs.ModelCheckpoint("x", best_only=0), TypeError, "best_only: expected True or"),
        (lambda: fs.JSONLinesLogger(None), TypeError, "path: expected a path; got None"),
    ],
)
def test_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("kind", [fs.ModelCheckpoint, fs.JSONLinesLogger])
def test_a_file_that_cannot_be_written_is_known_before_training(kind, tmp_path):
    net, X, Y = problem()
    before = net.copy()
    with pytest.raises(FileNotFoundError):
        fs.train(net, X, Y, callbacks=[kind(tmp_path / "no" / "file")])
    assert net == before


# Whose object it is --------------------------------------------------------------------------


def estimators():
    options = {"hidden_layer_sizes": (3,), "max_iter": 4, "random_state": 0, "tol": 0}
    return [
        kind(**options, solver=solver, n_iter_no_change=50)
        for kind in (fs.ShallowClassifier, fs.ShallowRegressor)
        for solver in ("adam", "sgd", "lbfgs")
    ]


def quietly(function, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments)


class Counter:
    """A callback whose state is in attributes and in what they hold."""

    def __init__(self):
        self.count, self.seen = 0, [[]]

    def on_epoch_end(self, state):
        """Count."""
        self.count += 1
        self.seen[0].append(state.epoch)


@pytest.mark.parametrize("model", estimators(), ids=str)
def test_fit_changes_no_callback(model, tmp_path):
    X = np.random.default_rng(0).standard_normal((60, 3))
    y = (X[:, 0] > 0).astype(int)
    given = [
        fs.EarlyStopping(patience=50),
        Counter(),
        fs.ModelCheckpoint(tmp_path / "net"),
        fs.JSONLinesLogger(tmp_path / "log"),
    ]
    before = pickle.dumps(given)
    model.set_params(callbacks=given)
    for again in (False, True):
        quietly(model.set_params(warm_start=again).fit, X, y)
        assert pickle.dumps(given) == before
        assert model.callbacks is given
        stopping, counter, *_ = model.callbacks_
        assert counter.count == len(counter.seen[0]) == model.n_iter_ > 0
        assert 0 <= stopping.best_epoch < model.n_iter_
    if model.solver != "lbfgs":
        quietly(model.partial_fit, X, y)
        assert pickle.dumps(given) == before
        assert model.callbacks_[1].count == 1
    quietly(model.set_params(callbacks=None).fit, X, y)
    assert model.callbacks_ == []


def test_one_callback_in_two_fits_at_once():
    X = np.random.default_rng(0).standard_normal((200, 3))
    targets = [(X[:, k] > 0).astype(int) for k in range(3)] * 3
    stopping = fs.EarlyStopping(patience=2, tol=1e-3)

    def fit(y, callback):
        model = fs.ShallowClassifier((4,), max_iter=30, random_state=0, callbacks=[callback])
        return model.fit(X, y)

    alone = [quietly(fit, y, fs.EarlyStopping(patience=2, tol=1e-3)) for y in targets]
    with warnings.catch_warnings(), ThreadPoolExecutor(3) as pool:
        warnings.simplefilter("ignore")
        together = list(pool.map(lambda y: fit(y, stopping), targets))
    for one, other in zip(alone, together, strict=True):
        assert one.net_ == other.net_
        assert one.callbacks_[0].get_state().keys() == other.callbacks_[0].get_state().keys()
        assert one.callbacks_[0].best == other.callbacks_[0].best
    assert stopping.best_epoch == -1


def test_a_callback_that_cannot_be_copied_is_refused():
    class Holds(Counter):
        def __init__(self):
            super().__init__()
            self.lock = threading.Lock()

    class Shared(Holds):
        def __deepcopy__(self, memo):
            return self

    X, y = np.eye(20), np.arange(20) % 2
    model = fs.ShallowClassifier((2,), max_iter=2, random_state=0, callbacks=[Counter(), Holds()])
    with pytest.raises(TypeError, match=r"callbacks\[1\]: expected an object that copy.deepcopy"):
        model.fit(X, y)
    assert not hasattr(model, "net_")
    shared = Shared()
    quietly(model.set_params(callbacks=[shared]).fit, X, y)
    assert shared.count == 2 and model.callbacks_ == [shared]


class Nested:
    """A callback that trains with what is in use."""

    def __init__(self, **options):
        self.options = options

    def on_epoch_end(self, state):
        """Train another network."""
        net, X, Y = problem()
        fs.train(net, X, Y, epochs=1, **self.options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (r"callbacks\[0\]", {"callbacks": [fs.EarlyStopping()]}),
        (r"callbacks\[0\]", {"callbacks": [Counter()]}),
        ("schedule", {"schedule": fs.Adaptive(), "batch_size": 100}),
        ("schedule", {"schedule": fs.Cosine()}),
    ],
)
def test_one_object_in_two_trainings_at_once_is_refused(name, value):
    net, X, Y = problem()
    options = value | {"callbacks": [*value.get("callbacks", []), Nested(**value)]}
    wanted = rf"{name}: expected an object that no other training uses now; got a \w+ that one does"
    with pytest.raises(ValueError, match=wanted):
        fs.train(net, X, Y, epochs=2, **options)
    # and then it is free again
    assert len(fs.train(net, X, Y, epochs=2, **value)) == 2


def test_one_object_in_threads_is_refused():
    net, X, Y = problem()
    inside, leave = threading.Event(), threading.Event()

    class Waits:
        def on_epoch_end(self, state):
            inside.set()
            assert leave.wait(60)

    one = Waits()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fs.train, net, X, Y, epochs=1, callbacks=[one])
        assert inside.wait(60)
        other = net.copy()
        before = other.copy()
        try:
            with pytest.raises(
                ValueError, match=r"callbacks\[0\]: expected an object that no other"
            ):
                fs.train(other, X, Y, epochs=1, callbacks=[one])
        finally:
            leave.set()
        assert other == before and len(first.result()) == 1


def test_one_object_twice_in_a_list_is_refused():
    net, X, Y = problem()
    one = fs.EarlyStopping()
    message = r"callbacks\[2\]: expected another object than callbacks\[0\]; got the same EarlySt"
    twice = [one, fs.EarlyStopping(), one]
    with pytest.raises(ValueError, match=message):
        fs.train(net, X, Y, epochs=1, callbacks=twice)
    with pytest.raises(ValueError, match=message):
        fs.ShallowClassifier((2,), callbacks=twice).fit(np.eye(4), [0, 1, 0, 1])
