"""Busy machine: time with the default number of threads relative to one thread.

A figure is the median ratio of seconds with the default to seconds with ``n_threads=1``, beside the
same other processes. Above 1.3 the default does harm. The quiet machine is shown for comparison.

    python asv_bench/busy.py [--repeat N] [--layer omp|tbb|workqueue] [--spin]

prints all ratios. With --spin, GNU OpenMP busy-waits as it does by default.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np

import fastshallow as fs

if __package__:
    from .common import needs


class Work(NamedTuple):
    """A network, m examples, a call and its repetitions: about a second on one thread."""

    sizes: tuple[int, ...]
    m: int
    call: str
    times: int


WORKS = {
    "steps of 30-64-1, m 4,000": Work((30, 64, 1), 4_000, "gradient_descent", 2_000),
    "steps of 10-16-1, m 2,000": Work((10, 16, 1), 2_000, "gradient_descent", 25_000),
    "Adam, batches of 2,000": Work((30, 64, 1), 20_000, "train", 300),
    "cost_and_grad, m 4,000": Work((30, 64, 1), 4_000, "cost_and_grad", 1_500),
    "predict, m 20,000": Work((30, 64, 1), 20_000, "predict", 1_000),
}

#: Number of processes that do the work at once, and of busy loops beside them.
COMPANY = {
    "quiet": (1, 0),
    "one busy loop": (1, 1),
    "two busy loops": (1, 2),
    "four at once": (4, 0),
}

LOOP = "while True: pass"


def do(work: Work, times: int, n_threads: int | None) -> None:
    """Repeat a work."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((work.m, work.sizes[0]), dtype=np.float32).T
    Y = rng.integers(0, 2, work.m)
    net = fs.Network(work.sizes).init(seed=0)
    if work.call == "gradient_descent":
        fs.gradient_descent(net, X, Y, 0.01, times, n_threads=n_threads)
    elif work.call == "train":
        fs.train(net, X, Y, fs.Adam(), times, 2_000, n_threads=n_threads)
    elif work.call == "predict":
        for _ in range(times):
            net.predict(X, n_threads=n_threads)
    else:
        for _ in range(times):
            net.cost_and_grad(X, Y, n_threads=n_threads)


def be_a_process(name: str, threads: str) -> None:
    """Load the kernels, wait for a line on standard input, and print the seconds of the work."""
    n_threads = None if threads == "None" else int(threads)
    do(WORKS[name], 2, n_threads)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    do(WORKS[name], WORKS[name].times, n_threads)
    print(time.perf_counter() - began, flush=True)


def seconds(name: str, company: str, n_threads: int | None) -> float:
    """Return the seconds of the slowest process."""
    processes, loops = COMPANY[company]
    # a script imports the installed package, which may be that of another commit
    command = [sys.executable, os.path.abspath(__file__), name, str(n_threads)]
    with contextlib.ExitStack() as stack:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started = [subprocess.Popen(command, **pipes) for _ in range(processes)]
        for process in started:
            stack.callback(process.kill)
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for _ in range(loops):
            loop = subprocess.Popen([sys.executable, "-c", LOOP])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        time.sleep(0.2)
        for process in started:
            process.stdin.write("\n")
            process.stdin.flush()
        return max(float(process.communicate()[0]) for process in started)


def ratios(name: str, company: str, repeat: int) -> list[float]:
    """Return the sorted ratios of the default's seconds to those of one thread."""
    seconds(name, "quiet", None)  # compiles
    pairs = [(seconds(name, company, None), seconds(name, company, 1)) for _ in range(repeat)]
    return sorted(default / one for default, one in pairs)


class Busy:
    """Time of the default relative to one thread, beside other processes."""

    version = "1"
    params = (["steps of 30-64-1, m 4,000"], ["one busy loop", "four at once"])
    param_names = ("work", "company")
    unit = "times one thread"
    timeout = 600

    def setup(self, name, company):
        """Skip commits without gradient_descent."""
        needs("gradient_descent")

    def track_ratio(self, name, company):
        """Track one ratio; asv repeats it."""
        return ratios(name, company, 1)[0]


def main() -> None:
    """Print every ratio."""
    if len(sys.argv) == 3 and sys.argv[1] in WORKS:
        be_a_process(*sys.argv[1:])
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--layer", choices=("omp", "tbb", "workqueue"), help="threading layer")
    parser.add_argument("--spin", action="store_true", help="OpenMP busy-waits")
    parser.add_argument("--only", default="", help="works with this in their name")
    arguments = parser.parse_args()
    if arguments.layer:
        os.environ["NUMBA_THREADING_LAYER"] = arguments.layer
    if arguments.spin:
        os.environ["GOMP_SPINCOUNT"] = "300000"  # its default
    print("| work |", " | ".join(COMPANY), "|", flush=True)
    print("|---" * (1 + len(COMPANY)) + "|")
    for name in WORKS:
        if arguments.only not in name:
            continue
        cells = []
        for company in COMPANY:
            found = ratios(name, company, arguments.repeat)
            cells.append(f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})")
        print(f"| {name} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
