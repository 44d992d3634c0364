"""Time of the cost J, and of J with its gradient, over all examples."""

from __future__ import annotations

from .common import WORKS, data


class CostAndGrad:
    """Time of J alone, and with its gradient."""

    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels, and start the threads."""
        self.net, self.X, self.Y = data(name)
        self.net.cost_and_grad(self.X, self.Y)

    def time_cost(self, name):
        """Time J."""
        for _ in range(WORKS[name].calls):
            self.net.cost(self.X, self.Y)

    def time_cost_and_grad(self, name):
        """Time J, dW and db."""
        for _ in range(WORKS[name].calls):
            self.net.cost_and_grad(self.X, self.Y)
