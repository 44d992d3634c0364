"""Training: from a network and data to a trained network."""

from __future__ import annotations

import importlib
import math
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files.models import check_replaceable
from ..jit.interrupts import ctrl_c_noted
from ..network import checks
from ..network.network import Network
from ..network.problem import Problem
from .callbacks import checked, reserved
from .checkpoints import Checkpoint
from .history import History
from .loop import Score, Training
from .optimizers import LBFGS, Adam, GradientDescent, Optimizer
from .orders import Given, InOrder, Shuffled, ShuffledWindows
from .schedules import Schedule, schedule_of
from .trainer import DivergenceError, Trainer

__all__ = ["GradientDescentResult", "gradient_descent", "train"]

# Examples of a batch where the caller does not say.
BATCH_SIZE = 200


# Gradient descent over all examples ----------------------------------------------------------


@dataclass(frozen=True)
class GradientDescentResult:
    """What `gradient_descent` did.

    Attributes
    ----------
    cost : ndarray, (n_iter,), float64
        ``cost[i]`` is J before step i.
    """

    cost: np.ndarray

    def __repr__(self) -> str:
        return f"GradientDescentResult({self.cost.size} steps, last cost {self.cost[-1]:.6g})"


def gradient_descent(
    net: Network,
    X: Any,
    Y: Any,
    learning_rate: float,
    n_iter: int,
    sample_weight: Any = None,
    alpha: float = 0.0,
    n_threads: int | None = None,
) -> GradientDescentResult:
    """Take steps W = W - learning_rate * dW, b = b - learning_rate * db over all examples.

    `train` does the same with other optimisers, batches, validation and more.

    Parameters
    ----------
    net : Network
        Its parameters are modified in place; they stay as they were if an argument is wrong.
    X, Y, sample_weight, alpha, n_threads
        As for `Network.cost_and_grad`. ``alpha`` is the L2 penalty; the notes' alpha is
        ``learning_rate``.
    learning_rate : float
        Size of a step, not negative.
    n_iter : int
        Steps, at least 1.

    Returns
    -------
    GradientDescentResult
        Its ``cost[i]`` is J before step i.

    Warns
    -----
    RuntimeWarning
        Where the cost ceases to be finite: a smaller learning rate may help.

    Examples
    --------
    >>> import fastshallow as fs
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> result = fs.gradient_descent(net, [[1.0, 2.0]], [[2.0, 4.0]], 0.1, 1000)
    >>> round(float(result.cost[0]), 6), bool(result.cost[-1] < 1e-4)
    (5.0, True)
    """
    optimizer = GradientDescent(learning_rate)
    n_iter = checks.whole("n_iter", n_iter, 1)
    trainer = Trainer(net, X, Y, optimizer, None, sample_weight, alpha, n_threads, guard=False)
    parts = []
    with ctrl_c_noted() as ctrl_c:
        for part in trainer.epochs(n_iter):
            parts.append(part)
            if ctrl_c:
                break
    if ctrl_c:
        raise KeyboardInterrupt
    cost = np.concatenate(parts)
    if not np.isfinite(cost).all():
        step = int(np.argmin(np.isfinite(cost)))
        checks.warn(
            f"the cost is not finite from step {step} on (learning_rate {learning_rate:g}): "
            "a smaller learning_rate, or X and Y of a smaller range, may help",
            RuntimeWarning,
        )
    return GradientDescentResult(cost)


# Training of every kind ----------------------------------------------------------------------


