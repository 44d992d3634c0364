"""``fastshallow train``: from a table to a model file."""

from __future__ import annotations

import importlib

import fastshallow as fs

from ..estimators.base import HIDDEN_ACTIVATIONS
from ..files.models import check_savable, replace_file
from ..tables.mistakes import DONE, INTERRUPTED, Mistake, did_you_mean, listed, plain
from ..tables.pipeline import Pipeline
from ..tables.reading import AS_FOUND
from .common import check_outputs, note, print_json, say, scores_of
from .fit import fit
from .options import DIGITS, TrainOptions
from .prepare import Prepared, prepare
from .report import data_text, figures, model_text, plot_png, report_text

__all__ = ["train"]


def train(options: TrainOptions) -> int:
    """Train on a table, report, write the model and the plot; return the exit code."""
    check(options)
    data = prepare(options)
    say(options, data_text(data, options))
    say(options, f"\nModel              {model_text(data, options)}")
    check_room(data, options)
    run = fit(data, options)
    scores = scores_of(run.model, data.X_held_out, data.y_held_out, options.threads)
    fs.save(run.model, options.out)
    if options.plot:
        replace_file(options.plot, plot_png(run, data))
    say(options, report_text(run, data, scores, options))
    if options.json:
        print_json(figures(run, data, scores, options))
    if run.stopped != "interrupted":
        return DONE
    note(f"interrupted: {options.out} holds the last whole state")
    return INTERRUPTED


def check(options: TrainOptions) -> None:
    """Raise where options do not fit each other, or a file could not be written."""
    if options.target is None and options.data is not None:
        raise Mistake(f"--target: expected the column of {options.data} to predict")
    for name in ("early_stopping", "batch_size", "learning_rate"):
        if options.solver == "lbfgs" and getattr(options, name):
            raise Mistake(f"--{name.replace('_', '-')}: expected --solver adam or sgd; got lbfgs")
    if options.class_weight and options.task == "regression":
        raise Mistake("--class-weight: expected a classification; got --task regression")
    if options.activation not in HIDDEN_ACTIVATIONS:
        names = sorted(HIDDEN_ACTIVATIONS)
        got = f"{plain(options.activation)}{did_you_mean([options.activation], names)}"
        raise Mistake(f"--activation: expected one of {listed(names)}; got {got}")
    if options.data is None and options.reading != AS_FOUND:
        raise Mistake(f"{DIGITS} are not read from a file: expected DATA beside options of reading")
    check_outputs({"--out": options.out, "--plot": options.plot}, options.data)
    if options.plot:
        try:
            importlib.import_module("matplotlib.figure")
        except ImportError as error:
            how = 'python -m pip install "fastshallow[plot]"'
            raise Mistake(f"--plot needs matplotlib ({error}): {how}") from error


def check_room(data: Prepared, options: TrainOptions) -> None:
    """Raise before training where the columns would not go into a model file."""
    sizes, classes = data.sizes(options.hidden), data.target.classes
    output = "linear" if not classes else "sigmoid" if len(classes) == 2 else "softmax"
    net = fs.Network(sizes, HIDDEN_ACTIVATIONS[options.activation], output, data.X.dtype)
    try:
        check_savable(Pipeline(net, data.columns, data.target))
    except ValueError as error:
        raise Mistake(f"{options.source}: {error}; --drop leaves a column out") from error
