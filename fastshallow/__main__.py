"""The ``fastshallow`` command: train a network, look into a model file, show versions.

Exit codes: 0 done; 2 a mistake of the user's, in one line on stderr; 130 interrupted by Ctrl-C,
the last whole state saved; 1 anything else that went wrong outside (a full disk).
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import fastshallow as fs

if TYPE_CHECKING:
    import numpy as np

# numpy, numba and scikit-learn are imported where they are used: --help should not wait for them.

__all__ = ["main"]

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130

# Pixels of the digits are 0 ... 16.
SCALE = 16


class Mistake(Exception):
    """Something that the user can put right; the message is one line."""


# Training ------------------------------------------------------------------------------------


@dataclass
class Data:
    """Examples to train on and examples held out; rows, as scikit-learn gives them."""

    X: np.ndarray
    y: np.ndarray
    X_held_out: np.ndarray
    y_held_out: np.ndarray
    n_classes: int


def digits(seed: int) -> Data:
    """Return the handwritten digits that scikit-learn ships, a fifth of every class held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    parts = train_test_split(
        (X / SCALE).astype("float32"), y, test_size=0.2, stratify=y, random_state=seed
    )
    X, X_held_out, y, y_held_out = parts
    return Data(X, y, X_held_out, y_held_out, n_classes=10)


def fit(net: fs.Network, data: Data, options: argparse.Namespace) -> fs.History:
    """Take the steps."""
    optimizer = fs.GradientDescent(options.learning_rate)
    try:
        return fs.train(
            *(net, data.X.T, data.y, optimizer, options.iterations),
            progress=not options.quiet,
            n_threads=options.threads,
        )
    except fs.DivergenceError as error:
        raise Mistake(
            f"the cost is not finite any more after {error.step} steps: try a "
            f"--learning-rate smaller than {options.learning_rate:g}"
        ) from error


def train(options: argparse.Namespace) -> int:
    """Train on the digits, report, write the model and the loss curve."""
    check_outputs(options)
    data = digits(options.seed)
    m, n_x = data.X.shape
    print(
        f"Digits: {m} examples to train on, {len(data.y_held_out)} held out, "
        f"{n_x} features, {data.n_classes} classes"
    )
    if not options.quiet:
        print("Compiling the kernels (many seconds in the first run, then kept) ...", flush=True)
    compile_seconds = fs.warmup("float32")
    net = fs.Network((n_x, options.hidden, data.n_classes), output="softmax")
    history = fit(net.init(seed=options.seed), data, options)
    if not len(history):
        raise KeyboardInterrupt
    report(net, history, data, compile_seconds)
    fs.save(net, options.out)
    print(f"Model              {options.out}")
    drawn = draw(net, history, options.plot)
    if not options.quiet:
        how_to_use(options, drawn)
    if history.stopped != "interrupted":
        return DONE
    print("Interrupted: the files hold the last whole state.", file=sys.stderr)
    return INTERRUPTED


def report(net: fs.Network, history: fs.History, data: Data, compile_seconds: float) -> None:
    """Print accuracy, speed and where the time went."""
    steps, cost, seconds = len(history), history.cost, history.seconds[-1]
    accuracy = net.score(data.X_held_out.T, data.y_held_out)
    per_second = steps * len(data.y) / seconds
    print(f"Held-out accuracy  {accuracy:.4f} ({len(data.y_held_out)} examples)")
    print(f"Cost J             {cost[0]:.4f} -> {cost[-1]:.4f} in {steps} steps")
    print(f"Speed              {per_second:,.0f} examples per second")
    print(f"Time               compile {compile_seconds:.2f} s, train {seconds:.2f} s")


