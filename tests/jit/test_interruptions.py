"""Ctrl-C at many moments: back soon, with whole parameters, and no thread left behind."""

from __future__ import annotations

import json
import math
import sys
import textwrap

import pytest
from processes import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as POSIX does")

# A thread of the process itself sends the signal, at a time that the main thread knows nothing of.
MOMENTS = """
    import contextlib, io, json, os, random, signal, sys, threading, time, warnings
    import numba, numpy as np, fastshallow as fs
    from fastshallow.__main__ import main

    which, moments, n_threads, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((20, 5000)), rng.integers(0, 2, 5000)
    net = fs.Network((20, 30, 1), "tanh").init(seed=0)
    table, model = folder + "/table.csv", folder + "/model"
    with open(table, "w") as file:
        print("a,b,y", *(f"{x:.3f},{z:.3f},{y}" for x, z, y in zip(X[0], X[1], Y)),
              sep="\\n", file=file)
    sent, took = [], []

    def send(after):
        time.sleep(after)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    def train(optimizer, epochs, **options):
        net.init(seed=0)
        options |= {"n_threads": n_threads, "on_interrupt": "raise"}
        fs.train(net, X, Y, optimizer, epochs, **options)

    def fit(estimator, solver, epochs):
        options = {"n_iter_no_change": np.inf} if solver == "adam" else {"alpha": 1e-9, "tol": 0}
        options |= {"solver": solver, "max_iter": epochs, "n_threads": n_threads}
        learner = estimator(hidden_layer_sizes=30, **options)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.filterwarnings("error", "Training interrupted")
                learner.fit(X.T, Y)
        except UserWarning:  # as scikit-learn's: the fit has ended, with what there is
            raise KeyboardInterrupt
        finally:
            assert not hasattr(learner, "net_") or np.isfinite(learner.net_.params).all()

    def command(epochs):
        options = ["--target", "y", "--epochs", str(epochs), "--threads", str(n_threads)]
        options += ["--solver", "adam", "--quiet", "--out", model]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(["train", table, *options])
        assert np.isfinite(fs.load(model).net.params).all()
        if status == 130:
            raise KeyboardInterrupt
        assert status == 0, said.getvalue()

    run = {
        "descent": lambda n: fs.gradient_descent(net, X, Y, 0.1, n, n_threads=n_threads),
        "adam": lambda n: train(fs.Adam(), n),
        "watched": lambda n: train(fs.Adam(), n, validation=0.2, checkpoint=folder + "/state"),
        "lbfgs": lambda n: train(fs.LBFGS(), n, alpha=1e-9, validation=(X, Y)),
        "classifier": lambda n: fit(fs.ShallowClassifier, "adam", n),
        "regressor": lambda n: fit(fs.ShallowRegressor, "lbfgs", n),
        "command": command,
    }[which]
    run(2)  # compiled and imported before: see the next test
    run(400 if which == "descent" else 2)  # many steps are a team's
    threads, chance = threading.active_count(), random.Random(0)
    for moment in range(moments):
        sender = threading.Thread(target=send, args=(chance.random() * 0.15,))
        sender.start()
        try:
            while True:  # those that end by themselves begin again
                run(10**6)
        except KeyboardInterrupt:
            took.append(time.perf_counter() - sent[-1])
        sender.join()
        assert len(sent) == moment + 1
        assert np.isfinite(net.params).all()
        assert threading.active_count() == threads, threading.enumerate()
        assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print(json.dumps([max(took), net.cost(X, Y)]))
"""

WAYS = ["descent", "adam", "watched", "lbfgs", "classifier", "regressor", "command"]


def at_many_moments(which, moments, n_threads, folder):
    """Interrupt a training so often; return the longest wait for its end."""
    arguments = [which, str(moments), str(n_threads), str(folder)]
    slowest, J = json.loads(run(["-c", textwrap.dedent(MOMENTS), *arguments]))
    assert math.isfinite(J)
    return slowest


@pytest.mark.parametrize("which", WAYS)
@pytest.mark.parametrize("moments", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_back_in_half_a_second(which, moments, tmp_path):
    assert at_many_moments(which, moments, 1, tmp_path) < 0.5


@pytest.mark.slow  # the threads need a core each: see docs/reliability.md
@pytest.mark.parametrize("which", WAYS)
def test_two_threads_are_back_in_half_a_second(which, tmp_path):
    assert at_many_moments(which, 30, 2, tmp_path) < 0.5


@pytest.mark.parametrize("which", ["adam", "classifier"])
def test_two_threads_are_whole_afterwards(which, tmp_path):
    # however long they wait for each other on a busy machine
    at_many_moments(which, 5, 2, tmp_path)


COLD = """
    import os, signal, sys, threading, time
    import numpy as np, fastshallow as fs

    net = fs.Network((3, 4, 1), "tanh").init(seed=0)
    before = net.params.copy()
    X, Y = np.ones((3, 20)), np.ones(20)
    sent = []

    def send():
        time.sleep(float(sys.argv[1]))
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    fs.train  # what is imported is no part of it
    threading.Thread(target=send, daemon=True).start()
    try:
        fs.train(net, X, Y, epochs=10**7, on_interrupt="raise")
    except KeyboardInterrupt:
        print(time.perf_counter() - sent[0], (net.params == before).all())
    net.params[...] = before
    fs.train(net, X, Y, epochs=2)  # and it can be done after all
    other = fs.Network((3, 4, 1), "tanh").init(seed=0)
    fs.train(other, X, Y, epochs=2)
    print(net == other)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.5, 2.0, 3.5, 5.0])
def test_while_kernels_are_compiled(after, tmp_path):
    # Python ignores an exception that falls into a callback of LLVM's: so none is raised there
    source = textwrap.dedent(COLD)
    lines = run(["-c", source, str(after)], NUMBA_CACHE_DIR=str(tmp_path)).splitlines()
    seconds, unchanged = lines[0].split()
    # when the kernel that was being compiled is done
    assert float(seconds) < 5 and lines[1] == "True"
    assert unchanged == "True" or after > 3  # it may have been compiled by then
