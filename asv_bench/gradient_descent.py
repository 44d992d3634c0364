"""Gradient descent: full-batch steps, in a loop that is compiled whole."""

from __future__ import annotations

import fastshallow as fs

from .common import LEARNING_RATE, WORKS, data


class GradientDescent:
    """Time of some steps, each over all examples."""

    # Set by hand, and raised when the work changes: asv would take every edit for a new work.
    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels, and start each timing from the same weights."""
        net, self.X, self.Y = data(name)
        fs.gradient_descent(net.copy(), self.X, self.Y, LEARNING_RATE, 1)
        self.net = net.copy()

    def time_steps(self, name):
        """Time the steps of the work."""
        fs.gradient_descent(self.net, self.X, self.Y, LEARNING_RATE, WORKS[name].calls)
