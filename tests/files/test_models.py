"""Model files: the same bits come back, and whatever is wrong with a file is said."""

from __future__ import annotations

import json
import os
import stat
import struct
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import fastshallow as fs
from fastshallow.files import models
from fastshallow.files.models import ModelFileError, replace_file
from fastshallow.files.tensor_files import KEY, to_bytes

ARCHITECTURE = {
    "format": "fastshallow.Network",
    "version": 1,
    "sizes": [2, 3, 1],
    "hidden": ["leaky_relu"],
    "output": "sigmoid",
    "dtype": "float32",
    "leaky_slope": 0.01,
}


def tensors(dtype="float32"):
    """Return the tensors that go with `ARCHITECTURE`."""
    shapes = {"W1": (3, 2), "b1": (3, 1), "W2": (1, 3), "b2": (1, 1)}
    return {name: np.ones(shape, dtype) for name, shape in shapes.items()}


def write(path, arrays=None, **changes):
    """Write a file like that of `save`, with changes to its architecture."""
    architecture = {k: v for k, v in (ARCHITECTURE | changes).items() if v is not None}
    path.write_bytes(to_bytes(tensors() if arrays is None else arrays, architecture))
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("sizes", "hidden", "output"),
    [
        ((3, 1), "relu", "sigmoid"),
        ((5, 4, 3), "tanh", "softmax"),
        ((1, 1, 1), "leaky_relu", "exp"),
        ((2, 3, 4, 2), ["sigmoid", "linear"], "linear"),
        ((7, *[2] * 11, 1), "relu", "relu"),  # W10 comes after W9, not after W1
    ],
)
def test_round_trip_gives_the_same_bits(tmp_path, sizes, hidden, output, dtype):
    net = fs.Network(sizes, hidden, output, dtype, leaky_slope=1 / 3).init(seed=1)
    net.params = np.random.default_rng(2).standard_normal(net.params.size)
    net.b1[0] = -0.0
    path = tmp_path / "model.safetensors"
    fs.save(net, path)
    loaded = fs.load(path)
    assert loaded == net
    assert loaded.params.tobytes() == net.params.tobytes()
    assert loaded.leaky_slope == net.leaky_slope
    assert fs.load(str(path)) == net


def test_any_safetensors_reader_finds_the_notes_arrays(tmp_path):
    net = fs.Network((2, 3, 1)).init(seed=0)
    fs.save(net, tmp_path / "m")
    with safe_open(tmp_path / "m", framework="numpy") as file:
        assert sorted(file.keys()) == ["W1", "W2", "b1", "b2"]
        for name in file.keys():  # noqa: SIM118  # not a dict
            assert np.array_equal(file.get_tensor(name), getattr(net, name))
        assert json.loads(file.metadata()[KEY])["sizes"] == [2, 3, 1]


def test_one_network_gives_one_file(tmp_path):
    net = fs.Network((2, 3, 1)).init(seed=0)
    for name in "ab":
        fs.save(net, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_loaded_parameters_are_its_own_and_writable(tmp_path):
    net = fs.Network((2, 3, 1)).init(seed=0)
    path = tmp_path / "m"
    fs.save(net, path)
    loaded = fs.load(path)
    loaded.W1 += 1
    assert fs.load(path) == net


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.safetensors"):
        fs.load(tmp_path / "none.safetensors")
    with pytest.raises(ModelFileError, match="a folder, and no file"):
        fs.load(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, -1])
def test_file_cut_short(tmp_path, size):
    path = tmp_path / "m"
    fs.save(fs.Network((2, 3, 1)).init(seed=0), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelFileError, match=r"m: not a whole safetensors file"):
        fs.load(path)


def test_file_with_more_behind_it(tmp_path):
    path = tmp_path / "m"
    fs.save(fs.Network((2, 3, 1)).init(seed=0), path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="not a whole safetensors file"):
        fs.load(path)


