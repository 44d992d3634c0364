"""Saving and loading of a network or a pipeline: one safetensors file without executable content.

The file holds the tensors ``W1, b1, W2, b2, ...`` with shapes (n_l, n_{l-1}) and (n_l, 1), readable
by any safetensors library. Its metadata hold the architecture as JSON (key ``fastshallow``)::

    {"format": "fastshallow.Network", "version": 1, "sizes": [64, 32, 10], "hidden": ["relu"],
     "output": "softmax", "dtype": "float32", "leaky_slope": 0.01, "sha256": "..."}

For a `Pipeline` the JSON holds the architecture under ``network``, the columns, the target and, if
there are any, scores::

    {"format": "fastshallow.Pipeline", "version": 1, "network": {"sizes": [2, 1], ...},
     "columns": [{"name": "colour", "kind": "text", "categories": ["blue", "red"], "fill": null}],
     "target": {"name": "warm", "task": "classification", "classes": ["no", "yes"]},
     "scores": {"class_counts": [3, 2], "held_out": {"rows": 2, "accuracy": 0.5, ...}}}

and, unless all is read as pandas does, ``"reading": {"missing": ["?"]}``.

`fastshallow.files.tensor_files` reads the file and checks its checksum.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..network import checks
from ..network.network import ARGUMENTS, Network
from ..tables.mistakes import plain
from ..tables.pipeline import Pipeline
from .tensor_files import KEY, TensorFile, TooLong, Wrong, check_length, to_bytes

__all__ = ["ModelFileError", "check_savable", "load", "replace_file", "save"]

FORMAT = "fastshallow.Network"
PIPELINE_FORMAT = "fastshallow.Pipeline"
VERSION = 1

NAMES_MOST = 10  # in a message

T = TypeVar("T")

ACL = "system.posix_acl_access"  # Linux's attribute of a file with its access control list

# safetensors' names of dtypes.
DTYPES = {"float32": "F32", "float64": "F64"}


class ModelFileError(ValueError):
    """A file does not hold a valid model or checkpoint.

    Parameters
    ----------
    message : str
        The path and the reason.

    Examples
    --------
    >>> import pathlib, tempfile, fastshallow as fs
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "model")
    ...     path.touch()
    ...     try:
    ...         fs.load(path)
    ...     except fs.ModelFileError as error:
    ...         print(str(error).removeprefix(f"{path}: "))
    not a whole safetensors file (0 bytes, and a header of 0)
    """

    def __init__(self, message: str):
        super().__init__(message)


def save(net: Network | Pipeline, path: str | os.PathLike[str]) -> None:
    """Write a network or a pipeline to a file, completely or not at all.

    Parameters
    ----------
    net : Network or Pipeline
        Not modified. Its parameters must be finite.
    path : str or path-like
        The file, usually ``*.safetensors``. An existing file is replaced in one step: after a crash
        or on a full disk the old file is unchanged. The new file gets the old permissions.

    Raises
    ------
    ValueError
        A parameter is not finite, or the description of the columns is longer than `load` reads
        (4 MB). No file is written.
    OSError
        The file cannot be written.

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
    check_savable(net)
    checks.finite_parameters(net.net if isinstance(net, Pipeline) else net)
    replace_file(path, to_bytes(*_contents(net)))


def _contents(model: Network | Pipeline) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the tensors and the description of a model's file."""
    if isinstance(model, Pipeline):
        # checks parts that were replaced
        model = Pipeline(model.net, model.columns, model.target, model.reading, scores=model.scores)
        net, form, more = model.net, PIPELINE_FORMAT, model.describe()
        described = {"network": net._described(), **more}
    elif isinstance(model, Network):
        net, form, described = model, FORMAT, model._described()
    else:
        raise TypeError(f"net: expected a Network or a Pipeline; got {type(model).__name__}")
    tensors = {}
    for layer, (W, b) in enumerate(zip(net.W, net.b, strict=True), 1):
        tensors[f"W{layer}"], tensors[f"b{layer}"] = W, b
    return tensors, {"format": form, "version": VERSION, **described}


def check_savable(model: Network | Pipeline) -> None:
    """Raise if a model cannot be saved; called before training.

    Parameters
    ----------
    model : Network or Pipeline
        Not modified.

    Raises
    ------
    ValueError
        The description is longer than `load` reads. The message names the columns to drop, the
        largest first.
    """
    try:
        check_length(*_contents(model))
    except TooLong as error:
        if not isinstance(model, Pipeline):
            raise
        raise ValueError(f"{error}; {_columns_to_drop(model, error.surplus)}") from error


