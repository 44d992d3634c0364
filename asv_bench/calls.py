"""What a call from Python takes with small arrays, in microseconds: what stands around the kernels.

    python asv_bench/calls.py

Every call is timed in turns with all others. The output is the median and the smallest. Run it with
``PYTHONPATH`` set to another checkout to compare two. The results are checked first: the gradient
against central differences, and one step of gradient descent against that gradient.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

import fastshallow as fs

# Seconds of calls in a row.
ROUND = 0.02


def network(*sizes: int) -> tuple[fs.Network, np.ndarray, np.ndarray]:
    """Return a network, X and Y of ``sizes[:-1]`` and m = ``sizes[-1]``."""
    *layers, m = sizes
    rng = np.random.default_rng(0)
    output = "sigmoid" if layers[-1] == 1 else "softmax"
    net = fs.Network(tuple(layers), "tanh", output).init(seed=0)
    X = rng.standard_normal((layers[0], m)).astype("float32")
    Y = (X[:1] > 0).astype("float32") if layers[-1] == 1 else np.arange(m) % layers[-1]
    return net, X, Y


def calls() -> dict[str, Callable[[], object]]:
    """Return the timed calls by name."""
    found: dict[str, Callable[[], object]] = {}
    net, X, Y = network(2, 4, 1, 400)
    found["cost_and_grad, 2-4-1, m 400"] = lambda: net.cost_and_grad(X, Y)
    found["cost, 2-4-1, m 400"] = lambda: net.cost(X, Y)
    found["predict, 2-4-1, m 400"] = lambda: net.predict(X)
    found["forward, 2-4-1, m 400"] = lambda: net.forward(X)
    found["gradient_descent, 1 step, 2-4-1, m 400"] = lambda: fs.gradient_descent(net, X, Y, 0.0, 1)
    found["train, 1 epoch of 1 batch, 2-4-1, m 400"] = lambda: fs.train(
        net, X, Y, epochs=1, batch_size=None
    )
    for sizes in ((13, 50, 3, 30_000), (64, 32, 10, 1797)):
        name = f"gradient_descent, 1 step, {'-'.join(map(str, sizes[:-1]))}, m {sizes[-1]}"
        found[name] = partial(fs.gradient_descent, *network(*sizes), 0.0, 1)
    wide = network(10, 16, 1, 2000)
    found["cost_and_grad, 10-16-1, m 2000"] = lambda: wide[0].cost_and_grad(*wide[1:])
    iris = load_iris(return_X_y=True)
    found["ShallowClassifier.fit, iris, 200 epochs"] = partial(classifier().fit, *iris)
    found["the same 200 epochs in one call of train"] = partial(
        fs.train,
        *(classifier().fit(*iris).net_, iris[0].T, iris[1]),
        *(fs.Adam(), 200, 150),
        shuffle=False,
    )
    return found


def classifier() -> fs.ShallowClassifier:
    """Return an estimator that takes 200 epochs, whatever its loss does."""
    return fs.ShallowClassifier(n_iter_no_change=200, max_iter=200, random_state=0)


def check() -> None:
    """Raise unless gradients and steps are right."""
    net, X, Y = network(2, 4, 1, 400)
    J, g = net.cost_and_grad(X, Y)
    assert J == net.cost(X, Y)
    double = fs.Network((2, 4, 1), "tanh", dtype="float64")
    double.params = net.params
    assert max(fs.gradient_check(double, X, Y).values()) < 1e-6
    before = net.params.copy()
    result = fs.gradient_descent(net, X, Y, 0.5, 1)
    assert result.cost[0] == J
    np.testing.assert_allclose(net.params, before - 0.5 * g.vector, rtol=1e-6, atol=1e-7)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=25, help="rounds")
    rounds = parser.parse_args().repeat
    warnings.simplefilter("ignore", ConvergenceWarning)  # 200 epochs are what is timed
    check()
    timed = calls()
    numbers = {}
    for name, call in timed.items():
        call()
        began = time.perf_counter()
        call()
        numbers[name] = max(1, int(ROUND / max(time.perf_counter() - began, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, call in timed.items():
            began = time.perf_counter()
            for _ in range(numbers[name]):
                call()
            seconds[name].append((time.perf_counter() - began) / numbers[name])
    for name, found in seconds.items():
        print(f"{name:<46} {1e6 * np.median(found):9.1f} {1e6 * min(found):9.1f}")


if __name__ == "__main__":
    main()
