"""Errors of gradients, against central differences and of float32 against float64.

Each figure is the largest error over the activations of the hidden layer.
"""

from __future__ import annotations

import numpy as np

import fastshallow as fs

SIZES, M = (5, 7, 3), 40
HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu", "linear")
OUTPUTS = ("sigmoid", "softmax", "linear", "relu", "exp")


def problems(output):
    """Yield a network in float64 with each hidden activation, X and Y."""
    for hidden in HIDDEN:
        rng = np.random.default_rng(0)
        X = rng.standard_normal((SIZES[0], M))
        classes = rng.integers(0, SIZES[-1], M)
        Y = classes if output == "softmax" else rng.random((SIZES[-1], M))
        yield fs.Network(SIZES, hidden, output, "float64").init(seed=0), X, Y


class Gradient:
    """Largest relative error of the gradient of 5-7-3 over 40 examples."""

    version = "1"
    params = (list(OUTPUTS),)
    param_names = ("output",)
    unit = "relative error"

    def track_against_differences(self, output):
        """Track the error of the formulas, about 1e-8 due to the differences."""
        return max(max(fs.gradient_check(*problem).values()) for problem in problems(output))

    def track_float32(self, output):
        """Track the rounding error of float32, with a unit roundoff of 6e-8."""
        return max(self.rounding(*problem) for problem in problems(output))

    def rounding(self, net, X, Y):
        """Return the largest error of the float32 gradient relative to the largest entry."""
        exact = net.backward(X, Y).vector
        single = fs.Network(net.sizes, list(net.hidden), net.output, "float32")
        single.params = net.params
        rounded = single.backward(X.astype("float32"), Y.astype("float32") if Y.ndim > 1 else Y)
        return float(np.abs(rounded.vector - exact).max() / np.abs(exact).max())
