"""Reading files: separators, decimals, missing words, headers, and what is said about columns."""

from __future__ import annotations

import io
import sys

import numpy as np
import pandas as pd
import pytest

import fastshallow as fs
from fastshallow.tables import csv_text
from fastshallow.tables.columns import Column, Target
from fastshallow.tables.csv_text import separator_of
from fastshallow.tables.mistakes import Mistake, TableWarning, did_you_mean
from fastshallow.tables.read import read_noted, read_table
from fastshallow.tables.reading import Reading, named


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a text as a file."""

    def read(content, kinds=None, **options):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = read_noted(str(path), Reading(**options), kinds)
        for name in found.frame:
            found.look(name)
        return found

    return read


# Separators and decimals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ('"income, EUR";"age, years";y\n"1,5";2;no\n', ";"),
        ('"income, EUR","age; years",y\n1,2,no\n', ","),
        ("income, EUR;age;y\n1,5;2;no\n", ";"),
        ("a;b,c\n1;x,2\n3;y,4\n", ";"),
        ("a\tb\n1,5\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ('"a;""b"";c",d\n1,2\n', ","),
        ('"a\nb;c",d\n1,2\n', ","),
        ('a, "b;c;d"\n1, 2\n', ","),
        ("alone\n1\n", ","),
        ("a,b,y\n1,2,3\n1,2,3,4\n", ","),
        ("", ","),
    ],
)
def test_separators(text, separator):
    assert separator_of(text) == separator


def test_a_header_may_be_cut_within_a_character(read, monkeypatch):
    monkeypatch.setattr(csv_text, "SAMPLE", 2)  # é has two bytes
    assert read("aé,b\n1,2\n").frame.to_dict("list") == {"aé": [1], "b": [2]}


def test_a_given_separator(read):
    assert list(read("a:b\n1:2\n", sep=":").frame) == ["a", "b"]
    assert list(read("a,b\tc\n1,2\t3\n", sep="tab").frame) == ["a,b", "c"]


def test_decimal_commas_beside_semicolons(read):
    found = read("a;b;c\n1,5;1.5;1.234,5\n2;2.5;7\n")
    assert found.frame.dtypes.tolist() == ["float64"] * 3
    assert found.frame["c"].tolist() == [1234.5, 7.0] and not found.notes
    same = read("a,b,c\n1.5,1.5,1234.5\n2,2.5,7\n").frame
    pd.testing.assert_frame_equal(found.frame, same)


def test_a_comma_that_may_separate_thousands_is_told_of(read):
    found = read("a;b\n1,234;x\n2,345;y\n")
    assert found.frame["a"].tolist() == [1.234, 2.345]
    assert "'1,234' is read with a decimal comma; --decimal . --number 'a'" in found.notes["a"][0]
    assert not read("a;b\n1,234;x\n2,5;y\n").notes
    found = read("a;b\n1,234;x\n2,345;y\n", decimal=".", number=["a"])
    assert found.frame["a"].tolist() == [1234.0, 2345.0]


def test_a_given_decimal_sign(read):
    assert read('a,b\n"1,5",x\n"2,5",y\n', decimal=",").frame["a"].tolist() == [1.5, 2.5]


# Words -------------------------------------------------------------------------------------------


def test_words_that_are_missing(read):
    text = "a,b\nNone,NA\n?,?\nx,1\n,2\n"
    found = read(text, missing=["?"])
    assert found.frame["a"].isna().tolist() == [True, True, False, True]
    assert found.frame["b"].dtype == "float64"
    assert found.missing["a"] == {"None": 1, "": 1}
    assert found.words_missing("b") == "column 'b': 'NA' (1)"
    kept = read(text, keep_na=True, missing=["?"])
    assert kept.frame["a"].isna().tolist() == [False, True, False, True]
    assert kept.frame["a"].tolist()[0] == "None"
    assert kept.frame["b"].dtype == "float64"  # numbers have no word NA


def test_text_stays_as_it_is(read):
    found = read("a,b\nTRUE,007\nFALSE,2.10\n", text=["a,b"])
    assert found.frame.to_numpy().tolist() == [["TRUE", "007"], ["FALSE", "2.10"]]
    assert not found.notes and not found.problems


def test_zeros_that_are_lost_are_told_of(read):
    found = read("zip,n\n01234,1\n10234,2\n")
    assert (
        "1 row with zeros, such as '01234', read as numbers; --text 'zip'" in found.notes["zip"][0]
    )
    assert not read("a,t\n0.5,2024-01-05\n0,2024-01-06\n").notes


def test_spaces_behind_separators(read):
    found = read("age, work\n39, State-gov\n50, ?\n")
    assert found.frame["work"].tolist() == ["State-gov", "?"]
    assert "a category is '?' in row 2; --missing '?'" in found.notes["work"][0]


def test_all_columns_that_are_no_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\ny,2\n")
    with pytest.raises(Mistake) as error:
        read_table(str(path), Reading(number=("a", "b")))
    assert "column 'a': " in str(error.value) and "column 'b': " in str(error.value)
    assert "\n" not in str(error.value)


def test_numbers_of_a_model(read):
    kinds = {"a": "number", "b": "text", "c": "number"}
    found = read("a,b\n1,2\n$5,03\n", kinds)
    assert "as in training; got '$5' in row 2; --number 'a'" in found.problems["a"]
    assert found.frame["b"].tolist() == ["2", "03"]
    assert read("a,b\n1,2\n$5,03\n", kinds | {"a": "written"}).frame["a"].tolist() == [1.0, 5.0]


# Headers and encodings ---------------------------------------------------------------------------


def test_no_header(read):
    text = "39, x\n50, y\n"
    assert list(read(text, no_header=True).frame) == ["1", "2"]
    found = read(text, names=["age", "work"])
    assert found.frame["age"].tolist() == [39, 50]
    with pytest.raises(Mistake, match="--names: expected 2 names, one for each field"):
        read(text, names=["age"])
    with pytest.raises(Mistake, match="ragged rows: row 2 has 1 field, expected 2"):
        read("1,2\n3\n", no_header=True)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_encodings(read, encoding):
    content = "a,b\nÅ,1\n".encode(encoding)
    assert read(content, encoding=encoding).frame["a"].tolist() == ["Å"]
    if encoding == "utf-16":
        assert read(content).frame["a"].tolist() == ["Å"]
    else:
        with pytest.raises(Mistake, match="expected text in UTF-8; got byte 0xc5; --encoding"):
            read(content)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sep": "ab"}, "--sep: expected one ASCII character, or tab; got 'ab'"),
        ({"sep": '"'}, "--sep: expected one ASCII character"),
        ({"decimal": "x"}, "--decimal: expected"),
        ({"encoding": "none"}, "--encoding: expected one that Python knows"),
        ({"encoding": "base64"}, "--encoding: expected one that Python knows"),
        ({"missing": [1]}, "--missing: expected texts"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(Mistake, match=message):
        Reading(**options)


def test_columns_that_are_not_there(read):
    with pytest.raises(
        Mistake, match=r"--text: .*got 'Age'; did you mean 'age'\?.*--number: .*'z'"
    ):
        read("age,b\n1,2\n", text=["Age"], number=["z"])
    with pytest.raises(Mistake, match="expected --text or --number; got both for 'b'"):
        read("age,b\n1,2\n", text=["b"], number=["b"])
    assert named("--drop", ["a, EUR", "b,c"], ["a, EUR", "b", "c"], "t") == ["a, EUR", "b", "c"]
    with pytest.raises(Mistake, match="got 'a,b'"):
        named("--target", ["a,b"], ["a", "b"], "t", commas=False)
    assert did_you_mean(["\x1b"], ["\x1b[2J"]).isprintable()


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a,b\n1,2\n")))
    assert read_table("-")["a"].tolist() == [1]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Mistake, match="standard input: it is closed"):
        read_table("-")


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = str(tmp_path / "t.parquet")
    frame = pd.DataFrame({"n": [7, -999], "w": ["?", "$5"], "z": ["01", "02"]})
    frame.to_parquet(path)
    found = read_noted(path, Reading(text=("n",), missing=("?", "-999"), number=("w",)))
    assert found.frame["n"].tolist()[0] == "7" and found.frame["n"].isna().tolist() == [False, True]
    assert found.frame["w"].tolist()[1] == 5.0
    found.look("z")
    assert not found.notes and not found.problems


# The reading of a model --------------------------------------------------------------------------


@pytest.fixture
def model():
    """A model of a text that looks like numbers, and of money."""
    columns = [
        Column("zip", "text", categories=("01234", "None")),
        Column("pay", "number", 100.0, 50.0),
    ]
    net = fs.Network((3, 1))
    net.W1 = [[3.0, -3.0, 0.1]]
    target = Target("y", "classification", ("no", "yes"))
    return fs.Pipeline(net, columns, target, Reading(keep_na=True, missing=("?",), number=("pay",)))


def test_a_model_reads_as_training_did(model, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("zip,pay\n01234,$1\nNone,$2\n")
    fs.save(model, tmp_path / "model")
    for loaded in (model, fs.load(tmp_path / "model")):
        assert loaded == model
        assert loaded.predict(loaded.read(path)).tolist() == ["yes", "no"]
    path.write_text("zip;pay;y\n01234;?;007\n")
    table = model.read(str(path), "y")
    assert np.isnan(table["pay"][0]) and table["y"].tolist() == ["007"]
    path.write_text("zip,pay\n01234,x\nNone,2\n")
    with pytest.raises(Mistake, match=r"new\.csv: column 'pay': expected numbers, as in training"):
        model.read(path)
    assert model.describe()["reading"] == {"missing": ["?"], "keep_na": True, "number": ["pay"]}


def test_a_model_of_default_reading_is_described_as_before(model):
    plain = fs.Pipeline(model.net, model.columns, model.target)
    assert set(plain.describe()) == {"columns", "target"}
    assert fs.Pipeline.described(model.net, plain.describe()) == plain != model


@pytest.mark.parametrize(
    "reading",
    [[], {"sep": ";"}, {"missing": "?"}, {"missing": [1]}, {"keep_na": 1}, {"number": []}],
)
def test_readings_that_are_none(model, reading):
    with pytest.raises(ValueError, match="reading: "):
        fs.Pipeline.described(model.net, model.describe() | {"reading": reading})


def test_words_that_a_model_takes_as_missing_are_told_of(model, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("zip,pay\n01234,1\nNone,2\n")
    plain = fs.Pipeline(model.net, model.columns, model.target)
    with pytest.warns(TableWarning, match=r"column 'zip': 'None' \(1\) taken as missing"):
        plain.read(path)
