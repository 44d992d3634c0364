"""Threads and processes that train and predict at once: the same bits, and no more threads."""

from __future__ import annotations

import os
import sys
import textwrap

import pytest
from processes import needs_layer, run, script

from fastshallow.jit import threads as threads_module

# A job with parallel regions in training and in prediction, and its answer as one hash.
JOB = """
    import hashlib, os, sys, warnings
    import numba, numpy as np, fastshallow as fs

    def job(seed=0):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((5, 3000)).astype("f4")
        Y = rng.integers(0, 2, 3000)
        net = fs.Network((5, 32, 1), "tanh").init(seed=seed)
        history = fs.train(net, X, Y, epochs=2, batch_size=1000, n_threads=2)
        answer = net.predict_proba(X, n_threads=2).tobytes() + history.cost.tobytes()
        for make, solver in ((fs.ShallowClassifier, "adam"), (fs.ShallowRegressor, "lbfgs")):
            learner = make(hidden_layer_sizes=32, solver=solver, max_iter=2, random_state=seed,
                           batch_size=1000, n_threads=2)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                learner.fit(X.T, Y)
            answer += learner.net_.params.tobytes() + learner.predict(X.T).tobytes()
        return hashlib.sha256(answer + net.params.tobytes()).hexdigest()
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_eight_threads_at_once(layer):
    # in a process that has not started its layer yet: the first regions come together
    needs_layer(layer)
    source = """
        from concurrent.futures import ThreadPoolExecutor
        import threading

        start = threading.Barrier(8)

        def work(seed):
            start.wait()
            return job(seed), job(seed)

        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(work, range(8)))
        alone = [(job(seed),) * 2 for seed in range(8)]
        print(together == alone, numba.threading_layer(), numba.get_num_threads())
        """
    output = script(textwrap.dedent(JOB) + textwrap.dedent(source), NUMBA_THREADING_LAYER=layer)
    assert output.split() == ["True", layer, os.environ["NUMBA_NUM_THREADS"]]


def test_concurrent_predictions_of_one_model():
    source = """
        from concurrent.futures import ThreadPoolExecutor
        net = fs.Network((5, 32, 3), "relu", "softmax").init(seed=0)
        parts = [np.random.default_rng(i).standard_normal((5, 1 + i % 900)) for i in range(400)]
        alone = [net.predict_proba(X).tobytes() for X in parts]
        X = np.concatenate(parts[:9], axis=1).T
        learner = fs.ShallowClassifier(9, max_iter=2, tol=9, n_iter_no_change=1, random_state=0)
        learner.fit(X, np.arange(len(X)) % 3)
        alone += [learner.predict_proba(X.T).tobytes() for X in parts]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda X: net.predict_proba(X).tobytes(), parts))
            found += pool.map(lambda X: learner.predict_proba(X.T).tobytes(), parts)
        print(found == alone)
        """
    assert script(textwrap.dedent(JOB) + textwrap.dedent(source)).strip() == "True"


def test_kernels_release_the_gil():
    source = """
        import threading, time
        rng = np.random.default_rng(0)
        X, Y = rng.standard_normal((50, 100_000)), rng.integers(0, 2, 100_000)
        net = fs.Network((50, 200, 1)).init(seed=0)
        net.cost_and_grad(X[:, :100], Y[:100], n_threads=1)
        thread = threading.Thread(target=net.cost_and_grad, args=(X, Y), kwargs={"n_threads": 1})
        sys.setswitchinterval(1e-4)
        longest, last = 0.0, time.perf_counter()
        began = last
        thread.start()
        while thread.is_alive():
            time.sleep(0.001)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
        print(longest / (last - began))
        """
    # a kernel that kept it would let this thread have its turn once
    assert float(script(textwrap.dedent(JOB) + textwrap.dedent(source))) < 0.6


MULTIPROCESSING = """
    import multiprocessing as mp, sys
    from work import job

    if __name__ == "__main__":
        wanted = [job(seed) for seed in range(2)]
        with mp.get_context(sys.argv[1]).Pool(2) as pool:
            print(pool.map(job, range(2), chunksize=1) == wanted)
