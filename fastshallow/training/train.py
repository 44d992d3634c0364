"""Training: the functions `train` and `gradient_descent`, and the checks of their arguments."""

from __future__ import annotations

import importlib
import math
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files.models import check_replaceable
from ..jit.interrupts import ctrl_c_noted
from ..kernels.calls import gradient_descent_call
from ..kernels.propagation import OK
from ..network import checks
from ..network.network import Network
from ..network.plain import plain_arguments
from ..network.problem import Problem
from .callbacks import checked, reserved
from .checkpoints import Checkpoint
from .divergence import DivergenceError
from .history import History
from .loop import Score, Training
from .optimizers import LBFGS, Adam, GradientDescent, Optimizer
from .orders import Given, InOrder, Shuffled, ShuffledWindows
from .schedules import Schedule, schedule_of
from .trainer import Trainer

__all__ = ["GradientDescentResult", "gradient_descent", "train"]

# Examples per batch for batch_size="auto".
BATCH_SIZE = 200

Generator = Callable[[], np.random.Generator]


# Gradient descent over all examples ----------------------------------------------------------


@dataclass(frozen=True)
class GradientDescentResult:
    """Costs of a run of `gradient_descent`.

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

    `train` offers other optimisers, batches and validation too.

    Parameters
    ----------
    net : Network
        Its parameters are modified in place, but not if an argument is wrong.
    X, Y, sample_weight, alpha, n_threads
        As for `Network.cost_and_grad`. ``alpha`` is the L2 penalty; the notes' alpha is
        ``learning_rate``.
    learning_rate : float
        Step size, not negative.
    n_iter : int
        Number of steps, at least 1.

    Returns
    -------
    GradientDescentResult
        Its ``cost[i]`` is J before step i.

    Warns
    -----
    RuntimeWarning
        If the cost is not finite; a smaller learning rate may help.

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
    cost = None
    if sample_weight is None and n_threads is None:
        cost = _descend_at_once(net, X, Y, optimizer.learning_rate, n_iter, alpha)
    if cost is None:
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


def _descend_at_once(
    net: Any, X: Any, Y: Any, learning_rate: float, n_iter: int, alpha: Any
) -> np.ndarray | None:
    """Take a few small steps in one call of a kernel; return their costs, or None if it cannot."""
    if not isinstance(net, Network):
        return None
    given = plain_arguments(net, X, Y, alpha, n_iter)
    if given is None or not net.params.flags.writeable:
        return None
    cost = np.empty(n_iter)
    return cost if gradient_descent_call(*given, learning_rate, cost) == OK else None


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
        Its parameters are modified in place, by whole steps, but not if an argument is wrong.
    X, Y, sample_weight, alpha, n_threads
        As for `Network.cost_and_grad`; ``alpha`` is the L2 penalty. Only the examples of a batch
        are copied from X. A batch changes nothing if its weights are all 0.
    optimizer : Optimizer or LBFGS or None
        `GradientDescent`, `SGD`, `Adam`, `AdamW` or `LBFGS`; None means ``Adam()``.
    epochs : int
        Number of passes over the examples, or largest number of iterations of L-BFGS.
    batch_size : int, None or "auto"
        Examples per step; the last batch of an epoch may be smaller. None means all examples.
        "auto" means 200. GradientDescent and LBFGS take no other than None.
    shuffle : bool, "windows" or callable
        Whether each epoch takes the examples in a new order. "windows" is for an X on disk
        (`numpy.memmap`) that is larger than memory: the order of windows of 64 MB is new in every
        epoch, and so is the order within each window. A callable is called before each epoch with
        the number of examples m, and returns a permutation of 0 ... m - 1.
    seed : int, numpy.random.Generator or None
        For shuffling, and for choosing the examples of a validation fraction. The same seed gives
        the same bits with any number of threads. None means a new seed in every call.
    validation : (Xv, Yv), (Xv, Yv, weights), float or None
        Validation examples, or the fraction of the examples to hold out. Their cost and score are
        computed after every epoch. With a fraction and a full batch,
        the training examples are copied.
    callbacks : sequence
        Objects with a method ``on_epoch_end(state)``, which returns True to stop training. See
        `EarlyStopping`, `ModelCheckpoint`, `JSONLinesLogger`. A callback or a schedule takes part
        in one training at a time.
    schedule : Schedule, callable, str or None
        The learning rate: `Constant`, `InverseScaling`, `Adaptive`, `Cosine`, `StepDecay`, or a
        function of the number of the step, from 0. "constant", "inverse_scaling", "adaptive",
        "cosine" and "step" have default arguments. None means the optimiser's learning rate.
    progress : bool
        Whether to show a progress bar with cost, speed and time left.
    checkpoint : str, path-like or None
        A file for the whole state of the training. It is written after epochs, at the end, and
        after Ctrl-C with the state of the last whole step. Writing after epochs takes at most 5 %
        of the time. With LBFGS the file and the memory grow by one gradient per evaluation.
    resume : bool
        Whether to resume from the checkpoint, if its file exists. X, Y and all other arguments must
        be the same; ``epochs`` includes the epochs of the checkpoint. The result has the same bits
        as an uninterrupted training.
    on_interrupt : {"return", "raise"}
        Whether to return or to raise after Ctrl-C. The network has the parameters of the last whole
        step.
    on_divergence : {"raise", "warn", "continue"}
        What to do if a cost or a parameter is not finite. "raise" and "warn" stop at this step,
        with the last finite parameters.

    Returns
    -------
    History
        Cost, validation, learning rate and time by epoch, and why training ended.

    Raises
    ------
    ValueError, TypeError
        If an argument is wrong. The message names it, what was expected and what was given.
    ModelFileError
        If the file is not a checkpoint, or not one of this training.
    DivergenceError
        If training diverged. The message names epoch, step and learning rate, and what to try.
    KeyboardInterrupt
        After Ctrl-C with ``on_interrupt="raise"``.

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
    seed = _checked_seed(seed)
    rng = cache(lambda: np.random.default_rng(seed))  # not made if nothing is drawn
    path = _checkpoint_path(checkpoint, resume, validation, seed)
    size = _batch_size(batch_size, optimizer)
    data = Columns(X, Y, sample_weight)
    data, chosen, held_out = _split(net, data, validation, size is None, rng)
    guard = on_divergence != "continue" and not isinstance(optimizer, LBFGS)
    trainer = Trainer(
        net, data.X, data.Y, optimizer, size, data.weight, alpha, n_threads, guard=guard
    )
    order = _order(shuffle, trainer, chosen, rng)
    score = None if held_out is None else _scorer(net, held_out, n_threads)
    kept = None
    if path is not None:
        settings = {
            "optimizer": repr(optimizer),
            "schedule": repr(rates),
            "validation": _validation_text(validation, seed),
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


def _checked_seed(seed: Any) -> Any:
    if seed is None or isinstance(seed, np.random.Generator):
        return seed
    if not isinstance(seed, numbers.Integral):
        raise TypeError(
            f"seed: expected an integer >= 0, a numpy.random.Generator or None; got {seed!r}"
        )
    return checks.whole("seed", seed, 0)


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


def _validation_text(validation: Any, seed: Any) -> str:
    """Describe the validation, which must be equal when training is resumed."""
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


def _order(shuffle: Any, trainer: Trainer, chosen: np.ndarray | None, rng: Generator) -> InOrder:
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
    if not shuffle or alone:  # with a full batch the order does not matter
        return InOrder(m, chosen)
    if shuffle is True or isinstance(shuffle, np.bool_):
        return Shuffled(m, chosen, rng())
    return ShuffledWindows(m, chosen, rng(), trainer.window())


class Columns(NamedTuple):
    """Examples as columns of X, targets, and weights or None."""

    X: Any
    Y: Any
    weight: Any = None

    def taken(self, chosen: np.ndarray) -> Columns:
        """Return a copy of the chosen examples."""
        weight = None if self.weight is None else self.weight[chosen]
        return Columns(self.X[:, chosen], self.Y[..., chosen], weight)


def _split(
    net: Network, data: Columns, validation: Any, whole: bool, rng: Generator
) -> tuple[Columns, np.ndarray | None, Columns | None]:
    """Return training examples, the numbers of those to take (None: all), validation examples."""
    if validation is None:
        return data, None, None
    if not isinstance(validation, numbers.Real) or isinstance(validation, bool):
        parts = validation if isinstance(validation, (tuple, list)) else ()
        if len(parts) not in (2, 3):
            raise TypeError(
                "validation: expected (Xv, Yv), (Xv, Yv, weights), or a fraction of the "
                f"examples; got {type(validation).__name__}"
            )
        return data, None, Columns(*parts)
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
    data = Columns(X, Y[0] if labels else Y, weight)
    order = rng().permutation(m)
    rest, chosen = np.sort(order[:n]), np.sort(order[n:])
    if whole:
        return data.taken(chosen), None, data.taken(rest)
    return data, chosen, data.taken(rest)


def _scorer(net: Network, held_out: Columns, n_threads: int | None) -> Score:
    """Check the validation examples, and return the function of their cost and score."""
    X, Y, weight = held_out
    none = np.empty(0, net.dtype)
    try:
        problem = Problem(net, X, Y, weight, 0.0, n_threads)
        problem.cost(none)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation: {error}") from error
    with ctrl_c_noted() as ctrl_c:  # an interrupted import would leave broken modules
        importlib.import_module("sklearn.metrics")
    if ctrl_c:
        raise KeyboardInterrupt

    def score() -> tuple[float, float]:
        J = problem.cost(none) if np.isfinite(net.params).all() else math.nan
        # R^2 fails for predictions that are not finite
        return J, net.score(X, Y, weight) if math.isfinite(J) else math.nan

    return score


@contextmanager
def progress_bar(training: Training, epochs: int, progress: bool) -> Iterator[None]:
    """Show a progress bar within the context, if ``progress``."""
    if not progress:
        yield
        return
    from tqdm import tqdm

    with tqdm(total=epochs, unit="epoch", desc="training") as bar:
        started = False

        def show(done: float, cost: float) -> None:
            nonlocal started
            if math.isfinite(cost):  # it is NaN until an epoch has ended
                bar.set_postfix_str(f"cost {cost:.4g}", refresh=False)
            # show fractions only if an epoch takes several kernel calls
            bar.n = round(done, 2) if done - bar.n < 1 and done != int(done) else int(done)
            if not started and done < epochs:
                # the first call also loads and allocates: the rate is that of all others
                bar.unpause()
                bar.initial = bar.last_print_n = bar.n
            else:
                bar.update(0)
            started = True

        bar.n = training.state.epoch + 1
        training.progress = show
        yield
