"""What the benchmarks share: fresh kernels, the work that is measured, and its data.

Importing this module names the folder of compiled kernels after the sources that are measured,
before Numba reads the name: a kernel of another commit can never be timed.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import fastshallow as fs


def use_fresh_kernels() -> None:
    """Name the folder of compiled kernels after a hash of the package that was imported."""
    digest = hashlib.sha256()
    for path in sorted(Path(fs.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    # In the repository, where only its owner writes: cached kernels are pickles.
    folder = Path(__file__).resolve().parents[1] / ".asv" / "kernels" / digest.hexdigest()[:16]
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


use_fresh_kernels()  # fastshallow imports numba when a name of it is first used: not yet

import numpy as np  # noqa: E402


class Work(NamedTuple):
    """A network, m examples, and how many steps one timing takes."""

    sizes: tuple[int, ...]
    hidden: str
    output: str
    m: int
    steps: int


# Steps so many that one timing takes milliseconds: asv calls setup before each.
WORKS = {
    "2-4-1, m 400": Work((2, 4, 1), "tanh", "sigmoid", 400, 1000),
    "64-32-10, m 1,797": Work((64, 32, 10), "relu", "softmax", 1_797, 50),
    "30-64-1, m 100,000": Work((30, 64, 1), "relu", "sigmoid", 100_000, 1),
}


@functools.cache
def data(name: str) -> tuple[fs.Network, np.ndarray, np.ndarray]:
    """Return the network, X and Y of a work, always the same, with all kernels compiled."""
    work = WORKS[name]
    rng = np.random.default_rng(0)
    n_x, n_y = work.sizes[0], work.sizes[-1]
    X = rng.standard_normal((work.m, n_x), dtype=np.float32).T
    Y = rng.integers(0, max(2, n_y), work.m)
    net = fs.Network(work.sizes, work.hidden, work.output).init(seed=0)
    # Not the measured call itself but all of its kernels, on all threads: the first parallel
    # region starts them.
    fs.gradient_descent(net.copy(), X, Y, 0.1, 1)
    net.predict(X)
    return net, X, Y
