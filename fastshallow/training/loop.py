"""The loop over epochs: schedule, validation, callbacks, checkpoints, interruption.

`fastshallow.train` checks its arguments and makes a `Training`. The estimators make a `Training`
with scikit-learn's order of examples, stopping rule and score.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..files.models import ModelFileError
from ..jit.interrupts import ctrl_c_noted
from ..network.network import Network
from .callbacks import EarlyStopping
from .checkpoints import Checkpoint
from .divergence import DivergenceError
from .history import SERIES, History
from .lbfgs import Evaluations, minimize
from .optimizers import LBFGS
from .orders import InOrder
from .schedules import Constant, Schedule
from .trainer import State, Trainer

__all__ = ["Training", "TrainingState"]

logger = logging.getLogger("fastshallow")

# Largest number of indices that are drawn ahead (16 MB), and of epochs per call without shuffling.
INDICES_MOST = 1 << 21

Score = Callable[[], tuple[float, float]]


@dataclass
class TrainingState:
    """The state of a training after an epoch, for callbacks and schedules.

    Attributes
    ----------
    net : Network
        The network, with the parameters after the epoch.
    epoch : int
        Number of the epoch, from 0; -1 before the first.
    cost : float
        Cost of the epoch.
    validation_cost, validation_score : float or None
        Values after the epoch; None without validation examples.
    learning_rate : float
        Learning rate of the epoch's last step.
    steps, examples : int
        Steps taken, and examples of all whole epochs, since training started.
    seconds : float
        Time since training started.
    history : History
        The history, including this epoch.
    resumed : bool
        Whether training was resumed from a checkpoint.
    """

    net: Network
    history: History
    epoch: int = -1
    cost: float = float("nan")
    validation_cost: float | None = None
    validation_score: float | None = None
    learning_rate: float = float("nan")
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0
    resumed: bool = False


@dataclass
class Training:
    """A training, which `run` performs.

    ``progress`` is called ten times a second with the (fractional) number of epochs done and the
    last cost.
    """

    trainer: Trainer
    epochs: int  # including those of a checkpoint
    order: InOrder
    schedule: Schedule = field(default_factory=Constant)
    callbacks: Sequence[Any] = ()
    score: Score | None = None  # cost and score of the validation examples
    progress: Callable[[float, float], None] | None = None
    checkpoint: Checkpoint | None = None
    resume: bool = False  # whether to start from the checkpoint, if its file exists
    state: TrainingState = field(init=False)

    def __post_init__(self) -> None:
        net = self.trainer.net
        self.state = TrainingState(net, History())
        self.schedule.start(
            self.trainer.optimizer.learning_rate,
            self.trainer.steps_per_epoch(self.order.m),
            self.epochs,
        )
        self._stopped = ""
        self._seconds_before = 0.0  # seconds of the resumed training
        self._pending_end = False  # the last epoch still needs `_end_epoch`
        self._unseen: list[float] = []  # costs that the callbacks have not seen
        self._between_steps = False  # Ctrl-C was noticed between steps: a checkpoint can be written
        self._order_state: dict[str, Any] = {}
        self._note_order()
        self._evaluations = Evaluations(net.params.copy()) if self._stores_evaluations() else None
        loaded = self._read()
        self.state.resumed = loaded is not None
        if loaded is None:
            self._call("on_train_begin")
        else:
            before = net.params.copy()
            with self._refused_if_wrong(before):
                self._restore(*loaded)
            self._call("on_train_begin")
            with self._refused_if_wrong(before):
                self._restore_callbacks(*loaded)
        if self.checkpoint is not None:  # fail before the first epoch, not after it
            self.checkpoint.check(net, *self._contents())

    # Running -------------------------------------------------------------------------------------

    def run(self) -> History:
        """Take the epochs and return their history.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C. The network has the parameters of the last whole step, ``state.history``
            is complete, and the checkpoint has the state after this step.
        DivergenceError
            If a cost or a parameter was not finite. The network has the last finite parameters.
        """
        self._began = time.perf_counter()
        try:
            with ctrl_c_noted() as self._ctrl_c:
                if isinstance(self.trainer.optimizer, LBFGS):
                    self._take_iterations()
                else:
                    self._take_epochs()
            self._check_interrupt()
        except KeyboardInterrupt:
            try:
                if self._between_steps:
                    self._save(now=True)
            finally:  # also if a second Ctrl-C interrupts the write
                self._fill_validation()
                self._stop("interrupted")
            raise
        except DivergenceError as error:
            error.history = self.state.history
            self._stop("diverged")
            raise
        self._stop(self._stopped or "epochs")
        self._save(now=True)
        self._call("on_train_end")
        return self.state.history

    def _take_epochs(self) -> None:
        state, trainer = self.state, self.trainer
        if self._pending_end:
            self._end_epoch()
        while state.epoch + 1 < self.epochs and not self._stopped:
            count = self._epochs_at_once()
            before = state.epoch + 1
            self._note_order()
            for costs in trainer.epochs(count, self.order(count), self.schedule.rates):
                self._record(costs)
                if self.progress:
                    self.progress(before + trainer.position, state.cost)
                self._check_interrupt()
            if self._needs_epoch_ends():
                self._end_epoch()

    def _take_iterations(self) -> None:
        def ended(cost: float) -> bool:
            self._record(np.array([cost]))
            self._end_epoch()
            if self.progress:
                self.progress(self.state.epoch + 1, cost)
            return bool(self._stopped)

        done = self.state.epoch + 1
        if done < self.epochs and not self._stopped:
            reason = minimize(
                self.trainer,
                self.order,
                iterations=self.epochs,
                ended=ended,
                check_interrupt=self._check_interrupt,
                past=self._evaluations,
                earlier=done,
            )
            self._stopped = self._stopped or reason

    def _check_interrupt(self) -> None:
        """Raise KeyboardInterrupt after Ctrl-C; called only between steps."""
        if self._ctrl_c:
            self._between_steps = True
            raise KeyboardInterrupt

    def _note_order(self) -> None:
        """Note the state of the order for a checkpoint."""
        if self.checkpoint is not None:
            self._order_state = self.order.get_state()

    def _stores_evaluations(self) -> bool:
        """Return whether to store the evaluations of L-BFGS."""
        return self.checkpoint is not None and isinstance(self.trainer.optimizer, LBFGS)

    def _needs_epoch_ends(self) -> bool:
        """Return whether `_end_epoch` has work after every epoch."""
        return bool(self.callbacks or self.score or self.checkpoint or self.schedule.by_epoch)

    def _epochs_at_once(self) -> int:
        """Return the number of epochs to pass to the trainer at once."""
        left, fit = self.epochs - self.state.epoch - 1, INDICES_MOST
        if self._needs_epoch_ends():
            left = int(min(left, self._epochs_ahead()))
        if self.order.drawn:
            fit = min(self.trainer.epochs_a_call(self.order.m), INDICES_MOST // self.order.m)
        return max(1, min(fit, left))

    def _epochs_ahead(self) -> float:
        """Return the number of epochs whose ends need costs alone: no callback stops before."""
        by_cost = all(type(callback) is EarlyStopping for callback in self.callbacks)
        if not by_cost or self.score or self.checkpoint or self.schedule.by_epoch:
            return 1
        ahead: float = min(callback.epochs_ahead() for callback in self.callbacks)
        return ahead

    def _record(self, costs: np.ndarray) -> None:
        """Append the epochs that the trainer completed to the history."""
        if not costs.size:
            return
        state, n = self.state, costs.size
        steps = self.trainer.steps_per_epoch(self.order.m)
        # the same call may have started another epoch
        last = self.trainer.state.steps - self.trainer.state.begun
        ends = last - steps * np.arange(n)[::-1]
        if isinstance(self.trainer.optimizer, LBFGS):
            ends, rates = np.full(n, self.trainer.state.steps), np.full(n, np.nan)
        else:
            rates = self.schedule.rates(ends - 1)
        seconds = self._seconds_before + time.perf_counter() - self._began
        times = state.seconds + (seconds - state.seconds) * np.arange(1, n + 1) / n
        state.history.append(cost=costs, learning_rate=rates, seconds=times, steps=ends)
        state.epoch += n
        self._pending_end = self._needs_epoch_ends()
        self._note_order()
        state.cost, state.learning_rate = float(costs[-1]), float(rates[-1])
        state.seconds, state.steps = seconds, int(ends[-1])
        state.examples = self.trainer.state.examples
        if self._pending_end:
            self._show_earlier(costs)

    def _show_earlier(self, costs: np.ndarray) -> None:
        """Show the callbacks the costs of recorded epochs.

        The last one is left to `_end_epoch`, unless the next epoch has begun.
        """
        state = self.state
        last = state.epoch, state.cost
        self._unseen += costs.tolist()
        self._pending_end = self.trainer.state.begun == 0
        while len(self._unseen) > self._pending_end:
            state.epoch, state.cost = last[0] + 1 - len(self._unseen), self._unseen.pop(0)
            logger.debug("epoch %d: cost %.6g", state.epoch, state.cost)
            for callback in self.callbacks:
                callback.on_epoch_end(state)
        state.epoch, state.cost = last

    def _end_epoch(self) -> None:
        """Validate, and call the schedule, the callbacks and the checkpoint."""
        state = self.state
        if self.score:
            state.validation_cost, state.validation_score = self.score()
            state.history.append(
                validation_cost=state.validation_cost, validation_score=state.validation_score
            )
        logger.debug("epoch %d: cost %.6g", state.epoch, state.cost)
        self._stopped = self.schedule.after_epoch(state) or ""
        for callback in self.callbacks:
            if callback.on_epoch_end(state) is True:
                self._stopped = self._stopped or type(callback).__name__
        self._pending_end, self._unseen = False, []
        self._check_interrupt()
        self._save()

    def _fill_validation(self) -> None:
        """Append NaN if the last epoch was not validated: all series have one length."""
        history = self.state.history
        if self.score and history.validation_score.size < len(history):
            history.append(validation_cost=np.nan, validation_score=np.nan)

    def _call(self, name: str) -> None:
        for callback in self.callbacks:
            method = getattr(callback, name, None)
            if method is not None:
                method(self.state)

    def _stop(self, reason: str) -> None:
        self.state.history.stopped = reason
        logger.info("training ended after epoch %d: %s", self.state.epoch, reason)

    # Checkpoints ---------------------------------------------------------------------------------

    def _save(self, now: bool = False) -> None:
        """Write the checkpoint, if there is one and it is due, or at once."""
        if self.checkpoint is None or not (now or self.checkpoint.is_due()):
            return
        self.checkpoint.write(self.state.net, *self._contents())
        logger.debug("checkpoint of epoch %d: %s", self.state.epoch, self.checkpoint.path)

    def _contents(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the JSON values of a checkpoint."""
        state, trainer = self.state, self.trainer
        tensors = {"optimizer": trainer.state.vectors}
        for name, series in state.history.arrays().items():
            tensors[f"history.{name}"] = series
        if self._evaluations:
            tensors |= self._evaluations.tensors()
        kept = []
        for i, callback in enumerate(self.callbacks):
            values = callback.get_state() if hasattr(callback, "get_state") else {}
            arrays = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
            tensors |= {f"callback.{i}.{name}": array for name, array in arrays.items()}
            kept.append({k: v for k, v in values.items() if k not in arrays})
        rest = {
            "epoch": state.epoch,
            "steps": trainer.state.steps,
            "examples": trainer.state.examples,
            "epochs": trainer.state.epochs,
            "begun": trainer.state.begun,
            "sums": trainer.state.sums,
            "owed": self._pending_end,
            "order": self._order_state,
            "schedule": self.schedule.get_state(),
            "callbacks": kept,
            "stopped": self._stopped,
        }
        return tensors, rest

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return the contents of the checkpoint to resume from, or None."""
        if self.checkpoint is None or not self.resume:
            return None
        trainer = self.trainer
        vectors, steps = trainer.optimizer.vectors, trainer.steps_per_epoch(self.order.m)
        return self.checkpoint.read(trainer.net, vectors, steps, self._stores_evaluations())

    @contextmanager
    def _refused_if_wrong(self, params: np.ndarray) -> Iterator[None]:
        """Convert errors of `_restore` and `_restore_callbacks` into `ModelFileError`."""
        try:
            yield
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
            self.trainer.net.params = params
            assert self.checkpoint is not None
            what = f"{type(error).__name__}: {error}"
            raise ModelFileError(
                f"{self.checkpoint.path}: no training can go on from its state ({what:.200})"
            ) from error

    def _restore(self, tensors: dict[str, np.ndarray], rest: dict[str, Any]) -> None:
        """Restore network, trainer, history, order and schedule from a checkpoint."""
        state, trainer = self.state, self.trainer
        state.net.params = tensors["params"]
        names = ("steps", "examples", "epochs", "begun")
        numbers = {name: rest[name] for name in names}
        trainer.restore(State(tensors["optimizer"], **numbers, sums=tuple(rest["sums"])))
        history = state.history
        history.append(**{name: tensors[f"history.{name}"] for name in SERIES})
        state.epoch, state.examples = rest["epoch"], rest["examples"]
        if len(history):
            state.cost, state.learning_rate = history.cost[-1], history.learning_rate[-1]
            state.steps, state.seconds = history.steps[-1], history.seconds[-1]
        if self._evaluations:
            self._evaluations = Evaluations.of(tensors)
        self._seconds_before = state.seconds
        self._stopped, self._pending_end = rest["stopped"], rest["owed"]
        self._order_state = rest["order"]
        self.order.set_state(self._order_state, state.epoch + 1)
        self.schedule.set_state(rest["schedule"])
        logger.info("resumed after epoch %d", state.epoch)

    def _restore_callbacks(self, tensors: dict[str, np.ndarray], rest: dict[str, Any]) -> None:
        for i, (callback, values) in enumerate(
            zip(self.callbacks, rest["callbacks"], strict=False)
        ):
            prefix = f"callback.{i}."
            arrays = {
                name.removeprefix(prefix): array
                for name, array in tensors.items()
                if name.startswith(prefix)
            }
            if hasattr(callback, "set_state"):
                callback.set_state(values | arrays)
