"""What fs.Pipeline takes for a table, and its scores."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.metrics import r2_score

import fastshallow as fs
from fastshallow.tables.columns import Column, Target
from fastshallow.tables.mistakes import Mistake
from fastshallow.tables.pipeline import UnseenCategories
from fastshallow.tables.reading import Reading

TABLE = {"city": ["Oslo", "Rome", "Oslo"], "age": [31, 45, 20], "more": [1, 2, 3]}
RECORDS = [dict(zip(TABLE, row, strict=True)) for row in zip(*TABLE.values(), strict=True)]


@pytest.fixture
def model():
    """Return a classifier of a text and a number."""
    columns = [
        Column("city", "text", categories=("Oslo", "Rome")),
        Column("age", "number", 40.0, 10.0),
    ]
    net = fs.Network((3, 1))
    net.W1 = [[1.0, -1.0, 0.5]]
    return fs.Pipeline(net, columns, Target("member", "classification", ("no", "yes")))


@pytest.fixture
def regression():
    """Return a regression of a number."""
    net = fs.Network((1, 1), output="linear")
    net.W1 = [[2.0]]
    column = Column("age", "number", 40.0, 10.0)
    return fs.Pipeline(net, [column], Target("income", "regression", (), 100.0, 10.0))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame(TABLE),
        pd.DataFrame(TABLE).astype({"city": "category"}),
        pl.DataFrame(TABLE),
        RECORDS,
        tuple(RECORDS),
        {name: np.array(values) for name, values in TABLE.items()},
        {name: pd.Series(values, index=[5, 6, 7]) for name, values in TABLE.items()},
        {name: tuple(values) for name, values in TABLE.items()},
        pd.DataFrame(TABLE).rename(columns={"more": 3}),
    ],
    ids=lambda table: type(table).__name__,
)
def test_tables_of_every_type(model, table):
    assert np.array_equal(model.transform(table), model.transform(TABLE))


def test_arrow_tables(model):
    pa = pytest.importorskip("pyarrow")
    table = pa.table(TABLE)
    for given in (table, table.to_batches()[0]):
        assert np.array_equal(model.transform(given), model.transform(TABLE))
    twice = pa.table([[1], [2], ["Oslo"]], names=["age", "age", "city"])
    with pytest.raises(Mistake, match="different names of columns; got 'age' more than once"):
        model.transform(twice)


@pytest.mark.parametrize(
    "record",
    [
        RECORDS[1],
        {"city": np.str_("Rome"), "age": np.int64(45)},
        {"city": np.array("Rome"), "age": np.array(45)},
        pd.Series(RECORDS[1]),
        pd.DataFrame(TABLE).iloc[1],
        [RECORDS[1]],
    ],
    ids=lambda record: type(record).__name__,
)
def test_one_record(model, record):
    assert np.array_equal(model.transform(record), model.transform(TABLE)[1:2])
    assert model.predict(record).shape == (1,)


def test_missing_values_of_a_record(model):
    for value in (None, np.nan, pd.NA):
        with pytest.raises(Mistake, match=r"missing values in 'age' \(1\)"):
            model.predict({"city": "Oslo", "age": value})
    with pytest.raises(Mistake, match=r"missing values in 'age' \(1\)"):
        model.predict([RECORDS[0], {"city": "Oslo"}])
    filled = [model.columns[0], Column("age", "number", 40.0, 10.0, fill=31.0)]
    model = fs.Pipeline(model.net, filled, model.target)
    X = model.transform([RECORDS[0], {"city": "Oslo"}])
    assert X[0].tolist() == X[1].tolist()


def duplicates(frame):
    """Return a pandas DataFrame with a column twice."""
    return pd.concat([frame, frame[["age"]]], axis=1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (duplicates(pd.DataFrame(TABLE)), "different names of columns; got 'age' more than once"),
        ({**TABLE, "city": "Oslo"}, "got one value of 'city' and several of 'age'"),
        (
            {"city": {"0": "Oslo"}, "age": {"0": 1}},
            "'city': expected a value, or a list of .* dict",
        ),
        (
            {"city": {"Oslo"}, "age": [1]},
            "'city': expected a value, or a list of values; got a set",
        ),
        (
            {"city": ["Oslo"], "age": [1, 2]},
            "many values of every column; got 1 of 'city' and 2 of",
        ),
        ({"city": ["Oslo"]}, "not there: 'age'; the table has 'city'"),
        ({}, "not there: 'city', 'age'; the table has none"),
        ([], "table: expected rows; got none"),
        ({"city": [], "age": []}, "table: expected rows; got none"),
        ([{"city": "Oslo"}], "not there: 'age'; the table has 'city'"),
        ([{"city": ["Oslo"], "age": 3}], "'city': expected .* of type list in row 1"),
        (pd.Series({"city": "Oslo"}), "not there: 'age'"),
        ({"city": ["Oslo"], "age": ["x"]}, "'age': expected numbers, as in training; got 'x'"),
    ],
)
def test_tables_that_are_refused(model, table, message):
    with pytest.raises(Mistake, match=message) as raised:
        model.predict(table)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("table", [None, 3, "t.csv", np.ones((2, 2)), [1, 2], [["Oslo", 3]]])
def test_what_is_no_table(model, table):
    with pytest.raises(TypeError, match="table: expected a pandas or polars DataFrame"):
        model.predict(table)


def test_lazy_frames_are_refused(model):
    with pytest.raises(TypeError, match="got LazyFrame"):
        model.predict(pl.DataFrame(TABLE).lazy())


def test_a_frame_with_columns_that_are_called_as_attributes(model):
    frame = pd.DataFrame({**TABLE, "dtype": 1, "index": 2, "columns": 3, "column_names": 4})
    assert np.array_equal(model.transform(frame), model.transform(TABLE))


def test_messages_about_a_thousand_columns_are_short():
    many = [Column("\x1b" + "x" * 90 + str(i), "text", categories=("a",)) for i in range(1000)]
    model = fs.Pipeline(fs.Network((1000, 1)), many, Target("y", "classification", ("a", "b")))
    with pytest.warns(UnseenCategories) as caught:
        model.transform({column.name: ["z" * 999] for column in many})
    said = [str(caught[0].message)]
    for table in ({}, {c.name: "a" if i else ["a"] for i, c in enumerate(many)}):
        with pytest.raises(Mistake) as raised:
            model.transform(table)
        said.append(str(raised.value))
    assert all(len(text) < 2500 and text.isprintable() for text in said)


# Scores ------------------------------------------------------------------------------------------


def test_accuracy(model):
    right = model.predict(TABLE).tolist()
    assert model.score(TABLE, right) == 1.0
    wrong = ["yes" if label == "no" else "no" for label in right]
    assert model.score({**TABLE, "member": [wrong[0], *right[1:]]}) == pytest.approx(2 / 3)
    assert model.score(pd.DataFrame(TABLE), pd.Series(wrong)) == 0.0
    assert model.score(RECORDS[1], right[1]) == 1.0
    assert model.score({**RECORDS[1], "member": right[1]}) == 1.0


def test_r2(regression):
    y = [90.0, 105.0, 70.0]
    wanted = r2_score(y, regression.predict(TABLE))
    assert regression.score(TABLE, y) == pytest.approx(wanted)
    assert regression.score({**TABLE, "income": y}) == pytest.approx(wanted)


def test_words_of_training_are_missing_in_every_table(model):
    columns = [Column("city", "text", categories=("Oslo", "Rome"), fill="Rome"), model.columns[1]]
    filled = fs.Pipeline(model.net, columns, model.target, Reading(missing=("?",)))
    given = {**TABLE, "city": ["Oslo", "?", "Oslo"]}
    for table in (given, pd.DataFrame(given), pl.DataFrame(given)):
        assert np.array_equal(filled.transform(table), model.transform(TABLE))


def test_scores_and_reading_are_checked_and_kept(model):
    scores = {
        "held_out": {"rows": np.int64(7), "accuracy": np.float32(0.5)},
        "class_counts": (1, 2),
    }
    kept = fs.Pipeline(model.net, model.columns, model.target, scores=scores)
    assert kept.scores == {"held_out": {"rows": 7, "accuracy": 0.5}, "class_counts": [1, 2]}
    assert pickle.loads(pickle.dumps(kept)) == kept
    for wrong in ({1: {}}, {"a": {"b": "c"}}, {"a": {"b": np.nan}}, {"class_counts": [1]}, [1]):
        with pytest.raises((TypeError, ValueError), match="score"):
            fs.Pipeline(model.net, model.columns, model.target, scores=wrong)
    with pytest.raises(ValueError, match="reading: expected missing, keep_na, number alone"):
        fs.Pipeline(model.net, model.columns, model.target, Reading(sep=";"))


def test_one_row_has_no_r2(regression):
    with pytest.raises(Mistake, match="score: expected two rows or more"):
        regression.score({"age": 3.0}, 4.0)


def test_scores_that_are_refused(model, regression):
    with pytest.raises(Mistake, match=r"not there: 'member'; .* y takes the right answers"):
        model.score(TABLE)
    with pytest.raises(Mistake, match=r"y: expected 3 values; got 2"):
        model.score(TABLE, ["yes", "no"])
    with pytest.raises(Mistake, match=r"missing values in 'member' \(1\): rows to score"):
        model.score(TABLE, ["yes", None, "no"])
    with pytest.raises(
        Mistake, match="expected the classes of the model, 'no', 'yes'; got 'maybe'"
    ):
        model.score(TABLE, ["yes", "maybe", "no"])
    with pytest.raises(Mistake, match="'income': expected numbers; got text"):
        regression.score(TABLE, ["a", "b", "c"])


def test_probabilities_by_class(model):
    P = model.predict_proba(TABLE)
    found = model.predict_proba(TABLE, by_class=True)
    assert list(found) == list(model.classes) == ["no", "yes"]
    assert np.array_equal(np.stack(list(found.values()), axis=1), P)


def test_names_that_no_file_can_hold():
    for wrong in (
        lambda: Column("\ud800", "number"),
        lambda: Column("a", "text", categories=("\ud800",)),
        lambda: Target("\ud800", "regression"),
        lambda: Target("y", "classification", ("a", "\ud800")),
    ):
        with pytest.raises(ValueError, match=r"expected text of UTF-8; got '.ud800'"):
            wrong()
