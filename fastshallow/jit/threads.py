"""Threads: how many a call uses, and where a parallel kernel may not run at all.

The number of threads never changes a result: see `fastshallow.kernels`.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import numbers
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress

import numba

__all__ = ["TEAM_GRAIN", "choose_workers", "helped", "parallel_region", "threading_layer"]

# Floating-point operations that one thread must have to be worth waking: entering and leaving
# a parallel region costs 1 to 3 us on 2 cores, in which a core does about 200,000.
GRAIN = 1_000_000

# The same of threads that stay together for many steps.
TEAM_GRAIN = 250_000

# Whether the user has said how many threads Numba starts with.
_asked = "NUMBA_NUM_THREADS" in os.environ

# How often GNU OpenMP's threads look for more work before they sleep: some 10 to 100 us. By itself
# it takes milliseconds, and a busy machine then takes up to 90 times as long as one thread.
SPIN_COUNT = "5000"
SPIN_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

_workqueue_lock = threading.Lock()
_forked = False


def bound_spinning() -> None:
    """Load GNU OpenMP with a bound on how long its threads wait awake, unless the user has set one.

    It reads the variable when it is loaded, and never again. The environment is then as it was, for
    other processes and other libraries. Where somebody has loaded it before, nothing changes.
    """
    layer = str(numba.config.THREADING_LAYER).lower()
    if not sys.platform.startswith("linux") or layer in ("tbb", "workqueue"):
        return
    if any(name in os.environ for name in SPIN_VARIABLES):
        return
    os.environ[SPIN_VARIABLES[0]] = SPIN_COUNT
    try:
        with suppress(ImportError):  # no OpenMP here
            importlib.import_module("numba.np.ufunc.omppool")
    finally:
        del os.environ[SPIN_VARIABLES[0]]


bound_spinning()


def _after_fork_in_child() -> None:
    # GNU OpenMP kills a child at its first parallel region, and hangs a grandchild. Numba starts
    # the layer when it loads a parallel kernel, whether or not a region of it ever runs. Another
    # thread of the parent may have been about to start it; here that thread is no more, and
    # would never give the lock back.
    global _forked, _workqueue_lock
    _forked = _forked or _workqueue_lock.locked() or threading_layer() != "not started"
    _workqueue_lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # POSIX only
    os.register_at_fork(after_in_child=_after_fork_in_child)


def threading_layer() -> str:
    """Return Numba's threading layer: "omp", "tbb", "workqueue", or "not started"."""
    try:
        return str(numba.threading_layer())
    except ValueError:
        return "not started"


@functools.cache
def quota() -> int:
    """Return how many cores a container's quota leaves this process; see `joblib.cpu_count`."""
    import joblib

    cores: int = joblib.cpu_count()
    return max(1, cores)


def allowed() -> int:
    """Return how many threads a call takes by itself: ``numba.get_num_threads()`` at most.

    Numba starts one for each core that the process may run on, and knows no quota of CPU time: 64
    threads that share the time of one core wait for each other. What the user has asked for with
    ``NUMBA_NUM_THREADS`` stays as it is.
    """
    # asked for their number, Numba would start them, and a child of a fork could have none
    started = threading_layer() != "not started"
    threads = int(numba.get_num_threads()) if started else numba.config.NUMBA_NUM_THREADS
    if _asked or threads == 1:
        return threads
    if hasattr(os, "sched_getaffinity"):  # Linux: may have changed since Numba counted
        threads = min(threads, len(os.sched_getaffinity(0)))
    return min(threads, quota())


def choose_workers(n_threads: int | None, n_tasks: int, work: float, grain: float = GRAIN) -> int:
    """Return how many threads share ``n_tasks`` tasks of ``work`` operations in all.

    Parameters
    ----------
    n_threads : int or None
        The caller's wish; None means by the work, within ``numba.get_num_threads()``, CPU
        affinity and a container's quota. More threads than Numba was started with
        (``NUMBA_NUM_THREADS``) are not to be had.
    n_tasks : int
        Independent pieces, at most one thread each.
    work : float
        Floating-point operations of all tasks together.
    grain : float
        How many of them a thread must have, unless the caller wishes so.
    """
    if n_threads is None:
        wanted = int(work // grain)
        if wanted > 1 and n_tasks > 1:
            wanted = min(wanted, allowed())
    else:
        if isinstance(n_threads, bool) or not isinstance(n_threads, numbers.Integral):
            raise TypeError(
                f"n_threads: expected None or a positive integer, got {n_threads!r} "
                f"of type {type(n_threads).__name__}"
            )
        if n_threads < 1:
            raise ValueError(f"n_threads: expected None or a positive integer, got {n_threads}")
        wanted = min(int(n_threads), numba.config.NUMBA_NUM_THREADS)
    return 1 if _forked else max(1, min(wanted, n_tasks))


@contextmanager
def parallel_region(workers: int) -> Iterator[None]:
    """Let parallel kernels inside use ``workers`` threads; give the caller's number back after.

    With one worker nothing is touched: the kernels then run serially in the calling thread.
    """
    if workers == 1:
        yield
        return
    before = numba.get_num_threads()
    # The workqueue layer aborts the process when two threads enter it (numba #8563). Until
    # the first region has run the layer is not known.
    layer = threading_layer()
    with _workqueue_lock if layer in ("workqueue", "not started") else nullcontext():
        try:
            numba.set_num_threads(workers)
            yield
        finally:
            numba.set_num_threads(before)


@functools.cache
def _getcpu() -> Callable[[], int]:
    """Return the C library's `sched_getcpu`, or what gives -1 where there is none."""
    if not hasattr(os, "sched_setaffinity"):  # not Linux
        return lambda: -1
    return getattr(ctypes.CDLL(None), "sched_getcpu", lambda: -1)


def _leave(cpu: int) -> None:
    """Move the calling thread away from a CPU, and let it run anywhere again; -1 is no CPU.

    Linux may start a thread on its creator's CPU, and takes some ms to see that both are busy: of
    three teams of 30-100-1 one went without its helper for 30 to 110 of 800 steps.
    """
    if cpu < 0:
        return
    with suppress(OSError):  # a sandbox may refuse it
        cpus = os.sched_getaffinity(0)
        if cpus - {cpu}:
            os.sched_setaffinity(0, cpus - {cpu})
            os.sched_setaffinity(0, cpus)


@contextmanager
def helped(
    workers: int, help_out: Callable[[int], None], close: Callable[[], None]
) -> Iterator[None]:
    """Let other threads help with what is done inside.

    Parameters
    ----------
    workers : int
        Threads in all, the caller's included.
    help_out : callable
        What each of the others does, given its number from 1. It returns after ``close``.
    close : callable
        Called at the end.
    """
    cpu = _getcpu()()

    def help_elsewhere(number: int) -> None:
        _leave(cpu)
        help_out(number)

    # new ones each time (0.1 ms each): threads that wait for more would be in the way of a fork
    helpers = [
        threading.Thread(target=help_elsewhere, args=(i,), daemon=True) for i in range(1, workers)
    ]
    try:
        with suppress(RuntimeError):  # the system has no more threads: the caller does their part
            for helper in helpers:
                helper.start()
        yield
    finally:
        close()
        for helper in helpers:
            if helper.ident is not None:  # it was started
                helper.join()  # else it might read on while the caller writes
