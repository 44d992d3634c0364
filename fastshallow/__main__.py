"""The ``fastshallow`` command: train on a table, predict, evaluate, look into a model file.

Exit codes: 0 done; 2 a mistake of the user's, in one line on stderr; 130 interrupted by Ctrl-C,
the last whole state saved; 1 anything else that went wrong outside (a full disk).
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import fastshallow as fs

from .tables.mistakes import DONE, FAILED, INTERRUPTED, MISTAKE, Mistake

# numpy, numba, scikit-learn and pandas are imported where they are used, so the modules with the
# commands are too: --help should not wait for them.

__all__ = ["main"]

SEED_MOST = 2**32 - 1


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and whose examples keep their lines."""

    def __init__(self, **options: Any):
        super().__init__(
            **options, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {message}; see {self.prog} --help\n")


# Readers of options --------------------------------------------------------------------------


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers within bounds."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(
                f"expected a whole number from {least} to {most}; got {text!r}"
            )
        return value

    return read


def real(what: str, legal: Callable[[float], bool]) -> Callable[[str], float]:
    """Return a reader of finite numbers that are legal."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and legal(value)):
            raise argparse.ArgumentTypeError(f"expected a number {what}; got {text!r}")
        return value

    return read


def layers(text: str) -> tuple[int, ...]:
    """Read the sizes of hidden layers: 64, or 64,32, or none."""
    if text == "none":
        return ()
    try:
        return tuple(whole(1, 10**6)(part) for part in text.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, in such as 64 or 64,32 or none") from error


positive = real("> 0", lambda value: value > 0)
not_negative = real(">= 0", lambda value: value >= 0)
share = real("from 0 to below 1", lambda value: 0 <= value < 1)


# The command line ----------------------------------------------------------------------------


def command(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """Return a command that is imported when it is run."""

    def run(options: argparse.Namespace) -> int:
        code: int = getattr(importlib.import_module(f".{module}", "fastshallow"), name)(options)
        return code

    return run


def train(options: argparse.Namespace) -> int:
    """Train on a table, or on the digits."""
    if options.data is None:
        return command("cli.train_digits", "train_on_digits")(options)
    return command("cli.train_table", "train_on_table")(options)


def versions(options: argparse.Namespace) -> int:
    """Print `fastshallow.show_versions`."""
    fs.show_versions()
    return DONE


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = Parser(
        prog="fastshallow",
        description="Train and use a shallow neural network on CPUs.",
        epilog="example:\n  fastshallow train people.csv --target income\n"
        "  fastshallow predict model.safetensors new.csv --out predictions.csv",
    )
    top.add_argument("--version", action="version", version=f"fastshallow {fs.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def new(name: str, text: str, example: str, run: Callable[[argparse.Namespace], int]) -> Parser:
        made: Parser = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example:\n  {example}",
        )
        made.set_defaults(run=run)
        return made

    add_train(
        new(
            "train",
            "train on a table, or without one on the handwritten digits of scikit-learn",
            "fastshallow train people.csv --target income --hidden 64,32 --early-stopping",
            train,
        )
    )
    made = new(
        "predict",
        "write the predictions for a table's rows as CSV",
        "fastshallow predict model.safetensors new.csv --out predictions.csv --proba",
        command("cli.use_model", "predict"),
    )
    add_model(made, data=True)
    made.add_argument("--out", metavar="FILE", help="CSV to write (standard output)")
    made.add_argument("--proba", action="store_true", help="the probability of each class too")
    add_threads(made)
    made = new(
        "evaluate",
        "score a model on a table with the right answers",
        "fastshallow evaluate model.safetensors test.csv --target income",
        command("cli.use_model", "evaluate"),
    )
    add_model(made, data=True)
    made.add_argument(
        "--target", metavar="COLUMN", help="the right answers (the target of training)"
    )
    add_threads(made)
    add_json(made)
    made = new(
        "info",
        "say what a model file holds",
        "fastshallow info model.safetensors",
        command("cli.use_model", "info"),
    )
    add_model(made, data=False)
    add_json(made)
    made = new(
        "diagnose",
        "look for saturated, dead and twin units and vanishing gradients",
        "fastshallow diagnose model.safetensors people.csv",
        command("cli.use_model", "diagnose"),
    )
    add_model(made, data=True)
    add_json(made)
    new(
        "warmup",
        "compile the kernels ahead of time, in the build of a container for example",
        "fastshallow warmup",
        command("cli.use_model", "warmup"),
    )
    new("versions", "show versions, processor, threads, cache", "fastshallow versions", versions)
    return top


def add_train(made: argparse.ArgumentParser) -> None:
    """Add the options of train; those without a default here have the estimators'."""
    add = made.add_argument
    add("data", nargs="?", metavar="DATA", help="CSV or Parquet; - is standard input")
    add("--target", metavar="COLUMN", help="the column to predict; all others are features")
    add("--drop", action="append", default=[], metavar="COLUMN", help="leave one out; repeatable")
    add(
        "--task",
        choices=("auto", "classification", "regression"),
        help="auto: regression for numbers, unless they are whole and at most 20 different ones",
    )
    add("--hidden", type=layers, metavar="N[,N]", help="hidden units (100; digits 64), or none")
    add("--activation", metavar="NAME", help="of the hidden layers: relu (default), tanh, elu, ...")
    add("--solver", choices=("adam", "sgd", "lbfgs"), help="adam; digits: gradient descent")
    add(
        "--epochs",
        "--iterations",
        type=whole(1, 10**9),
        metavar="N",
        help="times through the rows at most (200; digits 500)",
    )
    add(
        "--batch-size",
        type=whole(1, 10**9),
        metavar="N",
        help="rows of a step (200, or all of fewer)",
    )
    add("--learning-rate", type=positive, metavar="F", help="of a step (0.001; digits 0.3)")
    add("--alpha", type=not_negative, metavar="F", help="L2 penalty (0.0001; digits 0)")
    add("--early-stopping", action="store_true", help="stop by the score on a tenth of the rows")
    add("--class-weight", choices=("balanced",), help="let every class count as much")
    add(
        "--seed",
        type=whole(0, SEED_MOST),
        default=0,
        metavar="N",
        help="of split, weights and order (%(default)s)",
    )
    add("--test-size", type=share, default=0.2, metavar="F", help="share held out (%(default)s)")
    add("--impute", choices=("median",), help="fill missing numbers; text with the commonest")
    add("--out", default="model.safetensors", metavar="FILE", help="the model file (%(default)s)")
    add("--plot", metavar="FILE", help="a PNG: loss, decision boundary (digits: loss.png)")
    add("--quiet", action="store_true", help="no progress bar, no explanations")
    add_threads(made)
    add_json(made)


def add_model(made: argparse.ArgumentParser, data: bool) -> None:
    """Add MODEL, and DATA."""
    made.add_argument("model", metavar="MODEL", help="a file that train or fs.save wrote")
    if data:
        made.add_argument("data", metavar="DATA", help="CSV or Parquet; - is standard input")


def add_threads(made: argparse.ArgumentParser) -> None:
    """Add --threads."""
    made.add_argument("--threads", type=whole(1, 10**6), metavar="N", help="threads (by the work)")


def add_json(made: argparse.ArgumentParser) -> None:
    """Add --json."""
    made.add_argument("--json", action="store_true", help="print JSON, for machines")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    arguments : sequence of str or None
        What stands after ``fastshallow``; None takes it from the command line.

    Examples
    --------
    >>> from fastshallow.__main__ import main
    >>> main(["info", "no-such.safetensors"])
    2
    """
    options = parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()  # a closed pipe shows itself here, not after main
        return code
    except Mistake as error:
        print(f"fastshallow: {error}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("fastshallow: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except MemoryError:
        print("fastshallow: not enough memory; fewer --hidden units need less", file=sys.stderr)
        return MISTAKE
    except OSError as error:
        print(f"fastshallow: {error}", file=sys.stderr)
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
