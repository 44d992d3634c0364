"""Teams of threads over many short steps: the bits of one thread, whoever comes late or never."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numba
import numpy as np
import pytest

import fastshallow as fs
from fastshallow.jit import threads as threads_module
from fastshallow.kernels import team
from fastshallow.simd.intrinsics import address
from fastshallow.training import trainer

pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT or numba.config.NUMBA_NUM_THREADS < 4,
    reason="teams are of compiled code, and these of up to 4 threads",
)

# A pair of blocks of one tile each; lanes over units, and over examples; several blocks of some
# tiles; one block, and so no team.
WORKS = [
    ((13, 50, 3), 178),
    ((4, 32, 16, 4), 150),
    ((10, 16, 1), 442),
    ((30, 100, 1), 569),
    ((30, 64, 1), 1025),
    ((2, 4, 1), 400),
]


def training(sizes, m, dtype="float32"):
    """Return a network and examples."""
    rng = np.random.default_rng(m)
    X = rng.standard_normal((sizes[0], m)).astype(dtype)
    Y = rng.integers(0, max(2, sizes[-1]), m)
    output = "softmax" if sizes[-1] > 1 else "sigmoid"
    return fs.Network(sizes, hidden="tanh", output=output, dtype=dtype).init(seed=1), X, Y


def descended(sizes, m, n_threads, steps=300, dtype="float32"):
    """Return parameters and costs after steps of gradient descent."""
    net, X, Y = training(sizes, m, dtype)
    cost = fs.gradient_descent(net, X, Y, 0.1, steps, alpha=0.5, n_threads=n_threads).cost
    return net.params.tobytes(), cost.tobytes()


@pytest.fixture
def teams(monkeypatch):
    """Note the sizes of all teams; calls are of many steps from the first on."""
    seen = []
    monkeypatch.setattr(trainer, "SLOWEST", 1e12)

    @contextmanager
    def helped(workers, *arguments):
        seen.append(workers)
        with threads_module.helped(workers, *arguments):
            yield

    monkeypatch.setattr(trainer, "helped", helped)
    return seen


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("sizes", "m"), WORKS)
def test_a_team_gives_the_bits_of_one_thread(sizes, m, dtype, teams):
    wanted = descended(sizes, m, 1, dtype=dtype)
    assert teams == []
    for n_threads in (2, 3, 4, None):
        assert descended(sizes, m, n_threads, dtype=dtype) == wanted
    blocks = fs.kernels.block_count(m, fs.Network(sizes).layers, np.dtype(dtype).itemsize)
    assert max(teams, default=1) == min(4, blocks)


def test_steps_of_an_optimiser_over_all_examples(teams):
    answers = []
    for n_threads in (1, 2):
        net, X, Y = training((13, 50, 3), 178)
        w = np.linspace(0, 2, 178)
        options = {"batch_size": None, "sample_weight": w, "n_threads": n_threads}
        history = fs.train(net, X, Y, fs.Adam(), epochs=400, **options)
        answers.append((net.params.tobytes(), history.cost.tobytes()))
    assert answers[0] == answers[1]
    assert set(teams) == {2}


def test_few_steps_and_batches_have_no_team(teams):
    net, X, Y = training((13, 50, 3), 178)
    fs.gradient_descent(net, X, Y, 0.1, 2 * trainer.TEAM_STEPS - 1, n_threads=2)
    fs.train(net, X, Y, epochs=100, batch_size=150, n_threads=2)
    fs.train(net, X, Y, fs.LBFGS(), epochs=20, n_threads=2)
    assert teams == []


@pytest.mark.parametrize("late", [0.0, 0.005, None])
def test_helpers_may_be_late_or_never_come(late, monkeypatch):
    wanted = descended((13, 50, 3), 178, 1, steps=2000)

    @contextmanager
    def helped(workers, help_out, close):
        def come(member):
            time.sleep(late)
            help_out(member)

        threads = [threading.Thread(target=come, args=(i,)) for i in range(1, workers)]
        threads = threads if late is not None else []
        for thread in threads:
            thread.start()
        yield
        close()
        for thread in threads:
            thread.join()

    monkeypatch.setattr(trainer, "helped", helped)
    assert descended((13, 50, 3), 178, 2, steps=2000) == wanted


def test_helpers_that_the_system_refuses(monkeypatch, teams):
    wanted = descended((13, 50, 3), 178, 1)
    assert descended((13, 50, 3), 178, 2) == wanted  # compiled, under a timer's thread

    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert descended((13, 50, 3), 178, 2) == wanted
    assert teams == [2, 2]


def test_calls_of_few_steps_and_of_many(monkeypatch, teams):
    # parallel regions, and teams, in one training
    wanted = descended((30, 100, 1), 569, 1, steps=1000)
    counts = itertools.cycle([3, 200, 5, 300, 1])
    portion = trainer.Trainer._portion

    def cut(self, *arguments):
        _, part = portion(self, *arguments)
        return next(counts), part

    monkeypatch.setattr(trainer.Trainer, "_portion", cut)
    for n_threads in (1, 2, 4):
        assert descended((30, 100, 1), 569, n_threads, steps=1000) == wanted
    assert set(teams) == {2, 4}


@pytest.mark.parametrize("function", ["gradient_descent", "train"])
def test_a_team_stays_while_calls_are_measured_out(function, monkeypatch):
    calls, train = [], trainer.steps.train

    def trained(n_threads):
        net, X, Y = training((30, 100, 1), 569)
        if function == "train":
            options = {"epochs": 300, "batch_size": None, "n_threads": n_threads}
            fs.train(net, X, Y, fs.Adam(), **options)
        else:
            fs.gradient_descent(net, X, Y, 0.1, 300, n_threads=n_threads)
        return net.params.tobytes()

    def noted(*, span, work, **rest):
        calls.append((span.last - span.first, work.team.size > 0))
        return train(span=span, work=work, **rest)

    wanted = trained(1)
    monkeypatch.setattr(trainer, "SLOWEST", 1e6)
    monkeypatch.setattr(trainer.steps, "train", noted)
    assert trained(2) == wanted
    assert calls[0] == (1, True) and calls[1][0] <= trainer.GROWTH


def test_trainings_in_many_python_threads():
    wanted = descended((10, 16, 1), 442, 1)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: descended((10, 16, 1), 442, 2), range(24)))
    assert found == [wanted] * 24


def test_an_error_sends_the_helpers_home(monkeypatch):
    net, X, Y = training((13, 50, 3), 178)
    before, threads = net.params.copy(), threading.active_count()
    X[3, 100] = np.nan  # in the second block, which a helper may have found
    for _ in range(20):
        with pytest.raises(ValueError, match="X: expected finite"):
            fs.gradient_descent(net, X, Y, 0.1, 300, n_threads=2)
        assert threading.active_count() == threads
    assert np.array_equal(net.params, before)

    def interrupted(**arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(trainer.steps, "train", interrupted)
        fs.gradient_descent(net, np.ones_like(X), Y, 0.1, 300, n_threads=2)
    assert threading.active_count() == threads
    assert descended((13, 50, 3), 178, 2) == descended((13, 50, 3), 178, 1)


def test_costs_that_overflow_end_a_team(teams):
    net, X, Y = training((10, 16, 1), 442)
    with pytest.raises(fs.DivergenceError) as caught:
        fs.train(net, X, Y, fs.GradientDescent(1e38), epochs=500, batch_size=None, n_threads=2)
    assert np.isfinite(net.params).all() and caught.value.step < 500
    assert teams


def in_a_process(source):
    """Return what a process of two threads prints, word by word."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.split()


