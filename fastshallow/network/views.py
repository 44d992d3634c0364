"""Arrays by layer (W1, b1, dW1, ...) that are views of one flat vector."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from . import checks

__all__ = ["ByLayer", "Gradient", "LayerArrays", "LayerValues", "Parameters", "layer_views"]


def layer_views(
    vector: np.ndarray, sizes: tuple[int, ...]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the views W[l], (n_l, n_{l-1}), and b[l], (n_l, 1), of a parameter vector."""
    Ws, bs, at = [], [], 0
    for fan_in, fan_out in pairwise(sizes):
        stop = at + fan_in * fan_out
        Ws.append(vector[at:stop].reshape(fan_in, fan_out).T)
        bs.append(vector[stop : stop + fan_out].reshape(fan_out, 1))
        at = stop + fan_out
    return Ws, bs


class LayerArrays(list[np.ndarray]):
    """List of views of one vector; an assignment to an item copies into the view.

    Parameters
    ----------
    arrays : iterable of ndarray
        The views.
    name : str
        Name for error messages.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.network.views import LayerArrays
    >>> params = np.zeros(3)
    >>> arrays = LayerArrays([params[:2], params[2:]], "W")
    >>> arrays[0] = [1, 2]
    >>> params.tolist()
    [1.0, 2.0, 0.0]
    """

    def __init__(self, arrays: Any, name: str):
        super().__init__(arrays)
        self.name = name

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            for view, array in zip(self[index], value, strict=True):
                self._copy(view, array)
        else:
            self._copy(self[index], value)

    def _copy(self, view: np.ndarray, value: Any) -> None:
        if value is view:  # coefs_[0] *= 2 has modified the view in place already
            return
        if not view.flags.writeable:
            raise ValueError(f"{self.name}: expected writable params; got read-only ones")
        if np.shape(value) != view.shape:
            raise ValueError(
                f"{self.name}: expected shape {view.shape}; got shape {np.shape(value)}"
            )
        with np.errstate(all="ignore"):  # the next call refuses what is not finite
            view[...] = value


class ByLayer:
    """Base class with attributes for layers: W1 is the first item of the list W."""

    __slots__ = ()
    _lists: tuple[str, ...] = ()

    def _views(self, name: str) -> Sequence[np.ndarray]:
        """Return one of the lists; empty if the object is not constructed yet."""
        return getattr(self, name, ())

    def _layer_array(self, name: str) -> np.ndarray | None:
        match = re.fullmatch(r"([A-Za-z]+)([1-9][0-9]*)", name)
        if match is None or match[1] not in self._lists:
            return None
        arrays = self._views(match[1])
        layer = int(match[2])
        return arrays[layer - 1] if layer <= len(arrays) else None

    def __getattr__(self, name: str) -> np.ndarray:
        array = self._layer_array(name)
        if array is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return array

    def __setattr__(self, name: str, value: Any) -> None:
        view = self._layer_array(name)
        if view is None:
            object.__setattr__(self, name, value)
        else:
            LayerArrays([view], name)[0] = value

    def __dir__(self) -> list[str]:
        numbered = [
            f"{name}{layer}"
            for name in self._lists
            for layer in range(1, 1 + len(self._views(name)))
        ]
        return [*super().__dir__(), *numbered]


