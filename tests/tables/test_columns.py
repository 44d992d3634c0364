"""Columns of tables: what they are read as, and which numbers a network takes for them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from fastshallow.tables.columns import (
    CATEGORIES_MOST,
    CLASSES_FEW,
    Column,
    Target,
    check_present,
    encode,
    read_values,
)
from fastshallow.tables.mistakes import Mistake

# Values ------------------------------------------------------------------------------------------


def forms(values):
    """Yield the same values as a list, an array of objects, and a pandas.Series of either."""
    objects = np.array(values, object)
    yield from (values, tuple(values), objects, pd.Series(values), pd.Series(objects))


@pytest.mark.parametrize(
    ("values", "kind", "missing"),
    [
        ([1, 2.5, -3], "number", []),
        ([0, None, math.nan, 4], "number", [1, 2]),
        ([np.float32(1), np.float32("nan"), np.float64("nan"), None], "number", [1, 2, 3]),
        ([np.int8(1), 7, np.float32(0.5)], "number", []),
        ([True, False, True], "boolean", []),
        ([np.True_, False, None], "boolean", [2]),
        ([np.True_, np.False_], "boolean", []),
        (["a", None, math.nan, ""], "text", [1, 2]),
        (["a", 1, True], "text", []),
        ([None, math.nan], "", [0, 1]),
        ([math.nan, math.nan], "", [0, 1]),
        ([None, None], "", [0, 1]),
    ],
)
def test_kinds_and_missing_values(values, kind, missing):
    for column in forms(values):
        found = read_values("x", column)
        assert (found.kind, np.flatnonzero(found.missing).tolist()) == (kind, missing)
        assert len(found.values) == len(values)
        assert len(found.present) == len(values) - len(missing)
        if kind == "number":
            wanted = [math.nan if i in missing else v for i, v in enumerate(values)]
            assert np.array_equal(found.values, np.array(wanted, float), equal_nan=True)


@pytest.mark.parametrize("dtype", ["i1", "u8", "i4", "f2", "f4", "f8", "?"])
def test_arrays_of_every_dtype(dtype):
    found = read_values("x", np.array([0, 1, 1], dtype))
    assert found.kind == ("boolean" if dtype == "?" else "number")
    assert found.values.tolist() == [0, 1, 1] and not found.missing.any()


def test_text_is_short_and_whole_numbers_have_no_point():
    numbers = [3.0, -2.0, 0.1, 1 / 3, 123456789.0, 1e15, 0.5, 2.5e-7]
    texts = ["3", "-2", "0.1", "0.3333333333333333", "123456789", "1000000000000000", "0.5"]
    found = read_values("x", [*numbers, None]).texts().tolist()
    assert found == [*texts, "2.5e-07", ""]
    assert [float(text) for text in found[:-1]] == numbers
    assert read_values("x", ["a", None, 2]).texts().tolist() == ["a", "", "2"]


def test_some_rows(rng):
    found = read_values("x", [1.0, None, 3.0, None, 5.0, 6.0])
    for n in range(7):
        chosen = rng.permutation(6)[:n]
        taken = found.taken(chosen)
        assert np.array_equal(taken.values, found.values[chosen], equal_nan=True)
        assert np.array_equal(taken.missing, np.isnan(taken.values))


@pytest.mark.parametrize("row", [1, 2, 5])
def test_the_row_of_what_is_wrong(row):
    numbers = [1.0, 2.0, 3.0, 4.0, 5.0]
    numbers[row - 1] = -math.inf
    with pytest.raises(
        Mistake, match=f"column 'x': expected finite numbers; got -inf in row {row}"
    ):
        read_values("x", numbers)
    column = Column("x", "number", 0.0, 1.0)
    mixed = ["7", 1, "8", "9", "10"]  # text that is a number is not to blame
    mixed[row - 1] = "no"
    with pytest.raises(Mistake, match=rf"column 'x': expected numbers, .* got 'no' in row {row}$"):
        column.into(np.zeros((5, 1)), read_values("x", mixed))
    numbers = [0.0] * 5
    numbers[row - 1] = 1e30
    for scale, dtype in ((1e-300, "f8"), (1e-20, "f4")):
        column = Column("x", "number", 0.0, scale)
        with pytest.raises(Mistake, match=r"column 'x': .* in row \d is too far") as raised:
            column.into(np.zeros((5, 1), dtype), read_values("x", numbers))
        assert f": 1e+30 in row {row} is" in str(raised.value)


@pytest.mark.parametrize("n", [1, 9, 10, 11, 25])
def test_columns_with_missing_values_are_counted(n):
    found = [read_values(f"c{i}", [1, None, None]) for i in range(n)]
    with pytest.raises(Mistake) as raised:
        check_present([*found, read_values("whole", [1, 2, 3])], "advice")
    message = str(raised.value)
    assert message.count("(2)") == min(n, 10) and "whole" not in message
    assert (f" and {n - 10} more columns" in message) == (n > 10) == ("more" in message)
    check_present([read_values("whole", [1, 2, 3])], "advice")


# Features ----------------------------------------------------------------------------------------


def test_numbers_are_standardised_and_filled_with_the_median(rng):
    for values in ([0, 0, 0, 5], [1, 2, 10], rng.exponential(size=50).tolist(), [-3, -3, 8, 8]):
        column = Column.of(read_values("x", [*values, None]), impute=True)
        assert column.mean == pytest.approx(np.mean(values), rel=1e-14)
        assert column.scale == pytest.approx(np.std(values), rel=1e-14)
        assert column.fill == np.median(values)  # 0 is a fill, too
        X, unseen = encode([column], [read_values("x", [*values, None])], "f8")
        assert X[:, 0] == pytest.approx(
            (np.array([*values, column.fill]) - column.mean) / column.scale, abs=1e-14
        )
        assert X[:-1].mean() == pytest.approx(0, abs=1e-14) and X[:-1].std() == pytest.approx(1)
        assert unseen == {}
        assert Column.of(read_values("x", values)).fill is None
    constant = Column.of(read_values("x", [7.5, 7.5, 7.5]))
    assert (constant.mean, constant.scale) == (7.5, 1.0)
    for extreme in ([1e308, -1e308], [0, 5e-324]):
        with pytest.raises(Mistake, match="too large or too small"):
            Column.of(read_values("x", extreme))


def test_categories_are_sorted_and_the_commonest_is_the_fill():
    for values in set(itertools.permutations(["b", "b", "a", "a", "c", "B"])):
        column = Column.of(read_values("x", [None, *values]), impute=True)
        assert column.categories == ("B", "a", "b", "c")
        assert column.fill == "a"  # the first of those that are equally common
    for values in set(itertools.permutations(["b", "b", "a", "c"])):
        assert Column.of(read_values("x", list(values)), impute=True).fill == "b"


@pytest.mark.parametrize("values", [[True], [False, False], [np.True_, None], [False, True]])
def test_booleans_have_both_categories(values):
    column = Column.of(read_values("x", values))
    assert (column.kind, column.categories, column.width) == ("boolean", ("False", "True"), 2)
    X, unseen = encode([column], [read_values("x", [True, False])], "f4")
    assert X.tolist() == [[0, 1], [1, 0]] and unseen == {}


@pytest.mark.parametrize("impute", [False, True])
def test_columns_stand_side_by_side(impute, rng):
    m = 60
    table = {
        "n": rng.standard_normal(m).tolist(),
        "t": rng.choice(["red", "green", "blue"], m).tolist(),
        "b": (rng.random(m) < 0.5).tolist(),
        "k": rng.integers(0, 3, m).astype(float).tolist(),
        "u": rng.choice(list("zyxw"), m).tolist(),
    }
    columns = [Column.of(read_values(name, values), impute) for name, values in table.items()]
    new = {name: list(rng.permutation(np.array(values, object))) for name, values in table.items()}
    new["t"][3], new["t"][5], new["u"][0], new["u"][1] = "pink", "black", "pink", "pink"
    if impute:
        for values in new.values():
            values[7] = None
    found = [read_values(name, values) for name, values in new.items()]
    X, unseen = encode(columns, found, "f8")
    assert unseen == {"t": ["black", "pink"], "u": ["pink"]}
    at = 0
    for column, values in zip(columns, new.values(), strict=True):
        filled = [column.fill if value is None else value for value in values]
        for i, value in enumerate(filled):
            if column.kind == "number":
                wanted = [(value - column.mean) / column.scale]
            else:
                wanted = [float(str(value) == category) for category in column.categories]
            assert X[i, at : at + column.width].tolist() == pytest.approx(wanted, abs=1e-15)
        at += column.width
    assert at == X.shape[1] == 1 + 3 + 2 + 1 + 4


def test_a_text_column_takes_numbers_as_they_are_written():
    column = Column.of(read_values("x", ["0.1", "7", "none", "True"]))
    for values in ([0.1, 7.0], [7], [True]):
        X, unseen = encode([column], [read_values("x", values)], "f4")
        assert unseen == {} and (X.sum(axis=1) == 1).all()


def test_at_most_so_many_categories_and_classes():
    names = [f"{i:05}" for i in range(CATEGORIES_MOST + 1)]
    assert Column.of(read_values("x", names[1:])).width == CATEGORIES_MOST
    with pytest.raises(Mistake, match=f"at most {CATEGORIES_MOST} categories; got 1001"):
        Column.of(read_values("x", names))
    assert len(Target.of(read_values("y", names[1:])).classes) == CATEGORIES_MOST
    with pytest.raises(Mistake, match=f"at most {CATEGORIES_MOST} classes; got 1001"):
        Target.of(read_values("y", names))


@pytest.mark.parametrize(
    "change",
    [{"scale": 0.0}, {"scale": -1.0}, {"scale": math.inf}, {"scale": math.nan}, {"mean": math.nan}],
)
def test_descriptions_of_no_column_or_target(change):
    column, target = Column("x", "number", 1.5, 2.5), Target("y", "regression", (), 1.5, 2.5)
    for whole in (column, target):
        assert type(whole).described(whole.describe()) == whole
        with pytest.raises(ValueError, match=r"^(column 'x'|target 'y'): (mean|scale): "):
            type(whole).described(whole.describe() | change)


# The target --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["cat", "dog", "Eel"], str),
        ([10, 9, -1], int),
        ([10.0, 9.0, -1.0], int),
        ([True, False], bool),
        ([np.True_, np.False_], bool),
        (["1", "02", "10"], str),
    ],
)
def test_classes_come_back_as_they_were(labels, kind, rng):
    values = [labels[i] for i in rng.integers(0, len(labels), 50)]
    target = Target.of(read_values("y", values))
    assert target.task == "classification"
    assert target.classes == tuple(sorted(set(labels)))
    assert {type(label) for label in target.classes} == {kind}
    assert target.labels()[target.encode(read_values("y", values))].tolist() == values
    assert Target.described(target.describe()) == target
    assert target.standardised(read_values("y", values)) is target
    with pytest.raises(Mistake, match=r"expected .*; got .*'other'"):
        target.encode(read_values("y", ["other", *values]))


@pytest.mark.parametrize("classes", [(1, "a"), (True, 1), (1.5, 2.5), ([1], [2]), (None, None)])
def test_classes_of_no_kind(classes):
    kept = Target("y", "classification", ("a", "b")).describe()
    with pytest.raises((TypeError, ValueError)):
        Target.described(kept | {"classes": classes})


@pytest.mark.parametrize("more", [0, 1])
def test_few_whole_numbers_are_classes(more):
    numbers = list(range(CLASSES_FEW + more))
    wanted = "regression" if more else "classification"
    assert Target.of(read_values("y", numbers)).task == wanted
    assert Target.of(read_values("y", [0.5, 1.0])).task == "regression"
    for task in ("classification", "regression"):
        assert Target.of(read_values("y", numbers), task).task == task


def test_numbers_to_learn_are_standardised(rng):
    values = (3 + 2 * rng.exponential(size=40)).tolist()
    found = read_values("y", values)
    target = Target.of(found).standardised(found)
    assert (target.mean, target.scale) == (
        pytest.approx(np.mean(values), rel=1e-14),
        pytest.approx(np.std(values), rel=1e-14),
    )
    assert target.encode(found) * target.scale + target.mean == pytest.approx(values)
    assert target.encode(found).std() == pytest.approx(1)
    with pytest.raises(Mistake, match="expected numbers; got text"):
        target.encode(read_values("y", ["a", "b"]))
    with pytest.raises(Mistake, match="expected numbers; got missing values"):
        target.encode(read_values("y", [None, None]))


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([None, None], "auto", "all are missing"),
        (["a", "a"], "auto", "two classes or more; all are 'a'"),
        ([1, 1], "auto", "two classes or more; all are '1'"),
        ([1.5, 1.5], "auto", "different numbers; all are 1.5"),
        (["a", "b"], "regression", "numbers for --task regression; got text, such as 'a'"),
        ([1, 2.5, 3.5], "classification", "whole numbers for --task classification; got 2.5"),
    ],
)
def test_targets_that_are_refused(values, task, message):
    with pytest.raises(Mistake, match=f"target 'y': expected .*{message}"):
        Target.of(read_values("y", values), task)
