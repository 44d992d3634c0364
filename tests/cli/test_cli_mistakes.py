"""Mistakes with tables and model files: exit code 2 and one line, before any training.

All of them in one process, as starting one takes a second; and, marked slow, each in its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from command_line import command, environment
from safetensors import safe_open
from safetensors.numpy import save_file

import fastshallow as fs
from fastshallow.__main__ import main
from fastshallow.tables.columns import Column, Target

TABLES = {
    "good.csv": "a,b,y\n1,x,no\n2,z,yes\n3,x,no\n4,z,yes\n5,x,no\n6,x,yes\n",
    "empty.csv": "",
    "blank.csv": "\n\n",
    "header.csv": "a,b,y\n",
    "one.csv": "a,y\n1,no\n2,no\n",
    "same.csv": "a,y\n1,2.5\n2,2.5\n",
    "alone.csv": "y\n1\n2\n",
    "long.csv": "a,b,y\n1,2,3\n1,2,3,4\n",
    "longer.csv": "a,y\n1,2,3\n1,2,3\n",
    "short.csv": "a,b,y\n1,2,3\n1,2\n4,5,6\n",
    "holes.csv": "a,b,y\n1,,0\n,,1\n3,x,1\n",
    "void.csv": "b,y\n,0\n,1\n,0\n,1\n",
    "target.csv": "a,y\n1,\n2,1\n3,0\n",
    "twice.csv": "a,a,y\n1,2,3\n",
    "half.csv": "a,y\n1,0.5\n2,1.5\n",
    "infinite.csv": "a,y\n1,0\ninf,1\n",
    "few.csv": "a,y\n1,u\n2,v\n3,w\n4,w\n",
    "narrow.csv": "b\nx\n",
    "wrong.csv": "a,b\n1,x\nabc,x\n",
    "far.csv": "a,b\n1e300,x\n",
    "label.csv": "a,b,y\n1,x,maybe\n",
    "pairs.csv": "id,y\n" + "".join(f"n{i // 2},{i % 2}\n" for i in range(2400)),
    "prices.csv": "a,y\n" + "".join(f"{i % 4},{900 + i}\n" for i in range(15)),
    "digits.csv": "a,b,y\n1,x,0\n" + "9" * 400 + ",x,1\n3,x,0\n",
    "label400.csv": "a,b,y\n1,x," + "9" * 400 + "\n",
    "ids.csv": "id,y\n" + "".join(f"n{i},{i % 2}\n" for i in range(1500)),
}

TRAIN = ("train", "good.csv", "--target", "y")
MANY = "expected at most 1000 categories; got 1[012]\\d\\d, such as 'n0'; --drop leaves"

CASES = [
    (("train", "none.csv", "--target", "y"), "none.csv: cannot be read .No such file"),
    (("train", ".", "--target", "y"), ".: cannot be read .Is a directory"),
    (("train", "https://a.invalid/t.csv", "--target", "y"), "t.csv: cannot be read .No such file"),
    (("train", "good.csv"), "--target: expected the column of good.csv to predict"),
    (("train", "good.csv", "--target", "z"), "--target: .* which has 'a', 'b', 'y'; got 'z'"),
    ((*TRAIN, "--activation", "sine"), "--activation: expected one of 'elu', .*; got sine"),
    ((*TRAIN, "--drop", "c"), "--drop: expected a column of good.csv, .*; got 'c'"),
    (("train", "alone.csv", "--target", "y"), "expected columns beside the target"),
    (("train", "empty.csv", "--target", "y"), "empty.csv: .* got an empty table"),
    (("train", "blank.csv", "--target", "y"), "blank.csv: .* got an empty table"),
    (("train", "header.csv", "--target", "y"), "header.csv: .* got an empty table"),
    (("train", "one.csv", "--target", "y"), "target 'y': expected two classes .* all are 'no'"),
    (("train", "same.csv", "--target", "y"), "target 'y': expected different numbers; .* 2.5"),
    (("train", "long.csv", "--target", "y"), "ragged rows.* Expected 3 fields in line 3, saw 4"),
    (("train", "longer.csv", "--target", "y"), "ragged rows: they have more fields than the"),
    (("train", "short.csv", "--target", "y"), "ragged rows: row 3, .* has 2 fields, the header 3"),
    (("train", "holes.csv", "--target", "y"), r"missing values in 'a' \(1\): fill them"),
    (
        ("train", "void.csv", "--target", "y", "--impute", "median"),
        "left out are 'b' \\(no values\\)",
    ),
    (("train", "target.csv", "--target", "y"), r"missing values in 'y' \(1\): rows to learn from"),
    (("train", "twice.csv", "--target", "y"), "expected different names of columns; got 'a'"),
    (("train", "infinite.csv", "--target", "y"), "'a': expected finite numbers; got inf in row 2"),
    (("train", "pairs.csv", "--target", "y"), MANY),
    (
        ("train", "ids.csv", "--target", "y"),
        r"ids.csv: expected columns to learn from; left out are 'id' \(1500 different",
    ),
    (
        ("train", "prices.csv", "--target", "y"),
        "'y': its 15 whole numbers in 15 rows would be 15 classes; --task regression predicts",
    ),
    (("train", "digits.csv", "--target", "y"), "'a': expected numbers up to 1.8e308; got 9999"),
    (("train", "digits.csv", "--target", "a"), "'a': expected numbers up to 1.8e308; got 9999"),
    (("predict", "model", "digits.csv"), r"'a': .* got 9{20}... \(400 characters\) in row 2"),
    (("diagnose", "model", "digits.csv"), "'a': expected numbers up to 1.8e308; got 9999"),
    (("evaluate", "numbers", "label400.csv"), "'y': expected numbers up to 1.8e308; got 9999"),
    (("diagnose", "numbers", "label400.csv"), "'y': expected numbers up to 1.8e308; got 9999"),
    (
        ("train", "ids.csv", "--target", "id"),
        "target 'id': expected at most 1000 classes; got 1500",
    ),
    (("train", "picture.png", "--target", "y"), "picture.png: expected text in UTF-8; got byte 0x"),
    (
        ("train", "broken.parquet", "--target", "y"),
        "broken.parquet: (not a whole Parquet file|Parquet needs pyarrow)",
    ),
    (("train", "broken.csv.gz", "--target", "y"), "broken.csv.gz: cannot be decompressed"),
    ((*TRAIN, "--task", "regression"), "expected numbers for --task regression; got text, .* 'no'"),
    (
        ("train", "half.csv", "--target", "y", "--task", "classification"),
        "expected text or whole numbers for --task classification; got 0.5",
    ),
    (
        ("train", "half.csv", "--target", "y", "--class-weight", "balanced"),
        "--class-weight: expect",
    ),
    (
        ("train", "few.csv", "--target", "y", "--test-size", "0.5"),
        "--test-size 0.5: expected 3 rows",
    ),
    ((*TRAIN, "--solver", "lbfgs", "--early-stopping"), "--early-stopping: .* got lbfgs"),
    ((*TRAIN, "--early-stopping"), "--early-stopping: expected 100 rows or more to .* got 4"),
    ((*TRAIN, "--out", "none/m"), "--out none/m: cannot be written .No such file"),
    ((*TRAIN, "--plot", "none/p"), "--plot none/p: cannot be written .No such file"),
    ((*TRAIN, "--out", "good.csv"), "--out good.csv: expected another file than the one to read"),
    ((*TRAIN, "--test-size", "1"), "--test-size: expected a number from 0 to below 1; got '1'"),
    ((*TRAIN, "--alpha", "-1"), "--alpha: expected a number >= 0; got '-1'"),
    ((*TRAIN, "--solver", "adamw"), "--solver: invalid choice: 'adamw'"),
    ((*TRAIN, "--quiet", "--learning-rate", "1e36"), "not finite any more: try a --learning-rate"),
    (("predict", "none", "good.csv"), "none: cannot be read .No such file"),
    (("predict", "good.csv", "good.csv"), "good.csv: not a whole safetensors file"),
    (("predict", "later", "good.csv"), "later: format version 2; this fastshallow reads version 1"),
    (("info", "bent"), "bent: its columns or its target are no Pipeline's"),
    (("predict", "net", "good.csv"), "net: holds a network alone, which knows no columns"),
    (("predict", "model", "none.csv"), "none.csv: cannot be read .No such file"),
    (("predict", "model", "narrow.csv"), "narrow.csv: columns that .* not there: 'a'"),
    (("predict", "model", "wrong.csv"), "'a': expected numbers, .*; got 'abc' in row 2"),
    (("predict", "model", "far.csv"), "'a': 1e[+]300 in row 1 is too far from the numbers trained"),
    (("predict", "model", "holes.csv"), r"missing values in 'a' \(1\), 'b' \(2\)"),
    (("predict", "model", "good.csv", "--out", "none/p"), "--out none/p: cannot be written"),
    (("predict", "model", "good.csv", "--out", "model"), "--out model: expected another file than"),
    (("predict", "numbers", "good.csv", "--proba"), "--proba: expected a classifier; numbers is"),
    (("evaluate", "model", "label.csv"), "expected the classes of the model, 'no', 'yes'; got 'ma"),
    (("evaluate", "model", "good.csv", "--target", "t"), "--target: .* 'a', 'b', 'y'; got 't'"),
    (
        ("evaluate", "numbers", "good.csv"),
        "good.csv: column 'y': expected numbers, as in training; got 'no' in 3 rows",
    ),
    (("diagnose", "model", "narrow.csv"), "narrow.csv: columns that .* not there: 'a'"),
]

IN_ONE_PROCESS = """
import contextlib, io, json, sys
from fastshallow.__main__ import main
done = []
for arguments in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as error:
            code = error.code
    done.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(done))
