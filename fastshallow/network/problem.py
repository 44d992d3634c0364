"""Validated arguments of the cost kernels: a network, X, Y and sample weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..jit.linking import prepare
from ..jit.pace import pace_of, paced_region
from ..jit.threads import choose_workers
from . import checks

__all__ = ["Problem"]


class Problem:
    """Validated arguments of `fastshallow.kernels.cost_and_grad`.

    Parameters
    ----------
    net : Network
        Not modified.
    X, Y, sample_weight, alpha, n_threads
        As for `Network.cost_and_grad`, with the same errors.

    Attributes
    ----------
    X, Y : ndarray
        X is (n_x, m). Y is (n_y, m), or class numbers (1, m).
    labels : int
        1 if Y holds class numbers, else 0.
    arguments : tuple
        The first arguments of `fastshallow.kernels.cost_and_grad`.
    """

    def __init__(
        self,
        net: Any,
        X: Any,
        Y: Any,
        sample_weight: Any,
        alpha: float,
        n_threads: int | None,
    ):
        checks.finite_parameters(net)
        self.net = net
        self.X = checks.inputs(X, net.sizes[0], net.dtype)
        m = self.X.shape[1]
        softmax = net.output == "softmax"
        self.Y, self.labels = checks.targets(Y, net.sizes[-1], m, softmax, net.dtype)
        weight, total = checks.weights(sample_weight, m, net.dtype)
        checks.divisor(total, net.dtype)
        alpha = checks.number("alpha", alpha, least=0)
        tasks = int(kernels.task_count(m, net.layers, net.dtype.itemsize))
        # operations per parameter and example: 2 forward, 4 backward
        workers = choose_workers(n_threads, tasks, 6.0 * net.params.size * m)
        self._pace = pace_of("cost", net.sizes, m, workers, n_threads is not None)
        groups: tuple[str, ...] = ()
        if workers > 1:
            large = kernels.in_panels(net.layers, net.dtype.itemsize)
            groups = ("large",) if large else ("parallel",)
        prepare(net.dtype, self.X.dtype, groups)
        rows, wanted = checks.flat_rows(self.X), checks.flat_rows(self.Y)
        examples = kernels.Examples(rows, wanted, self.labels, weight)
        self.arguments = (net._model, examples, m, total, alpha)

    def cost(self, grad: np.ndarray) -> float:
        """Return J, and write its gradient to ``grad`` unless that is empty."""
        with paced_region(self._pace) as workers:
            J, status = kernels.cost_and_grad(*self.arguments, workers, grad)
        self.check(status)
        return float(J)

    def check(self, status: int) -> None:
        """Raise the error of a kernel's status, if any."""
        if status != kernels.OK:
            checks.explain(status, self.X, self.Y, self.labels, self.net)
