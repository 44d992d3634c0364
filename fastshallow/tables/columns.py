"""Columns of a table, and their encoding as numbers for a network.

==========  ===================================================================================
numbers     standardised: (x - mean) / scale, with mean and standard deviation of the training
            rows; the scale of a constant column is 1
text        one-hot: one column of 0 and 1 for each category of the training rows, sorted; other
            categories give zeros
booleans    the same, with the categories "False" and "True"
==========  ===================================================================================

Missing values are those of pandas (None, NaN, NA). The ``fill`` of a column replaces them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..network import checks
from ..network.checks import cast, shown
from .described import check_empty, choice, distinct, fields, mean_scale, name_of, set_fields
from .mistakes import Mistake, listed

__all__ = ["Column", "Target", "Values", "check_any", "check_present", "encode", "read_values"]

#: Largest number of categories of a column and of classes of a target.
CATEGORIES_MOST = 1000

#: Largest number of distinct whole numbers that make a target a classification.
CLASSES_FEW = 20

TASKS = ("classification", "regression")

# Types that may be NaN. NumPy's float64 is a Python float, its other floats are not.
FLOATS = (float, np.floating)

WHAT = {"number": "numbers", "text": "text", "boolean": "booleans"}


@dataclass
class Values:
    """The values of a column.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : {"number", "text", "boolean", ""}
        Kind of the values; "" if all are missing.
    values : ndarray, (m,)
        float64 for numbers, else objects. Missing values are arbitrary.
    missing : ndarray, (m,), bool
        True for missing values.
    """

    name: str
    kind: str
    values: np.ndarray
    missing: np.ndarray

    @property
    def present(self) -> np.ndarray:
        """The values that are not missing."""
        return self.values[~self.missing] if self.missing.any() else self.values

    def taken(self, chosen: np.ndarray) -> Values:
        """Return the values of chosen rows."""
        return Values(self.name, self.kind, self.values[chosen], self.missing[chosen])

    def texts(self) -> np.ndarray:
        """Return the values as text: "" if missing, whole numbers without a point."""
        if self.kind == "number":
            texts = np.array([_text_of(value) for value in self.values.tolist()], object)
        else:
            texts = np.array([str(value) for value in self.values], object)
        texts[self.missing] = ""
        return texts


def read_values(name: str, column: Any) -> Values:
    """Return the `Values` of a table column.

    Parameters
    ----------
    name : str
        Name of the column.
    column : pandas.Series, array_like, (m,)
        Values of the column.

    Raises
    ------
    Mistake
        The values are not numbers, text or booleans, or a number is infinite.

    Examples
    --------
    >>> from fastshallow.tables.columns import read_values
    >>> values = read_values("age", [31, None, 45])
    >>> values.kind, values.values.tolist(), values.missing.tolist()
    ('number', [31.0, nan, 45.0], [False, True, False])
    """
    if not hasattr(column, "dtype"):
        column = np.array(list(column), object)
    kind = getattr(column.dtype, "kind", "O")
    if kind not in "iufbOUT":
        raise Mistake(
            f"column {shown(name)}: expected numbers, text or booleans; got {column.dtype}"
        )
    if hasattr(column, "isna"):
        missing = np.asarray(column.isna(), bool)
    else:
        column = np.asarray(column)
        missing = _missing(column)
    if np.ndim(column) != 1:
        raise Mistake(f"column {shown(name)}: expected values (m,); got shape {np.shape(column)}")
    if kind in "iuf":
        return _numbers(name, column, missing)
    values = np.asarray(column, object)
    types = set(map(type, values[~missing]))
    if not types:
        return Values(name, "", values, missing)
    if types <= {bool, np.bool_}:
        return Values(name, "boolean", values, missing)
    if all(issubclass(t, (int, float, np.number)) and t is not bool for t in types):
        return _numbers(name, values, missing)
    return Values(name, "text", values, missing)


def _text_of(value: float) -> str:
    """Return the shortest text that gives the same number again."""
    return f"{value:.17g}" if value.is_integer() else repr(value)


def _missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        nan: np.ndarray = np.isnan(values)
        return nan
    if values.dtype.kind != "O":
        return np.zeros(values.shape[:1], bool)
    return np.array([v is None or (isinstance(v, FLOATS) and math.isnan(v)) for v in values], bool)


def _numbers(name: str, column: Any, missing: np.ndarray) -> Values:
    """Return `Values` of float64, with NaN for missing numbers."""
    if missing.any():
        numbers = np.full(len(missing), np.nan)
        numbers[~missing] = cast(np.asarray(column, object)[~missing], np.float64)
    else:
        numbers = cast(np.asarray(column), np.float64)
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        raise Mistake(
            f"column {shown(name)}: expected finite numbers; got {numbers[infinite[0]]} in row "
            f"{infinite[0] + 1}"
        )
    return Values(name, "number" if not missing.all() else "", numbers, missing)


def check_any(found: Values) -> None:
    """Raise if all values of a column are missing."""
    if not found.kind:
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


# Features ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """Encoding of one table column as columns of X.

    Parameters
    ----------
    name : str
        Name of the table column.
    kind : {"number", "text", "boolean"}
        Kind of its values.
    mean, scale : float
        Mean and standard deviation of numbers.
    categories : tuple of str
        Categories of text and booleans, in the order of their columns in X.
    fill : float, str or None
        Replacement of missing values; None makes missing values an error.

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

    def __post_init__(self) -> None:
        where = name_of("column", self.name)
        checks.one_of(f"{where}: kind", self.kind, WHAT)
        if self.kind == "number":
            fill = self.fill
            if fill is not None:
                fill = checks.number(f"{where}: fill", fill)
            set_fields(self, fill=fill, **mean_scale(where, self))
            check_empty(where, "categories", self.categories)
            return
        categories = distinct(f"{where}: categories", self.categories, 1)
        if not all(isinstance(category, str) for category in categories):
            raise TypeError(f"{where}: categories: expected texts; got {shown(categories)}")
        if self.fill is not None and not (isinstance(self.fill, str) and self.fill in categories):
            raise ValueError(
                f"{where}: fill: expected one of its categories; got {shown(self.fill)}"
            )
        set_fields(self, categories=categories)

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
        counts = Counter(found.texts()[~found.missing].tolist())
        categories = ("False", "True") if found.kind == "boolean" else tuple(sorted(counts))
        if len(categories) > CATEGORIES_MOST:
            raise Mistake(
                f"column {shown(found.name)}: expected at most {CATEGORIES_MOST} categories; got "
                f"{len(categories)}, such as {shown(categories[0])}; --drop leaves a column out"
            )
        # of equally common values the first in sorted order
        fill = min(counts, key=lambda name: (-counts[name], name)) if impute else None
        return cls(found.name, found.kind, categories=categories, fill=fill)

    @property
    def width(self) -> int:
        """Number of its columns in X."""
        return 1 if self.kind == "number" else len(self.categories)

    def into(self, X: np.ndarray, found: Values) -> list[str]:
        """Encode values into X, zeros (m, width), modified in place; return unknown categories."""
        self._check_kind(found)
        if self.kind == "number":
            values = found.values.astype(np.float64) if found.kind else np.full(len(X), np.nan)
            if self.fill is not None:
                values = np.where(found.missing, self.fill, values)
            with np.errstate(all="ignore"):  # overflow is checked below
                X[:, 0] = (values - self.mean) / self.scale
            far = np.flatnonzero(~np.isfinite(X[:, 0]))
            if far.size:
                raise Mistake(
                    f"column {shown(self.name)}: {values[far[0]]:g} in row {far[0] + 1} is too far "
                    f"from the numbers trained on, {self.mean:g} +- {self.scale:g}"
                )
            return []
        texts = found.texts()
        if self.fill is not None:
            texts[found.missing] = self.fill
        place = {category: i for i, category in enumerate(self.categories)}
        places = np.array([place.get(text, -1) for text in texts], np.int64)
        known = np.flatnonzero(places >= 0)
        X[known, places[known]] = 1
        return sorted(set(texts[places < 0]))

    def _check_kind(self, found: Values) -> None:
        if found.kind in ("", self.kind) or self.kind == "text":
            return
        rows = np.flatnonzero(~found.missing).tolist()
        row = rows[0]
        if self.kind == "number":  # the first value that is not a number
            row = next((i for i in rows if not _is_number(found.values[i])), row)
        raise Mistake(
            f"column {shown(self.name)}: expected {WHAT[self.kind]}, as in training; got "
            f"{shown(str(found.values[row]))} in row {row + 1}"
        )

    def describe(self) -> dict[str, Any]:
        """Return the fields in types of JSON."""
        kept = asdict(self)
        unused = ("categories",) if self.kind == "number" else ("mean", "scale")
        return {name: value for name, value in kept.items() if name not in unused}

    @classmethod
    def described(cls, kept: dict[str, Any]) -> Column:
        """Return the column of a result of `describe`."""
        kind = choice("column", kept, "kind", WHAT)
        parts = ("mean", "scale") if kind == "number" else ("categories",)
        return cls(**fields("column", kept, ("name", "kind", *parts, "fill")))


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def standard(name: str, numbers: np.ndarray) -> tuple[float, float]:
    """Return the mean and the standard deviation; the latter is 1 if all numbers are equal."""
    if numbers.min() == numbers.max():
        return float(numbers[0]), 1.0
    with np.errstate(all="ignore"):
        mean, scale = float(numbers.mean()), float(numbers.std())
    if not (math.isfinite(mean) and 0 < scale < math.inf):
        raise Mistake(
            f"column {shown(name)}: its numbers are too large or too small to standardise"
        )
    return mean, scale


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
    unseen, start = {}, 0
    for column, values in zip(columns, found, strict=True):
        unknown = column.into(X[:, start : start + column.width], values)
        if unknown:
            unseen[column.name] = unknown
        start += column.width
    return X, unseen


