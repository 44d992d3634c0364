"""A second look at a CSV that pandas has read: what it took for text, and what it does not tell.

Columns are read again if they have decimal commas, NA beside numbers, or numbers as people write
them. The words behind missing values, zeros before numbers, and spellings of booleans are looked
up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ..network.checks import shown
from .csv_text import CSVText
from .mistakes import Mistake, listed
from .read_table import ReadTable
from .reading import typed
from .values import WHAT, read_values
from .words import has_a_decimal_comma, has_decimal_commas, is_text, looks_grouped, to_numbers

__all__ = [
    "Kinds",
    "look_again",
    "of_kind",
    "take_decimal_commas",
    "take_missing_beside_large",
    "take_numbers",
    "take_numbers_beside_na",
]

# Words of a column that are searched for a decimal comma.
WORDS_MOST = 1000

#: What a model takes columns for.
Kinds: TypeAlias = Mapping[str, str] | None


def of_kind(kinds: Kinds, kind: str) -> set[str]:
    """Return the columns that a model takes for a kind."""
    return {name for name, found in (kinds or {}).items() if found == kind}


def _texts(frame: Any, as_text: set[str]) -> list[str]:
    """Return the columns that are text though nobody has said so."""
    return [name for name in frame if name not in as_text and is_text(frame[name])]


def take_missing_beside_large(found: ReadTable, text: CSVText, as_text: set[str]) -> None:
    """Read text with integers beyond 64 bits again: pandas takes no value of it for missing."""
    names = [
        name
        for name in _texts(found.frame, as_text)
        if found.frame[name].str.fullmatch(r"\s*[+-]?[0-9]{19,}\s*").any()
    ]
    again = text.parsed(usecols=names, dtype=str) if names else {}
    for name in names:
        found.frame[name] = again[name]


def take_numbers_beside_na(found: ReadTable, text: CSVText, as_text: set[str]) -> None:
    """Read NA as missing in columns that are numbers else, where NA is kept in text."""
    names = _texts(found.frame, as_text)
    again = text.parsed(usecols=names, keep_default_na=True) if names else {}
    for name in names:
        if again[name].dtype.kind in "iuf" and again[name].notna().any():
            found.frame[name] = again[name]


def take_decimal_commas(found: ReadTable, text: CSVText, as_text: set[str], sure: bool) -> None:
    """Read columns that have decimal commas, and nothing else, as numbers.

    ``sure`` tells that the user has named the comma. If not, numbers with points alone have decimal
    points, and what may be meant otherwise is told.
    """
    frame = found.frame
    grouped = {} if sure else _grouped_by_points(frame, text)
    words = {name: frame[name].dropna().unique().tolist() for name in _texts(frame, as_text)}
    beside = any(has_a_decimal_comma(some[:WORDS_MOST]) for some in words.values())
    words = {name: some for name, some in words.items() if has_decimal_commas(some)}
    if not sure:
        words = {name: some for name, some in words.items() if any("," in word for word in some)}
    again = text.parsed(usecols=list(words), decimal=",", thousands=".") if words else {}
    for name in words:
        frame[name] = again[name]
    if not sure:
        _note_commas(found, words)
        _note_points(found, grouped, beside_commas=beside)


def _note_commas(found: ReadTable, words: Mapping[str, list[str]]) -> None:
    """Note numbers such as 1,234, whose commas may group thousands."""
    for name, some in words.items() if all(looks_grouped(w, ",") for w in words.values()) else ():
        word = next(word for word in some if "," in word)
        option = f"--decimal . {typed('--number', name)}"
        found.note(name, f"{shown(word)} is read with a decimal comma; {option} reads thousands")


def _grouped_by_points(frame: Any, text: CSVText) -> dict[str, str]:
    """Return a word of each column of numbers such as 1.234, whose points may group thousands.

    They do not where another number, such as 0.5, has a decimal point.
    """
    names = []
    for name in frame:
        if frame[name].dtype.kind == "f":
            thousand = frame[name].dropna().to_numpy(float) * 1000
            if not np.allclose(thousand, thousand.round()):
                return {}
            names.append(name)
    found = {}
    for name, column in text.written(names).items():
        words = [word for word in column.str.strip().unique() if "." in word]
        if words and not looks_grouped(words, "."):
            return {}
        if words:
            found[name] = words[0]
    return found


def _note_points(found: ReadTable, grouped: Mapping[str, str], beside_commas: bool) -> None:
    """Note such columns; they are a problem if other columns have decimal commas."""
    for name, word in grouped.items():
        if beside_commas:
            found.problems[name] = (
                f"column {shown(name)}: {shown(word)} stands beside decimal commas in other "
                "columns; --decimal , reads thousands, --decimal . decimal points"
            )
        else:
            said = f"{shown(word)} is read with a decimal point; --decimal , reads thousands"
            found.note(name, said)


def take_numbers(found: ReadTable, kinds: Mapping[str, str], decimals: str) -> None:
    """Read columns that shall be numbers as numbers; note problems."""
    legal = ("number", "written")
    of_model = [name for name, kind in kinds.items() if kind in legal and name in found.frame]
    for name in dict.fromkeys([*found.number, *of_model]):
        column, asked = found.frame[name], name in found.number
        if column.dtype.kind in "iuf":
            continue
        if not is_text(column):
            if asked:
                _check_numbers(found, name)
            continue
        written = asked or kinds[name] == "written"
        numbers, problem = to_numbers(name, column, decimals, written, name in of_model)
        if problem:
            found.problems[name] = problem
        else:
            found.frame[name] = numbers


def _note_spellings(found: ReadTable, text: CSVText) -> None:
    """Note booleans that are written in several ways."""
    names = [name for name in found.frame if found.frame[name].dtype.kind == "b"]
    for name, column in text.written(names).items():
        words = sorted(set(column.str.strip()))
        if len(words) > len({word.lower() for word in words}):
            found.note(
                name,
                f"{listed(words)} are read as booleans; {typed('--text', name)} tells them apart",
            )


def _check_numbers(found: ReadTable, name: str) -> None:
    """Note a problem unless a column that is no text is numbers."""
    try:
        kind = read_values(name, found.frame[name]).kind
    except Mistake as error:
        found.problems[name] = str(error)
        return
    if kind not in ("number", ""):
        found.problems[name] = (
            f"column {shown(name)}: expected numbers, as --number says; got {WHAT[kind]}"
        )


def look_again(found: ReadTable, text: CSVText, kinds: Kinds, given: Sequence[str]) -> None:
    """Look up the words behind missing values, and zeros that numbers lose."""
    frame = found.frame
    names = list(frame) if kinds is None else [name for name in kinds if name in frame]
    masks = {name: np.asarray(frame[name].isna(), bool) for name in names}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    unused = set(given)
    if masks:
        found.missing = text.words(masks)
        for words in found.missing.values():
            unused -= set(words)
            for word in given:  # the user knows
                words.pop(word, None)
    found.unused = [word for word in given if word in unused] if kinds is None else []
    if kinds is None:
        _note_spellings(found, text)
        numbers = [n for n in names if frame[n].dtype.kind in "iuf" and n not in found.number]
        for name, found_words in text.led_by_zero(numbers).items():
            word, rows = next(iter(found_words)), sum(found_words.values())
            said = f"{rows:,} row{'s' * (rows > 1)}"
            found.note(
                name,
                f"{said} with zeros, such as {shown(word)}, read as numbers; "
                f"{typed('--text', name)} keeps the zeros",
            )
