"""Time of an epoch of training over shuffled batches, by optimiser and batch size."""

from __future__ import annotations

import fastshallow as fs

from .common import LARGEST, data, needs

RATES = {"Adam": 1e-3, "SGD": 1e-2}


class Train:
    """Time of one epoch of 30-64-1, m 100,000."""

    version = "1"
    params = (list(RATES), [32, 200, 10_000])
    param_names = ("optimizer", "batch_size")

    def setup(self, name, batch_size):
        """Load the kernels, and restore the initial weights."""
        needs("train")
        net, self.X, self.Y = data(LARGEST)
        fs.train(net.copy(), self.X, self.Y, self.optimizer(name), 1, batch_size)
        self.net = net.copy()

    def optimizer(self, name):
        """Return an optimiser."""
        return getattr(fs, name)(RATES[name])

    def time_epoch(self, name, batch_size):
        """Time the epoch."""
        fs.train(self.net, self.X, self.Y, self.optimizer(name), 1, batch_size)
