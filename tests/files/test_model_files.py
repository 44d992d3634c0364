"""Model files that are damaged, made by others, written by two, or whose writer is killed.

A file that is read gives a `ModelFileError`, or a network equal to the one that was saved.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from processes import run, script

import fastshallow as fs
from fastshallow.files import models as models_module
from fastshallow.files import tensor_files
from fastshallow.files.models import ModelFileError
from fastshallow.files.tensor_files import KEY
from fastshallow.tables.columns import Column, Target
from fastshallow.tables.pipeline import UnseenCategories

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
posix = pytest.mark.skipif(os.name != "posix", reason="signals, pipes and forks")


def network(seed=0):
    """Return a small network with two hidden layers."""
    return fs.Network((3, 4, 2, 1), ["tanh", "leaky_relu"], dtype="float64").init(seed=seed)


def saved(folder, net=None):
    """Return the path of a saved network, and its bytes."""
    path = folder / "m"
    fs.save(net or network(), path)
    return path, path.read_bytes()


def split(data):
    """Return the header of a file, as a dict, and what is behind it."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, body):
    """Return a file of these parts; the header may be text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


# Mutations -----------------------------------------------------------------------------------

VALUES = [0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 1e300, None, True, "F32", [], [1], {}, "W1"]
VALUES += [[2**62, 4], [-1, -1], [0, 0], [4, 3], 10**400, "\ud800", "[" * 99, float("nan")]


def flipped(chance, data):
    """Flip up to three bits."""
    data = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def cut(chance, data):
    """Cut short."""
    return data[: chance.randrange(len(data))]


def longer(chance, data):
    """Put something behind it or into it."""
    at = chance.choice([len(data), chance.randrange(len(data))])
    return data[:at] + chance.randbytes(chance.randint(1, 40)) + data[at:]


def lost(chance, data):
    """Take a piece out."""
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randint(1, 40) :]


def resized(chance, data):
    """Say another length of the header."""
    length = int.from_bytes(data[:8], "little")
    other = [0, 1, length - 1, length + 1, 2**63, 2**64 - 1, 2**40, chance.randrange(2**16)]
    return chance.choice(other).to_bytes(8, "little") + data[8:]


def edited(chance, data):
    """Change a value somewhere in the header, or in the description within."""
    header, body = split(data)
    outer = chance.random() < 0.6
    inner = json.loads(header["__metadata__"][KEY])
    node = header if outer else inner
    while True:
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], (dict, list)) and node[key] and chance.random() < 0.8:
            node = node[key]
            continue
        break
    if chance.random() < 0.2:
        del node[key]
    else:
        node[key] = chance.choice(VALUES)
    if not outer:
        header["__metadata__"][KEY] = json.dumps(inner)
    return joined(header, body)


def doubled(chance, data):
    """Write a key twice, the second time with another value."""
    header, body = split(data)
    text = json.dumps(header)
    name = chance.choice(["W1", "b1", "W2", "__metadata__"])
    other = header[chance.choice(list(header))]
    more = f', "{name}": {json.dumps(other)}}}'
    return joined((text[:-1] + more).encode(), body)


def noise(chance, data):
    """Take anything at all."""
    return chance.randbytes(chance.randrange(300))


MUTATIONS = (flipped, cut, longer, lost, resized, edited, doubled, noise)


@pytest.mark.parametrize("n", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_mutated_file_is_refused_or_equal(n, tmp_path):
    net = network()
    path, whole = saved(tmp_path, net)
    checkpoint = tmp_path / "c"
    options = {"epochs": 2, "checkpoint": checkpoint, "resume": True}
    X, Y = np.ones((3, 4)), np.ones(4)
    trained = net.copy()
    fs.train(trained, X, Y, **options)
    whole_checkpoint = checkpoint.read_bytes()
    chance, refused = random.Random(0), 0
    for i in range(n):
        mutate = MUTATIONS[i % len(MUTATIONS)]
        path.write_bytes(mutate(chance, whole))
        try:
            assert fs.load(path) == net, mutate.__name__
        except ModelFileError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ") and len(str(error)) < 2000
        if i % 40 < len(MUTATIONS):
            checkpoint.write_bytes(mutate(chance, whole_checkpoint))
            other = net.copy()
            try:
                fs.train(other, X, Y, **options)
                assert other == trained
            except ModelFileError as error:
                assert str(error).startswith(f"{checkpoint}: ")
                assert other == net
    assert refused > 0.9 * n


def test_a_bit_of_a_weight_is_missed(tmp_path):
    path, data = saved(tmp_path)
    for at in range(len(data) - 8 * network().params.size, len(data), 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ModelFileError, match="its checksum is another"):
            fs.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (b'{"a":1,"a":1}', "two keys 'a'"),
        (b"[]", "no JSON object"),
        (b"{" * 10_000, "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"__metadata__": 3}', "no strings by name"),
        (b'{"__metadata__": {"fastshallow": {}}}', "no strings by name"),
        (b'{"W": 3}', "W: expected dtype, shape and data_offsets; got 3"),
        (b'{"W": {"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}', "its dtype BF16 is unknown"),
        (b'{"W": {"dtype":"F32","shape":[-1],"data_offsets":[0,2]}}', "no sizes"),
        (b'{"W": {"dtype":"F32","shape":[1e9],"data_offsets":[0,2]}}', "no sizes"),
        (b'{"W": {"dtype":"F32","shape":[true],"data_offsets":[0,4]}}', "no sizes"),
        (
            b'{"W": {"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}',
            "takes 73786976294838206464 bytes",  # 2^66, which is 0 in 64 bits
        ),
        (b'{"W": {"dtype":"U8","shape":[8],"data_offsets":[0,16]}}', "takes 8 bytes; its data_off"),
        (b'{"W": {"dtype":"U8","shape":[8],"data_offsets":[16,8]}}', "takes 8 bytes; its data_off"),
        (b'{"W": {"dtype":"U8","shape":[8],"data_offsets":[8,16]}}', "W begins at 8, and not at 0"),
        (b'{"W": {"dtype":"U8","shape":[8],"data_offsets":[0,8]}}', "its tensors end at"),
        (
            b'{"V": {"dtype":"U8","shape":[8],"data_offsets":[0,8]},'
            b'"W": {"dtype":"U8","shape":[8],"data_offsets":[0,8]}}',
            "W begins at 0, and not at 8",
        ),
    ],
)
def test_headers_that_are_wrong(change, message, tmp_path):
    path = tmp_path / "m"
    path.write_bytes(joined(change, b"\0" * 16))
    with pytest.raises(ModelFileError, match=message.replace("[", r"\[")):
        fs.load(path)


@pytest.mark.parametrize("other", [None, "", "0" * 64, 0, True, []])
def test_a_checksum_that_is_none(other, tmp_path):
    path, data = saved(tmp_path)
    header, body = split(data)
    inner = json.loads(header["__metadata__"][KEY])
    del inner["sha256"]
    for change in ({}, {"sha256": other}):
        header["__metadata__"][KEY] = json.dumps(inner | change)
        path.write_bytes(joined(header, body))
        with pytest.raises(ModelFileError, match="its checksum is another"):
            fs.load(path)


def test_a_header_may_name_the_tensors_in_any_order(tmp_path):
    net = network()
    path, data = saved(tmp_path, net)
    header, body = split(data)
    names = list(header)
    for _ in names:
        names.append(names.pop(0))
        for order in (names, names[::-1]):
            path.write_bytes(joined({name: header[name] for name in order}, body))
            assert fs.load(path) == net


def test_absurd_sizes_take_no_memory(tmp_path):
    path, data = saved(tmp_path)
    header, body = split(data)
    inner = json.loads(header["__metadata__"][KEY])
    inner["sizes"] = [3, 2**40, 2**40, 1]
    header["__metadata__"][KEY] = json.dumps(inner)
    header["W1"]["shape"] = [2**40, 3]
    header["W1"]["data_offsets"] = [0, 2**40 * 24]
    files = {
        "tensors": joined(header, body),
        "header": (2**62).to_bytes(8, "little") + data[8:],
        "long header": joined(b" " * (tensor_files.HEADER_MOST + 1), b""),
    }
    for data in files.values():
        path.write_bytes(data)
        tracemalloc.start()
        with pytest.raises(ModelFileError):
            fs.load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000
    with open(path, "wb") as file:  # with holes: no disk has to hold it
        file.truncate(1 << 40)
    with pytest.raises(ModelFileError):
        fs.load(path)


def test_what_could_not_be_read_again_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="description: expected one that takes"):
        tensor_files.to_bytes({"a": np.ones(1)}, {"a": "x" * tensor_files.HEADER_MOST})


def read_again(tensors, description):
    """Return a file of tensors that was written to memory."""
    data = tensor_files.to_bytes(tensors, description)
    file = tensor_files.TensorFile(io.BytesIO(data), len(data))
    file.check_sum()
    return file


def test_the_longest_header_is_read_again():
    tensors, most = {"a": np.arange(3.0)}, tensor_files.HEADER_MOST
    shortest = tensor_files.to_bytes(tensors, {"x": ""})
    text = "x" * (most - int.from_bytes(shortest[:8], "little"))  # in whole eights, both of them
    assert int.from_bytes(tensor_files.to_bytes(tensors, {"x": text})[:8], "little") == most
    file = read_again(tensors, {"x": text})
    assert file.description()["x"] == text
    assert np.array_equal(file.get_tensor("a"), tensors["a"])
    with pytest.raises(ValueError, match=f"takes {most:,} bytes at most; got {most + 8:,}"):
        tensor_files.to_bytes(tensors, {"x": text + "12345678"})


def test_tensors_of_any_number_of_dimensions():
    for n in range(tensor_files.DIMENSIONS_MOST + 1):
        array = np.arange(6.0).reshape((1,) * (n - 1) + (6,)) if n else np.array(7.0)
        found = read_again({"a": array}, {}).get_tensor("a")
        assert found.shape == array.shape and np.array_equal(found, array)


@pytest.mark.parametrize("name", sorted(tensor_files.DTYPES))
def test_every_dtype_comes_back(name, tmp_path):
    array = np.arange(6).astype(tensor_files.DTYPES[name]).reshape(2, 3)
    data = tensor_files.to_bytes({"a": array, "none": array[:0]}, {"x": [1.5, None]})
    (tmp_path / "m").write_bytes(data)
    with open(tmp_path / "m", "rb") as file:
        read = tensor_files.TensorFile(file, len(data))
        assert read.tensors["a"].dtype == name
        assert np.array_equal(read.get_tensor("a"), array)
        assert read.get_tensor("none").shape == (0, 3)
        read.check_sum()


@posix
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = []

    def load():
        try:
            fs.load(tmp_path / "pipe")
        except ModelFileError as error:
            found.append(str(error))

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(10)
    assert found == [f"{tmp_path / 'pipe'}: not a regular file"]


@posix
def test_a_file_cut_short_while_it_is_read(tmp_path, monkeypatch):
    path, data = saved(tmp_path, fs.Network((3, 20_000, 1)).init(seed=0))  # more than a buffer
    parse = tensor_files._parse

    def cutting(header):
        os.truncate(path, len(data) - 64)
        return parse(header)

    monkeypatch.setattr(tensor_files, "_parse", cutting)
    with pytest.raises(ModelFileError, match="cut short while it was read"):
        fs.load(path)


def test_nothing_is_executed(tmp_path):
    # every audited event of a load is a look at the file
    saved(tmp_path)
    source = """
        import sys, fastshallow as fs
        path = sys.argv[1]
        fs.load(path)
        events = set()
        sys.addaudithook(lambda event, arguments: events.add(event))
        fs.load(path)
        print(sorted(events))
        """
    output = run(["-c", textwrap.dedent(source), str(tmp_path / "m")])
    known = {"open", "object.__getattr__", "object.__setattr__"}
    assert set(output.split("'")[1::2]) <= known, output


# Writers -------------------------------------------------------------------------------------

KILLED = """
    import os, signal, sys, warnings
    import numpy as np, fastshallow as fs
    from fastshallow.files import models as models_module

    warnings.simplefilter("ignore")  # Python >= 3.12 warns of forks beside threads
    path = sys.argv[1]
    nets = [fs.Network((3, 4, 1)).init(seed=seed) for seed in range(2)]
    fs.save(nets[0], path)

    def save_and_die(at):
        # the process is killed before its line number ``at`` of the module that saves
        left = at

        def trace(frame, event, argument):
            nonlocal left
            if frame.f_code.co_filename != models_module.__file__:
                return None
            left -= event == "line"
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        fs.save(nets[1], path)
        sys.settrace(None)
        os._exit(0)

    old = new = 0
    for at in range(1000):
        fs.save(nets[0], path)
        child = os.fork()
        if child == 0:
            save_and_die(at)
        status = os.waitpid(child, 0)[1]
        found = fs.load(path)
        assert found in nets, at
        old, new = old + (found == nets[0]), new + (found == nets[1])
        if status == 0:
            break
        assert status == signal.SIGKILL
    print(at, old, new)