def test_file_of_another_kind(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    with pytest.raises(ModelFileError, match="not a whole safetensors file"):
        fs.load(path)


@pytest.mark.skipif(os.name != "posix", reason="devices are files on POSIX")
def test_device():
    with pytest.raises(ModelFileError, match="/dev/null: not a regular file"):
        fs.load("/dev/null")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no fastshallow model"),
        ({"format": "pt"}, "no fastshallow model"),
        ({KEY: "{"}, "not JSON"),
        ({KEY: "[" * 100_000}, "not JSON"),
        ({KEY: "[1]"}, "no format 'fastshallow.Network'"),
        ({KEY: '{"format": "else"}'}, "no format 'fastshallow.Network'"),
    ],
)
def test_metadata_of_another_kind(tmp_path, metadata, message):
    path = tmp_path / "m"
    save_file(tensors(), path, metadata)
    with pytest.raises(ModelFileError, match=message):
        fs.load(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "format version 2; this fastshallow reads version 1"),
        ({"version": None}, "format version None"),
        ({"hidden": None}, "expected sizes, hidden, .*; got dtype, leaky_slope, output, sizes"),
        ({"more": 1}, "got dtype, hidden, leaky_slope, more"),
        ({"sizes": 3}, "sizes: expected a list"),
        ({"sizes": [2]}, "sizes: expected a list of two numbers or more"),
        ({"sizes": [2, 0, 1]}, r"sizes\[1\]: expected an integer >= 1; got 0"),
        ({"sizes": [2, True, 1]}, r"sizes\[1\]"),
        ({"sizes": [2, 3.0, 1]}, r"sizes\[1\]"),
        ({"sizes": [2, 10**12, 1]}, r"W1: expected shape \[1000000000000, 2\]; got \[3, 2\]"),
        ({"sizes": [2, 1]}, "tensors: expected W1, b1; got W1, W2, b1, b2"),
        ({"hidden": ["cubic"]}, "hidden: expected one of .*relu.*; got 'cubic'"),
        ({"hidden": []}, "hidden: expected one name, or 1"),
        ({"hidden": 7}, "its architecture is no Network's"),
        ({"output": "tanh"}, "output: expected one of"),
        ({"dtype": "float16"}, "dtype: expected one of float32, float64; got 'float16'"),
        ({"dtype": ["float32"]}, "dtype: expected one of"),
        ({"dtype": "float64"}, "W1: expected dtype F64; got F32"),
        ({"leaky_slope": -1}, "leaky_slope: expected a finite number >= 0"),
        ({"leaky_slope": float("nan")}, "leaky_slope: expected a finite number >= 0"),
        ({"leaky_slope": "steep"}, "leaky_slope"),
    ],
)
def test_architecture_that_is_none(tmp_path, changes, message):
    path = write(tmp_path / "m", **changes)
    with pytest.raises(ModelFileError, match=message) as raised:
        fs.load(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W2": None}, "tensors: expected W1, b1, W2, b2; got W1, b1, b2"),
        ({"W3": np.ones((1, 1), "f4")}, "got W1, W2, W3, b1, b2"),
        ({"W1": np.ones((2, 3), "f4")}, r"W1: expected shape \[3, 2\]; got \[2, 3\]"),
        ({"b1": np.ones(3, "f4")}, r"b1: expected shape \[3, 1\]; got \[3\]"),
        ({"b2": np.ones((1, 1), "f8")}, "b2: expected dtype F32; got F64"),
        ({"W2": np.full((1, 3), np.nan, "f4")}, r"W2: expected finite parameters; got nan"),
        ({"b1": np.full((3, 1), -np.inf, "f4")}, r"b1: expected finite parameters; got -inf"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path, change, message):
    arrays = {name: a for name, a in (tensors() | change).items() if a is not None}
    with pytest.raises(ModelFileError, match=message):
        fs.load(write(tmp_path / "m", arrays))


def test_what_write_writes_is_sound(tmp_path):
    assert fs.load(write(tmp_path / "m")).sizes == (2, 3, 1)  # or the tests above prove nothing


def test_only_finite_networks_are_saved(tmp_path):
    net = fs.Network((2, 3, 1))
    net.W2[0, 1] = np.nan
    with pytest.raises(ValueError, match="W2: expected finite parameters; got nan"):
        fs.save(net, tmp_path / "m")
    with pytest.raises(TypeError, match="net: expected a Network or a Pipeline; got dict"):
        fs.save({}, tmp_path / "m")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing, error):
    path = tmp_path / "m"
    net = fs.Network((2, 3, 1)).init(seed=0)
    fs.save(net, path)

    def fail(*arguments):
        raise error

    monkeypatch.setattr(models.os, failing, fail)
    with pytest.raises(type(error)):
        fs.save(net.copy().init(seed=1), path)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    assert fs.load(path) == net


