"""``fastshallow train``: from a table to a model file."""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from typing import Any

import numpy as np

import fastshallow as fs

from ..estimators.base import HIDDEN_ACTIVATIONS
from ..files.models import ModelFileError, check_savable, load, replace_file
from ..tables.mistakes import DONE, INTERRUPTED, Mistake, did_you_mean, listed, plain
from ..tables.pipeline import Pipeline
from ..tables.reading import AS_FOUND, parted
from ..tables.scores import across_folds, totals
from ..tables.scores_text import scores_line
from .common import check_outputs, check_plot, note, print_json, say
from .fit import Run, class_counts, fit
from .model_input import read_answers, read_input
from .options import DIGITS, TrainOptions
from .prepare import Prepared, Raw, folds, prepare, raw
from .report import data_text, figures, model_text, plot_png, report_text, train_scores_text
from .scoring import answers_of, importance_of, scores_from, scores_of

__all__ = ["train"]


def train(options: TrainOptions) -> int:
    """Train on a table, report, write the model and the plot; return the exit code."""
    check(options)
    data, table = read(options)
    if not options.quiet:
        say(options, data_text(data, options))
        say(options, f"\nModel              {model_text(data, options)}")
    cross_validation = None if table is None else cross_validate(table, options)
    run = fit(data, options)
    run.cross_validation = cross_validation
    scores = score(run, data, options)
    fs.save(run.model, options.out)
    if options.plot:
        replace_file(options.plot, plot_png(run, data))
    text = train_scores_text if options.quiet else report_text
    if said := text(run, data, scores, options):
        say(options, said)
    if options.json:
        print_json(figures(run, data, scores, options))
    if run.stopped != "interrupted":
        return DONE
    note(f"interrupted: {options.out} holds the last whole state")
    return INTERRUPTED


# Before training ---------------------------------------------------------------------------------


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
    check_scoring(options)
    check_outputs({"--out": options.out, "--plot": options.plot}, options.data, options.test)
    if options.plot:
        check_plot(options.plot, options.force)
        try:
            importlib.import_module("matplotlib.figure")
        except ImportError as error:
            how = 'python -m pip install "fastshallow[plot]"'
            raise Mistake(f"--plot needs matplotlib ({error}): {how}") from error


def check_scoring(options: TrainOptions) -> None:
    """Raise where the options of scores do not fit each other."""
    test, cv = options.test, options.cv
    for name, given in (("--test", test), ("--cv", cv)):
        if given is not None and options.test_size != TrainOptions.test_size:
            raise Mistake(f"--test-size: expected none beside {name}, which trains on all of DATA")
    if options.importance and test is None and (cv is not None or options.test_size == 0):
        why = "--cv, which holds none out" if cv is not None else "--test-size 0"
        raise Mistake(
            f"--importance: expected rows held out, not {why}; --test names a table of them"
        )
    if test is None or options.data is None:
        return
    there = os.path.exists(test) and os.path.exists(options.data)
    if test == options.data or (there and os.path.samefile(test, options.data)):
        raise Mistake(f"--test {test}: expected another file than the one to train on")


def read(options: TrainOptions) -> tuple[Prepared, Raw | None]:
    """Return the table in two parts, and the table to cross-validate on, if there is one.

    All that can be known to fail after training is checked.
    """
    whole = options.test is not None or options.cv is not None
    table = raw(options)
    data = prepare(replace(options, test_size=0.0) if whole else options, table)
    model = check_room(data, options)
    check_replaced(data, options)
    if options.test is not None:
        target = data.target.name
        # the model knows which columns are text and numbers
        reading = replace(options.reading, text=(), number=())
        rows, X = read_input(model, options.test, reading, target)
        y = read_answers(model, rows, target, options.test)
        data = replace(data, X_held_out=X, y_held_out=y, test=options.test)
    return data, table if options.cv else None


def check_room(data: Prepared, options: TrainOptions) -> Pipeline:
    """Return an untrained model; raise where its columns would not go into a model file."""
    sizes, classes = data.sizes(options.hidden), data.target.classes
    output = "linear" if not classes else "sigmoid" if len(classes) == 2 else "softmax"
    net = fs.Network(sizes, HIDDEN_ACTIVATIONS[options.activation], output, data.X.dtype)
    model = data.model(net, class_counts(data))  # which stay if there is no room for scores
    try:
        check_savable(model)
    except ValueError as error:
        raise Mistake(f"{options.source}: {error}; --drop leaves a column out") from error
    return model


def check_replaced(data: Prepared, options: TrainOptions) -> None:
    """Raise where another file would be replaced than an earlier model of the same table.

    That is a model with the same target, whose columns are all in the table. So a training may be
    repeated with other options, --drop too.
    """
    if options.force or not os.path.exists(options.out):
        return
    try:
        old = load(options.out)
    except (OSError, ModelFileError):
        old = None
    target, held = data.target.name, "no model of fastshallow train"
    if isinstance(old, Pipeline):
        dropped = parted(options.drop, old.names)
        names = {column.name for column in data.columns}.union(data.left_out, dropped)
        if old.target.name == target and names.issuperset(old.names):
            return
        held = f"a model of {listed([old.target.name])} by {listed(old.names, 5)}"
    raise Mistake(
        f"--out {options.out}: this file exists and is {held}; expected a new file, or a model of "
        f"{listed([target])} by columns of {options.source}; --force replaces it"
    )


# Scores ------------------------------------------------------------------------------------------


def cross_validate(table: Raw, options: TrainOptions) -> dict[str, Any]:
    """Return the scores of ``options.cv`` trainings, each of which holds out one fold."""
    silent = replace(options, quiet=True, plot=None)
    found, right, answers = [], [], []
    for number, part in enumerate(folds(options, table), 1):
        run = fit(part, silent)
        if run.stopped == "interrupted":
            raise KeyboardInterrupt
        one = answers_of(run.model, part.X_held_out, part.y_held_out, options.threads)
        found.append(scores_from(run.model, *one))
        right.append(one[0])
        answers.append(one[1])
        if not options.quiet:
            say(options, f"Fold {number} of {options.cv}        {scores_line(found[-1])}")
    pooled = scores_from(run.model, np.concatenate(right), np.concatenate(answers))
    return across_folds(found, pooled)


def score(run: Run, data: Prepared, options: TrainOptions) -> dict[str, Any] | None:
    """Return the scores of the rows held out; keep all scores in the model."""
    model, X, y = run.model, data.X_held_out, data.y_held_out
    scores = scores_of(model, X, y, options.threads)
    if options.importance:
        run.importance = importance_of(model, X, y, options.threads, options.seed)
    kept = dict(model.scores or {})
    if scores is not None:
        where = "held_out" if options.test is None else "test"
        kept[where] = {"rows": len(y), **totals(scores)}
    if run.cross_validation is not None:
        figures = {"folds": options.cv, "rows": len(data.y), **totals(run.cross_validation)}
        kept["cross_validation"] = figures
    model.scores = kept or None
    try:
        check_savable(model)
    except ValueError as error:  # the columns leave no room
        model.scores = class_counts(data)
        note(f"warning: the model file is without its scores: {error}")
    return scores
