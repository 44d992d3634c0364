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

# What every number begins with. Most words of text do not.
BEGIN = re.compile(r"[+\-\u2212$€£¥\s]*[.,]?\d")
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
#: So many different words among numbers are strays, also such a share of the rows. More are text
#: that may look like numbers.
STRAYS_MOST = 5
STRAYS_SHARE = 0.02

ROWS_SHOWN = 3

#: Decimal signs of the notations with units and separators of thousands.
MARKS = {"written": ".", "written comma": ","}


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
        Decimal signs that it may have. The one that fits best is taken; if several fit, they must
        give the same numbers.
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
    found = min(read, key=lambda values: len(_strays_in(values)))
    strays = _strays_in(found)
    what = f"column {shown(name)}: expected numbers"
    if strays:
        return None, f"{what}, {why}; got {_rows_of(column, strays)}; {_hint(name, strays[0])}"
    fitting = [values for values in read if not _strays_in(values)]
    for word in words if len(fitting) > 1 else ():
        both = sorted({values[word][0] for values in fitting})
        if len(both) > 1:
            said = " or ".join(f"{value:g}" for value in both)
            return None, f"{what}, {why}; {shown(word)} may be {said}; --decimal says which"
    examples: dict[str, str] = {}  # a word of each unit
    for word in words:
        examples.setdefault(found[word][1], word)
    if len(set(examples) - {""}) > 1 or ("%" in examples and len(examples) > 1):
        return None, f"{what} of one unit, {why}; got {listed(list(examples.values()))}"
    numbers = np.full(len(missing), np.nan)
    numbers[~missing] = [found[text][0] for text in texts]
    return numbers, ""


def _strays_in(values: dict[str, tuple[float, str]]) -> list[str]:
    """Return the words that are no number."""
    return [word for word, (value, _) in values.items() if math.isnan(value)]


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
    notations = {word: _notation(word) for word in rows}
    numbers = [word for word in rows if notations[word]]
    strays = [word for word in rows if not notations[word]]
    unknown = [word for word in strays if word in MISSING]
    like, total = sum(rows[word] for word in numbers), sum(rows.values())
    many = len(numbers) > NUMBERS_FEW or (len(numbers) >= 5 and 2 * len(numbers) > like)
    few = len(strays) <= max(STRAYS_MOST, STRAYS_SHARE * total)
    what, keep = f"column {shown(name)}", f"--text {shown(name)} reads it as text"
    if not like or 2 * like < total:
        said = f"{what}: a category is {_rows_of(column, unknown)}; {_missing(unknown)}"
        return (said if unknown else ""), False
    written: dict[str, str] = {}  # the first word of each notation
    for word in numbers:
        notation = notations[word]
        if "comma" in notations.values() and DECIMAL_COMMA.fullmatch(word):
            notation = "comma"  # beside 1,5 also 1,234 has a decimal comma
        if notation != "plain":
            written.setdefault(notation, word)
    hints = [_hint(name, word) for word in written.values()]
    if not strays and not written:
        said = f"text, though all are numbers such as {shown(max(numbers, key=len))}"
        return ("", False) if typed else (f"{what}: {said}; {keep}", many)
    if not strays:
        wrote = sum(rows[word] for word in numbers if notations[word] != "plain")
        examples = ", ".join(map(shown, written.values()))
        said = f"numbers, but {wrote:,} of {total:,} rows are written such as {examples}"
    elif many and few:
        said, hints = f"numbers, but {_rows_of(column, strays)}", [_missing(strays), *hints]
    else:
        because = f"because of {_rows_of(column, strays)}"
        said = f"text, though {like:,} of {total:,} rows are numbers, {because}"
        hints = [_missing(unknown or strays[:1])] if few or unknown else []
    return f"{what}: {said}; {', '.join([*hints, keep])}", many and few


def _notation(word: str) -> str:
    """Return "plain", "comma", "written" or "written comma", "" for what is no number."""
    text = word.strip()
    if not BEGIN.match(text):
        return ""
    if PLAIN.fullmatch(text):
        return "plain"
    if DECIMAL_COMMA.fullmatch(text) and not GROUPED.fullmatch(text):
        return "comma"
    found = [note for note, mark in MARKS.items() if not math.isnan(number_of(text, mark)[0])]
    return found[0] if found else ""


def _hint(name: str, word: str) -> str:
    """Return the option that takes a word for a number, or for a missing value."""
    notation = _notation(word)
    if notation == "plain":  # of another decimal sign, or an integer of 400 digits
        point = "--decimal . reads decimal points, or " if "." in word else ""
        return f"{point}--text {shown(name)} reads it as text"
    if notation == "comma":
        return "--decimal , reads decimal commas"
    if not notation:
        return _missing([word])
    also = "--decimal , " if notation == "written comma" else ""
    return f"{also}--number {shown(name)} reads signs and separators of thousands"


def _missing(words: Sequence[str]) -> str:
    return f"{' '.join(f'--missing {shown(word)}' for word in words)} reads it as missing"


def _rows_of(column: Any, words: Sequence[str]) -> str:
    """Return words with their rows, for a message."""
    texts = column.astype(object).map(str, na_action="ignore")
    most = STRAYS_MOST if len(words) <= STRAYS_MOST else 2
    parts = [f"{shown(word)} {where(np.flatnonzero(texts == word))}" for word in words[:most]]
    more = words[most:]
    if more:
        parts.append(f"{len(more):,} more words in {int(texts.isin(more).sum()):,} rows")
    return ", ".join(parts)
