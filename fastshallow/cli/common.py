"""What the commands share: looking at files before any work, models, notes on stderr."""

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

from ..files.models import check_replaceable, load
from ..tables.mistakes import Mistake, TableWarning, plain
from ..tables.pipeline import Pipeline, UnseenCategories
from .options import TrainOptions

__all__ = [
    "check_outputs",
    "check_plot",
    "is_stdout",
    "load_model",
    "load_pipeline",
    "note",
    "print_json",
    "say",
    "warnings_noted",
]

# Names of open files. To replace what they lead to would replace a file that a shell appends to.
STREAMS = re.compile(r"-|/dev/(stdin|stdout|stderr|fd/\d+)|/proc/[\w-]+(/task/\d+)?/fd/\d+")
STDOUT = re.compile(r"-|/dev/(stdout|fd/1)|/proc/(self|thread-self)/fd/1")
PNG = b"\x89PNG"


def is_stdout(path: str | None) -> bool:
    """Return whether a path means standard output."""
    return path is None or STDOUT.fullmatch(_normal(path)) is not None


def _normal(path: str) -> str:
    return os.path.normpath(re.sub("^/+", "/", path))


def _is_open(path: str) -> bool:
    """Return whether a path leads to what standard input, output or errors are open on."""
    if STREAMS.fullmatch(_normal(path)):
        return True
    for number in (0, 1, 2):
        try:
            if os.path.samestat(os.stat(path), os.fstat(number)) and os.path.isfile(path):
                return True
        except OSError:
            continue
    return False


def check_plot(path: str, force: bool) -> None:
    """Raise where a file that is no image would be replaced."""
    if force or not os.path.isfile(path):
        return
    with open(path, "rb") as file:
        if file.read(len(PNG)) != PNG:
            raise Mistake(f"--plot {path}: expected a new file, or a PNG; --force replaces it")


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
        if _is_open(path):
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
