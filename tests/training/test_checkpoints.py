"""Checkpoints: the bits of a training that never stopped, and a whole file whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from processes import TESTS
from safetensors import safe_open
from test_train import problem

import fastshallow as fs
from fastshallow.files import tensor_files
from fastshallow.files.models import ModelFileError
from fastshallow.files.tensor_files import TensorFile, to_bytes
from fastshallow.kernels import steps as step_kernels
from fastshallow.training import checkpoints, lbfgs
from fastshallow.training import train as train_module


class Stop:
    """A callback that stops, or raises, after some epochs of this process."""

    def __init__(self, after=10**9, error=None):
        self.left, self.error = after, error

    def on_epoch_end(self, state):
        """Count down."""
        self.left -= 1
        if self.left == 0 and self.error is not None:
            raise self.error
        return False


CASES = {
    "adam": {},
    "sgd": {"optimizer": fs.SGD(0.1), "schedule": fs.InverseScaling(), "batch_size": 7},
    "adaptive": {"optimizer": fs.SGD(0.5), "schedule": fs.Adaptive(patience=0, tol=0.01)},
    "cosine": {"optimizer": fs.AdamW(), "schedule": "cosine", "validation": 0.2},
    "windows": {"shuffle": "windows", "sample_weight": np.arange(300.0), "alpha": 0.1},
    "descent": {"optimizer": fs.GradientDescent(0.5)},
    "order": {"shuffle": True},
    "lbfgs": {"optimizer": fs.LBFGS(), "alpha": 1.0, "validation": 0.2},
    "lbfgs64": {"optimizer": fs.LBFGS(memory=3), "alpha": 1.0, "dtype": "float64"},
}


def options_of(case):
    """Return the options of a training; an order of the caller's has a generator that goes on."""
    options = {"epochs": 12, "batch_size": "auto"} | CASES[case]
    options.pop("dtype", None)
    if case == "order":
        rng = np.random.default_rng(7)
        options["shuffle"] = rng.permutation
    return options


@pytest.mark.parametrize("case", CASES)
def test_resumed_is_uninterrupted(case, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "PAUSE", 0)  # a write after every epoch
    path = tmp_path / "checkpoint"

    def train(net, stop, **more):
        stopping = fs.EarlyStopping(patience=6, tol=1e-3)
        options = options_of(case) | {"callbacks": [stopping, stop]} | more
        return fs.train(net, *problem()[1:], **options)

    dtype = CASES[case].get("dtype", "float32")
    wanted, *_ = problem(dtype)
    history = train(wanted, Stop())
    net, *_ = problem(dtype)
    with pytest.raises(RuntimeError, match="killed"):
        train(net, Stop(3, RuntimeError("killed")), checkpoint=path, resume=True)
    net.params[...] = 99.0  # from now on they come from the file
    resumed = train(net, Stop(2, KeyboardInterrupt()), checkpoint=path, resume=True)
    assert (len(resumed), resumed.stopped) == (4, "interrupted")
    resumed = train(net, Stop(), checkpoint=path, resume=True)
    assert net == wanted
    same(resumed, history)
    assert (np.diff(resumed.seconds) > 0).all()


def same(resumed, history):
    """Assert that two histories differ in nothing but their times."""
    for name in ("cost", "validation_cost", "validation_score", "learning_rate", "steps"):
        found, wanted = getattr(resumed, name), getattr(history, name)
        assert np.array_equal(found, wanted, equal_nan=True), name
    assert resumed.stopped == history.stopped


@pytest.mark.parametrize("optimizer", [fs.Adam(), fs.LBFGS()], ids=["adam", "lbfgs"])
def test_more_epochs_go_on_from_the_end(optimizer, tmp_path):
    wanted, X, Y = problem()
    fs.train(wanted, X, Y, optimizer, epochs=9)
    net, *_ = problem()
    for epochs in (4, 4, 9, 9, 2):
        options = {"epochs": epochs, "checkpoint": tmp_path / "c", "resume": True}
        history = fs.train(net, X, Y, optimizer, **options)
    assert net == wanted and len(history) == 9


# Ctrl-C --------------------------------------------------------------------------------------


