"""Print a hash of what each of many trainings and predictions leaves, one a line.

    python tests/trainings.py [DTYPE ...]

The lines are the same on every CPU with fused multiply-add: `test_same_bits` runs this script.
"""

from __future__ import annotations

import hashlib
import sys
import warnings

import numpy as np

import fastshallow as fs

# Sizes, hidden activation, output, m: lanes over examples, over units, and over examples in the
# output layer alone; one output, a few, many; one block and many; weights that are packed.
NETWORKS = [
    ((1, 1), "linear", "linear", 7),
    ((2, 4, 1), "tanh", "sigmoid", 400),
    ((3, 5, 2), "sigmoid", "sigmoid", 33),
    ((4, 32, 16, 4), "leaky_relu", "softmax", 150),
    ((9, 12, 2), "softplus", "softmax", 3000),
    ((10, 16, 1), "tanh", "linear", 442),
    ((13, 50, 3), "relu", "softmax", 1000),
    ((17, 33, 7), "elu", "softmax", 301),
    ((30, 70, 2), "tanh", "sigmoid", 500),
    ((30, 100, 1), "relu", "relu", 569),
    ((40, 64, 32, 1), "tanh", "exp", 300),
    ((70, 130, 10), "relu", "softmax", 450),
    ((20, 5), "relu", "softmax", 300),
]
OPTIMIZERS = [
    fs.GradientDescent(0.05),
    fs.SGD(0.01),
    fs.SGD(0.01, nesterov=False),
    fs.Adam(),
    fs.AdamW(weight_decay=0.1),
    fs.LBFGS(),
]
SCHEDULES = [None, None, fs.Cosine(), fs.StepDecay(2, 0.9), fs.InverseScaling(), None]


def mark(*arrays):
    """Return a hash of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def network_lines(sizes, hidden, output, m, dtype):
    """Yield a line for the gradients and predictions of a network, and one for each optimiser."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((sizes[0], m)).astype(dtype)
    Y = rng.integers(0, 2, (sizes[-1], m))
    if output == "softmax":
        Y = rng.integers(0, sizes[-1], m)
    net = fs.Network(sizes, hidden, output, dtype=dtype).init(seed=1)
    J, g = net.cost_and_grad(X, Y)
    J_w, g_w = net.cost_and_grad(X, Y, sample_weight=np.linspace(0.5, 2, m), alpha=0.3)
    yield "predict", mark(net.predict(X), net.predict(X[:, :1]), *net.forward(X).A)
    yield "gradient", mark(g.vector, J, g_w.vector, J_w)
    for optimizer, schedule in zip(OPTIMIZERS, SCHEDULES, strict=True):
        net.init(seed=1)
        name, size = type(optimizer).__name__, 64
        if name in ("GradientDescent", "LBFGS"):
            size = None
        settings = {"epochs": 3, "batch_size": size, "schedule": schedule}
        history = fs.train(net, X, Y, optimizer, on_divergence="continue", **settings)
        yield name, mark(net.params, history.cost)


def estimator_lines():
    """Yield a line for each solver of the estimators."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 8))
    y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int) + (X[:, 2] > 1)
    for solver in ("lbfgs", "sgd", "adam"):
        settings = {"solver": solver, "max_iter": 8, "random_state": 0}
        model = fs.ShallowClassifier((20, 10), early_stopping=solver == "adam", **settings)
        model.fit(X, y)
        yield solver, mark(*model.coefs_, *model.intercepts_, model.predict_log_proba(X))


def main(dtypes):
    """Print all lines of networks of these dtypes."""
    warnings.simplefilter("ignore")  # a few epochs are too few
    for sizes, hidden, output, m in NETWORKS:
        for dtype in dtypes:
            for line in network_lines(sizes, hidden, output, m, dtype):
                print(*sizes, dtype, *line)
    for line in estimator_lines() if "float64" in dtypes else ():
        print(*line)


if __name__ == "__main__":
    main(sys.argv[1:] or ("float32", "float64"))
