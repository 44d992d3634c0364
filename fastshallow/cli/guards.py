"""Guards of train: useless columns are left out, and classes of about one row each refused."""

from __future__ import annotations

import re

import numpy as np

from ..network.checks import shown
from ..tables.columns import CLASSES_FEW, Target, Values, dated
from ..tables.mistakes import Mistake, listed
from ..tables.reading import typed
from ..tables.values import differs_by_rounding, is_number
from ..tables.words import where
from .common import note

__all__ = ["check_classes", "dates_noted", "doubts", "left_out", "reasons_text", "useless"]

#: A text column with more different values than this share of its rows tells rows apart, no more.
DIFFERENT_MOST = 0.8
#: Classes with fewer rows than this, on average, cannot be learnt. So few may be a toy.
ROWS_LEAST, TOY_MOST = 2, 3
#: So many whole numbers without a gap, each there once, number the rows.
NUMBERED_LEAST = 20
DAY_FIRST = re.compile(r"[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4}( .*)?")
#: Text with fewer other values than this share of its rows may be meant as dates.
NO_DATES_MOST = 0.9


def check_classes(target: Target, found: Values) -> None:
    """Raise where classes have about one row each.

    Examples
    --------
    >>> from fastshallow.cli.guards import check_classes
    >>> from fastshallow.tables.columns import Target, read_values
    >>> prices = read_values("price", list(range(100, 115)))
    >>> try:
    ...     check_classes(Target.of(prices), prices)
    ... except ValueError as error:
    ...     print(str(error).partition(";")[0])
    target 'price': its 15 whole numbers in 15 rows would be 15 classes
    """
    n, m = len(target.classes), len(found.values)
    if not n:
        return
    name = f"target {shown(target.name)}"
    crowded = n == m or (n > TOY_MOST and n * ROWS_LEAST > m)
    if crowded and found.kind == "number":
        raise Mistake(
            f"{name}: its {n} whole numbers in {m} rows would be {n} classes; --task regression "
            "predicts numbers"
        )
    if crowded:
        raise Mistake(
            f"{name}: expected {ROWS_LEAST} rows or more of a class; got {n} classes in {m} rows, "
            f"such as {shown(str(target.classes[0]))}; {_advice(target)}"
        )


def _advice(target: Target) -> str:
    """Return what helps where a class has hardly a row."""
    if all(map(is_number, target.classes)):
        return f"{typed('--number', target.name)} reads numbers"
    return "--target names another column"


def dates_noted(found: Values) -> Values:
    """Return text as dates if all of it is; say what stands against it if a part of it is."""
    values, others = dated(found)
    m = int((~found.missing).sum())
    if 0 < len(others) < NO_DATES_MOST * m:
        words = list(dict.fromkeys(str(word) for word in found.values[others]))
        note(
            f"warning: column {shown(found.name)} is taken as text, though {m - len(others):,} of "
            f"{m:,} rows are dates, because of {listed(words, 3)} {where(others)}; "
            f"{typed('--missing', words[0])} reads it as missing"
        )
    return values


def doubts(found: Values) -> str:
    """Return what to say of a feature that may be no use as it is, "" if nothing."""
    there = found.present
    if found.kind == "number" and len(there) >= NUMBERED_LEAST:
        steps = np.diff(np.sort(there))
        if (steps == 1).all() and found.exact is None:
            return f"it numbers the rows; {typed('--drop', found.name)} leaves it out"
    if found.kind == "text" and len(there) and all(map(DAY_FIRST.fullmatch, there)):
        such = f"text, though all look like dates, such as {shown(there[0])}"
        return f"{such}; ISO dates, such as 2024-03-01, are read as dates"
    return ""


def left_out(found: list[Values], chosen: np.ndarray, source: str) -> dict[str, str]:
    """Return the columns that teach nothing, with the reason of each.

    Parameters
    ----------
    found : list of Values
        Features.
    chosen : ndarray
        Rows to train on.
    source : str
        The table, for the message where no column is left.
    """
    every = {values.name: useless(values, values.taken(chosen)) for values in found}
    reasons = {name: reason for name, reason in every.items() if reason}
    if len(reasons) == len(found):
        what = reasons_text(reasons)
        raise Mistake(f"{source}: expected columns to learn from; left out are {what}")
    return reasons


def reasons_text(reasons: dict[str, str]) -> str:
    """Return the columns that are left out, with their reasons, for a message.

    Examples
    --------
    >>> from fastshallow.cli.guards import reasons_text
    >>> reasons_text({"a": "constant", "id": "99 different texts in 99 rows"})
    "'a' (constant), 'id' (99 different texts in 99 rows)"
    """
    texts = [f"{shown(name)} ({reason})" for name, reason in reasons.items()]
    return ", ".join(texts[:10]) + f" and {len(texts) - 10} more" * (len(texts) > 10)


def useless(values: Values, part: Values) -> str:
    """Return why a column teaches nothing, "" if it may; ``part`` are the rows to train on."""
    if values.missing.all():
        return "no values"
    if part.missing.all():
        return "no value in the rows trained on"
    if _is_constant(part):
        return "constant" if _is_constant(values) else "constant in the rows trained on"
    if values.kind == "number" and differs_by_rounding(part.present):
        digits = (
            f"; {typed('--text', values.name)} keeps the digits" if values.exact is not None else ""
        )
        return f"differs by rounding alone{digits}"
    if values.kind == "text":
        m = int((~values.missing).sum())
        different = len(set(values.texts()[~values.missing]))
        if different > max(CLASSES_FEW, DIFFERENT_MOST * m):
            return f"{different} different texts in {m} rows"
    return ""


def _is_constant(values: Values) -> bool:
    if values.exact is not None and len(set(values.exact[~values.missing])) > 1:
        return False
    if values.kind in ("number", "date"):
        return bool(values.present.min() == values.present.max())
    return len(set(values.texts()[~values.missing])) == 1
