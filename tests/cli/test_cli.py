"""The command without a table, driven as a process: train on the digits, info, versions."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
from command_line import command, environment, interrupted, value
from processes import script
from sklearn.exceptions import ConvergenceWarning

import fastshallow as fs
from fastshallow.cli import use_model
from fastshallow.cli.options import TrainOptions
from fastshallow.cli.prepare import digits, prepare
from fastshallow.jit.compile import tell_watchers


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run ``fastshallow train`` once, with nothing else said."""
    folder = tmp_path_factory.mktemp("train")
    return folder, command(folder, "train")


def test_train_reports(trained):
    _, done = trained
    assert done.returncode == 0, done.stderr
    assert float(value(done.stdout, "Held-out accuracy").split()[0]) > 0.95
    assert value(done.stdout, "Data") == (
        "the handwritten digits of scikit-learn: 1,797 rows, 1,437 to train on, 360 held out"
    )
    assert value(done.stdout, "Target").startswith("target: classification, 10 classes (0 178, ")
    assert "64-100-10, relu, adam, 200 epochs at most" in done.stdout
    assert re.fullmatch(r"[\d,]+ examples per second", value(done.stdout, "Speed"))
    assert re.fullmatch(r"compile \d+\.\d\d s, train \d+\.\d\d s", value(done.stdout, "Time"))
    assert re.search(r" [1-9]\d*/200 ", done.stderr)  # the progress bar
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr


def test_train_writes_a_model(trained):
    folder, done = trained
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    model = fs.load(folder / "model.safetensors")
    net = model.net
    assert (net.sizes, net.hidden, net.output) == ((64, 100, 10), ("relu",), "softmax")
    data = prepare(TrainOptions())
    accuracy = net.score(data.X_held_out.T, data.y_held_out)
    assert value(done.stdout, "Held-out accuracy") == f"{accuracy:.4f} (360 examples)"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_saves_the_last_whole_epoch(tmp_path):
    done = interrupted(tmp_path, r" [2-9]\d*/200", *("train", "--hidden", "2000", "--json"))
    assert done.returncode == 130, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    epochs = json.loads(done.stdout)["training"]["epochs"]
    data = prepare(TrainOptions())
    learner = fs.ShallowClassifier(2000, max_iter=epochs, random_state=0)
    with pytest.warns(ConvergenceWarning):
        learner.fit(data.X, data.y)
    assert fs.load(tmp_path / "model.safetensors").net == learner.net_


def test_what_it_says_about_the_model_works(trained):
    folder, done = trained
    snippet = re.search(r"Use it from Python:\n\n(.*)", done.stdout, re.DOTALL)[1]
    check = "\nassert (model.predict(digits()) == digits()['target']).mean() > 0.97\n"
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(snippet) + check],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("[0 1 2 ")


def test_info(trained):
    folder, _ = trained
    done = command(folder, "info", "model.safetensors")
    assert done.returncode == 0
    assert "Network((64, 100, 10), hidden='relu', output='softmax'" in done.stdout
    assert value(done.stdout, "parameters").startswith("7,510 ")
    assert value(done.stdout, "layer 2") == "W2 (10, 100), b2 (10, 1), softmax"


def test_the_digits_are_a_table_like_any_other(tmp_path):
    pd.DataFrame(digits()).to_csv(tmp_path / "digits.csv", index=False)
    # these are constant in the rows trained on, for which other tables are warned of
    pixels = "pixel_0_0,pixel_3_0,pixel_4_0,pixel_4_7"
    options = ("--epochs", "3", "--json", "--quiet", "--plot", "loss.png", "--drop", pixels)
    reports, files = [], []
    for data in ((), ("digits.csv", "--target", "target")):
        done = command(tmp_path, "train", *data, *options)
        assert (done.returncode, done.stderr) == (0, "")
        reports.append(json.loads(done.stdout))
        names = ("model.safetensors", "loss.png")
        files.append([(tmp_path / name).read_bytes() for name in names])
    assert files[0] == files[1]
    built_in, read = reports
    assert (built_in["data"].pop("path"), read["data"].pop("path")) == (None, "digits.csv")
    for name in ("data", "model", "held_out"):
        assert built_in[name] == read[name]
    assert built_in["training"]["loss_curve"] == read["training"]["loss_curve"]