TRAINED = """
    import hashlib, os, warnings
    import numpy as np
    import fastshallow as fs
    from fastshallow.training import trainer
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((13, 178)), rng.integers(0, 3, 178)
    teams, helped = [], trainer.helped
    trainer.helped = lambda *arguments: teams.append(arguments[0]) or helped(*arguments)

    def trained(n_threads, steps):
        net = fs.Network((13, 50, 3), output="softmax").init(seed=0)
        fs.gradient_descent(net, X, Y, 0.1, steps, n_threads=n_threads)
        return hashlib.sha256(net.params).hexdigest()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
def test_two_threads_on_one_processor_come_to_an_end():
    # 2 s of work; where each step waited for the system to let the helper run it would be 400 s
    one, two, teams = in_a_process(
        TRAINED
        + """
    trained(2, 300)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(trained(1, 100_000), trained(2, 100_000), max(teams))
    """
    )
    assert one == two and teams == "2"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
@pytest.mark.parametrize("refused", [False, True])
def test_a_helper_leaves_the_processor_of_its_leader(refused, monkeypatch):
    before, asked, ran = os.sched_getaffinity(0), [], []

    def set_affinity(pid, cpus):
        asked.append(set(cpus))
        if refused:
            raise PermissionError("not in this sandbox")

    monkeypatch.setattr(threads_module, "_getcpu", lambda: lambda: min(before))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: before | {max(before) + 1})
    monkeypatch.setattr(os, "sched_setaffinity", set_affinity)
    with threads_module.helped(2, ran.append, lambda: None):
        pass
    everywhere = before | {max(before) + 1}
    assert ran == [1]
    assert asked == [everywhere - {min(before)}, everywhere][: 1 if refused else 2]
    threads_module._leave(-1)  # as where the system does not tell
    assert len(asked) == (1 if refused else 2)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
def test_the_processors_of_a_helper_are_those_of_its_leader():
    cpus, seen = os.sched_getaffinity(0), []
    assert threads_module._getcpu()() in cpus
    with threads_module.helped(
        3, lambda number: seen.append(os.sched_getaffinity(0)), lambda: None
    ):
        pass
    assert seen == [cpus, cpus] and os.sched_getaffinity(0) == cpus


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_has_teams_of_its_own():
    # in a parent that has had a team, and never a parallel region
    answers = in_a_process(
        TRAINED
        + """
    warnings.simplefilter("ignore")
    wanted, before = trained(None, 300), len(teams)
    child = os.fork()
    if child == 0:
        os._exit(0 if trained(None, 300) == wanted and len(teams) > before else 1)
    print(os.waitpid(child, 0)[1], wanted == trained(1, 300), teams[0])
    """
    )
    assert answers == ["0", "True", "2"]


# The state ------------------------------------------------------------------------------------


@numba.njit(nogil=True)
def take_part(state, member, taken, sums, wrong):
    """Go through steps as a leader, member 0, or a helper; note what was claimed or looked wrong.

    A share writes to ``sums``, and a pair what its two sides wrote there, added, without more ado:
    whoever comes second, the leader, and the next step must find it.
    """
    shares, last = taken.size, 0
    while last < STEPS:
        if member == 0:
            step = team.begin(state, last + 1)
        else:
            step = np.int64(0)
            while step == 0:
                step = team.wait_for_step(state, last)
            if step == team.NO_MORE:
                return
        share = team.claim(state, team.first_share(state, member), step)
        while share != team.NO_MORE:
            taken[share] += 1
            pair = shares + share
            wrong[0] += state[team.NEWS] != step or sums[pair] != (step - 1) * pair
            sums[pair] = step * pair
            while pair > 1 and team.meet(state, pair // 2, step):
                pair //= 2
                sums[pair] = sums[2 * pair] + sums[2 * pair + 1]
            if pair == 1:
                team.finish(state, step)
            share = team.claim(state, share + 1, step)
        if member == 0:
            team.wait_for_shares(state, step)
            wrong[0] += sums[1] != step * (3 * shares - 1) * shares // 2
        last = step


STEPS = 200_000


def shared_out(shares, members):
    """Take steps in a team; return how many shares each member took, and whether all was seen."""
    state, sums = team.new_team(shares, members), np.zeros(2 * shares, np.int64)
    taken, wrong = np.zeros((members, shares), np.int64), np.zeros((members, 1), np.int64)
    with ThreadPoolExecutor(members) as pool:
        try:
            helpers = [
                pool.submit(take_part, state, i, taken[i], sums, wrong[i])
                for i in range(1, members)
            ]
            take_part(state, 0, taken[0], sums, wrong[0])
        finally:
            team.close(state)
        for helper in helpers:
            helper.result(timeout=60)
    return taken, not wrong.any()


@pytest.mark.parametrize(("shares", "members"), [(8, 3), (2, 2)])
def test_every_share_is_claimed_once_and_added_up(shares, members):
    nobody = team.new_team(shares, 1)
    team.close(nobody)
    take_part(nobody, 1, *np.zeros((3, shares), np.int64))  # compiled
    for _ in range(50):  # where the system is busy, the leader may do all before anybody comes
        taken, seen = shared_out(shares, members)
        assert (taken.sum(axis=0) == STEPS).all()
        assert seen
        if taken[1:].any():
            return
    pytest.fail("nobody ever came to help")


@numba.njit(nogil=True)
def meet_everywhere(state, at, member, rounds, second):
    """Meet the other of two threads at every pair, round by round; note how often it was there.

    Both begin each round at once, or one a little later: ``at`` has the last that each has done.
    """
    shares = (state.size - team.SHARES) // (2 * team.LINE)
    for step in range(1, rounds + 1):
        for _ in range(step % (31 - 14 * member)):
            team._pause()
        for pair in range(1, shares):
            second[pair] += team.meet(state, pair, step)
        team._store(address(at, team.LINE * member), step)
        while team._load(address(at, team.LINE * (1 - member))) < step:
            team._pause()


def test_of_two_that_meet_one_comes_second():
    # were a look and a write two operations, both would at times take themselves for the first,
    # or, in another form, for the second
    shares, rounds = 64, 300
    state, at = team.new_team(shares, 2), np.zeros(2 * team.LINE, np.int64)
    second = np.zeros((2, shares), np.int64)
    meet_everywhere(state, at, 0, 0, second[0])  # compiled
    with ThreadPoolExecutor(2) as pool:
        threads = [pool.submit(meet_everywhere, state, at, i, rounds, second[i]) for i in range(2)]
        for thread in threads:
            thread.result(timeout=120)
    assert (second.sum(axis=0)[1:] == rounds).all()


def instructions(function, *arguments):
    """Return those of LLVM for a function of a team's state, with those of all that it calls."""
    compiled = numba.njit(function.py_func, error_model="numpy")
    compiled.compile((numba.int64[::1], *arguments))
    (code,) = compiled.inspect_llvm().values()
    body = re.search(r"^define .*?^}", code, re.M | re.S)[0]  # the wrappers come behind it
    return [line.strip() for line in body.splitlines() if "%retptr" not in line]