class Parameters(ByLayer):
    """One vector of parameters, and its views by layer: W1, b1, W2, b2, ...

    It has no __dict__, so that W1 cannot be replaced by an array with other memory.

    Attributes
    ----------
    params : ndarray, 1-D
        All parameters.
    """

    __slots__ = ("_by_layer", "_memory", "params")
    _lists = ("W", "b")

    params: np.ndarray
    _memory: np.ndarray
    _by_layer: dict[str, list[np.ndarray]]

    def _set_params(self, params: np.ndarray, sizes: tuple[int, ...]) -> None:
        """Set the vector of parameters and its views."""
        set_ = object.__setattr__  # our own __setattr__ needs a finished object
        set_(self, "params", params)
        # a second view for kernels stays writable: kernels are compiled for one type only
        set_(self, "_memory", params[:])
        set_(self, "_by_layer", dict(zip(self._lists, layer_views(params, sizes), strict=True)))

    def _views(self, name: str) -> list[np.ndarray]:
        views = self._by_layer[name]
        if self.params.flags.writeable:
            return views
        views = [view[...] for view in views]
        for view in views:
            view.flags.writeable = False
        return views

    @property
    def W(self) -> list[np.ndarray]:
        """Weights by layer, (n_l, n_{l-1}); an assignment to an item copies into the view."""
        return LayerArrays(self._views("W"), "W")

    @property
    def b(self) -> list[np.ndarray]:
        """Biases by layer, (n_l, 1); an assignment to an item copies into the view."""
        return LayerArrays(self._views("b"), "b")

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            object.__getattribute__(self, "_by_layer")
        except AttributeError:
            kind = type(self).__name__
            raise AttributeError(
                f"{name}: this {kind} has none: it was made without its constructor"
            ) from None
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        view = self.params if name == "params" else self._layer_array(name)
        if view is None:
            n = len(self._by_layer["W"])
            raise AttributeError(
                f"{name!r} of a {type(self).__name__} cannot be set; its parameters can: params, "
                f"W1 ... W{n}, b1 ... b{n}"
            )
        if view is value:  # net.W1 -= ... has modified the view in place already
            return
        self._check_writable()
        array = checks.numeric(name, value)
        if array.shape != view.shape:
            raise ValueError(f"{name}: expected shape {view.shape}; got shape {array.shape}")
        with np.errstate(all="ignore"):  # the next call refuses what is not finite
            view[...] = array

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name!r} of a {type(self).__name__} cannot be deleted")

    def _check_writable(self) -> None:
        """Raise if the user has made the parameters read-only."""
        if not self.params.flags.writeable:
            raise ValueError(
                "params: expected writable parameters; got read-only ones "
                "(net.params.flags.writeable is False)"
            )


class Gradient(ByLayer):
    """The gradient of J with respect to all parameters.

    Attributes
    ----------
    vector : ndarray, 1-D
        The gradient, in the order of `Network.params`.
    dW, db : list of ndarray
        Views of ``vector`` by layer: dW[l] of shape (n_l, n_{l-1}), db[l] of shape (n_l, 1).
    dW1, db1, dW2, ... : ndarray
        The same views by name.
    """

    __slots__ = ("__weakref__", "_by_layer", "_sizes", "vector")
    _lists = ("dW", "db")

    vector: np.ndarray
    _sizes: tuple[int, ...]
    _by_layer: dict[str, list[np.ndarray]] | None

    def __init__(self, vector: np.ndarray, sizes: tuple[int, ...]):
        set_ = object.__setattr__
        set_(self, "vector", vector)
        set_(self, "_sizes", sizes)
        set_(self, "_by_layer", None)

    def _views(self, name: str) -> list[np.ndarray]:
        if self._by_layer is None:  # made when they are asked for, which takes microseconds
            views = dict(zip(self._lists, layer_views(self.vector, self._sizes), strict=True))
            object.__setattr__(self, "_by_layer", views)
        assert self._by_layer is not None
        return self._by_layer[name]

    @property
    def dW(self) -> list[np.ndarray]:
        """Gradient of the weights by layer; an assignment to an item copies into the view."""
        return LayerArrays(self._views("dW"), "dW")

    @property
    def db(self) -> list[np.ndarray]:
        """Gradient of the biases by layer; an assignment to an item copies into the view."""
        return LayerArrays(self._views("db"), "db")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "vector":
            LayerArrays([self.vector], name)[0] = value
        else:
            super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and copies: the vector only, because copied views detach."""
        return {"vector": self.vector, "sizes": list(self._sizes)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of `__getstate__`, with a copy of the vector."""
        Gradient.__init__(self, np.array(state["vector"]), tuple(state["sizes"]))

    def __repr__(self) -> str:
        layers = range(1, len(self._sizes))
        return f"Gradient({', '.join(f'dW{i}, db{i}' for i in layers)})"


class LayerValues(ByLayer):
    """Z and A of every layer, (n_l, m): lists ``Z`` and ``A``, and ``Z1``, ``A1``, ... by name."""

    _lists = ("Z", "A")

    def __init__(self, Z: list[np.ndarray], A: list[np.ndarray]):
        self.Z, self.A = Z, A

    def __repr__(self) -> str:
        return f"LayerValues({', '.join(f'Z{i}, A{i}' for i in range(1, 1 + len(self.Z)))})"
