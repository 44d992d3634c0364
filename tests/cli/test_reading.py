"""The options of reading, from the command line to a model and its predictions."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from command_line import command, environment

import fastshallow as fs
from fastshallow.__main__ import main

TRAIN = ("--quiet", "--epochs", "2", "--hidden", "4", "--out", "m")
ROWS = 60


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command in a folder: code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            code = main(list(arguments))
        except SystemExit as error:
            code = error.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def write(path, header, *columns, separator=","):
    """Write columns of words as CSV."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows(
            [header, *zip(*columns, strict=True)] if header else zip(*columns, strict=True)
        )


def numbers():
    return [f"{i * 37 % 101}" for i in range(ROWS)]


def labels():
    return [("no", "yes")[i % 2] for i in range(ROWS)]


def predictions(text):
    return [row["prediction"] for row in csv.DictReader(io.StringIO(text))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["?", *numbers()[1:]], "column 'a': numbers, but '?' in row 1; --missing '?'"),
        ([f"{n},5" for n in numbers()], "rows are written such as '0,5'; --decimal ,"),
        ([f"1,{int(n):03}" for n in numbers()], "written such as '1,000'; --number 'a'"),
        ([f"${n}" for n in numbers()], "written such as '$0'; --number 'a'"),
        ([*numbers()[:-1], "n/k"], "column 'a': numbers, but 'n/k' in row 60; --missing 'n/k'"),
    ],
)
def test_numbers_that_became_text_are_refused(run, words, said):
    write("t.csv", ["a", "b", "c", "y"], words, words, numbers(), labels())
    code, _, error = run("train", "t.csv", "--target", "y", *TRAIN)
    assert code == 2 and error.count("\n") == 1
    assert said in error and "; column 'b': " in error
    assert not os.path.exists("m")
    code, _, error = run("train", "t.csv", "--target", "y", "--text", "a,b", *TRAIN)
    assert code == 0 and error.count("\n") == 1
    assert "left out: 'a' (60 different texts in 60 rows), 'b' (60 different texts" in error


def test_a_column_that_is_dropped_may_hold_anything(run):
    write("t.csv", ["a", "b", "c", "y"], numbers(), ["?", *numbers()[1:]], numbers(), labels())
    assert run("train", "t.csv", "--target", "y", "--drop", "b,c", *TRAIN)[0] == 0
    assert fs.load("m").names == ["a"]


def test_a_target_with_decimal_commas_is_refused(run):
    write("t.csv", ["a", "price"], numbers(), [f"{n},5" for n in numbers()])
    code, _, error = run("train", "t.csv", "--target", "price", *TRAIN)
    assert code == 2 and "column 'price': numbers, but 60 of 60" in error
    write("t.csv", ["a", "price"], numbers(), [f"{n},5" for n in numbers()], separator=";")
    assert run("train", "t.csv", "--target", "price", *TRAIN)[::2] == (0, "")
    assert fs.load("m").task == "regression"


def test_few_numbers_are_categories(run):
    write("t.csv", ["a", "y"], ["0", "1", "3+"] * 20, labels())
    code, _, error = run("train", "t.csv", "--target", "y", *TRAIN)
    assert code == 0 and error.count("\n") == 1
    assert "because of '3+' in 20 rows (3, 6, 9, ...)" in error
    assert fs.load("m").columns[0].categories == ("0", "1", "3+")


def test_the_choices_are_those_of_the_model(run):
    money = [f"${n}" if n != "37" else "?" for n in numbers()]
    kinds = [["None", "a", "?"][i % 3] for i in range(ROWS)]
    write("t.csv", ["pay", "kind", "y"], money, kinds, labels())
    options = ("--missing", "?", "--keep-na", "--number", "pay", "--impute", "median")
    code, _, error = run("train", "t.csv", "--target", "y", *options, *TRAIN)
    assert (code, error) == (0, "")
    model = fs.load("m")
    assert model.columns[1].categories == ("None", "a")
    code, out, error = run("predict", "m", "t.csv")
    assert (code, error) == (0, "")
    given = {"pay": [None if n == "37" else float(n) for n in numbers()]}
    given["kind"] = [None if word == "?" else word for word in kinds]
    assert predictions(out) == model.predict(given).tolist()
    assert run("evaluate", "m", "t.csv")[::2] == (0, "")


