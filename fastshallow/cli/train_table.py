"""``fastshallow train DATA``: from a table to a model file."""

from __future__ import annotations

import argparse
import importlib
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastshallow as fs

from ..estimators.base import ACTIVATIONS, NOT_FINITE
from ..files.models import check_savable, replace_file
from ..network.plotting import Boundary, cost_png
from ..tables.columns import Column, Target, Values, check_any, check_present, encode, read_values
from ..tables.mistakes import DONE, INTERRUPTED, Mistake, listed, plain
from ..tables.pipeline import Pipeline
from ..tables.read import read_table
from ..tables.scores import classification_scores, regression_scores, scores_text, text_table
from ..training.callbacks import Callback
from .common import (
    check_activation,
    check_not_input,
    check_outputs,
    note,
    print_json,
    say,
)

__all__ = ["train_on_table"]

#: Rows of the table of columns that are printed, and points of a decision boundary by axis.
ROWS_MOST = 30
GRID = 200
#: Examples that are drawn on it.
POINTS_MOST = 2000


@dataclass
class Prepared:
    """A table as the network takes it, in two parts."""

    rows: int
    columns: list[Column]
    target: Target
    X: np.ndarray
    y: np.ndarray
    X_held_out: np.ndarray
    y_held_out: np.ndarray


@dataclass
class Run:
    """What training did."""

    net: fs.Network
    loss: list[float]
    held_out_loss: list[float]
    seconds: float
    compile_seconds: float
    stopped: str

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended it."""
        return self.stopped == "interrupted"


@dataclass
class Recorder(Callback):
    """Keep when training began and ended, and every epoch's loss of the examples held out."""

    X: np.ndarray | None = None
    y: np.ndarray | None = None
    n_threads: int | None = None
    held_out_loss: list[float] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Recorder:
        """Return itself: it is read after the fit, whose examples a copy would copy."""
        return self

    def on_train_begin(self, state: Any) -> None:
        """Note the time."""
        self.began = self.ended = time.perf_counter()

    def on_epoch_end(self, state: Any) -> bool:
        """Add the epoch's, if any are held out, and note the time."""
        if self.X is not None:
            cost = state.net.cost(self.X.T, self.y, n_threads=self.n_threads)
            self.held_out_loss.append(float(cost))
        self.ended = time.perf_counter()
        return False


def train_on_table(options: argparse.Namespace) -> int:
    """Train on a table, report, write the model and the plot; return the exit code."""
    check_options(options)
    check_outputs({"--out": options.out, "--plot": options.plot})
    check_not_input("--out", options.out, options.data)
    check_not_input("--plot", options.plot, options.data)
    if options.plot:
        _check_matplotlib()
    data = prepare(options)
    say(options, data_text(data, options))
    say(options, f"\nModel              {model_text(data, options)}")
    _check_savable(data, options)
    run = fit(data, options)
    model = Pipeline(run.net, data.columns, data.target)
    scores = score(model, data, options)
    fs.save(model, options.out)
    if options.plot:
        replace_file(options.plot, plot_png(model, run, data))
    if options.json:
        print_json(figures(model, run, data, scores, options))
    else:
        report(run, data, scores, options)
    if run.interrupted:
        note(f"interrupted: {options.out} holds the last whole state")
    return INTERRUPTED if run.interrupted else DONE


def check_options(options: argparse.Namespace) -> None:
    """Raise where options do not fit each other."""
    if options.target is None:
        raise Mistake(f"--target: expected the column of {options.data} to predict")
    for name in ("early_stopping", "batch_size", "learning_rate"):
        if options.solver == "lbfgs" and getattr(options, name):
            raise Mistake(f"--{name.replace('_', '-')}: expected --solver adam or sgd; got lbfgs")
    if options.class_weight and options.task == "regression":
        raise Mistake("--class-weight: expected a classification; got --task regression")
    check_activation(options)


def _check_savable(data: Prepared, options: argparse.Namespace) -> None:
    """Raise before training where its columns would not go into a model file."""
    learner = estimator(data.target, options, Recorder())
    sizes = sizes_of(data, learner)
    names = [ACTIVATIONS[name] for name in learner._activations(len(sizes) - 2)]
    output = "softmax" if sizes[-1] > 1 else "sigmoid" if data.target.classes else "linear"
    net = fs.Network(sizes, names, output, data.X.dtype)
    try:
        check_savable(Pipeline(net, data.columns, data.target))
    except ValueError as error:
        raise Mistake(f"{options.data}: {error}; --drop leaves a column out") from error


