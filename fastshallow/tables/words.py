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
from .reading import typed
from .values import WHOLE_MOST

__all__ = [
    "doubt",
    "has_a_decimal_comma",
    "has_decimal_commas",
    "is_text",
    "looks_grouped",
    "to_numbers",
    "trailing_spaces",
    "where",
]

# What every number begins with. Most words of text do not.
BEGIN = re.compile(r"[+\-\u2212$€£¥\s]*[.,]?\d", re.ASCII)
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DECIMAL_COMMA = re.compile(r"[+-]?([1-9]\d{0,2}(\.\d{3})+|\d*),\d+([eE][+-]?\d+)?", re.ASCII)
WHOLE_GROUPED_BY_DOTS = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+)([eE][+-]?\d+)?", re.ASCII)
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)

# A number as people write it: sign, money, groups of three digits, decimal sign D, percent. Groups
# are separated by T.
WRITTEN = r"""
    (?P<sign>[+-]?) \s* (?P<before>[$€£¥]?) \s*
    (?P<whole> [1-9]\d{0,2} (?P<mark>[T'\u2019\ \u00a0\u202f\u2009])\d{3} ((?P=mark)\d{3})* | \d*)
    (?P<rest> (D\d*)? ) (?P<power> ([eE][+-]?\d+)? ) \s* (?P<after>[$€£¥%]?)
"""
NUMBER = {
    decimal: re.compile(
        WRITTEN.replace("T", other).replace("D", f"[{decimal}]"), re.VERBOSE | re.ASCII
    )
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
    """Return whether all words are numbers with decimal commas, or whole ones beside them."""
    return bool(words) and all(
        DECIMAL_COMMA.fullmatch(word) or WHOLE_GROUPED_BY_DOTS.fullmatch(word) for word in words
    )


def has_a_decimal_comma(words: Sequence[str]) -> bool:
    """Return whether one of some words is a number with a decimal comma, as people write it."""
    return any(
        "," in word
        and not math.isnan(number_of(word, ",")[0])
        and math.isnan(number_of(word, ".")[0])
        for word in words
    )


def looks_grouped(words: Sequence[str], mark: str) -> bool:
    """Return whether every mark, a comma or a point, may as well separate thousands."""
    marked = [word.replace(mark, ",") for word in words if mark in word]
    return bool(marked) and all(GROUPED.fullmatch(word) for word in marked)


def trailing_spaces(column: Any) -> str:
    """Return what to say of words that differ by spaces at their ends alone, "" if none do.

    Examples
    --------
    >>> import pandas
    >>> from fastshallow.tables.words import trailing_spaces
    >>> trailing_spaces(pandas.Series(["yes", "no", "yes "]))
    "'yes' and 'yes ' differ by spaces alone, and are two values"
    """
    words = column.dropna().unique().tolist()
    seen: dict[str, str] = {}
    for word in words:
        text = word.strip()
        # TRUE, True and true are one boolean, which a space makes several texts
        key = text.lower() if text.lower() in ("true", "false") else text
        other = seen.setdefault(key, word)
        if other != word and (other.strip(), text) != (other, word):
            both = " and ".join(map(shown, sorted([other, word])))
            return f"{both} differ by spaces alone, and are two values"
    return ""


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
    name: str, column: Any, decimals: str, written: bool, of_model: bool
) -> tuple[Any, str]:
    """Return the numbers of a column of words, or what is wrong with it.

    Parameters
    ----------
    name : str
        Name of the column.
    column : pandas.Series
        Its words.
    decimals : {".", ",", ".,"}
        Decimal signs that it may have. The one that fits best is taken; if several fit, they must
        give the same numbers.
    written : bool
        Whether numbers may have a unit and separators of thousands.
    of_model : bool
        Whether a model expects numbers, or else the user, for the message.

    Returns
    -------
    ndarray or None, (m,)
        float64, and NaN where missing; integers, and None where missing, if float64 cannot hold
        them. None if there is a problem.
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
    why = "as in training" if of_model else "as --number says"
    if strays:
        hint = _hint(name, strays[0], decimals if len(decimals) == 1 else None, not of_model)
        if "--decimal" in hint and not has_decimal_commas(words):
            hint = ""
        got = f"{what}, {why}; got {_rows_of(column, strays)}"
        return None, f"{got}; {hint}" if hint else got
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
    mark = decimals[read.index(found)]
    exact = max((abs(found[word][0]) for word in words), default=0) >= WHOLE_MOST
    whole = {word: _whole(word, mark) for word in words} if exact else {}
    if whole and None not in whole.values():
        integers = np.full(len(missing), None, object)
        integers[~missing] = [whole[text] for text in texts]
        return integers, ""
    numbers = np.full(len(missing), np.nan)
    numbers[~missing] = [found[text][0] for text in texts]
    return numbers, ""


def _whole(word: str, decimal: str) -> int | None:
    """Return the whole number that a word is, None if it is none or has an exponent."""
    found = NUMBER[decimal].fullmatch(word.strip().replace("\u2212", "-"))
    if found is None or found["rest"].strip(decimal + "0") or found["power"]:
        return None
    return int(found["sign"] + (re.sub(r"\D", "", found["whole"]) or "0"))


def _strays_in(values: dict[str, tuple[float, str]]) -> list[str]:
    """Return the words that are no number."""
    return [word for word, (value, _) in values.items() if math.isnan(value)]


def doubt(
    name: str, column: Any, parquet: bool = False, decimal: str | None = None
) -> tuple[str, bool]:
    """Return what is doubtful about a column of text, "" if nothing, and whether to refuse it.

    A column is refused if it is numbers by nature: there are many different ones, or most come only
    once, and at most a few words are none. Else it may have categories, such as "1", "2", "3+".

    Parameters
    ----------
    name : str
        Name of the column.
    column : pandas.Series
        Text, with missing values.
    parquet : bool
        Whether the file itself says that it is text.
    decimal : {".", ",", None}
        The decimal sign that the user has named.

    Examples
    --------
    >>> import pandas
    >>> from fastshallow.tables.words import doubt
    >>> doubt("age", pandas.Series([str(n) for n in range(40)] + ["?"]))[0].split(";")[0]
    "column 'age': numbers, but '?' in row 41"
    >>> doubt("city", pandas.Series(["Oslo", "Rome"]))
    ('', False)
    """
    words = _Words(name, column, parquet, decimal)
    if not words.numbers or (2 * words.like < words.total and not words.refused):
        said, hints = words.unknown_category()
    elif not words.strays and not words.written:
        said, hints = ("", []) if parquet else words.all_plain()
    elif not words.strays:
        said, hints = words.all_written()
    else:
        said, hints = words.some_strays()
    refused = bool(said) and words.refused
    return (f"column {shown(name)}: {said}; {', '.join(hints)}" if said else ""), refused


class _Words:
    """The words of a column: numbers, and strays, which are none."""

    def __init__(self, name: str, column: Any, parquet: bool, decimal: str | None):
        self.name, self.column, self.parquet, self.decimal = name, column, parquet, decimal
        self.rows = rows = column.value_counts().to_dict()
        notations = {word: _notation(word) for word in rows}
        self.numbers = [word for word in rows if notations[word]]
        self.strays = [word for word in rows if not notations[word]]
        self.plain = sum(rows[word] for word in rows if notations[word] == "plain")
        self.like, self.total = sum(rows[word] for word in self.numbers), sum(rows.values())
        self.written: dict[str, str] = {}  # the first word of each notation that is not plain
        commas = "comma" in notations.values()
        for word in self.numbers:
            notation = notations[word]
            if commas and DECIMAL_COMMA.fullmatch(word):
                notation = "comma"  # beside 1,5 also 1,234 has a decimal comma
            if notation != "plain":
                self.written.setdefault(notation, word)
        self.few = len(self.strays) <= max(STRAYS_MOST, STRAYS_SHARE * self.total)

    @property
    def refused(self) -> bool:
        """Whether the column is numbers by nature."""
        n = len(self.numbers)
        once = n >= 5 and 2 * n > self.like and 2 * self.like >= self.total
        return self.few and (n > NUMBERS_FEW or once)

    @property
    def keep(self) -> str:
        return f"{typed('--text', self.name)} reads it as text"

    def hints(self) -> list[str]:
        """Return the options that read what is written otherwise than plain."""
        found = [
            _hint(self.name, word, self.decimal)
            for notation, word in self.written.items()
            if notation != "comma" or has_decimal_commas(self.numbers)  # 2.5 beside 1,5: neither
        ]
        number = f" {typed('--number', self.name)} "  # which a Parquet file needs for text
        return [
            hint.replace(" reads", f"{number}reads", 1)
            if self.parquet and "--n" not in hint
            else hint
            for hint in found
            if hint
        ]

    def unknown_category(self) -> tuple[str, list[str]]:
        unknown = [word for word in self.strays if word in MISSING]
        return (
            f"a category is {_rows_of(self.column, unknown)}" if unknown else "",
            [_missing(unknown)],
        )

    def all_plain(self) -> tuple[str, list[str]]:
        longest = max(self.numbers, key=len)
        point = ["--decimal . reads decimal points"] if self.decimal == "," else []
        return f"text, though all are numbers such as {shown(longest)}", [*point, self.keep]

    def all_written(self) -> tuple[str, list[str]]:
        wrote, words = self.total - self.plain, ", ".join(map(shown, self.written.values()))
        said = f"numbers, but {wrote:,} of {self.total:,} rows are written such as {words}"
        return said, [*self.hints(), self.keep]

    def some_strays(self) -> tuple[str, list[str]]:
        where = _rows_of(self.column, self.strays)
        if self.refused:
            return f"numbers, but {where}", [_missing(self.strays), *self.hints(), self.keep]
        unknown = [word for word in self.strays if word in MISSING]
        hints = [_missing(unknown or self.strays[:1])] if self.few or unknown else []
        said = f"text, though {self.like:,} of {self.total:,} rows are numbers, because of {where}"
        return said, [*hints, self.keep]


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


def _hint(name: str, word: str, decimal: str | None = None, text: bool = True) -> str:
    """Return the option that takes a word for a number, or for a missing value, "" if none does.

    ``decimal`` is the sign that the user has named. ``text`` tells whether the column may be text.
    """
    notation = _notation(word)
    if notation == "plain":  # of another decimal sign, or an integer of 400 digits
        point = "." in word and decimal != "."
        hints = ["--decimal . reads decimal points"] if point else []
        hints += [f"{typed('--text', name)} reads it as text"] if text else []
        return ", or ".join(hints)
    if notation == "comma":
        return "" if decimal == "," else "--decimal , reads decimal commas"
    if not notation:
        meant = re.search(r"\d", word) and text  # 10 USD
        return f"{typed('--text', name)} reads it as text" if meant else _missing([word])
    also = "--decimal , " if notation == "written comma" and decimal != "," else ""
    return f"{also}{typed('--number', name)} reads signs and separators of thousands"


def _missing(words: Sequence[str]) -> str:
    if len(words) > STRAYS_MOST:
        return "--missing WORD reads a word as missing"
    return f"{' '.join(typed('--missing', word) for word in words)} reads it as missing"


def _rows_of(column: Any, words: Sequence[str]) -> str:
    """Return words with their rows, for a message."""
    texts = column.astype(object).map(str, na_action="ignore")
    most = STRAYS_MOST if len(words) <= STRAYS_MOST else 2
    parts = [f"{shown(word)} {where(np.flatnonzero(texts == word))}" for word in words[:most]]
    more = words[most:]
    if more:
        parts.append(f"{len(more):,} more words in {int(texts.isin(more).sum()):,} rows")
    return ", ".join(parts)
