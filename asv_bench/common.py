"""What the suites share: networks of three sizes and their data.

asv calls setup before each timing, so whatever takes microseconds is repeated inside one timing,
`Work.calls` times; and every setup calls once what is measured, so that no timing compiles.
"""

from __future__ import annotations

import functools
import importlib
from typing import NamedTuple

import numpy as np

import fastshallow as fs

LEARNING_RATE = 0.1


class Work(NamedTuple):
    """A network, m examples, and how many calls one timing takes: some milliseconds."""

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
    """Return the network, X and Y of a work, always the same."""
    work = WORKS[name]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((work.m, work.sizes[0]), dtype=np.float32).T
    Y = rng.integers(0, max(2, work.sizes[-1]), work.m)
    return fs.Network(work.sizes, work.hidden, work.output).init(seed=0), X, Y


def needs(*names: str) -> None:
    """Have asv write "n/a" for a commit that is older than what a suite measures.

    Parameters
    ----------
    names : str
        Names in fastshallow, its modules among them.
    """
    for name in names:
        if not hasattr(fs, name):
            try:
                importlib.import_module(f"fastshallow.{name}")
            except ImportError:
                raise NotImplementedError(f"this commit has no fastshallow.{name}") from None