def _check_matplotlib() -> None:
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise Mistake(
            f'--plot needs matplotlib ({error}): python -m pip install "fastshallow[plot]"'
        ) from error


# The table ---------------------------------------------------------------------------------------


def prepare(options: argparse.Namespace) -> Prepared:
    """Read the table, split it, and encode both parts by what the first one holds."""
    table = read_table(options.data)
    rows, names = len(table), [str(name) for name in table.columns]
    for option, wanted in (("--target", [options.target]), ("--drop", options.drop)):
        absent = [name for name in wanted if name not in names]
        if absent:
            raise Mistake(
                f"{option}: expected a column of {options.data}, which has {listed(names)}; got "
                f"{listed(absent)}"
            )
    features = [n for n in names if n != options.target and n not in options.drop]
    if not features:
        raise Mistake(f"{options.data}: expected columns beside the target; there are none")
    unnamed = [name for name in features if name.startswith("Unnamed: ")]
    if unnamed:
        note(f"warning: columns without a name are taken as features: {listed(unnamed)}")
    wanted = read_values(options.target, table[options.target])
    found = [read_values(name, table[name]) for name in features]
    del table
    check_present([wanted], "rows to learn from need the target")
    for values in found:
        check_any(values)
    if options.impute is None:
        check_present(found, "fill them, or take --impute median")
    target = Target.of(wanted, options.task or "auto")
    if options.class_weight and target.task == "regression":
        raise Mistake(f"--class-weight: expected classes; target {target.name!r} has numbers")
    chosen, rest = split(wanted, target, options)
    part = wanted.taken(chosen)
    target = target.standardised(part)
    columns = [Column.of(values.taken(chosen), options.impute is not None) for values in found]
    # float32 is what the kernels are fast in; the line searches of L-BFGS want more digits
    dtype = "float64" if options.solver == "lbfgs" else "float32"
    X, _ = encode(columns, [values.taken(chosen) for values in found], dtype)
    X_held_out, _ = encode(columns, [values.taken(rest) for values in found], dtype)
    y, y_held_out = target.encode(part), target.encode(wanted.taken(rest))
    return Prepared(rows, columns, target, X, y, X_held_out, y_held_out)


