"""Parquet: every type keeps its values, and is read by a model as it was in training."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from fastshallow.tables.mistakes import Mistake
from fastshallow.tables.read import read_noted, read_table
from fastshallow.tables.reading import Reading
from fastshallow.tables.values import read_values

ROWS = 40
LARGE = 9 * 10**17 + 1


@pytest.fixture
def write(tmp_path):
    """Return a function that writes columns of pyarrow, and returns the path."""

    def write(**columns):
        path = tmp_path / "t.parquet"
        parquet.write_table(pa.table(columns), path)
        return str(path)

    return write


def with_holes(values):
    return [None if i % 7 == 3 else value for i, value in enumerate(values)]


@pytest.mark.parametrize("dtype", [pa.int64(), pa.uint64(), pa.dictionary(pa.int32(), pa.int64())])
@pytest.mark.parametrize("holes", [False, True])
def test_integers_keep_their_digits(write, dtype, holes):
    values = [LARGE + 2 * i for i in range(ROWS)]
    values = with_holes(values) if holes else values
    path = write(code=pa.array(values, dtype))
    found = read_values("code", read_table(path)["code"])
    assert found.exact is not None
    assert found.exact[~found.missing].tolist() == [v for v in values if v is not None]
    texts = read_table(path, Reading(text=("code",)))["code"]
    assert [None if pd.isna(v) else v for v in texts] == [
        None if v is None else str(v) for v in values
    ]
    kept = read_noted(path, kept=lambda names: names).kept["code"]
    written = kept.to_frame().to_csv(index=False).splitlines()[1:]
    assert written == ['""' if v is None else str(v) for v in values]
    found = read_values("code", read_table(path, Reading(missing=(str(LARGE),)))["code"])
    assert found.missing.tolist() == [v is None or v == LARGE for v in values]


@pytest.mark.parametrize(
    ("values", "dtype", "texts"),
    [
        ([Decimal("2.10"), Decimal("0.50")], pa.decimal128(5, 2), ["2.1", "0.5"]),
        ([1e20, 0.1], pa.float64(), ["1e+20", "0.1"]),
        ([datetime.date(2024, 2, 29)] * 2, pa.date32(), ["2024-02-29"] * 2),
        ([datetime.datetime(2024, 2, 29, 12)] * 2, pa.timestamp("ns"), ["2024-02-29 12:00:00"] * 2),
        ([True, False], pa.bool_(), ["True", "False"]),
        (["a", "07"], pa.large_string(), ["a", "07"]),
        (["a", "07"], pa.dictionary(pa.int8(), pa.string()), ["a", "07"]),
    ],
)
def test_text_is_the_same_in_training_and_for_a_model(write, values, dtype, texts):
    path = write(c=pa.array(values, dtype))
    assert read_table(path, Reading(text=("c",)))["c"].tolist() == texts
    assert read_noted(path, kinds={"c": "text"}).frame["c"].tolist() == texts


@pytest.mark.parametrize(
    ("values", "dtype", "word"),
    [
        ([1.5, -999.0], pa.float64(), "-999.0"),
        ([1, -999], pa.int64(), "-999"),
        ([0.5, 0.1], pa.float32(), "0.10000000149011612"),
        ([Decimal("1.50"), Decimal("-999.00")], pa.decimal128(9, 2), "-999"),
        (
            [datetime.datetime(2024, 1, 1), datetime.datetime(1900, 1, 1)],
            pa.timestamp("us"),
            "1900-01-01",
        ),
        (["a", "?"], pa.string(), "?"),
        (["a", "?"], pa.dictionary(pa.int8(), pa.string()), "?"),
    ],
)
def test_missing_words_are_compared_as_what_they_are(write, values, dtype, word):
    path = write(c=pa.array(values, dtype))
    found = read_noted(path, Reading(missing=(word, "nowhere")))
    assert read_values("c", found.frame["c"]).missing.tolist() == [False, True]
    assert found.unused == ["nowhere"]


def test_an_index_with_a_name_is_a_column(tmp_path):
    path = str(tmp_path / "t.parquet")
    pd.DataFrame({"region": ["n", "s"], "x": [1, 2]}).set_index("region").to_parquet(path)
    assert sorted(read_table(path)) == ["region", "x"]
    pd.DataFrame({"x": [1, 2]}).iloc[::-1].to_parquet(path)
    assert list(read_table(path)) == ["x"]


def test_dictionaries_are_looked_at_as_text(write):
    found = read_noted(write(c=pa.array([*map(str, range(30)), "?"]).dictionary_encode()))
    found.look("c")
    assert "numbers, but '?' in row 31" in found.problems["c"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("sep", ";"), ("encoding", "latin-1"), ("no_header", True), ("names", "a")],
)
def test_options_of_text_are_refused(write, option, value):
    with pytest.raises(Mistake, match=f"--{option.replace('_', '-')}: expected a CSV"):
        read_table(write(a=[1]), Reading(**{option: value}))


def test_a_column_that_cannot_be_read_is_named_and_may_be_left_alone(write):
    far = pa.array([10**8, 0], pa.int32()).cast(pa.date32())
    found = read_noted(write(x=[1.0, 2.0], c=far))
    assert list(found.problems) == ["c"] and "column 'c': cannot be read" in found.problems["c"]
    assert found.frame["x"].tolist() == [1.0, 2.0]
    with pytest.raises(Mistake, match="column 'c': cannot be read"):
        read_noted(str(write(x=[1.0, 2.0], c=far)), kept=lambda names: names)


def test_numbers_are_not_asked_of_dates(write):
    path = write(day=[datetime.date(2024, 1, 1)])
    with pytest.raises(Mistake, match="'day': expected numbers, as --number says; got dates"):
        read_table(path, Reading(number=("day",)))


def test_whole_files_only(tmp_path, write, rng):
    path = write(x=np.arange(1000.0))
    with open(path, "rb") as file:
        content = file.read()
    for cut in (4, 50, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.parquet").write_bytes(content[:cut])
        with pytest.raises(Mistake, match=r"cut\.parquet: not a whole Parquet file"):
            read_table(str(tmp_path / "cut.parquet"))
