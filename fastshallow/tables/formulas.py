"""Text that a spreadsheet would run: it is written after an apostrophe.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, which can
start programs or send cells away.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

__all__ = ["without_formulas"]

# A sign alone is no formula: it may be a class.
FORMULA = re.compile(r"\s*[=+@-]\s*\S")
# Digits cannot do harm: -1.5, -1,5, +47 22 33 44
DIGITS = re.compile(r"\s*[+-][\d\s.,:%()/-]+")


def without_formulas(columns: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return columns in which text like a formula has an apostrophe before it.

    Parameters
    ----------
    columns : dict of str to array_like, (m,)
        Values by column name. Numbers stay as they are, and so does text that is a number.

    Returns
    -------
    columns : dict of str to array_like, (m,)
        The same columns, with names and text changed where needed.
    changed : dict of str to int
        Number of changed names and cells by column name.

    Examples
    --------
    >>> from fastshallow.tables.formulas import without_formulas
    >>> columns, changed = without_formulas({"note": ["=1+1", "-1.5", "+"], "x": [-1, 2, 3]})
    >>> columns["note"], columns["x"], changed
    (["'=1+1", '-1.5', '+'], [-1, 2, 3], {'note': 1})
    """
    found, changed = {}, {}
    for name, values in columns.items():
        cells = _texts(values)
        bad = [i for i, cell in enumerate(cells) if _is_formula(cell)]
        for i in bad:
            cells[i] = f"'{cells[i]}"
        written = f"'{name}" if _is_formula(name) else name
        while written in found or (written != name and written in columns):
            written = f"'{written}"
        found[written] = cells if bad else values
        if count := len(bad) + _is_formula(name):
            changed[name] = count
    return found, changed


def _texts(values: Any) -> list[Any]:
    """Return the cells of a column that may have text, else none."""
    kind = getattr(getattr(values, "dtype", None), "kind", "O")
    return list(np.asarray(values, object)) if kind in "OUT" else []


def _is_formula(cell: Any) -> bool:
    if not isinstance(cell, str) or not FORMULA.match(cell) or DIGITS.fullmatch(cell):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False