def train(
    net: Network,
    X: Any,
    Y: Any,
    optimizer: Optimizer | LBFGS | None = None,
    epochs: int = 100,
    batch_size: int | str | None = "auto",
    shuffle: bool | str | Callable[[int], Any] = True,
    seed: int | np.random.Generator | None = 0,
    alpha: float = 0.0,
    sample_weight: Any = None,
    validation: Any = None,
    callbacks: Sequence[Any] = (),
    schedule: Schedule | Callable[[int], float] | str | None = None,
    progress: bool = False,
    n_threads: int | None = None,
    checkpoint: Any = None,
    resume: bool = False,
    on_interrupt: str = "return",
    on_divergence: str = "raise",
) -> History:
    """Train a network.

    Parameters
    ----------
    net : Network
        Its parameters are modified in place, by whole steps; they stay as they were if an argument
        is wrong.
    X, Y, sample_weight, alpha, n_threads
        As for `Network.cost_and_grad`; ``alpha`` is the L2 penalty. The examples of a batch are
        gathered from X as it lies. A batch whose weights are all 0 changes nothing.
    optimizer : Optimizer or LBFGS or None
        `GradientDescent`, `SGD`, `Adam`, `AdamW` or `LBFGS`; None is ``Adam()``.
    epochs : int
        How often to go through the examples; at most so many iterations of L-BFGS.
    batch_size : int, None or "auto"
        Examples of a step; the last step of an epoch takes what is left. None is all. "auto" is
        200, and all for GradientDescent and LBFGS, which take no other.
    shuffle : bool, "windows" or callable
        Whether each epoch takes the examples in a new order. "windows" is for an X on disk
        (`numpy.memmap`) that does not fit into memory: windows of 64 MB in a new order, and
        the examples of a window in a new order. A callable is given the number of examples before
        each epoch, and returns the order, a permutation.
    seed : int, numpy.random.Generator or None
        For shuffling, and for choosing the examples of a validation fraction. The same seed gives
        the same bits with any number of threads. None is another one in every call.
    validation : (Xv, Yv), (Xv, Yv, weights), float or None
        Examples to compute cost and score of after every epoch, or the fraction of the examples to
        hold out for it (with all examples in a step, the others are then copied).
    callbacks : sequence
        Anything with a method ``on_epoch_end(state)``; where it returns True, training stops. See
        `EarlyStopping`, `ModelCheckpoint`, `JSONLinesLogger`. The objects themselves are called,
        each in one training at a time; so is a schedule.
    schedule : Schedule, callable, str or None
        The learning rate: `Constant`, `InverseScaling`, `Adaptive`, `Cosine`, `StepDecay`, or a
        function of the number of the step, from 0. "constant", "inverse_scaling", "adaptive",
        "cosine" and "step" are these with their defaults. None is the optimiser's own.
    progress : bool
        Whether to show a progress bar: cost, rate, time left.
    checkpoint : str, path-like or None
        A file to keep the whole state of the training in: after epochs, but for at most a
        twentieth of the time, at the end, and after Ctrl-C, where it is that of the last whole
        step. With LBFGS it grows, and so does memory, by a gradient for every evaluation.
    resume : bool
        Whether to go on from the checkpoint, if there is one: ``epochs`` counts those in it. It
        ends with the bits of a training that was never interrupted. X, Y and all other arguments
        are to be the same.
    on_interrupt : {"return", "raise"}
        What Ctrl-C does, when the network has the parameters of the last whole step.
    on_divergence : {"raise", "warn", "continue"}
        What to do where a cost or a parameter is not finite. But for "continue", training
        stops at this step, with the last finite parameters.

    Returns
    -------
    History
        Cost, validation, learning rate and time by epoch, and why training ended.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what was expected and what came.
    ModelFileError
        Where the checkpoint is not one, or not of this training.
    DivergenceError
        Naming epoch, step, learning rate and what to try.
    KeyboardInterrupt
        With on_interrupt="raise".

    Examples
    --------
    >>> import numpy as np, fastshallow as fs
    >>> X = np.random.default_rng(0).standard_normal((2, 400))
    >>> Y = (X[0] * X[1] > 0).astype(int)
    >>> net = fs.Network((2, 16, 1), "tanh").init(seed=0)
    >>> history = fs.train(net, X, Y, fs.Adam(1e-2), epochs=50, batch_size=32, validation=0.2)
    >>> history.cost.shape, history.stopped, net.score(X, Y) > 0.9
    ((50,), 'epochs', True)
    """
    epochs = checks.whole("epochs", epochs, 1)
    checks.one_of("on_interrupt", on_interrupt, ("return", "raise"))
    checks.one_of("on_divergence", on_divergence, ("raise", "warn", "continue"))
    progress, resume = checks.flag("progress", progress), checks.flag("resume", resume)
    optimizer = _optimizer(optimizer)
    rates = _schedule(schedule, optimizer)
    callbacks = checked(callbacks)
    rng = _generator(seed)
    path = _checkpoint_path(checkpoint, resume, validation, seed)
    size = _batch_size(batch_size, optimizer)
    data = Data(X, Y, sample_weight)
    data, chosen, held_out = _split(net, data, validation, size is None, rng)
    guard = on_divergence != "continue" and not isinstance(optimizer, LBFGS)
    trainer = Trainer(
        *(net, data.X, data.Y, optimizer, size, data.weight, alpha, n_threads), guard=guard
    )
    order = _order(shuffle, trainer, chosen, rng)
    score = None if held_out is None else _scorer(net, held_out, n_threads)
    kept = None
    if path is not None:
        settings = {
            "optimizer": repr(optimizer),
            "schedule": repr(rates),
            "validation": _described(validation, seed),
            "batch_size": trainer.batch_size(order.m),
            "examples": order.m,
            "alpha": trainer.alpha,
            "shuffle": shuffle if isinstance(shuffle, (bool, str)) else "callable",
            "callbacks": [type(callback).__name__ for callback in callbacks],
        }
        if isinstance(optimizer, LBFGS):
            settings["scipy"] = version("scipy")
        kept = Checkpoint(path, settings)
    with reserved(callbacks, rates):
        training = Training(trainer, epochs, order, rates, callbacks, score, None, kept, resume)
        with progress_bar(training, epochs, progress):
            try:
                return training.run()
            except KeyboardInterrupt:
                if on_interrupt == "raise":
                    raise
            except DivergenceError as error:
                if on_divergence == "raise":
                    raise
                checks.warn(str(error), RuntimeWarning)
    return training.state.history


