"""Reading and writing of safetensors files with a JSON description and a checksum of both.

The safetensors library writes the files. Its reader is not used, for two reasons: it accepts
duplicate keys, and it reads through a memory map. If another program truncates a mapped file, the
process dies (SIGBUS). The reader here accepts only the output of `to_bytes`, with the tensors in
any order.

Format (https://github.com/huggingface/safetensors): eight bytes with the length of the header; the
header, a JSON object with dtype, shape and data offsets of each tensor; the tensors without gaps.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from safetensors.numpy import save

from ..network.checks import shown
from ..tables.mistakes import plain

__all__ = [
    "HEADER_MOST",
    "KEY",
    "TensorFile",
    "TooLong",
    "Wrong",
    "check_length",
    "to_bytes",
]

# The metadata has one key only: safetensors writes several keys in random order, and equal networks
# must give equal files.
KEY = "fastshallow"

# Bytes of a header. JSON takes 30 times as much memory in Python.
HEADER_MOST = 1 << 22

DIMENSIONS_MOST = 32  # the limit of NumPy 1

DTYPES = {f"{kind.upper()}{8 * n}": f"<{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)}
DTYPES |= {"BOOL": "?", "F16": "<f2", "F32": "<f4", "F64": "<f8"}


class Wrong(Exception):
    """A file is invalid; the message does not name it."""


class TooLong(ValueError):
    """A description is too long to be read again.

    Parameters
    ----------
    surplus : int
        Bytes of the header over the limit.
    """

    def __init__(self, surplus: int):
        self.surplus = surplus
        super().__init__(
            f"description: expected one that takes {HEADER_MOST:,} bytes at most; got "
            f"{HEADER_MOST + surplus:,}"
        )


class Tensor(NamedTuple):
    """The header's entry of a tensor."""

    dtype: str
    shape: list[int]
    begin: int
    end: int


def to_bytes(
    tensors: dict[str, np.ndarray],
    description: dict[str, Any],
    default: Callable[[Any], Any] | None = None,
) -> bytes:
    """Return the contents of a file.

    Parameters
    ----------
    tensors : dict of ndarray
        Tensors by name; not modified.
    description : dict
        Description for JSON.
    default : callable or None
        Converts other types to those of JSON; see `json.dumps`.

    Raises
    ------
    TooLong
        The header is longer than `HEADER_MOST`.
    """
    tensors = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    content, specs = check_length(tensors, description, default)
    content["sha256"] = _digest(content, specs, tensors)
    return save(tensors, {KEY: json.dumps(content)})


