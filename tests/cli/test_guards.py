"""Guards of train: what is left out, what is refused, what is said."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from fastshallow.cli.guards import check_classes, left_out
from fastshallow.cli.options import TrainOptions
from fastshallow.cli.prepare import encoded, prepare, raw
from fastshallow.tables.columns import CLASSES_FEW, Target, read_values
from fastshallow.tables.mistakes import Mistake


@pytest.fixture
def people(tmp_path):
    """Return a function that writes a table of 60 rows with more columns, and gives its path."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(5, 2, 60), "y": [["no", "yes"][i % 2] for i in range(60)]}
    )

    def write(**more):
        path = tmp_path / "t.csv"
        frame.assign(**more).to_csv(path, index=False)
        return str(path)

    return write


def test_useless_columns_are_left_out_and_named(people, capsys):
    path = people(
        name=[f"Mr {i}" for i in range(60)],
        same="x",
        seven=7,
        day="2024-02-29",
        city=[f"c{i % 12}" for i in range(60)],
    )
    data = prepare(TrainOptions(path, target="y"))
    assert [column.name for column in data.columns] == ["a", "city"]
    assert capsys.readouterr().err == (
        "fastshallow: warning: columns left out: 'name' (60 different texts in 60 rows), 'same' "
        "(constant), 'seven' (constant), 'day' (constant)\n"
    )
    assert list(data.left_out) == ["name", "same", "seven", "day"]


@pytest.mark.parametrize("seed", range(20))
def test_a_column_whose_few_values_are_all_held_out(people, capsys, seed):
    rare = [1.5 * i if i in (3, 17) else None for i in range(60)]
    options = TrainOptions(people(rare=rare), target="y", impute="median", seed=seed)
    data = prepare(options)
    said = capsys.readouterr().err
    names = [column.name for column in data.columns]
    assert ("'rare' (" in said) == ("rare" not in names)
    assert "a" in names and np.isfinite(data.X).all() and np.isfinite(data.X_held_out).all()
    assert said.count("\n") <= 1


def test_a_column_without_a_value_in_the_rows_trained_on(people):
    rare = [1.5 * i if i in (3, 17) else None for i in range(60)]
    options = TrainOptions(people(rare=rare), target="y", impute="median")
    rest = np.array([3, 17])
    data = encoded(options, raw(options), np.setdiff1d(np.arange(60), rest), rest)
    assert data.left_out == {"rare": "no value in the rows trained on"}
    assert [column.name for column in data.columns] == ["a"]
    for kept in (3, 17):
        rest = np.array([20 - kept])
        data = encoded(options, raw(options), np.setdiff1d(np.arange(60), rest), rest)
        assert data.left_out == {"rare": "constant in the rows trained on"}


def test_a_table_with_nothing_else_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"x": [1] * 8, "y": ["a", "b"] * 4}).to_csv(path, index=False)
    message = r"t.csv: expected columns to learn from; left out are 'x' \(constant\)$"
    with pytest.raises(Mistake, match=message):
        prepare(TrainOptions(str(path), target="y"))


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([f"{i}" for i in range(CLASSES_FEW)], ""),  # so few do no harm
        ([f"{i}" for i in range(CLASSES_FEW + 1)], "21 different texts in 21 rows"),
        ([f"{i % 90}" for i in range(100)], "90 different texts in 100 rows"),
        ([f"{i % 70}" for i in range(100)], ""),
        ([f"{i}" if i < 30 else None for i in range(100)], "30 different texts in 30 rows"),
        (["a", None, "a"], "constant"),
        ([True, True], "constant"),
    ],
)
def test_reasons(texts, reason):
    found = [read_values("x", texts), read_values("n", list(range(len(texts))))]
    wanted = {"x": reason} if reason else {}
    assert left_out(found, np.arange(len(texts)), "t.csv") == wanted
    with pytest.raises(Mistake, match=r"t.csv: .* left out are 'n' \(constant\)$"):
        left_out([read_values("n", [1, 1])], np.arange(2), "t.csv")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [f"n{i}" for i in range(30)],
            "2 rows or more of a class; got 30 classes in 30 rows, such",
        ),
        ([f"n{i % 20}" for i in range(30)], "got 20 classes in 30 rows"),
        (list(range(100, 115)), "15 whole numbers in 15 rows would be 15 classes; --task regress"),
        (
            [f"{i},50" for i in range(30)],
            "got 30 classes in 30 rows, such as '0,50'; --target names another",
        ),
        ([str(i) for i in range(30)], "such as '0'; --number 'y' reads numbers"),
        (["1", *(f"n{i}" for i in range(29))], "such as '1'; --target names another column"),
        (["a", "b", "c"], "got 3 classes in 3 rows"),
    ],
)
def test_classes_of_one_row_each_are_refused(labels, message):
    found = read_values("y", labels)
    with pytest.raises(Mistake, match=f"^target 'y': .*{message}"):
        check_classes(Target.of(found), found)


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b", "a"],
        ["a", "b", "c", "a"],
        [f"n{i % 30}" for i in range(60)],
        ["1,5", "2,5"] * 9,
        [f"p{i % 30},5" for i in range(600)],
    ],
)
def test_other_classes_are_not(labels):
    found = read_values("y", labels)
    check_classes(Target.of(found), found)
    numbers = read_values("y", [0.5, 1.5, 2.5])
    check_classes(Target.of(numbers), numbers)


