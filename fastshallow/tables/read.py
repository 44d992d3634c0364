"""Reading tables, CSV or Parquet, from a file or standard input; writing CSV.

`csv_text` parses a CSV. `words` says what is doubtful about words. pandas is imported in a call.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

from ..jit.interrupts import ctrl_c_noted
from .csv_text import CSVText
from .mistakes import Mistake, listed, plain, together
from .parquet import parquet_frame
from .read_table import ReadTable
from .reading import AS_FOUND, Reading, named
from .second_look import (
    Kinds,
    look_again,
    of_kind,
    take_decimal_commas,
    take_missing_beside_large,
    take_numbers,
    take_numbers_beside_na,
)
from .values import read_values

__all__ = ["read_noted", "read_table", "source_name", "table_csv"]

Kept: TypeAlias = Callable[[list[str]], list[str]]

PARQUET = b"PAR1"
#: Options that mean nothing for Parquet.
OF_TEXT = ("sep", "encoding", "names", "no_header")
ZIP = b"PK\x03\x04"
PACKED = (".gz", ".bz2", ".xz")
#: How packed files begin, whatever they are called.
OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}


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
        with _opened(path) as opened, _unpacked(path, opened) as file:
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
    frame = _pandas().DataFrame(columns)
    text: str = frame.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # which Python quotes only if all text is quoted
        text = frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
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
    file = open(path, "rb")  # noqa: SIM115
    if file.seekable():
        return file
    with file:  # a pipe, such as <(...)
        return io.BytesIO(file.read())


def _unpacked(path: str, file: Any) -> Any:
    """Return a file, or what is packed in it."""
    first = file.read(6)
    file.seek(0)
    if first.startswith(ZIP):
        raise Mistake("expected CSV or Parquet; got a ZIP archive, as .xlsx is one; unpack it")
    opener = next((OPENERS[mark] for mark in OPENERS if first.startswith(mark)), None)
    if opener is None and path.lower().endswith(PACKED):
        raise Mistake("cannot be decompressed (it is not packed, or damaged)")
    return file if opener is None else opener(file)


def _parquet(pandas: Any, file: Any, reading: Reading, kinds: Kinds, kept: Kept) -> ReadTable:
    given = [name for name in OF_TEXT if getattr(reading, name) != getattr(AS_FOUND, name)]
    if given:
        option = f"--{given[0].replace('_', '-')}"
        raise Mistake(f"{option}: expected a CSV; a Parquet file has names and types of its own")
    table, problems = parquet_frame(pandas, file)
    found = _asked(table, list(table.columns), reading)
    found.typed, found.problems = True, problems
    found.kept = {name: table[name] for name in kept(list(table.columns))}
    together([problems[name] for name in found.kept if name in problems])
    as_text = found.as_text.union(of_kind(kinds, "text")).intersection(table.columns)
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
    take_numbers(found, kinds or {}, reading.decimal or ".")
    return found


def _csv(pandas: Any, file: Any, reading: Reading, kinds: Kinds, kept: Kept) -> ReadTable:
    text = CSVText(pandas, file, reading)
    found = _asked(None, text.names, reading)
    as_text = found.as_text.union(of_kind(kinds, "text"))
    found.frame = frame = text.parsed(dtype=dict.fromkeys(as_text, str))
    take_missing_beside_large(found, text, as_text)
    if len(frame.columns) > 1 and frame.iloc[:, -1].isna().any():
        text.check_lengths()
    decimals = reading.decimal or ("." if text.separator != ";" else ".,")
    if reading.keep_na:
        take_numbers_beside_na(found, text, as_text)
    if "," in decimals:
        take_decimal_commas(found, text, as_text, sure=decimals == ",")
    take_numbers(found, kinds or {}, decimals)
    look_again(found, text, kinds, reading.missing)
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