"""


@posix
def test_killed_before_every_line_of_a_save(tmp_path):
    lines, old, new = map(int, run(["-c", textwrap.dedent(KILLED), str(tmp_path / "m")]).split())
    assert lines > 30 and old > 20 and new > 1 and old + new == lines + 1


FULL = """
    import os, resource, signal, sys
    import numpy as np, fastshallow as fs
    path = sys.argv[1]
    small, large = (fs.Network((10, n, 1)).init(seed=0) for n in (5, 5000))
    fs.save(small, path)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        fs.save(large, path)
    except OSError as error:
        print(error.errno, os.listdir(os.path.dirname(path)), fs.load(path) == small)
"""


@linux
def test_a_file_that_has_no_room(tmp_path):
    output = run(["-c", textwrap.dedent(FULL), str(tmp_path / "m")])
    assert output.strip() == "27 ['m'] True"  # EFBIG: the limit of a file's size


@linux
def test_a_disk_that_is_full(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk cannot be mounted here")
    try:
        small, large = (fs.Network((10, n, 1)).init(seed=0) for n in (5, 5000))
        fs.save(small, tmp_path / "m")
        with pytest.raises(OSError, match="No space left"):
            fs.save(large, tmp_path / "m")
        assert os.listdir(tmp_path) == ["m"]
        assert fs.load(tmp_path / "m") == small
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_two_writers_and_a_reader(tmp_path):
    path = tmp_path / "m"
    writer = """
        import sys, fastshallow as fs
        net = fs.Network((3, 40, 1)).init(seed=int(sys.argv[2]))
        for _ in range(300):
            fs.save(net, sys.argv[1])
        """
    nets = [fs.Network((3, 40, 1)).init(seed=seed) for seed in range(2)]
    fs.save(nets[0], path)
    failed = []

    def write(seed):
        try:
            run(["-c", textwrap.dedent(writer), str(path), str(seed)])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    read = 0
    while any(thread.is_alive() for thread in threads):
        assert fs.load(path) in nets
        read += 1
    assert not failed and read > 10
    assert os.listdir(tmp_path) == ["m"]


def test_no_pickles_of_our_own():
    source = script(
        """
        import ast, pathlib, fastshallow
        banned = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "eval", "exec"}
        # but for compiled kernels, which are Numba's pickles
        kernels = {"machine_code.py", "prebuild.py"}
        for path in pathlib.Path(fastshallow.__file__).parent.rglob("*.py"):
            if path.name in kernels:
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = {getattr(node, "id", None), getattr(node, "module", None)}
                aliases = getattr(node, "names", [])
                names |= {alias.name for alias in aliases if hasattr(alias, "name")}
                if names & banned or getattr(node, "arg", None) == "allow_pickle":
                    print(path.name, names & banned)
        """
    )
    assert source == ""


# Descriptions that are wrong -----------------------------------------------------------------


def pipelines():
    """Yield a pipeline of every kind of column and target, and a table for it."""
    columns = [
        Column("n", "number", 3.0, 2.0, fill=2.5),
        Column("t", "text", categories=("blue", "red"), fill="red"),
        Column("b", "boolean", categories=("False", "True")),
    ]
    table = {"n": [1, None, 3], "t": ["blue", None, "green"], "b": [True, False, True]}
    for classes in (("no", "yes"), (0, 1, 7), (False, True)):
        many = len(classes) > 2
        net = fs.Network(
            (5, 3, len(classes) if many else 1), "tanh", "softmax" if many else "sigmoid"
        )
        yield fs.Pipeline(net.init(seed=1), columns, Target("y", "classification", classes)), table
    net = fs.Network((5, 3, 1), ["leaky_relu"], "linear", "float64").init(seed=1)
    yield fs.Pipeline(net, columns, Target("y", "regression", (), 10.0, 3.0)), table


#: Values of every type that JSON has, some of them what a field may be.
ANY = [None, True, False, 0, 1, -1, 2, 3, 1.5, -0.5, 1e308, 5e-324, 10**400, -(10**400), 2**63]
ANY += [float("nan"), float("inf"), "", "a", "no", "red", "number", "text", "regression", "relu"]
ANY += [
    "softmax",
    "float64",
    "\ud800",
    "\x1b[2J\n",
    "x" * 5000,
    [],
    {},
    [None],
    [1],
    [1, 1],
    [0, 1],
]
ANY += [["a"], ["a", "a"], ["a", "b"], ["a", 1], [True, 1], [10**400, 1], [[]], [{}], {"a": 1}]
ANY += [["blue", "red"], [3, 3, 1], [5, 3, 1], [5, True, 1], ["x" * 5000] * 3, list("no"), ["tanh"]]


def paths(node, path=()):
    """Yield the path of every value in a description."""
    if path:
        yield path
    for key in (
        node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    ):
        yield from paths(node[key], (*path, key))


def changed(description):
    """Yield a description with every value in turn replaced, left out, doubled or added to."""
    for path in paths(description):
        for value in [*ANY, "leave out", "double", "add"]:
            bent = json.loads(json.dumps(description))
            *upper, key = path
            node = bent
            for step in upper:
                node = node[step]
            if value == "leave out":
                del node[key]
            elif value == "double":
                if not isinstance(node, list):
                    continue
                node.append(node[key])
            elif value == "add":
                if not isinstance(node, dict):
                    continue
                node[f"{key}_"] = node[key]
            else:
                node[key] = value
            yield path, value, bent


def predicts(model, table):
    """Assert that a model that was loaded is whole: it predicts, and can be saved again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnseenCategories)
        if isinstance(model, fs.Network):
            assert np.isfinite(model.predict(np.ones((model.sizes[0], 3)))).all()
            return
        known = {column.name: column for column in model.columns}
        table = {name: table.get(name, ["a", "b", "c"]) for name in known}
        for name, column in known.items():
            if column.kind == "number" and not all(
                isinstance(v, (int, float, type(None))) for v in table[name]
            ):
                table[name] = [column.mean] * 3
            if column.kind == "boolean":
                table[name] = [True, False, True]
            if column.fill is None:
                table[name] = [column.mean if v is None else v for v in table[name]]
        try:
            answers = model.predict(table)
        except ValueError as error:  # what was trained on is far from this table, and that is said
            assert "too far from" in str(error)
        else:
            assert answers.shape == (3,)
            if model.classes is not None:
                assert set(answers) <= set(model.classes)


