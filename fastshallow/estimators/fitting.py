"""One fit of an estimator: what scikit-learn does around and between the epochs.

Its solver that partial_fit goes on with, its order of the examples, its count of epochs without
improvement, and its messages; the epochs themselves are `fastshallow.training.loop.Training`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy
from scipy.optimize import OptimizeResult
from sklearn.model_selection import train_test_split

from ..network.network import Network
from ..training.callbacks import Callback, EarlyStopping, reserved
from ..training.history import History
from ..training.loop import Score, Training
from ..training.optimizers import SGD, Adam
from ..training.orders import InOrder
from ..training.schedules import Adaptive, Constant, InverseScaling, Schedule
from ..training.train import progress_bar
from ..training.trainer import Rates, State, Trainer

__all__ = [
    "ClippedTrainer",
    "Data",
    "Judgement",
    "Printer",
    "Reshuffled",
    "Solver",
    "Watch",
    "run",
    "run_lbfgs",
    "scipy_result",
    "unchanged_if_refused",
]


@contextmanager
def unchanged_if_refused(estimator: Any) -> Iterator[None]:
    """Put all attributes back where an argument is refused: a fitted model stays one."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


class Reshuffled(InOrder):
    """Every epoch shuffles the order of the one before, as scikit-learn does.

    Parameters
    ----------
    m : int
        Examples.
    rng : numpy.random.RandomState
        Where the permutations come from.
    """

    def __init__(self, m: int, rng: np.random.RandomState):
        super().__init__(m)
        self.rng = rng
        self.order = np.arange(m)

    def __call__(self, n: int) -> np.ndarray:
        orders = np.empty((n, self.m), np.int64)
        for row in orders:
            permutation = np.arange(self.m)
            self.rng.shuffle(permutation)
            row[:] = self.order = self.order[permutation]
        return orders


class Data(NamedTuple):
    """Examples as rows, targets (m, n_outputs), and weights or None."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None

    def taken(self, chosen: np.ndarray) -> Data:
        """Return a copy of some examples."""
        weight = None if self.weight is None else self.weight[chosen]
        return Data(self.X[chosen], self.y[chosen], weight)

    def split(
        self, fraction: float, rng: np.random.RandomState, stratify: np.ndarray | None
    ) -> tuple[Data, Data]:
        """Return examples to train on, and a fraction to validate with."""
        chosen, rest = train_test_split(
            np.arange(self.X.shape[0]), random_state=rng, test_size=fraction, stratify=stratify
        )
        if rest.size < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return self.taken(chosen), self.taken(rest)


@dataclass
class Solver:
    """The optimiser with its state: made by fit, and gone on with by partial_fit.

    As in scikit-learn, its hyper-parameters stay those of the call that made it.

    Parameters
    ----------
    optimizer : SGD or Adam
        With the initial learning rate.
    kind : {"constant", "invscaling", "adaptive"}
        Schedule of the learning rate.
    power : float
        Exponent of "invscaling".
    learning_rate : float
        Of the next step.
    vectors : ndarray
        The optimiser's, see `fastshallow.kernels.rules.Rule`.
    steps : int
        Taken so far.
    """

    optimizer: SGD | Adam
    kind: str
    power: float
    learning_rate: float
    vectors: np.ndarray
    steps: int = 0

    @classmethod
    def start(cls, settings: Any, net: Network) -> Solver:
        """Return the solver that an estimator's parameters describe, before its first step."""
        rate = float(settings.learning_rate_init)
        kind = "constant"
        optimizer: SGD | Adam
        if settings.solver == "sgd":
            kind = settings.learning_rate
            optimizer = SGD(rate, settings.momentum, bool(settings.nesterovs_momentum))
        else:
            optimizer = Adam(rate, settings.beta_1, settings.beta_2, settings.epsilon)
        vectors = np.zeros((optimizer.vectors, net.params.size), net.dtype)
        return cls(optimizer, kind, float(settings.power_t), rate, vectors)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up what pickle, joblib or skops kept, with vectors of its own.

        joblib hands out maps of a file: read-only ones, and those whose writing changes the file.
        """
        self.__dict__.update(state)
        self.vectors = np.array(self.vectors, order="C")

    def state(self, examples: int) -> State:
        """Return what a `Trainer` goes on with, after so many examples of all fits."""
        if isinstance(self.vectors, np.ndarray) and not self.vectors.flags.carray:
            self.vectors = np.array(self.vectors, order="C")
        return State(self.vectors, self.steps, examples)

    def schedule(self, patience: float, tol: float, monitor: str) -> Schedule:
        """Return a schedule of this kind."""
        if self.kind == "adaptive":
            return Adaptive(patience=patience, tol=tol, monitor=monitor)
        return InverseScaling(self.power) if self.kind == "invscaling" else Constant()


@dataclass
class Judgement:
    """How epochs are judged, and what is known of those before: it goes on in warm starts.

    Parameters
    ----------
    monitor : {"cost", "validation_score"}
        What they are judged by.
    patience : float
        Epochs without improvement that are let pass.
    tol : float
        Least improvement.
    best : float
        Lowest cost or highest score so far.
    count : int
        Epochs without improvement, up to the last one.
    """

    monitor: str
    patience: float
    tol: float
    best: float
    count: int

    @property
    def what(self) -> str:
        """What did not improve, in scikit-learn's message."""
        return "Validation score" if self.monitor == "validation_score" else "Training loss"