class Signal:
    """A callback that sends Ctrl-C after an epoch, once."""

    def __init__(self, epoch=None):
        self.epoch = epoch

    def on_epoch_end(self, state):
        """Send it."""
        if state.epoch == self.epoch:
            self.epoch = None
            signal.raise_signal(signal.SIGINT)


def signal_after(monkeypatch, call):
    """Send Ctrl-C after a kernel call, the first of which has number 1."""
    left, kernel = [call], step_kernels.train

    def counted(**arguments):
        result = kernel(**arguments)
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(step_kernels, "train", counted)


# Calls take a step each, of which there are 10 in an epoch (43 for "sgd", 2 for "auto").
@pytest.mark.parametrize(
    ("case", "calls"),
    [
        ("adam", (1, 3, 4)),
        ("sgd", (43, 50, 129)),
        ("cosine", (2, 5)),
        ("windows", (3,)),
        ("order", (5, 6)),
        ("descent", (4,)),
        ("lbfgs", (1, 2, 7)),
        ("lbfgs64", (9,)),
    ],
)
@pytest.mark.parametrize("on_interrupt", ["return", "raise"])
def test_ctrl_c_saves_the_last_whole_step(
    case, calls, on_interrupt, tmp_path, monkeypatch, call_seconds
):
    monkeypatch.setattr(checkpoints, "PAUSE", 10**9)  # a write after the first epoch, and no other
    call_seconds(1e-12)
    dtype = CASES[case].get("dtype", "float32")

    def train(net, epoch=None, **more):
        callbacks = [fs.EarlyStopping(patience=6, tol=1e-3), Signal(epoch)]
        options = options_of(case) | {"callbacks": callbacks, "on_interrupt": on_interrupt} | more
        return fs.train(net, *problem()[1:], **options)

    wanted, *_ = problem(dtype)
    history = train(wanted)
    for i, call in enumerate((*calls, None)):
        kept = {"checkpoint": tmp_path / str(i), "resume": True}
        net, *_ = problem(dtype)
        with monkeypatch.context() as patched:
            if call is not None:
                signal_after(patched, call)
            try:
                part = train(net, 4 if call is None else None, **kept)
            except KeyboardInterrupt:
                assert on_interrupt == "raise"
            else:
                assert on_interrupt == "return" and part.stopped == "interrupted"
                assert call is not None or len(part) == 5
        assert net != wanted
        with safe_open(kept["checkpoint"], "numpy") as file:
            assert np.array_equal(file.get_tensor("params"), net.params)
        net.params[...] = 99.0
        same(train(net, **kept), history)
        assert net == wanted


def test_ctrl_c_within_a_step(tmp_path, monkeypatch, call_seconds):
    call_seconds(1e-12)  # a call takes a part of a step
    options = {"optimizer": fs.SGD(0.1), "epochs": 4, "batch_size": 4000, "n_threads": 1}
    wanted, X, Y = problem(m=9000)
    history = fs.train(wanted, X, Y, **options)
    for call in (1, 8):
        net, kept = problem()[0], {"checkpoint": tmp_path / str(call), "resume": True}
        with monkeypatch.context() as patched:
            signal_after(patched, call)
            part = fs.train(net, X, Y, **options, **kept)
        assert part.stopped == "interrupted" and len(part) < 4
        same(fs.train(net, X, Y, **options, **kept), history)
        assert net == wanted


