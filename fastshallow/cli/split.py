"""Which rows are trained on, and which are held out for the scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..network.checks import shown
from ..tables.columns import Target, Values
from ..tables.mistakes import Mistake
from .options import TrainOptions

__all__ = ["cuts", "parts", "split"]


def split(found: Values, target: Target, options: TrainOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and rows held out; see `parts`."""
    m, share = len(found.values), options.test_size
    held_out = int(np.ceil(share * m))
    if share == 0:
        return np.arange(m), np.arange(0)
    n = max(len(target.classes), 1)
    if m - held_out < n:
        raise Mistake(
            f"--test-size {share:g}: expected {n} rows or more to train on; {m - held_out} of {m} "
            "are left"
        )
    numbers = target.encode(found) if target.classes else None
    return parts(m, numbers, held_out, options.seed)


def parts(
    m: int, numbers: np.ndarray | None, held_out: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and rows held out: as many of every class, where there are enough.

    Where there are not, one row of every class at least is trained on. ``numbers`` are those of the
    classes, None for regression.
    """
    from sklearn.model_selection import train_test_split

    every = np.arange(m)
    if numbers is None or (np.bincount(numbers).min() >= 2 and held_out > numbers.max()):
        chosen, rest = train_test_split(
            every, test_size=held_out, stratify=numbers, random_state=seed
        )
        return chosen, rest
    kept = np.unique(numbers, return_index=True)[1]
    others = np.setdiff1d(every, kept)
    order = np.random.default_rng(seed).permutation(others)
    return np.concatenate([order[held_out:], kept]), order[:held_out]


def cuts(
    found: Values, target: Target, options: TrainOptions
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows to train on and rows held out, each row once, as many of every class."""
    from sklearn.model_selection import KFold, StratifiedKFold

    n, m = options.cv or 0, len(found.values)
    numbers = target.encode(found) if target.classes else None
    fewest = m if numbers is None else int(np.bincount(numbers).min())
    if fewest < n:
        of = "" if numbers is None else f" of every class of target {shown(target.name)}"
        raise Mistake(f"--cv {n}: expected {n} rows or more{of}; got {fewest}")
    make = KFold if numbers is None else StratifiedKFold
    made = make(n, shuffle=True, random_state=options.seed)
    yield from made.split(np.zeros(m), numbers)
