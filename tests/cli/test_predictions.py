"""Predictions that can be joined with their table: --keep, --keep-all, --proba, formulas."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest

import fastshallow as fs
from fastshallow.__main__ import main
from fastshallow.tables.columns import Column, Target

NEW = (
    'id,amount,a,b,note,"x, y"\n'
    "007,1.50,1,x,=cmd|' /C calc'!A0,p\n"
    "9007199254740993,-2.5,2,z,-1.5,q\n"
    "1e5,,3,x,+47 22 33,\n"
)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command beside a model and a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.csv").write_text(NEW)
    columns = [Column("a", "number", 2.0, 1.0), Column("b", "text", categories=("x", "z"))]
    for name, classes in (("model", ("no", "yes")), ("formula", ("=1+1", "-"))):
        net = fs.Network((3, 1))
        net.W1 = [[0.0, -1.0, 1.0]]
        fs.save(fs.Pipeline(net, columns, Target("y", "classification", classes)), name)

    def ran(*arguments, code=0):
        done = main(["predict", *arguments])
        said = capsys.readouterr()
        assert done == code, said.err
        return said

    return ran


def test_kept_columns_come_first_and_as_they_were(run):
    said = run("model", "new.csv", "--keep", "id", "--keep", "amount", "--keep", "x, y")
    assert said.out == (
        'id,amount,"x, y",prediction\n007,1.50,p,no\n9007199254740993,-2.5,q,yes\n1e5,,,no\n'
    )
    assert said.err == ""
    said = run("model", "new.csv", "--keep", "id,amount", "--proba")
    assert said.out.startswith(
        "id,amount,prediction,probability_no,probability_yes\n007,1.50,no,0.7"
    )


def test_all_columns_are_kept(run):
    said = run("model", "new.csv", "--keep-all", "--as-is", "--out", "out.csv")
    assert said.out == "Predictions        out.csv (3 rows)\n" and said.err == ""
    written = pd.read_csv("out.csv", dtype=str, keep_default_na=False)
    new = pd.read_csv(io.StringIO(NEW), dtype=str, keep_default_na=False)
    assert written.pop("prediction").tolist() == ["no", "yes", "no"]
    pd.testing.assert_frame_equal(written, new)


def test_formulas_are_disarmed_and_told(run):
    said = run("model", "new.csv", "--keep", "note,a")
    rows = said.out.splitlines()
    assert rows == [
        "note,a,prediction",
        "'=cmd|' /C calc'!A0,1,no",
        "-1.5,2,yes",
        "+47 22 33,3,no",
    ]
    assert said.err == (
        "fastshallow: warning: text that a spreadsheet would run is written after an apostrophe, "
        "in 'note' (1); --as-is writes it as it is\n"
    )
    said = run("formula", "new.csv")
    assert said.out == "prediction\n'=1+1\n-\n'=1+1\n" and "'prediction' (2)" in said.err
    assert run("formula", "new.csv", "--as-is").out == "prediction\n=1+1\n-\n=1+1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--keep", "ids"),
            "--keep: expected .*columns? of new.csv, which has 'id', .*; got 'ids'",
        ),
        (("--keep", "id,ids"), "got 'ids'"),
        (("--threshold", "0.3", "--keep", "prediction"), "got 'prediction'"),
    ],
)
def test_mistakes_are_one_line(run, arguments, message):
    said = run("model", "new.csv", *arguments, code=2)
    assert re.search(message, said.err) and said.err.count("\n") == 1 and said.out == ""


def test_a_column_may_not_be_called_like_a_prediction(run, tmp_path):
    (tmp_path / "again.csv").write_text("a,b,prediction,probability_no\n1,x,no,0.5\n")
    said = run("model", "again.csv", "--keep-all", "--proba", code=2)
    assert "columns of these names: 'prediction', 'probability_no'" in said.err
    assert run("model", "again.csv", "--keep", "probability_no").out.endswith("\n0.5,no\n")


def test_no_column_is_lost_by_an_apostrophe(run, tmp_path):
    (tmp_path / "odd.csv").write_text("a,b,=x,'=x\n1,x,2,3\n")
    said = run("model", "odd.csv", "--keep-all")
    assert said.out.splitlines()[1] == "1,x,2,3,no"
    assert len(set(said.out.splitlines()[0].split(","))) == 5


def test_predictions_are_not_packed(run):
    said = run("model", "new.csv", "--out", "out.csv.gz", code=2)
    assert "--out out.csv.gz: expected the name of a CSV" in said.err


def test_standard_input_and_parquet(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(NEW.encode())))
    assert run("model", "-", "--keep", "id").out.splitlines()[1] == "007,no"
    pytest.importorskip("pyarrow")
    table = pd.read_csv("new.csv").assign(id=[7, 2**53 + 1, 3])
    table.to_parquet("new.parquet")
    said = run("model", "new.parquet", "--keep", "id")
    assert said.out == "id,prediction\n7,no\n9007199254740993,yes\n3,no\n"