def test_a_second_ctrl_c_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    net, X, Y = problem()
    path = tmp_path / "c"
    fs.train(net, X, Y, epochs=2, checkpoint=path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *paths: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        options = {"epochs": 9, "checkpoint": path, "resume": True, "on_interrupt": "raise"}
        monkeypatch.setattr(checkpoints.Checkpoint, "is_due", lambda self: False)
        signal_after(monkeypatch, 3)
        fs.train(net, X, Y, **options)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["c"]


# L-BFGS --------------------------------------------------------------------------------------


def test_lbfgs_is_not_computed_again(tmp_path, monkeypatch):
    net, X, Y = problem()
    kept = {"checkpoint": tmp_path / "c", "resume": True}
    fs.train(net, X, Y, fs.LBFGS(), epochs=20, **kept)
    monkeypatch.setattr(step_kernels, "train", None)
    assert len(fs.train(net, X, Y, fs.LBFGS(), epochs=20, **kept)) == 20
    with pytest.raises(TypeError, match="not callable"):  # it is, for one more
        fs.train(net, X, Y, fs.LBFGS(), epochs=21, **kept)


def test_lbfgs_of_another_scipy(tmp_path, monkeypatch):
    net, X, Y = problem()
    kept = {"checkpoint": tmp_path / "c", "resume": True}
    fs.train(net, X, Y, fs.LBFGS(), epochs=5, **kept)
    before = net.copy()
    # one that rounds in another way, as on another machine
    exact = lbfgs.Evaluations.of
    for change in (1e-3, 1e3):
        with monkeypatch.context() as patched:
            patched.setattr(
                *(lbfgs.Evaluations, "of"),
                lambda tensors, f=change: exact({n: t * f for n, t in tensors.items()}),
            )
            with pytest.raises(ModelFileError, match="do not lead L-BFGS to the same parameters"):
                fs.train(net, X, Y, fs.LBFGS(), epochs=9, **kept)
        assert net == before
    monkeypatch.setattr(train_module, "version", lambda name: "0.0")
    with pytest.raises(ModelFileError, match=r"scipy: this training has 0\.0; the file has 1"):
        fs.train(net, X, Y, fs.LBFGS(), epochs=9, **kept)
    assert net == before


def test_what_a_callback_stopped_stays_stopped(tmp_path):
    net, X, Y = problem()
    options = {"epochs": 100, "checkpoint": tmp_path / "c", "resume": True}
    for _ in range(2):
        stopping = fs.EarlyStopping(patience=0, tol=1.0)
        history = fs.train(net, X, Y, callbacks=[stopping], **options)
        assert len(history) == 2 and history.stopped == "EarlyStopping"
        assert np.array_equal(net.params, stopping.best_params)


def test_without_resume_a_file_is_replaced(tmp_path):
    net, X, Y = problem()
    path = tmp_path / "c"
    fs.train(net, X, Y, epochs=3, checkpoint=path)
    net, *_ = problem()
    assert len(fs.train(net, X, Y, epochs=2, checkpoint=path)) == 2
    assert len(fs.train(net, X, Y, epochs=2, checkpoint=path, resume=True)) == 2


def test_the_log_goes_on(tmp_path):
    net, X, Y = problem()
    log, path = tmp_path / "log", tmp_path / "c"
    fs.train(net, X, Y, epochs=3, checkpoint=path, callbacks=[fs.JSONLinesLogger(log)])
    lines = log.read_text()
    log.write_text(lines + '{"epoch": 3, "cost": 0}\n')  # of an epoch that the file does not know
    options = {"checkpoint": path, "resume": True, "callbacks": [fs.JSONLinesLogger(log)]}
    fs.train(net, X, Y, epochs=5, **options)
    assert log.read_text().startswith(lines)
    assert len(log.read_text().splitlines()) == 5


def test_writing_takes_a_small_part_of_the_time(tmp_path, monkeypatch):
    written = []
    write = checkpoints.Checkpoint.write

    def slow(self, *arguments):
        write(self, *arguments)
        written.append(self)

    monkeypatch.setattr(checkpoints.Checkpoint, "write", slow)
    net, X, Y = problem()
    fs.train(net, X, Y, epochs=500, checkpoint=tmp_path / "c")
    assert 2 <= len(written) < 100


# Files that are not of this training ---------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": fs.Adam(0.1)}, "optimizer: this training has Adam.learning_rate=0.1"),
        ({"batch_size": 10}, "batch_size: this training has 10; the file has 200"),
        ({"alpha": 1.0}, "alpha: this training has 1.0; the file has 0.0"),
        ({"shuffle": False}, "shuffle: this training has False; the file has True"),
        (
            {"validation": 0.01},
            "validation: this training has 0.01 of the examples, by seed 0",
        ),
        ({"schedule": "cosine"}, "schedule: this training has Cosine"),
        ({"callbacks": [Stop()]}, r"callbacks: this training has \['Stop'\]; the file has \[\]"),
        ({"X": np.ones((3, 7)), "Y": np.ones(7)}, "batch_size: this training has 7"),
        ({"net": fs.Network((3, 4, 1), "tanh")}, "network: this training has .*'sizes': .3, 4, 1"),
    ],
)
def test_another_training(change, message, tmp_path):
    net, X, Y = problem()
    fs.train(net, X, Y, epochs=1, checkpoint=tmp_path / "c")
    before = net.copy()
    arguments = {"net": net, "X": X, "Y": Y, "epochs": 3} | change
    with pytest.raises(ModelFileError, match=message):
        fs.train(**arguments, checkpoint=tmp_path / "c", resume=True)
    assert net == before