# Its arguments -------------------------------------------------------------------------------


def _optimizer(optimizer: Any) -> Optimizer | LBFGS:
    if optimizer is None:
        return Adam()
    if not isinstance(optimizer, (Optimizer, LBFGS)):
        raise TypeError(
            "optimizer: expected GradientDescent, SGD, Adam, AdamW or LBFGS, with its "
            f"arguments, such as fs.Adam(1e-3); got {optimizer!r}"
        )
    return optimizer


def _schedule(schedule: Any, optimizer: Any) -> Schedule:
    if schedule is not None and isinstance(optimizer, LBFGS):
        raise ValueError(
            f"schedule: expected None, as LBFGS has no learning rate; got {schedule!r}"
        )
    return schedule_of(schedule)


def _generator(seed: Any) -> np.random.Generator:
    if seed is None or isinstance(seed, np.random.Generator):
        return np.random.default_rng(seed)
    if not isinstance(seed, numbers.Integral):
        raise TypeError(
            f"seed: expected an integer >= 0, a numpy.random.Generator or None; got {seed!r}"
        )
    return np.random.default_rng(checks.whole("seed", seed, 0))


def _checkpoint_path(checkpoint: Any, resume: bool, validation: Any, seed: Any) -> str | None:
    if checkpoint is None:
        if resume:
            raise ValueError("resume: expected a checkpoint to resume from; got checkpoint=None")
        return None
    if isinstance(validation, numbers.Real) and not isinstance(seed, numbers.Integral):
        raise ValueError(
            "seed: expected a whole number, as a checkpoint with a validation fraction "
            f"needs it to hold out the same examples again; got {seed!r}"
        )
    path = checks.path("checkpoint", checkpoint)
    check_replaceable(Path(os.path.realpath(path)))
    return path


def _described(validation: Any, seed: Any) -> str:
    """Return what a training that goes on from a checkpoint must validate with."""
    if validation is None:
        return "none"
    if isinstance(validation, numbers.Real):
        return f"{float(validation)} of the examples, by seed {seed}"
    return "examples"


def _batch_size(batch_size: Any, optimizer: Any) -> int | None:
    if isinstance(batch_size, str):
        checks.one_of("batch_size", batch_size, ("auto",))
        return None if optimizer.whole else BATCH_SIZE
    if batch_size is None:
        return None
    size = checks.whole("batch_size", batch_size, 1)
    if optimizer.whole:
        raise ValueError(
            f"batch_size: expected None or 'auto', as {type(optimizer).__name__} takes all "
            f"examples in every step; got {batch_size!r}"
        )
    return size