def split(
    found: Values, target: Target, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and rows held out: as many of every class, where there are enough.

    Where there are not, one row of every class at least is trained on.
    """
    from sklearn.model_selection import train_test_split

    m, share = len(found.values), options.test_size
    held_out = int(np.ceil(share * m))
    every = np.arange(m)
    if share == 0:
        return every, every[:0]
    n = max(len(target.classes), 1)
    if m - held_out < n:
        raise Mistake(
            f"--test-size {share:g}: expected {n} rows or more to train on; {m - held_out} of {m} "
            "are left"
        )
    if target.task == "regression":
        chosen, rest = train_test_split(every, test_size=held_out, random_state=options.seed)
        return chosen, rest
    numbers = target.encode(found)
    counts = np.bincount(numbers)
    if counts.min() >= 2 and held_out >= n:
        chosen, rest = train_test_split(
            every, test_size=held_out, stratify=numbers, random_state=options.seed
        )
        return chosen, rest
    kept = np.unique(numbers, return_index=True)[1]
    others = np.setdiff1d(every, kept)
    order = np.random.default_rng(options.seed).permutation(others)
    return np.concatenate([order[held_out:], kept]), order[:held_out]


# Training ----------------------------------------------------------------------------------------


def estimator(target: Target, options: argparse.Namespace, recorder: Recorder) -> Any:
    """Return the estimator that the options describe; those not given are its own defaults."""
    chosen = {
        "hidden_layer_sizes": options.hidden,
        "activation": options.activation,
        "solver": options.solver,
        "alpha": options.alpha,
        "batch_size": options.batch_size,
        "learning_rate_init": options.learning_rate,
        "max_iter": options.epochs,
        "class_weight": options.class_weight,
        "n_threads": options.threads,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    make = fs.ShallowClassifier if target.task == "classification" else fs.ShallowRegressor
    return make(
        **given,
        early_stopping=options.early_stopping,
        random_state=options.seed,
        callbacks=[recorder],
        progress=not options.quiet,
    )


def fit(data: Prepared, options: argparse.Namespace) -> Run:
    """Train until the estimator stops, or Ctrl-C."""
    if not options.quiet:
        say(options, "\nCompiling the kernels (many seconds in the first run, then kept) ...")
    compile_seconds = fs.warmup(data.X.dtype)
    recorder = Recorder(n_threads=options.threads)
    if options.plot and len(data.X_held_out):
        recorder.X = data.X_held_out
        recorder.y = data.y_held_out.astype(data.X.dtype)
    learner = estimator(data.target, options, recorder)
    interrupted = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            learner.fit(data.X, data.y)
        except KeyboardInterrupt:
            if not recorder.began:
                raise
            interrupted = True
        except ValueError as error:
            raise Mistake(_why(error, learner)) from error
    stopped = _stopped([str(warning.message) for warning in caught], learner, interrupted)
    if not np.isfinite(learner.net_.params).all():
        raise Mistake(_why(ValueError(NOT_FINITE), learner))
    seconds, loss = recorder.ended - recorder.began, learner.loss_curve_
    return Run(*(learner.net_, loss, recorder.held_out_loss, seconds, compile_seconds, stopped))


def _why(error: ValueError, learner: Any) -> str:
    """Return what to do about an error of fit, in one line."""
    if str(error) == NOT_FINITE:
        return (
            "the weights are not finite any more: try a --learning-rate smaller than "
            f"{learner.learning_rate_init:g}"
        )
    text = " ".join(str(error).split())
    return f"--early-stopping: {text}" if learner.early_stopping else text


def _stopped(messages: list[str], learner: Any, interrupted: bool) -> str:
    """Return why training ended: "interrupted", "epochs" or "converged"; pass on what is left."""
    stopped = "interrupted" if interrupted else "converged"
    for message in messages:
        if "interrupted by user" in message:
            stopped = "interrupted"
        elif "Maximum iterations" in message or "ITERATIONS REACHED LIMIT" in message:
            stopped = "epochs"
        elif "batch_size" in message:
            note(f"warning: --batch-size {learner.batch_size} is more than the rows: all are taken")
        else:
            note(f"warning: {message.strip().splitlines()[0]}")
    return stopped


def score(model: Pipeline, data: Prepared, options: argparse.Namespace) -> dict[str, Any] | None:
    """Return the scores of the rows held out, None where there are none."""
    return scores_of(model, data.X_held_out, data.y_held_out, options.threads)


def scores_of(
    model: Pipeline, X: np.ndarray, y: np.ndarray, n_threads: int | None
) -> dict[str, Any] | None:
    """Return the scores of encoded rows, None where there are none."""
    if not len(X):
        return None
    if model.task == "classification":
        P = model.probabilities(X, n_threads)
        return classification_scores(y, P, model.target.classes)
    numbers = y * model.target.scale + model.target.mean
    return regression_scores(numbers, model.answers(X, n_threads))


# What is said ------------------------------------------------------------------------------------


def data_text(data: Prepared, options: argparse.Namespace) -> str:
    """Return the table of the data."""
    where = "standard input" if options.data == "-" else options.data
    lines = [
        f"Data               {where}: {data.rows:,} rows, {len(data.y):,} to train on, "
        f"{len(data.y_held_out):,} held out",
        f"Target             {target_text(data)}",
        "",
        columns_text(data.columns),
    ]
    return "\n".join(lines)


def target_text(data: Prepared) -> str:
    """Return the line of the target."""
    target = data.target
    if target.task == "regression":
        return (
            f"{plain(target.name)}: regression, mean {target.mean:.6g}, standard deviation "
            f"{target.scale:.6g}"
        )
    counts = np.bincount(np.concatenate([data.y, data.y_held_out]).astype(np.int64))
    shown = [f"{plain(label)} {n:,}" for label, n in zip(target.classes, counts, strict=True)][:10]
    more = ", ..." if len(counts) > 10 else ""
    return f"{plain(target.name)}: classification, {len(counts)} classes ({', '.join(shown)}{more})"


def columns_text(columns: list[Column]) -> str:
    """Return the columns as a table: kind, inputs of the network, values."""
    rows: list[tuple[Any, ...]] = [("column", "kind", "values", "inputs")]
    for column in columns[:ROWS_MOST]:
        if column.kind == "number":
            values = f"mean {column.mean:.4g}, standard deviation {column.scale:.4g}"
        else:
            values = ", ".join(map(plain, column.categories[:4])) + (
                ", ..." * (len(column.categories) > 4)
            )
        if column.fill is not None:
            fill = f"{column.fill:.4g}" if isinstance(column.fill, float) else plain(column.fill)
            values += f"; where missing {fill}"
        rows.append((plain(column.name), column.kind, values, column.width))
    left_out = len(columns) - ROWS_MOST
    return text_table(rows, 3) + (f"\n... and {left_out} more columns" if left_out > 0 else "")


def model_text(data: Prepared, options: argparse.Namespace) -> str:
    """Return sizes, activation, solver and epochs, before training."""
    learner = estimator(data.target, options, Recorder())
    sizes = sizes_of(data, learner)
    name = learner.activation if len(sizes) > 2 else "no hidden layer"
    text = "-".join(map(str, sizes))
    return f"{text}, {name}, {learner.solver}, {learner.max_iter} epochs at most"


def sizes_of(data: Prepared, learner: Any) -> list[int]:
    """Return the sizes of the network that an estimator will make."""
    hidden = np.atleast_1d(learner.hidden_layer_sizes).astype(int).tolist()
    outputs = len(data.target.classes) if len(data.target.classes) > 2 else 1
    return [data.X.shape[1], *hidden, outputs]


def report(
    run: Run, data: Prepared, scores: dict[str, Any] | None, options: argparse.Namespace
) -> None:
    """Print scores, loss, speed, and what to do with the files."""
    if scores is not None:
        print("\n" + scores_text(scores, len(data.y_held_out)))
    print()
    if run.loss:
        print(f"Loss               {run.loss[0]:.4f} -> {run.loss[-1]:.4f}, {_epochs(run)}")
        per_second = len(run.loss) * len(data.y) / max(run.seconds, 1e-9)
        print(f"Speed              {per_second:,.0f} examples per second")
    print(f"Time               compile {run.compile_seconds:.2f} s, train {run.seconds:.2f} s")
    print(f"Model              {options.out}")
    if options.plot:
        print(f"Plot               {options.plot}")
    if not options.quiet:
        print(HOW_TO_USE.format(out=options.out))


def _epochs(run: Run) -> str:
    text = f"{len(run.loss)} epochs"
    return {
        "epochs": f"{text}, all that were allowed: more --epochs may lower it",
        "interrupted": f"{text}, then interrupted",
    }.get(run.stopped, f"{text}, until it did not improve any more")


HOW_TO_USE = """
Use it:

    fastshallow predict {out} NEW.csv --out predictions.csv

or from Python:

    import fastshallow as fs, pandas

    model = fs.load({out!r})
    print(model.predict(pandas.read_csv("NEW.csv")))  # model.net is the network
"""


def figures(
    model: Pipeline,
    run: Run,
    data: Prepared,
    scores: dict[str, Any] | None,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Return the report as JSON has it."""
    return {
        "data": {
            "path": options.data,
            "rows": data.rows,
            "train": len(data.y),
            "held_out": len(data.y_held_out),
            **model.describe(),
        },
        "model": {
            "path": options.out,
            "sizes": list(model.net.sizes),
            "hidden": list(model.net.hidden),
            "output": model.net.output,
            "dtype": model.net.dtype.name,
        },
        "training": {
            "epochs": len(run.loss),
            "stopped": run.stopped,
            "loss": run.loss[-1] if run.loss else None,
            "loss_curve": run.loss,
            "seconds": run.seconds,
            "compile_seconds": run.compile_seconds,
            "examples_per_second": len(run.loss) * len(data.y) / max(run.seconds, 1e-9),
        },
        "held_out": scores,
        "plot": options.plot,
    }


# The plot ----------------------------------------------------------------------------------------


def plot_png(model: Pipeline, run: Run, data: Prepared) -> bytes:
    """Return loss curves, and the decision boundary of a classifier of two numbers."""
    both = len(run.held_out_loss) == len(run.loss)
    title = f"{model.target.name}: loss by epoch"
    validation = run.held_out_loss if both and run.loss else None
    two = len(model.columns) == 2 and all(column.kind == "number" for column in model.columns)
    boundary = boundary_of(model, data) if two and model.task == "classification" else None
    return cost_png(run.loss or [np.nan], title, validation, boundary, "epoch")


@np.errstate(all="ignore")
def boundary_of(model: Pipeline, data: Prepared) -> Boundary:
    """Return what the model answers over the rectangle of the examples, and some of them."""
    mean = np.array([column.mean for column in model.columns])
    scale = np.array([column.scale for column in model.columns])
    points = data.X.astype(np.float64) * scale + mean
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, 0.05 * (high - low), 1.0)
    x, y = np.linspace(low - margin, high + margin, GRID).T
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    X = ((grid - mean) / scale).astype(model.net.dtype)
    numbers = model.probabilities(X).argmax(axis=1).reshape(GRID, GRID)
    few = np.random.default_rng(0).permutation(len(points))[:POINTS_MOST]
    return Boundary(
        *(model.names, x, y, numbers, points[few], data.y[few]),
        [str(label) for label in model.target.classes],
    )
