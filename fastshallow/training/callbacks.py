"""Callbacks: objects that training calls at the end of every epoch.

A callback has a method ``on_epoch_end(state)``. If the method returns True, training stops.
``state`` is a `fastshallow.training.loop.TrainingState`. These methods are optional:

===========================  =============================================================
``on_train_begin(state)``    called before the first epoch
``on_train_end(state)``      called at the end, unless training was interrupted or diverged
``get_state()``              returns what a checkpoint stores: a dict of numbers, strings,
                             lists and arrays
``set_state(dict)``          restores this state when training is resumed
===========================  =============================================================

`fastshallow.train` calls the objects themselves. An object takes part in one training at a time.
The estimators call deep copies and keep them in ``callbacks_``, because ``fit`` must not change
parameters. (To share one object between fits, let its ``__deepcopy__`` return itself.)
"""

from __future__ import annotations

import copy
import json
import math
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..files.models import check_replaceable, check_savable, save
from ..network import checks
from .schedules import MONITORS, Plateau

__all__ = [
    "Callback",
    "EarlyStopping",
    "JSONLinesLogger",
    "ModelCheckpoint",
    "checked",
    "copies",
    "reserved",
]


def checked(callbacks: Any) -> list[Any]:
    """Return a list of distinct objects that have a method on_epoch_end."""
    found = checks.listed("callbacks", callbacks, "a list of callbacks")
    for i, callback in enumerate(found):
        method = getattr(callback, "on_epoch_end", None)
        if isinstance(callback, type) or not callable(method):
            raise TypeError(
                f"callbacks[{i}]: expected an object with a method on_epoch_end(state); "
                f"got {callback!r}"
            )
        for j, other in enumerate(found[:i]):
            if other is callback:
                raise ValueError(
                    f"callbacks[{i}]: expected another object than callbacks[{j}]; got the same "
                    f"{type(callback).__name__}"
                )
    return found


def copies(callbacks: Any) -> list[Any]:
    """Return deep copies of checked callbacks, or an empty list for None."""
    found = []
    for i, callback in enumerate(checked(() if callbacks is None else callbacks)):
        try:
            found.append(copy.deepcopy(callback))
        except Exception as error:  # user code may raise anything
            raise TypeError(
                f"callbacks[{i}]: expected an object that copy.deepcopy copies, as fit must not "
                f"change it; got {type(callback).__name__}: {error}"
            ) from error
    return found


_reserved: set[int] = set()
_reserving = threading.Lock()


@contextmanager
def reserved(callbacks: Sequence[Any], schedule: Any = None) -> Iterator[None]:
    """Reserve callbacks and a schedule for one training, because they have state.

    Raises ValueError if a training in another thread or in a callback uses one of them.
    """
    named = {f"callbacks[{i}]": callback for i, callback in enumerate(callbacks)}
    if schedule is not None:
        named["schedule"] = schedule
    with _reserving:
        for name, one in named.items():
            if id(one) in _reserved:
                raise ValueError(
                    f"{name}: expected an object that no other training uses now; got a "
                    f"{type(one).__name__} that one does: give each its own"
                )
        numbers = {id(one) for one in named.values()}
        _reserved.update(numbers)
    try:
        yield
    finally:
        with _reserving:
            _reserved.difference_update(numbers)