class Printer(Callback):
    """Print what scikit-learn prints with verbose=True.

    Parameters
    ----------
    judgement : Judgement or None
        None where nothing is judged: L-BFGS.
    count : callable
        Returns the epochs without improvement.
    schedule : Schedule
        As the epochs are taken with.
    """

    def __init__(self, judgement: Judgement | None, count: Callable[[], int], schedule: Schedule):
        self.judgement, self.count, self.schedule = judgement, count, schedule

    def on_train_begin(self, state: Any) -> None:
        """Note the learning rate."""
        self.rate = self.schedule.learning_rate

    def on_epoch_end(self, state: Any) -> bool:
        """Print the loss, the score, and what follows from them."""
        print(f"Iteration {state.epoch + 1}, loss = {state.cost:.8f}")
        judgement, rate = self.judgement, self.schedule.learning_rate
        if judgement is None:
            return False
        if judgement.monitor == "validation_score":
            print(f"Validation score: {state.validation_score:f}")
        text = (
            f"{judgement.what} did not improve more than tol={judgement.tol:f} for "
            f"{judgement.patience:.0f} consecutive epochs."
        )
        adaptive = isinstance(self.schedule, Adaptive)
        if self.count() > judgement.patience:
            print(f"{text}{' Learning rate too small.' if adaptive else ''} Stopping.")
        elif adaptive and rate != self.rate:
            print(f"{text} Setting learning rate to {rate:f}")
        self.rate = rate
        return False


class Watch(NamedTuple):
    """What looks on while epochs are taken.

    score : callable or None
        See `fastshallow.training.loop.Training`.
    callbacks : list
        Copies of the user's.
    keep_best : {"validation_cost", "validation_score"} or None
        What the parameters left behind are the best by; None leaves the last ones. Where no epoch
        was better than those before, these are the parameters that training began with.
    verbose, progress : bool
        Whether to print, and to show a bar.
    """

    score: Score | None
    callbacks: list[Any]
    keep_best: str | None
    verbose: bool
    progress: bool


def run(
    trainer: Trainer,
    solver: Solver,
    epochs: int,
    order: InOrder,
    judgement: Judgement,
    watch: Watch,
) -> tuple[History, bool]:
    """Take epochs of a solver's steps.

    Parameters
    ----------
    trainer : Trainer
        With the solver's optimiser and state. Its network's parameters are modified in place.
    solver : Solver
        Modified in place.
    epochs : int
        At most so many.
    order : InOrder
        Order of the examples.
    judgement : Judgement
        Modified in place.
    watch : Watch
        What looks on.

    Returns
    -------
    history : History
        Of these epochs.
    interrupted : bool
        Whether Ctrl-C ended them.
    """
    schedule = solver.schedule(judgement.patience, judgement.tol, judgement.monitor)
    adaptive = isinstance(schedule, Adaptive)
    stopping = EarlyStopping(
        math.inf if adaptive else judgement.patience,
        judgement.tol,
        watch.keep_best == judgement.monitor,
        judgement.monitor,
    )
    counted: Any = schedule if adaptive else stopping
    best = stopping
    own: list[Any] = [stopping]
    if watch.keep_best == "validation_cost":
        best = EarlyStopping(math.inf, 0.0, True, watch.keep_best)
        own.append(best)
    if watch.verbose:
        own.append(Printer(judgement, lambda: counted.get_state()["count"], schedule))
    with reserved(watch.callbacks):
        training = Training(trainer, epochs, order, schedule, [*own, *watch.callbacks], watch.score)
        carried = {"best": judgement.best, "count": judgement.count}
        stopping.set_state(carried | {"best_epoch": -1})
        schedule.set_state(carried | {"learning_rate": solver.learning_rate})
        interrupted = run_watched(training, watch, best)
    judgement.best, judgement.count = stopping.best, counted.get_state()["count"]
    solver.learning_rate, solver.steps = schedule.learning_rate, trainer.state.steps
    return training.state.history, interrupted


