"""Columns of dates: their parts as numbers, their description, their fill."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

import fastshallow as fs
from fastshallow.tables.columns import Column, Target, dated, encode, read_values
from fastshallow.tables.dates import PARTS, part
from fastshallow.tables.mistakes import Mistake


def test_parts_are_those_of_pandas(rng):
    hours = pd.Series(
        pd.Timestamp("1965-01-01") + pd.to_timedelta(rng.integers(0, 10**6, 500), "h")
    )
    moments = hours.to_numpy("M8[us]")
    start = moments.min()
    wanted = {
        "days": (hours - hours.min()) / pd.Timedelta("1D"),
        "year": hours.dt.year,
        "month": hours.dt.month,
        "weekday": hours.dt.day_of_week,
        "hour": hours.dt.hour,
    }
    for name in PARTS:
        assert np.array_equal(part(name, moments, start), wanted[name])


@pytest.mark.parametrize(
    ("column", "parts"),
    [
        (["2024-02-28", "2024-02-29"], ["days", "weekday"]),
        (["2024-02-01", "2024-02-08"], ["days"]),
        (["2024-02-01", "2024-02-01"], ["days"]),
        (["2024-02-01T10:00", "2024-02-01T12:00"], ["days", "hour"]),
        (["2023-01-01", "2024-01-01", "2025-03-02"], ["days", "year", "month", "weekday"]),
    ],
)
def test_parts_that_do_not_vary_are_left_out(column, parts):
    found = dated(read_values("x", column))[0]
    made = Column.of(found)
    assert (made.kind, made.width) == ("date", len(parts))
    assert [name for name, *_ in made.parts] == parts
    assert made.start == min(column).replace("T", " ") + ":00" * ("T" in column[0])
    X, unseen = encode([made], [found], "f8")
    assert unseen == {} and X.mean(axis=0) == pytest.approx(0, abs=1e-9)
    if len(set(column)) > 1:
        assert X.std(axis=0) == pytest.approx(1)


@pytest.fixture
def column():
    """Return a column of three days in February, filled with their median."""
    days = ["2024-02-28", None, "2024-02-01", "2024-02-29"]
    return Column.of(dated(read_values("when", days))[0], impute=True)


def test_missing_dates_are_filled_with_the_median(column):
    assert (column.start, column.fill) == ("2024-02-01", "2024-02-28")
    X, _ = encode([column], [read_values("when", [None, "2024-02-28"])], "f4")
    assert X[0].tolist() == X[1].tolist()
    X, _ = encode([column], [read_values("when", [None, None])], "f4")
    assert np.isfinite(X).all()
    even = dated(read_values("x", ["2024-02-01", "2024-02-02", "2024-02-09", "2024-02-03"]))[0]
    assert Column.of(even, impute=True).fill == "2024-02-02"


def test_text_and_dates_are_the_same_dates(column):
    texts = read_values("when", ["2024-03-01", "2024-03-02T12:00:00"])
    types = read_values("when", [dt.datetime(2024, 3, 1), dt.datetime(2024, 3, 2, 12)])
    assert np.array_equal(*(encode([column], [found], "f4")[0] for found in (texts, types)))


@pytest.mark.parametrize("row", [1, 2, 3])
def test_what_is_no_date_is_named(column, row):
    texts = ["2024-03-01"] * 3
    texts[row - 1] = "2023-02-29"
    message = rf"'when': expected dates, as in training; got '2023-02-29' in row {row}$"
    with pytest.raises(Mistake, match=message):
        encode([column], [read_values("when", texts)], "f4")
    with pytest.raises(Mistake, match=r"expected dates, as in training; got '3' in row 1"):
        encode([column], [read_values("when", [3.0, 4.0])], "f4")
    with pytest.raises(Mistake, match="expected numbers, as in training; got '2024-03-01"):
        found = read_values("when", [dt.date(2024, 3, 1)])
        encode([Column("when", "number")], [found], "f4")


def test_a_zone_is_needed_where_training_had_one(column):
    naive = pd.Series(pd.date_range("2024-01-01", periods=5, freq="7h"))
    for first, second in ((naive, naive.dt.tz_localize("Asia/Tokyo")),) * 2:
        for trained, other, said in ((first, second, "out a"), (second, first, " a")):
            found = Column.of(read_values("when", trained))
            again = Column.described(found.describe())
            assert again == found and found.start.endswith("Z") == (trained.dt.tz is not None)
            encode([again], [read_values("when", trained)], "float32")
            for given in (other, [value.isoformat() for value in other]):
                with pytest.raises(Mistake, match=f"expected dates with{said} time zone, as in"):
                    encode([again], [read_values("when", given)], "float32")


def test_a_text_column_takes_dates_as_they_are_written():
    column = Column.of(read_values("x", ["2024-03-01", "other"]))
    assert column.kind == "text"
    for values in ([dt.date(2024, 3, 1)], ["2024-03-01"], np.array(["2024-03-01"], "M8[D]")):
        assert encode([column], [read_values("x", values)], "f4")[1] == {}


def test_dates_are_no_target():
    with pytest.raises(
        Mistake, match="'y': expected numbers, text or booleans; got dates, such as"
    ):
        Target.of(read_values("y", [dt.date(2024, 3, 1), dt.date(2024, 3, 2)]))
    texts = Target.of(read_values("y", ["2024-03-01", "2024-03-02"]))
    assert texts.classes == ("2024-03-01", "2024-03-02")


def test_description(column):
    kept = column.describe()
    assert list(kept) == ["name", "kind", "start", "parts", "fill"]
    assert Column.described(json.loads(json.dumps(kept))) == column
    assert Column.described(json.loads(json.dumps(kept))).describe() == kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "soon"}, "'when': start: expected an ISO date without a time zone; got 'soon'"),
        ({"start": None}, "start: expected an ISO date"),
        ({"start": "2024-02-01T00:00+05:00"}, "start: expected an ISO date without"),
        ({"fill": "2024-02-30"}, "fill: expected an ISO date"),
        ({"fill": 3.0}, "fill: expected an ISO date"),
        ({"parts": []}, "parts: expected a list of name, mean and scale of each"),
        ({"parts": [["days", 1.0]]}, "parts: expected a list of name, mean and scale of each"),
        ({"parts": ["day"]}, "parts: expected a list of name, mean and scale of each"),
        ({"parts": [["age", 1.0, 1.0]]}, "parts: name: expected one of days, year, month"),
        ({"parts": [["days", 0.0, 1.0]] * 2}, "parts: expected different ones"),
        ({"parts": [["days", 0.0, 0.0]]}, "parts: days: scale: expected a finite number > 0"),
        ({"parts": [["days", "0", 1.0]]}, "parts: days: mean: expected a finite number"),
        ({"parts": [[[], 0.0, 1.0]]}, "parts: name: expected one of days"),
    ],
)
def test_descriptions_of_no_column(column, change, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Column.described(column.describe() | change)


def test_other_kinds_have_no_parts():
    with pytest.raises(ValueError, match="parts: expected none"):
        Column("x", "number", parts=(("days", 0.0, 1.0),))


def test_a_model_with_dates_is_saved_and_loaded(column, tmp_path):
    net = fs.Network((column.width, 1), output="linear").init(seed=0)
    model = fs.Pipeline(net, [column], Target("y", "regression"))
    fs.save(model, tmp_path / "m")
    again = fs.load(tmp_path / "m")
    assert again == model
    table = {"when": ["2024-02-07", "2024-05-01"]}
    typed = {"when": [dt.date(2024, 2, 7), dt.date(2024, 5, 1)]}
    frame = pd.DataFrame(table).assign(when=lambda frame: pd.to_datetime(frame["when"]))
    for given in (typed, frame):
        assert np.array_equal(again.predict(given), model.predict(table))
