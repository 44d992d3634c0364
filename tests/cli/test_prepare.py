"""From a table to arrays, without a command line."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from fastshallow.cli.options import TrainOptions
from fastshallow.cli.prepare import digits, prepare, split
from fastshallow.tables.columns import Target, read_values
from fastshallow.tables.mistakes import Mistake


@pytest.fixture
def table(tmp_path):
    """Return the path of a table of 40 rows: numbers, text, and two classes."""
    rng = np.random.default_rng(0)
    path = tmp_path / "t.csv"
    pd.DataFrame(
        {
            "a": rng.normal(5, 2, 40),
            "b": [["x", "y", "z"][i % 3] for i in range(40)],
            "id": range(40),
            "y": [["no", "yes"][i % 2] for i in range(40)],
        }
    ).to_csv(path, index=False)
    return str(path)


def test_digits_are_the_table_of_scikit_learn():
    frame = load_digits(as_frame=True).frame
    pd.testing.assert_frame_equal(pd.DataFrame(digits()), frame)


def test_digits_are_prepared():
    data = prepare(TrainOptions())
    assert (data.rows, data.X.shape, data.X_held_out.shape) == (1797, (1437, 64), (360, 64))
    assert (data.target.name, data.target.classes) == ("target", tuple(range(10)))
    assert data.sizes((100,)) == (64, 100, 10)
    X = np.concatenate([data.X, data.X_held_out])
    assert X.dtype == np.float32 and np.abs(data.X.mean(axis=0)).max() < 1e-5
    assert set(np.round(data.X.std(axis=0), 4)) == {0.0, 1.0}  # some pixels are always white


def test_held_out_digits_are_a_fifth_of_every_class():
    data, other = prepare(TrainOptions(seed=1)), prepare(TrainOptions(seed=2))
    every = np.bincount(data.y) + np.bincount(data.y_held_out)
    assert np.abs(np.bincount(data.y_held_out) - 0.2 * every).max() <= 1
    assert not np.array_equal(data.y_held_out, other.y_held_out)
    assert np.array_equal(data.y_held_out, prepare(TrainOptions(seed=1)).y_held_out)


def test_digits_may_have_another_target():
    data = prepare(TrainOptions(target="pixel_3_3", task="regression", drop=("target",)))
    assert "pixel_3_3" not in [column.name for column in data.columns]
    assert (len(data.columns), data.sizes(())) == (63, (63, 1))
    assert abs(data.y.mean()) < 1e-6 and data.y.std() == pytest.approx(1)


def test_a_table_is_prepared(table):
    data = prepare(TrainOptions(table, target="y", drop=("id",)))
    assert [(column.name, column.width) for column in data.columns] == [("a", 1), ("b", 3)]
    assert (data.X.shape, data.X_held_out.shape, data.X.dtype) == ((32, 4), (8, 4), np.float32)
    assert data.target.classes == ("no", "yes") and data.sizes((8, 4)) == (4, 8, 4, 1)
    assert abs(data.X[:, 0].mean()) < 1e-6 < data.columns[0].mean


def test_lbfgs_has_float64_and_all_rows_may_be_trained_on(table):
    data = prepare(TrainOptions(table, target="y", solver="lbfgs", test_size=0.0))
    assert (data.X.shape, data.X_held_out.shape, data.X.dtype) == ((40, 5), (0, 5), np.float64)


def test_what_is_missing_is_filled_by_the_rows_trained_on(table, tmp_path):
    holes = pd.read_csv(table)
    holes.loc[:4, "a"] = np.nan
    path = str(tmp_path / "holes.csv")
    holes.to_csv(path, index=False)
    with pytest.raises(Mistake, match=r"missing values in 'a' \(5\): fill them"):
        prepare(TrainOptions(path, target="y"))
    data = prepare(TrainOptions(path, target="y", impute="median", test_size=0.0))
    assert data.columns[0].fill == holes["a"].median()
    assert len(set(data.X[:5, 0])) == 1


def test_mistakes_name_the_table(table):
    with pytest.raises(Mistake, match=r"--target: expected a column of .*t\.csv, .*; got 'z'"):
        prepare(TrainOptions(table, target="z"))
    with pytest.raises(Mistake, match="--drop: expected a column of the handwritten digits of sci"):
        prepare(TrainOptions(drop=("z",)))


@pytest.mark.parametrize("labels", [["u", "v"] * 10, ["u"] * 19 + ["v"]])
def test_a_split_takes_every_row_once_and_trains_on_every_class(labels):
    values = read_values("y", labels)
    target = Target.of(values, "auto")
    options = TrainOptions(test_size=0.25)
    chosen, rest = split(values, target, options)
    assert sorted([*chosen, *rest]) == list(range(20)) and len(rest) == 5
    assert {labels[i] for i in chosen} == {"u", "v"}
    again = split(values, target, options)
    assert np.array_equal(chosen, again[0]) and np.array_equal(rest, again[1])
