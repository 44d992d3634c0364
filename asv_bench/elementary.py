"""Time per value of exp, tanh and other elementary functions, on an array in the cache.

    python asv_bench/elementary.py [--n N]

prints the table of docs/elementary.md. It compares fastshallow's functions and those of the C
library (`math`), in the same compiled loop, with NumPy's.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from collections.abc import Callable

import numba
import numpy as np

try:
    from fastshallow.simd import elementary
    from fastshallow.simd.intrinsics import standalone
except ImportError:  # a commit before the wings
    try:
        from fastshallow import elementary
        from fastshallow.simd import standalone
    except ImportError:  # an older one still
        elementary = None

N, ROUNDS = 1024, 2000
NAMES = ("exp", "tanh", "sigmoid", "softplus", "log", "log1p", "log_sum_exp")
DTYPES = ("float32", "float64")


@numba.njit
def sigmoid_of_math(x):
    """Return 1 / (1 + exp(-x)), by `math`."""
    return 1 / (1 + math.exp(-x))


@numba.njit
def softplus_of_math(x):
    """Return log(1 + exp(x)), by `math`."""
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


OF_MATH = {
    "exp": math.exp,
    "tanh": math.tanh,
    "sigmoid": sigmoid_of_math,
    "softplus": softplus_of_math,
    "log": math.log,
    "log1p": math.log1p,
}


def sigmoid_of_numpy(x, out):
    """Write 1 / (1 + exp(-x))."""
    np.exp(np.negative(x, out=out), out=out)
    out += 1
    np.reciprocal(out, out=out)


OF_NUMPY = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": sigmoid_of_numpy,
    "softplus": lambda x, out: np.logaddexp(0, x, out=out),
    "log": np.log,
    "log1p": np.log1p,
    "log_sum_exp": lambda x, out: np.log(np.exp(np.subtract(x, x.max(), out=out), out=out).sum()),
}


def loop(function) -> Callable[[np.ndarray, np.ndarray, int], None]:
    """Return compiled code that applies a function to an array, ``rounds`` times."""

    @numba.njit(error_model="numpy")
    def once(x, out):
        standalone()
        for i in range(x.size):
            out[i] = function(x[i])

    @numba.njit(error_model="numpy")
    def run(x, out, rounds):
        for _ in range(rounds):
            once(x, out)

    return run


@numba.njit(error_model="numpy")
def sums(x, out, rounds):
    """Compute the log-sum-exp of all values, ``rounds`` times."""
    for _ in range(rounds):
        out[0] = elementary.log_sum_exp(x, 0, x.size)


def run_numpy(name):
    """Return a function with the arguments of `loop`'s result that calls NumPy."""

    def run(x, out, rounds):
        for _ in range(rounds):
            OF_NUMPY[name](x, out=out)

    return run


@functools.cache  # asv calls setup before each timing
def implementations(name) -> dict[str, Callable]:
    """Return the measured implementations of a function, by name of the library."""
    ours = sums if name == "log_sum_exp" else loop(getattr(elementary, name))
    found = {"fastshallow": ours, "NumPy": run_numpy(name)}
    if name in OF_MATH:
        found["math in njit"] = loop(OF_MATH[name])
    return found


def arguments(name, dtype, n=N) -> np.ndarray:
    """Return n normal values with standard deviation 3; positive ones for logarithms."""
    x = (3 * np.random.default_rng(0).standard_normal(n)).astype(dtype)
    return np.abs(x) if name in ("log", "log1p") else x


class Elementary:
    """Time of 2,000 times 1,024 values."""

    version = "1"
    params = (list(NAMES), list(DTYPES))
    param_names = ("function", "dtype")

    def setup(self, name, dtype):
        """Compile the loop."""
        if not hasattr(elementary, name):
            raise NotImplementedError("an older commit")
        self.x = arguments(name, dtype)
        self.out = np.empty_like(self.x)
        self.run = implementations(name)["fastshallow"]
        self.run(self.x, self.out, 1)

    def time_values(self, name, dtype):
        """Time the loop."""
        self.run(self.x, self.out, ROUNDS)


def nanoseconds(run, x, rounds, repeats=25) -> float:
    """Return the least time of one value."""
    out, best = np.empty_like(x), math.inf
    run(x, out, 1)
    for _ in range(repeats):
        began = time.perf_counter()
        run(x, out, rounds)
        best = min(best, time.perf_counter() - began)
    return best / rounds / x.size * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--n", type=int, default=N, help="values of an array")
    n = parser.parse_args().n
    peers = ("fastshallow", "NumPy", "math in njit")
    print("| function | dtype | " + " | ".join(peers) + " |\n" + "| --- " * 5 + "|")
    for name in NAMES:
        found = implementations(name)
        for dtype in DTYPES:
            x = arguments(name, dtype, n)
            rounds = max(1, ROUNDS * N // n // 4)
            times = [nanoseconds(found[p], x, rounds) if p in found else None for p in peers]
            cells = ["" if t is None else f"{t:.2f}" for t in times]
            print(f"| {name} | {dtype} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