def test_missing_values_say_what_they_were(run):
    write("t.csv", ["a", "y"], ["None", "", "x", "z"] * 15, labels())
    code, _, error = run("train", "t.csv", "--target", "y", *TRAIN)
    assert code == 2 and "missing values in 'a' (30): fill them, or take --impute median" in error
    assert "column 'a': 'None' (15) read as missing, --keep-na" in error
    code, _, error = run("train", "t.csv", "--target", "y", "--impute", "median", *TRAIN)
    assert code == 0 and "column 'a': missing are 'None'; --keep-na keeps such words" in error


def test_a_file_without_a_header(run):
    write("t.data", [], numbers(), [" ?", " x", " z"] * 20, [f" {label}" for label in labels()])
    names = ("--names", "age,work,income", "--missing", "?")
    options = ("--target", "income", "--impute", "median")
    assert run("train", "t.data", *names, *options, *TRAIN)[::2] == (0, "")
    assert fs.load("m").target.classes == ("no", "yes")
    code, _, error = run("evaluate", "m", "t.data", *names[:2])
    assert (code, error) == (0, "")
    code, _, error = run("predict", "m", "t.data")
    assert code == 2 and "columns that the model needs are not there" in error
    other = ("--no-header", "--target", "3", *options[2:], "--force")
    assert run("train", "t.data", *other, *TRAIN)[0] == 0


def test_encodings_and_separators(run, tmp_path):
    text = "å:y\n" + "".join(f"{n}:{label}\n" for n, label in zip(numbers(), labels(), strict=True))
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    options = ("--sep", ":", "--encoding", "latin-1")
    assert run("train", "t.csv", "--target", "y", *options, *TRAIN)[::2] == (0, "")
    assert run("diagnose", "m", "t.csv", *options)[0] == 0
    assert run("train", "--sep", ":")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--target", "Y"), "--target: .*; got 'Y'; did you mean 'y'\\?"),
        (("--target", "y", "--drop", "age,wrok"), "--drop: .*; got 'wrok'; did you mean 'work'"),
        (("--target", "Y", "--drop", "wrok"), "mean 'y'\\?; --drop: .*mean 'work'"),
        (("--target", "y", "--text", "wrok"), "--text: .*mean 'work'"),
        (("--targte", "y"), "unrecognized arguments: --targte y; did you mean '--target'\\?"),
        (("--target", "y", "--solver", "adm"), "invalid choice: 'adm' .*; did you mean 'adam'"),
        (("--target", "y", "--activation", "rleu"), "got rleu; did you mean 'relu'"),
        (("--target", "\x1b[2J" + "x" * 9999), "got '.x1b.2J"),
        (("--\x1b[2J",), "x1b"),
    ],
)
def test_did_you_mean(run, arguments, said):
    write("t.csv", ["age", "work", "y"], numbers(), labels(), labels())
    code, _, error = run("train", "t.csv", *arguments)
    assert code == 2 and re.search(said, error), error
    assert error.count("\n") == 1 and error[:-1].isprintable() and len(error) < 1500


def test_did_you_mean_columns_of_a_model(run):
    write("t.csv", ["age", "y"], numbers(), labels())
    assert run("train", "t.csv", "--target", "y", *TRAIN)[0] == 0
    write("new.csv", ["Age", "Y"], numbers(), labels())
    assert (
        "not there: 'age'; the table has 'Age', 'Y'; did you mean 'Age'?"
        in run("predict", "m", "new.csv")[2]
    )
    assert "got 'yy'; did you mean 'y'?" in run("evaluate", "m", "t.csv", "--target", "yy")[2]


# The line of Python ------------------------------------------------------------------------------


