"""A Parquet file as a data frame of pandas."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..network.checks import shown
from .mistakes import Mistake, listed, plain

__all__ = ["parquet_frame"]

# pyarrow raises ValueErrors. A damaged description of pandas in the file raises LookupErrors.
ERRORS = (ValueError, TypeError, NotImplementedError, LookupError, ArithmeticError, OSError)

#: Types with missing values: else integers beside them become float64, and some are merged.
HOW: dict[str, Any] = {"dtype_backend": "numpy_nullable", "page_checksum_verification": True}


def parquet_frame(pandas: Any, file: Any) -> tuple[Any, dict[str, str]]:
    """Return the table in a file, and what is wrong with columns that cannot be read.

    Parameters
    ----------
    pandas : module
        pandas.
    file : file
        Binary and seekable.

    Returns
    -------
    pandas.DataFrame
        Names are text. An index with a name is a column. Columns that cannot be read are missing
        values alone.
    dict of str to str
        Problems by column.

    Raises
    ------
    Mistake
        pyarrow is missing, this is no whole Parquet file, or a name repeats.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise Mistake("Parquet needs pyarrow: python -m pip install pyarrow") from error
    try:
        names = parquet.read_schema(file).names
    except ERRORS as error:
        raise Mistake(f"not a whole Parquet file ({_first_line(error)})") from error
    twice = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if twice:
        raise Mistake(f"expected different names of columns; got {listed(twice)} more than once")
    file.seek(0)
    problems: dict[str, str] = {}
    try:
        frame = pandas.read_parquet(file, **HOW)
    except ERRORS:
        frame, problems = _by_column(pandas, parquet, file, names)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    frame.columns = [str(name) for name in frame.columns]
    for name in frame.columns:
        if isinstance(frame[name].dtype, pandas.CategoricalDtype):  # they are looked at as text
            frame[name] = frame[name].astype(object)
    return frame, problems


def _by_column(
    pandas: Any, parquet: Any, file: Any, names: list[str]
) -> tuple[Any, dict[str, str]]:
    """Return the columns that can be read each alone, and what is wrong with the others."""
    found: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name in names:
        file.seek(0)
        try:
            table = parquet.read_table(file, columns=[name], page_checksum_verification=True)
            found[name] = pandas.Series(table.column(0).to_pylist(), dtype=object)
        except ERRORS as error:
            problems[name] = f"column {shown(name)}: cannot be read ({_first_line(error)})"
    if not found:
        raise Mistake("; ".join(problems.values()) or "expected columns; got none")
    rows = range(len(next(iter(found.values()))))
    nothing = pandas.Series(None, rows, object)
    return pandas.DataFrame({name: found.get(name, nothing) for name in names}), problems


def _first_line(error: Exception) -> str:
    return plain((str(error).strip().splitlines() or [type(error).__name__])[0], 200)
