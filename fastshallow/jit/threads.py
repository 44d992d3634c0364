"""Number of threads of a call, parallel regions, helper threads, and safety after a fork.

The number of threads never changes a result: see `fastshallow.kernels.blocks`.
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

# Floating-point operations for each thread of a parallel region. Entering and leaving a region
# takes 1 to 3 us; a core does about 200,000 operations in that time.
GRAIN = 1_000_000

# The same for a team of threads that stays together for many steps.
TEAM_GRAIN = 250_000

# True if the user has set the number of Numba's threads.
_asked = "NUMBA_NUM_THREADS" in os.environ

# Iterations that GNU OpenMP's threads spin for work before they sleep: 10 to 100 us. The default
# takes milliseconds and makes a busy machine up to 90 times slower.
SPIN_COUNT = "5000"
SPIN_VARIABLES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")

_workqueue_lock = threading.Lock()
_forked = False


def bound_spinning() -> None:
    """Load GNU OpenMP with a bound on the spinning of its threads, unless the user has set one.

    The library reads the variable once, when it is loaded. The environment is restored afterwards.
    If the library is loaded already, nothing changes.
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
    # GNU OpenMP kills a forked child at its first parallel region, and a grandchild hangs. Numba
    # starts the layer when it loads a parallel kernel. A locked lock means that another thread of
    # the parent was starting it. That thread does not exist here and would never release the lock.
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
    """Return the number of cores within a container's CPU quota; see `joblib.cpu_count`."""
    import joblib

    cores: int = joblib.cpu_count()
    return max(1, cores)


def allowed() -> int:
    """Return the largest number of threads of a call without ``n_threads``.

    Numba starts one thread for each core and ignores a container's CPU quota. This number is
    ``numba.get_num_threads()``, limited by the quota and the CPU affinity unless the user has set
    ``NUMBA_NUM_THREADS``.
    """
    # get_num_threads() starts Numba's threads, and then a forked child cannot use any
    started = threading_layer() != "not started"
    threads = int(numba.get_num_threads()) if started else numba.config.NUMBA_NUM_THREADS
    if _asked or threads == 1:
        return threads
    if hasattr(os, "sched_getaffinity"):  # Linux; it may have changed since Numba counted
        threads = min(threads, len(os.sched_getaffinity(0)))
    return min(threads, quota())


def choose_workers(n_threads: int | None, n_tasks: int, work: float, grain: float = GRAIN) -> int:
    """Return the number of threads for ``n_tasks`` tasks of ``work`` operations in all.

    Parameters
    ----------
    n_threads : int or None
        Number of threads, limited by ``NUMBA_NUM_THREADS``. None chooses it by the work, within
        `allowed`.
    n_tasks : int
        Independent tasks, at most one thread each.
    work : float
        Floating-point operations of all tasks.
    grain : float
        Operations for each thread if ``n_threads`` is None.
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
    """Let parallel kernels inside use ``workers`` threads, then restore Numba's number.

    One worker changes nothing: the kernels run serially in the calling thread.
    """
    if workers == 1:
        yield
        return
    # get_num_threads() starts the layer; a fork meanwhile sees that the lock is taken
    with _workqueue_lock if threading_layer() == "not started" else nullcontext():
        before = numba.get_num_threads()
    # the workqueue layer aborts the process when two threads enter it (numba #8563)
    with _workqueue_lock if threading_layer() == "workqueue" else nullcontext():
        try:
            numba.set_num_threads(workers)
            yield
        finally:
            numba.set_num_threads(before)


@functools.cache
def _getcpu() -> Callable[[], int]:
    """Return the C library's `sched_getcpu`, or a function that returns -1."""
    if not hasattr(os, "sched_setaffinity"):  # not Linux
        return lambda: -1
    return getattr(ctypes.CDLL(None), "sched_getcpu", lambda: -1)


def _leave(cpu: int) -> None:
    """Move the calling thread to another CPU, without pinning it; -1 does nothing.

    Linux may start a thread on its creator's CPU and takes milliseconds to move it.
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
    """Run helper threads during the ``with`` block.

    Parameters
    ----------
    workers : int
        Number of threads, including the caller's.
    help_out : callable
        Function of each helper; its argument is the helper's number, from 1. It must return after
        ``close`` is called.
    close : callable
        Called at the end of the block.
    """
    cpu = _getcpu()()

    def help_elsewhere(number: int) -> None:
        _leave(cpu)
        help_out(number)

    # new threads each time (0.1 ms each), because waiting threads would make a fork unsafe
    helpers = [
        threading.Thread(target=help_elsewhere, args=(i,), daemon=True) for i in range(1, workers)
    ]
    try:
        with suppress(RuntimeError):  # no more threads: the caller does their part
            for helper in helpers:
                helper.start()
        yield
    finally:
        close()
        for helper in helpers:
            if helper.ident is not None:  # it was started
                helper.join()  # or it might read what the caller writes next
