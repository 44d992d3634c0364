"""Gradient descent over all examples."""

from __future__ import annotations

import fastshallow as fs

from .common import WORKS, data


class GradientDescent:
    """Time and memory of a few steps."""

    # Set by hand, and raised when the work changes: asv would take every edit for a new work.
    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Start each timing from the same weights."""
        net, self.X, self.Y = data(name)
        self.net = net.copy()

    def time_steps(self, name):
        """Time the steps of the work."""
        fs.gradient_descent(self.net, self.X, self.Y, 0.1, WORKS[name].steps)

    def peakmem_steps(self, name):
        """Measure the memory of the process: Python, Numba, the data and the steps."""
        fs.gradient_descent(self.net, self.X, self.Y, 0.1, 1)
