"""Networks of three sizes and their data, for all suites.

asv calls setup before each timing. So a timing repeats short calls `Work.calls` times, and every
setup makes one call, which compiles.

The ``version`` of a benchmark is set by hand, and incremented if the work changes. By default asv
derives it from the source, and would start a new series after every edit.
"""

from __future__ import annotations

import functools
import importlib
from typing import NamedTuple

import numpy as np

import fastshallow as fs

LEARNING_RATE = 0.1


class Work(NamedTuple):
    """A network, m examples, and the number of calls in one timing of some milliseconds."""

    sizes: tuple[int, ...]
    hidden: str
    output: str
    m: int
    calls: int


WORKS = {
    "2-4-1, m 400": Work((2, 4, 1), "tanh", "sigmoid", 400, 1000),
    "64-32-10, m 1,797": Work((64, 32, 10), "relu", "softmax", 1_797, 50),
    "30-64-1, m 100,000": Work((30, 64, 1), "relu", "sigmoid", 100_000, 1),
}
LARGEST = "30-64-1, m 100,000"


@functools.cache
def data(name: str) -> tuple[fs.Network, np.ndarray, np.ndarray]:
    """Return the network, X and Y of a work, from a fixed seed."""
    work = WORKS[name]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((work.m, work.sizes[0]), dtype=np.float32).T
    Y = rng.integers(0, max(2, work.sizes[-1]), work.m)
    return fs.Network(work.sizes, work.hidden, work.output).init(seed=0), X, Y


def needs(*names: str) -> None:
    """Let asv skip ("n/a") a commit without these names or modules of fastshallow."""
    for name in names:
        if not hasattr(fs, name):
            try:
                importlib.import_module(f"fastshallow.{name}")
            except ImportError:
                raise NotImplementedError(f"this commit has no fastshallow.{name}") from None
