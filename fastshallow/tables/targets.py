"""The predicted column of a table: its task, its classes, its scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..network import checks
from ..network.checks import shown
from .described import check_empty, choice, distinct, fields, mean_scale, name_of, set_fields
from .mistakes import Mistake, listed
from .reading import typed
from .values import WHAT, WHOLE_MOST, Values, standard, text_of
from .words import where

__all__ = ["CATEGORIES_MOST", "CLASSES_FEW", "TASKS", "Target"]

#: Largest number of categories of a column and of classes of a target.
CATEGORIES_MOST = 1000

#: Largest number of distinct whole numbers that make a target a classification.
CLASSES_FEW = 20

TASKS = ("classification", "regression")


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
        if found.kind == "date":
            raise Mistake(
                f"{name}: expected numbers, text or booleans; got dates, such as "
                f"{found.texts()[~found.missing][0]}"
            )
        labels = sorted(set(found.taken(~found.missing).labels()))
        whole = found.kind != "number" or all(map(_is_whole, labels))
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
                raise Mistake(f"{name}: expected different numbers; all are {text_of(labels[0])}")
            return cls(found.name, task)
        if not whole:
            number = next(value for value in labels if not _is_whole(value))
            raise Mistake(
                f"{name}: expected text or whole numbers for --task classification; got {number:g}"
            )
        if found.kind == "number" and found.exact is None:
            _check_exact(found, labels)
        if len(labels) < 2:
            raise Mistake(
                f"{name}: expected two classes or more; all are {shown(text_of(labels[0]))}"
            )
        if len(labels) > CATEGORIES_MOST:
            raise Mistake(
                f"{name}: expected at most {CATEGORIES_MOST} classes; got {len(labels)}, such as "
                f"{shown(str(labels[0]))}; --task regression predicts numbers"
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
        kind = "boolean" if isinstance(self.classes[0], bool) else "number"
        if not text and found.kind != kind:  # True is 1 in Python
            what = WHAT.get(found.kind, "missing values")
            wanted = f"target {shown(self.name)}: expected {WHAT[kind]}, as in training"
            if found.kind:
                row = found.first_other(kind)
                what += f", such as {shown(found.texts()[row])} in row {row + 1}"
            raise Mistake(f"{wanted}; got {what}")
        if kind == "number" and found.exact is None and not text:
            _check_exact(found, self.classes)
        labels = found.texts().tolist() if text else found.labels()
        place = {label: i for i, label in enumerate(self.classes)}
        known = np.array([label in place for label in labels])
        if not known.all():
            unknown = sorted(set(found.texts()[~known]))
            rows = where(np.flatnonzero(~known))
            raise Mistake(
                f"target {shown(self.name)}: expected the classes of the model, "
                f"{listed([str(label) for label in self.classes])}; got {listed(unknown)} {rows}"
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
    return int(label) if isinstance(label, (int, float)) else str(label)


def _is_whole(label: float) -> bool:
    return isinstance(label, int) or label.is_integer()


def _check_exact(found: Values, classes: Sequence[Any]) -> None:
    """Raise if a float stands for several whole numbers, some of which are classes."""
    far = np.flatnonzero(~found.missing & (np.abs(found.values) >= WHOLE_MOST))
    if far.size and any(abs(label) >= WHOLE_MOST for label in classes):
        raise Mistake(
            f"target {shown(found.name)}: expected whole numbers or text; got the float "
            f"{found.values[far[0]]:.17g} in row {far[0] + 1}, which is several whole numbers; "
            f"{typed('--text', found.name)} keeps labels as they are written"
        )
