"""Schedules: the learning rate of every step, and the count of epochs without improvement.

lr is the optimiser's learning rate, and t is the number of the step, from 0:

===============  =========================================================  ====================
schedule         learning rate                                              source
===============  =========================================================  ====================
Constant         lr
InverseScaling   lr / (n + 1)^power, n the examples seen before the epoch   scikit-learn
Adaptive         lr, divided by ``factor`` when the cost stops improving    scikit-learn
Cosine           least + (lr - least) (1 + cos(pi t / T)) / 2, T steps      Loshchilov, Hutter
                 in all                                                     2017, equation 5
StepDecay        lr factor^floor(epoch / every)                             PyTorch's StepLR
a callable       f(t), called in Python for every step
===============  =========================================================  ====================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..jit.compile import in_python
from ..network import checks
from ..simd.elementary import whole_power

__all__ = [
    "SCHEDULES",
    "Adaptive",
    "Constant",
    "Cosine",
    "InverseScaling",
    "Plateau",
    "Schedule",
    "StepDecay",
    "schedule_of",
]

#: Values that tell whether an epoch is an improvement.
MONITORS = ("cost", "validation_cost", "validation_score")


class Plateau:
    """Count consecutive epochs without improvement, as scikit-learn does.

    An epoch is no improvement if its cost is above best - tol, or its score is below best + tol.
    ``best`` is the lowest cost, or the highest score, so far; it ignores ``tol``.

    Parameters
    ----------
    tol : float
        Least improvement.
    monitor : {"cost", "validation_cost", "validation_score"} or None
        The compared value; None means the validation cost if there is one, else the cost.

    Attributes
    ----------
    best : float
        Best value so far.
    count : int
        Consecutive epochs without improvement, up to the last epoch.
    """

    def __init__(self, tol: float, monitor: str | None = None):
        self.tol = checks.number("tol", tol, least=0)
        if monitor is not None:
            checks.one_of("monitor", monitor, MONITORS)
        self.monitor = monitor
        self.start()

    def start(self) -> None:
        """Reset the count and the best value."""
        self.best = -math.inf if self.monitor == "validation_score" else math.inf
        self.count = 0

    def see(self, state: Any) -> bool:
        """Count the epoch that has ended; return whether it is the best so far."""
        monitor = self.monitor
        if monitor is None:
            monitor = "cost" if state.validation_cost is None else "validation_cost"
        value: float | None = getattr(state, monitor)
        if value is None:
            raise ValueError(f"monitor: {monitor} needs validation examples; got none")
        if monitor == "validation_score":  # scikit-learn's comparisons: other forms differ for NaN
            stands, best = value < self.best + self.tol, value > self.best
        else:
            stands, best = value > self.best - self.tol, value < self.best
        self.count = self.count + 1 if stands else 0
        if best:
            self.best = value
        return best

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"best": self.best, "count": self.count}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `get_state`."""
        self.best, self.count = float(state["best"]), int(state["count"])


class Schedule:
    """Base class: learning rates by step, which may change after an epoch."""

    #: Whether `after_epoch` has work; if not, one kernel call may take many short epochs.
    by_epoch = False
    learning_rate: float

    def start(self, learning_rate: float, steps: int, epochs: int) -> None:
        """Begin a training of ``epochs`` epochs with ``steps`` steps each."""
        self.learning_rate = learning_rate

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the learning rates of these steps, which are numbered from 0 over all epochs."""
        return np.full(steps.size, self.learning_rate)

    def after_epoch(self, state: Any) -> str | None:
        """Take the `TrainingState` after an epoch; return a reason to stop, or None."""
        return None

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"learning_rate": self.learning_rate}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `get_state`."""
        self.learning_rate = float(state["learning_rate"])


class Constant(Schedule):
    """The optimiser's learning rate in every step.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.Constant()
    Constant()
    """

    def __repr__(self) -> str:
        return "Constant()"


class InverseScaling(Schedule):
    """lr / (n + 1)^power, with n the examples seen before the epoch, as in scikit-learn.

    Parameters
    ----------
    power : float
        Exponent, not negative.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.InverseScaling(power=0.5)
    InverseScaling(power=0.5)
    """

    by_epoch = True

    def __init__(self, power: float = 0.5):
        self.power = checks.number("power", power, least=0)

    def start(self, learning_rate: float, steps: int, epochs: int) -> None:
        """Begin a training."""
        super().start(learning_rate, steps, epochs)
        self.first = learning_rate

    def after_epoch(self, state: Any) -> str | None:
        """Set the rate of the next epoch."""
        self.learning_rate = self.first / (state.examples + 1) ** self.power
        return None

    def __repr__(self) -> str:
        return f"InverseScaling(power={self.power})"


