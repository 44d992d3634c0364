"""Forward propagation and prediction: all examples at once, and one by one."""

from __future__ import annotations

from .common import WORKS, data

ROWS = 1000


class Forward:
    """Time from X to A[L], of all examples in one call."""

    # Set by hand, and raised when the work changes: asv would take every edit for a new work.
    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels, and start the threads."""
        self.net, self.X, _ = data(name)
        self.net.predict_proba(self.X)

    def time_outputs(self, name):
        """Time A[L] alone, as prediction takes it, again and again."""
        for _ in range(WORKS[name].calls):
            self.net.predict_proba(self.X)


class Layers:
    """Time of Z[l] and A[l] of every layer, kept to be looked at."""

    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels."""
        self.net, self.X, _ = data(name)
        self.net.forward(self.X)

    def time_all_layers(self, name):
        """Time `Network.forward`, again and again."""
        for _ in range(WORKS[name].calls):
            self.net.forward(self.X)


class OneRow:
    """Time of 1,000 calls with one example each: what a server does."""

    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels."""
        self.net, X, _ = data(name)
        self.x = X[:, 0].copy()
        self.out = self.net.predict(self.x)
        self.net.predict(self.x, out=self.out)

    def time_predict(self, name):
        """Time calls that make an array each."""
        for _ in range(ROWS):
            self.net.predict(self.x)

    def time_predict_into_out(self, name):
        """Time calls that write into one array."""
        for _ in range(ROWS):
            self.net.predict(self.x, out=self.out)