@pytest.mark.parametrize("case", range(5))
def test_every_value_of_a_description_by_values_of_every_type(case, tmp_path):
    models = [(network(), None), *pipelines()]
    model, table = models[case]
    tensors, description = models_module._contents(model)
    path, again = tmp_path / "m", tmp_path / "again"
    refused = accepted = 0
    for place, value, bent in changed(description):
        path.write_bytes(tensor_files.to_bytes(tensors, bent))
        try:
            loaded = fs.load(path)
        except ModelFileError as error:
            refused += 1
            text = str(error)
            assert text.startswith(f"{path}: ") and text.isprintable(), (place, value)
            assert len(text) < 1000 + len(str(path)), (place, value)
        else:
            accepted += 1
            fs.save(loaded, again)
            assert fs.load(again) == loaded, (place, value)
            predicts(loaded, table)
    assert refused > 10 * accepted > 0


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("columns", 0, "fill"), "a", "column 'n': fill: expected a finite number; got 'a'"),
        (("columns", 0, "fill"), float("nan"), "fill: expected a finite number; got nan"),
        (("columns", 0, "fill"), 10**400, "fill: expected a finite number; got 10000"),
        (("columns", 0, "fill"), 1e300, "fill: 1e.300 is too far from 3"),
        (("columns", 0, "scale"), 10**400, "column 'n': scale: expected a finite number > 0"),
        (
            ("columns", 0, "scale"),
            True,
            "column 'n': scale: expected a finite number > 0; got True",
        ),
        (("columns", 0, "mean"), "3", "column 'n': mean: expected a finite number; got '3'"),
        (("columns", 0, "kind"), "time", "column 'n': kind: expected one of"),
        (("columns", 0, "kind"), "date", "column: expected name, kind, start, parts, fill; got"),
        (
            ("columns", 0, "name"),
            "\ud800",
            r"name of a column: expected text of UTF-8; got '.ud800'",
        ),
        (("columns", 1, "categories"), ["\ud800"], "categories: expected text of UTF-8"),
        (("columns", 1, "fill"), 1.5, "column 't': fill: expected one of its categories; got 1.5"),
        (("columns", 1, "categories"), ["red", "red"], "categories: expected different ones"),
        (("columns", 1, "categories"), "br", "categories: expected a list; got 'br'"),
        (("columns", 1, "name"), "n", "columns: 'n' is there twice"),
        (("target", "classes"), "no", "classes: expected a list; got 'no'"),
        (("target", "classes"), ["no", "no"], "classes: expected different ones; got 'no' twice"),
        (("target", "classes"), ["no", 1], "all texts, whole numbers or booleans"),
        (("target", "classes"), ["no"], "classes: expected 2 or more"),
        (("target", "classes"), ["a", "b", "c"], r"net: expected \(5, ..., 3\), .*softmax"),
        (("network", "output"), "softmax", "output: expected sigmoid for 2 classes; got softmax"),
        (("network", "leaky_slope"), 10**400, "leaky_slope: expected a finite number >= 0"),
        (("version",), True, "format version True"),
        (("version",), 1.0, "format version 1.0"),
        (("format",), ["fastshallow.Pipeline"], "no fastshallow model"),
        (("network", "hidden"), {"tanh": 1}, "hidden: expected a list"),
    ],
)
def test_what_is_wrong_with_a_description_is_said(place, value, message, tmp_path):
    model, _ = next(pipelines())
    tensors, description = models_module._contents(model)
    node = description
    for step in place[:-1]:
        node = node[step]
    node[place[-1]] = value
    (tmp_path / "m").write_bytes(tensor_files.to_bytes(tensors, description))
    with pytest.raises(ModelFileError, match=message):
        fs.load(tmp_path / "m")


