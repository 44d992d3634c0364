"""Time of the estimators: fit, predict, and predict of single rows."""

from __future__ import annotations

import functools
import warnings

import numpy as np

import fastshallow as fs

from .common import needs

M, N_X, HIDDEN, EPOCHS, ROWS = 10_000, 30, (64,), 3, 100


@functools.cache
def examples(name):
    """Return X with examples as rows, and y with classes or numbers."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((M, N_X), dtype=np.float32)
    f = np.tanh(X[:, 0] * X[:, 1] + X[:, 2])
    return X, (f > 0).astype(int) if name == "ShallowClassifier" else f


def fitted(name):
    """Return an estimator after a few epochs of Adam over batches of 200."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too few epochs to converge
        model = getattr(fs, name)(hidden_layer_sizes=HIDDEN, max_iter=EPOCHS, random_state=0)
        return model.fit(*examples(name))


class Estimators:
    """Time with 10,000 examples of 30 features, and 64 hidden units."""

    version = "1"
    params = (["ShallowClassifier", "ShallowRegressor"],)
    param_names = ("estimator",)

    def setup(self, name):
        """Load the kernels, and fit an estimator."""
        needs(name)
        self.model = fitted(name)
        self.X = examples(name)[0]
        self.model.predict(self.X)
        self.model.predict(self.X[:1])

    def time_fit(self, name):
        """Time three epochs."""
        fitted(name)

    def time_predict(self, name):
        """Time all rows in one call."""
        self.model.predict(self.X)

    def time_one_row(self, name):
        """Time 100 calls with one row each."""
        row = self.X[:1]
        for _ in range(ROWS):
            self.model.predict(row)