def test_files_that_are_no_checkpoints(tmp_path):
    net, X, Y = problem()
    path = tmp_path / "c"
    fs.train(net, X, Y, epochs=1, checkpoint=path)
    whole = path.read_bytes()
    before = net.copy()

    def refused(data, message):
        path.write_bytes(data)
        with pytest.raises(ModelFileError, match=message):
            fs.train(net, X, Y, epochs=3, checkpoint=path, resume=True)
        assert net == before

    refused(b"", "not a whole safetensors file")
    refused(whole[:-1], "not a whole safetensors file")
    refused(whole.replace(b"fastshallow.Checkpoint", b"fastshallow.Checkpoin_"), "no format")
    # the version stands in JSON within JSON
    refused(whole.replace(b'version\\": 1', b'version\\": 9'), "format version 9")
    fs.save(net, path)
    refused(path.read_bytes(), "no fastshallow checkpoint")
    path.write_bytes(whole)
    with pytest.raises(ModelFileError, match="no fastshallow model"):
        fs.load(path)


# Processes that are killed -------------------------------------------------------------------

WORKER = """
    import builtins, os, signal, sys, warnings
    import numpy as np, fastshallow as fs
    from fastshallow.training import checkpoints

    warnings.simplefilter("ignore")  # Python >= 3.12 warns of forks beside threads
    checkpoints.PAUSE = 0
    KILL = signal.SIGKILL

    def problem():
        rng = np.random.default_rng(0)
        net = fs.Network((3, 5, 1), "tanh").init(seed=0)
        return net, rng.standard_normal((3, 300)), rng.integers(0, 2, 300)

    class Watch:
        # from its third epoch on, the process kills itself at one point of a write
        def __init__(self, point):
            self.point = point

        def on_epoch_end(self, state):
            if state.epoch == 2 and self.point:
                arm(*self.point.split(":"))

    def train(path, epochs, point=""):
        net, X, Y = problem()
        history = fs.train(net, X, Y, epochs=epochs, batch_size=32, n_threads=1, checkpoint=path,
                           resume=True, callbacks=[Watch(point)])
        return net.params.tobytes() + history.cost.tobytes(), len(history)

    def killing(function, when):
        def call(*arguments, **options):
            if when == "before":
                os.kill(os.getpid(), KILL)
            function(*arguments, **options)
            os.kill(os.getpid(), KILL)
        return call

    class Half:
        # a file that dies when it is written to
        def __init__(self, file, when):
            self.file, self.when = file, when

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2] if self.when == "half" else data)
            self.file.flush()
            os.kill(os.getpid(), KILL)

    def arm(name, when):
        if name == "open":
            builtins.open = killing(builtins.open, when)
        elif name == "write":
            real = builtins.open
            builtins.open = lambda *arguments, **options: Half(real(*arguments, **options), when)
        else:
            setattr(os, name, killing(getattr(os, name), when))
"""

# Every point is a process of its own, which one process with all loaded forks.
EVERY_POINT = """
    folder = sys.argv[1]
    wanted, _ = train(folder + "/never", 6)
    for point in sys.argv[2:]:
        path = folder + "/" + point.replace(":", "-")
        child = os.fork()
        if child == 0:
            train(path, 6, point)
            os._exit(0)
        killed = os.waitpid(child, 0)[1] == KILL
        _, epochs = train(path, 1)
        print(point, killed, epochs, train(path, 6)[0] == wanted)
"""