def test_dates_of_a_csv_are_numbers(people, capsys):
    days = [dt.date(2024, 1, 1) + dt.timedelta(i) for i in range(60)]
    data = prepare(TrainOptions(people(day=days, code=["2024x", "b"] * 30), target="y"))
    day, code = data.columns[1:]
    assert [name for name, *_ in day.parts] == ["days", "month", "weekday"]
    assert day.start in ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
    assert code.kind == "text" and capsys.readouterr().err == ""
    assert data.X.shape[1] == 1 + 3 + 2


def test_one_word_among_dates_is_told_of(people, capsys):
    days = [str(dt.date(2024, 1, 1) + dt.timedelta(i % 8)) for i in range(60)]
    days[7] = "soon"
    data = prepare(TrainOptions(people(day=days), target="y"))
    assert data.columns[1].kind == "text"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "'day' is taken as text, though 59 of 60 rows are dates, because of 'soon'" in said


def test_dates_and_decimals_of_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    days = [dt.datetime(2024, 1, 1, i % 24) + dt.timedelta(i) for i in range(60)]
    frame = pd.DataFrame(
        {
            "price": [Decimal(i) / 4 for i in range(60)],
            "day": [day.date() for day in days],
            "time": pd.Series(days).dt.tz_localize("Europe/Oslo"),
            "y": [900000000000207008 + i % 2 for i in range(60)],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    data = prepare(TrainOptions(str(tmp_path / "t.parquet"), target="y"))
    assert [column.kind for column in data.columns] == ["number", "date", "date"]
    assert data.target.classes == (900000000000207008, 900000000000207009)
    odd = frame.assign(day=[day.time() for day in days], list=[[1, 2]] * 60, bytes=[b"a"] * 60)
    odd.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(Mistake) as raised:
        prepare(TrainOptions(str(tmp_path / "t.parquet"), target="y"))
    for name, kind in (("day", "time"), ("list", "ndarray"), ("bytes", "bytes")):
        assert f"column '{name}': expected numbers, text, booleans or dates; got " in str(
            raised.value
        )
        assert f"of type {kind} in row 1" in str(raised.value)


def test_labels_above_2_53_come_back(people):
    codes = [900000000000207008 + i % 2 for i in range(60)]
    path = people(code=codes)
    data = prepare(TrainOptions(path, target="code", drop=("y",)))
    assert data.target.classes == (900000000000207008, 900000000000207009)
    assert set(np.concatenate([data.y, data.y_held_out])) == {0, 1}
    # as float64 the two numbers are one
    assert prepare(TrainOptions(path, target="y")).left_out == {
        "code": "differs by rounding alone; --text 'code' keeps the digits"
    }


def test_numbers_that_differ_by_rounding_are_left_out(people):
    path = people(id=[2**53 + 2 * i for i in range(60)], x=[0.3, 0.1 + 0.2] * 30)
    assert prepare(TrainOptions(path, target="y")).left_out == {
        "id": "differs by rounding alone; --text 'id' keeps the digits",
        "x": "differs by rounding alone",
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (list(range(60)), "it numbers the rows; --drop 'c' leaves it out"),
        (
            [f"{i:02}.03.2024" for i in range(1, 21)] * 3,
            "all look like dates, such as '01.03.2024'",
        ),
        ([2 * i for i in range(60)], ""),
        ([i % 30 for i in range(60)], ""),
    ],
)
def test_features_that_may_be_no_use_are_told(people, capsys, values, said):
    prepare(TrainOptions(people(c=values), target="y"))
    found = capsys.readouterr().err
    assert (said in found and found.count("\n") == 1) if said else not found
