"""Peak memory of a process, including Python, Numba and the data.

The data of 30-64-1, m 100,000, are 12 MB. A[1] of all examples would be 26 MB.
"""

from __future__ import annotations

import fastshallow as fs

from .common import LARGEST, LEARNING_RATE, data, needs


class Memory:
    """Peak memory with 30-64-1 and 100,000 examples."""

    version = "1"

    def setup_cache(self):
        """Compile in a separate process of asv, because compilation takes memory."""
        net, X, Y = data(LARGEST)
        net.predict(X)
        fs.gradient_descent(net.copy(), X, Y, LEARNING_RATE, 1)
        if hasattr(fs, "train"):
            fs.train(net.copy(), X, Y, epochs=1)

    def setup(self):
        """Make the data."""
        self.net, self.X, self.Y = data(LARGEST)

    def peakmem_data(self):
        """Measure the data alone, for comparison."""

    def peakmem_predict(self):
        """Measure prediction of all examples."""
        self.net.predict(self.X)

    def peakmem_gradient_descent(self):
        """Measure a step over all examples."""
        fs.gradient_descent(self.net, self.X, self.Y, LEARNING_RATE, 1)

    def peakmem_train(self):
        """Measure an epoch of Adam over batches."""
        needs("train")
        fs.train(self.net, self.X, self.Y, epochs=1)