def _columns_to_drop(model: Pipeline, surplus: int) -> str:
    """Return a message: the columns to drop to shorten the description by ``surplus`` bytes."""
    # JSON within JSON: quotes and backslashes are escaped twice
    sizes = {c.name: len(json.dumps(json.dumps(c.describe()))) for c in model.columns}
    found = []
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        found.append(f"'{plain(name)}' ({sizes[name]:,} bytes)")
        surplus -= sizes[name]
        if surplus <= 0:
            more = f" and {len(found) - NAMES_MOST} more" if len(found) > NAMES_MOST else ""
            return f"it fits without the columns {', '.join(found[:NAMES_MOST])}{more}"
    return f"the classes of target '{plain(model.target.name)}' take too much"


def load(path: str | os.PathLike[str]) -> Network | Pipeline:
    """Read a network or a pipeline from a file that `save` or ``fastshallow train`` wrote.

    Parameters
    ----------
    path : str or path-like
        The file. Nothing in it is executed, so files from strangers are safe to load.

    Returns
    -------
    Network or Pipeline
        The saved model, with the same bits.

    Raises
    ------
    ModelFileError
        A `ValueError` with the reason: the file is truncated, of another kind or a later version, a
        folder or a pipe; tensors are missing or have another shape or dtype; values are not finite;
        columns or classes are invalid; the checksum differs. Sizes are compared with the file size
        before memory is allocated.
    OSError
        There is no such file (`FileNotFoundError`), or it cannot be read.

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
    """Return ``read(file)`` for an opened file of tensors; the errors are those of `load`."""
    if os.path.isdir(path):
        raise ModelFileError(f"{path}: a folder, and no file")
    with open(path, "rb", opener=_open_nonblocking) as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ModelFileError(f"{path}: not a regular file")
        try:
            file = TensorFile(opened, found.st_size)
            result = read(file)
            file.check_sum()
        except Wrong as error:
            raise ModelFileError(f"{path}: {error}") from error
        except RecursionError as error:
            raise ModelFileError(f"{path}: its description is nested too deeply") from error
    return result


def _open_nonblocking(path: str, flags: int) -> int:
    # opening a pipe would wait for its writer
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(file: TensorFile) -> Network | Pipeline:
    kept = read_metadata(file, "model", (FORMAT, PIPELINE_FORMAT), VERSION)
    form = kept.pop("format")
    del kept["version"]
    if form == FORMAT:
        return _network(file, kept)
    net = _network(file, kept.pop("network", None))
    try:
        return Pipeline.described(net, kept)
    except (TypeError, ValueError) as error:
        raise Wrong(f"its columns or its target are no Pipeline's: {error}") from error


def _network(file: TensorFile, architecture: Any) -> Network:
    if not isinstance(architecture, dict):
        raise Wrong(f"network: expected its architecture; got {checks.shown(architecture)}")
    if set(architecture) != set(ARGUMENTS):
        raise Wrong(
            f"its architecture: expected {', '.join(ARGUMENTS)}; got {_names(sorted(architecture))}"
        )
    sizes = _sizes(architecture["sizes"])
    # Before a network is made: its sizes may be huge, those of the tensors fit the file.
    _check_tensors(file, sizes, architecture["dtype"])
    try:
        if not isinstance(architecture["hidden"], list):
            raise TypeError(f"hidden: expected a list; got {checks.shown(architecture['hidden'])}")
        net = Network(**architecture)
    except (TypeError, ValueError) as error:
        raise Wrong(f"its architecture is no Network's: {error}") from error
    for layer, (W, b) in enumerate(zip(net.W, net.b, strict=True), 1):
        W[...], b[...] = file.get_tensor(f"W{layer}"), file.get_tensor(f"b{layer}")
    try:
        checks.finite_parameters(net)
    except ValueError as error:
        raise Wrong(str(error)) from error
    return net


def read_metadata(
    file: TensorFile, kind: str, form: str | tuple[str, ...], version: int
) -> dict[str, Any]:
    """Return the description in a file's metadata, checked for format and version."""
    forms = (form,) if isinstance(form, str) else form
    metadata = file.metadata
    if KEY not in metadata:
        raise Wrong(f"no fastshallow {kind}: its metadata has no {KEY!r}")
    found = file.description()
    if not isinstance(found, dict) or found.get("format") not in forms:
        raise Wrong(f"no fastshallow {kind}: its metadata has no format {forms[0]!r}")
    if type(found.get("version")) is not int or found["version"] != version:
        raise Wrong(
            f"format version {checks.shown(found.get('version'))}; this fastshallow reads version "
            f"{version}"
        )
    return {name: value for name, value in found.items() if name != "sha256"}


