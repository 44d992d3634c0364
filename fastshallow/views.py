"""Views by layer: W1 is the first of the list W, and a part of one flat vector."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np

__all__ = ["ByLayer", "Gradient", "LayerValues", "layer_views"]


def layer_views(vector: np.ndarray, sizes: tuple[int, ...]) -> tuple[list, list]:
    """Return the views W[l], (n_l, n_{l-1}), and b[l], (n_l, 1), of a parameter vector."""
    Ws, bs, at = [], [], 0
    for fan_in, fan_out in pairwise(sizes):
        stop = at + fan_in * fan_out
        Ws.append(vector[at:stop].reshape(fan_in, fan_out).T)
        bs.append(vector[stop : stop + fan_out].reshape(fan_out, 1))
        at = stop + fan_out
    return Ws, bs


class ByLayer:
    """Attributes that end in the number of a layer: W1 is the first of the list W."""

    _lists: tuple[str, ...] = ()

    def _numbered(self, name: str) -> np.ndarray | None:
        match = re.fullmatch(r"([A-Za-z]+)([1-9][0-9]*)", name)
        if match is None or match[1] not in self._lists:
            return None
        arrays = self.__dict__.get(match[1], [])
        layer = int(match[2])
        return arrays[layer - 1] if layer <= len(arrays) else None

    def __getattr__(self, name: str) -> np.ndarray:
        array = self._numbered(name)
        if array is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return array

    def __dir__(self):
        numbered = [
            f"{name}{layer}"
            for name in self._lists
            for layer in range(1, 1 + len(self.__dict__.get(name, [])))
        ]
        return [*super().__dir__(), *numbered]


class Gradient(ByLayer):
    """The gradient of J by every parameter.

    Attributes
    ----------
    vector : ndarray, 1-D
        All of it, in the order of `Network.params`.
    dW, db : list of ndarray
        Views of it, by layer: dW[l] of shape (n_l, n_{l-1}), db[l] of shape (n_l, 1).
    dW1, db1, dW2, ... : ndarray
        The same by name.
    """

    _lists = ("dW", "db")

    def __init__(self, vector: np.ndarray, sizes: tuple[int, ...]):
        self.vector = vector
        self.dW, self.db = layer_views(vector, sizes)

    def __repr__(self) -> str:
        return f"Gradient({', '.join(f'dW{i}, db{i}' for i in range(1, 1 + len(self.dW)))})"


class LayerValues(ByLayer):
    """Z and A of every layer: lists ``Z`` and ``A``, and ``Z1``, ``A1``, ``Z2``, ... by name.

    Each is (n_l, m), examples as columns.
    """

    _lists = ("Z", "A")

    def __init__(self, Z: list[np.ndarray], A: list[np.ndarray]):
        self.Z, self.A = Z, A

    def __repr__(self) -> str:
        return f"LayerValues({', '.join(f'Z{i}, A{i}' for i in range(1, 1 + len(self.Z)))})"
