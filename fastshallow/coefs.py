"""scikit-learn's names for the parameters of a network, coefs_ and intercepts_, as views of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .network import Network

__all__ = ["HasCoefs", "LayerArrays"]


class LayerArrays(list):
    """Arrays by layer, views of a network's parameters: an assignment to an item copies into it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.coefs import LayerArrays
    >>> params = np.zeros(3)
    >>> arrays = LayerArrays([params[:2], params[2:]])
    >>> arrays[0] = [1, 2]
    >>> params.tolist()
    [1.0, 2.0, 0.0]
    """

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            for view, array in zip(self[index], value, strict=True):
                self._copy(view, array)
        else:
            self._copy(self[index], value)

    @staticmethod
    def _copy(view: np.ndarray, value: Any) -> None:
        if value is view:  # coefs_[0] *= 2 has changed the view in place already
            return
        if np.shape(value) != view.shape:
            raise ValueError(
                f"coefs_, intercepts_: expected shape {view.shape}; got shape {np.shape(value)}"
            )
        with np.errstate(all="ignore"):  # as any network, it may hold what is not finite
            view[...] = value


class HasCoefs:
    """What an estimator has that keeps a network in ``net_``.

    Both lists can also be assigned before there is a network.
    """

    net_: Network

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights by layer, (fan_in, fan_out): views of ``net_``; assignments copy into it."""
        if "net_" in self.__dict__:
            return LayerArrays(W.T for W in self.net_.W)
        return self._given("_coefs", "coefs_")

    @coefs_.setter
    def coefs_(self, value: Any) -> None:
        if "net_" in self.__dict__:
            self.coefs_[:] = value
        else:
            self._coefs = list(value)

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases by layer, (fan_out,): views of ``net_``; assignments copy into it."""
        if "net_" in self.__dict__:
            return LayerArrays(b[:, 0] for b in self.net_.b)
        return self._given("_intercepts", "intercepts_")

    @intercepts_.setter
    def intercepts_(self, value: Any) -> None:
        if "net_" in self.__dict__:
            self.intercepts_[:] = value
        else:
            self._intercepts = list(value)

    def _given(self, place: str, name: str) -> list[np.ndarray]:
        """Return what the caller assigned before there was a network."""
        try:
            return self.__dict__[place]
        except KeyError:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message) from None
