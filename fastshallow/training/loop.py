"""The loop over epochs: schedule, validation, callbacks, checkpoints, interruption.

`fastshallow.train` checks its arguments and makes a `Training`; the estimators make theirs with
scikit-learn's order of examples, stopping rule and score.
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
from .checkpoints import Checkpoint
from .history import SERIES, History
from .lbfgs import Evaluations, minimize
from .optimizers import LBFGS
from .orders import InOrder
from .schedules import Constant, Schedule
from .trainer import DivergenceError, State, Trainer

__all__ = ["Training", "TrainingState"]

logger = logging.getLogger("fastshallow")

# Numbers of orders that are drawn ahead, at most: 16 MB of them. As many epochs where none is.
ORDERS_MOST = 1 << 21

Score = Callable[[], tuple[float, float]]


@dataclass
class TrainingState:
    """What callbacks and schedules see after an epoch.

    Attributes
    ----------
    net : Network
        With the parameters after the epoch.
    epoch : int
        Number of the epoch, from 0; -1 before the first.
    cost : float
        The epoch's.
    validation_cost, validation_score : float or None
        After the epoch; None where there are no validation examples.
    learning_rate : float
        Of the epoch's last step.
    steps, examples : int
        Steps taken, and examples of all whole epochs.
    seconds : float
        Since training started.
    history : History
        With this epoch.
    resumed : bool
        Whether training went on from a checkpoint.
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
    """A training that `run` takes to its end.

    Parameters
    ----------
    trainer : Trainer
        Network, data and optimiser.
    epochs : int
        How many to take in all, those of a checkpoint included.
    order : InOrder
        Order of the examples.
    schedule : Schedule
        Learning rates.
    callbacks : sequence
        See `fastshallow.training.callbacks`.
    score : callable or None
        Returns cost and score of the validation examples.
    progress : callable or None
        Called ten times a second with the epochs done, a fraction too, and the last cost.
    checkpoint : Checkpoint or None
        Where to keep the state; it is read first if ``resume``.
    resume : bool
        Whether to go on from the checkpoint, if its file exists.
    """

    trainer: Trainer
    epochs: int
    order: InOrder
    schedule: Schedule = field(default_factory=Constant)
    callbacks: Sequence[Any] = ()
    score: Score | None = None
    progress: Callable[[float, float], None] | None = None
    checkpoint: Checkpoint | None = None
    resume: bool = False
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
        self._earlier = 0.0  # seconds of the training that this one goes on from
        self._owed = False  # an epoch is done whose end nobody has seen
        self._whole = False  # Ctrl-C was found by a look, so that all can be saved
        self._order_state = self.order.get_state()
        self._evaluations = Evaluations(net.params.copy()) if self._remembers() else None
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
        if self.checkpoint is not None:  # what cannot be kept is refused before the work
            self.checkpoint.check(net, *self._kept())

    # Running -------------------------------------------------------------------------------------

    def run(self) -> History:
        """Take the epochs; return what was done.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C, when the network has the parameters of the last whole step and the
            history is complete, as `state.history`; the checkpoint is that of this step.
        DivergenceError
            Where a cost or a parameter was not finite, likewise.
        """
        self._began = time.perf_counter()
        try:
            with ctrl_c_noted() as self._ctrl_c:
                if isinstance(self.trainer.optimizer, LBFGS):
                    self._take_iterations()
                else:
                    self._take_epochs()
            self._look()
        except KeyboardInterrupt:
            try:
                if self._whole:
                    self._save(now=True)
            finally:  # a second Ctrl-C cuts the saving short
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
        if self._owed:
            self._end_epoch()
        while state.epoch + 1 < self.epochs and not self._stopped:
            together = self._together()
            before = state.epoch + 1
            self._order_state = self.order.get_state()
            for costs in trainer.epochs(together, self.order(together), self.schedule.rates):
                self._record(costs)
                if self.progress:
                    self.progress(before + trainer.position, state.cost)
                self._look()
            if self._by_epoch():
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
                *(self.trainer, self.order, self.epochs, ended, self._look),
                *(self._evaluations, done),
            )
            self._stopped = self._stopped or reason

    def _look(self) -> None:
        """Raise KeyboardInterrupt after Ctrl-C, where a checkpoint can be written."""
        if self._ctrl_c:
            self._whole = True
            raise KeyboardInterrupt

    def _remembers(self) -> bool:
        """Return whether the evaluations of L-BFGS are kept."""
        return self.checkpoint is not None and isinstance(self.trainer.optimizer, LBFGS)

    def _by_epoch(self) -> bool:
        """Return whether anything wants its turn after every epoch."""
        return bool(self.callbacks or self.score or self.checkpoint or self.schedule.by_epoch)

    def _together(self) -> int:
        """Return how many epochs to take at a time: many, if nobody looks and orders are short."""
        if self._by_epoch():
            return 1
        left, fit = self.epochs - self.state.epoch - 1, ORDERS_MOST
        if self.order.drawn:
            fit = min(self.trainer.epochs_a_call(self.order.m), ORDERS_MOST // self.order.m)
        return max(1, min(fit, left))

    def _record(self, costs: np.ndarray) -> None:
        """Add the epochs that the trainer brought to their end."""
        if not costs.size:
            return
        state, n = self.state, costs.size
        steps = self.trainer.steps_per_epoch(self.order.m)
        # a later epoch may have begun in the same call
        last = self.trainer.state.steps - self.trainer.state.begun
        ends = last - steps * np.arange(n)[::-1]
        if isinstance(self.trainer.optimizer, LBFGS):
            ends, rates = np.full(n, self.trainer.state.steps), np.full(n, np.nan)
        else:
            rates = self.schedule.rates(ends - 1)
        seconds = self._earlier + time.perf_counter() - self._began
        times = state.seconds + (seconds - state.seconds) * np.arange(1, n + 1) / n
        state.history.append(cost=costs, learning_rate=rates, seconds=times, steps=ends)
        state.epoch += n
        self._owed, self._order_state = self._by_epoch(), self.order.get_state()
        state.cost, state.learning_rate = float(costs[-1]), float(rates[-1])
        state.seconds, state.steps = seconds, int(ends[-1])
        state.examples = self.trainer.state.examples

    def _end_epoch(self) -> None:
        """Give everything that wants it its turn."""
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
        self._owed = False
        self._look()
        self._save()

    def _fill_validation(self) -> None:
        """Keep all series equally long where the last epoch was not scored any more."""
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
        """Write the checkpoint, if there is one and it is time."""
        if self.checkpoint is None or not (now or self.checkpoint.is_due()):
            return
        self.checkpoint.write(self.state.net, *self._kept())
        logger.debug("checkpoint of epoch %d: %s", self.state.epoch, self.checkpoint.path)

    def _kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return what a checkpoint keeps: arrays, and the rest."""
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
            "owed": self._owed,
            "order": self._order_state,
            "schedule": self.schedule.get_state(),
            "callbacks": kept,
            "stopped": self._stopped,
        }
        return tensors, rest

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return what the checkpoint holds, if there is one to go on from."""
        if self.checkpoint is None or not self.resume:
            return None
        trainer = self.trainer
        vectors, steps = trainer.optimizer.vectors, trainer.steps_per_epoch(self.order.m)
        return self.checkpoint.read(trainer.net, vectors, steps, self._remembers())

    @contextmanager
    def _refused_if_wrong(self, params: np.ndarray) -> Iterator[None]:
        """Turn what an order, a schedule or a callback cannot take up into a `ModelFileError`."""
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
        """Take up what `_save` wrote."""
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
        self._earlier = state.seconds
        self._stopped, self._owed = rest["stopped"], rest["owed"]
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
