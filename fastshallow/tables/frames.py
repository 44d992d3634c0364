"""What `Pipeline` takes for a table: data frames of several packages, dicts, records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..network.checks import shown
from .mistakes import Mistake, did_you_mean, listed, plain

__all__ = ["columns_of", "is_one_value"]


def columns_of(table: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a table that have these names.

    Parameters
    ----------
    table : table_like
        A pandas or polars DataFrame, a pyarrow Table, a dict of name to values (m,), a list of
        dicts, or one record: a dict of name to value, or a pandas Series. Names that are no text
        are taken for their text.
    names : sequence of str
        Columns that must be there.

    Returns
    -------
    dict of str to column
        Columns for `fastshallow.tables.values.read_values`, in the order of ``names``.

    Raises
    ------
    TypeError
        ``table`` is something else.
    Mistake
        A column is not there, or twice, or values stand beside columns.

    Examples
    --------
    >>> from fastshallow.tables.frames import columns_of
    >>> columns_of({"city": ["Oslo", "Rome"], "more": [1, 2]}, ["city"])
    {'city': ['Oslo', 'Rome']}
    >>> columns_of({"city": "Oslo", "age": 31}, ["age", "city"])
    {'age': [31], 'city': ['Oslo']}
    >>> columns_of([{"city": "Oslo"}, {"city": "Rome", "age": 45}], ["age", "city"])
    {'age': [None, 45], 'city': ['Oslo', 'Rome']}
    """
    if isinstance(table, (list, tuple)) and all(isinstance(row, Mapping) for row in table):
        return _of_records(table, names)
    labels, column = _labels(table)
    places: dict[str, list[int]] = {name: [] for name in names}
    for i, label in enumerate(labels):
        if str(label) in places:
            places[str(label)].append(i)
    _check_there([name for name in names if not places[name]], list(map(str, labels)))
    twice = [name for name in names if len(places[name]) > 1]
    if twice:
        raise Mistake(
            f"table: expected different names of columns; got {listed(twice)} more than once"
        )
    found = {name: _of_package(name, column, places[name][0]) for name in names}
    return _one_record(found) if isinstance(table, Mapping) or _is_series(table) else found


def _labels(table: Any) -> tuple[list[Any], Callable[[int], Any]]:
    """Return the names of a table's columns, and how to get the column at a place."""
    if isinstance(table, Mapping):
        labels = list(table)
        return labels, lambda i: table[labels[i]]
    if _has(table, "column_names", "column"):  # pyarrow
        return list(table.column_names), lambda i: table.column(i).to_pylist()
    if _has(table, "columns", "iloc"):  # pandas
        return list(table.columns), lambda i: table.iloc[:, i]
    if _has(table, "columns", "to_series"):  # polars
        return list(table.columns), lambda i: table.to_series(i).to_list()
    if _is_series(table):  # a row of a data frame
        return list(table.index), lambda i: table.iloc[i]
    raise TypeError(
        "table: expected a pandas or polars DataFrame, a pyarrow Table, a dict of names and "
        f"values, or a list of dicts; got {type(table).__name__}"
    )


def _of_package(name: str, column: Callable[[int], Any], place: int) -> Any:
    """Return a column; what its package raises, such as for a date of the year 33658, is told."""
    try:
        return column(place)
    except (ValueError, ArithmeticError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Mistake(f"column {shown(name)}: cannot be read ({plain(first, 200)})") from error


def _has(table: Any, *names: str) -> bool:
    """Return whether the type has attributes; an object of pandas has those of its columns too."""
    return all(hasattr(type(table), name) for name in names)


def _is_series(table: Any) -> bool:
    """Return whether a table is a pandas Series, whose index has the names."""
    return _has(table, "index", "iloc", "dtype")


def _check_there(absent: list[str], labels: list[str]) -> None:
    if absent:
        has = f"the table has {listed(labels, 5)}" if labels else "the table has none"
        what = f"columns that the model needs are not there: {listed(absent)}"
        raise Mistake(f"{what}; {has}{did_you_mean(absent, labels)}")


def _of_records(records: Sequence[Mapping[Any, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return the columns of a list of dicts; what one of them does not have is missing."""
    if not records:
        raise Mistake("table: expected rows; got none")
    named = [{str(label): value for label, value in record.items()} for record in records]
    labels = list(dict.fromkeys(label for record in named for label in record))
    _check_there([name for name in names if name not in labels], labels)
    return {name: [record.get(name) for record in named] for name in names}


def is_one_value(value: Any) -> bool:
    """Return whether a value is none of several: text, a number, a date, None.

    Examples
    --------
    >>> from fastshallow.tables.frames import is_one_value
    >>> is_one_value("Oslo"), is_one_value(["Oslo"]), is_one_value(None)
    (True, False, True)
    """
    if isinstance(value, np.ndarray):
        return value.ndim == 0
    return isinstance(value, (str, bytes)) or not hasattr(value, "__iter__")


def _one_record(found: dict[str, Any]) -> dict[str, Any]:
    """Return columns; values are columns of one row if none of them is a column."""
    for name, value in found.items():
        if isinstance(value, (Mapping, set, frozenset)):
            raise Mistake(
                f"column {shown(name)}: expected a value, or a list of values; got a "
                f"{type(value).__name__}"
            )
    single = {name: is_one_value(value) for name, value in found.items()}
    if all(single.values()):
        return {
            name: [value[()] if isinstance(value, np.ndarray) else value]
            for name, value in found.items()
        }
    if any(single.values()):
        one, several = ([name for name in found if single[name] is kind] for kind in (True, False))
        raise Mistake(
            "table: expected one value of every column, or columns of one length; got one value of "
            f"{listed(one, 3)} and several of {listed(several, 3)}"
        )
    return found