def _order(
    shuffle: Any, trainer: Trainer, chosen: np.ndarray | None, rng: np.random.Generator
) -> InOrder:
    wanted = 'True, False, "windows", or a function from m to a permutation of 0 ... m - 1'
    if isinstance(shuffle, str):
        if shuffle != "windows":
            raise ValueError(f"shuffle: expected {wanted}; got {shuffle!r}")
    elif not isinstance(shuffle, (bool, np.bool_)) and not callable(shuffle):
        raise TypeError(f"shuffle: expected {wanted}; got {shuffle!r}")
    m = trainer.m
    alone = trainer.steps_per_epoch(m if chosen is None else chosen.size) == 1
    if not isinstance(shuffle, str) and callable(shuffle):
        return Given(m, chosen, shuffle)
    if not shuffle or alone:  # with one step an epoch, any order gives the same sum
        return InOrder(m, chosen)
    if shuffle is True or isinstance(shuffle, np.bool_):
        return Shuffled(m, chosen, rng)
    return ShuffledWindows(m, chosen, rng, trainer.window())


class Data(NamedTuple):
    """Examples as columns, targets, and weights or None."""

    X: Any
    Y: Any
    weight: Any = None

    def taken(self, chosen: np.ndarray) -> Data:
        """Return a copy of some examples."""
        weight = None if self.weight is None else self.weight[chosen]
        return Data(self.X[:, chosen], self.Y[..., chosen], weight)


def _split(
    net: Network, data: Data, validation: Any, whole: bool, rng: np.random.Generator
) -> tuple[Data, np.ndarray | None, Data | None]:
    """Return the examples to train on, which of them to take (None: all), and those held out."""
    if validation is None:
        return data, None, None
    if not isinstance(validation, numbers.Real) or isinstance(validation, bool):
        parts = validation if isinstance(validation, (tuple, list)) else ()
        if len(parts) not in (2, 3):
            raise TypeError(
                "validation: expected (Xv, Yv), (Xv, Yv, weights), or a fraction of the "
                f"examples; got {type(validation).__name__}"
            )
        return data, None, Data(*parts)
    fraction = checks.number("validation", validation, above=0, below=1)
    X = checks.inputs(data.X, net.sizes[0], net.dtype)
    m = X.shape[1]
    Y, labels = checks.targets(data.Y, net.sizes[-1], m, net.output == "softmax", net.dtype)
    weight = None
    if data.weight is not None:
        weight, _ = checks.weights(data.weight, m, net.dtype)
    n = math.ceil(fraction * m)
    if n >= m:
        raise ValueError(f"validation: expected to hold out fewer than all {m} examples; got {n}")
    data = Data(X, Y[0] if labels else Y, weight)
    order = rng.permutation(m)
    rest, chosen = np.sort(order[:n]), np.sort(order[n:])
    if whole:
        return data.taken(chosen), None, data.taken(rest)
    return data, chosen, data.taken(rest)


def _scorer(net: Network, held_out: Data, n_threads: int | None) -> Score:
    """Return what computes cost and score of the validation examples, which are checked."""
    X, Y, weight = held_out
    none = np.empty(0, net.dtype)
    try:
        problem = Problem(net, X, Y, weight, 0.0, n_threads)
        problem.cost(none)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation: {error}") from error
    with ctrl_c_noted() as ctrl_c:  # an import that is cut in two leaves modules broken
        importlib.import_module("sklearn.metrics")
    if ctrl_c:
        raise KeyboardInterrupt

    def score() -> tuple[float, float]:
        J = problem.cost(none) if np.isfinite(net.params).all() else math.nan
        # a cost that is not finite comes of predictions that R^2 is not made for
        return J, net.score(X, Y, weight) if math.isfinite(J) else math.nan

    return score


@contextmanager
def progress_bar(training: Training, epochs: int, progress: bool) -> Iterator[None]:
    """Show a progress bar, if it is wanted, while training goes on."""
    if not progress:
        yield
        return
    from tqdm import tqdm

    with tqdm(total=epochs, unit="epoch", desc="training") as bar:

        def show(done: float, cost: float) -> None:
            bar.set_postfix_str(f"cost {cost:.4g}", refresh=False)
            # parts of epochs only where an epoch takes several calls
            bar.n = round(done, 2) if done - bar.n < 1 and done != int(done) else int(done)
            bar.update(0)

        bar.n = training.state.epoch + 1
        training.progress = show
        yield