class Adaptive(Schedule):
    """lr, divided by ``factor`` after more than ``patience`` epochs without improvement.

    The epochs are consecutive. If the rate is ``least`` or below, training stops instead. As in
    scikit-learn.

    Parameters
    ----------
    factor : float
        Divisor of the rate, above 1.
    patience : int
        Tolerated epochs without improvement.
    tol : float
        An epoch is no improvement if its cost is above the best cost minus ``tol``, or its score is
        below the best score plus ``tol``.
    least : float
        Training stops at this rate, or below.
    monitor : {"cost", "validation_cost", "validation_score"} or None
        The compared value; None means the validation cost if there is one, else the cost.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.Adaptive(patience=5)
    Adaptive(factor=5.0, patience=5, tol=0.0001, least=1e-06, monitor=None)
    """

    by_epoch = True

    def __init__(
        self,
        factor: float = 5.0,
        patience: float = 10,
        tol: float = 1e-4,
        least: float = 1e-6,
        monitor: str | None = None,
    ):
        self.factor = checks.number("factor", factor, above=1)
        self.patience = checks.patience(patience)
        self.least = checks.number("least", least, least=0)
        self.plateau = Plateau(tol, monitor)

    def start(self, learning_rate: float, steps: int, epochs: int) -> None:
        """Begin a training."""
        super().start(learning_rate, steps, epochs)
        self.plateau.start()

    def after_epoch(self, state: Any) -> str | None:
        """Divide the rate, or stop, after too many epochs without improvement."""
        self.plateau.see(state)
        if self.plateau.count <= self.patience:
            return None
        if self.learning_rate <= self.least:
            return "the learning rate of Adaptive is at its least"
        self.learning_rate /= self.factor
        self.plateau.count = 0
        return None

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return super().get_state() | self.plateau.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `get_state`."""
        super().set_state(state)
        self.plateau.set_state(state)

    def __repr__(self) -> str:
        return (
            f"Adaptive(factor={self.factor}, patience={self.patience}, tol={self.plateau.tol}, "
            f"least={self.least}, monitor={self.plateau.monitor!r})"
        )


class Cosine(Schedule):
    """least + (lr - least) (1 + cos(pi t / T)) / 2 at step t, with T steps in all.

    Source: Loshchilov, Hutter 2017, "SGDR: stochastic gradient descent with warm restarts",
    equation 5, without restarts.

    Parameters
    ----------
    least : float
        The rate at the end, not negative.
    steps : int or None
        The T; None means all steps of all epochs. After T steps the rate is ``least``.

    Examples
    --------
    >>> import fastshallow as fs
    >>> schedule = fs.Cosine(steps=4)
    >>> schedule.start(1.0, 4, 1)
    >>> schedule.rates(np.arange(6)).round(3).tolist()
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    def __init__(self, least: float = 0.0, steps: int | None = None):
        self.least = checks.number("least", least, least=0)
        self.steps = None if steps is None else checks.whole("steps", steps, 1)

    def start(self, learning_rate: float, steps: int, epochs: int) -> None:
        """Begin a training."""
        super().start(learning_rate, steps, epochs)
        self.total = self.steps or steps * epochs

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the learning rates of these steps."""
        part = np.minimum(steps / self.total, 1.0)
        # not NumPy's cosine, whose bits depend on the CPU
        cosine = np.array([math.cos(math.pi * x) for x in part.tolist()])
        with np.errstate(under="ignore"):
            return self.least + (self.learning_rate - self.least) * (1 + cosine) / 2

    def __repr__(self) -> str:
        return f"Cosine(least={self.least}, steps={self.steps})"


class StepDecay(Schedule):
    """lr factor^floor(epoch / every), as in PyTorch's StepLR.

    Parameters
    ----------
    every : int
        Epochs between two changes of the rate.
    factor : float
        Factor of each change, above 0.

    Examples
    --------
    >>> import fastshallow as fs
    >>> schedule = fs.StepDecay(every=2, factor=0.1)
    >>> schedule.start(1.0, 1, 5)
    >>> schedule.rates(np.arange(5)).round(3).tolist()
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """

    def __init__(self, every: int = 30, factor: float = 0.1):
        self.every = checks.whole("every", every, 1)
        self.factor = checks.number("factor", factor, above=0)

    def start(self, learning_rate: float, steps: int, epochs: int) -> None:
        """Begin a training."""
        super().start(learning_rate, steps, epochs)
        self.steps = steps * self.every

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the learning rates of these steps."""
        epochs, at = np.unique(steps // self.steps, return_inverse=True)
        power = in_python(whole_power)
        factors = np.array([power(self.factor, epoch) for epoch in epochs.tolist()])
        with np.errstate(all="ignore"):  # underflow to 0 is right
            return self.learning_rate * factors[at]

    def __repr__(self) -> str:
        return f"StepDecay(every={self.every}, factor={self.factor})"


class FunctionSchedule(Schedule):
    """A function of the number of the step."""

    def __init__(self, function: Callable[[int], float]):
        self.function = function

    def rates(self, steps: np.ndarray) -> np.ndarray:
        """Return the function's value for each of these steps."""
        found = [checks.number("schedule(step)", self.function(t), least=0) for t in steps.tolist()]
        return np.array(found)

    def __repr__(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__qualname__)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "inverse_scaling": InverseScaling,
    "adaptive": Adaptive,
    "cosine": Cosine,
    "step": StepDecay,
}


def schedule_of(schedule: Any) -> Schedule:
    """Return the `Schedule` for None, a name, a schedule or a callable."""
    if schedule is None:
        return Constant()
    if isinstance(schedule, str):
        return SCHEDULES[checks.one_of("schedule", schedule, SCHEDULES)]()
    if isinstance(schedule, Schedule):
        return schedule
    if callable(schedule) and not isinstance(schedule, type):
        return FunctionSchedule(schedule)
    raise TypeError(
        f"schedule: expected None, one of {', '.join(SCHEDULES)}, a schedule, or a callable of the "
        f"step; got {schedule!r}"
    )
