"""DivergenceError: what training raises where a cost or a parameter is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DivergenceError"]


class DivergenceError(FloatingPointError):
    """The cost, or a parameter, was not finite. The network has the last finite parameters.

    Parameters
    ----------
    epoch, step : int
        Numbers, from 0, of the failed step and its epoch.
    learning_rate, cost : float
        Learning rate of the step, and cost of its batch.

    Attributes
    ----------
    epoch, step, learning_rate, cost
        The arguments.
    history : History
        The history up to this step, if `fastshallow.train` raised the error.

    Examples
    --------
    >>> import fastshallow as fs
    >>> net = fs.Network((1, 1), output="linear").init(seed=0)
    >>> try:
    ...     fs.train(net, [[1.0, 2.0]], [2.0, 4.0], fs.GradientDescent(1e30), epochs=9)
    ... except fs.DivergenceError as error:
    ...     print(error.step < 9)
    True
    """

    def __init__(self, epoch: int, step: int, learning_rate: float, cost: float):
        self.epoch, self.step = epoch, step
        self.learning_rate, self.cost = learning_rate, cost
        self.history: Any = None
        found = "a parameter after it" if np.isfinite(cost) else f"the cost {cost}"
        with_rate, smaller = f", with learning rate {learning_rate:g}", "learning_rate"
        if np.isnan(learning_rate):  # L-BFGS has none
            with_rate, smaller = "", "scale of the initial weights"
        super().__init__(
            f"training diverged in epoch {epoch}, at step {step}{with_rate}: {found} is not "
            f"finite. The network has the last finite parameters. Try a smaller {smaller}, "
            "features of X (and targets, for squared error) scaled to about -1 ... 1, or "
            'dtype="float64"'
        )
