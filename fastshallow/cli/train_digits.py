"""``fastshallow train`` without a table: the handwritten digits that scikit-learn ships."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastshallow as fs

from ..estimators.base import ACTIVATIONS
from ..files.models import replace_file
from ..network.plotting import cost_png
from ..tables.mistakes import DONE, INTERRUPTED, Mistake
from ..tables.scores import classification_scores, scores_text
from .common import check_activation, check_outputs, note, print_json, say

__all__ = ["Digits", "digits", "train_on_digits"]

# Pixels of the digits are 0 ... 16.
SCALE = 16

#: What means nothing without a table.
FOR_TABLES = ("target", "task", "drop", "impute", "class_weight", "early_stopping")


@dataclass
class Digits:
    """Examples to train on and examples held out; rows, as scikit-learn gives them."""

    X: np.ndarray
    y: np.ndarray
    X_held_out: np.ndarray
    y_held_out: np.ndarray
    n_classes: int


def digits(seed: int, share: float = 0.2) -> Digits:
    """Return the handwritten digits that scikit-learn ships, a share of every class held out.

    Parameters
    ----------
    seed : int
        Of the split.
    share : float
        Held out; 0 for none.

    Examples
    --------
    >>> from fastshallow.cli.train_digits import digits
    >>> digits(seed=0).X.shape
    (1437, 64)
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    X = (X / SCALE).astype("float32")
    if share == 0:
        return Digits(X, y, X[:0], y[:0], n_classes=10)
    try:
        parts = train_test_split(X, y, test_size=share, stratify=y, random_state=seed)
    except ValueError as error:
        raise Mistake(f"--test-size {share:g}: {error}") from error
    X, X_held_out, y, y_held_out = parts
    return Digits(X, y, X_held_out, y_held_out, n_classes=10)


def train_on_digits(options: argparse.Namespace) -> int:
    """Train on the digits, report, write the model and the loss curve; return the exit code."""
    for name in FOR_TABLES:
        if getattr(options, name):
            raise Mistake(f"--{name.replace('_', '-')}: expected DATA, a table, before it")
    check_activation(options)
    options.plot = options.plot or "loss.png"
    check_outputs({"--out": options.out, "--plot": options.plot})
    data = digits(options.seed, options.test_size)
    m, n_x = data.X.shape
    say(
        options,
        f"Digits: {m} examples to train on, {len(data.y_held_out)} held out, "
        f"{n_x} features, {data.n_classes} classes",
    )
    if not options.quiet:
        say(options, "Compiling the kernels (many seconds in the first run, then kept) ...")
    compile_seconds = fs.warmup("float32")
    hidden = (64,) if options.hidden is None else options.hidden
    activation = ACTIVATIONS[options.activation or "relu"]
    net = fs.Network((n_x, *hidden, data.n_classes), activation, "softmax")
    history = fit(net.init(seed=options.seed), data, options)
    if not len(history):
        raise KeyboardInterrupt
    scores = None
    if len(data.y_held_out):
        P = net.predict_proba(data.X_held_out.T).T
        scores = classification_scores(data.y_held_out, P, list(range(data.n_classes)))
    fs.save(net, options.out)
    drawn = draw(net, history, options.plot)
    interrupted = history.stopped == "interrupted"
    if options.json:
        print_json(figures(net, history, data, scores, compile_seconds, options, not drawn))
    else:
        report(history, data, scores, compile_seconds)
        print(f"Model              {options.out}")
        print(f"Loss curve         {drawn or options.plot}")
        if not options.quiet:
            how_to_use(options, not drawn)
    if interrupted:
        note("interrupted: the files hold the last whole state")
    return INTERRUPTED if interrupted else DONE


def fit(net: fs.Network, data: Digits, options: argparse.Namespace) -> fs.History:
    """Take the steps: gradient descent over all examples, if no solver is named."""
    rate = options.learning_rate
    if options.solver is None:
        optimizer: Any = fs.GradientDescent(rate or 0.3)
    elif options.solver == "lbfgs":
        optimizer = fs.LBFGS()
    else:
        optimizer = fs.Adam(rate or 1e-3) if options.solver == "adam" else fs.SGD(rate or 1e-3)
    size = options.batch_size or ("auto" if options.solver in ("adam", "sgd") else None)
    try:
        return fs.train(
            *(net, data.X.T, data.y, optimizer, options.epochs or 500),
            batch_size=size,
            alpha=options.alpha or 0.0,
            seed=options.seed,
            progress=not options.quiet,
            n_threads=options.threads,
        )
    except fs.DivergenceError as error:
        raise Mistake(
            f"the cost is not finite any more after {error.step} steps: try a "
            f"--learning-rate smaller than {optimizer.learning_rate:g}"
        ) from error


def report(
    history: fs.History, data: Digits, scores: dict[str, Any] | None, compile_seconds: float
) -> None:
    """Print accuracy, speed and where the time went."""
    cost, seconds, steps = history.cost, history.seconds[-1], history.steps[-1]
    per_second = len(history) * len(data.y) / seconds
    if scores is not None:
        print(scores_text(scores, len(data.y_held_out)) + "\n")
    print(f"Cost J             {cost[0]:.4f} -> {cost[-1]:.4f} in {steps} steps")
    print(f"Speed              {per_second:,.0f} examples per second")
    print(f"Time               compile {compile_seconds:.2f} s, train {seconds:.2f} s")


def figures(
    net: fs.Network,
    history: fs.History,
    data: Digits,
    scores: dict[str, Any] | None,
    compile_seconds: float,
    options: argparse.Namespace,
    drawn: bool,
) -> dict[str, Any]:
    """Return the report as JSON has it."""
    m, seconds = len(data.y), float(history.seconds[-1])
    return {
        "data": {"path": None, "train": m, "held_out": len(data.y_held_out)},
        "model": {"path": options.out, "sizes": list(net.sizes), "output": net.output},
        "training": {
            "epochs": len(history),
            "stopped": history.stopped,
            "loss": float(history.cost[-1]),
            "loss_curve": history.cost.tolist(),
            "seconds": seconds,
            "compile_seconds": compile_seconds,
            "examples_per_second": len(history) * m / seconds,
        },
        "held_out": scores,
        "plot": options.plot if drawn else None,
    }


def draw(net: fs.Network, history: fs.History, path: str) -> str:
    """Write the loss curve, or say in one line why not."""
    try:
        sizes = "-".join(map(str, net.sizes))
        png = cost_png(history.cost, f"digits, {sizes}: the cost before each step")
    except ImportError as error:
        return f"not drawn: {error}"
    replace_file(path, png)
    return ""


def how_to_use(options: argparse.Namespace, drawn: bool) -> None:
    """Print what to do with the files."""
    print(
        f"""
Use the model from Python:

    import fastshallow as fs
    from sklearn.datasets import load_digits

    net = fs.load({options.out!r})
    X = load_digits().data.T / {SCALE}  # examples are columns; features scaled as in training
    print(net.predict(X))  # class numbers; net.predict_proba(X) gives probabilities
"""
    )
    if drawn:
        print(
            f"Look at {options.plot}: a curve that still falls at its end wants more --epochs, "
            "one that\njumps up and down a smaller --learning-rate."
        )