def test_options(tmp_path):
    options = "--hidden 7 --iterations 3 --learning-rate 0.1 --seed 5 --threads 1 --quiet"
    also = ("--target", "target", "--drop", "pixel_0_0", "--out", "a b.st", "--plot", "b.png")
    done = command(tmp_path, "train", *options.split(), *also)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.st", "b.png"]
    data = prepare(TrainOptions(drop=("pixel_0_0",), seed=5))
    learner = fs.ShallowClassifier(7, max_iter=3, learning_rate_init=0.1, random_state=5)
    with pytest.warns(match="Maximum iterations"):
        learner.fit(data.X, data.y)
    assert fs.load(tmp_path / "a b.st").net == learner.net_  # one thread changes no bit
    assert "Use it" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["trian"], "invalid choice: 'trian'"),
        (["train", "--hiden", "3"], "unrecognized arguments: --hiden"),
        (["train", "--hidden", "0"], "--hidden: expected a whole number from 1 to .*; got '0'"),
        (["train", "--hidden", "many"], "--hidden: expected .*; got 'many'"),
        (["train", "--hidden", "64,"], "--hidden: expected .*; got '', in such as 64 or 64,32"),
        (["train", "--iterations", "1.5"], "--epochs/--iterations: expected .*; got '1.5'"),
        (["train", "--learning-rate", "nan"], "--learning-rate: expected a number > 0; got 'nan'"),
        (["train", "--learning-rate", "0"], "--learning-rate: expected a number > 0; got '0'"),
        (["train", "--seed", "-1"], "--seed: expected .*; got '-1'"),
        (["train", "--seed", str(2**32)], "--seed: expected a whole number from 0"),
        (["train", "--threads", "0"], "--threads: expected .*; got '0'"),
        (["train", "--out", "none/m"], "--out none/m: cannot be written .No such file"),
        (["train", "--out", "."], "--out .: cannot be written .Is a directory"),
        (["train", "--plot", "none/p"], "--plot none/p: cannot be written"),
        (["train", "--target", "y"], "--target: expected a column of the handwritten .*; got 'y'"),
        (
            ["train", "--drop", "y"],
            "--drop: expected a column of the handwritten .*; got 'y'",
        ),
        (["train", "--solver", "lbfgs", "--early-stopping"], "--early-stopping: .* got lbfgs"),
        (["train", "--activation", "sine"], "--activation: expected one of"),
        (["train", "--out", "same", "--plot", "./same"], "--out and --plot name the same file"),
        (["info"], "required: MODEL"),
        (["info", "none"], "none: cannot be read .No such file"),
        (["info", "."], ".: a folder, and no file"),
        (["info", "broken"], "broken: not a whole safetensors file"),
    ],
)
def test_mistakes_are_one_line(tmp_path, arguments, message):
    (tmp_path / "broken").write_bytes(b"broken")
    done = command(tmp_path, *arguments)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""  # before any work
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="devices are files on POSIX")
def test_devices_are_no_outputs(tmp_path):
    done = command(tmp_path, "train", "--plot", "/dev/null")
    assert done.returncode == 2
    assert "--plot /dev/null: cannot be written (Not a regular file)" in done.stderr
    assert not os.path.isfile("/dev/null")


def test_divergence_is_a_mistake_too(tmp_path):
    done = command(tmp_path, "train", "--learning-rate", "1e30", "--quiet")
    assert done.returncode == 2
    assert re.fullmatch(
        r"fastshallow: the weights are not finite .* --learning-rate .*1e\+30\n", done.stderr
    )
    assert not list(tmp_path.iterdir())


def test_without_pandas_and_matplotlib(tmp_path):
    for name in ("pandas", "matplotlib"):
        hidden = tmp_path / "hidden" / name
        hidden.mkdir(parents=True)
        (hidden / "__init__.py").write_text(f"raise ImportError('No module named {name}')\n")
    env = environment(tmp_path / "hidden")
    done = command(tmp_path, "train", "--iterations", "2", env=env)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "model.safetensors").exists()
    snippet = re.search(r"Use it from Python:\n\n(.*)", done.stdout, re.DOTALL)[1]
    code = [sys.executable, "-c", textwrap.dedent(snippet)]
    subprocess.run(code, cwd=tmp_path, env=env, capture_output=True, timeout=300, check=True)
    done = command(tmp_path, "train", "--plot", "loss.png", env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fastshallow: --plot needs matplotlib (No module named matplot")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_reader_that_goes_away(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "fastshallow", "versions"],
        cwd=tmp_path,
        env=environment(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


def test_versions_and_help(tmp_path):
    assert command(tmp_path, "--version").stdout == f"fastshallow {fs.__version__}\n"
    assert "threading layer" in command(tmp_path, "versions").stdout
    for name in ("train", "predict", "evaluate", "info", "diagnose", "warmup", "versions"):
        done = command(tmp_path, name, "--help")
        assert done.returncode == 0
        assert f"example:\n  fastshallow {name}" in done.stdout


def test_digits_with_options_and_json(tmp_path):
    options = "--solver sgd --hidden 16,8 --activation tanh --epochs 20 --learning-rate 0.1"
    also = ("--test-size", "0.5", "--early-stopping", "--class-weight", "balanced")
    done = command(tmp_path, "train", *options.split(), *also, "--json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["model"]["sizes"] == [64, 16, 8, 10]
    assert report["training"]["epochs"] == len(report["training"]["loss_curve"]) <= 20
    assert report["held_out"]["accuracy"] > 0.9
    data = prepare(TrainOptions(test_size=0.5))
    net = fs.load(tmp_path / "model.safetensors").net
    assert net.score(data.X_held_out.T, data.y_held_out) == report["held_out"]["accuracy"]


def test_the_bar_of_warmup_counts_kernels_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with use_model.kernels_bar("float32"):
            for _ in range(3):
                tell_watchers("a kernel")
        total = use_model.FORMS["float32"]
        assert (f"/{total}" in stream.getvalue() and "float32" in stream.getvalue()) == shown
    tell_watchers("nobody counts any more")


@pytest.mark.slow
def test_the_bar_of_warmup_ends_where_compiling_does(tmp_path):
    source = """
        import fastshallow as fs
        from fastshallow.cli.use_model import FORMS
        from fastshallow.jit.compile import loads_watched

        for dtype, number in FORMS.items():
            names = []
            with loads_watched(names.append):
                fs.warmup(dtype)
            print(len(names) - number)
    """
    assert script(source, NUMBA_CACHE_DIR=str(tmp_path)) == "0\n0\n0\n"


def test_warmup(tmp_path):
    done = command(tmp_path, "warmup")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"float32  \d+\.\d\d s\nfloat64  \d+\.\d\d s\nboth     \d+\.\d\d s\n", done.stdout
    )