class Callback:
    """Base class of the package's callbacks; it does nothing."""

    def on_train_begin(self, state: Any) -> None:
        """Do nothing before the first epoch."""

    def on_epoch_end(self, state: Any) -> bool:
        """Return whether to stop training."""
        return False

    def on_train_end(self, state: Any) -> None:
        """Do nothing after the last epoch."""

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `get_state`."""


class EarlyStopping(Callback):
    """Stop after more than ``patience`` consecutive epochs without improvement.

    As in scikit-learn, an epoch is no improvement if its cost is above the best cost minus
    ``tol``, or its score is below the best score plus ``tol``.

    Parameters
    ----------
    patience : int
        Tolerated epochs without improvement. With infinity training does not stop early, and only
        the best parameters are kept.
    tol : float
        Least improvement.
    restore_best : bool
        Whether the network gets the parameters of the best epoch when training ends.
    monitor : {"cost", "validation_cost", "validation_score"} or None
        The compared value; None means the validation cost if there is one, else the cost.

    Attributes
    ----------
    best : float
        The lowest cost, or the highest score.
    best_epoch : int
        Number of the best epoch, from 0; -1 before the first.
    best_params : ndarray or None
        The parameters after the best epoch, if ``restore_best``.

    Examples
    --------
    >>> import fastshallow as fs
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> stopping = fs.EarlyStopping(patience=2, tol=1e-3)
    >>> history = fs.train(
    ...     net, [[1.0, 2.0]], [[2.0, 4.0]], fs.GradientDescent(0.1), 1000, callbacks=[stopping]
    ... )
    >>> history.stopped, len(history) < 100
    ('EarlyStopping', True)
    """

    def __init__(
        self,
        patience: float = 10,
        tol: float = 1e-4,
        restore_best: bool = True,
        monitor: str | None = None,
    ):
        self.patience = checks.patience(patience)
        self.restore_best = checks.flag("restore_best", restore_best)
        self._plateau = Plateau(tol, monitor)
        self.best_epoch, self.best_params = -1, None

    best_params: np.ndarray | None

    @property
    def best(self) -> float:
        """The lowest cost, or the highest score."""
        return self._plateau.best

    def on_train_begin(self, state: Any) -> None:
        """Reset the count and the best value."""
        self._plateau.start()
        self.best_epoch = -1
        self.best_params = state.net.params.copy() if self.restore_best else None

    def on_epoch_end(self, state: Any) -> bool:
        """Count the epoch, keep the best parameters, and return whether to stop."""
        if self._plateau.see(state):
            self.best_epoch = state.epoch
            if self.best_params is not None:
                self.best_params[...] = state.net.params
        return self._plateau.count > self.patience

    def epochs_ahead(self) -> float:
        """Return after how many epochs at the earliest it stops; 1 if it looks at each network.

        It sees their costs afterwards, in order.
        """
        by_cost = self._plateau.monitor in (None, "cost") and self.best_params is None
        return max(1, self.patience + 1 - self._plateau.count) if by_cost else 1

    def on_train_end(self, state: Any) -> None:
        """Restore the best parameters."""
        if self.best_params is not None and self.best_epoch >= 0:
            state.net.params = self.best_params

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        kept = {} if self.best_params is None else {"best_params": self.best_params}
        return {**self._plateau.get_state(), "best_epoch": self.best_epoch, **kept}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `get_state`."""
        self._plateau.set_state(state)
        self.best_epoch = int(state["best_epoch"])
        if self.restore_best and "best_params" in state:
            found, own = np.array(state["best_params"]), self.best_params
            if own is not None and (found.shape, found.dtype) != (own.shape, own.dtype):
                raise ValueError(
                    f"best_params: expected shape {own.shape} and dtype {own.dtype}; got "
                    f"{found.shape}, {found.dtype}"
                )
            self.best_params = found


class ModelCheckpoint(Callback):
    """Save the network after every epoch, or after every epoch that is the best so far.

    The file has the format of `fastshallow.save`. To resume a training with its optimiser, use the
    argument ``checkpoint`` of `fastshallow.train`.

    Parameters
    ----------
    path : str or path-like
        The file; ``{epoch}`` in it is replaced by the number of the epoch, from 0.
    best_only : bool
        Whether to save only after an epoch that is the best so far.
    monitor : {"cost", "validation_cost", "validation_score"} or None
        The compared value; None means the validation cost if there is one, else the cost.

    Examples
    --------
    >>> import os, tempfile, fastshallow as fs
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "best.safetensors")
    ...     history = fs.train(
    ...         net, [[1.0, 2.0]], [[2.0, 4.0]], epochs=5, callbacks=[fs.ModelCheckpoint(path)]
    ...     )
    ...     fs.load(path) == net
    True
    """

    def __init__(
        self, path: str | os.PathLike[str], best_only: bool = True, monitor: str | None = None
    ):
        self.path = checks.path("path", path)
        self.best_only = checks.flag("best_only", best_only)
        self._plateau = Plateau(0.0, monitor)

    def on_train_begin(self, state: Any) -> None:
        """Reset the best value; raise if no file can be written."""
        check_replaceable(Path(os.path.realpath(self.path)))
        check_savable(state.net)
        self._plateau.start()

    def on_epoch_end(self, state: Any) -> bool:
        """Save the network if the epoch is the best so far, or always without best_only."""
        if self._plateau.see(state) or not self.best_only:
            save(state.net, self.path.replace("{epoch}", str(state.epoch)))
        return False

    def get_state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return self._plateau.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore the result of `get_state`."""
        self._plateau.set_state(state)


class JSONLinesLogger(Callback):
    """Write a line of JSON after every epoch.

    A line has epoch, cost, validation_cost, validation_score, learning_rate, steps and seconds.
    Missing values and values that are not finite are null.

    Parameters
    ----------
    path : str or path-like
        The file. A new training replaces it; a resumed training appends to it.

    Examples
    --------
    >>> import os, tempfile, fastshallow as fs
    >>> net = fs.Network((1, 1), output="linear", dtype="float64")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "log.jsonl")
    ...     history = fs.train(
    ...         net, [[1.0, 2.0]], [[2.0, 4.0]], epochs=2, callbacks=[fs.JSONLinesLogger(path)]
    ...     )
    ...     with open(path) as file:
    ...         print(file.readline()[:25])
    {"epoch": 0, "cost": 5.0,
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = checks.path("path", path)

    def on_train_begin(self, state: Any) -> None:
        """Empty the file, or remove the epochs that a resumed training repeats."""
        lines: list[str] = []
        if state.resumed and os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                lines = file.readlines()[: state.epoch + 1]
        with open(self.path, "w", encoding="utf-8") as file:
            file.writelines(lines)

    def on_epoch_end(self, state: Any) -> bool:
        """Append a line."""
        names = ("cost", *MONITORS[1:], "learning_rate", "steps", "seconds")
        values = {name: getattr(state, name) for name in names}
        finite = {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in values.items()
        }
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": state.epoch, **finite}) + "\n")
        return False
