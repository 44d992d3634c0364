"""Permutation importance: how much worse a model is when the values of a column are shuffled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .columns import Column

__all__ = ["permutation_importance"]

#: Times that a column is shuffled.
REPEATS = 5


def permutation_importance(
    columns: list[Column], X: np.ndarray, loss: Callable[[np.ndarray], float], seed: int = 0
) -> list[dict[str, Any]]:
    """Return how much the loss grows when the values of each table column are shuffled.

    The inputs that one table column became are shuffled together. So this is the importance of the
    column of the raw table, as by ``sklearn.inspection.permutation_importance``.

    Parameters
    ----------
    columns : list of Column
        Table columns in the order of X.
    X : ndarray, (m, n_x)
        Encoded table.
    loss : callable
        Function of X; smaller is better.
    seed : int
        Seed of the orders.

    Returns
    -------
    list of dict
        ``column``, and ``mean`` and ``spread`` (standard deviation) of the growth, the largest
        mean first.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.columns import Column
    >>> from fastshallow.tables.importance import permutation_importance
    >>> X = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    >>> columns = [Column("constant", "number"), Column("used", "number")]
    >>> def loss(X):
    ...     return float(np.abs(X[:, 0] - [0.0, 1.0, 2.0, 3.0]).mean())
    >>> [row["column"] for row in permutation_importance(columns[::-1], X, loss)]
    ['used', 'constant']
    """
    rng, before, start = np.random.default_rng(seed), loss(X), 0
    X = X.copy()
    rows: list[tuple[str, float, float]] = []
    for column in columns:
        block = X[:, start : start + column.width]
        kept = block.copy()
        growth = []
        for _ in range(REPEATS):
            block[...] = kept[rng.permutation(len(X))]
            growth.append(loss(X) - before)
        block[...] = kept
        rows.append((column.name, float(np.mean(growth)), float(np.std(growth))))
        start += column.width
    rows.sort(key=lambda row: -row[1])
    return [{"column": name, "mean": mean, "spread": spread} for name, mean, spread in rows]
