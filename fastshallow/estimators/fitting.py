"""One fit of an estimator, with scikit-learn's orders, stopping rule and messages.

`fastshallow.training.loop.Training` takes the epochs.
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
from ..simd.elementary import log_each
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
    "Monitoring",
    "Printer",
    "Reshuffled",
    "Rows",
    "Solver",
    "StoppingRule",
    "run",
    "run_lbfgs",
    "scipy_result",
    "unchanged_if_refused",
]


@contextmanager
def unchanged_if_refused(estimator: Any) -> Iterator[None]:
    """Restore all attributes if an error is raised, so that a fitted model stays fitted."""
    before = estimator.__dict__.copy()
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


class Reshuffled(InOrder):
    """Orders in which every epoch shuffles the last epoch's order, as in scikit-learn."""

    drawn = True

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


class Rows(NamedTuple):
    """Examples as rows of X, targets (m, n_outputs), and weights or None."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None = None

    def taken(self, chosen: np.ndarray) -> Rows:
        """Return a copy of the chosen examples."""
        weight = None if self.weight is None else self.weight[chosen]
        return Rows(self.X[chosen], self.y[chosen], weight)

    def split(
        self, fraction: float, rng: np.random.RandomState, stratify: np.ndarray | None
    ) -> tuple[Rows, Rows]:
        """Return training examples and a fraction for validation."""
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
    """Optimiser, schedule and state of an estimator, which partial_fit continues.

    As in scikit-learn, the hyper-parameters are those of the call that made the object.
    """

    optimizer: SGD | Adam  # with the initial learning rate
    kind: str  # schedule: "constant", "invscaling" or "adaptive"
    power: float  # exponent of "invscaling"
    learning_rate: float  # of the next step
    vectors: np.ndarray  # state; see `fastshallow.kernels.rules.Rule`
    steps: int = 0

    @classmethod
    def start(cls, settings: Any, net: Network) -> Solver:
        """Return a new solver with an estimator's hyper-parameters."""
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
        """Restore the state of pickle, joblib or skops, with copies of the vectors.

        joblib may return memory maps, which are read-only or write to the file.
        """
        self.__dict__.update(state)
        self.vectors = np.array(self.vectors, order="C")

    def state(self, examples: int) -> State:
        """Return the state for a `Trainer` after ``examples`` examples of all fits."""
        if isinstance(self.vectors, np.ndarray) and not self.vectors.flags.carray:
            self.vectors = np.array(self.vectors, order="C")
        return State(self.vectors, self.steps, examples)

    def schedule(self, patience: float, tol: float, monitor: str) -> Schedule:
        """Return a schedule of this kind."""
        if self.kind == "adaptive":
            return Adaptive(patience=patience, tol=tol, monitor=monitor)
        return InverseScaling(self.power) if self.kind == "invscaling" else Constant()


@dataclass
class StoppingRule:
    """Stopping rule and its state, which a warm start continues."""

    monitor: str  # the compared value: "cost" or "validation_score"
    patience: float  # tolerated epochs without improvement
    tol: float  # least improvement
    best: float  # lowest cost or highest score so far
    count: int  # consecutive epochs without improvement, up to the last epoch

    @property
    def label(self) -> str:
        """The monitored value's name in scikit-learn's message."""
        return "Validation score" if self.monitor == "validation_score" else "Training loss"


class Printer(Callback):
    """Print scikit-learn's messages of verbose=True.

    ``rule`` is None for L-BFGS, and ``count`` returns the epochs without improvement.
    """

    def __init__(self, rule: StoppingRule | None, count: Callable[[], int], schedule: Schedule):
        self.rule, self.count, self.schedule = rule, count, schedule

    def on_train_begin(self, state: Any) -> None:
        """Remember the learning rate."""
        self.rate = self.schedule.learning_rate

    def on_epoch_end(self, state: Any) -> bool:
        """Print loss and score, and whether the rate changes or the fit stops."""
        print(f"Iteration {state.epoch + 1}, loss = {state.cost:.8f}")
        rule, rate = self.rule, self.schedule.learning_rate
        if rule is None:
            return False
        if rule.monitor == "validation_score":
            print(f"Validation score: {state.validation_score:f}")
        text = (
            f"{rule.label} did not improve more than tol={rule.tol:f} for "
            f"{rule.patience:.0f} consecutive epochs."
        )
        adaptive = isinstance(self.schedule, Adaptive)
        if self.count() > rule.patience:
            print(f"{text}{' Learning rate too small.' if adaptive else ''} Stopping.")
        elif adaptive and rate != self.rate:
            print(f"{text} Setting learning rate to {rate:f}")
        self.rate = rate
        return False


class Monitoring(NamedTuple):
    """Validation, callbacks and output of a fit.

    ``keep_best`` is "validation_cost" or "validation_score": the parameters of the best epoch by
    this value are restored, or the initial ones without an improvement. None keeps the last ones.
    """

    score: Score | None  # cost and score of the validation examples
    callbacks: list[Any]  # copies of the user's
    keep_best: str | None
    verbose: bool
    progress: bool