"""


def bend(path, into, change):
    """Copy a model file with other metadata."""
    with safe_open(path, "numpy") as file:
        kept = json.loads(file.metadata()["fastshallow"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, into, {"fastshallow": json.dumps(kept | change)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with tables and model files, good ones and others."""
    folder = tmp_path_factory.mktemp("mistakes")
    for name, text in TABLES.items():
        (folder / name).write_text(text)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n,\xff\n")
    (folder / "broken.parquet").write_bytes(b"PAR1broken")
    (folder / "broken.csv.gz").write_bytes(b"broken")
    a = Column("a", "number", 3.5, 1.7)
    b = Column("b", "text", categories=("x", "z"))
    classes = Target("y", "classification", ("no", "yes"))
    fs.save(fs.Pipeline(fs.Network((3, 1)), [a, b], classes), folder / "model")
    net = fs.Network((1, 1), output="linear")
    fs.save(fs.Pipeline(net, [a], Target("y", "regression")), folder / "numbers")
    fs.save(net, folder / "net")
    bend(folder / "model", folder / "later", {"version": 2})
    bend(folder / "model", folder / "bent", {"columns": [a.describe()]})
    return folder


@pytest.fixture(scope="module")
def all_done(folder):
    """Make all mistakes in one process."""
    before = sorted(path.name for path in folder.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS],
        cwd=folder,
        env=environment(),
        input=json.dumps([arguments for arguments, _ in CASES]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(path.name for path in folder.iterdir()) == before  # nothing was written
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: " ".join(CASES[i][0]))
def test_mistakes_are_one_line(all_done, case):
    code, _, error = all_done[case]
    assert (code, error.count("\n")) == (2, 1), error
    assert re.search(CASES[case][1], error), error
    assert "Traceback" not in error


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "message"), CASES, ids=lambda value: str(value)[:60])
def test_mistakes_in_a_process_each(folder, arguments, message):
    done = command(folder, *arguments)
    last = done.stderr.splitlines()[-1]  # a progress bar may stand before
    assert done.returncode == 2
    assert re.search(message, last), done.stderr
    assert "Traceback" not in done.stderr


