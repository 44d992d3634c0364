"""Reading a column: exact whole numbers, decimals, dates, and what is refused."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.preprocessing import StandardScaler

from fastshallow.tables.columns import Column, Target, dated, encode, read_values
from fastshallow.tables.mistakes import Mistake

CODES = [900000000000207008, 900000000000207009, 900000000000207008, 7]
OSLO = dt.timezone(dt.timedelta(hours=1))

# Arrays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[1.0, 99.0, 3.0], [1, 99, 3], ["a", "z", "b"], [True] * 3])
@pytest.mark.parametrize("dtype", [None, object])
def test_the_mask_of_an_array_is_missing(values, dtype):
    found = read_values("a", np.ma.array(np.array(values, dtype), mask=[False, True, False]))
    assert found.missing.tolist() == [False, True, False]
    assert read_values("a", [np.ma.masked, values[0]]).missing.tolist() == [True, False]


@pytest.mark.parametrize("missing", [np.nan, None])
def test_texts_of_numpy_may_be_missing(missing):
    texts = np.array(["a", missing], np.dtypes.StringDType(na_object=missing))
    found = read_values("a", texts)
    assert (found.kind, found.missing.tolist()) == ("text", [False, True])


@pytest.mark.parametrize("column", [{1.0: 0, 2.0: 1}, {1.0, 2.0}, pd.DataFrame({"a": [1.0, 2.0]})])
def test_names_and_sets_are_no_column(column):
    with pytest.raises(Mistake, match=r"column 'a': expected values \(m,\); got"):
        read_values("a", column)


def test_a_value_is_the_same_text_whatever_stands_beside_it():
    for value, text in ((1.0, "1"), (Decimal("1.00"), "1"), (0.1, "0.1"), (True, "True"), (7, "7")):
        for column in ([value], [value, "a"]):
            assert read_values("a", column).texts()[0] == text


def test_words_that_are_missing():
    day = dt.datetime(2024, 1, 1)
    for values, words in (
        ([1.5, -999.0], ["-999", "x"]),
        ([Decimal("1.5"), Decimal("-999.00")], ["-999.0"]),
        ([day, dt.datetime(1900, 1, 1)], ["1900-01-01"]),
        (["a", "?"], ["?"]),
        (CODES[:2], [str(CODES[1])]),
    ):
        found = read_values("a", values)
        assert found.without(words).missing.tolist() == [False, True]
        assert not found.missing.any() and found.without([]) is found
    assert read_values("a", [-999]).without(["-999"]).kind == ""


# Whole numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        CODES,
        np.array(CODES),
        np.array(CODES, "u8"),
        pd.Series(CODES),
        pd.Series(CODES, dtype="Int64"),
        pd.Series(CODES, dtype=object),
        pl.Series(CODES),
        [Decimal(code) for code in CODES],
    ],
    ids=lambda column: str(getattr(column, "dtype", type(column).__name__)),
)
def test_whole_labels_above_2_53_are_exact(column):
    found = read_values("y", column)
    target = Target.of(found)
    assert target.classes == (7, *CODES[:2])
    assert target.encode(found).tolist() == [1, 2, 1, 0]
    assert target.labels()[target.encode(found)].tolist() == CODES
    assert found.texts().tolist() == list(map(str, CODES))
    with pytest.raises(Mistake, match="got '900000000000207010'"):
        target.encode(read_values("y", [CODES[0] + 2]))
    # features are numbers as all others
    assert found.kind == "number" and found.values.dtype == np.float64
    assert found.values.tolist() == list(map(float, CODES))


def test_whole_numbers_that_are_missing_in_some_rows():
    found = read_values("y", pd.Series([CODES[1], pd.NA, CODES[0]], dtype="Int64"))
    assert found.texts().tolist() == [str(CODES[1]), "", str(CODES[0])]
    taken = found.taken(np.array([2, 1]))
    assert taken.texts().tolist() == [str(CODES[0]), ""] and taken.missing.tolist() == [False, True]


@pytest.mark.parametrize("column", [[1, 2, 3], [2**53 - 1], [1e300, 2.0], np.array([1e18, 0.5])])
def test_other_numbers_have_no_integers_beside_them(column):
    assert read_values("x", column).exact is None


@pytest.mark.parametrize("floats", [[float(code) for code in CODES], np.array(CODES, float)])
def test_floats_that_are_several_whole_numbers_are_no_labels(floats):
    target = Target.of(read_values("y", CODES))
    with pytest.raises(Mistake, match=r"got the float 9\.0\d*e\+17 in row 1, which is several"):
        target.encode(read_values("y", floats))
    with pytest.raises(Mistake, match="which is several whole numbers"):
        Target.of(read_values("y", floats))


def test_classes_above_2_64_come_back():
    labels = [2**70, 2**70 + 1, 2**70]
    target = Target.of(read_values("y", labels))
    assert target.labels()[target.encode(read_values("y", labels))].tolist() == labels


@pytest.mark.parametrize("row", [1, 3])
def test_an_integer_of_400_digits_is_one_line(row):
    column = [1, 2, None, 4]
    column[row - 1] = -(10**399)
    with pytest.raises(Mistake, match=rf"'x': expected numbers up to 1.8e308; .* in row {row}$"):
        read_values("x", column)


# Decimals ----------------------------------------------------------------------------------------


def test_decimals_are_numbers():
    column = [Decimal("2.10"), None, Decimal("NaN"), Decimal("-3"), 4]
    found = read_values("x", column)
    assert found.kind == "number" and np.flatnonzero(found.missing).tolist() == [1, 2]
    assert found.present.tolist() == [2.1, -3.0, 4.0]
    prices = read_values("y", [Decimal("2.10"), Decimal("1.99")])
    assert Target.of(prices).task == "regression"
    with pytest.raises(Mistake, match="expected finite numbers; got inf in row 1"):
        read_values("x", [Decimal("Infinity")])


# Missing values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("column", [[1, pd.NA, 2], [1, None, np.nan], ["a", pd.NA], [pd.NA]])
def test_missing_values_of_pandas_in_lists(column):
    found = read_values("x", column)
    assert found.missing.tolist() == [bool(pd.isna(value)) for value in column]


# Dates -------------------------------------------------------------------------------------------

DAYS = [dt.date(2024, 2, 29), dt.date(2024, 3, 1), None]


@pytest.mark.parametrize(
    "column",
    [
        DAYS,
        [pd.Timestamp("2024-02-29"), dt.datetime(2024, 3, 1), pd.NaT],
        [np.datetime64("2024-02-29"), np.datetime64("2024-03-01"), np.datetime64("NaT")],
        np.array(["2024-02-29", "2024-03-01", "NaT"], "M8[D]"),
        np.array(["2024-02-29", "2024-03-01", "NaT"], "M8[ns]"),
        pd.Series(pd.to_datetime(DAYS)),
        pd.Series(DAYS, dtype=object),
        pd.Series(pd.to_datetime(DAYS)).dt.tz_localize("UTC"),
        pd.Series(pd.to_datetime(["2024-02-29", "2024-03-01", None]))
        .dt.tz_localize("UTC")
        .dt.tz_convert("Europe/Oslo"),
        pl.Series(DAYS),
    ],
    ids=str,
)
def test_dates_of_every_type(column):
    found = read_values("x", column)
    assert found.kind == "date" and found.missing.tolist() == [False, False, True]
    assert found.present.astype("M8[D]").astype(str).tolist() == ["2024-02-29", "2024-03-01"]
    assert found.texts().tolist() == ["2024-02-29", "2024-03-01", ""]


def test_the_same_moment_is_the_same_with_any_time_zone():
    there = [dt.datetime(2024, 3, 1, 0, 30, tzinfo=OSLO), dt.datetime(2024, 3, 1, tzinfo=dt.UTC)]
    found = read_values("x", there)
    assert found.texts().tolist() == ["2024-02-29 23:30:00", "2024-03-01"]
    written, others = dated(read_values("x", [moment.isoformat() for moment in there]))
    assert not others.size and np.array_equal(written.values, found.values)


@pytest.mark.parametrize("row", [2, 3])
def test_dates_with_and_without_a_zone_are_refused(row):
    column = [dt.datetime(2024, 3, 1)] * 3
    column[row - 1] = column[0].replace(tzinfo=OSLO)
    message = rf"expected dates without a time zone, as in row 1; .* in row {row}$"
    with pytest.raises(Mistake, match=message):
        read_values("x", column)
    with pytest.raises(Mistake, match=r"dates with a time zone, as in row 2; .* in row 3$"):
        read_values("x", [None, dt.datetime(2024, 3, 1, tzinfo=OSLO), column[0]])


@pytest.mark.parametrize("year", [586577, -284555, 10000, 0])
@pytest.mark.parametrize("unit", ["Y", "D", "s"])
def test_far_years_do_not_wrap_around(year, unit):
    far = np.array([year - 1970], "datetime64[Y]").astype(f"datetime64[{unit}]")
    for column in (far, far.astype(object) if year == 10000 else list(far)):
        if isinstance(column[0], np.datetime64):
            with pytest.raises(Mistake, match=f"years 1 to 9999; got year {year} in row 1"):
                read_values("day", column)


def test_dates_out_of_range():
    with pytest.raises(Mistake, match="years 1 to 9999; got year 12024 in row 2"):
        read_values("x", np.array(["2024", "12024"], "M8[Y]"))
    with pytest.raises(Mistake, match="years 1 to 9999"):
        read_values("x", [dt.datetime(1, 1, 1, tzinfo=OSLO)])


@pytest.mark.parametrize(
    ("texts", "others"),
    [
        (["2024-02-29", " 2024-03-01 ", None], []),
        (["2024-02-29 10:00", "2024-02-29T10:00:30.123456"], []),
        (["2024-02-29T10:00Z", "2024-02-29T10:00:30+01:00"], []),
        (["2024-02-29", "soon", None, ""], [1, 3]),
        (["2024-02-30", "2024-03-01"], [0]),
        (["2024-02-29", "2024-02-29T10:00Z"], [1]),
        (["20240229", "2024", "2024-W05-1", "24-02-29", "29.02.2024"], [0, 1, 2, 3, 4]),
        (["a", "b"], [0, 1]),
    ],
)
def test_text_is_dates_if_all_of_it_is(texts, others):
    found, rows = dated(read_values("x", texts))
    assert rows.tolist() == others
    assert found.kind == ("text" if others else "date")
    if not others:
        assert [str(t)[:10] for t in found.present] == [t.strip()[:10] for t in texts if t]
    numbers = read_values("x", [1, 2])
    assert dated(numbers)[0] is numbers


# What is refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ([1, 2], "list"),
        ({"a": 1}, "dict"),
        (np.ones(2), "ndarray"),
        (b"a", "bytes"),
        (dt.time(10), "time"),
        (dt.timedelta(1), "timedelta"),
        (np.timedelta64(1, "D"), "timedelta64"),
        (1 + 2j, "complex"),
        (uuid.UUID(int=1), "UUID"),
        (pd.Interval(0, 1), "Interval"),
    ],
    ids=str,
)
def test_other_types_are_one_error_with_the_row(value, name):
    for others in ([None, "a"], [None, 1.5], [None, None]):
        message = rf"^column 'x': expected numbers, text, booleans or dates; .* {name} in row 3$"
        with pytest.raises(Mistake, match=message) as raised:
            read_values("x", [*others, value, value])
        assert len(str(raised.value)) < 300 and str(raised.value).isprintable()


@pytest.mark.parametrize(
    "column",
    [
        np.array([1, 2], "m8[ns]"),
        pd.Series([pd.Timedelta(1), pd.Timedelta(2)]),
        np.array([b"a", b"b"]),
        np.array([1j, 2]),
        pd.Series(pd.interval_range(0, 2)),
        pd.Series(pd.period_range("2024", periods=2, freq="D")),
        pl.Series([[1], [2]]),
        pl.Series([dt.time(10), dt.time(11)]),
        np.array([(1, 2)], "i4,i4"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_other_dtypes_are_refused_too(column):
    with pytest.raises(Mistake, match=r"expected numbers, text, booleans or dates; .* in row 1$"):
        read_values("x", column)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            [None, "a", dt.date(2024, 1, 1)],
            r"expected text, as in row 2; .* of type date in row 3$",
        ),
        ([dt.date(2024, 1, 1), 3], r"expected dates, as in row 1; got 3 of type int in row 2$"),
        ([1, True, 2], r"expected numbers, as in row 1; got True of type bool in row 2$"),
    ],
)
def test_values_of_different_kinds(column, message):
    with pytest.raises(Mistake, match=message):
        read_values("x", column)


def test_messages_are_short_and_printable():
    evil = "\x1b[2J\x07" + "x" * 10_000
    for column in ([evil, dt.date(2024, 1, 1)], [[evil] * 50], [1, [evil]], [evil, b"\x1b" * 999]):
        with pytest.raises(Mistake) as raised:
            read_values(evil, column)
        assert len(str(raised.value)) < 600 and str(raised.value).isprintable()


# Scales ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "numbers",
    [
        [0.3, 0.1 + 0.2],
        [0.3, 0.1 + 0.2] * 500,
        [1e-200 * value for value in (0.3, 0.1 + 0.2)],
        [1e200 * value for value in (0.3, 0.1 + 0.2)],
        [5.0, 5.0],
        [0.0, 0.0],
        [1.0, 1.0 + 1e-9],
        [1.7e9, 1.7e9 + 1.0],
    ],
)
def test_scales_are_those_of_scikit_learn(numbers):
    column = Column.of(read_values("x", numbers))
    extreme = not 1e-100 < max(numbers) < 1e100  # scikit-learn's variance has no room for them
    wanted = 1.0 if extreme else StandardScaler().fit(np.array(numbers)[:, None]).scale_[0]
    assert column.scale == pytest.approx(wanted, rel=1e-6)
    X, _ = encode([column], [read_values("x", numbers)], "f8")
    assert np.abs(X).max() <= (1.0 + 1e-6) * max(1.0, *numbers)
