"""Checkpoints: one safetensors file with the whole state of a training.

The file has these tensors: ``params``, ``optimizer`` (its state vectors), ``history.NAME`` (the
history's series), ``callback.NUMBER.NAME`` (the callbacks' arrays) and ``evaluations.NAME`` (the
evaluations of L-BFGS). Everything else is JSON in the metadata, under the key ``fastshallow``. The
file is replaced atomically.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from ..files.models import read_file, read_metadata, replace_file
from ..files.tensor_files import TensorFile, TooLong, Wrong, check_length, to_bytes
from ..network import checks
from ..tables.mistakes import plain
from .history import SERIES

__all__ = ["Checkpoint", "read_checkpoint"]

FORMAT = "fastshallow.Checkpoint"
VERSION = 1

# Pause between writes, as a multiple of the last write's duration: writing takes at most 1 / 20 of
# the time, even if epochs are shorter than a write.
PAUSE = 19


class Checkpoint:
    """A file with the state of a training after an epoch, or after the step before Ctrl-C.

    ``settings`` must be equal when the training is resumed.
    """

    def __init__(self, path: str, settings: dict[str, Any]):
        self.path, self.settings = path, settings
        self._due = 0.0

    def is_due(self) -> bool:
        """Return whether enough time has passed since the last write."""
        return time.monotonic() >= self._due

    def write(self, net: Any, tensors: dict[str, np.ndarray], rest: dict[str, Any]) -> None:
        """Replace the file with the parameters of ``net``, other tensors, and JSON values."""
        began = time.monotonic()
        replace_file(self.path, to_bytes(*self._contents(net, tensors, rest), _plain))
        ended = time.monotonic()
        self._due = ended + PAUSE * (ended - began)

    def check(self, net: Any, tensors: dict[str, np.ndarray], rest: dict[str, Any]) -> None:
        """Raise TypeError or ValueError if `write` could not store values of these types."""
        try:
            check_length(*self._contents(net, tensors, rest), _plain)
        except TooLong as error:
            raise ValueError(f"checkpoint: {error}") from error

    def _contents(
        self, net: Any, tensors: dict[str, np.ndarray], rest: dict[str, Any]
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the tensors and the metadata of the file."""
        described = {
            "format": FORMAT,
            "version": VERSION,
            "network": net._described(),
            "settings": self.settings,
            **rest,
        }
        return {"params": net.params, **tensors}, described

    def read(
        self, net: Any, vectors: int, steps: int, evaluated: bool
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return the tensors and the metadata, or None if there is no file yet.

        Raises ModelFileError if the file is not a complete checkpoint, or belongs to another
        training: another network, number of state vectors or of steps per epoch, or setting.
        ``evaluated`` tells whether the file must have evaluations of L-BFGS.
        """
        if not os.path.lexists(self.path):
            return None

        def read(file: TensorFile) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
            tensors, rest = read_checkpoint(file)
            self._check(net, rest)
            _check_tensors(net, vectors, evaluated, tensors)
            _check_rest(rest, tensors["history.cost"].size, steps, self.settings)
            return tensors, rest

        return read_file(self.path, read)

    def _check(self, net: Any, rest: dict[str, Any]) -> None:
        """Raise unless network and settings are those of this training."""
        for name in ("network", "settings"):
            if not isinstance(rest[name], dict):
                raise Wrong(f"{name}: expected a dict; got {checks.shown(rest[name])}")
        wanted = {"network": net._described(), **self.settings}
        found = {"network": rest["network"], **rest["settings"]}
        for name, value in wanted.items():
            if found.get(name) != value:
                raise Wrong(
                    f"{name}: this training has {_text(value)}; the file has "
                    f"{_text(found.get(name))}"
                )


def _text(value: Any) -> str:
    return plain(value) if isinstance(value, str) else checks.shown(value)


def _check_tensors(net: Any, vectors: int, evaluated: bool, tensors: dict[str, np.ndarray]) -> None:
    """Raise unless all tensors have the expected shape and dtype."""
    n, dtype, double = net.params.size, net.dtype, np.dtype("f8")
    epochs = np.size(tensors.get("history.cost", ()))
    wanted = {"params": ((n,), dtype), "optimizer": ((vectors, n), dtype)}
    wanted |= {
        f"history.{name}": ((epochs,), np.dtype("i8") if name == "steps" else double)
        for name in SERIES
    }
    if evaluated:
        count = np.size(tensors.get("evaluations.cost", ()))
        wanted["evaluations.start"] = (n,), dtype
        wanted["evaluations.cost"] = (count,), double
        wanted["evaluations.gradient"] = (count, n), dtype
    for name, (shape, of) in wanted.items():
        if name not in tensors:
            raise Wrong(f"no whole checkpoint: {name} is missing")
        found = tensors[name]
        # without validation, or before the last epoch has its score
        few = name.startswith("history.validation") and found.size < epochs
        if found.shape != ((found.size,) if few else shape) or found.dtype != of:
            raise Wrong(
                f"{name}: expected shape {shape} and dtype {of}; got {found.shape}, {found.dtype}"
            )


def _check_rest(rest: dict[str, Any], epochs: int, steps: int, settings: dict[str, Any]) -> None:
    """Raise unless the JSON values have the expected types and ranges."""
    bounds = {"epoch": (epochs - 1, epochs - 1), "begun": (0, max(0, steps - 1))}
    bounds |= {name: (0, 2**63 - 1) for name in ("steps", "examples", "epochs")}
    for name, (least, most) in bounds.items():
        try:
            checks.whole(name, rest[name], least, most)
        except (TypeError, ValueError) as error:
            raise Wrong(str(error)) from error
    types = {"order": dict, "schedule": dict, "callbacks": list, "stopped": str, "owed": bool}
    for name, wanted in (types | {"sums": list}).items():
        if type(rest[name]) is not wanted:
            raise Wrong(f"{name}: expected a {wanted.__name__}; got {checks.shown(rest[name])}")
    if len(rest["sums"]) != 2 or not all(type(x) is float for x in rest["sums"]):
        raise Wrong(f"sums: expected two numbers; got {checks.shown(rest['sums'])}")
    count, kept = len(settings["callbacks"]), rest["callbacks"]
    if len(kept) != count or not all(isinstance(values, dict) for values in kept):
        raise Wrong(f"callbacks: expected {count} dicts; got {checks.shown(kept)}")


def read_checkpoint(file: TensorFile) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the metadata of an open checkpoint."""
    rest = read_metadata(file, "checkpoint", FORMAT, VERSION)
    file.check_sum()
    names = set(file.tensors)
    fields = {"network", "settings", "epoch", "steps", "examples", "epochs", "order", "schedule"}
    fields |= {"callbacks", "stopped", "begun", "sums", "owed"}
    fields |= {"format", "version"}
    if not {"params", "optimizer"} <= names or fields != set(rest):
        raise Wrong("no whole checkpoint: parts of it are missing, or unknown")
    return {name: file.get_tensor(name) for name in names}, rest


def _plain(value: Any) -> Any:
    """Convert NumPy values for JSON."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"a checkpoint cannot keep a {type(value).__name__}: {checks.shown(value)}")
