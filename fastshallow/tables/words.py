"""Words in a column: which are numbers, in which notation, and what to say about the others.

==================  ==========================================================================
notation            example
==================  ==========================================================================
plain               ``1234.5``
decimal comma       ``1234,5``, ``1.234,5``
thousands           ``1,234.5``, ``1 234.5``, ``1'234.5``
money or percent    ``$1,234.50``, ``12 %``; the sign is left away
==================  ==========================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..network.checks import shown
from .mistakes import listed

__all__ = ["doubt", "has_decimal_commas", "is_text", "looks_grouped", "to_numbers", "where"]

PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?([1-9]\d{0,2}(\.\d{3})+|\d*),\d+([eE][+-]?\d+)?")
WHOLE_GROUPED_BY_DOTS = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+)")
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")

# A number as people write it: sign, money, groups of three digits, decimal sign D, percent. Groups
# are separated by T.
WRITTEN = r"""
    (?P<sign>[+-]?) \s* (?P<before>[$€£¥]?) \s*
    (?P<whole> [1-9]\d{0,2} (?P<mark>[T'\u2019\ \u00a0\u202f\u2009])\d{3} ((?P=mark)\d{3})* | \d*)
    (?P<rest> (D\d*)? ) (?P<power> ([eE][+-]?\d+)? ) \s* (?P<after>[$€£¥%]?)
"""
NUMBER = {
    decimal: re.compile(WRITTEN.replace("T", other).replace("D", f"[{decimal}]"), re.VERBOSE)
    for decimal, other in ((".", ","), (",", "."))
}

#: Words that stand for a missing value in many files, and are hardly ever a category.
MISSING = ("?", "-", "--", ".")

#: More different numbers are no categories; fewer are, if they come again and again.
NUMBERS_FEW = 20
#: So many different words among numbers are strays. More are text that may look like numbers.
STRAYS_MOST = 5

ROWS_SHOWN = 3
WORDS_SHOWN = STRAYS_MOST


def number_of(word: str, decimal: str = ".", written: bool = True) -> tuple[float, str]:
    """Return the number that a word is as people write it, NaN if none, and its unit.

    Parameters
    ----------
    word : str
        The word.
    decimal : {".", ","}
        Decimal sign.
    written : bool
        Whether it may have a unit and separators of thousands.

    Examples
    --------
    >>> from fastshallow.tables.words import number_of
    >>> number_of("$1,234.50"), number_of("12%"), number_of("1.234,5", ","), number_of("x")
    ((1234.5, '$'), (12.0, '%'), (1234.5, ''), (nan, ''))
    """
    found = NUMBER[decimal].fullmatch(word.strip().replace("\u2212", "-"))
    if found is None or (found["before"] and found["after"]):
        return math.nan, ""
    digits = re.sub(r"\D", "", found["whole"]) + found["rest"].replace(decimal, ".")
    unit = found["before"] or found["after"]
    if not digits.strip(".") or (not written and (unit or found["mark"])):
        return math.nan, ""
    value = float(found["sign"] + digits + found["power"])
    return value if math.isfinite(value) else math.nan, unit


def is_text(column: Any) -> bool:
    """Return whether the values of a pandas.Series that are not missing are all text."""
    import pandas

    return bool(pandas.api.types.infer_dtype(column, skipna=True) == "string")


def has_decimal_commas(words: Sequence[str]) -> bool:
    """Return whether all words are numbers with decimal commas, or whole, and one has a comma."""
    return all(
        DECIMAL_COMMA.fullmatch(word) or WHOLE_GROUPED_BY_DOTS.fullmatch(word) for word in words
    ) and any("," in word for word in words)


def looks_grouped(words: Sequence[str]) -> bool:
    """Return whether every comma may as well separate thousands."""
    return all(GROUPED.fullmatch(word) for word in words if "," in word)


def where(rows: np.ndarray) -> str:
    """Return "in row 2", or "in 40 rows (2, 5, 9, ...)", of row numbers from 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.words import where
    >>> where(np.array([1])), where(np.array([1, 4]))
    ('in row 2', 'in 2 rows (2, 5)')
    """
    if len(rows) == 1:
        return f"in row {rows[0] + 1}"
    first = ", ".join(str(row + 1) for row in rows[:ROWS_SHOWN])
    return f"in {len(rows):,} rows ({first}{', ...' * (len(rows) > ROWS_SHOWN)})"


def to_numbers(
    name: str, column: Any, decimals: Sequence[str], written: bool, why: str
) -> tuple[Any, str]:
    """Return the numbers of a column of words, or what is wrong with it.

    Parameters
    ----------
    name : str
        Name of the column.
    column : pandas.Series
        Its words.
    decimals : sequence of str
        Decimal signs that it may have. The one that fits best is taken, and of several the first.
    written : bool
        Whether numbers may have a unit and separators of thousands.
    why : str
        Why numbers are expected, for the message.

    Returns
    -------
    ndarray or None, (m,)
        float64; missing values are NaN. None if there is a problem.
    str
        The problem, "" if there is none.
    """
    missing = np.asarray(column.isna(), bool)
    texts = [str(value) for value in column[~missing]]
    words = list(dict.fromkeys(texts))
    read = [{word: number_of(word, mark, written) for word in words} for mark in decimals]
    found = min(read, key=lambda values: sum(math.isnan(value) for value, _ in values.values()))
    strays = [word for word in words if math.isnan(found[word][0])]
    what = f"column {shown(name)}: expected numbers"
    if strays:
        return None, f"{what}, {why}; got {_rows_of(column, strays)}; {_advice(name, strays[0])}"
    examples: dict[str, str] = {}  # a word of each unit
    for word in words:
        examples.setdefault(found[word][1], word)
    if len(set(examples) - {""}) > 1 or ("%" in examples and len(examples) > 1):
        return None, f"{what} of one unit, {why}; got {listed(list(examples.values()))}"
    numbers = np.full(len(missing), np.nan)
    numbers[~missing] = [found[text][0] for text in texts]
    return numbers, ""


def doubt(name: str, column: Any, typed: bool = False) -> tuple[str, bool]:
    """Return what is doubtful about a column of text, "" if nothing, and whether to refuse it.

    A column is refused if it is numbers by nature: there are many different ones, or most come only
    once, and at most a few words are none. Else it may have categories, such as "1", "2", "3+".

    Parameters
    ----------
    name : str
        Name of the column.
    column : pandas.Series
        Text, with missing values.
    typed : bool
        Whether the file says that it is text.

    Examples
    --------
    >>> import pandas
    >>> from fastshallow.tables.words import doubt
    >>> doubt("age", pandas.Series([str(n) for n in range(40)] + ["?"]))[0].split(";")[0]
    "column 'age': numbers, but '?' in row 41"
    >>> doubt("city", pandas.Series(["Oslo", "Rome"]))
    ('', False)
    """
    rows = column.value_counts().to_dict()
    strays = [word for word in rows if not _notation(word)]
    numbers = [word for word in rows if _notation(word)]
    like, total = sum(rows[word] for word in numbers), sum(rows.values())
    many = len(numbers) > NUMBERS_FEW or (len(numbers) >= 5 and 2 * len(numbers) > like)
    what, keep = f"column {shown(name)}", f"--text {shown(name)} reads it as text"
    if numbers and not strays:
        odd = [word for word in numbers if _notation(word) != "plain"]
        if not odd:
            said = f"text, though all are numbers such as {shown(max(numbers, key=len))}"
            return ("", False) if typed else (f"{what}: {said}; {keep} without this line", False)
        wrote = sum(rows[word] for word in odd)
        said = f"numbers, but {wrote:,} of {total:,} rows are written such as {shown(odd[0])}"
        return f"{what}: {said}; {_advice(name, odd[0])}, {keep}", many
    unknown = [word for word in strays if word in MISSING]
    if like and 2 * like >= total:
        found = _rows_of(column, strays)
        if many and len(strays) <= STRAYS_MOST:
            return f"{what}: numbers, but {found}; {_advice(name, *strays)}, {keep}", True
        advice = _advice(name, *(unknown or strays[:1]))
        said = f"text, though {like:,} of {total:,} rows are numbers, because of {found}"
        return f"{what}: {said}; {advice}, {keep}", False
    if unknown:
        said = f"a category is {_rows_of(column, unknown)}"
        return f"{what}: {said}; {_advice(name, *unknown)}", False
    return "", False


def _notation(word: str) -> str:
    """Return "plain", "comma" or "written", "" for what is no number."""
    text = word.strip()
    if PLAIN.fullmatch(text):
        return "plain"
    if DECIMAL_COMMA.fullmatch(text) and not GROUPED.fullmatch(text):
        return "comma"
    return "" if math.isnan(number_of(text)[0]) else "written"


def _advice(name: str, *words: str) -> str:
    """Return the option that takes words for numbers, or for missing values."""
    notation = _notation(words[0])
    if notation == "plain":  # an integer of 400 digits
        return f"--text {shown(name)} reads it as text"
    if notation == "comma":
        return "--decimal , reads decimal commas"
    if notation == "written":
        return f"--number {shown(name)} reads signs and separators of thousands"
    return f"{' '.join(f'--missing {shown(word)}' for word in words)} reads it as missing"


def _rows_of(column: Any, words: Sequence[str]) -> str:
    """Return words with their rows, for a message."""
    texts = column.astype(object).map(str, na_action="ignore")
    parts = [
        f"{shown(word)} {where(np.flatnonzero(texts == word))}" for word in words[:WORDS_SHOWN]
    ]
    more = words[WORDS_SHOWN:]
    if more:
        parts.append(f"{len(more):,} more words in {int(texts.isin(more).sum()):,} rows")
    return ", ".join(parts)
