"""Time of forward propagation and prediction: all examples in one call, or one per call."""

from __future__ import annotations

from .common import WORKS, data

ROWS = 1000


class Forward:
    """Time from X to A[L], of all examples in one call."""

    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels, and start the threads."""
        self.net, self.X, _ = data(name)
        self.net.predict_proba(self.X)

    def time_outputs(self, name):
        """Time A[L]."""
        for _ in range(WORKS[name].calls):
            self.net.predict_proba(self.X)


class Layers:
    """Time of `Network.forward`, which returns Z[l] and A[l] of every layer."""

    version = "1"
    params = (list(WORKS),)
    param_names = ("work",)

    def setup(self, name):
        """Load the kernels."""
        self.net, self.X, _ = data(name)
        self.net.forward(self.X)

    def time_all_layers(self, name):
        """Time `Network.forward`."""
        for _ in range(WORKS[name].calls):
            self.net.forward(self.X)


class OneRow:
    """Time of 1,000 calls with one example each, as in a server."""

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
        """Time calls that allocate their result."""
        for _ in range(ROWS):
            self.net.predict(self.x)

    def time_predict_into_out(self, name):
        """Time calls that write into an existing array."""
        for _ in range(ROWS):
            self.net.predict(self.x, out=self.out)
