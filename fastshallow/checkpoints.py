"""Checkpoints: one safetensors file from which a training goes on as if it had never stopped.

It holds the tensors ``params``, ``optimizer`` (the vectors of its state), the history's series as
``history.NAME``, the callbacks' arrays as ``callback.NUMBER.NAME`` and what L-BFGS was answered as
``evaluations.NAME``, and all else as JSON in its metadata under the key ``fastshallow``. It is
written whole or not at all.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from .serialization import architecture_of, read_file, read_metadata, replace_file
from .tensor_files import TensorFile, Wrong, to_bytes

__all__ = ["Checkpoint", "read_checkpoint"]

FORMAT = "fastshallow.Checkpoint"
VERSION = 1

# A write takes milliseconds, more on a slow disk; epochs may be shorter. So many times as long as
# the last write took must pass before the next: they take a twentieth of the time at most.
PAUSE = 19


class Checkpoint:
    """A file with the state of a training after an epoch, or after a step where Ctrl-C ended it.

    Parameters
    ----------
    path : str
        The file; replaced in one step.
    settings : dict
        What must be the same for a training to go on from it, by name.
    """

    def __init__(self, path: str, settings: dict[str, Any]):
        self.path, self.settings = path, settings
        self._due = 0.0

    def is_due(self) -> bool:
        """Return whether enough time has passed since the last write."""
        return time.monotonic() >= self._due

    def write(self, net: Any, tensors: dict[str, np.ndarray], rest: dict[str, Any]) -> None:
        """Replace the file.

        Parameters
        ----------
        net : Network
            Whose parameters to keep.
        tensors : dict of ndarray
            What else to keep exactly.
        rest : dict
            Numbers, strings, lists and dicts of them.
        """
        began = time.monotonic()
        tensors = {"params": net.params, **tensors}
        metadata = {
            "format": FORMAT,
            "version": VERSION,
            "network": architecture_of(net),
            "settings": self.settings,
            **rest,
        }
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        replace_file(self.path, to_bytes(arrays, metadata, _plain))
        ended = time.monotonic()
        self._due = ended + PAUSE * (ended - began)

    def read(self, net: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Return tensors and the rest, or None if there is no file yet.

        Raises
        ------
        ModelFileError
            Where the file is no whole checkpoint, or one of another network or training.
        """
        if not os.path.lexists(self.path):
            return None

        def read(file: TensorFile) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
            tensors, rest = read_checkpoint(file)
            self._check(net, tensors, rest)
            return tensors, rest

        return read_file(self.path, read)

    def _check(self, net: Any, tensors: dict[str, np.ndarray], rest: dict[str, Any]) -> None:
        """Raise unless this training can go on from what was read."""
        wanted = {"network": architecture_of(net), **self.settings}
        found = {"network": rest["network"], **rest["settings"]}
        for name, value in wanted.items():
            if found.get(name) != value:
                raise Wrong(f"{name}: this training has {value}; the file has {found.get(name)}")
        params = tensors["params"]
        if params.shape != net.params.shape or params.dtype != net.dtype:
            raise Wrong(f"params: expected {net.params.size} of {net.dtype}; got {params.shape}")


def read_checkpoint(file: TensorFile) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the metadata of an open checkpoint."""
    rest = read_metadata(file, "checkpoint", FORMAT, VERSION)
    file.check_sum()  # from here on it is what `write` wrote
    names = set(file.tensors)
    fields = {"network", "settings", "epoch", "steps", "examples", "epochs", "order", "schedule"}
    fields |= {"callbacks", "stopped", "begun", "sums", "owed"}
    if not {"params", "optimizer"} <= names or not fields <= set(rest):
        raise Wrong("no whole checkpoint: parts of it are missing")
    return {name: file.get_tensor(name) for name in names}, rest


def _plain(value: Any) -> Any:
    """Return as JSON what JSON does not know."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"a checkpoint cannot keep a {type(value).__name__}: {value!r}")