def test_the_line_of_python_answers_as_the_command_does(tmp_path):
    codes = [("01234", "1234", "1e3")[i % 3] for i in range(ROWS)]
    right = [("007", "2.10", "TRUE")[i % 3] for i in range(ROWS)]
    write(tmp_path / "t.csv", ["zip", "n", "y"], codes, numbers(), right, separator=":")
    options = (
        "--sep",
        ":",
        "--text",
        "zip,y",
        "--target",
        "y",
        "--solver",
        "lbfgs",
        "--out",
        "a b",
    )
    done = command(tmp_path, "train", "t.csv", *options)
    assert done.returncode == 0, done.stderr
    line = re.search(r"^ +(fastshallow predict .*)$", done.stdout, re.M)[1]
    assert line == "fastshallow predict 'a b' NEW.csv --sep : --out predictions.csv"
    (tmp_path / "NEW.csv").write_bytes((tmp_path / "t.csv").read_bytes())
    predicted = command(tmp_path, "predict", "a b", "NEW.csv", "--sep", ":")
    assert predictions(predicted.stdout) == right
    snippet = textwrap.dedent(re.search(r"or from Python:\n\n(.*)", done.stdout, re.DOTALL)[1])
    check = "\nprint('answers:', *model.predict(model.read('NEW.csv', sep=':')))"
    assert """model.predict(model.read("NEW.csv", sep=':'))""" in snippet
    ran = subprocess.run(
        [sys.executable, "-c", snippet + check],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split("answers: ")[1].split() == right


# Standard input and output -----------------------------------------------------------------------


@pytest.fixture
def model(run, tmp_path):
    """A folder with a model and its table."""
    write("t.csv", ["a", "y"], numbers(), labels())
    assert run("train", "t.csv", "--target", "y", *TRAIN)[0] == 0
    return tmp_path


def shell(folder, line):
    return subprocess.run(
        f'"{sys.executable}" -m fastshallow {line}',
        shell=True,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_out_is_standard_output(model, run):
    expected = run("predict", "m", "t.csv")[1]
    assert run("predict", "m", "t.csv", "--out", "-") == (0, expected, "")
    assert not os.path.exists("-")
    for option in ("--out", "--plot"):
        code, _, error = run("train", "t.csv", "--target", "y", option, "-")
        assert code == 2 and f"{option} -: expected a file of its own" in error


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="devices of POSIX")
def test_a_file_that_a_shell_appends_to_is_not_replaced(model, run):
    expected = run("predict", "m", "t.csv")[1]
    (model / "all").write_text("before\n")
    done = shell(model, "predict m t.csv --out /dev/stdout >> all")
    assert (done.returncode, done.stderr) == (0, "")
    assert (model / "all").read_text() == "before\n" + expected
    done = shell(model, "train t.csv --target y --out /dev/stdout >> all")
    assert done.returncode == 2 and "--out /dev/stdout: expected a file" in done.stderr
    assert (model / "all").read_text() == "before\n" + expected


@pytest.mark.parametrize("path", ["//dev/stdout", "/dev/./stdout", "/proc/thread-self/fd/1"])
@pytest.mark.skipif(sys.platform != "linux", reason="the paths are those of Linux")
def test_other_names_of_standard_output(model, run, path):
    assert run("predict", "m", "t.csv", "--out", path) == run("predict", "m", "t.csv")
    assert "expected a file of its own" in run("predict", "m", "t.csv", "--out", "/dev/fd/2")[2]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
def test_what_a_shell_reads_from_is_not_replaced(model):
    before = (model / "t.csv").read_bytes()
    done = shell(model, "predict m - --out t.csv < t.csv")
    assert done.returncode == 2 and "--out t.csv: expected a file of its own" in done.stderr
    assert (model / "t.csv").read_bytes() == before


def test_a_table_is_not_replaced_by_a_plot(model, run):
    before = (model / "t.csv").read_bytes()
    code, _, error = run("train", "t.csv", "--target", "y", *TRAIN, "--plot", "other.csv")
    assert (code, error) == (0, "")
    (model / "other.csv").write_bytes(before)
    code, _, error = run("train", "t.csv", "--target", "y", *TRAIN, "--plot", "other.csv")
    assert code == 2 and "--plot other.csv: expected a new file, or a PNG; --force" in error
    assert (model / "other.csv").read_bytes() == before


# What a model expects ----------------------------------------------------------------------------


def test_a_stray_word_of_the_target_is_named_with_file_and_row(run):
    given = [f"{n}.5" for n in numbers()]
    write("t.csv", ["a", "y"], numbers(), given)
    assert run("train", "t.csv", "--target", "y", *TRAIN)[0] == 0
    write("new.csv", ["a", "y"], numbers(), ["?", *given[1:]])
    assert run("predict", "m", "new.csv")[0] == 0  # which needs no right answers
    for command_ in ("evaluate", "diagnose"):
        code, _, error = run(command_, "m", "new.csv")
        assert (
            code == 2 and "new.csv: column 'y': expected numbers, as in training; got '?'" in error
        )
        assert "in row 1; --missing '?' reads it as missing" in error
    code, _, error = run("evaluate", "m", "new.csv", "--missing", "?")
    assert code == 2 and "new.csv: missing values in 'y' (1): rows to score need" in error


@pytest.mark.parametrize(
    ("classes", "other", "said"),
    [
        (["0", "1"], "?", "expected numbers, as in training; got text, such as '?' in row 1"),
        (["0", "1"], "7", "expected the classes of the model, '0', '1'; got '7'"),
        (
            ["TRUE", "FALSE"],
            "maybe",
            "expected booleans, as in training; got text, such as 'maybe'",
        ),
        (["TRUE", "FALSE"], "1", "expected booleans, as in training; got "),
        (["no", "yes"], "maybe", "expected the classes of the model, 'no', 'yes'; got 'maybe'"),
    ],
)
def test_a_label_that_is_no_class_is_named(run, classes, other, said):
    given = [classes[i % 2] for i in range(ROWS)]
    write("t.csv", ["a", "y"], numbers(), given)
    assert run("train", "t.csv", "--target", "y", *TRAIN)[0] == 0
    write("new.csv", ["a", "y"], numbers(), [other, *given[1:]])
    code, _, error = run("evaluate", "m", "new.csv")
    assert code == 2 and f"new.csv: target 'y': {said}" in error


def test_all_columns_that_do_not_fit_are_named(run):
    write("t.csv", ["a", "b", "y"], numbers(), numbers(), labels())
    assert run("train", "t.csv", "--target", "y", *TRAIN)[0] == 0
    write("new.csv", ["a", "b"], ["x", *numbers()[1:]], [*numbers()[:-1], "z"])
    code, _, error = run("predict", "m", "new.csv")
    assert code == 2 and "'x' in row 1" in error and "'z' in row 60" in error
    for option, name in (("--text", "a"), ("--number", "b")):
        code, _, error = run("predict", "m", "t.csv", option, name)
        assert (code == 2) == (option == "--text")
    assert (
        "--text: column 'a' is numbers in the model"
        in run("predict", "m", "t.csv", "--text", "a")[2]
    )


def test_scores_beyond_float64_are_null(run):
    write("t.csv", ["a", "y"], numbers(), [f"{n}.5" for n in numbers()])
    assert run("train", "t.csv", "--target", "y", *TRAIN)[0] == 0
    write("new.csv", ["a", "y"], numbers(), ["1e200", "-1e200"] * 30)
    code, out, error = run("evaluate", "m", "new.csv", "--json")
    assert (code, error) == (0, "") and json.loads(out)["rmse"] is None
    code, out, error = run("evaluate", "m", "new.csv")
    assert (code, error) == (0, "") and "RMSE               undefined" in out
    code, _, error = run("diagnose", "m", "new.csv")
    assert code == 2 and "new.csv: target 'y': the number in row 1 is too far" in error


def test_words_that_are_nowhere_are_told(run):
    write("t.csv", ["a", "y"], numbers(), labels())
    code, _, error = run("train", "t.csv", "--target", "y", *TRAIN, "--missing=--")
    assert code == 0 and error == "fastshallow: warning: --missing='--': no value is this word\n"


def test_numbers_are_the_same_by_any_way(run):
    given = np.array([float(f"{n}.25") for n in numbers()])
    write("a.csv", ["a", "y"], given, labels())
    write("b.csv", ["a", "y"], [f"{n},25" for n in numbers()], labels(), separator=";")
    files = []
    for name in ("a.csv", "b.csv"):
        assert run("train", name, "--target", "y", *TRAIN)[::2] == (0, "")
        with open("m", "rb") as file:
            files.append(file.read())
    assert files[0] == files[1]