def check_length(
    tensors: dict[str, np.ndarray],
    description: dict[str, Any],
    default: Callable[[Any], Any] | None = None,
) -> tuple[dict[str, Any], dict[str, tuple[str, list[int]]]]:
    """Return the description in types of JSON, and dtype and shape of each tensor.

    Arguments and errors are those of `to_bytes`.
    """
    content = json.loads(json.dumps(description, default=default))
    specs = {name: (_dtype_name(array.dtype), list(array.shape)) for name, array in tensors.items()}
    # as safetensors writes it: without spaces, tensors of larger items first
    header: dict[str, Any] = {"__metadata__": {KEY: json.dumps({**content, "sha256": "0" * 64})}}
    end = 0
    for name in sorted(specs, key=lambda name: (-tensors[name].itemsize, name)):
        begin, end = end, end + tensors[name].nbytes
        dtype, shape = specs[name]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False)
    length = -(-len(text.encode("utf-8", "surrogatepass")) // 8) * 8
    if length > HEADER_MOST:
        raise TooLong(length - HEADER_MOST)
    return content, specs


class TensorFile:
    """An open safetensors file with a valid header and complete tensors.

    Parameters
    ----------
    file : binary file
        The file, at its beginning.
    size : int
        Length of the file in bytes.

    Attributes
    ----------
    metadata : dict of str
        Metadata of safetensors.
    tensors : dict of Tensor
        Entries of the header by name.
    """

    def __init__(self, file: BinaryIO, size: int):
        self._file = file
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or length > size - 8:
            raise _broken(f"{size} bytes, and a header of {length}")
        if length > HEADER_MOST:
            raise _broken(f"a header of {length} bytes, and {HEADER_MOST} at most are read")
        data = bytearray(length)
        self._fill(data)
        header = _parse(data)
        if not isinstance(header, dict):
            raise _broken("its header is no JSON object")
        self.metadata = header.pop("__metadata__", {})
        if not isinstance(self.metadata, dict) or not all(
            isinstance(value, str) for value in self.metadata.values()
        ):
            raise _broken("its metadata are no strings by name")
        self.tensors = {name: _tensor(name, entry) for name, entry in header.items()}
        self._start, end = 8 + length, 0
        for name, tensor in sorted(self.tensors.items(), key=lambda item: item[1][2:]):
            if tensor.begin != end:
                raise _broken(f"{plain(name)} begins at {tensor.begin}, and not at {end}")
            end = tensor.end
        if self._start + end != size:
            raise _broken(f"{size} bytes; its tensors end at {self._start + end}")
        self._arrays: dict[str, np.ndarray] = {}

    def description(self) -> Any:
        """Return the description from the metadata."""
        try:
            return json.loads(self.metadata[KEY], object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise Wrong(f"its metadata {KEY!r} is not JSON ({error})") from error

    def get_tensor(self, name: str) -> np.ndarray:
        """Return a tensor; it is read once."""
        if name not in self._arrays:
            dtype, shape, begin, _ = self.tensors[name]
            array = np.empty(math.prod(shape), DTYPES[dtype])
            self._file.seek(self._start + begin)
            self._fill(array.view("u1"))
            array = array.astype(array.dtype.newbyteorder("="), copy=False)
            self._arrays[name] = array.reshape(shape)
        return self._arrays[name]

    def check_sum(self) -> None:
        """Raise unless the checksum matches the tensors and the description."""
        content = self.description()
        if not isinstance(content, dict):
            raise Wrong(f"its metadata {KEY!r} is no JSON object")
        found = content.pop("sha256", None)
        specs = {name: (tensor.dtype, tensor.shape) for name, tensor in self.tensors.items()}
        arrays = {name: self.get_tensor(name) for name in self.tensors}
        if found != _digest(content, specs, arrays):
            raise Wrong("its checksum is another: what it holds is not what was saved")

    def _fill(self, buffer: Any) -> None:
        if self._file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
            raise _broken("it was cut short while it was read")


def _broken(reason: str) -> Wrong:
    return Wrong(f"not a whole safetensors file ({reason})")


def _parse(data: bytearray) -> Any:
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _broken(f"its header is not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise if a key repeats."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"two keys {shown(twice)}")
    return found


def _tensor(name: str, entry: Any) -> Tensor:
    """Return the checked entry of a tensor in the header."""
    where = plain(name)
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _broken(f"{where}: expected dtype, shape and data_offsets; got {shown(entry)}")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        found = plain(dtype) if isinstance(dtype, str) else shown(dtype)
        raise _broken(f"{where}: its dtype {found} is unknown")
    for kind, values in (("shape", shape), ("data_offsets", offsets)):
        sizes = isinstance(values, list) and len(values) <= DIMENSIONS_MOST
        if not sizes or not all(type(n) is int and 0 <= n < 1 << 63 for n in values):
            raise _broken(f"{where}: its {kind} {shown(values)} are no sizes")
    bytes_ = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != bytes_:
        raise _broken(
            f"{where}: shape {shown(shape)} takes {shown(bytes_)} bytes; its data_offsets are "
            f"{shown(offsets)}"
        )
    return Tensor(dtype, shape, *offsets)


def _dtype_name(dtype: np.dtype) -> str:
    little = dtype.newbyteorder("<").str.replace("|", "<")
    for name, known in DTYPES.items():
        if np.dtype(known).str.endswith(little[1:]):
            return name
    raise TypeError(f"a file keeps arrays of numbers; got dtype {dtype}")


def _digest(
    content: dict[str, Any],
    specs: dict[str, tuple[str, list[int]]],
    arrays: dict[str, np.ndarray],
) -> str:
    """Return the SHA-256 of a description and of tensors, sorted by name."""
    digest = hashlib.sha256(json.dumps([content, specs], sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).reshape(-1).view("u1").data)
    return digest.hexdigest()