def _names(names: Iterable[str]) -> str:
    """Return names from a file, shortened for a message."""
    found = list(names)
    text = ", ".join(map(plain, found[:NAMES_MOST])) or "none"
    return text if len(found) <= NAMES_MOST else f"{text} and {len(found) - NAMES_MOST} more"


def _sizes(value: Any) -> list[int]:
    if not isinstance(value, list) or len(value) < 2:
        raise Wrong(f"sizes: expected a list of two numbers or more; got {checks.shown(value)}")
    try:
        return [checks.whole(f"sizes[{i}]", n, 1) for i, n in enumerate(value)]
    except (TypeError, ValueError) as error:
        raise Wrong(str(error)) from error


def _check_tensors(file: TensorFile, sizes: list[int], dtype: Any) -> None:
    """Raise unless the file has exactly the tensors of these sizes and this dtype."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Wrong(f"dtype: expected one of {', '.join(DTYPES)}; got {checks.shown(dtype)}")
    expected = {}
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), 1):
        expected[f"W{layer}"] = [fan_out, fan_in]
        expected[f"b{layer}"] = [fan_out, 1]
    if set(file.tensors) != set(expected):
        raise Wrong(f"tensors: expected {_names(expected)}; got {_names(sorted(file.tensors))}")
    for name, shape in expected.items():
        tensor = file.tensors[name]
        if tensor.shape != shape:
            raise Wrong(f"{name}: expected shape {shape}; got {checks.shown(tensor.shape)}")
        if tensor.dtype != DTYPES[dtype]:
            raise Wrong(f"{name}: expected dtype {DTYPES[dtype]}; got {tensor.dtype}")


def replace_file(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the contents of a file completely or not at all, even if the power fails.

    Parameters
    ----------
    path : str or path-like
        The file; a symbolic link is followed. The new file gets the access rights of the old one,
        never more.
    data : bytes
        New contents.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fastshallow.files.models import replace_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "data")
    ...     replace_file(path, b"old")
    ...     replace_file(path, b"new")
    ...     path.read_bytes(), len(list(path.parent.iterdir()))
    (b'new', 1)
    """
    target = Path(os.path.realpath(path))
    check_replaceable(target)
    # A replacement is private until it gets the old permissions; a new file follows the umask. The
    # temporary name is short, because file systems limit names. It is in the same folder, because
    # os.replace cannot move a file to another file system.
    old = os.stat(target) if target.exists() else None
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb", opener=None if old is None else _open_private) as file:
            file.write(data)
            if old is not None and os.name == "posix":
                _give_access(file.fileno(), target, old)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C too must leave nothing behind
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _give_access(file: int, target: Path, old: os.stat_result) -> None:
    """Give an open file the owner, group and access rights of the target, never more."""
    mode, new = stat.S_IMODE(old.st_mode) & 0o777, os.fstat(file)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        for owner, group in ((old.st_uid, old.st_gid), (-1, old.st_gid)):
            with contextlib.suppress(OSError):  # only root can change the owner
                os.fchown(file, owner, group)
                break
    if os.fstat(file).st_gid != old.st_gid:  # the wrong group must not read it
        mode &= ~stat.S_IRWXG
    acl = _acl_of(target)
    if acl is None:
        with contextlib.suppress(OSError, AttributeError):  # the folder's default list
            os.removexattr(file, ACL)
    os.fchmod(file, mode if acl is None else mode & ~stat.S_IRWXG)
    if acl is not None:  # it contains the rights of the group
        with contextlib.suppress(OSError):
            os.setxattr(file, ACL, acl)


def _acl_of(path: Path) -> bytes | None:
    """Return the access control list of a file (Linux), or None."""
    try:
        return os.getxattr(path, ACL)
    except (OSError, AttributeError):
        return None


def check_replaceable(path: Path) -> None:
    """Raise unless ``path`` is absent or a regular file, in a writable folder."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path.parent))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(path.parent))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if path.exists() and not path.is_file():
        # os.replace would turn /dev/null into a regular file
        raise FileExistsError(errno.EEXIST, "Not a regular file", str(path))


def _sync_folder(folder: Path) -> None:
    """Flush the entries of a folder to the disk (POSIX)."""
    if os.name != "posix":
        return
    # Some file systems cannot sync folders. That is no error: the file itself is complete.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
