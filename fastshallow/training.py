"""Training: gradient descent over all examples, the whole loop compiled."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _checks, kernels
from ._threads import parallel_region
from .network import Network, Problem

__all__ = ["GradientDescentResult", "gradient_descent"]

# Seconds of work in one kernel call: Ctrl-C is seen between calls only.
CALL_SECONDS = 0.1


@dataclass(frozen=True)
class GradientDescentResult:
    """What `gradient_descent` did.

    Attributes
    ----------
    cost : ndarray, (n_iter,), float64
        ``cost[i]`` is J before step i.
    """

    cost: np.ndarray

    def __repr__(self) -> str:
        return f"GradientDescentResult({self.cost.size} steps, last cost {self.cost[-1]:.6g})"


def gradient_descent(
    net: Network,
    X: Any,
    Y: Any,
    learning_rate: float,
    n_iter: int,
    sample_weight: Any = None,
    alpha: float = 0.0,
    n_threads: int | None = None,
) -> GradientDescentResult:
    """Take steps W = W - learning_rate * dW, b = b - learning_rate * db over all examples.

    Parameters
    ----------
    net : Network
        Its parameters are modified in place; they stay as they were if an argument is wrong.
    X, Y, sample_weight, alpha, n_threads
        As for `Network.cost_and_grad`. ``alpha`` is the L2 penalty; the notes' alpha is
        ``learning_rate``.
    learning_rate : float
        Size of a step, not negative.
    n_iter : int
        Steps, at least 1.

    Returns
    -------
    GradientDescentResult
        Its ``cost[i]`` is J before step i.

    Warns
    -----
    RuntimeWarning
        Where the cost ceases to be finite: a smaller learning rate may help.

    Examples
    --------
    >>> import fastshallow as fs
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> result = fs.gradient_descent(net, [[1.0, 2.0]], [[2.0, 4.0]], 0.1, 1000)
    >>> round(float(result.cost[0]), 6), bool(result.cost[-1] < 1e-4)
    (5.0, True)
    """
    learning_rate = _checks.number("learning_rate", learning_rate, least=0)
    n_iter = _checks.whole("n_iter", n_iter, 1)
    problem = Problem(net, X, Y, sample_weight, alpha, n_threads)
    cost = np.empty(n_iter)
    done, steps = 0, 1
    while done < n_iter:
        part = cost[done : done + steps]
        began = time.perf_counter()
        with parallel_region(problem.workers):
            status = kernels.gradient_descent(*problem.arguments, learning_rate, part)
        problem.check(status)
        done += part.size
        if time.perf_counter() - began < CALL_SECONDS / 2:
            steps *= 2
    if not np.isfinite(cost).all():
        step = int(np.argmin(np.isfinite(cost)))
        warnings.warn(
            f"the cost is not finite from step {step} on (learning_rate {learning_rate:g}): "
            "a smaller learning_rate, or X and Y of a smaller range, may help",
            RuntimeWarning,
            stacklevel=2,
        )
    return GradientDescentResult(cost)