INT = numba.int64


@pytest.mark.parametrize(
    ("function", "arguments", "operations"),
    [
        (team.begin, (INT,), ["store", "store atomic release"]),
        (team.claim, (INT, INT), ["cmpxchg acq_rel acquire", "load atomic acquire"]),
        (team.meet, (INT, INT), ["cmpxchg acq_rel acquire"]),
        (team.finish, (INT,), ["store atomic release"]),
        (team.wait_for_shares, (INT,), ["load atomic acquire"]),
        (team.wait_for_step, (INT,), ["load atomic acquire"]),
    ],
)
def test_every_operation_on_shared_memory_is_atomic_and_ordered(function, arguments, operations):
    # what x86 processors do for themselves, others do not: seen in the code, not in what happens
    found, written = set(), []
    for line in instructions(function, *arguments):
        kind = re.search(r"(cmpxchg|atomicrmw|fence|(?:load|store) atomic|\bstore) ", line)
        if kind:
            orders = re.findall(r"\b(monotonic|acquire|release|acq_rel|seq_cst)\b", line)
            found.add(" ".join([kind[1], *orders]))
            written += [kind[1]] * ("store" in kind[1])
    assert sorted(found) == operations
    # nobody sees a step that has begun before what is known of it
    assert written == ([*["store"] * (function is team.begin), "store atomic"] if written else [])


@numba.njit
def claimed(state, member, n):
    """Begin a step; return what a member claims, so many times."""
    step, shares = team.begin(state, 0), [team.first_share(state, member) - 1]
    for _ in range(n):
        shares.append(team.claim(state, shares[-1] + 1, step))
    return shares[1:]


@pytest.mark.parametrize("members", [1, 2, 3, 8])
def test_members_begin_far_from_each_other(members):
    shares = 8
    for member in range(members):
        first = member * shares // members
        wanted = [*range(first, shares), *range(first), team.NO_MORE]
        assert claimed(team.new_team(shares, members), member, shares + 1) == wanted
