"""Columns of a table, and their encoding as numbers for a network.

==========  ===================================================================================
numbers     standardised: (x - mean) / scale, with mean and standard deviation of the training
            rows; the scale of a column that is constant, but for rounding, is 1
text        one-hot: one column of 0 and 1 for each category of the training rows, sorted; other
            categories give zeros
booleans    the same, with the categories "False" and "True"
dates       days since the earliest of the training rows, and those of year, month, weekday and
            hour that vary, each standardised
==========  ===================================================================================

Missing values are those of pandas (None, NaN, NaT, NA). The ``fill`` of a column replaces them.
Other modules import all of this from here: `Values`, `Target` and the rest are defined in
`fastshallow.tables.values` and `fastshallow.tables.targets`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..network import checks
from ..network.checks import shown
from . import dates
from .described import (
    check_empty,
    choice,
    distinct,
    fields,
    mean_scale,
    name_of,
    scaled_parts,
    set_fields,
)
from .mistakes import Mistake, all_of
from .targets import CATEGORIES_MOST, CLASSES_FEW, Target
from .values import WHAT, Values, check_any, check_present, dated, read_values, standard, text_of

__all__ = [
    "CATEGORIES_MOST",
    "CLASSES_FEW",
    "Column",
    "Target",
    "Values",
    "check_any",
    "check_present",
    "dated",
    "encode",
    "read_values",
]

#: The fields that describe a column of each kind, beside name, kind and fill.
FIELDS: dict[str, tuple[str, ...]] = {
    "number": ("mean", "scale"),
    "text": ("categories",),
    "boolean": ("categories",),
    "date": ("start", "parts"),
}


@dataclass(frozen=True)
class Column:
    """Encoding of one table column as columns of X.

    Parameters
    ----------
    name : str
        Name of the table column.
    kind : {"number", "text", "boolean", "date"}
        Kind of its values.
    mean, scale : float
        Mean and standard deviation of numbers.
    categories : tuple of str
        Categories of text and booleans, in the order of their columns in X.
    fill : float, str or None
        Replacement of missing values, for dates in ISO format; None makes missing values an error.
    start : str
        The earliest date of the training rows, in ISO format, with the zone Z if dates have zones.
    parts : tuple of (str, float, float)
        Parts of dates, in the order of their columns in X: name, mean and standard deviation.

    Examples
    --------
    >>> from fastshallow.tables.columns import Column, encode, read_values
    >>> column = Column.of(read_values("colour", ["red", "blue", "red"]))
    >>> column.categories
    ('blue', 'red')
    >>> X, unseen = encode([column], [read_values("colour", ["red", "green"])], "float32")
    >>> X.tolist(), unseen
    ([[0.0, 1.0], [0.0, 0.0]], {'colour': ['green']})
    """

    name: str
    kind: str
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()
    fill: float | str | None = None
    start: str = ""
    parts: tuple[tuple[str, float, float], ...] = ()

    def __post_init__(self) -> None:
        where = name_of("column", self.name)
        checks.one_of(f"{where}: kind", self.kind, FIELDS)
        for name in ("categories", "parts"):
            if name not in FIELDS[self.kind]:
                check_empty(where, name, getattr(self, name))
        {"number": self._check_number, "date": self._check_date}.get(
            self.kind, self._check_categories
        )(where)

    def _check_number(self, where: str) -> None:
        fill = self.fill
        if fill is not None:
            fill = checks.number(f"{where}: fill", fill)
        set_fields(self, fill=fill, **mean_scale(where, self))

    def _check_categories(self, where: str) -> None:
        categories = distinct(f"{where}: categories", self.categories, 1)
        if not all(isinstance(category, str) for category in categories):
            raise TypeError(f"{where}: categories: expected texts; got {shown(categories)}")
        if self.fill is not None and not (isinstance(self.fill, str) and self.fill in categories):
            raise ValueError(
                f"{where}: fill: expected one of its categories; got {shown(self.fill)}"
            )
        set_fields(self, categories=categories)

    def _check_date(self, where: str) -> None:
        start = self.start.removesuffix("Z") if isinstance(self.start, str) else self.start
        for name, value in (("start", start), ("fill", self.fill)):
            moment = dates.from_text(value)
            if (moment is None or dates.has_zone(moment)) and (name, value) != ("fill", None):
                raise ValueError(
                    f"{where}: {name}: expected an ISO date without a time zone; got {shown(value)}"
                )
        set_fields(self, parts=scaled_parts(f"{where}: parts", self.parts, dates.PARTS))

    @classmethod
    def of(cls, found: Values, impute: bool = False) -> Column:
        """Return the encoding of a column; ``impute`` fills with the median or most common value.

        Raises
        ------
        Mistake
            All values are missing, or there are too many categories.
        """
        check_any(found)
        if found.kind == "number":
            mean, scale = standard(found.name, found.present)
            fill = float(np.median(found.present)) if impute else None
            return cls(found.name, "number", mean, scale, fill=fill)
        if found.kind == "date":
            return cls._of_dates(found, impute)
        counts = Counter(found.texts()[~found.missing].tolist())
        categories = ("False", "True") if found.kind == "boolean" else tuple(sorted(counts))
        if len(categories) > CATEGORIES_MOST:
            raise Mistake(
                f"column {shown(found.name)}: expected at most {CATEGORIES_MOST} categories; got "
                f"{len(categories)}, such as {shown(categories[0])}; --drop leaves a column out"
            )
        # of equally common values the first in sorted order
        common = min(counts, key=lambda name: (-counts[name], name)) if impute else None
        return cls(found.name, found.kind, categories=categories, fill=common)

    @classmethod
    def _of_dates(cls, found: Values, impute: bool) -> Column:
        moments = np.sort(found.present)
        parts = []
        for name in dates.PARTS:
            numbers = dates.part(name, moments, moments[0])
            if name == "days" or numbers.min() < numbers.max():
                parts.append((name, *standard(found.name, numbers)))
        # the median that is one of them, of an even number the earlier one
        fill = dates.iso(moments[(len(moments) - 1) // 2]) if impute else None
        start = dates.iso(moments[0]) + ("Z" if found.zoned else "")
        return cls(found.name, "date", fill=fill, start=start, parts=tuple(parts))

    @property
    def width(self) -> int:
        """Number of its columns in X."""
        return {"number": 1, "date": len(self.parts)}.get(self.kind, len(self.categories))

    def into(self, X: np.ndarray, found: Values) -> list[str]:
        """Encode values into X, zeros (m, width), modified in place; return unknown categories."""
        self._check_kind(found)
        if self.kind == "number":
            values = found.values.astype(np.float64) if found.kind else np.full(len(X), np.nan)
            if self.fill is not None:
                values = np.where(found.missing, self.fill, values)
            self._standardise(X[:, 0], values, self.mean, self.scale)
            return []
        if self.kind == "date":
            moments = self._moments(found)
            start = np.datetime64(dates.from_text(self.start.removesuffix("Z")), "us")
            for i, (name, mean, scale) in enumerate(self.parts):
                self._standardise(X[:, i], dates.part(name, moments, start), mean, scale)
            return []
        texts = found.texts()
        if self.fill is not None:
            texts[found.missing] = self.fill
        place = {category: i for i, category in enumerate(self.categories)}
        places = np.array([place.get(text, -1) for text in texts], np.int64)
        known = np.flatnonzero(places >= 0)
        X[known, places[known]] = 1
        return sorted(set(texts[places < 0]))

    def _standardise(self, x: np.ndarray, values: np.ndarray, mean: float, scale: float) -> None:
        """Write standardised values into x, (m,), modified in place."""
        with np.errstate(all="ignore"):  # overflow is checked below
            x[:] = (values - mean) / scale
        far = np.flatnonzero(~np.isfinite(x))
        if far.size:
            raise Mistake(
                f"column {shown(self.name)}: {values[far[0]]:g} in row {far[0] + 1} is too far "
                f"from the numbers trained on, {mean:g} +- {scale:g}"
            )

    def _moments(self, found: Values) -> np.ndarray:
        """Return dates, or text that is dates, as datetime64; missing ones are filled."""
        values, others = dated(found)
        if others.size:
            raise Mistake(self._unexpected(found, int(others[0])))
        zoned = self.start.endswith("Z")
        if values.kind == "date" and values.zoned != zoned:
            row = int(np.flatnonzero(~values.missing)[0])
            raise Mistake(
                f"column {shown(self.name)}: expected dates with{'' if zoned else 'out'} a time "
                f"zone, as in training; got {shown(str(found.values[row]))} in row {row + 1}"
            )
        moments = values.values
        if values.kind != "date":  # all are missing
            moments = np.full(len(values.values), "NaT", dates.DTYPE)
        fill = dates.from_text(self.fill)
        return moments if fill is None else np.where(values.missing, np.datetime64(fill), moments)

    def _check_kind(self, found: Values) -> None:
        if found.kind in ("", self.kind) or self.kind == "text":
            return
        if (self.kind, found.kind) == ("date", "text"):
            return
        raise Mistake(self._unexpected(found, found.first_other(self.kind)))

    def _unexpected(self, found: Values, row: int) -> str:
        """Return the message for a value of another kind than in training."""
        got = f"{shown(text_of(found.values[row]))} in row {row + 1}"
        return f"column {shown(self.name)}: expected {WHAT[self.kind]}, as in training; got {got}"

    def describe(self) -> dict[str, Any]:
        """Return the fields in types of JSON."""
        kept = asdict(self)
        return {name: kept[name] for name in ("name", "kind", *FIELDS[self.kind], "fill")}

    @classmethod
    def described(cls, kept: dict[str, Any]) -> Column:
        """Return the column of a result of `describe`."""
        kind = choice("column", kept, "kind", FIELDS)
        return cls(**fields("column", kept, ("name", "kind", *FIELDS[kind], "fill")))


def encode(
    columns: Sequence[Column], found: Sequence[Values], dtype: Any
) -> tuple[np.ndarray, dict[str, list[str]]]:
    """Return X, (m, n_x), and the unknown categories of each column.

    Parameters
    ----------
    columns : sequence of Column
        Encodings.
    found : sequence of Values
        Values in the same order. A column without a fill must have no missing values.
    dtype : {"float32", "float64"}
        Dtype of X.
    """
    X = np.zeros((len(found[0].values), sum(column.width for column in columns)), dtype)
    parts = np.split(X, np.cumsum([column.width for column in columns]), axis=1)
    rows = zip(columns, found, parts[:-1], strict=True)
    unknown = all_of(rows, lambda row: (row[0].name, row[0].into(row[2], row[1])))
    return X, {name: words for name, words in unknown if words}