def draw(net: fs.Network, history: fs.History, path: str) -> bool:
    """Write the loss curve, or say in one line why not."""
    from .plotting import cost_png
    from .serialization import replace_file

    try:
        sizes = "-".join(map(str, net.sizes))
        png = cost_png(history.cost, f"digits, {sizes}: the cost before each step")
    except ImportError as error:
        print(f"Loss curve         not drawn: {error}")
        return False
    replace_file(path, png)
    print(f"Loss curve         {path}")
    return True


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
            f"Look at {options.plot}: a curve that still falls at its end wants more --iterations, "
            "one that\njumps up and down a smaller --learning-rate."
        )


def check_outputs(options: argparse.Namespace) -> None:
    """Raise before training where a file could not be written after it."""
    from .serialization import check_replaceable

    if os.path.realpath(options.out) == os.path.realpath(options.plot):
        raise Mistake(f"--out and --plot name the same file: {options.out}")
    for option, path in (("--out", options.out), ("--plot", options.plot)):
        target = Path(os.path.realpath(path))
        try:
            check_replaceable(target)
            # the surest way to know: permissions do not tell of a read-only disk
            with tempfile.TemporaryFile(dir=target.parent):
                pass
        except OSError as error:
            raise Mistake(
                f"{option} {path}: cannot be written ({error.strerror or error})"
            ) from error


# The other commands --------------------------------------------------------------------------


def info(options: argparse.Namespace) -> int:
    """Print what a model file holds."""
    from .losses import LOSSES

    try:
        net = fs.load(options.model)
    except OSError as error:
        raise Mistake(f"{options.model}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:  # ModelFileError, which names the file
        raise Mistake(str(error)) from error
    print(f"{options.model}: {net!r}")
    print(f"loss        {LOSSES[net.output].replace('_', ' ')}")
    print(f"parameters  {net.params.size:,} ({net.params.nbytes:,} bytes)")
    for layer, (W, b) in enumerate(zip(net.W, net.b, strict=True), 1):
        name = [*net.hidden, net.output][layer - 1]
        print(f"layer {layer}     W{layer} {W.shape}, b{layer} {b.shape}, {name}")
    return DONE


def versions(options: argparse.Namespace) -> int:
    """Print `fastshallow.show_versions`."""
    fs.show_versions()
    return DONE


# The command line ----------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {message}; see {self.prog} --help\n")


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


def positive(text: str) -> float:
    """Read a finite number > 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number > 0; got {text!r}")
    return value


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = Parser(prog="fastshallow", description="Train and use a shallow neural network on CPUs.")
    top.add_argument("--version", action="version", version=f"fastshallow {fs.__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    command = commands.add_parser(
        "train",
        help="train on the handwritten digits that come with scikit-learn",
        description="Train a network with one hidden layer on the handwritten digits that come "
        "with scikit-learn: relu, softmax output, gradient descent over all examples, a fifth of "
        "them held out.",
    )
    add = command.add_argument
    add(
        "--hidden", type=whole(1, 10**6), default=64, metavar="N", help="hidden units (%(default)s)"
    )
    add("--iterations", type=whole(1, 10**9), default=500, metavar="N", help="steps (%(default)s)")
    add("--learning-rate", type=positive, default=0.3, help="size of a step (%(default)s)")
    add(
        "--seed",
        type=whole(0, 2**32 - 1),
        default=0,
        metavar="N",
        help="of split and weights (%(default)s)",
    )
    add("--threads", type=whole(1, 10**6), metavar="N", help="threads (by the work)")
    add("--out", default="model.safetensors", metavar="FILE", help="the model file (%(default)s)")
    add("--plot", default="loss.png", metavar="FILE", help="the loss curve, a PNG (%(default)s)")
    add("--quiet", action="store_true", help="no progress bar, no explanations")
    command.set_defaults(run=train)

    command = commands.add_parser("info", help="say what a model file holds")
    command.add_argument("model", metavar="MODEL", help="a file that train or fs.save wrote")
    command.set_defaults(run=info)

    command = commands.add_parser("versions", help="show versions, processor, threads, cache")
    command.set_defaults(run=versions)
    return top


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
