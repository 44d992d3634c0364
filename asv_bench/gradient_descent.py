"""Time of gradient descent over all examples."""

from __future__ import annotations

import fastshallow as fs

from .common import LEARNING_RATE, WORKS, data


class GradientDescent:
    """Time of `Work.calls` steps."""

    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels, and restore the initial weights."""
        net, self.X, self.Y = data(name)
        fs.gradient_descent(net.copy(), self.X, self.Y, LEARNING_RATE, 1)
        self.net = net.copy()

    def time_steps(self, name):
        """Time the steps of the work."""
        fs.gradient_descent(self.net, self.X, self.Y, LEARNING_RATE, WORKS[name].calls)
