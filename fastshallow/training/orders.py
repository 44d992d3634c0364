"""In which order an epoch takes the examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Given", "InOrder", "Shuffled", "ShuffledWindows"]


class InOrder:
    """The examples as they lie, or the chosen ones of them.

    Called with a number of epochs, an order gives an array with a row for each, or one row for all,
    or None for all examples as they lie.

    Parameters
    ----------
    m : int
        Examples.
    chosen : ndarray of int64 or None
        Those to take; None is all of them.

    Attributes
    ----------
    m : int
        Examples of an epoch.
    drawn : bool
        Whether every epoch has an order of its own.
    """

    drawn = False

    def __init__(self, m: int, chosen: np.ndarray | None = None):
        self.chosen = chosen
        self.m = m if chosen is None else chosen.size

    def __call__(self, n: int) -> np.ndarray | None:
        return None if self.chosen is None else self.chosen.reshape(1, -1)

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {}

    def set_state(self, state: dict[str, Any], epochs: int) -> None:
        """Take up what `get_state` gave after so many epochs."""


class Shuffled(InOrder):
    """Another permutation of all, or of the chosen, in every epoch.

    Parameters
    ----------
    m, chosen
        As for `InOrder`.
    rng : numpy.random.Generator
        Where the permutations come from.
    """

    drawn = True

    def __init__(self, m: int, chosen: np.ndarray | None, rng: np.random.Generator):
        super().__init__(m, chosen)
        self.rng = rng

    def permutation(self) -> np.ndarray:
        """Return the next one of 0 ... m - 1."""
        return self.rng.permutation(self.m)

    def __call__(self, n: int) -> np.ndarray:
        orders = np.empty((n, self.m), np.int64)
        for row in orders:
            row[:] = self.permutation()
        return orders if self.chosen is None else self.chosen[orders]

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return dict(self.rng.bit_generator.state)

    def set_state(self, state: dict[str, Any], epochs: int) -> None:
        """Take up what `get_state` gave after so many epochs."""
        self.rng.bit_generator.state = state


class ShuffledWindows(Shuffled):
    """The same within windows of neighbours, and the windows in another order in every epoch.

    Parameters
    ----------
    m, chosen, rng
        As for `Shuffled`.
    window : int
        Examples of a window: so many are read from the disk at a time.
    """

    def __init__(self, m: int, chosen: np.ndarray | None, rng: np.random.Generator, window: int):
        super().__init__(m, chosen, rng)
        self.window = window

    def permutation(self) -> np.ndarray:
        """Return the next one of 0 ... m - 1."""
        starts = self.rng.permutation(-(-self.m // self.window)) * self.window
        parts = [
            start + self.rng.permutation(min(self.window, self.m - start))
            for start in starts.tolist()
        ]
        return np.concatenate(parts)


class Given(InOrder):
    """Orders from a function of the caller's.

    Parameters
    ----------
    m, chosen
        As for `InOrder`.
    function : callable
        From the number of examples m to an order of 0 ... m - 1; called before every epoch.
    """

    drawn = True

    def __init__(self, m: int, chosen: np.ndarray | None, function: Callable[[int], Any]):
        super().__init__(m, chosen)
        self.function = function

    def __call__(self, n: int) -> np.ndarray:
        orders = np.stack([self._order() for _ in range(n)])
        return orders if self.chosen is None else self.chosen[orders]

    def _order(self) -> np.ndarray:
        order = np.asarray(self.function(self.m))
        whole = order.dtype.kind in "iu" and order.shape == (self.m,)
        if not whole or not np.array_equal(np.sort(order), np.arange(self.m)):
            raise ValueError(
                f"shuffle: expected a function that returns a permutation of 0 ... {self.m - 1}; "
                f"got {order!r}"
            )
        return order.astype(np.int64)

    def set_state(self, state: dict[str, Any], epochs: int) -> None:
        """Call the function as often as it was called in so many epochs."""
        for _ in range(epochs):
            self.function(self.m)
