"""Reading tables, CSV or Parquet, from a file or standard input; writing CSV.

Only this module imports pandas, lazily.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..jit.interrupts import ctrl_c_noted
from .mistakes import Mistake, listed

__all__ = ["read_table", "table_csv"]

PARQUET = b"PAR1"
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
SEPARATORS = ",;\t|"

# Bytes of a CSV's header that are read.
HEADER_MOST = 1 << 24


def read_table(path: str, text: Sequence[str] = (), typed: Sequence[str] | None = None) -> Any:
    """Return the table in a file.

    Parameters
    ----------
    path : str
        A CSV file, separated by comma, ``;``, tab or ``|``, also compressed (.gz, .bz2, .xz); or a
        Parquet file. "-" is standard input.
    text : sequence of str
        Columns of a CSV that are read as text even if they look like numbers.
    typed : sequence of str or None
        Columns of a CSV that may be numbers: all others are read as text. None lets all be.

    Returns
    -------
    pandas.DataFrame
        The table; column names are text.

    Raises
    ------
    Mistake
        pandas is missing, the file does not exist or is no table, there are no rows, rows differ in
        length, or a column name repeats.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from fastshallow.tables.read import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text("name,age\\nAda,36\\nAlan,41\\n")
    ...     table = read_table(str(path))
    >>> table["age"].tolist()
    [36, 41]
    """
    pandas = _pandas()
    name = "standard input" if path == "-" else path
    try:
        with _opened(path) as file:
            parquet = file.read(4) == PARQUET
            file.seek(0)
            with ctrl_c_noted() as ctrl_c:  # pandas reports Ctrl-C as a file error
                table = _parquet(pandas, file) if parquet else _csv(pandas, file, text, typed)
            if ctrl_c:
                raise KeyboardInterrupt
    except Mistake as error:
        raise Mistake(f"{name}: {error}") from error
    except UnicodeDecodeError as error:
        raise Mistake(
            f"{name}: expected text in UTF-8; got byte {error.object[error.start]:#x}"
        ) from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise Mistake(f"{name}: cannot be decompressed ({error})") from error
    except OSError as error:
        raise Mistake(f"{name}: cannot be read ({error.strerror or error})") from error
    if not len(table):
        raise Mistake(f"{name}: expected rows; got an empty table")
    return table


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
        return io.BytesIO(sys.stdin.buffer.read())
    opener = next((OPENERS[end] for end in OPENERS if path.endswith(end)), open)
    file = opener(path, "rb")
    if file.seekable():
        return file
    with file:  # a pipe, such as <(...)
        return io.BytesIO(file.read())


def _parquet(pandas: Any, file: Any) -> Any:
    try:
        table = pandas.read_parquet(file)
    except ImportError as error:
        raise Mistake("Parquet needs pyarrow: python -m pip install pyarrow") from error
    except (ValueError, TypeError, NotImplementedError) as error:  # pyarrow raises ValueErrors
        raise Mistake(f"not a whole Parquet file ({_first_line(error)})") from error
    table.columns = [str(name) for name in table.columns]
    _check_names(list(table.columns))
    return table


def _csv(pandas: Any, file: Any, text: Sequence[str], typed: Sequence[str] | None) -> Any:
    # "replace", as the bound may cut a character; pandas refuses wrong bytes
    first = file.readline(HEADER_MOST).decode("utf-8-sig", "replace")
    while first and not first.strip():
        first = file.readline(HEADER_MOST).decode("utf-8-sig", "replace")
    if not first:
        raise Mistake("expected a header and rows; got an empty table")
    separator = max(SEPARATORS, key=first.count)  # of equally frequent ones the first
    file.seek(0)
    if typed is not None:
        text = [name for name in next(_rows(file, separator)) if name not in typed]
        file.seek(0)
    options = {"sep": separator, "index_col": False, "encoding": "utf-8-sig", "low_memory": False}
    try:
        with warnings.catch_warnings():
            # pandas cuts rows that are all longer than the header, and only warns
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            table = pandas.read_csv(file, dtype=dict.fromkeys(text, str), **options)
    except pandas.errors.EmptyDataError as error:
        raise Mistake("expected a header and rows; got an empty table") from error
    except pandas.errors.ParserWarning as error:
        raise Mistake("ragged rows: they have more fields than the header") from error
    except pandas.errors.ParserError as error:
        raise Mistake(f"ragged rows, or not CSV: {_first_line(error)}") from error
    file.seek(0)
    _check_names(next(_rows(file, separator)))
    if len(table.columns) > 1 and table.iloc[:, -1].isna().any():
        file.seek(0)
        _check_lengths(file, separator, len(table.columns))
    return table


def _rows(file: Any, separator: str) -> Any:
    """Yield the rows of a CSV, without empty ones."""
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        yield from filter(None, csv.reader(text, delimiter=separator))
    except csv.Error as error:
        raise Mistake(f"not CSV: {error}") from error
    finally:
        text.detach()  # or it would close the file


def _check_names(names: list[str]) -> None:
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise Mistake(f"expected different names of columns; got {listed(twice)} more than once")


def _check_lengths(file: Any, separator: str, length: int) -> None:
    """Raise if a row is too short: pandas would fill it with missing values."""
    for number, row in enumerate(_rows(file, separator), 1):
        if len(row) < length:
            raise Mistake(
                f"ragged rows: row {number}, with the header as row 1, has {len(row)} "
                f"{'field' if len(row) == 1 else 'fields'}, the header {length}"
            )


def _first_line(error: BaseException) -> str:
    """Return the first line of a message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
