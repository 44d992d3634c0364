"""The attributes coefs_ and intercepts_, as views of a network's parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..network.network import Network
from ..network.views import LayerArrays

__all__ = ["HasCoefs"]


class HasCoefs:
    """Mixin with ``coefs_`` and ``intercepts_`` for an estimator with a network ``net_``.

    Both lists can also be assigned before there is a network.
    """

    net_: Network

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights by layer, (fan_in, fan_out): views of ``net_``; assignment copies values."""
        if "net_" in self.__dict__:
            return LayerArrays((W.T for W in self.net_.W), "coefs_")
        return self._given("_coefs", "coefs_")

    @coefs_.setter
    def coefs_(self, value: Any) -> None:
        if "net_" in self.__dict__:
            self.coefs_[:] = value
        else:
            self._coefs = list(value)

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases by layer, (fan_out,): views of ``net_``; assignment copies values."""
        if "net_" in self.__dict__:
            return LayerArrays((b[:, 0] for b in self.net_.b), "intercepts_")
        return self._given("_intercepts", "intercepts_")

    @intercepts_.setter
    def intercepts_(self, value: Any) -> None:
        if "net_" in self.__dict__:
            self.intercepts_[:] = value
        else:
            self._intercepts = list(value)

    def _given(self, place: str, name: str) -> list[np.ndarray]:
        """Return the list that was assigned before there was a network."""
        try:
            given: list[np.ndarray] = self.__dict__[place]
        except KeyError:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message) from None
        return given
