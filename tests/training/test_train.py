"""`train` as a whole: scikit-learn's model, history, interruption, divergence, arguments."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import cases
import numpy as np
import pytest
from processes import script
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.utils import shuffle

import fastshallow as fs
from fastshallow.training import orders, trainer
from fastshallow.training.train import progress_bar


def problem(dtype="float32", m=300):
    """Return a small network and its data."""
    rng = np.random.default_rng(0)
    net = fs.Network((3, 5, 1), "tanh", dtype=dtype).init(seed=0)
    return net, rng.standard_normal((3, m)), rng.integers(0, 2, m)


# The model of scikit-learn -------------------------------------------------------------------


def start_of_scikit_learn(net, random):
    """Draw the parameters as MLPClassifier does."""
    for W, b in zip(net.W, net.b, strict=True):
        bound = np.sqrt(6 / sum(W.shape))
        W[...] = random.uniform(-bound, bound, W.T.shape).T
        b[:, 0] = random.uniform(-bound, bound, b.shape[0])


def permutations(random):
    """Return scikit-learn's source of permutations: each shuffles the one before."""
    last = []

    def order(m):
        last[:] = [shuffle(last[0] if last else np.arange(m), random_state=random)]
        return last[0]

    return order


ADAPTIVE = {"learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 2}
EARLY = {"early_stopping": True, "n_iter_no_change": 3, "tol": 1e-3}
RUNS = {
    "adam": (fs.Adam(0.01), {"n_iter_no_change": 5, "tol": 3e-3}, None),
    "sgd": (fs.SGD(0.2), {}, None),
    "sgd, no Nesterov": (fs.SGD(0.2, nesterov=False), {"nesterovs_momentum": False}, None),
    "sgd, invscaling": (fs.SGD(0.2), {"learning_rate": "invscaling"}, fs.InverseScaling()),
    "sgd, adaptive": (fs.SGD(0.2), ADAPTIVE, fs.Adaptive(patience=2, tol=0.02)),
    "adam, early stopping": (fs.Adam(0.01), EARLY, None),
}


@pytest.mark.parametrize("run", RUNS)
def test_the_model_is_scikit_learns(run):
    optimizer, options, schedule = RUNS[run]
    X, y = load_digits(return_X_y=True)
    X = X / 16
    solver = "adam" if isinstance(optimizer, fs.Adam) else "sgd"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        wanted = MLPClassifier(
            (16,), activation="tanh", solver=solver, alpha=1e-2, max_iter=40, random_state=0,
            learning_rate_init=optimizer.learning_rate, **options,
        ).fit(X, y)  # fmt: skip
    random = np.random.RandomState(0)
    net = fs.Network((64, 16, 10), "tanh", "softmax", "float64")
    start_of_scikit_learn(net, random)
    stopping = {"patience": options.get("n_iter_no_change", 10), "tol": options.get("tol", 1e-4)}
    validation = None
    if "early_stopping" in options:
        X, Xv, y, yv = train_test_split(X, y, random_state=random, test_size=0.1)
        validation = (Xv.T, yv)
        callbacks = [fs.EarlyStopping(**stopping, monitor="validation_score")]
    else:
        callbacks = [fs.EarlyStopping(**stopping, restore_best=False)]
    if isinstance(schedule, fs.Adaptive):
        callbacks = []  # it counts, and stops, by itself
    history = fs.train(
        net, X.T, y, optimizer, 40, 200, permutations(random), alpha=1e-2,
        schedule=schedule, callbacks=callbacks, validation=validation,
    )  # fmt: skip
    assert len(history) == wanted.n_iter_
    cases.assert_close(history.cost, wanted.loss_curve_, 1e-9, "costs")
    for i in range(2):
        cases.assert_close(net.W[i].T, wanted.coefs_[i], 1e-9, f"W{i + 1}")
        cases.assert_close(net.b[i][:, 0], wanted.intercepts_[i], 1e-9, f"b{i + 1}")
    if validation:
        assert history.validation_score.tolist() == wanted.validation_scores_
    if run in ("adam", "adam, early stopping"):  # these stop before the last epoch
        assert history.stopped == "EarlyStopping"


# Bits ----------------------------------------------------------------------------------------


OPTIONS = [
    {},
    {"shuffle": False},
    {"shuffle": "windows", "optimizer": fs.SGD(0.1)},
    {"validation": 0.25, "batch_size": 7},
    {"validation": 0.25, "batch_size": None},
    {"optimizer": fs.GradientDescent(0.5), "sample_weight": np.arange(300.0), "alpha": 0.1},
    {"optimizer": fs.AdamW(), "schedule": "cosine"},
    {"optimizer": fs.LBFGS(), "validation": 0.25},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_same_seed_same_bits(options):
    found = []
    for n_threads in (1, 3, None):
        net, X, Y = problem()
        history = fs.train(
            net, X, Y, **{"epochs": 8, "batch_size": "auto", "n_threads": n_threads} | options
        )
        found.append((net.params.tobytes(), history.cost.tobytes()))
    assert found[0] == found[1] == found[2]


def test_windows_of_a_training_are_shuffled_as_their_order_says(monkeypatch):
    monkeypatch.setattr(trainer.Trainer, "window", lambda self: 32)
    ours, X, Y = problem()
    theirs, order = ours.copy(), ours.copy()
    options = {"epochs": 3, "batch_size": 16, "seed": 5}
    fs.train(ours, X, Y, shuffle="windows", **options)
    windows = orders.ShuffledWindows(X.shape[1], None, np.random.default_rng(5), 32)
    fs.train(theirs, X, Y, shuffle=lambda m: windows.permutation(), **options)
    assert ours == theirs
    in_order = np.concatenate([range(at, min(at + 32, 300)) for at in range(0, 300, 32)])
    fs.train(order, X, Y, shuffle=lambda m: in_order, **options)
    assert ours != order


def test_another_seed_is_another_order():
    nets = [problem()[0] for _ in range(3)]
    _, X, Y = problem()
    for net, seed in zip(nets, (0, 1, np.random.default_rng(1)), strict=True):
        fs.train(net, X, Y, epochs=2, seed=seed, batch_size=32)
    assert nets[0] != nets[1] == nets[2]
    for net in nets[:2]:
        fs.train(net, X, Y, epochs=2, seed=None, batch_size=32)
    assert nets[0] != nets[1]


def test_looking_on_changes_nothing():
    # callbacks bring Python back after every epoch; without them many go into a kernel call
    class Nothing:
        def on_epoch_end(self, state):
            pass

    histories, nets = [], []
    for callbacks in ((), [Nothing()]):
        net, X, Y = problem()
        histories.append(fs.train(net, X, Y, epochs=50, batch_size=32, callbacks=callbacks))
        nets.append(net)
    assert nets[0] == nets[1]
    for name in ("cost", "learning_rate", "steps"):
        one, other = (getattr(history, name) for history in histories)
        assert np.array_equal(one, other), name


# History and validation ----------------------------------------------------------------------


def test_history_by_epoch():
    net, X, Y = problem()
    history = fs.train(net, X, Y, epochs=5, batch_size=64, validation=(X[:, :50], Y[:50]))
    assert history.steps.tolist() == [5, 10, 15, 20, 25]
    assert history.learning_rate.tolist() == [1e-3] * 5
    assert (np.diff(history.seconds, prepend=0) > 0).all()
    assert history.stopped == "epochs"
    assert len(history) == 5
    assert history.validation_cost[-1] == net.cost(X[:, :50], Y[:50])
    assert history.validation_score[-1] == net.score(X[:, :50], Y[:50])
    assert repr(history).startswith("History(5 epochs, 25 steps, cost ")


def test_cost_of_full_batches_is_j_before_the_step():
    net, X, Y = problem()
    other = net.copy()
    cost = fs.train(net, X, Y, fs.GradientDescent(0.5), 20).cost
    assert np.array_equal(cost, fs.gradient_descent(other, X, Y, 0.5, 20).cost)
    assert net == other


def test_a_fraction_is_held_out():
    net, X, Y = problem()
    seen = []

    class See:
        def on_epoch_end(self, state):
            seen.append((state.examples, state.steps))

    before = X.copy(), Y.copy()
    history = fs.train(net, X, Y, epochs=2, batch_size=10, validation=0.1, callbacks=[See()])
    assert seen == [(270, 27), (540, 54)]
    assert history.validation_cost.shape == (2,)
    assert np.array_equal(X, before[0]) and np.array_equal(Y, before[1])


def test_weights_of_validation_examples():
    net, X, Y = problem()
    w = np.arange(300.0)
    history = fs.train(net, X, Y, epochs=1, validation=(X, Y, w))
    assert history.validation_cost[0] == net.cost(X, Y, w)
    assert history.validation_score[0] == net.score(X, Y, w)


def test_plot():
    from matplotlib.figure import Figure

    net, X, Y = problem()
    history = fs.train(net, X, Y, epochs=3, validation=0.1)
    ax = history.plot(ax=Figure().subplots())
    assert ax.get_xlabel() == "epoch"
    assert [line.get_ydata().tolist() for line in ax.lines] == [
        history.cost.tolist(),
        history.validation_cost.tolist(),
    ]


def test_nothing_is_printed_unless_asked(capfd, caplog):
    net, X, Y = problem()
    fs.train(net, X, Y, epochs=3)
    assert capfd.readouterr() == ("", "")
    with caplog.at_level(logging.INFO, "fastshallow"):
        fs.train(net, X, Y, epochs=3)
    assert "training ended after epoch 2: epochs" in caplog.text
    fs.train(net, X, Y, epochs=3, progress=True)
    out, bar = capfd.readouterr()
    assert out == ""
    assert "3/3" in bar and "cost " in bar and "epoch/s" in bar


def test_the_bar_begins_without_nan_and_hours(capsys):
    training = SimpleNamespace(state=SimpleNamespace(epoch=-1), progress=None)
    with progress_bar(training, 200, True):
        time.sleep(0.5)  # what the first call loads
        training.progress(0.01, np.nan)
        for done, cost in ((0.5, np.nan), (1.0, 0.25), (2.0, 0.125)):
            time.sleep(0.2)
            training.progress(done, cost)
    bar = capsys.readouterr().err
    assert "nan" not in bar and "cost 0.125" in bar and "2/200" in bar
    assert not re.search(r"<\d+:\d\d:\d\d", bar)


# Interruption --------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as POSIX does")
@pytest.mark.parametrize("on_interrupt", ["return", "raise"])
def test_ctrl_c_ends_after_a_whole_step(on_interrupt):
    net, X, Y = problem()
    fs.train(net, X, Y, epochs=1, batch_size=32)
    sent = []

    def send():
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.3, send)
    timer.start()
    try:
        history = fs.train(net, X, Y, epochs=10**7, batch_size=32, on_interrupt=on_interrupt)
    except KeyboardInterrupt:
        assert on_interrupt == "raise"
    else:
        assert on_interrupt == "return"
        assert history.stopped == "interrupted"
        assert 0 < len(history) < 10**7
        assert history.cost.size == history.steps.size
    back = time.perf_counter() - sent[0]
    # a kernel call of 0.08 s and 0.2 s after it; twice that, as others may use this processor
    assert back < 2 * 0.28
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_leaves_the_parameters_of_the_last_whole_step():
    class Interrupt:
        def on_epoch_end(self, state):
            if state.epoch == 2:
                signal.raise_signal(signal.SIGINT)

    class Raise:
        def on_epoch_end(self, state):
            if state.epoch == 2:
                raise KeyboardInterrupt

    wanted, X, Y = problem()
    fs.train(wanted, X, Y, epochs=3, batch_size=32)
    for callback in (Interrupt(), Raise()):
        net, *_ = problem()
        history = fs.train(
            net, X, Y, epochs=10, batch_size=32, callbacks=[callback], validation=(X, Y)
        )
        assert history.stopped == "interrupted"
        assert len(history) == history.validation_score.size == 3
        assert net == wanted


def test_ctrl_c_ends_l_bfgs():
    class Interrupt:
        def on_epoch_end(self, state):
            if state.epoch == 2:
                signal.raise_signal(signal.SIGINT)

    net, X, Y = problem()
    history = fs.train(net, X, Y, fs.LBFGS(), 100, callbacks=[Interrupt()])
    assert history.stopped == "interrupted" and len(history) == 3
    assert net.cost(X, Y) == pytest.approx(history.cost[-1], rel=1e-6)


def test_a_handler_of_the_programs_own_stays():
    output = script(
        """
        import signal, numpy as np, fastshallow as fs
        seen = []
        signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
        class Interrupt:
            def on_epoch_end(self, state):
                signal.raise_signal(signal.SIGINT)
        net = fs.Network((1, 1), output="linear")
        history = fs.train(net, np.ones((1, 4)), np.ones(4), epochs=3, callbacks=[Interrupt()])
        print(len(seen), len(history), history.stopped)
        """
    )
    assert output.split() == ["3", "3", "epochs"]


def test_training_in_another_thread():
    result = []

    def work():
        net, X, Y = problem()
        result.append(fs.train(net, X, Y, epochs=3))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert result[0].stopped == "epochs"


# Divergence ----------------------------------------------------------------------------------


def diverging():
    """Return arguments of a training that diverges, and the network."""
    net = fs.Network((1, 1), output="linear", dtype="float64")
    return net, [[1.0, 2.0]], [2.0, 4.0], fs.GradientDescent(1e4), 1000


def test_divergence_raises():
    arguments = diverging()
    with pytest.raises(
        fs.DivergenceError, match=r"epoch (\d+), at step \1, with .* 10000"
    ) as caught:
        fs.train(*arguments)
    history = caught.value.history
    assert history.stopped == "diverged"
    assert len(history) in (caught.value.epoch, caught.value.epoch + 1)
    assert np.isfinite(history.cost[: caught.value.epoch]).all()
    assert np.isfinite(arguments[0].params).all()


def test_divergence_warns():
    arguments = diverging()
    with pytest.warns(RuntimeWarning, match="training diverged in epoch"):
        history = fs.train(*arguments, on_divergence="warn")
    assert history.stopped == "diverged"
    assert np.isfinite(arguments[0].params).all()


def test_divergence_goes_on():
    arguments = diverging()
    history = fs.train(*arguments, on_divergence="continue", validation=([[1.0, 2.0]], [1.0, 2.0]))
    assert len(history) == 1000 and history.stopped == "epochs"
    assert not np.isfinite(history.cost[-1])
    assert np.isnan(history.validation_score[-1])


# Arguments -----------------------------------------------------------------------------------


class Bad:
    """No callback."""


WRONG = [
    ({"epochs": 0}, ValueError, "epochs: expected an integer >= 1; got 0"),
    ({"epochs": 1.5}, TypeError, "epochs: expected an integer >= 1; got 1.5"),
    ({"optimizer": "adam"}, TypeError, "optimizer: expected GradientDescent, SGD, .*; got 'adam'"),
    ({"optimizer": fs.Adam}, TypeError, "optimizer: expected .*, such as fs.Adam"),
    ({"batch_size": 0}, ValueError, "batch_size: expected an integer >= 1; got 0"),
    ({"batch_size": "all"}, ValueError, "batch_size: expected one of auto; got 'all'"),
    (
        {"batch_size": 10, "optimizer": fs.GradientDescent()},
        ValueError,
        "batch_size: expected None or 'auto', as GradientDescent takes all .*; got 10",
    ),
    ({"shuffle": "no"}, ValueError, "shuffle: expected True, False, .*; got 'no'"),
    ({"shuffle": 1}, TypeError, "shuffle: expected True, False, .*; got 1"),
    ({"shuffle": lambda m: [0] * m}, ValueError, "shuffle: expected a function that returns"),
    ({"seed": -1}, ValueError, "seed: expected an integer >= 0; got -1"),
    ({"seed": "x"}, TypeError, "seed: expected .*Generator or None; got 'x'"),
    ({"alpha": -1}, ValueError, "alpha: expected a finite number >= 0; got -1"),
    ({"n_threads": 0}, ValueError, "n_threads: expected None or a positive integer"),
    ({"sample_weight": [1.0]}, ValueError, r"sample_weight: expected shape \(300,\)"),
    ({"validation": 1.0}, ValueError, "validation: expected a finite number > 0 and < 1; got 1"),
    ({"validation": 0.999}, ValueError, "validation: expected to hold out fewer than all 300"),
    ({"validation": "x"}, TypeError, r"validation: expected \(Xv, Yv\), .*; got str"),
    ({"validation": (1, 2, 3, 4)}, TypeError, r"validation: expected \(Xv, Yv\), .*; got tuple"),
    ({"validation": ([[1.0]], [1])}, ValueError, r"validation: X: expected shape \(3, m\)"),
    ({"validation": (np.ones((3, 1)), [2])}, ValueError, "validation: Y: expected labels between"),
    ({"callbacks": Bad()}, TypeError, "callbacks: expected a list of callbacks; got"),
    ({"callbacks": [Bad()]}, TypeError, r"callbacks\[0\]: expected an object with a method"),
    ({"callbacks": [fs.EarlyStopping]}, TypeError, r"callbacks\[0\]: expected an object"),
    ({"schedule": 3}, TypeError, "schedule: expected None, one of"),
    ({"schedule": "cosine", "optimizer": fs.LBFGS()}, ValueError, "schedule: .* no learning rate"),
    ({"progress": 1}, TypeError, "progress: expected True or False; got 1"),
    ({"resume": True}, ValueError, "resume: expected a checkpoint to resume from"),
    ({"checkpoint": 3}, TypeError, "checkpoint: expected a path; got 3"),
    ({"checkpoint": "no/such/folder/file"}, FileNotFoundError, "No such file or directory"),
    (
        {"checkpoint": "x", "validation": 0.1, "seed": None},
        ValueError,
        "seed: expected a whole number, as a checkpoint with a validation fraction",
    ),
    ({"on_interrupt": "stop"}, ValueError, "on_interrupt: expected one of return, raise"),
    ({"on_divergence": "stop"}, ValueError, "on_divergence: expected one of raise, warn"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_wrong_arguments_change_nothing(options, error, message):
    net, X, Y = problem()
    before = net.copy()
    arguments = {"optimizer": None, "epochs": 2} | options
    with pytest.raises(error, match=message):
        fs.train(net, X, Y, **arguments)
    assert net == before


def test_no_network():
    with pytest.raises(TypeError, match="net: expected a Network; got str"):
        fs.train("net", [[1.0]], [1.0])


@pytest.mark.parametrize("spoil", ["X", "Y"])
def test_bad_data_changes_nothing(spoil):
    for options in ({}, {"optimizer": fs.LBFGS()}, {"validation": 0.2}, {"batch_size": None}):
        net, X, Y = problem()
        before = net.copy()
        X, Y = X.copy(), Y.astype(float)
        (X[0] if spoil == "X" else Y)[-1] = np.nan
        with pytest.raises(ValueError, match=f"{spoil}: expected"):
            fs.train(net, X, Y, **{"epochs": 3} | options)
        assert net == before


# L-BFGS --------------------------------------------------------------------------------------


def test_l_bfgs_is_scipys():
    from scipy.optimize import minimize

    net, X, Y = problem("float64")
    other = net.copy()

    def objective(w):
        other.params[...] = w
        J, g = other.cost_and_grad(X, Y, alpha=0.1)
        return J, g.vector

    wanted = minimize(
        objective, net.params.copy(), method="L-BFGS-B", jac=True, options={"maxiter": 15}
    )
    history = fs.train(net, X, Y, fs.LBFGS(), 15, alpha=0.1)
    assert np.array_equal(net.params, wanted.x)
    assert history.cost[-1] == wanted.fun
    assert len(history) == wanted.nit
    assert history.steps[-1] == wanted.nfev
    assert history.stopped == "epochs"


def test_l_bfgs_converges():
    net, X, Y = problem("float64")
    history = fs.train(net, X, Y, fs.LBFGS(gtol=1e-3), 1000, alpha=1.0)
    assert history.stopped == "converged"
    assert np.abs(net.backward(X, Y, alpha=1.0).vector).max() <= 1e-3
    assert np.isnan(history.learning_rate).all()


def test_l_bfgs_that_cannot_begin():
    net = fs.Network((1, 1), output="exp", dtype="float64")
    net.W1 = [[1000.0]]
    before = net.copy()
    with pytest.raises(fs.DivergenceError, match="epoch 0, at step 0: the cost inf is not finite"):
        fs.train(net, [[1.0]], [1.0], fs.LBFGS(), 10)
    assert net == before
