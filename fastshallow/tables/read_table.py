"""`ReadTable`: a table as it was read from a file, and what is to be said about its columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..network.checks import shown
from .mistakes import listed
from .words import doubt, is_text, trailing_spaces

__all__ = ["ReadTable"]


@dataclass
class ReadTable:
    """A table from a file, and what is to be said about its columns.

    Attributes
    ----------
    frame : pandas.DataFrame
        The table.
    problems : dict of str to str
        Why a column is not read as was asked for.
    notes : dict of str to list of str
        How a column is read, where it may mean something else.
    missing : dict of str to Counter
        The words that are read as missing values, with their numbers; "" is an empty field. Those
        that the user named are left out.
    number : list of str
        Columns that ``reading.number`` names.
    as_text : set of str
        Columns that are read as text because somebody said so.
    typed : bool
        Whether the file says what is text, as Parquet does.
    decimal : {".", ",", None}
        The decimal sign that the user has named.
    kept : dict of str to pandas.Series
        Columns as they are written in the file.
    unused : list of str
        Words of ``reading.missing`` that are nowhere in the file.
    """

    frame: Any
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, Counter[str]] = field(default_factory=dict)
    number: list[str] = field(default_factory=list)
    as_text: set[str] = field(default_factory=set)
    typed: bool = False
    decimal: str | None = None
    kept: dict[str, Any] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def note(self, name: str, text: str) -> None:
        """Add what is to be said about a column."""
        self.notes.setdefault(name, []).append(f"column {shown(name)}: {text}")

    def words_missing(self, name: str) -> str:
        """Return the words of a column that are read as missing, "" if all are empty fields."""
        found = self.missing.get(name, Counter())
        most = [f"{shown(word)} ({count})" for word, count in found.most_common(5) if word]
        return f"column {shown(name)}: {', '.join(most)}" if most else ""

    def missing_text(self, names: Sequence[str]) -> str:
        """Return the words of columns that are read as missing, for the end of a message."""
        words = [text for name in names if (text := self.words_missing(name))]
        return f"; {', '.join(words[:5])} read as missing, --keep-na keeps words" if words else ""

    def look(self, name: str) -> None:
        """Look for what is doubtful in a column of text; add a problem or a note."""
        column = self.frame[name]
        if name in self.problems or not is_text(column):
            return
        words = self.missing.get(name, Counter())
        if any(words):
            self.note(
                name, f"missing are {listed([w for w in words if w])}; --keep-na keeps such words"
            )
        said = trailing_spaces(column)
        if said:
            self.note(name, said)
        if name not in self.as_text:
            text, refused = doubt(name, column, self.typed, self.decimal)
            if refused:
                self.problems[name] = text
            elif text:
                self.notes.setdefault(name, []).append(text)
