"""What the commands share: looking at files before any work, scores, notes on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..files.models import check_replaceable, load
from ..tables.importance import permutation_importance
from ..tables.mistakes import Mistake, TableWarning, plain
from ..tables.pipeline import Pipeline, UnseenCategories
from ..tables.scores import classification_scores, regression_scores
from .options import TrainOptions

__all__ = [
    "answers_of",
    "check_outputs",
    "importance_of",
    "is_stdout",
    "load_model",
    "load_pipeline",
    "note",
    "print_json",
    "say",
    "scores_from",
    "scores_of",
    "warnings_noted",
]

# Names of open files. To replace what they lead to would replace a file that a shell appends to.
STREAMS = re.compile(r"-|/dev/(stdin|stdout|stderr|fd/\d+)|/proc/(self|\d+)/fd/\d+")
STDOUT = re.compile(r"-|/dev/(stdout|fd/1)|/proc/self/fd/1")


def is_stdout(path: str | None) -> bool:
    """Return whether a path means standard output."""
    return path is None or STDOUT.fullmatch(path) is not None


def check_outputs(outputs: dict[str, str | None], *inputs: str | None) -> None:
    """Raise before any work where a file could not be written after it, or is one to read.

    Parameters
    ----------
    outputs : dict of str to str or None
        Paths by option.
    *inputs : str or None
        Paths.
    """
    seen: dict[str, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        if STREAMS.fullmatch(path):
            raise Mistake(f"{option} {path}: expected a file of its own, not an open one")
        target = Path(os.path.realpath(path))
        other = seen.setdefault(str(target), option)
        if other != option:
            raise Mistake(f"{other} and {option} name the same file: {path}")
        try:
            check_replaceable(target)
            # the surest way to know: permissions do not tell of a read-only disk
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise Mistake(
                f"{option} {path}: cannot be written ({error.strerror or error})"
            ) from error
    for option, path in outputs.items():
        for name in inputs:
            there = path and name and os.path.exists(path) and os.path.exists(name)
            if path and name and there and os.path.samefile(path, name):
                raise Mistake(f"{option} {path}: expected another file than the one to read")


def load_model(path: str) -> Any:
    """Return the network or the pipeline in a file."""
    try:
        return load(path)
    except OSError as error:
        raise Mistake(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:  # ModelFileError, which names the file
        raise Mistake(str(error)) from error


def load_pipeline(path: str) -> Pipeline:
    """Return the pipeline in a file."""
    model = load_model(path)
    if not isinstance(model, Pipeline):
        raise Mistake(
            f"{path}: holds a network alone, which knows no columns of a table; expected a model "
            "of fastshallow train DATA"
        )
    return model


def answers_of(
    model: Pipeline, X: np.ndarray, y: np.ndarray, n_threads: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return class numbers and probabilities, or right and predicted numbers, of encoded rows."""
    if model.task == "classification":
        return y, model.probabilities(X, n_threads)
    return y * model.target.scale + model.target.mean, model.answers(X, n_threads)


def scores_from(
    model: Pipeline, right: np.ndarray, answers: np.ndarray, threshold: float = 0.5
) -> dict[str, Any]:
    """Return the scores of the result of `answers_of`."""
    if model.task == "regression":
        return regression_scores(right, answers, model.target.mean)
    counts = (model.scores or {}).get("class_counts")
    return classification_scores(right, answers, model.target.classes, counts, threshold)


def scores_of(
    model: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    n_threads: int | None,
    threshold: float = 0.5,
) -> dict[str, Any] | None:
    """Return the scores of encoded rows, None where there are none."""
    if not len(X):
        return None
    return scores_from(model, *answers_of(model, X, y, n_threads), threshold)


def importance_of(
    model: Pipeline, X: np.ndarray, y: np.ndarray, n_threads: int | None, seed: int = 0
) -> list[dict[str, Any]]:
    """Return by column how much log loss or RMSE grow when its values are shuffled."""
    from sklearn import metrics

    labels = y.astype(X.dtype)
    right = y * model.target.scale + model.target.mean

    def loss(X: np.ndarray) -> float:
        if model.task == "classification":
            return float(model.net.cost(X.T, labels, n_threads=n_threads))
        return float(metrics.root_mean_squared_error(right, model.answers(X, n_threads)))

    return permutation_importance(model.columns, X, loss, seed)


def note(text: str) -> None:
    """Print a line on stderr."""
    print(f"fastshallow: {plain(text, 2000)}", file=sys.stderr, flush=True)


def say(options: TrainOptions, text: str) -> None:
    """Print for people, unless JSON is wanted."""
    if not options.json:
        print(text, flush=True)


def print_json(value: dict[str, Any]) -> None:
    """Print an object of JSON."""
    print(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def warnings_noted() -> Iterator[None]:
    """Turn the warnings of tables into lines on stderr, or into the end of an error."""
    with warnings.catch_warnings(record=True) as caught:
        for category in (UnseenCategories, TableWarning):
            warnings.simplefilter("always", category)
        try:
            yield
        except Mistake as error:
            said = [str(w.message) for w in caught if issubclass(w.category, TableWarning)]
            raise Mistake("; ".join([str(error), *said[:5]])) from error
    for warning in caught:
        if issubclass(warning.category, (UnseenCategories, TableWarning)):
            note(f"warning: {warning.message}")
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
