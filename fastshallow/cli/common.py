"""What the commands share: exit codes, looking at files before any work, notes on stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..estimators.base import ACTIVATIONS
from ..files.models import check_replaceable, load
from ..tables.mistakes import Mistake, listed, plain
from ..tables.pipeline import Pipeline, UnseenCategories

__all__ = [
    "check_activation",
    "check_not_input",
    "check_outputs",
    "load_model",
    "load_pipeline",
    "note",
    "print_json",
    "say",
    "unseen_noted",
]


def check_outputs(outputs: dict[str, str | None]) -> None:
    """Raise before any work where a file could not be written after it.

    Parameters
    ----------
    outputs : dict of str to str or None
        Paths by option.
    """
    seen: dict[str, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
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


def check_activation(options: argparse.Namespace) -> None:
    """Raise unless hidden layers can have the activation that was asked for, if any was."""
    if options.activation not in (None, *ACTIVATIONS):
        names = listed(sorted(ACTIVATIONS))
        raise Mistake(f"--activation: expected one of {names}; got {plain(options.activation)}")


def check_not_input(option: str, path: str | None, *inputs: str | None) -> None:
    """Raise where an output would take the place of an input."""
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


def note(text: str) -> None:
    """Print a line on stderr."""
    print(f"fastshallow: {text}", file=sys.stderr, flush=True)


def say(options: argparse.Namespace, text: str = "") -> None:
    """Print for people, unless JSON is wanted."""
    if not options.json:
        print(text, flush=True)


def print_json(value: dict[str, Any]) -> None:
    """Print an object of JSON."""
    print(json.dumps(value, indent=2, allow_nan=False))


@contextmanager
def unseen_noted() -> Iterator[None]:
    """Turn the warning of unseen categories into one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnseenCategories)
        yield
    for warning in caught:
        if issubclass(warning.category, UnseenCategories):
            note(f"warning: {warning.message}")
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
