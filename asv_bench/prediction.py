"""Prediction: of all examples at once, and of one by one."""

from __future__ import annotations

from .common import WORKS, data

CALLS = 1000


class Predict:
    """Time and memory of prediction."""

    # Set by hand, and raised when the work changes: asv would take every edit for a new work.
    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Take the data, made once in a process."""
        self.net, self.X, _ = data(name)

    def time_all(self, name):
        """Time all examples in one call."""
        self.net.predict(self.X)

    def time_one_by_one(self, name):
        """Time 1,000 calls with one example each."""
        x = self.X[:, 0]
        for _ in range(CALLS):
            self.net.predict(x)

    def peakmem_all(self, name):
        """Measure the memory of the process: Python, Numba, the data and the prediction."""
        self.net.predict(self.X)