def test_without_pandas(tmp_path):
    hidden = tmp_path / "hidden" / "pandas"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('No module named pandas')\n")
    (tmp_path / "t.csv").write_text(TABLES["good.csv"])
    done = command(tmp_path, "train", "t.csv", "--target", "y", env=environment(hidden.parent))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "fastshallow: a table needs pandas (No module named pandas): "
        'python -m pip install "fastshallow[cli]"\n'
    )


@pytest.mark.slow
def test_a_plot_without_matplotlib(tmp_path):
    hidden = tmp_path / "hidden" / "matplotlib"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('No module named matplotlib')\n")
    (tmp_path / "t.csv").write_text(TABLES["good.csv"])
    arguments = ("train", "t.csv", "--target", "y", "--plot", "p.png")
    done = command(tmp_path, *arguments, env=environment(hidden.parent))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("fastshallow: --plot needs matplotlib")


def test_python_interface_says_it_too():
    column = Column("a", "number", 1.0, 2.0)
    net = fs.Network((1, 1), output="linear")
    model = fs.Pipeline(net, [column], Target("y", "regression"))
    with pytest.raises(ValueError, match="not there: 'a'"):
        model.predict(pd.DataFrame({"b": [1]}))
    with pytest.raises(ValueError, match="regression has no probabilities"):
        model.predict_proba({"a": [1]})
    with pytest.raises(TypeError, match="table: expected a pandas"):
        model.predict(np.ones((2, 1)))
    with pytest.raises(ValueError, match=r"net: expected \(1, ..., 1\), sigmoid or softmax"):
        fs.Pipeline(net, [column], Target("y", "classification", ("no", "yes")))


