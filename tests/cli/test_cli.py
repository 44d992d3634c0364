"""The command without a table, driven as a process: train on the digits, info, versions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
from command_line import command, environment, interrupted, value

import fastshallow as fs
from fastshallow.cli.train_digits import digits


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run ``fastshallow train`` once, with nothing else said."""
    folder = tmp_path_factory.mktemp("train")
    return folder, command(folder, "train")


def test_train_reports(trained):
    _, done = trained
    assert done.returncode == 0, done.stderr
    assert float(value(done.stdout, "Held-out accuracy").split()[0]) > 0.95
    assert "1437 examples to train on, 360 held out" in done.stdout
    assert re.fullmatch(r"[\d,]+ examples per second", value(done.stdout, "Speed"))
    assert re.fullmatch(r"compile \d+\.\d\d s, train \d+\.\d\d s", value(done.stdout, "Time"))
    assert "500/500" in done.stderr  # the progress bar
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr


def test_train_writes_model_and_curve(trained):
    folder, done = trained
    assert sorted(path.name for path in folder.iterdir()) == ["loss.png", "model.safetensors"]
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    net = fs.load(folder / "model.safetensors")
    assert (net.sizes, net.hidden, net.output) == ((64, 64, 10), ("relu",), "softmax")
    data = digits(seed=0)
    accuracy = net.score(data.X_held_out.T, data.y_held_out)
    assert value(done.stdout, "Held-out accuracy").startswith(f"{accuracy:.4f} ")


def test_what_it_says_about_the_model_works(trained):
    folder, done = trained
    snippet = re.search(r"Use the model from Python:\n\n(.*?)\n\n\S", done.stdout, re.DOTALL)[1]
    check = "\nassert (net.predict(X) == load_digits().target).mean() > 0.97\n"
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(snippet) + check],
        cwd=folder,
        env=environment(),
        capture_output=True,
        timeout=300,
        check=True,
    )


def test_info(trained):
    folder, _ = trained
    done = command(folder, "info", "model.safetensors")
    assert done.returncode == 0
    assert "Network((64, 64, 10), hidden='relu', output='softmax'" in done.stdout
    assert value(done.stdout, "parameters").startswith("4,810 ")
    assert value(done.stdout, "layer 2") == "W2 (10, 64), b2 (10, 1), softmax"


def test_options(tmp_path):
    options = "--hidden 7 --iterations 3 --learning-rate 0.1 --seed 5 --threads 1 --quiet"
    done = command(tmp_path, "train", *options.split(), "--out", "a b.st", "--plot", "b.png")
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.st", "b.png"]
    data = digits(seed=5)
    net = fs.Network((64, 7, 10), output="softmax").init(seed=5)
    fs.gradient_descent(net, data.X.T, data.y, 0.1, 3)
    assert fs.load(tmp_path / "a b.st") == net  # chunks and one thread change no bit
    assert done.stderr == ""
    assert "Use the model" not in done.stdout


def test_held_out_digits_are_a_fifth_of_every_class():
    import numpy as np

    data = digits(seed=1)
    whole = np.bincount(data.y) + np.bincount(data.y_held_out)
    assert np.abs(np.bincount(data.y_held_out) - 0.2 * whole).max() <= 1
    assert not np.array_equal(data.y_held_out, digits(seed=2).y_held_out)
    assert np.array_equal(data.y_held_out, digits(seed=1).y_held_out)


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
        (["train", "--target", "y"], "--target: expected DATA"),
        (["train", "--early-stopping"], "--early-stopping: expected DATA"),
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
        r"fastshallow: the cost is not finite .* --learning-rate .*1e\+30\n", done.stderr
    )
    assert not list(tmp_path.iterdir())


def test_without_matplotlib(tmp_path):
    hidden = tmp_path / "hidden" / "matplotlib"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('No module named matplotlib')\n")
    env = environment(hidden.parent)
    done = command(tmp_path, "train", "--iterations", "2", "--quiet", env=env)
    assert done.returncode == 0, done.stderr
    assert "fastshallow[plot]" in value(done.stdout, "Loss curve")
    assert done.stderr == ""
    assert (tmp_path / "model.safetensors").exists()
    assert not (tmp_path / "loss.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_saves_the_last_whole_state(tmp_path):
    fs.warmup()  # so that the wait below is short
    arguments = ("train", "--iterations", "1000000")
    done = interrupted(tmp_path, r" [1-9]\d*/1000000", *arguments)  # steps have been taken
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "the files hold the last whole state" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss.png", "model.safetensors"]
    # The state after exactly the steps that it says, no half of one.
    steps = int(re.search(r"in (\d+) steps", done.stdout)[1])
    assert 0 < steps < 1_000_000
    data = digits(seed=0)
    net = fs.Network((64, 64, 10), output="softmax").init(seed=0)
    fs.gradient_descent(net, data.X.T, data.y, 0.3, steps)
    assert fs.load(tmp_path / "model.safetensors") == net


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


def test_digits_with_a_solver_and_json(tmp_path):
    options = "--solver adam --hidden 16,8 --activation tanh --epochs 20 --learning-rate 0.01"
    also = ("--test-size", "0.5", "--json", "--quiet")
    done = command(tmp_path, "train", *options.split(), *also)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["model"]["sizes"] == [64, 16, 8, 10]
    assert report["training"]["epochs"] == len(report["training"]["loss_curve"]) == 20
    assert report["held_out"]["accuracy"] > 0.9
    data = digits(seed=0, share=0.5)
    net = fs.load(tmp_path / "model.safetensors")
    assert net.score(data.X_held_out.T, data.y_held_out) == report["held_out"]["accuracy"]


def test_warmup(tmp_path):
    done = command(tmp_path, "warmup")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        r"float32  \d+\.\d\d s\nfloat64  \d+\.\d\d s\nboth     \d+\.\d\d s\n", done.stdout
    )