class ClippedTrainer(Trainer):
    """A trainer for L-BFGS whose J is scikit-learn's: probabilities are clipped to [eps, 1 - eps].

    The gradient is that of J without clipping, as there. It matters where an example's loss is
    above -log(eps), 36 in float64: with features of breast_cancer as they are, L-BFGS goes another
    way without it. With sigmoid outputs 1 - a is rounded, and so is its logarithm, long before.
    """

    #: Probability of what is right below which a loss from a differs from one from z.
    ROUNDED = 1e-6

    def epochs(
        self,
        n: int,
        orders: np.ndarray | None = None,
        rates: Rates | float | None = None,
    ) -> Iterator[np.ndarray]:
        """Compute J and its gradient; see `Trainer.epochs`."""
        for costs in super().epochs(n, orders, rates):
            yield costs if costs.size == 0 else self._clipped(costs)

    @np.errstate(all="ignore")
    def _clipped(self, costs: np.ndarray) -> np.ndarray:
        net, weight, total = self.net, self._examples.weight, self.problem.arguments[3]
        least = float(np.finfo(net.dtype).eps)
        penalty = 0.5 * self.alpha * sum(float(np.vdot(W, W)) for W in net.W) / total
        bound = least if net.output == "softmax" else self.ROUNDED
        most = (costs[0] - penalty) * total  # no example's weighted loss is above their sum
        if not most > -math.log(bound) * (weight.min() if weight.size else 1.0):
            return costs
        A, Y = net.predict_proba(self.problem.X, self._n_threads), self.problem.Y
        if self.problem.labels:
            right = np.take_along_axis(A, Y.astype(np.int64), axis=0)
        else:
            right = np.where(Y > 0.5, A, 1 - A)
        if right.min() >= bound:
            return costs
        losses = -np.log(np.clip(right, least, 1 - least)).sum(axis=0)
        loss = np.average(losses, weights=weight if weight.size else None)
        return np.array([loss + penalty])


def run_lbfgs(trainer: Trainer, epochs: int, watch: Watch) -> tuple[History, bool]:
    """Take iterations of L-BFGS; arguments and results as for `run`."""
    schedule = Constant()
    own: list[Any] = []
    best = EarlyStopping(math.inf, 0.0, True, watch.keep_best)
    if watch.keep_best:
        own.append(best)
    if watch.verbose:
        own.append(Printer(None, int, schedule))
    callbacks = [*own, *watch.callbacks]
    with reserved(watch.callbacks):
        training = Training(trainer, epochs, InOrder(trainer.m), schedule, callbacks, watch.score)
        interrupted = run_watched(training, watch, best)
    return training.state.history, interrupted


def run_watched(training: Training, watch: Watch, best: EarlyStopping) -> bool:
    """Train, and bring the best parameters back; return whether Ctrl-C ended it."""
    interrupted = False
    try:
        with progress_bar(training, training.epochs, watch.progress):
            training.run()
    except KeyboardInterrupt:
        interrupted = True
    if best.best_params is not None:
        training.trainer.net.params = best.best_params
    return interrupted


def scipy_result(history: History, callbacks: list[Any]) -> OptimizeResult:
    """Return what SciPy would have said of the iterations of a history."""
    reason = history.stopped
    of = "of" if np.lib.NumpyVersion(scipy.__version__) < "1.15.0" else "OF"
    limit = f"STOP: TOTAL NO. {of} ITERATIONS REACHED LIMIT"
    message = limit if reason == "epochs" else reason
    status = 1 if message.startswith("STOP") else 2
    if reason in ("converged", *(type(callback).__name__ for callback in callbacks)):
        status = 0
    return OptimizeResult(status=status, nit=len(history), message=message)
