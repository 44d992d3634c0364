"""The same bits from any number of threads on any layer, and the thread counts of callers."""

from __future__ import annotations

import json
import os

import numba
import numpy as np
import pytest
from processes import TESTS, needs_layer, run, script

import fastshallow as fs
from fastshallow.jit import threads as threads_module


def hashes_on(layer, counts, **environment):
    """Return the hashes that `bits` prints, and check that the layer was used."""
    arguments = [str(TESTS / "bits.py"), *map(str, counts)]
    answer = json.loads(run(arguments, NUMBA_THREADING_LAYER=layer, **environment))
    if max(counts) > 1:
        assert answer["layer"] == layer
    return answer["hashes"]


@pytest.fixture(scope="module")
def serial():
    """The hashes of one thread, in a process that has no second."""
    return hashes_on("default", (1,), NUMBA_NUM_THREADS="1")["1"]


@pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])
def test_same_bits_at_1_to_4_threads(layer, serial):
    needs_layer(layer)
    # 4 first: what was called before must not matter either
    for n, hashes in hashes_on(layer, (4, 3, 2, 1), NUMBA_NUM_THREADS="4").items():
        assert hashes == serial, f"{n} threads on {layer}"


def test_same_bits_in_this_process(serial):
    import bits

    # None: serial or parallel, by the work
    for n_threads in (None, 1, 3):
        assert [bits.everything(*kind, n_threads) for kind in bits.KINDS] == serial
    assert len(set(serial)) == len(serial)


@pytest.mark.slow
def test_same_bits_with_a_cold_cache(serial, tmp_path):
    assert (
        json.loads(
            run([str(TESTS / "bits.py"), "2"], NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2")
        )["hashes"]["2"]
        == serial
    )


def test_workqueue_survives_calls_from_two_python_threads():
    # Two threads in a parallel region of workqueue abort the process (numba #8563).
    needs_layer("workqueue")
    output = script(
        """
        from concurrent.futures import ThreadPoolExecutor
        import bits, fastshallow as fs
        net, X, Y = bits.network_and_data("sigmoid", "float32")
        with ThreadPoolExecutor(4) as pool:
            costs = pool.map(lambda n: net.cost(X, Y, n_threads=2 + n % 2), range(40))
            print(len(set(costs)))
        """,
        NUMBA_THREADING_LAYER="workqueue",
    )
    assert output.strip() == "1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("n_threads", [1, 4])
def test_a_forked_child_runs_serially(n_threads):
    # GNU OpenMP kills a child at its first parallel region, and hangs a grandchild,
    # whether the parent ran one or Numba has merely started its threads.
    output = script(
        f"""
        import os, warnings, bits
        warnings.simplefilter("ignore")  # Python >= 3.12 warns of forks beside threads
        net, X, Y = bits.network_and_data("sigmoid", "float32")
        J = net.cost(X, Y, n_threads={n_threads})
        if os.fork() == 0:
            child = os.fork()
            same = net.cost(X, Y, n_threads=4) == J
            if child == 0:
                os._exit(0 if same else 1)
            os._exit(0 if same and os.waitpid(child, 0)[1] == 0 else 1)
        print(os.wait()[1], net.cost(X, Y, n_threads=4) == J)
        """
    )
    assert output.split() == ["0", "True"]


def test_workers_never_exceed_tasks_nor_numbas_threads():
    most = numba.config.NUMBA_NUM_THREADS
    assert threads_module.choose_workers(1000, 1000, 0.0) == most
    assert threads_module.choose_workers(3, 2, 1e12) == min(2, most)
    assert threads_module.choose_workers(1, 10, 1e12) == 1
    assert threads_module.choose_workers(np.int64(2), 10, 0.0) == min(2, most)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux")
def test_allowed_is_the_least_of_threads_affinity_and_quota(monkeypatch):
    # joblib's count goes by the affinity too, but is asked for once: here they differ
    monkeypatch.setattr(threads_module, "_asked", False)
    threads = numba.get_num_threads()
    for cores, quota in [(1, 64), (2, 64), (3, 64), (64, 1), (64, 2), (2, 3), (64, 64)]:
        affinity = set(range(5, 5 + cores))
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, found=affinity: found)
        monkeypatch.setattr(threads_module, "quota", lambda found=quota: found)
        assert threads_module.allowed() == min(threads, cores, quota)
    monkeypatch.setattr(threads_module, "_asked", True)  # the user's number stays as it is
    assert threads_module.allowed() == threads
    monkeypatch.setattr(threads_module, "_asked", False)
    monkeypatch.delattr(os, "sched_getaffinity")  # a system without
    assert threads_module.allowed() == min(threads, 64)


def test_workers_by_the_work_stay_within_the_callers_limit():
    assert threads_module.choose_workers(None, 100, threads_module.GRAIN / 2) == 1
    before = numba.get_num_threads()
    try:
        for limit in range(1, before + 1):
            numba.set_num_threads(limit)
            assert threads_module.choose_workers(None, 100, 1e12) == limit
    finally:
        numba.set_num_threads(before)


def test_region_gives_the_callers_number_back_after_an_error():
    before = numba.get_num_threads()
    with pytest.raises(KeyError), threads_module.parallel_region(2):
        assert numba.get_num_threads() == 2
        raise KeyError
    assert numba.get_num_threads() == before


@pytest.mark.parametrize("n_threads", [1, 2, None])
def test_calls_leave_the_callers_number_alone(n_threads, rng):
    X, Y = rng.standard_normal((5, 3000)), rng.integers(0, 2, 3000)
    net = fs.Network((5, 64, 1), dtype="float64").init(seed=0)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(3)
        net.cost_and_grad(X, Y, n_threads=n_threads)
        net.predict(X, n_threads=n_threads)
        fs.gradient_descent(net, X, Y, 0.1, 3, n_threads=n_threads)
        X[0, 0] = np.nan  # found by the kernels, inside the parallel region
        with pytest.raises(ValueError, match="X: expected finite"):
            net.cost(X, Y, n_threads=n_threads)
        with pytest.raises(ValueError, match="X: expected finite"):
            net.predict(X, n_threads=n_threads)
        assert numba.get_num_threads() == 3
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize(
    ("n_threads", "error"),
    [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)],
)
def test_wrong_n_threads(n_threads, error):
    net = fs.Network((2, 1)).init(seed=0)
    before = net.params.copy()
    X, Y = np.ones((2, 3)), np.ones(3)
    for call in (
        lambda: net.cost(X, Y, n_threads=n_threads),
        lambda: net.predict(X, n_threads=n_threads),
        lambda: fs.gradient_descent(net, X, Y, 0.1, 1, n_threads=n_threads),
    ):
        with pytest.raises(error, match=r"n_threads: expected None or a positive integer.* got"):
            call()
    assert np.array_equal(net.params, before)