def test_a_pipeline_that_was_changed_is_not_saved(tmp_path):
    for change in ({"net": fs.Network((4, 1))}, {"columns": []}, {"target": None}):
        model, _ = next(pipelines())
        vars(model).update(change)
        with pytest.raises((TypeError, ValueError), match=r"net: expected|target: expected"):
            fs.save(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def hostile():
    """Yield headers, within the limit, that cost much if anything takes more than linear time."""
    entry = '"dtype":"U8","shape":[0],"data_offsets":[0,0]'
    room = tensor_files.HEADER_MOST - 100
    once = f'"a":{{{entry}}}'
    yield "one name", "{" + ",".join([once] * (room // (len(once) + 1))) + "}"
    short = [f'"{i:x}":0' for i in range(room // 10)]
    yield "many names, one twice", "{" + ",".join([*short, '"0":0']) + "}"
    yield "many tensors", "{" + ",".join(f'"{i:x}":{{{entry}}}' for i in range(room // 60)) + "}"
    yield "long name", f'{{"{"x" * room}":0}}'
    yield "long name, twice", f'{{"{"x" * (room // 3)}":0,"{"x" * (room // 3)}":0}}'
    yield "commands", '{"\\u001b[2J\\u0007\\n\\u202e":0}'
    yield "deep", '{"a":' * (room // 8) + "0" + "}" * (room // 8)
    yield "deep list", "[" * room
    yield "digits", f'{{"a":{"9" * (room - 9)}}}'
    yield "long numbers", f'{{"a":[{",".join(["9" * 4000] * (room // 4100))}]}}'
    for name, text in described():
        yield name, json.dumps({"__metadata__": {KEY: text[: room // 2]}})
        header = {"W1": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}
        header |= {"b1": {"dtype": "F32", "shape": [1, 1], "data_offsets": [4, 8]}}
        yield f"{name}, tensors", json.dumps({"__metadata__": {KEY: text}, **header})


def described():
    """Yield descriptions of that kind."""
    net = '"format":"fastshallow.Network","version":1'
    most = tensor_files.HEADER_MOST // 3
    yield "twice", "{" + ",".join([f'"{i % 1000}":0' for i in range(most // 10)]) + "}"
    rest = '"output":"linear","dtype":"float32","leaky_slope":0.01'
    for name, sizes, hidden in (
        ("ones", [1] * (most // 4), []),
        ("numbers", [10**300] * (most // 400), []),
        ("names", [1, 1], ["relu"] * (most // 10)),
        ("long names", [1, 1], ["\x1b[2J" * (most // 20)]),
    ):
        parts = f'"sizes":{json.dumps(sizes)},"hidden":{json.dumps(hidden)}'
        yield name, f"{{{net},{parts},{rest}}}"
    yield "version", f'{{"format":"fastshallow.Network","version":"{"v" * most}"}}'
    yield "fields", f"{{{net},{','.join(f'{chr(34)}{i}{chr(34)}:0' for i in range(most // 12))}}}"
    # as deep as a reader follows, and then more of what reads it
    for depth in (100, 300, 500, 700, 900, 950, 980, 990, 995):
        parts = '"sizes":[1,1],"hidden":' + "[" * depth + "]" * depth
        yield f"{depth} deep", f"{{{net},{parts},{rest}}}"
        yield f"{depth} deep, beside", f'{{{net},"network":{"[" * depth}{"]" * depth}}}'


def test_hostile_files_take_little_time_and_say_little(tmp_path):
    path = tmp_path / "m"
    for name, text in hostile():
        body = b"\0" * 8 if name.endswith("tensors") else b""
        path.write_bytes(joined(text.encode(), body))
        began = time.process_time()
        with pytest.raises(ModelFileError) as raised:
            fs.load(path)
        took = time.process_time() - began
        message = str(raised.value)
        assert took < 10, f"{name}: {took} s"  # 4 MB; where it was quadratic, hours
        assert message.isprintable() and len(message) < 1000 + len(str(path)), name


def test_the_length_of_a_header_is_known_before(tmp_path):
    arrays = {
        "é": np.ones((2, 3), "f4"),
        "z": np.ones(5, "i1"),
        "a": np.ones((1, 9)),
        '"\\': np.ones(0),
    }
    for text in ("", "a", "\x7f\x00\n", "é\U0001f600", "\ud800", '"\\' * 99):
        for many in range(9):
            description = {"text": text + "x" * many}
            data = tensor_files.to_bytes(arrays, description)
            room = int.from_bytes(data[:8], "little")
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(tensor_files, "HEADER_MOST", room)
                tensor_files.check_length(arrays, description)
                patched.setattr(tensor_files, "HEADER_MOST", room - 1)
                with pytest.raises(tensor_files.TooLong) as raised:
                    tensor_files.check_length(arrays, description)
                assert raised.value.surplus == 1


def test_what_a_model_is_to_be_without(tmp_path):
    long = tensor_files.HEADER_MOST // 10
    columns = [
        Column(name, "text", categories=("é" * (long // 6 * n // 2), "b"))
        for name, n in (("small", 1), ("large", 7), ("middle", 5), ("tiny", 0))
    ]
    net = fs.Network((8, 1))
    model = fs.Pipeline(net, columns, Target("y", "classification", ("no", "yes")))
    fs.save(model, tmp_path / "m")
    net = fs.Network((16, 1))
    more = [Column(f"{c.name}2", c.kind, categories=c.categories) for c in columns]
    model = fs.Pipeline(net, [*columns, *more], model.target)
    wanted = r"fits without the columns 'large2' \([\d,]+ bytes\), 'large' \([\d,]+ bytes\)$"
    for refuse in (
        lambda: fs.save(model, tmp_path / "m"),
        lambda: models_module.check_savable(model),
    ):
        with pytest.raises(ValueError, match=wanted) as raised:
            refuse()
    names = re.findall(r"'(\w+)'", str(raised.value).split("without")[1])
    kept = [c for c in model.columns if c.name not in names]
    net = fs.Network((2 * len(kept), 1))
    fs.save(fs.Pipeline(net, kept, model.target), tmp_path / "m")
    assert fs.load(tmp_path / "m").columns == kept
    classes = tuple(f"{i}" + "x" * long for i in range(11))
    model = fs.Pipeline(
        fs.Network((2, 11), output="softmax"), columns[:1], Target("y", "classification", classes)
    )
    with pytest.raises(ValueError, match="the classes of target 'y' take too much"):
        models_module.check_savable(model)
