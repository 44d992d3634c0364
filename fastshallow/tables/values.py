"""Values of a column: what they are, which are missing, how they are written.

Numbers are float64. Whole numbers from 2^53 on are kept as integers beside it, because labels and
categories are compared: as float64 some different ones are equal. Decimals are numbers. Dates are
datetime64, in UTC if they have a time zone. Missing values are those of pandas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from ..network.checks import cast, shown
from . import dates
from .mistakes import Mistake

__all__ = [
    "WHAT",
    "WHOLE_MOST",
    "Values",
    "check_any",
    "check_present",
    "dated",
    "differs_by_rounding",
    "is_number",
    "read_values",
    "standard",
    "text_of",
]

WHAT = {"number": "numbers", "text": "text", "boolean": "booleans", "date": "dates"}

#: Types of the values of each kind. A bool is an int, and a timedelta64 an integer of NumPy.
TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool, np.bool_),
    "text": (str,),
    "": (np.timedelta64,),
    "number": (int, float, np.integer, np.floating, Decimal),
    "date": (date, np.datetime64),
}
#: Kinds of NumPy's types that are read as they are; others value by value.
ARRAYS = frozenset("iufbOUM")

# Types that may be NaN. NumPy's float64 is a Python float, its other floats are not.
FLOATS = (float, np.floating)

# Names of the types of pandas' missing values: pandas may not be there.
NOT_THERE = ("NAType", "NaTType")

# From here on float64 does not hold every whole number.
WHOLE_MOST = 1 << 53


@dataclass
class Values:
    """The values of a column.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : {"number", "text", "boolean", "date", ""}
        Kind of the values; "" if all are missing.
    values : ndarray, (m,)
        float64 for numbers, datetime64[us] for dates, else objects. Missing values are arbitrary.
    missing : ndarray, (m,), bool
        True for missing values.
    exact : ndarray of objects, (m,), or None
        The numbers as integers, if all are whole and some may not be float64; else None.
    zoned : bool
        Whether dates have a time zone. Then they are in UTC.
    """

    name: str
    kind: str
    values: np.ndarray
    missing: np.ndarray
    exact: np.ndarray | None = None
    zoned: bool = False

    @property
    def present(self) -> np.ndarray:
        """The values that are not missing."""
        return self.values[~self.missing] if self.missing.any() else self.values

    def taken(self, chosen: np.ndarray) -> Values:
        """Return the values of chosen rows."""
        exact = None if self.exact is None else self.exact[chosen]
        values, missing = self.values[chosen], self.missing[chosen]
        return Values(self.name, self.kind, values, missing, exact, self.zoned)

    def first_other(self, kind: str) -> int:
        """Return the row of the first value that is not of a kind, or of the first value."""
        rows = np.flatnonzero(~self.missing).tolist()
        fits = {"number": is_number, "boolean": _is_boolean, "date": _is_date}[kind]
        return next((row for row in rows if not fits(self.values[row])), rows[0])

    def has(self, word: str) -> bool:
        """Return whether a value is written as a word."""
        return bool((self.without([word]).missing & ~self.missing).any())

    def without(self, words: Sequence[str]) -> Values:
        """Return the values with those that are written as one of some words missing.

        A number or date is compared as one: "-999.0" is the number -999.
        """
        if not (words and self.kind):
            return self
        found = np.isin(self.texts(), list(words))
        if self.kind == "number":
            numbers = _numbers_in(words)  # some may be beside other whole numbers
            equal = np.isin(self.values, numbers)
            found |= equal if self.exact is None else equal & (np.abs(self.values) < WHOLE_MOST)
        elif self.kind == "date":
            moments = [moment for word in words if (moment := dates.from_text(word))]
            found |= np.isin(self.values, dates.naive(moments))
        missing = self.missing | found
        kind = "" if missing.all() else self.kind
        return Values(self.name, kind, self.values, missing, self.exact, self.zoned)

    def labels(self) -> list[Any]:
        """Return what is compared with the classes of a target: numbers, booleans or text."""
        if self.kind in ("number", "boolean"):
            return list((self.values if self.exact is None else self.exact).tolist())
        return list(self.texts())

    def texts(self) -> np.ndarray:
        """Return the values as text: "" if missing, whole numbers without a point."""
        text: Any = dates.iso if self.kind == "date" else text_of
        found = np.full(len(self.values), "", object)
        there = self.present if self.exact is None else self.exact[~self.missing]
        values = there if self.kind == "date" else there.tolist()
        found[~self.missing] = objects(map(text, values))
        return found


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number, or text that is one.

    Examples
    --------
    >>> from fastshallow.tables.values import is_number
    >>> is_number("1.5"), is_number("1,5"), is_number(None)
    (True, False, False)
    """
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _is_boolean(value: Any) -> bool:
    return str(value).strip().lower() in ("true", "false")


