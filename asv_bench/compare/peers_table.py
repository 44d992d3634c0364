"""Helpers of the comparisons: works, data, timing in turns, and tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Params = list[tuple[np.ndarray, np.ndarray]]  # W (n_l, n_{l-1}) and b (n_l, 1), by layer
Run = Callable[[int], object]  # takes a number of steps


@dataclass(frozen=True)
class Work:
    """A network, its hidden activation and a number of examples."""

    sizes: tuple[int, ...]
    m: int
    hidden: str
    must: float
    aim: float

    @property
    def output(self) -> str:
        return "sigmoid" if self.sizes[-1] == 1 else "softmax"

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, m {self.m:,}"


def make_data(work: Work) -> tuple[np.ndarray, np.ndarray, Params]:
    """Return X (m, n_x), class numbers (m,) and initial parameters, all seeded."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((work.m, work.sizes[0]), dtype=np.float32)
    y = rng.integers(0, max(2, work.sizes[-1]), work.m)
    params = [
        (rng.standard_normal((out, into)) / np.sqrt(into), np.zeros((out, 1)))
        for into, out in zip(work.sizes, work.sizes[1:], strict=False)
    ]
    return X, y, params


@dataclass(frozen=True)
class Times:
    """Repeated timings in seconds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half the range, relative to the median."""
        return (max(self.values) - min(self.values)) / 2 / self.median

    def __str__(self) -> str:
        return f"{readable(self.median)} ±{self.spread:.0%}"


def steps_that_take(seconds: float, run: Run, warm: int) -> int:
    """Return the number of steps that take this time, after a call with the same number.

    The number grows step by step, because the overhead of a call distorts a short timing.
    """
    steps = warm
    while True:
        run(steps)  # JAX compiles for every number of steps
        began = time.perf_counter()
        run(steps)
        taken = time.perf_counter() - began
        if taken > 0.7 * seconds:
            return steps
        steps = max(steps + 1, int(steps * min(seconds / taken, 10)))


def measure(runs: dict[str, Run], repeat: int, warm: int, seconds: float = 0.2) -> dict[str, Times]:
    """Return the times of a step of each peer, timed in turns, ``repeat`` times each.

    ``warm`` is the number of steps of the first call, and ``seconds`` the least time of a timing.
    """
    counts = {name: steps_that_take(seconds, run, warm) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            # untimed, until this peer's threads are awake and the last peer's threads are asleep
            run(counts[name])
            began = time.perf_counter()
            run(counts[name])
            times[name].append((time.perf_counter() - began) / counts[name])
    return {name: Times(tuple(values)) for name, values in times.items()}


def readable(seconds: float) -> str:
    """Return a time with its unit."""
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale or unit == "us":
            return f"{seconds / scale:.3g} {unit}"
    raise AssertionError


class Table:
    """A Markdown table whose rows are printed at once, and kept for a file."""

    def __init__(self, *columns: str):
        self.rows: list[dict] = []
        print("| " + " | ".join(columns) + " |")
        print("| --- " * len(columns) + "|")

    def add(self, cells: list[str], record: dict) -> None:
        """Print a row, and keep its record."""
        print("| " + " | ".join(cells) + " |", flush=True)
        self.rows.append(record)

    def compare(self, work: Work, names: list[str], times: dict[str, Times], counted) -> None:
        """Add a row of all peers, with the ratio of the fastest counted peer to fastshallow."""
        peers = [times[name].median for name in counted if name in times]
        ratio = min(peers) / times["fastshallow"].median if peers else float("nan")
        reached = "aim" if ratio >= work.aim else "must" if ratio >= work.must else "neither"
        cells = [str(times[name]) if name in times else "-" for name in names]
        self.add(
            [work.name, *cells, f"{ratio:.2f}", f"{work.must:g} / {work.aim:g}", reached],
            {
                "work": work.name,
                "seconds": {name: times[name].values for name in times},
                "ratio": ratio,
                "must": work.must,
                "aim": work.aim,
            },
        )
