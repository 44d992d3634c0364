"""Time of one gradient by a loop over examples and by all columns of X at once.

Both forms compute the gradient of 2-4-1 in NumPy, as in the notes, and by fastshallow. The figures
show the gain of vectorising in NumPy and with compiled kernels.
"""

from __future__ import annotations

import numpy as np

from .common import data

WORK = "2-4-1, m 400"


def by_example_in_numpy(net, X, Y):
    """Return the gradient by a loop over examples."""
    m = X.shape[1]
    (W1, W2), (b1, b2) = net.W, net.b
    dW1, db1, dW2, db2 = (np.zeros_like(p) for p in (W1, b1, W2, b2))
    for i in range(m):
        x, y = X[:, i : i + 1], Y[i]
        a1 = np.tanh(W1 @ x + b1)
        a2 = 1 / (1 + np.exp(-(W2 @ a1 + b2)))
        dz2 = a2 - y
        dW2 += dz2 @ a1.T
        db2 += dz2
        dz1 = (W2.T @ dz2) * (1 - a1 * a1)
        dW1 += dz1 @ x.T
        db1 += dz1
    return [dW1 / m, db1 / m, dW2 / m, db2 / m]


def by_columns_in_numpy(net, X, Y):
    """Return the gradient by matrix products."""
    m = X.shape[1]
    (W1, W2), (b1, b2) = net.W, net.b
    A1 = np.tanh(W1 @ X + b1)
    dZ2 = 1 / (1 + np.exp(-(W2 @ A1 + b2))) - Y
    dZ1 = (W2.T @ dZ2) * (1 - A1 * A1)
    sums = dZ1 @ X.T, dZ1.sum(axis=1, keepdims=True), dZ2 @ A1.T, dZ2.sum(axis=1, keepdims=True)
    return [s / m for s in sums]


def by_example(net, X, Y):
    """Return the gradient by one call per example."""
    m = X.shape[1]
    total = net.backward(X[:, :1], Y[:1])
    for i in range(1, m):
        total.vector += net.backward(X[:, i : i + 1], Y[i : i + 1]).vector
    total.vector /= m
    return [total.dW1, total.db1, total.dW2, total.db2]


def by_columns(net, X, Y):
    """Return the gradient by one call."""
    g = net.backward(X, Y)
    return [g.dW1, g.db1, g.dW2, g.db2]


# Function and number of calls in one timing.
FORMS = {
    "NumPy, by example": (by_example_in_numpy, 1),
    "NumPy, by columns": (by_columns_in_numpy, 100),
    "fastshallow, by example": (by_example, 1),
    "fastshallow, by columns": (by_columns, 1000),
}


class SlowLoop:
    """Time of one gradient over 400 examples."""

    version = "1"
    params = (list(FORMS),)
    param_names = ("form",)

    def setup(self, form):
        """Load the kernels, and check that the forms agree."""
        self.arguments = data(WORK)
        function, _ = FORMS[form]
        for got, wanted in zip(function(*self.arguments), by_columns(*self.arguments), strict=True):
            assert np.abs(got - wanted).max() < 1e-6

    def time_gradient(self, form):
        """Time the calls."""
        function, calls = FORMS[form]
        for _ in range(calls):
            function(*self.arguments)
