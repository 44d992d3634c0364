"""Reading tables, CSV or Parquet, from a file or standard input; writing CSV.

`csv_text` parses a CSV. `words` says what is doubtful about words. pandas is imported in a call.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from ..jit.interrupts import ctrl_c_noted
from ..network.checks import shown
from .csv_text import CSVText
from .mistakes import Mistake, listed, plain, together
from .parquet import parquet_frame
from .reading import AS_FOUND, OF_FILES, Reading, named, typed
from .values import WHAT, read_values
from .words import doubt, has_decimal_commas, is_text, looks_grouped, to_numbers

__all__ = ["ReadTable", "read_noted", "read_table", "source_name", "table_csv"]

Kinds: TypeAlias = Mapping[str, str] | None
Kept: TypeAlias = Callable[[list[str]], list[str]]

PARQUET = b"PAR1"
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


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
        if name not in self.as_text:
            text, refused = doubt(name, column, self.typed, self.decimal)
            if refused:
                self.problems[name] = text
            elif text:
                self.notes.setdefault(name, []).append(text)


def source_name(path: str) -> str:
    """Return what messages call a table."""
    return "standard input" if path == "-" else plain(path, 300)


def read_table(path: str, reading: Reading = AS_FOUND) -> Any:
    """Return the table in a file.

    Parameters
    ----------
    path : str
        A CSV file, separated by comma, ``;``, tab or ``|``, also compressed (.gz, .bz2, .xz); or a
        Parquet file. "-" is standard input.
    reading : Reading
        How a CSV is read.

    Returns
    -------
    pandas.DataFrame
        The table; column names are text.

    Raises
    ------
    Mistake
        pandas is missing, the file does not exist or is no table, there are no rows, rows differ in
        length, or a column name repeats. A column of ``reading.number`` has other words.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fastshallow.tables.read import read_table
    >>> from fastshallow.tables.reading import Reading
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text("name;age;pay\\nAda;36;$1,200\\nAlan;41;$950\\n")
    ...     table = read_table(str(path), Reading(number=("pay",), decimal="."))
    >>> table["age"].tolist(), table["pay"].tolist()
    ([36, 41], [1200.0, 950.0])
    """
    found = read_noted(path, reading)
    try:
        together(list(found.problems.values()))
    except Mistake as error:
        raise Mistake(f"{source_name(path)}: {error}") from error
    return found.frame


def read_noted(
    path: str,
    reading: Reading = AS_FOUND,
    kinds: Kinds = None,
    kept: Kept = lambda names: [],
) -> ReadTable:
    """Return the table in a file, and what is to be said about it.

    Parameters
    ----------
    path : str
        See `read_table`.
    reading : Reading
        How a CSV is read.
    kinds : mapping of str to {"text", "number", "written", ...} or None
        What a model takes columns for; "written" are numbers that may have a unit and separators of
        thousands. A column that is not there is ignored.
    kept : function of names to names
        Which columns of the file are wanted as they are written, too. It may raise a `Mistake`.
    """
    pandas = _pandas()
    name = source_name(path)
    try:
        with _opened(path) as file:
            parquet = file.read(4) == PARQUET
            file.seek(0)
            with ctrl_c_noted() as ctrl_c:  # pandas reports Ctrl-C as a file error
                read = _parquet if parquet else _csv
                found = read(pandas, file, reading, kinds, kept)
            if ctrl_c:
                raise KeyboardInterrupt
    except Mistake as error:
        raise Mistake(f"{name}: {error}") from error
    except UnicodeDecodeError as error:
        wanted = "UTF-8" if reading.encoding == "utf-8" else reading.encoding
        raise Mistake(
            f"{name}: expected text in {wanted}; got byte {error.object[error.start]:#x}; "
            "--encoding names another one, such as latin-1 or cp1252"
        ) from error
    except UnicodeError as error:
        raise Mistake(f"{name}: expected text in {reading.encoding} ({error})") from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise Mistake(f"{name}: cannot be decompressed ({error})") from error
    except OSError as error:
        raise Mistake(f"{name}: cannot be read ({error.strerror or error})") from error
    if not len(found.frame):
        raise Mistake(f"{name}: expected rows; got an empty table")
    return found


def table_csv(columns: dict[str, Any]) -> str:
    """Return columns as CSV with a header; numbers have all their digits.

    Parameters
    ----------
    columns : dict of str to array_like, (m,)
        Values by column name.

    Examples
    --------
    >>> from fastshallow.tables.read import table_csv
    >>> table_csv({"prediction": ["yes", "no"], "probability": [0.75, 0.5]})
    'prediction,probability\\nyes,0.75\\nno,0.5\\n'
    """
    text: str = _pandas().DataFrame(columns).to_csv(index=False, lineterminator="\n")
    return text


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise Mistake(
            f'a table needs pandas ({error}): python -m pip install "fastshallow[cli]"'
        ) from error
    return pandas


def _opened(path: str) -> Any:
    """Open a seekable binary file."""
    if path == "-":
        if sys.stdin is None:
            raise Mistake("it is closed")
        return io.BytesIO(sys.stdin.buffer.read())
    opener = next((OPENERS[end] for end in OPENERS if path.endswith(end)), open)
    file = opener(path, "rb")
    if file.seekable():
        return file
    with file:  # a pipe, such as <(...)
        return io.BytesIO(file.read())


def _parquet(pandas: Any, file: Any, reading: Reading, kinds: Kinds, kept: Kept) -> ReadTable:
    of_text = [name for name in OF_FILES if name != "decimal"]
    given = [name for name in of_text if getattr(reading, name) != getattr(AS_FOUND, name)]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise Mistake(f"{option}: expected a CSV; a Parquet file has names and types of its own")
    table, problems = parquet_frame(pandas, file)
    found = _asked(table, list(table.columns), reading)
    found.typed, found.problems = True, problems
    found.kept = {name: table[name] for name in kept(list(table.columns))}
    as_text = found.as_text.union(_of_kind(kinds, "text")).intersection(table.columns)
    used: set[str] = set()
    for name in table.columns if reading.missing else as_text:
        try:
            values = read_values(name, table[name])
            used.update(word for word in reading.missing if values.has(word))
            values = values.without(reading.missing)
        except Mistake as error:
            if name in as_text:
                found.problems[name] = str(error)
            continue
        column = table[name]
        if name in as_text:
            column = pandas.Series(values.texts(), table.index, object)
        table[name] = column.mask(values.missing)
    found.unused = [word for word in reading.missing if word not in used] if kinds is None else []
    _take_numbers(found, kinds or {}, reading.decimal or ".")
    return found


def _csv(pandas: Any, file: Any, reading: Reading, kinds: Kinds, kept: Kept) -> ReadTable:
    text = CSVText(pandas, file, reading)
    found = _asked(None, text.names, reading)
    as_text = found.as_text.union(_of_kind(kinds, "text"))
    found.frame = frame = text.parsed(dtype=dict.fromkeys(as_text, str))
    if len(frame.columns) > 1 and frame.iloc[:, -1].isna().any():
        text.check_lengths()
    decimals = reading.decimal or ("." if text.separator != ";" else ".,")
    if reading.keep_na:
        _take_numbers_beside_na(found, text, as_text)
    if "," in decimals:
        _note_grouped_points(found, text, decimals)
        _take_decimal_commas(found, text, as_text, decimals)
    _take_numbers(found, kinds or {}, decimals)
    _look_again(found, text, kinds, reading.missing)
    found.kept = text.written(kept(text.names))
    return found


def _asked(frame: Any, names: list[str], reading: Reading) -> ReadTable:
    """Return a table whose columns to be read as text and as numbers are known."""
    found, problems = {}, []
    for option in ("text", "number"):
        try:
            found[option] = named(f"--{option}", getattr(reading, option), names, "the table")
        except Mistake as error:
            problems.append(str(error))
    together(problems)
    both = [name for name in found["text"] if name in found["number"]]
    if both:
        raise Mistake(f"expected --text or --number; got both for {listed(both)}")
    return ReadTable(
        frame, number=found["number"], as_text=set(found["text"]), decimal=reading.decimal
    )


def _of_kind(kinds: Kinds, kind: str) -> set[str]:
    return {name for name, found in (kinds or {}).items() if found == kind}


def _texts(frame: Any, as_text: set[str]) -> list[str]:
    """Return the columns that are text though nobody has said so."""
    return [name for name in frame if name not in as_text and is_text(frame[name])]


def _take_numbers_beside_na(found: ReadTable, text: CSVText, as_text: set[str]) -> None:
    """Read NA as missing in columns that are numbers else, where NA is kept in text."""
    names = _texts(found.frame, as_text)
    again = text.parsed(usecols=names, keep_default_na=True) if names else {}
    for name in names:
        if again[name].dtype.kind in "iuf" and again[name].notna().any():
            found.frame[name] = again[name]


def _note_grouped_points(found: ReadTable, text: CSVText, decimals: str) -> None:
    """Note numbers with decimal points that may as well separate thousands, such as 1.234."""
    frame, names = found.frame, []
    for name in frame if decimals == ".," else ():
        if frame[name].dtype.kind == "f":
            some = frame[name].dropna().abs()
            if (
                len(some)
                and (some >= 1).all()
                and np.isclose(some * 1000 % 1, [[0], [1]]).any(0).all()
            ):
                names.append(name)
    for name, column in text.written(names).items():
        words = column.str.strip().unique().tolist()
        if looks_grouped(words, "."):
            word = next(word for word in words if "." in word)
            found.note(
                name, f"{shown(word)} is read with a decimal point; --decimal , reads thousands"
            )


def _take_decimal_commas(found: ReadTable, text: CSVText, as_text: set[str], decimals: str) -> None:
    """Read columns that have decimal commas, and nothing else, as numbers."""
    frame = found.frame
    words = {name: frame[name].dropna().unique().tolist() for name in _texts(frame, as_text)}
    words = {name: some for name, some in words.items() if has_decimal_commas(some)}
    if decimals == ".,":  # points alone are decimal points
        words = {name: some for name, some in words.items() if any("," in word for word in some)}
    if not words:
        return
    again = text.parsed(usecols=list(words), decimal=",", thousands=".")
    for name in words:
        frame[name] = again[name]
    if decimals == ".," and all(looks_grouped(some, ",") for some in words.values()):
        for name, some in words.items():
            word = next(word for word in some if "," in word)
            found.note(
                name,
                f"{shown(word)} is read with a decimal comma; --decimal . "
                f"{typed('--number', name)} reads thousands",
            )


def _take_numbers(found: ReadTable, kinds: Mapping[str, str], decimals: str) -> None:
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


def _look_again(found: ReadTable, text: CSVText, kinds: Kinds, given: Sequence[str]) -> None:
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
        numbers = [n for n in names if frame[n].dtype.kind in "iuf" and n not in found.number]
        for name, found_words in text.led_by_zero(numbers).items():
            word, rows = next(iter(found_words)), sum(found_words.values())
            said = f"{rows:,} row{'s' * (rows > 1)}"
            found.note(
                name,
                f"{said} with zeros, such as {shown(word)}, read as numbers; "
                f"{typed('--text', name)} keeps the zeros",
            )
