"""Time of a step of gradient descent by examples m, hidden units n_h and threads.

    python asv_bench/scaling.py

measures with up to NUMBA_NUM_THREADS threads (default: all cores), draws docs/scaling.svg, and
writes the tables and the machine between two marks of docs/benchmarks.md. It takes about a minute
on two cores, which should be idle.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

import fastshallow as fs

DOCS = Path(__file__).resolve().parents[1] / "docs"
MARKS = ("<!-- by scaling.py -->\n", "<!-- end -->\n")

N_X, HIDDEN, M = 28, 64, 100_000  # while another one varies
EXAMPLES = (10**3, 10**4, 10**5, 10**6, 10**7)
UNITS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
THREADED = ((64, 10**4), (64, 10**6), (1024, 10**4))  # n_h and m, for varying threads
REPEATS, SECONDS = 7, 0.1  # number of timings of a point, and least time of each


class Point(NamedTuple):
    """Seconds of a step: median and quartiles."""

    n_h: int
    m: int
    threads: int
    median: float
    low: float
    high: float

    @property
    def flops(self) -> float:
        """Multiplications and additions: 2 per weight and example for Z, dW and dA[l > 0]."""
        weights = N_X * self.n_h + self.n_h
        return self.m * (6 * weights - 2 * N_X * self.n_h)


def measure(n_h: int, m: int, threads: int) -> Point:
    """Time a step of 28-n_h-1, tanh and sigmoid, float32."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, N_X), dtype=np.float32).T
    Y = rng.integers(0, 2, m).astype(np.float32)
    net = fs.Network((N_X, n_h, 1), "tanh", "sigmoid").init(seed=0)

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        fs.gradient_descent(net, X, Y, 0.1, steps, n_threads=threads)
        return (time.perf_counter() - began) / steps

    seconds(1)  # compiles, and starts the threads
    steps = max(1, round(SECONDS / seconds(1)))
    low, median, high = statistics.quantiles((seconds(steps) for _ in range(REPEATS)), n=4)
    point = Point(n_h, m, threads, median, low, high)
    print(point, flush=True)
    return point


def table(head: str, rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, "|---" * head.count(" | ") + "|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def readable(seconds: float) -> str:
    """Return a time with three digits in a fitting unit."""
    for unit, scale in (("s", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= 0.9995 * scale:  # 999.5 rounds to 1,000 of the smaller unit
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def cells(point: Point) -> list[str]:
    """Return median, spread, time per example and speed."""
    spread = (point.high - point.low) / point.median
    return [
        readable(point.median),
        f"{spread:.0%}",
        readable(point.median / point.m),
        f"{point.flops / point.median / 1e9:.0f}",
    ]


def tables(by_m: list[Point], by_units: list[Point], by_threads: list[list[Point]]) -> str:
    """Return all tables and the description of the machine."""
    columns = "step | spread | an example | GFLOP/s |"
    versions = io.StringIO()
    with contextlib.redirect_stdout(versions):
        fs.show_versions()
    kept = [
        line for line in versions.getvalue().splitlines() if not line.startswith("kernel cache")
    ]
    parts = [
        f"```\n{processor()}\n" + "\n".join(kept) + "\n```\n",
        "### m\n",
        table(f"| m | {columns}", [[f"{p.m:,}", *cells(p)] for p in by_m]),
        "### n_h\n",
        table(f"| n_h | {columns}", [[f"{p.n_h:,}", *cells(p)] for p in by_units]),
        "### Threads\n",
        table(
            "| step | threads | time | spread | times as fast |",
            [
                [f"28-{p.n_h}-1, m {p.m:,}", f"{p.threads}", *cells(p)[:2], f"{gain(p, line):.2f}"]
                for line in by_threads
                for p in line
            ],
        ),
    ]
    return "\n".join(parts)


def gain(point: Point, line: list[Point]) -> float:
    """Return the speedup of a point over one thread."""
    return line[0].median / point.median


def processor() -> str:
    """Return the name of the processor (Linux only)."""
    with contextlib.suppress(OSError):
        names = re.findall(
            r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE
        )
        if names:
            return f"{'model':18}{names[0]}"
    return f"{'model':18}unknown"


def draw(by_m: list[Point], by_units: list[Point], by_threads: list[list[Point]]) -> None:
    """Draw docs/scaling.svg reproducibly."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "scaling", "svg.fonttype": "none", "font.size": 9}
    from matplotlib import pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
    for axes, points, x, title in (
        (left, by_m, [p.m for p in by_m], f"28-{HIDDEN}-1: examples m"),
        (middle, by_units, [p.n_h for p in by_units], f"28-$n_h$-1, m {M:,}: hidden units $n_h$"),
    ):
        per_example = [[t / p.m * 1e9 for t in p[3:]] for p in points]
        middles, lows, highs = zip(*per_example, strict=True)
        axes.fill_between(x, lows, highs, alpha=0.3, linewidth=0)
        axes.plot(x, middles, marker="o", markersize=3)
        axes.set(title=title, xscale="log", ylabel="ns an example")
    left.set_ylim(bottom=0)
    middle.set(yscale="log", xticks=UNITS, xticklabels=map(str, UNITS))
    middle.minorticks_off()
    for line in by_threads:
        threads = [p.threads for p in line]
        label = f"28-{line[0].n_h}-1, m {line[0].m:,}"
        right.plot(threads, [gain(p, line) for p in line], marker="o", markersize=3, label=label)
    most = [1, threads[-1]]
    right.plot(most, most, color="grey", linestyle=":", linewidth=1, label="as many times")
    right.set(title="threads", ylabel="times as fast as one", xticks=threads)
    right.legend(fontsize=7)
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    figure.savefig(DOCS / "scaling.svg", metadata={"Date": None})


def counts(most: int) -> list[int]:
    """Return 1, 2, 4, ... and ``most``."""
    return sorted({*(2**i for i in range(most.bit_length())), most})


def write(text: str) -> None:
    """Put the tables between the marks of docs/benchmarks.md."""
    page = DOCS / "benchmarks.md"
    before, found, rest = page.read_text("utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (found and end):
        raise SystemExit(f"{page}: expected the lines {MARKS[0].strip()} and {MARKS[1].strip()}")
    page.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.parse_args()
    most = numba.config.NUMBA_NUM_THREADS
    by_m = [measure(HIDDEN, m, most) for m in EXAMPLES]
    by_units = [measure(n_h, M, most) for n_h in UNITS]
    by_threads = [[measure(n_h, m, t) for t in counts(most)] for n_h, m in THREADED]
    draw(by_m, by_units, by_threads)
    write(tables(by_m, by_units, by_threads))


if __name__ == "__main__":
    main()
