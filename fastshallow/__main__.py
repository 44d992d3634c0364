"""The ``fastshallow`` command: train on a table, predict, evaluate, look into a model file.

Exit codes: 0 done; 2 a mistake of the user's, in one line on stderr; 130 interrupted by Ctrl-C,
the last whole state saved; 1 anything else that went wrong outside (a full disk).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import fastshallow as fs

from .cli.options import TrainOptions
from .tables.mistakes import DONE, FAILED, INTERRUPTED, MISTAKE, Mistake, did_you_mean, plain
from .tables.reading import Reading, split

# numpy, numba, scikit-learn and pandas are imported where they are used, so the modules with the
# commands are too: --help should not wait for them.

__all__ = ["main"]

#: Characters of a message.
MESSAGE_MOST = 4000

TABLE = "CSV or Parquet; - is standard input"


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line, and whose examples keep their lines."""

    def __init__(self, **options: Any):
        super().__init__(
            **options, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )

    def error(self, message: str) -> NoReturn:
        found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if found:
            message += did_you_mean([found[1]], re.findall(r"[\w-]+", found[2]))
        self.exit(MISTAKE, f"{self.prog}: {plain(message, 800)}; see {self.prog} --help\n")

    def _get_values(self, action: Any, arg_strings: list[str]) -> Any:
        # argparse loses --missing=--
        if arg_strings == ["--"] and action.option_strings and action.nargs is None:
            return "--"
        return super()._get_values(action, arg_strings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is not known here: the parser of a command knows what was meant."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            words = [word.partition("=")[0] for word in unknown if word.startswith("-")]
            known = [option.lstrip("-") for option in self._option_string_actions]
            near = did_you_mean([word.lstrip("-") for word in words], known, "--")
            self.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
        return found, unknown


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
count = whole(1, 10**9)
seed = whole(0, 2**32 - 1)
threads = whole(1, 10**6)
folds = whole(2, 10**6)
chance = real("from 0 to 1", lambda value: 0 <= value <= 1)
share = real("from 0 to below 1", lambda value: 0 <= value < 1)


# The command line ----------------------------------------------------------------------------


def command(module: str, name: str) -> Callable[..., int]:
    """Return a command that is imported when it is run."""

    def run(*options: Any, **given: Any) -> int:
        home = importlib.import_module(f".cli.{module}", "fastshallow")
        code: int = getattr(home, name)(*options, **given)
        return code

    return run


def reads(run: Callable[..., int]) -> Callable[..., int]:
    """Return a command that is given the options of reading as one `Reading`."""

    def run_with(**given: Any) -> int:
        names = [field.name for field in dataclasses.fields(Reading)]
        given["reading"] = Reading(**{name: given.pop(name) for name in names})
        return run(**given)

    return run_with


def train(drop: Sequence[str], **given: Any) -> int:
    """Train on a table, or on the digits."""
    return command("train", "train")(TrainOptions(drop=tuple(drop), **given))


def versions() -> int:
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

    def new(run: Callable[..., int], example: str, text: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            example.split(maxsplit=1)[0],
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example:\n  fastshallow {example}",
        )
        made.set_defaults(run=run)
        return made

    trained = new(
        reads(train),
        "train people.csv --target income --hidden 64,32 --plot loss.png",
        "train on a table, or without one on the handwritten digits of scikit-learn",
    )
    predict = new(
        reads(command("use_model", "predict")),
        "predict model.safetensors new.csv --out predictions.csv --keep id --proba",
        "write the predictions for a table's rows as CSV",
    )
    evaluate = new(
        reads(command("use_model", "evaluate")),
        "evaluate model.safetensors test.csv --target income",
        "score a model on a table with the right answers",
    )
    info = new(
        command("use_model", "info"), "info model.safetensors", "say what a model file holds"
    )
    diagnose = new(
        reads(command("use_model", "diagnose")),
        "diagnose model.safetensors people.csv",
        "look for saturated, dead and twin units and vanishing gradients",
    )
    new(
        command("use_model", "warmup"),
        "warmup",
        "compile the kernels ahead of time, in the build of a container for example",
    )
    new(versions, "versions", "show versions, processor, threads, cache")

    add_train(trained)
    for made in (predict, evaluate, info, diagnose):
        made.add_argument("path", metavar="MODEL", help="a file that train or fs.save wrote")
    for made in (predict, evaluate, diagnose):
        made.add_argument("data", metavar="DATA", help=TABLE)
    for made in (trained, predict, evaluate, diagnose):
        add_reading(made)
    add_predict(predict)
    right = "the right answers (the target of training)"
    evaluate.add_argument("--target", metavar="COLUMN", help=right)
    for made in (predict, evaluate):
        text = "of two classes, predict the second where its probability is larger (0.5)"
        made.add_argument("--threshold", type=chance, metavar="F", help=text)
    for made in (trained, evaluate):
        text = "how much worse the model is when a column's values are shuffled"
        made.add_argument("--importance", action="store_true", help=text)
    for made in (trained, predict, evaluate):
        made.add_argument("--threads", type=threads, metavar="N", help="threads (by the work)")
    for made in (trained, evaluate, info, diagnose):
        made.add_argument("--json", action="store_true", help="print JSON, for machines")
    return top


def add_reading(made: argparse.ArgumentParser) -> None:
    """Add the options of reading a table."""
    add = made.add_argument_group("options of reading DATA").add_argument
    some: dict[str, Any] = {"action": "append", "default": [], "metavar": "COLUMN"}
    add(
        "--sep",
        metavar="CHAR",
        help="separator, a character or tab; else it is found",
    )
    add("--decimal", metavar="CHAR", help="decimal sign, . or ,; beside ; it is found")
    word = "a word that is a missing value too, such as ?; repeatable"
    add("--missing", action="append", default=[], metavar="WORD", help=word)
    add("--keep-na", action="store_true", help="None, NA, null, ... are values")
    add("--text", **some, help="a column to read as text: 007, 2.10, TRUE; repeatable, or a,b")
    add("--number", **some, help="a column to read as numbers: $1,234.50, 12%%; repeatable, or a,b")
    add(
        "--encoding",
        default=Reading.encoding,
        metavar="NAME",
        help="of the text: %(default)s, latin-1, ...",
    )
    add("--no-header", action="store_true", help="the first row is data")
    add("--names", type=split, default=[], metavar="A,B", help="columns of a file without a header")


def add_predict(made: argparse.ArgumentParser) -> None:
    """Add the options of predict that no other command has."""
    add = made.add_argument
    add("--out", metavar="FILE", help="CSV to write (standard output, or -)")
    add("--proba", action="store_true", help="the probability of each class too")
    text = "a column of DATA to write too; repeatable, or a,b"
    add("--keep", action="append", default=[], metavar="COLUMN", help=text)
    add("--keep-all", action="store_true", help="write all columns of DATA too")
    text = "put no apostrophe before text like =1+1, which a spreadsheet would run"
    add("--as-is", action="store_true", help=text)


def add_train(made: argparse.ArgumentParser) -> None:
    """Add the options of train that no other command has."""
    made.set_defaults(**vars(TrainOptions()))
    add = made.add_argument
    add("data", nargs="?", metavar="DATA", help=f"{TABLE} (the handwritten digits)")
    add("--target", metavar="COLUMN", help="the column to predict; all others are features")
    add(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column to leave out; repeatable, or a,b",
    )
    add(
        "--task",
        choices=("auto", "classification", "regression"),
        help="auto: regression for numbers, unless they are whole and at most 20 different ones",
    )
    units = ",".join(map(str, TrainOptions.hidden))
    add("--hidden", type=layers, metavar="N[,N]", help=f"hidden units ({units}), or none")
    add("--activation", metavar="NAME", help="of the hidden layers (%(default)s): tanh, elu, ...")
    add("--solver", choices=("adam", "sgd", "lbfgs"), help="what minimises the loss (%(default)s)")
    most = "times through the rows at most (%(default)s)"
    add("--epochs", "--iterations", type=count, metavar="N", help=most)
    add("--batch-size", type=count, metavar="N", help="rows of a step (200, or all of fewer)")
    add("--learning-rate", type=positive, metavar="F", help="of a step (0.001)")
    add("--alpha", type=not_negative, metavar="F", help="L2 penalty (%(default)s)")
    text = "stop by the loss of a tenth of the rows, which are not trained on"
    add("--early-stopping", action="store_true", help=text)
    add("--class-weight", choices=("balanced",), help="let every class count as much")
    add("--seed", type=seed, metavar="N", help="of split, weights and order (%(default)s)")
    add("--test-size", type=share, metavar="F", help="share held out (%(default)s)")
    add("--test", metavar="FILE", help="a table to score on; all of DATA is trained on")
    text = "scores of N folds, which are each held out once; the model is of all rows"
    add("--cv", type=folds, metavar="N", help=text)
    text = "fill missing values: numbers with the median, text with the commonest"
    add("--impute", choices=("median",), help=text)
    add("--out", metavar="FILE", help="the model file (%(default)s)")
    add("--force", action="store_true", help="replace a model file of another table too")
    add("--plot", metavar="FILE", help="a PNG: loss, decision boundary")
    add("--quiet", action="store_true", help="print nothing but scores, warnings and errors")


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
    if not prepare_streams():
        return FAILED
    given = vars(parser().parse_args(arguments))
    run = given.pop("run")
    try:
        code: int = run(**given)
        sys.stdout.flush()  # a closed pipe shows itself here, not after main
        return code
    except Mistake as error:
        print(f"fastshallow: {plain(error, MESSAGE_MOST)}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("fastshallow: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # ... | head
        discard_output()
        return FAILED
    except MemoryError:
        print("fastshallow: not enough memory; fewer --hidden units need less", file=sys.stderr)
        return MISTAKE
    except OSError as error:
        print(f"fastshallow: {error}", file=sys.stderr)
        discard_output()
        return FAILED


def prepare_streams() -> bool:
    """Make output UTF-8 in every locale; return whether there is a standard output.

    A stream that was closed before Python began, as by ``>&-``, is None.
    """
    if sys.stderr is None:
        sys.stderr = io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # backslashes for what no encoding has, lone surrogates in the name of a file
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if sys.stdout is None:
        print("fastshallow: standard output is closed", file=sys.stderr)
    return sys.stdout is not None


def discard_output() -> None:
    """Discard what cannot be written, or Python would complain of it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):  # no file, as in a test
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