def test_order_of_the_steps_that_make_it_last(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def noted(*arguments, name=name, original=original):
            calls.append(name)
            return original(*arguments)

        monkeypatch.setattr(models.os, name, noted)
    replace_file(tmp_path / "m", b"data")
    folder = ["fsync"] if os.name == "posix" else []
    assert calls == ["fsync", "replace", *folder]


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        fs.save(fs.Network((1, 1)), tmp_path / "none" / "m")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions, links and devices")
def test_permissions_links_and_devices(tmp_path):
    umask = os.umask(0o027)
    try:
        replace_file(tmp_path / "new", b"data")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640

    (tmp_path / "link").symlink_to("new")
    replace_file(tmp_path / "link", b"other")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new").read_bytes() == b"other"

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="Not a regular file"):
        replace_file(tmp_path / "pipe", b"data")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path, b"data")


def test_longest_name(tmp_path):
    path = tmp_path / ("m" * 255)  # the temporary file's name must not be longer
    replace_file(path, b"data")
    assert path.read_bytes() == b"data"


posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o644, 0o660, 0o666, 0o604, 0o444])
def test_a_file_keeps_its_permissions_and_is_never_more_readable(
    mode, umask, tmp_path, monkeypatch
):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(mode)
    seen = []
    original = os.fsync

    def looked(handle):
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode):
            seen.append(stat.S_IMODE(found.st_mode))
        original(handle)

    opened = []

    def opening(file, flags, mode=0o777, **options):
        handle = open_(file, flags, mode, **options)
        if flags & os.O_CREAT:
            opened.append(stat.S_IMODE(os.fstat(handle).st_mode))
        return handle

    open_ = os.open
    monkeypatch.setattr(models.os, "fsync", looked)
    monkeypatch.setattr(models.os, "open", opening)
    before = os.umask(umask)
    try:
        replace_file(path, b"new")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert seen == [mode] and len(opened) == 1
    assert not opened[0] & ~0o600


@posix
def test_what_replaces_files_keeps_their_permissions(tmp_path):
    net = fs.Network((2, 3, 1)).init(seed=0)
    X, Y = np.ones((2, 5)), np.ones((1, 5))
    writers = {
        "save": lambda path: fs.save(net, path),
        "checkpoint": lambda path: fs.train(net, X, Y, epochs=1, checkpoint=path),
        "callback": lambda path: fs.train(
            net, X, Y, epochs=1, callbacks=[fs.ModelCheckpoint(path)]
        ),
    }
    for name, write in writers.items():
        path = tmp_path / name
        umask = os.umask(0o022)
        try:
            write(path)
            assert stat.S_IMODE(path.stat().st_mode) == 0o644, name
            path.chmod(0o600)
            write(path)
        finally:
            os.umask(umask)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, name
        assert path.stat().st_uid == os.getuid()


@posix
def test_a_group_that_cannot_be_given_gets_nothing(tmp_path, monkeypatch):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    path.chmod(0o640)
    stat_ = os.stat

    def of_another_group(file, **options):
        found = stat_(file, **options)
        return os.stat_result((*found[:5], found.st_gid + 1, *found[6:10]))

    def refused(*arguments):
        raise PermissionError

    monkeypatch.setattr(models.os, "fchown", refused)
    monkeypatch.setattr(models.os, "stat", of_another_group)
    replace_file(path, b"new")
    monkeypatch.undo()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def acl(*named):
    """Return an access control list: owner rw, no group, others nothing, these users r."""
    entries = [(1, 6, -1), *((2, 4, user) for user in named), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    packed = (struct.pack("<HHi", *entry) for entry in entries)
    return struct.pack("<I", 2) + b"".join(packed)


@pytest.mark.skipif(sys.platform != "linux", reason="access control lists as Linux has them")
def test_access_control_lists(tmp_path):
    path = tmp_path / "m"
    path.write_bytes(b"old")
    name = "system.posix_acl_access"
    try:
        os.setxattr(path, name, acl(12345))
    except OSError:
        pytest.skip("this file system has no access control lists")
    replace_file(path, b"new")
    assert os.getxattr(path, name) == acl(12345)
    other = tmp_path / "n"
    other.write_bytes(b"old")
    other.chmod(0o640)
    os.setxattr(tmp_path, "system.posix_acl_default", acl(54321))  # what new files would get
    replace_file(other, b"new")
    assert stat.S_IMODE(other.stat().st_mode) == 0o640
    with pytest.raises(OSError, match="No data"):
        os.getxattr(other, name)
    replace_file(path, b"newer")
    assert os.getxattr(path, name) == acl(12345)
