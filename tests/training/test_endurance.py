"""A thousand trainings in one process, memory that is not to be had, no network, and a soak."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from processes import run, script

import fastshallow as fs

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory as Linux reports it")

RESIDENT = """
    import gc, sys, warnings
    import numpy as np, fastshallow as fs

    warnings.simplefilter("ignore")

    def resident():
        gc.collect()
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if "VmRSS" in line)

    X, Y = np.random.default_rng(0).standard_normal((5, 2000)), np.arange(2000) % 2

    def work(seed):
        net = fs.Network((5, 16, 1), "tanh").init(seed=seed)
        fs.train(net, X, Y, epochs=1, validation=0.1, n_threads=1 + seed % 2)
        fs.gradient_descent(net, X, Y, 0.1, 2)
        net.score(X, Y)
        fs.save(net, sys.argv[1])
        assert fs.load(sys.argv[1]) == net
        solver = ("adam", "sgd", "lbfgs")[seed % 3]
        learner = fs.ShallowClassifier(16, solver=solver, max_iter=1, random_state=seed)
        learner.fit(X.T, Y)
        learner.predict(X.T)
        try:
            fs.train(net, X, Y[:-1])
        except ValueError:
            pass

    for seed in range(100):
        work(seed)
    before = resident()
    for seed in range(int(sys.argv[2])):
        work(seed)
    print(resident() / before)
"""


@linux
@pytest.mark.parametrize("n", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_trainings_do_not_grow(n, tmp_path):
    assert float(run(["-c", textwrap.dedent(RESIDENT), str(tmp_path / "m"), str(n)])) < 1.05


SCARCE = """
    import resource, sys
    import numpy as np, fastshallow as fs
    from fastshallow.jit.linking import prepare

    X, Y = np.ones((50, 40_000), "f4"), np.arange(40_000) % 2
    options = {options}
    small = fs.Network((50, 4, 1)).init(seed=0)
    fs.train(small, X[:, :400], Y[:400], epochs=1, **options)
    # compiling takes memory, too
    prepare(np.dtype("f4"), None, ("parallel", "large", "batches"))
    wide = fs.Network((50, 100_000, 1)).init(seed=0)
    before = wide.params.copy()
    X, Y = X[:, :20_000], Y[:20_000]
    memory = dict(line.split(":") for line in open("/proc/self/status") if ":" in line)
    now = int(memory["VmData"].split()[0]) << 10
    limit = now + 4 * before.nbytes
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        fs.train(wide, X, Y, epochs=1, **options)
    except MemoryError as error:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))  # a comparison takes memory, too
        print(error)
        print((wide.params == before).all())
"""


@linux
@pytest.mark.parametrize("options", ["{'batch_size': 20_000}", "{'optimizer': fs.SGD(0.1)}"])
def test_memory_that_is_not_to_be_had(options):
    message, unchanged = script(SCARCE.format(options=options)).splitlines()
    assert "bytes of workspace were wanted" in message or "Unable to allocate" in message
    assert unchanged == "True"


def test_no_network_is_used(tmp_path):
    source = """
        import sys

        def refuse(event, arguments):
            if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
                if event != "socket.__new__":
                    raise OSError(f"network: {event}")

        import socket
        class Refused(socket.socket):
            def __init__(self, *arguments, **options):
                raise OSError("network: a socket was made")
        socket.socket = Refused
        sys.addaudithook(refuse)
        from fastshallow.__main__ import main
        model = sys.argv[1]
        status = main(["train", "--quiet", "--out", model]) or main(["info", model])
        import fastshallow as fs
        try:
            socket.create_connection(("127.0.0.1", 9))
        except OSError as error:
            print(status, "network" in str(error))
        """
    output = run(["-c", textwrap.dedent(source), str(tmp_path / "m")])
    assert output.splitlines()[-1] in ("0 True", "None True")


SOAK = """
    import random, sys, threading, time, warnings
    import numpy as np, fastshallow as fs

    warnings.simplefilter("ignore")
    folder, seconds = sys.argv[1], float(sys.argv[2])
    kinds = [(seed, *kind) for seed, kind in enumerate(
        (out, dtype, m) for out in ("sigmoid", "softmax", "linear") for dtype in ("f4", "f8")
        for m in (50, 3000))]

    def answer(kind, path):
        seed, output, dtype, m = kind
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((4, m)).astype(dtype)
        n_y = 1 if output == "sigmoid" else 3
        Y = rng.standard_normal((3, m)) if output == "linear" else rng.integers(0, n_y + 1, m)
        Y = Y % 3 if output == "softmax" else Y
        net = fs.Network((4, 9, n_y), "tanh", output, dtype).init(seed=seed)
        history = fs.train(net, X, Y, epochs=3, batch_size=32 + seed, n_threads=1 + seed % 2)
        fs.save(net, path)
        loaded = fs.load(path)
        assert loaded == net
        make = fs.ShallowRegressor if output == "linear" else fs.ShallowClassifier
        learner = make(hidden_layer_sizes=9, max_iter=2, tol=9, n_iter_no_change=1, random_state=0)
        learner.fit(X.T, Y.T)
        answer = history.cost.tobytes() + loaded.predict(X).tobytes()
        return answer + learner.predict(X.T).tobytes()

    wanted = {kind: answer(kind, folder + "/first") for kind in kinds}
    done, failed, ends = [], [], time.monotonic() + seconds

    def work(number):
        chance = random.Random(number)
        try:
            while time.monotonic() < ends:
                kind = chance.choice(kinds)
                # a file of its own, and one that all write to
                assert answer(kind, f"{folder}/{number}") == wanted[kind], kind
                net = fs.load(f"{folder}/{number}")
                fs.save(net, folder + "/shared")
                assert np.isfinite(fs.load(folder + "/shared").params).all()
                done.append(number)
        except BaseException as error:
            failed.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(done), failed)
"""


@pytest.mark.parametrize("seconds", [2, pytest.param(600, marks=pytest.mark.slow)])
def test_soak(seconds, tmp_path):
    source = textwrap.dedent(SOAK)
    done, failed = run_long(source, str(tmp_path), str(seconds)).split(maxsplit=1)
    assert int(done) > 6 and failed.strip() == "[]"


def run_long(source, *arguments):
    """Run a process for as long as it takes."""
    return subprocess.run(
        [sys.executable, "-c", source, *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(fs.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=1200,
        check=True,
    ).stdout
