"""How many threads a repeated call uses by itself: as many as make it faster.

On a busy machine two threads may be slower than one: each waits for the other, which waits for a
processor that another program has. The bits do not depend on the number of threads, so it may
change between calls. A `Pace` counts how often the system took a processor away from this process
(involuntary context switches). Where that is often, it tries fewer threads for `TRIAL_SECONDS`, and
keeps the number that was fastest. A quiet machine pays nothing: there is no trial.

Where a system does not count such switches (Windows), there is a trial from time to time.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Iterator

from .threads import parallel_region

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["Pace", "pace_of", "paced_region"]

# A trial of one number of threads takes so long, or one call.
TRIAL_SECONDS = 0.02

# Seconds of work before the next trial: at first, and at most. It doubles where a trial changes
# nothing.
PAUSE_LEAST, PAUSE_MOST = 0.1, 1.0

# The machine is busy if the system took processors away so often a second, and at least so often.
# (On 2 cores, 30-64-1 over 4,000 examples: 44 a second alone, 250 to 300 beside a busy loop.)
BUSY_RATE, BUSY_LEAST = 120, 6

# Seconds of work between two looks at that number: a look takes 2 us.
LOOK_SECONDS = 0.01

# Work between two trials is so many times as long as what the first of them lost.
LOST_FACTOR = 20

# More threads must be faster than fewer by this factor. On a busy machine they take time from other
# processes, which take it back.
GAIN_LEAST = 1.25

# How long a new piece of work begins with the number of threads that the last trial chose.
REMEMBER_SECONDS = 1.0


def switches() -> int | None:
    """Return how often the system took a processor away from a thread of this process."""
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


class _Latest:
    """The number of threads that the latest trial of the process chose, if it chose fewer."""

    threads, until = 0, -1.0


class Pace:
    """Choose the number of threads of a repeated piece of work, by how fast it was with each.

    Parameters
    ----------
    most : int
        Threads at most.
    fixed : bool
        Whether it is always this number.

    Examples
    --------
    >>> from fastshallow.jit.pace import Pace
    >>> Pace(4, fixed=True).threads
    4
    """

    def __init__(self, most: int, fixed: bool = False):
        self._most, self._best = most, most
        self._fixed = fixed or most == 1
        self._to_try: list[int] = []
        if self._fixed:
            return
        self._pause = PAUSE_LEAST
        self._until_trial, self._until_look = 0.0 if resource else 1.0, 0.0
        self._trials: dict[int, tuple[float, float]] = {}  # seconds and speed, by threads
        self._tried = (0.0, 0.0)  # work and seconds of the number that is on trial
        self._looked = switches(), time.monotonic()
        self._lock = threading.Lock()
        if time.monotonic() < _Latest.until:
            self._best = min(most, _Latest.threads)
            self._until_trial = PAUSE_LEAST

    @property
    def threads(self) -> int:
        """Threads of the next call."""
        to_try = self._to_try[-1:]
        return to_try[0] if to_try else self._best

    @property
    def on_trial(self) -> bool:
        """Whether the next call is part of a trial, and should be short."""
        return bool(self._to_try)

    def measured(self, threads: int, work: float, seconds: float) -> None:
        """Note a call of so much work, in any unit, that so many threads did."""
        if self._fixed:
            return
        with self._lock:
            if self._to_try:
                if threads == self._to_try[-1]:
                    self._note_trial(work, seconds)
                return
            self._until_trial -= seconds
            self._until_look -= seconds
            if self._until_trial <= 0 and (self._best < self._most or self._busy()):
                self._begin_trial()

    def _busy(self) -> bool:
        """Return whether the machine is busy, or the system does not say."""
        if self._until_look > 0:
            return False
        self._until_look = LOOK_SECONDS
        (count, then), now = self._looked, time.monotonic()
        found = switches()
        if found is None or count is None:
            return True
        seconds = now - then
        busy = found - count >= max(BUSY_LEAST, BUSY_RATE * seconds)
        if busy or seconds > PAUSE_LEAST:
            self._looked = found, now
        return busy

    def _begin_trial(self) -> None:
        """Try one thread, then more, up to the most."""
        self._to_try = [self._most >> i for i in range(self._most.bit_length())]
        self._tried, self._trials = (0.0, 0.0), {}

    def _note_trial(self, work: float, seconds: float) -> None:
        """Note a call of a trial, and choose where it was the last."""
        self._tried = work, seconds = self._tried[0] + work, self._tried[1] + seconds
        if seconds < TRIAL_SECONDS:
            return
        threads, trials = self._to_try.pop(), self._trials
        slower = any(work / seconds < speed for _, speed in trials.values())
        trials[threads], self._tried = (seconds, work / seconds), (0.0, 0.0)
        if self._to_try and not slower:
            return
        self._to_try = []
        before, self._best = self._best, 1
        for threads, (_, speed) in trials.items():
            if speed > GAIN_LEAST * trials[self._best][1]:
                self._best = threads
        best = trials[self._best][1]
        lost = sum(seconds * (1 - speed / best) for seconds, speed in trials.values())
        again = min(2 * self._pause, PAUSE_MOST) if self._best == before else PAUSE_LEAST
        self._pause = again
        now = time.monotonic()
        self._until_trial, self._looked = max(again, LOST_FACTOR * lost), (switches(), now)
        _Latest.threads = self._best
        _Latest.until = now + REMEMBER_SECONDS if self._best < self._most else -1.0


@functools.lru_cache(maxsize=256)
def pace_of(kind: str, sizes: tuple[int, ...], m: int, most: int, fixed: bool) -> Pace:
    """Return the pace of a call that may come again: the same for the same arguments."""
    return Pace(most, fixed)


@contextlib.contextmanager
def paced_region(pace: Pace, work: float = 1.0) -> Iterator[int]:
    """Yield how many threads to use, let parallel kernels inside use them, and measure."""
    threads = pace.threads
    began = time.perf_counter()
    with parallel_region(threads):
        yield threads
    pace.measured(threads, work, time.perf_counter() - began)
