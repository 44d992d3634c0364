"""How many threads a repeated call uses, on machines that are quiet, busy, and both in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastshallow as fs
from fastshallow.jit import pace
from fastshallow.jit.pace import Pace
from fastshallow.training import trainer


class Machine:
    """A clock, and calls whose speed depends on the threads; ``rate`` is of switches a second."""

    def __init__(self, monkeypatch, speeds, rate, counted=True):
        self.now, self.count, self.alone, self.trials, self.seconds = 100.0, 0.0, 0.0, 0.0, 0.0
        self.speeds, self.rate = speeds, rate
        monkeypatch.setattr(pace, "switches", lambda: int(self.count) if counted else None)
        monkeypatch.setattr(pace.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(pace, "resource", pace.resource if counted else None)
        monkeypatch.setattr(pace._Latest, "until", -1.0)

    def call(self, chosen, seconds_alone):
        """Do what takes one thread so long."""
        threads, trial = chosen.threads, chosen.on_trial
        seconds = seconds_alone / self.speeds[threads]
        self.now += seconds
        self.count += self.rate * seconds
        self.alone += seconds_alone
        self.seconds += seconds
        self.trials += seconds * trial
        chosen.measured(threads, seconds_alone, seconds)

    def calls(self, chosen, total, seconds_alone):
        """Do such calls, as many as one thread would do in so many seconds."""
        for _ in range(round(total / seconds_alone)):
            self.call(chosen, seconds_alone)


QUIET = {1: 1.0, 2: 1.9, 4: 3.6, 8: 6.5}
CROWDED = {1: 1.0, 2: 0.2, 4: 0.1, 8: 0.05}


@pytest.mark.parametrize("each", [1e-4, 0.003, 0.08])
@pytest.mark.parametrize("most", [2, 3, 4, 8])
def test_a_quiet_machine_pays_nothing(each, most, monkeypatch):
    machine = Machine(monkeypatch, QUIET | {3: 2.7}, 44.0)
    chosen = Pace(most)
    machine.calls(chosen, 10.0, each)
    assert machine.trials == 0
    assert chosen.threads == most


@pytest.mark.parametrize("each", [1e-4, 0.003, 0.08])
@pytest.mark.parametrize("most", [2, 3, 4, 8])
def test_threads_that_bring_nothing_are_dropped(each, most, monkeypatch):
    machine = Machine(monkeypatch, CROWDED | {3: 0.15}, 250.0)
    chosen = Pace(most)
    machine.calls(chosen, 20.0, each)
    assert machine.seconds < 1.3 * machine.alone + 40 * each
    machine.calls(chosen, 1.0, each)
    assert chosen.on_trial or chosen.threads == 1


def test_the_best_number_may_lie_between(monkeypatch):
    machine = Machine(monkeypatch, {1: 1.0, 2: 1.7, 4: 2.4, 8: 0.3}, 250.0)
    chosen = Pace(8)
    machine.calls(chosen, 20.0, 0.005)
    assert machine.seconds < machine.alone / 1.7


def test_threads_that_gain_stay_on_a_busy_machine(monkeypatch):
    machine = Machine(monkeypatch, QUIET, 250.0)
    chosen = Pace(2)
    machine.calls(chosen, 20.0, 0.005)
    assert machine.trials < 0.06 * machine.seconds
    assert machine.seconds < 1.06 * machine.alone / QUIET[2]


def test_neighbours_that_come_and_go(monkeypatch):
    machine = Machine(monkeypatch, QUIET, 20.0)
    chosen = Pace(2)
    for speeds, rate, wanted in ((CROWDED, 250.0, 1), (QUIET, 20.0, 2)) * 3:
        machine.speeds, machine.rate = speeds, rate
        machine.calls(chosen, 4.0, 0.005)
        while chosen.on_trial:
            machine.call(chosen, 0.005)
        assert chosen.threads == wanted


def test_what_begins_beside_neighbours_begins_with_few_threads(monkeypatch):
    machine = Machine(monkeypatch, CROWDED, 250.0)
    machine.calls(Pace(8), 1.0, 0.005)
    assert Pace(8).threads == Pace(2).threads == 1
    assert Pace(8, fixed=True).threads == 8
    machine.now += 10.0  # that was long ago
    assert Pace(8).threads == 8


def test_where_switches_are_not_counted_trials_are_rare(monkeypatch):
    machine = Machine(monkeypatch, QUIET, 0.0, counted=False)
    chosen = Pace(2)
    machine.calls(chosen, 60.0, 0.005)
    assert 0 < machine.trials < 0.05 * machine.seconds
    machine.speeds = CROWDED
    machine.calls(chosen, 5.0, 0.005)
    assert chosen.on_trial or chosen.threads == 1


def test_a_rest_between_calls_is_no_sign_of_neighbours(monkeypatch):
    machine = Machine(monkeypatch, QUIET, 44.0)
    chosen = Pace(2)
    for _ in range(100):
        machine.call(chosen, 0.02)
        machine.now += 5.0
        machine.count += 20  # what else the program did meanwhile
    assert machine.trials == 0


def test_the_number_that_the_user_gives_stays(monkeypatch):
    machine = Machine(monkeypatch, CROWDED, 250.0)
    chosen = Pace(4, fixed=True)
    machine.calls(chosen, 2.0, 0.005)
    assert chosen.threads == 4
    assert not chosen.on_trial


def test_calls_in_many_python_threads(monkeypatch):
    monkeypatch.setattr(pace, "TRIAL_SECONDS", 1e-4)
    monkeypatch.setattr(pace.Pace, "_busy", lambda self: True)
    chosen, failed = Pace(8), []

    def call(seed):
        rng = np.random.default_rng(seed)
        try:
            for seconds in rng.exponential(1e-2, 3000):
                chosen.measured(chosen.threads, 1.0, seconds)
                assert 1 <= chosen.threads <= 8
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=call, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# Bits ------------------------------------------------------------------------------------------


@pytest.fixture
def restless(monkeypatch, call_seconds):
    """Let every look find a busy machine, and trials be short; note the numbers of threads."""
    seen = []
    monkeypatch.setattr(pace, "TRIAL_SECONDS", 1e-4)
    monkeypatch.setattr(trainer, "TRIAL_SECONDS", 1e-4)
    call_seconds(1e-3)
    monkeypatch.setattr(pace, "PAUSE_LEAST", 1e-4)
    monkeypatch.setattr(pace, "PAUSE_MOST", 1e-4)
    monkeypatch.setattr(pace, "LOOK_SECONDS", 1e-4)
    monkeypatch.setattr(pace, "BUSY_LEAST", -1)
    monkeypatch.setattr(pace, "BUSY_RATE", 0)
    measured = pace.Pace.measured

    def noted(self, threads, *rest):
        seen.append(threads)
        measured(self, threads, *rest)

    monkeypatch.setattr(pace.Pace, "measured", noted)
    pace.pace_of.cache_clear()
    yield seen
    pace.pace_of.cache_clear()
    pace._Latest.until = -1.0


# Steps of a team, in parallel regions, of one large block, and batches in both.
WORKS = [((13, 50, 3), 900, None), ((30, 64, 1), 8000, None), ((300, 900, 9), 600, None)]
WORKS += [((30, 64, 1), 9000, 2500), ((64, 120, 4), 3000, 512)]


@pytest.mark.parametrize(("sizes", "m", "batch"), WORKS)
def test_bits_do_not_know_when_the_number_of_threads_changes(sizes, m, batch, restless):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((sizes[0], m), dtype=np.float32)
    Y = rng.integers(0, max(2, sizes[-1]), m)
    output = "softmax" if sizes[-1] > 1 else "sigmoid"
    start = fs.Network(sizes, "tanh", output).init(seed=1)
    epochs = 600 if batch is None and sizes[0] < 100 else 8
    results = []
    for n_threads in (1, None):
        net = start.copy()
        history = fs.train(net, X, Y, fs.SGD(0.01), epochs, batch, n_threads=n_threads)
        results.append((net.params.tobytes(), history.cost.tobytes()))
    assert results[0] == results[1]
    assert {1, 2} <= set(restless), "the number of threads did not change"


def test_calls_on_trial_give_the_same_bits(restless):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((30, 9000)), rng.integers(0, 2, 9000)
    net = fs.Network((30, 64, 1)).init(seed=1)
    J, g = net.cost_and_grad(X, Y, n_threads=1)
    predicted = net.predict_proba(X, n_threads=1)
    for _ in range(30):
        again, h = net.cost_and_grad(X, Y)
        assert again == J
        assert np.array_equal(h.vector, g.vector)
        assert np.array_equal(net.predict_proba(X), predicted)
    assert len(set(restless)) > 1, "the number of threads did not change"


# How long OpenMP's threads wait awake ----------------------------------------------------------

SPIN = """
import os
before = dict(os.environ)
import fastshallow as fs
fs.Network((2, 1))
assert dict(os.environ) == before
import numba.np.ufunc.omppool  # which is there already, unless the user has chosen
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="GNU OpenMP")
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "GOMP_SPINCOUNT = '5000'"),
        ({"GOMP_SPINCOUNT": "77"}, "GOMP_SPINCOUNT = '77'"),
        ({"OMP_WAIT_POLICY": "passive"}, "GOMP_SPINCOUNT = '0'"),
    ],
)
def test_openmp_waits_awake_for_a_moment_only(given, wanted):
    own = {name: value for name, value in os.environ.items() if name not in given}
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "NUMBA_THREADING_LAYER"):
        own.pop(name, None)
    environment = own | given | {"OMP_DISPLAY_ENV": "verbose"}
    environment["PYTHONPATH"] = str(Path(fs.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", SPIN], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert wanted in done.stderr