def _is_date(value: Any) -> bool:
    return isinstance(value, TYPES["date"]) or dates.from_text(value) is not None


def _numbers_in(words: Sequence[str]) -> list[float]:
    """Return the numbers that are among words."""
    found = []
    for word in words:
        with suppress(ValueError):
            found.append(float(word))
    return found


def objects(values: Iterable[Any]) -> np.ndarray:
    """Return values as an array of objects, (m,), also if they are lists."""
    return np.fromiter(values, object)


def read_values(name: str, column: Any) -> Values:
    """Return the `Values` of a table column.

    Parameters
    ----------
    name : str
        Name of the column.
    column : pandas.Series, polars.Series, array_like, (m,)
        Values of the column.

    Raises
    ------
    Mistake
        The values are not numbers, text, booleans or dates, or some are dates and others not, or a
        number is infinite. The message names the row.

    Examples
    --------
    >>> from fastshallow.tables.values import read_values
    >>> values = read_values("age", [31, None, 45])
    >>> values.kind, values.values.tolist(), values.missing.tolist()
    ('number', [31.0, nan, 45.0], [False, True, False])
    """
    column = _array(name, column)
    if hasattr(column, "isna"):
        missing = np.asarray(column.isna(), bool)
    else:
        column = np.asarray(column)
        missing = _missing(column)
    if np.ndim(column) != 1:
        raise Mistake(f"column {shown(name)}: expected values (m,); got shape {np.shape(column)}")
    if column.dtype.kind in "iuf":
        return _numbers(name, column, missing)
    # what other types of pandas do with a zone is not certain: they are read value by value
    zoned = hasattr(column.dtype, "tz")
    if column.dtype.kind == "M" and (zoned or isinstance(column.dtype, np.dtype)):
        if zoned:
            column = getattr(column, "dt", column).tz_convert(None)
        return _dates(name, np.asarray(column), missing, zoned)
    values = np.asarray(column, object)
    kinds = {found: _kind_of(found) for found in set(map(type, values[~missing]))}
    different = set(kinds.values())
    if not different:
        return Values(name, "", values, missing)
    # numbers and booleans among texts are texts
    mixed = different <= {"text", "number", "boolean"} and "text" in different
    if "" in different or (len(different) > 1 and not mixed):
        raise Mistake(_other(name, values, missing, kinds))
    if different == {"number"}:
        return _numbers(name, values, missing)
    if different == {"date"}:
        return _dates(name, *_utc(name, values, missing))
    return Values(name, "text" if mixed else different.pop(), values, missing)


def _array(name: str, column: Any) -> Any:
    """Return a column that has a dtype, of objects where its own may be read in several ways."""
    if isinstance(column, (Mapping, Set)) or hasattr(column, "columns"):
        raise Mistake(
            f"column {shown(name)}: expected values (m,); got {type(column).__name__}, which has "
            "names or no order"
        )
    if hasattr(column, "to_pylist"):  # of pyarrow
        column = column.to_pylist()
    if isinstance(column, np.ma.MaskedArray):
        mask, column = np.ma.getmaskarray(column), np.array(column.data, object)
        column[mask] = None
    # polars has no kinds
    if getattr(getattr(column, "dtype", None), "kind", "") not in ARRAYS:
        column = objects(column)
    return column


def _kind_of(found: type) -> str:
    return next((kind for kind, types in TYPES.items() if issubclass(found, types)), "")


def _other(name: str, values: np.ndarray, missing: np.ndarray, kinds: dict[type, str]) -> str:
    """Return the message for the first value of no kind, or of another kind than the first."""
    rows = np.flatnonzero(~missing).tolist()
    found = [kinds[type(values[row])] for row in rows]
    wanted = "numbers, text, booleans or dates"
    at = found.index("") if "" in found else None
    if at is None:
        wanted = f"{WHAT[found[0]]}, as in row {rows[0] + 1}"
        at = next(i for i, kind in enumerate(found) if kind != found[0])
    value = values[rows[at]]
    return (
        f"column {shown(name)}: expected {wanted}; got {shown(value)} of type "
        f"{type(value).__name__} in row {rows[at] + 1}"
    )