POINTS = (
    "open:before",
    "open:after",
    "write:half",
    "write:whole",
    "fsync:before",
    "fsync:after",
    "replace:before",
    "replace:after",
)


def start(source, *arguments):
    """Start a process of `WORKER`."""
    search = os.pathsep.join([str(Path(fs.__file__).parents[1]), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WORKER) + textwrap.dedent(source), *arguments],
        env={**os.environ, "PYTHONPATH": search},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


@posix
def test_killed_at_every_point_of_a_write(tmp_path):
    output, error = start(EVERY_POINT, str(tmp_path), *POINTS).communicate(timeout=300)
    # epochs 0 and 1 were written before; epoch 2 is there once the file has its name
    wanted = [f"{point} True {3 if point == 'replace:after' else 2} True" for point in POINTS]
    assert output.splitlines() == wanted, error


class Watch:
    """A callback of the name that the worker's has."""

    def on_epoch_end(self, state):
        """Do nothing."""


def resumed(path, epochs):
    """Return a network and its history after this many epochs in all, from a file."""
    net, X, Y = problem()
    options = {"batch_size": 32, "callbacks": [Watch()], "checkpoint": path, "resume": True}
    return net, fs.train(net, X, Y, epochs=epochs, **options)


@posix
@pytest.mark.slow
def test_killed_a_hundred_times_at_random(tmp_path):
    path, chance, reached = tmp_path / "c", random.Random(0), [0]
    for _ in range(100):
        process = start("train(sys.argv[1], 10**9)", str(path))
        written, began = path.stat().st_mtime_ns if path.exists() else 0, time.monotonic()
        while not path.exists() or path.stat().st_mtime_ns == written:
            assert process.poll() is None and time.monotonic() - began < 60
            time.sleep(0.001)
        time.sleep(chance.random() * 0.2)
        process.kill()
        process.communicate()
        reached.append(len(resumed(path, 1)[1]))  # whole, and loadable
    assert reached == sorted(set(reached))
    net, done = resumed(path, reached[-1])
    wanted, X, Y = problem()
    history = fs.train(wanted, X, Y, epochs=reached[-1], batch_size=32)
    assert net == wanted
    assert np.array_equal(done.cost, history.cost)


# Checkpoints whose checksum is right -----------------------------------------------------------

CHECKPOINTED = {
    "adam": {"optimizer": fs.Adam(), "validation": 0.2, "schedule": "adaptive", "batch_size": 40},
    "lbfgs": {"optimizer": fs.LBFGS(), "validation": 0.2},
}
ANY = [None, True, 0, -1, 1, 3, 2**62, 2**63, 10**400, 1.5, float("nan"), "a", "\x1b[2J", [], {}]
ANY += [[1.0], [0.0, None], ["a", "b"], [{}], [{}, {}, {}], {"a": 1}, {"bit_generator": "PCG64"}]
ARRAYS = [np.zeros(0), np.zeros(3), np.zeros((2, 3), "f4"), np.zeros((1, 26), "f4"), np.zeros(26)]
ARRAYS += [np.zeros((2, 26)), np.zeros((2, 26), "i4"), np.zeros((26, 2), "f4"), np.zeros((3, 26))]
ARRAYS += [np.zeros((1, 1, 26), "f4"), np.ones(2, "?"), np.zeros(4, "i8")]


def bends(description, tensors):
    """Yield the contents of a checkpoint, with one thing changed in turn."""

    def paths(node, path=()):
        if path:
            yield path
        if isinstance(node, (dict, list)):
            for key in node if isinstance(node, dict) else range(len(node)):
                yield from paths(node[key], (*path, key))

    for path in paths(description):
        for value in [*ANY, "leave out"]:
            bent = json.loads(json.dumps(description))
            node = bent
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = value
            if value == "leave out":
                del node[path[-1]]
            yield path, value, tensors, bent
    for name in tensors:
        for array in [*ARRAYS, None]:
            bent = {**tensors, name: array}
            if array is None:
                del bent[name]
            yield (name,), array, bent, description