"""
LOKY = """
    import sys
    from joblib import Parallel, delayed
    from work import job, threads

    if __name__ == "__main__":
        wanted = [job(seed) for seed in range(2)]
        workers = Parallel(n_jobs=2, backend="loky")
        print(workers(delayed(job)(seed) for seed in range(2)) == wanted)
        from joblib import parallel_config
        with parallel_config("loky", inner_max_num_threads=1):
            print(Parallel(n_jobs=2)(delayed(threads)() for _ in range(2)))
"""
THREADS = """
    def threads():
        from fastshallow.jit.threads import choose_workers
        return choose_workers(None, 100, 1e12)
"""


def in_a_file(tmp_path, source, *arguments, **environment):
    """Run a program that its workers import, as spawn and loky need."""
    (tmp_path / "work.py").write_text(textwrap.dedent(JOB) + textwrap.dedent(THREADS))
    (tmp_path / "main.py").write_text(textwrap.dedent(source))
    arguments = ["-W", "ignore", str(tmp_path / "main.py"), *arguments]
    return run(arguments, PYTHONWARNINGS="ignore", **environment)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing(method, tmp_path):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    assert in_a_file(tmp_path, MULTIPROCESSING, method).strip() == "True"


def test_workers_of_joblib_and_their_limit(tmp_path):
    assert in_a_file(tmp_path, LOKY).splitlines() == ["True", "[1, 1]"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_child_of_a_fork_while_the_layer_starts():
    # the thread that held the lock is not there any more
    source = """
        from fastshallow.jit import threads as threads_module
        warnings.simplefilter("ignore")
        wanted = job()
        threads_module._workqueue_lock.acquire()
        child = os.fork()
        if child == 0:
            threads_module.threading_layer = lambda: "not started"
            os._exit(0 if job() == wanted and threads_module._forked else 1)
        print(os.waitpid(child, 0)[1])
        """
    assert script(textwrap.dedent(JOB) + textwrap.dedent(source)).strip() == "0"


# Limits --------------------------------------------------------------------------------------


def test_threads_that_were_asked_for():
    source = "print(threads(), numba.get_num_threads())"
    source = textwrap.dedent(JOB) + textwrap.dedent(THREADS) + source
    assert script(source, NUMBA_NUM_THREADS="3").split() == ["3", "3"]
    source = source.replace("print(", "numba.set_num_threads(2)\nprint(")
    assert script(source, NUMBA_NUM_THREADS="3").split() == ["2", "2"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux")
def test_affinity_that_changes_later(monkeypatch):
    monkeypatch.setattr(threads_module, "_asked", False)
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert threads_module.choose_workers(None, 100, 1e12) == 1
        assert threads_module.choose_workers(2, 100, 1e12) == 2  # said in so many words
    finally:
        os.sched_setaffinity(0, cores)


QUOTA = """
    import builtins, io, os

    files = {files}
    real_open, real_exists = builtins.open, os.path.exists
    def opened(path, *more, **options):
        return io.StringIO(files[path]) if path in files else real_open(path, *more, **options)
    builtins.open = opened
    os.path.exists = lambda p: p in files or (
        not str(p).startswith("/sys/fs/cgroup/cpu") and real_exists(p))
    os.cpu_count = lambda: 16
    os.sched_getaffinity = lambda pid: set(range(16))
    from fastshallow.jit import threads as threads_module
    threads_module.numba.get_num_threads = lambda: 16
    print(threads_module.choose_workers(None, 100, 1e12))
"""
CFS = "/sys/fs/cgroup/cpu/cpu.cfs_"


@pytest.mark.skipif(sys.platform != "linux", reason="quotas as Linux has them")
@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"/sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"/sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"/sys/fs/cgroup/cpu.max": "max 100000\n"}, 16),
        ({CFS + "quota_us": "300000\n", CFS + "period_us": "100000\n"}, 3),
        ({CFS + "quota_us": "-1\n", CFS + "period_us": "100000\n"}, 16),
    ],
)
def test_a_containers_quota(files, wanted, monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    assert int(script(QUOTA.format(files=files))) == wanted
