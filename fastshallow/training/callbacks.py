"""Callbacks: what has a turn at the end of every epoch.

Anything with a method ``on_epoch_end(state)`` is one; if it returns True, training stops. ``state``
is the `fastshallow.training.loop.TrainingState`. These methods are called where there are some:

===========================  =============================================================
``on_train_begin(state)``    before the first epoch
``on_train_end(state)``      after the last one, unless training was interrupted or diverged
``get_state()``              for a checkpoint: a dict of numbers, strings, lists and arrays
``set_state(dict)``          takes it up again when training is resumed
===========================  =============================================================

`fastshallow.train` calls the very objects that it is given, so that they can be read afterwards; an
object takes part in one training at a time. The estimators, whose ``fit`` must not change their
parameters, call deep copies, which are the attribute ``callbacks_`` then. (A callback that is to be
the same object in every fit says so: its ``__deepcopy__`` returns itself.)
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
    """Return callbacks, each of them an object of its own with a method on_epoch_end."""
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
    """Return deep copies of checked callbacks; None is none."""
    found = []
    for i, callback in enumerate(checked(() if callbacks is None else callbacks)):
        try:
            found.append(copy.deepcopy(callback))
        except Exception as error:  # of any kind: it is the callback's
            raise TypeError(
                f"callbacks[{i}]: expected an object that copy.deepcopy copies, as fit must not "
                f"change it; got {type(callback).__name__}: {error}"
            ) from error
    return found


_reserved: set[int] = set()
_reserving = threading.Lock()


@contextmanager
def reserved(callbacks: Sequence[Any], schedule: Any = None) -> Iterator[None]:
    """Keep callbacks, and a schedule, which have a state, for one training.

    Raises ValueError where another training uses one now: in another thread, or in a callback.
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
    """A callback that does nothing: what those of the package have in common."""

    def on_train_begin(self, state: Any) -> None:
        """Have a turn before the first epoch."""

    def on_epoch_end(self, state: Any) -> bool:
        """Have a turn after an epoch; True stops training."""
        return False

    def on_train_end(self, state: Any) -> None:
        """Have a turn after the last epoch, unless training was interrupted or diverged."""

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what `get_state` gave."""


class EarlyStopping(Callback):
    """Stop when more than ``patience`` epochs in a row brought no improvement.

    As scikit-learn counts: an epoch brings none if its cost is above the best one less ``tol``, or
    its score below the best one plus ``tol``.

    Parameters
    ----------
    patience : int
        Epochs without improvement that are let pass; infinity to keep the best parameters only.
    tol : float
        Least improvement.
    restore_best : bool
        Whether the network gets the parameters of the best epoch when training ends.
    monitor : {"cost", "validation_cost", "validation_score"} or None
        What an epoch is judged by; None is the validation cost where there is one, else the cost.

    Attributes
    ----------
    best : float
        The lowest cost, or the highest score.
    best_epoch : int
        Its epoch, from 0; -1 before the first.
    best_params : ndarray or None
        The parameters after it, if they are to be restored.

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
        """Forget the training before."""
        self._plateau.start()
        self.best_epoch = -1
        self.best_params = state.net.params.copy() if self.restore_best else None

    def on_epoch_end(self, state: Any) -> bool:
        """Count, keep the best, and stop where it is time."""
        if self._plateau.see(state):
            self.best_epoch = state.epoch
            if self.best_params is not None:
                self.best_params[...] = state.net.params
        return self._plateau.count > self.patience

    def on_train_end(self, state: Any) -> None:
        """Give the network its best parameters."""
        if self.best_params is not None and self.best_epoch >= 0:
            state.net.params = self.best_params

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        kept = {} if self.best_params is None else {"best_params": self.best_params}
        return {**self._plateau.get_state(), "best_epoch": self.best_epoch, **kept}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what `get_state` gave."""
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
    """Save the network after every epoch, or after every one that is the best so far.

    The file is one of `fastshallow.save`. To take up a training again, with its optimiser, use
    the argument ``checkpoint`` of `fastshallow.train`.

    Parameters
    ----------
    path : str or path-like
        The file; ``{epoch}`` in it is replaced by the number of the epoch, from 0.
    best_only : bool
        Whether only the best are saved.
    monitor : {"cost", "validation_cost", "validation_score"} or None
        What an epoch is judged by; None is the validation cost where there is one, else the cost.

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
        """Forget the training before; raise where no file can be written."""
        check_replaceable(Path(os.path.realpath(self.path)))
        check_savable(state.net)
        self._plateau.start()

    def on_epoch_end(self, state: Any) -> bool:
        """Save the network if it is to be saved."""
        if self._plateau.see(state) or not self.best_only:
            save(state.net, self.path.replace("{epoch}", str(state.epoch)))
        return False

    def get_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return self._plateau.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up what `get_state` gave."""
        self._plateau.set_state(state)


class JSONLinesLogger(Callback):
    """Write a line of JSON after every epoch.

    The line has epoch, cost, validation_cost, validation_score, learning_rate, steps and seconds;
    what there is none of, or is not finite, is null.

    Parameters
    ----------
    path : str or path-like
        The file. A training that starts anew replaces it, one that is resumed goes on with it.

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
        """Empty the file, or, if training is resumed, take away what comes again."""
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