@pytest.mark.parametrize("case", CHECKPOINTED)
def test_every_part_of_a_checkpoint_by_values_of_every_type(case, tmp_path):
    net, X, Y = problem()
    path = tmp_path / "c"

    def train(epochs):
        stopping = fs.EarlyStopping(patience=50)
        options = CHECKPOINTED[case] | {"callbacks": [stopping], "checkpoint": path}
        return fs.train(net, X, Y, epochs=epochs, resume=True, **options)

    train(4)
    before = net.copy()
    with open(path, "rb") as file:
        read = TensorFile(file, path.stat().st_size)
        description = read.description()
        tensors = {name: read.get_tensor(name) for name in read.tensors}
    del description["sha256"]
    refused = taken = 0
    for place, value, arrays, bent in bends(description, tensors):
        path.write_bytes(to_bytes(arrays, bent))
        try:
            train(5)
        except (ModelFileError, fs.DivergenceError) as error:
            refused += 1
            if isinstance(error, ModelFileError):
                text = str(error)
                assert net == before, (place, value)
                assert text.isprintable() and len(text) < 1000, (place, value)
        else:
            taken += 1
        is_whole = net.params.size == before.params.size and np.isfinite(net.params).all()
        assert is_whole, (place, value)
        net.params = before.params
    assert refused > 3 * taken > 0


class Hoarder:
    """A callback with a state that a file may not take."""

    def __init__(self, value):
        self.value, self.epochs = value, 0

    def get_state(self):
        """Return it."""
        return {"value": self.value}

    def on_epoch_end(self, state):
        """Count."""
        self.epochs += 1
        return False


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "a checkpoint cannot keep a set"),
        (1j, "a checkpoint cannot keep a complex"),
        (np.array([1j]), "a file keeps arrays of numbers; got dtype complex128"),
        (np.array(["a"]), "a file keeps arrays of numbers"),
        (np.array([None]), "a file keeps arrays of numbers; got dtype object"),
        ("x" * 5_000_000, "checkpoint: description: expected one that takes 4,194,304 bytes"),
        ({"a" * 5_000_000}, "a checkpoint cannot keep a set"),
    ],
)
def test_what_no_checkpoint_can_keep_is_refused_before_training(value, message, tmp_path):
    net, X, Y = problem()
    before, hoarder = net.copy(), Hoarder(value)
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        fs.train(net, X, Y, epochs=2, callbacks=[hoarder], checkpoint=tmp_path / "c")
    assert len(str(raised.value)) < 500
    assert net == before and hoarder.epochs == 0 and not list(tmp_path.iterdir())


def test_a_callback_that_cannot_go_on_from_its_state(tmp_path):
    class Fussy(Hoarder):
        def set_state(self, state):
            self.value = state["nothing"]

    net, X, Y = problem()
    options = {"checkpoint": tmp_path / "c", "resume": True}
    fs.train(net, X, Y, epochs=2, callbacks=[Fussy(1)], **options)
    net.init(seed=5)
    before = net.copy()
    with pytest.raises(ModelFileError, match=r"no training can go on from its state .KeyError"):
        fs.train(net, X, Y, epochs=4, callbacks=[Fussy(1)], **options)
    assert net == before


def test_a_network_that_no_file_holds_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_files, "HEADER_MOST", 500)
    net, X, Y = problem()
    before = net.copy()
    for more in (
        {"callbacks": [fs.ModelCheckpoint(tmp_path / "m")]},
        {"checkpoint": tmp_path / "c"},
    ):
        with pytest.raises(ValueError, match="description: expected one that takes 500 bytes"):
            fs.train(net, X, Y, epochs=2, **more)
        assert net == before and not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_refused_before_training(tmp_path, monkeypatch):
    # root may write everywhere
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    net, X, Y = problem()
    before = net.copy()
    for more in (
        {"callbacks": [fs.ModelCheckpoint(tmp_path / "m")]},
        {"checkpoint": tmp_path / "c"},
    ):
        with pytest.raises(PermissionError):
            fs.train(net, X, Y, epochs=2, **more)
        assert net == before and not list(tmp_path.iterdir())
