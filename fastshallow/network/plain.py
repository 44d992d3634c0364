"""X and Y that kernels take as they are: they need no conversion, and one thread is enough.

The checks of `fastshallow.network.checks` take longer than a small network. What is not plain, or
wrong, is left to them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..jit.linking import prepare
from ..jit.threads import GRAIN

__all__ = ["plain_arguments"]


def plain_arguments(
    net: Any, X: Any, Y: Any, alpha: Any, repeats: int = 1
) -> tuple[Any, ...] | None:
    """Return the first arguments of `fastshallow.kernels.calls`, None if the call is not plain.

    Parameters
    ----------
    net : Network
        The network.
    X, Y, alpha
        As for `Network.cost_and_grad`.
    repeats : int
        Passes over the examples.
    """
    dtype, sizes = net.dtype, net.sizes
    if not (
        type(X) is np.ndarray
        and X.dtype is dtype
        and X.ndim == 2
        and X.shape[0] == sizes[0]
        and 0 < X.size
        and type(alpha) is float
        and 0 <= alpha < math.inf
    ):
        return None
    m = X.shape[1]
    # from here on a second thread may pay off
    if 6.0 * net._memory.size * m * repeats >= 2 * GRAIN:
        return None
    inputs, targets = _flat(X, m), _targets(net, Y, m)
    if inputs is None or targets is None:
        return None
    prepare(dtype, dtype)
    return (net._memory, net.layers, net.leaky_slope, *inputs, *targets, m, alpha)


def _targets(net: Any, Y: Any, m: int) -> tuple[Any, ...] | None:
    """Return the values of Y, their strides, and whether they are class numbers."""
    if type(Y) is not np.ndarray:
        return None
    if Y.dtype is not net.dtype:
        if Y.dtype.kind not in "biu":  # which float32 rounds without a warning
            return None
        Y = Y.astype(net.dtype)
    n_y, labels = net.sizes[-1], 0
    if Y.shape == (m,) and (n_y == 1 or net.output == "softmax"):
        labels, Y = int(net.output == "softmax"), Y.reshape(1, m)
    elif Y.shape != (n_y, m):
        return None
    flat = _flat(Y, m)
    return None if flat is None else (*flat, labels)


def _flat(array: np.ndarray, m: int) -> tuple[np.ndarray, int, int] | None:
    """Return the values of an array (n, m), and the steps between examples and within one."""
    flags, n = array.flags, array.shape[0]
    if not flags.aligned:
        return None
    if flags.c_contiguous:
        values, row, col = array.reshape(-1), 1, m if n > 1 else 1
    elif flags.f_contiguous:
        values, row, col = array.T.reshape(-1), n, 1
    else:
        return None
    values.flags.writeable = False  # kernels are compiled for read-only X and Y
    return values, row, col
