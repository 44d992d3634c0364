"""Save and load a network or a pipeline: one safetensors file, nothing in it that could run.

The file holds the tensors ``W1, b1, W2, b2, ...`` in the notes' shapes, (n_l, n_{l-1}) and
(n_l, 1), so that any safetensors reader can use them, and the architecture as JSON in its
metadata, under the key ``fastshallow``::

    {"format": "fastshallow.Network", "version": 1, "sizes": [64, 32, 10], "hidden": ["relu"],
     "output": "softmax", "dtype": "float32", "leaky_slope": 0.01, "sha256": "..."}

That of a `Pipeline` holds the same under ``network``, and its columns and its target::

    {"format": "fastshallow.Pipeline", "version": 1, "network": {"sizes": [2, 1], ...},
     "columns": [{"name": "colour", "kind": "text", "categories": ["blue", "red"], "fill": null}],
     "target": {"name": "warm", "task": "classification", "classes": ["no", "yes"]}}


`fastshallow.tensor_files` reads it, and has the checksum. The format of the tensors:
https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from . import _checks
from .network import Network
from .pipeline import Pipeline
from .tensor_files import KEY, TensorFile, Wrong, to_bytes

__all__ = ["ModelFileError", "load", "replace_file", "save"]

FORMAT = "fastshallow.Network"
PIPELINE_FORMAT = "fastshallow.Pipeline"
VERSION = 1
FIELDS = ("sizes", "hidden", "output", "dtype", "leaky_slope")

T = TypeVar("T")

# The names that safetensors gives to the dtypes of a network.
DTYPES = {"float32": "F32", "float64": "F64"}


class ModelFileError(ValueError):
    """A file that should hold a network does not; the message says which and why."""


def save(net: Network | Pipeline, path: str | os.PathLike[str]) -> None:
    """Write a network or a pipeline to a file, whole or not at all.

    Parameters
    ----------
    net : Network or Pipeline
        Not modified. Its parameters must be finite.
    path : str or path-like
        The file, usually ``*.safetensors``. One that exists is replaced, in one step: a crash
        or a full disk leaves the old one as it was.

    Raises
    ------
    ValueError
        Naming the parameter that is not finite; no file is written then.
    OSError
        Where the file cannot be written.

    Examples
    --------
    >>> import os, tempfile, fastshallow as fs
    >>> net = fs.Network((2, 3, 1)).init(seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     fs.save(net, path)
    ...     fs.load(path) == net
    True
    """
    if isinstance(net, Pipeline):
        form, described = PIPELINE_FORMAT, {"network": architecture_of(net.net), **net.describe()}
        net = net.net
    elif isinstance(net, Network):
        form, described = FORMAT, architecture_of(net)
    else:
        raise TypeError(f"net: expected a Network or a Pipeline; got {type(net).__name__}")
    _checks.finite_parameters(net.W, net.b)
    tensors = {}
    for layer, (W, b) in enumerate(zip(net.W, net.b, strict=True), 1):
        tensors[f"W{layer}"] = np.ascontiguousarray(W)
        tensors[f"b{layer}"] = b
    replace_file(path, to_bytes(tensors, {"format": form, "version": VERSION, **described}))


def architecture_of(net: Network) -> dict[str, Any]:
    """Return the arguments that make another network like this one, as JSON has them."""
    return {
        "sizes": list(net.sizes),
        "hidden": list(net.hidden),
        "output": net.output,
        "dtype": net.dtype.name,
        "leaky_slope": net.leaky_slope,
    }


def load(path: str | os.PathLike[str]) -> Network | Pipeline:
    """Read a network or a pipeline from a file that `save` or ``fastshallow train`` wrote.

    Parameters
    ----------
    path : str or path-like
        The file. Nothing in it is executed, so one from a stranger is safe to load.

    Returns
    -------
    Network or Pipeline
        What was saved, equal to it bit by bit.

    Raises
    ------
    ModelFileError
        A `ValueError` that says what is wrong with the file: cut short, of another kind or a
        later version, tensors missing or of another shape or dtype, values not finite, one bit
        changed; or a folder or a pipe. Sizes are compared with that of the file before memory is
        taken for them.
    OSError
        Where there is no such file (`FileNotFoundError`), or it cannot be read.

    Examples
    --------
    >>> import fastshallow as fs
    >>> fs.load("no-such.safetensors")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'no-such.safetensors'
    """
    return read_file(path, _read)


def read_file(path: str | os.PathLike[str], read: Callable[[TensorFile], T]) -> T:
    """Return what ``read`` makes of an open file of tensors; see `load` for the errors."""
    if os.path.isdir(path):
        raise ModelFileError(f"{path}: a folder, and no file")
    # Python's own errors: missing, no permission. A pipe is not waited for.
    with open(path, "rb", opener=_without_waiting) as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ModelFileError(f"{path}: not a regular file")
        try:
            file = TensorFile(opened, found.st_size)
            result = read(file)
            file.check_sum()
        except Wrong as error:
            raise ModelFileError(f"{path}: {error}") from error
    return result


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(file: TensorFile) -> Network | Pipeline:
    kept = read_metadata(file, "model", (FORMAT, PIPELINE_FORMAT), VERSION)
    form = kept.pop("format")
    del kept["version"]
    if form == FORMAT:
        return _network(file, kept)
    architecture = kept.pop("network", None)
    if not isinstance(architecture, dict):
        raise Wrong(f"network: expected its architecture; got {architecture!r}")
    net = _network(file, architecture)
    try:
        return Pipeline.described(net, kept)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Wrong(f"its columns or its target are no Pipeline's: {error}") from error


def _network(file: TensorFile, architecture: dict[str, Any]) -> Network:
    if set(architecture) != set(FIELDS):
        raise Wrong(
            f"its architecture: expected {', '.join(FIELDS)}; got {', '.join(sorted(architecture))}"
        )
    sizes = _sizes(architecture["sizes"])
    # Before a network is made: the sizes may be absurd, those of the tensors fit the file.
    _check_tensors(file, sizes, architecture["dtype"])
    try:
        net = Network(**architecture)
    except (TypeError, ValueError) as error:
        raise Wrong(f"its architecture is no Network's: {error}") from error
    for layer in range(1, len(sizes)):
        for letter, array in (("W", net.W[layer - 1]), ("b", net.b[layer - 1])):
            array[...] = file.get_tensor(f"{letter}{layer}")
    try:
        _checks.finite_parameters(net.W, net.b)
    except ValueError as error:
        raise Wrong(str(error)) from error
    return net


def read_metadata(
    file: TensorFile, kind: str, form: str | tuple[str, ...], version: int
) -> dict[str, Any]:
    """Return what the metadata of a file of this form, or one of these, says."""
    forms = (form,) if isinstance(form, str) else form
    metadata = file.metadata
    if KEY not in metadata:
        raise Wrong(f"no fastshallow {kind}: its metadata has no {KEY!r}")
    found = file.description()
    if not isinstance(found, dict) or found.get("format") not in forms:
        raise Wrong(f"no fastshallow {kind}: its metadata has no format {forms[0]!r}")
    if found.get("version") != version:
        raise Wrong(
            f"format version {found.get('version')!r}; this fastshallow reads version {version}"
        )
    return {name: value for name, value in found.items() if name != "sha256"}


def _sizes(value: Any) -> list[int]:
    if not isinstance(value, list) or len(value) < 2:
        raise Wrong(f"sizes: expected a list of two numbers or more; got {value!r}")
    try:
        return [_checks.whole(f"sizes[{i}]", n, 1) for i, n in enumerate(value)]
    except (TypeError, ValueError) as error:
        raise Wrong(str(error)) from error


def _check_tensors(file: TensorFile, sizes: list[int], dtype: Any) -> None:
    """Raise unless the file has the tensors of these sizes, all in this dtype, and no other."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Wrong(f"dtype: expected one of {', '.join(DTYPES)}; got {dtype!r}")
    expected = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), 1):
        expected[f"W{layer}"] = [fan_out, fan_in]
        expected[f"b{layer}"] = [fan_out, 1]
    names = set(file.tensors)
    if names != set(expected):
        raise Wrong(
            f"tensors: expected {', '.join(expected)}; got {', '.join(sorted(names)) or 'none'}"
        )
    for name, shape in expected.items():
        tensor = file.tensors[name]
        if tensor.shape != shape:
            raise Wrong(f"{name}: expected shape {shape}; got {tensor.shape}")
        if tensor.dtype != DTYPES[dtype]:
            raise Wrong(f"{name}: expected dtype {DTYPES[dtype]}; got {tensor.dtype}")


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Make ``data`` the contents of a file, whole or not at all, also through a power cut.

    Parameters
    ----------
    path : str or path-like
        The file; where it is a symbolic link, the file that it points to.
    data : bytes
        Its new contents.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fastshallow.serialization import replace_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data")
    ...     replace_file(path, b"old")
    ...     replace_file(path, b"new")
    ...     path.read_bytes(), len(list(path.parent.iterdir()))
    (b'new', 1)
    """
    target = Path(os.path.realpath(path))
    check_replaceable(target)
    # open() and not tempfile: the file gets the permissions that the user's umask gives. A short
    # name, which fits wherever the target's fits. In the same folder, or it would be a copy.
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too must leave nothing behind
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def check_replaceable(path: Path) -> None:
    """Raise where a file cannot take the place of what is there: a folder, a device, no folder."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if path.exists() and not path.is_file():
        # os.replace would do it, and /dev/null would be a file from then on
        raise FileExistsError(errno.EEXIST, "Not a regular file", str(path))


def _sync_folder(folder: Path) -> None:
    """Bring the new name of a file to the disk, where the system can (POSIX)."""
    if os.name != "posix":
        return
    # The file is whole and in its place: a file system that cannot sync folders is no error.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