# The target --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """The predicted column: classes, or numbers that the network learns standardised.

    Parameters
    ----------
    name : str
        Name of the column.
    task : {"classification", "regression"}
        Task.
    classes : tuple
        Sorted texts, numbers or booleans; empty for regression.
    mean, scale : float
        Mean and standard deviation of the numbers of a regression.

    Examples
    --------
    >>> from fastshallow.tables.columns import Target, read_values
    >>> target = Target.of(read_values("species", ["cat", "dog", "cat"]))
    >>> target.task, target.classes, target.encode(read_values("species", ["dog"])).tolist()
    ('classification', ('cat', 'dog'), [1])
    """

    name: str
    task: str
    classes: tuple[Any, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        where = name_of("target", self.name)
        checks.one_of(f"{where}: task", self.task, TASKS)
        if self.task == "regression":
            check_empty(where, "classes", self.classes)
            set_fields(self, **mean_scale(where, self))
            return
        classes = distinct(f"{where}: classes", self.classes, 2)
        if type(classes[0]) is int:  # an integer of a file may exceed float64
            for label in classes:
                checks.number(f"{where}: classes", label)
        set_fields(self, classes=classes)

    @classmethod
    def of(cls, found: Values, task: str = "auto") -> Target:
        """Return the target of a column; for regression without mean and scale.

        Raises
        ------
        Mistake
            The values do not fit the task: one class, too many classes, text for regression.
        """
        name = f"target {shown(found.name)}"
        if not found.kind:
            raise Mistake(f"{name}: expected values; all are missing")
        labels = sorted(set(found.present.tolist() if found.kind != "text" else found.texts()))
        whole = found.kind != "number" or all(value.is_integer() for value in labels)
        if task == "auto":
            few = found.kind != "number" or (whole and len(labels) <= CLASSES_FEW)
            task = "classification" if few else "regression"
        if task == "regression":
            if found.kind != "number":
                raise Mistake(
                    f"{name}: expected numbers for --task regression; got {WHAT[found.kind]}, "
                    f"such as {shown(str(labels[0]))}"
                )
            if len(labels) < 2:
                raise Mistake(f"{name}: expected different numbers; all are {labels[0]:g}")
            return cls(found.name, task)
        if not whole:
            number = next(value for value in labels if not value.is_integer())
            raise Mistake(
                f"{name}: expected text or whole numbers for --task classification; got {number:g}"
            )
        if len(labels) < 2:
            raise Mistake(f"{name}: expected two classes or more; all are {shown(str(labels[0]))}")
        if len(labels) > CATEGORIES_MOST:
            raise Mistake(
                f"{name}: expected at most {CATEGORIES_MOST} classes; got {len(labels)}, such as "
                f"{shown(str(labels[0]))}"
            )
        return cls(found.name, task, tuple(map(_json_label, labels)))

    def standardised(self, found: Values) -> Target:
        """Return the target with mean and scale of the training numbers."""
        if self.task == "classification":
            return self
        mean, scale = standard(found.name, found.values)
        return Target(self.name, self.task, (), mean, scale)

    def encode(self, found: Values) -> np.ndarray:
        """Return class numbers (m,), int64, or standardised numbers (m,), float64.

        Raises
        ------
        Mistake
            A label is not among the classes, or a value is not a number.
        """
        if self.task == "regression":
            if found.kind != "number":
                raise Mistake(
                    f"target {shown(self.name)}: expected numbers; got "
                    f"{WHAT.get(found.kind, 'missing values')}"
                )
            with np.errstate(all="ignore"):  # training rejects targets that are not finite
                return (found.values - self.mean) / self.scale
        text = isinstance(self.classes[0], str)
        labels = found.texts() if text else found.values.tolist()
        place = {label: i for i, label in enumerate(self.classes)}
        unknown = sorted({str(label) for label in labels if label not in place})
        if unknown:
            raise Mistake(
                f"target {shown(self.name)}: expected the classes of the model, "
                f"{listed([str(label) for label in self.classes])}; got {listed(unknown)}"
            )
        return np.array([place[label] for label in labels], np.int64)

    def labels(self) -> np.ndarray:
        """Return the classes, (n,): numbers, booleans, or objects for text and huge integers."""
        first, wide = self.classes[0], False
        if type(first) is int:
            wide = not all(abs(label) < 1 << 63 for label in self.classes)
        return np.array(self.classes, object if isinstance(first, str) or wide else None)

    def describe(self) -> dict[str, Any]:
        """Return the fields in types of JSON."""
        kept = asdict(self)
        unused = ("classes",) if self.task == "regression" else ("mean", "scale")
        return {name: value for name, value in kept.items() if name not in unused}

    @classmethod
    def described(cls, kept: dict[str, Any]) -> Target:
        """Return the target of a result of `describe`."""
        task = choice("target", kept, "task", TASKS)
        parts = ("mean", "scale") if task == "regression" else ("classes",)
        return cls(**fields("target", kept, ("name", "task", *parts)))


def _json_label(label: Any) -> Any:
    """Return a label in a type of JSON; whole floats become integers."""
    if isinstance(label, (bool, np.bool_)):
        return bool(label)
    return int(label) if isinstance(label, float) else str(label)