def text_of(value: Any) -> str:
    """Return a value as text, a float as the shortest text that gives the same number again.

    Examples
    --------
    >>> from fastshallow.tables.values import text_of
    >>> text_of(7.0), text_of(0.1), text_of("a")
    ('7', '0.1', 'a')
    """
    if not isinstance(value, (*FLOATS, Decimal)):
        return str(value)
    number = float(value)
    return f"{number:.17g}" if number.is_integer() else repr(number)


def _missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        nan: np.ndarray = np.isnan(values)
        return nan
    if values.dtype.kind == "M":
        not_a_time: np.ndarray = np.isnat(values)
        return not_a_time
    if values.dtype.kind != "O":
        return np.zeros(values.shape[:1], bool)
    return np.fromiter(map(_is_missing, values), bool, len(values))


def _is_missing(value: Any) -> bool:
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, FLOATS):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, np.datetime64):
        return bool(np.isnat(value))
    return type(value).__name__ in NOT_THERE


def _numbers(name: str, column: Any, missing: np.ndarray) -> Values:
    """Return `Values` of float64, with NaN for missing numbers."""
    there: Any = np.asarray(column, object)[~missing] if missing.any() else np.asarray(column)
    numbers = np.full(len(missing), np.nan)
    try:
        numbers[~missing] = cast(there, np.float64)
    except OverflowError as error:  # an integer of hundreds of digits
        most = int(np.finfo(np.float64).max)
        at = next(i for i, v in enumerate(there) if isinstance(v, int) and abs(v) > most)
        raise Mistake(
            f"column {shown(name)}: expected numbers up to 1.8e308; got {shown(there[at])} in row "
            f"{np.flatnonzero(~missing)[at] + 1}"
        ) from error
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        raise Mistake(
            f"column {shown(name)}: expected finite numbers; got {numbers[infinite[0]]} in row "
            f"{infinite[0] + 1}"
        )
    missing = np.isnan(numbers)  # a column of Arrow's may have NaN beside NA
    exact = _exact(numbers, column, missing)
    return Values(name, "number" if not missing.all() else "", numbers, missing, exact)


def _exact(numbers: np.ndarray, column: Any, missing: np.ndarray) -> np.ndarray | None:
    """Return whole numbers as integers if some are too large for float64, else None."""
    if column.dtype.kind == "f" or not (np.abs(numbers) >= WHOLE_MOST).any():
        return None
    there = np.asarray(column, object)[~missing].tolist()
    whole = list(map(int, there))
    if whole != there or all(isinstance(value, FLOATS) for value in there):
        return None
    found = np.full(len(missing), None, object)
    found[~missing] = objects(whole)
    return found


