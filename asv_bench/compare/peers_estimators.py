"""Fit and predict of the estimators and of scikit-learn's.

    python asv_bench/peers.py --estimators [--work NAME ...] [--repeat N]

Both estimators get the same arguments and arrays. In float64 the models are equal; the difference
of their scores is printed. Each time is the median of calls in turns. Nothing is downloaded: "like"
before the name of a data set means random data of the same shape.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from peers_table import Table, readable

import fastshallow as fs


class Fit(NamedTuple):
    """A function that makes the data, and the arguments of the estimators."""

    name: str
    data: Callable[[], tuple[np.ndarray, np.ndarray]]
    hidden: tuple[int, ...]
    epochs: int
    regression: bool = False


def loaded(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a data set of scikit-learn with scaled features."""
    from sklearn import datasets
    from sklearn.preprocessing import scale

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return scale(X), scale(y) if name == "diabetes" else y


def drawn(m: int, n_x: int, classes: int, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Return random features, and noisy classes or (for classes = 1) noisy numbers."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, n_x), dtype=np.float32)
    hidden = np.tanh(X @ rng.standard_normal((n_x, 8), dtype=np.float32) / np.sqrt(n_x))
    values = hidden @ rng.standard_normal((8, classes), dtype=np.float32)
    values += 0.1 * rng.standard_normal(values.shape, dtype=np.float32)
    if classes == 1:
        return X.astype(dtype), values[:, 0].astype(dtype)
    return X.astype(dtype), values.argmax(axis=1)


FITS = (
    Fit("breast_cancer, 569 x 30", lambda: loaded("breast_cancer"), (100,), 200),
    Fit("digits, 1,797 x 64", lambda: loaded("digits"), (100,), 100),
    Fit("diabetes, 442 x 10", lambda: loaded("diabetes"), (100,), 200, True),
    Fit("like california, 20,640 x 8", lambda: drawn(20_640, 8, 1), (100,), 20, True),
    Fit("drawn, 100,000 x 30", lambda: drawn(100_000, 30, 2), (64,), 5),
    Fit(
        "like mnist, 60,000 x 784, float32",
        lambda: drawn(60_000, 784, 10, "float32"),
        (128,),
        2,
    ),
)


def estimators(fit: Fit) -> dict[str, Any]:
    """Return scikit-learn's estimator and ours."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    given = {"hidden_layer_sizes": fit.hidden, "max_iter": fit.epochs, "random_state": 0}
    if fit.regression:
        return {"theirs": MLPRegressor(**given), "ours": fs.ShallowRegressor(**given)}
    return {"theirs": MLPClassifier(**given), "ours": fs.ShallowClassifier(**given)}


def seconds(call: Callable[[], Any], calls: int = 1) -> float:
    """Return the time of a call."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls


def measure(fit: Fit, repeat: int) -> tuple[dict[str, list[float]], float]:
    """Return the median times (theirs, ours) by call, and the difference of the scores."""
    X, y = fit.data()
    models = estimators(fit)
    row = X[:1].copy()
    models["ours"].fit(X[:1000], y[:1000]).predict(X)  # compile, and start the threads
    models["ours"].predict(row)
    times: dict[str, dict[str, list[float]]] = {}
    for _ in range(repeat):
        for who, model in models.items():
            taken = {
                "fit": seconds(lambda model=model: model.fit(X, y)),
                "predict": seconds(lambda model=model: model.predict(X), 3),
                "one row": seconds(lambda model=model: model.predict(row), 1000),
            }
            for what, value in taken.items():
                times.setdefault(what, {}).setdefault(who, []).append(value)
    medians = {
        what: [statistics.median(by_whom[who]) for who in ("theirs", "ours")]
        for what, by_whom in times.items()
    }
    return medians, models["ours"].score(X, y) - models["theirs"].score(X, y)


def report(fits: list[Fit], repeat: int) -> list[dict]:
    """Print the table; return its rows."""
    head = ("fit", "ours", "ratio", "predict", "ours", "ratio", "one row", "ours", "ratio")
    table = Table("data", *head, "score")
    for fit in fits:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the epochs are few
            medians, difference = measure(fit, repeat)
        cells = []
        for theirs, ours in medians.values():
            cells += [readable(theirs), readable(ours), f"{theirs / ours:.1f}"]
        record = {"data": fit.name, "seconds": medians, "difference of scores": difference}
        table.add([fit.name, *cells, f"{difference:+.1e}"], record)
    return table.rows
