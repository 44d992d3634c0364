"""Orders of the examples within an epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Given", "InOrder", "Shuffled", "ShuffledWindows"]


class InOrder:
    """Take all examples, or the chosen ones, in storage order.

    An order is called with a number of epochs. It returns an array with one row per epoch, one
    row for all epochs, or None for all examples in storage order. Its attribute ``m`` is the number
    of examples per epoch, and ``drawn`` tells whether each epoch has a new order.
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
        """Restore the result of `get_state` after ``epochs`` epochs."""


class Shuffled(InOrder):
    """Take the examples in a new random permutation in every epoch."""

    drawn = True

    def __init__(self, m: int, chosen: np.ndarray | None, rng: np.random.Generator):
        super().__init__(m, chosen)
        self.rng = rng

    def permutation(self) -> np.ndarray:
        """Return the next permutation of 0 ... m - 1."""
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
        """Restore the result of `get_state`."""
        self.rng.bit_generator.state = state


class ShuffledWindows(Shuffled):
    """Shuffle windows of ``window`` neighbouring examples, and the examples within each window.

    The examples of a window are read from the disk together.
    """

    def __init__(self, m: int, chosen: np.ndarray | None, rng: np.random.Generator, window: int):
        super().__init__(m, chosen, rng)
        self.window = window

    def permutation(self) -> np.ndarray:
        """Return the next permutation of 0 ... m - 1."""
        starts = self.rng.permutation(-(-self.m // self.window)) * self.window
        parts = [
            start + self.rng.permutation(min(self.window, self.m - start))
            for start in starts.tolist()
        ]
        return np.concatenate(parts)


class Given(InOrder):
    """Take the examples in the order ``function(m)``, which is called before every epoch."""

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
        """Repeat the function's calls of ``epochs`` epochs."""
        for _ in range(epochs):
            self.function(self.m)