def _utc(name: str, values: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return dates of any type as datetime64, NaT if missing, and whether they have a zone."""
    there, rows = values[~missing].tolist(), np.flatnonzero(~missing)
    moments = []
    for value, row in zip(there, rows.tolist(), strict=True):
        of_numpy = isinstance(value, np.datetime64)
        if of_numpy:
            _check_years(name, np.array([value]), [row])
        moments.append(value.astype(dates.DTYPE).item() if of_numpy else value)
    other = dates.first_of_another_zone(moments)
    if other is not None:
        wanted = "without" if dates.has_zone(moments[other]) else "with"
        raise Mistake(
            f"column {shown(name)}: expected dates {wanted} a time zone, as in row {rows[0] + 1}; "
            f"got {shown(str(there[other]))} in row {rows[other] + 1}"
        )
    found = np.full(len(values), "NaT", dates.DTYPE)
    try:
        found[~missing] = dates.naive(moments)
    except OverflowError as error:
        raise Mistake(f"column {shown(name)}: expected dates of the years 1 to 9999") from error
    return found, missing, any(map(dates.has_zone, moments[:1]))


def _dates(name: str, found: np.ndarray, missing: np.ndarray, zoned: bool) -> Values:
    """Return `Values` of dates."""
    rows = np.flatnonzero(~missing)
    _check_years(name, found[rows], rows)
    kind = "date" if len(rows) else ""
    return Values(name, kind, found.astype(dates.DTYPE), missing, zoned=zoned)


def _check_years(name: str, moments: np.ndarray, rows: Sequence[int] | np.ndarray) -> None:
    """Raise unless all dates are of the years that Python has; a cast may wrap others around."""
    years = moments.astype("datetime64[Y]").astype(np.int64) + 1970
    far = np.flatnonzero((years < 1) | (years > 9999))
    if far.size:
        raise Mistake(
            f"column {shown(name)}: expected dates of the years 1 to 9999; got year "
            f"{years[far[0]]} in row {rows[far[0]] + 1}"
        )


def dated(found: Values) -> tuple[Values, np.ndarray]:
    """Return text as dates, and the rows that are none; then the values are unchanged.

    Parameters
    ----------
    found : Values
        Text. Other values are returned as they are.

    Returns
    -------
    Values, ndarray
        Dates, and no rows, if every text is an ISO date, and all or none have a time zone.

    Examples
    --------
    >>> from fastshallow.tables.values import dated, read_values
    >>> dated(read_values("day", ["2024-02-29", None, "2024-03-01"]))[0].kind
    'date'
    >>> values, others = dated(read_values("day", ["2024-02-29", "2024-02-30"]))
    >>> values.kind, others.tolist()
    ('text', [1])
    """
    rows = np.flatnonzero(~found.missing)
    if found.kind != "text":
        return found, rows[:0]
    moments = [dates.from_text(text) for text in found.present]
    other = np.array([moment is None for moment in moments], bool)
    if moments and not other.any():
        zones = np.array([dates.has_zone(moment) for moment in moments])
        other = zones != zones[0]
    if other.any():
        return found, rows[other]
    values = np.full(len(found.values), "NaT", dates.DTYPE)
    far = np.array([dates.is_far(moment) for moment in moments])
    if far.any():
        return found, rows[far]
    values[rows] = dates.naive(moment for moment in moments if moment is not None)
    zoned = dates.has_zone(moments[0])
    return Values(found.name, "date", values, found.missing, zoned=zoned), rows[:0]


def check_any(found: Values) -> None:
    """Raise if all values of a column are missing."""
    if found.missing.all():
        raise Mistake(
            f"column {shown(found.name)}: expected values; all are missing; --drop leaves a column "
            "out"
        )


def check_present(columns: Sequence[Values], advice: str) -> None:
    """Raise if values are missing; the message counts them for each column."""
    counts = {values.name: int(values.missing.sum()) for values in columns}
    found = [f"{shown(name)} ({count})" for name, count in counts.items() if count]
    if found:
        more = f" and {len(found) - 10} more columns" if len(found) > 10 else ""
        raise Mistake(f"missing values in {', '.join(found[:10])}{more}: {advice}")


def standard(name: str, numbers: np.ndarray) -> tuple[float, float]:
    """Return the mean and the standard deviation of finite numbers.

    The latter is 1 if the numbers are equal, or differ by rounding errors alone: else one step of
    rounding would be as much as the whole range of another column.

    Raises
    ------
    Mistake
        float64 cannot hold one of the two.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.values import standard
    >>> standard("x", np.array([1.0, 3.0])), standard("x", np.array([0.3, 0.1 + 0.2]))
    ((2.0, 1.0), (0.30000000000000004, 1.0))
    """
    if numbers.min() == numbers.max():
        return float(numbers[0]), 1.0
    with np.errstate(all="ignore"):
        mean, scale = float(numbers.mean()), float(numbers.std())
        if differs_by_rounding(numbers):
            return mean, 1.0
    if not (math.isfinite(mean) and 0 < scale < math.inf):
        raise Mistake(
            f"column {shown(name)}: its numbers are too large or too small to standardise"
        )
    return mean, scale


def differs_by_rounding(numbers: np.ndarray) -> bool:
    """Return whether the variance of finite numbers is rounding error, as scikit-learn does.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.values import differs_by_rounding
    >>> differs_by_rounding(np.array([0.3, 0.1 + 0.2])), differs_by_rounding(np.array([0.3, 0.31]))
    (True, False)
    """
    with np.errstate(all="ignore"):
        numbers = numbers / max(np.abs(numbers).max(), np.finfo(np.float64).tiny)
        m, eps = len(numbers), float(np.finfo(np.float64).eps)
        mean, variance = float(numbers.mean()), float(numbers.var())
    return variance <= m * eps * variance + (m * mean * eps) ** 2