def run(
    trainer: Trainer,
    solver: Solver,
    epochs: int,
    order: InOrder,
    rule: StoppingRule,
    monitoring: Monitoring,
) -> tuple[History, bool]:
    """Take at most ``epochs`` epochs; return their history, and whether Ctrl-C ended them.

    The trainer's network, ``solver`` and ``rule`` are modified in place.
    """
    schedule = solver.schedule(rule.patience, rule.tol, rule.monitor)
    adaptive = isinstance(schedule, Adaptive)
    stopping = EarlyStopping(
        math.inf if adaptive else rule.patience,
        rule.tol,
        monitoring.keep_best == rule.monitor,
        rule.monitor,
    )
    counted: Any = schedule if adaptive else stopping
    best = stopping
    own: list[Any] = [stopping]
    if monitoring.keep_best == "validation_cost":
        best = EarlyStopping(math.inf, 0.0, True, monitoring.keep_best)
        own.append(best)
    if monitoring.verbose:
        own.append(Printer(rule, lambda: counted.get_state()["count"], schedule))
    with reserved(monitoring.callbacks):
        training = Training(
            trainer, epochs, order, schedule, [*own, *monitoring.callbacks], monitoring.score
        )
        carried = {"best": rule.best, "count": rule.count}
        stopping.set_state(carried | {"best_epoch": -1})
        schedule.set_state(carried | {"learning_rate": solver.learning_rate})
        interrupted = run_monitored(training, monitoring, best)
    rule.best, rule.count = stopping.best, counted.get_state()["count"]
    solver.learning_rate, solver.steps = schedule.learning_rate, trainer.state.steps
    return training.state.history, interrupted


class ClippedTrainer(Trainer):
    """A trainer for L-BFGS with scikit-learn's J: probabilities are clipped to [eps, 1 - eps].

    The gradient is that of J without clipping, as in scikit-learn. Clipping changes losses above
    -log(eps), which is 36 in float64; with unscaled features L-BFGS then takes other steps.
    """

    #: Below this probability of the target, the rounding of 1 - a changes a loss computed from a.
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
        # neither BLAS nor NumPy's logarithm: their bits depend on the CPU
        squares = sum(float(np.square(W, dtype=np.float64).sum()) for W in net.W)
        penalty = 0.5 * self.alpha * squares / total
        bound = least if net.output == "softmax" else self.ROUNDED
        most = (costs[0] - penalty) * total  # an upper bound of every weighted loss
        if not most > -math.log(bound) * (weight.min() if weight.size else 1.0):
            return costs
        A, Y = net.predict_proba(self.problem.X, self._n_threads), self.problem.Y
        if self.problem.labels:
            right = np.take_along_axis(A, Y.astype(np.int64), axis=0)
        else:
            right = np.where(Y > 0.5, A, 1 - A)
        if right.min() >= bound:
            return costs
        logarithms = np.ascontiguousarray(np.clip(right, least, 1 - least))
        log_each(logarithms.reshape(-1))  # a view of it
        losses = -logarithms.sum(axis=0)
        loss = np.average(losses, weights=weight if weight.size else None)
        return np.array([loss + penalty])


def run_lbfgs(trainer: Trainer, epochs: int, monitoring: Monitoring) -> tuple[History, bool]:
    """Take at most ``epochs`` iterations of L-BFGS; return the same as `run`."""
    schedule = Constant()
    own: list[Any] = []
    best = EarlyStopping(math.inf, 0.0, True, monitoring.keep_best)
    if monitoring.keep_best:
        own.append(best)
    if monitoring.verbose:
        own.append(Printer(None, int, schedule))
    callbacks = [*own, *monitoring.callbacks]
    with reserved(monitoring.callbacks):
        training = Training(
            trainer, epochs, InOrder(trainer.m), schedule, callbacks, monitoring.score
        )
        interrupted = run_monitored(training, monitoring, best)
    return training.state.history, interrupted


def run_monitored(training: Training, monitoring: Monitoring, best: EarlyStopping) -> bool:
    """Train, and restore the best parameters; return whether Ctrl-C ended the training."""
    interrupted = False
    try:
        with progress_bar(training, training.epochs, monitoring.progress):
            training.run()
    except KeyboardInterrupt:
        interrupted = True
    if best.best_params is not None:
        training.trainer.net.params = best.best_params
    return interrupted


def scipy_result(history: History, callbacks: list[Any]) -> OptimizeResult:
    """Return SciPy's result for a history, from which scikit-learn makes its warning."""
    reason = history.stopped
    of = "of" if np.lib.NumpyVersion(scipy.__version__) < "1.15.0" else "OF"
    limit = f"STOP: TOTAL NO. {of} ITERATIONS REACHED LIMIT"
    message = limit if reason == "epochs" else reason
    status = 1 if message.startswith("STOP") else 2
    if reason in ("converged", *(type(callback).__name__ for callback in callbacks)):
        status = 0
    return OptimizeResult(status=status, nit=len(history), message=message)
