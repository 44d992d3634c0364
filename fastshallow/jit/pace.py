"""Choice of the number of threads of a repeated call, from measured speed.

On a busy machine two threads may be slower than one, because each waits for the other while another
program uses the processor. A `Pace` counts involuntary context switches of this process. If there
are many, it starts a trial: it runs calls with fewer threads for `TRIAL_SECONDS` each and keeps the
fastest number. A quiet machine runs no trials. Windows does not count these switches; there the
trials are periodic. Results do not change, because their bits do not depend on the number of
threads.
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

# Length of a trial for each number of threads; at least one call.
TRIAL_SECONDS = 0.02

# Seconds of work before the next trial: the first value and the largest. The pause doubles when a
# trial changes nothing.
PAUSE_LEAST, PAUSE_MOST = 0.1, 1.0

# A busy machine: least rate of involuntary context switches per second, and their least number.
# (2 cores: 44 per second alone, 250 to 300 beside a busy loop.)
BUSY_RATE, BUSY_LEAST = 120, 6

# Seconds of work between two readings of the switch count; a reading takes 2 us.
LOOK_SECONDS = 0.01

# The pause before the next trial is at least this multiple of the time that the last trial lost.
LOST_FACTOR = 20

# More threads must be faster than fewer by this factor, because they compete with other processes.
GAIN_LEAST = 1.25

# New work starts with the threads that the latest trial chose, for this time after the trial.
REMEMBER_SECONDS = 1.0


def switches() -> int | None:
    """Return the involuntary context switches of this process, None if they are not counted."""
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


class _Latest:
    """Result of the latest trial of this process, if it chose fewer threads than allowed."""

    threads, until = 0, -1.0


class Pace:
    """Chooses the number of threads of a repeated call from its measured speed.

    Parameters
    ----------
    most : int
        Largest number of threads.
    fixed : bool
        Always use this number.

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
        self._until_trial, self._until_reading = 0.0 if resource else 1.0, 0.0
        self._trials: dict[int, tuple[float, float]] = {}  # seconds and speed, by threads
        self._trial = (0.0, 0.0)  # work and seconds of the current trial
        self._last_reading = switches(), time.monotonic()
        self._lock = threading.Lock()
        if time.monotonic() < _Latest.until:
            self._best = min(most, _Latest.threads)
            self._until_trial = PAUSE_LEAST

    @property
    def threads(self) -> int:
        """Number of threads for the next call."""
        to_try = self._to_try[-1:]
        return to_try[0] if to_try else self._best

    @property
    def on_trial(self) -> bool:
        """Whether the next call is part of a trial, and should be short."""
        return bool(self._to_try)

    def measured(self, threads: int, work: float, seconds: float) -> None:
        """Record a call: its threads, its work in any unit, and its time."""
        if self._fixed:
            return
        with self._lock:
            if self._to_try:
                if threads == self._to_try[-1]:
                    self._note_trial(work, seconds)
                return
            self._until_trial -= seconds
            self._until_reading -= seconds
            if self._until_trial <= 0 and (self._best < self._most or self._busy()):
                self._begin_trial()

    def _busy(self) -> bool:
        """Return whether the machine is busy; True if the system counts no switches."""
        if self._until_reading > 0:
            return False
        self._until_reading = LOOK_SECONDS
        (count, then), now = self._last_reading, time.monotonic()
        found = switches()
        if found is None or count is None:
            return True
        seconds = now - then
        busy = found - count >= max(BUSY_LEAST, BUSY_RATE * seconds)
        if busy or seconds > PAUSE_LEAST:
            self._last_reading = found, now
        return busy

    def _begin_trial(self) -> None:
        """Start a trial: one thread first, then more, up to the largest number."""
        self._to_try = [self._most >> i for i in range(self._most.bit_length())]
        self._trial, self._trials = (0.0, 0.0), {}

    def _note_trial(self, work: float, seconds: float) -> None:
        """Record a call of a trial; after the last one choose the number of threads."""
        self._trial = work, seconds = self._trial[0] + work, self._trial[1] + seconds
        if seconds < TRIAL_SECONDS:
            return
        threads, trials = self._to_try.pop(), self._trials
        slower = any(work / seconds < speed for _, speed in trials.values())
        trials[threads], self._trial = (seconds, work / seconds), (0.0, 0.0)
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
        self._until_trial, self._last_reading = max(again, LOST_FACTOR * lost), (switches(), now)
        _Latest.threads = self._best
        _Latest.until = now + REMEMBER_SECONDS if self._best < self._most else -1.0


@functools.lru_cache(maxsize=256)
def pace_of(kind: str, sizes: tuple[int, ...], m: int, most: int, fixed: bool) -> Pace:
    """Return the `Pace` of a repeated call: the same object for the same arguments."""
    return Pace(most, fixed)


@contextlib.contextmanager
def paced_region(pace: Pace, work: float = 1.0) -> Iterator[int]:
    """Yield the number of threads, let parallel kernels inside use it, and record the time."""
    threads = pace.threads
    began = time.perf_counter()
    with parallel_region(threads):
        yield threads
    pace.measured(threads, work, time.perf_counter() - began)