# What no model file holds -----------------------------------------------------------------------


class Reached(Exception):
    """Training would have begun."""


def test_what_cannot_be_saved_is_refused_before_training(tmp_path, monkeypatch, capsys):
    def reached(*arguments, **options):
        raise Reached

    monkeypatch.setattr(fs.ShallowClassifier, "fit", reached)
    monkeypatch.setattr(fs, "warmup", lambda dtype: 0.0)
    monkeypatch.chdir(tmp_path)
    m = 1000  # so many categories are legal, if each has two rows
    table = {"n": range(0, 4 * m, 2), "y": [i % 3 for i in range(2 * m)]}
    table |= {f"c{k}": [f"{i}" + "x" * (500 + 50 * k) for i in range(m)] * 2 for k in range(8)}
    pd.DataFrame(table).to_csv("wide.csv", index=False)
    arguments = ["train", "wide.csv", "--target", "y", "--quiet", "--test-size", "0"]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    wanted = (
        r"fastshallow: wide.csv: description: expected one that takes 4,194,304 bytes at most; got "
        r"5,\d{3},\d{3}; it fits without the columns 'c7' \(858,\d{3} bytes\), 'c6' \(808,\d{3} "
        r"bytes\); --drop leaves a column out\n"
    )
    assert re.fullmatch(wanted, message), message
    assert main([*arguments, "--drop", "c7"]) == 2
    assert "without the columns 'c6' " in capsys.readouterr().err
    with pytest.raises(Reached):
        main([*arguments, "--drop", "c7", "--drop", "c6"])
    assert [path.name for path in tmp_path.iterdir()] == ["wide.csv"]


def test_nothing_in_a_file_is_a_command_to_the_terminal(tmp_path, capsys):
    evil = "\x1b[2J\x07\x9b\u202e\r\n" + "x" * 10_000
    columns = [
        Column(evil, "text", categories=(evil, "a"), fill=evil),
        Column("n", "number"),
    ]
    table = {evil: ["a", evil], "n": [1.0, 2.0], "y": ["b", evil]}
    pd.DataFrame(table).to_csv(tmp_path / "t.csv", index=False)
    model = fs.Pipeline(fs.Network((3, 1)), columns, Target("y", "classification", (evil, "b")))
    numbers = fs.Pipeline(fs.Network((3, 1), output="linear"), columns, Target(evil, "regression"))
    fs.save(model, tmp_path / "model")
    fs.save(numbers, tmp_path / "numbers")
    (tmp_path / "other.csv").write_text("n\n1\n")
    paths = [str(tmp_path / name) for name in ("model", "numbers", "t.csv", "other.csv")]
    model, numbers, data, other = paths
    for arguments in (
        ("info", model),
        ("info", numbers),
        ("evaluate", model, data),
        ("evaluate", numbers, data),
        ("predict", model, other),
        ("diagnose", numbers, other),
        ("predict", numbers, other, "--proba"),
    ):
        main(arguments)
        said = capsys.readouterr()
        for text in (said.out, said.err):
            assert all(line.isprintable() for line in text.splitlines()), arguments
            assert "\r" not in text and "\x1b" not in text
            assert max(map(len, text.splitlines()), default=0) < 1500, arguments
