"""The text of a CSV: its encoding, separator and header, and the words of its columns.

Values are parsed by pandas. What pandas does not tell is looked up in the text: the words behind
missing values, zeros before a number, rows that are too short.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .mistakes import Mistake, listed
from .reading import Reading

__all__ = ["CSVText", "separator_of"]

# In order of preference, where several fit as well.
SEPARATORS = "\t;|,"

# A field in quotes. It begins a line or stands behind a separator.
QUOTED = re.compile(r'(^|[,;\t|\r\n]) *"(?:[^"]|"")*"')

#: Marks at the beginning of a file, the longer ones first.
MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}

EMPTY = "expected a header and rows; got an empty table"

# Characters and lines that the separator is found in; rows that are looked at again at a time.
SAMPLE = 1 << 18
SNIFFED = 200
ROWS = 50_000


def separator_of(text: str) -> str:
    """Return the separator of a CSV that begins with a text.

    Parameters
    ----------
    text : str
        The header and some rows. What stands in quotes is not looked at.

    Examples
    --------
    >>> from fastshallow.tables.csv_text import separator_of
    >>> separator_of('"income, EUR";"age, years";y' + "\\n1,5;2,5;no")
    ';'
    """
    lines = [line for line in QUOTED.sub(r"\1", text).splitlines() if line.strip()]
    header = lines[0] if lines else ""
    found = [mark for mark in SEPARATORS if mark in header]
    if len(found) > 1:
        sniffer = csv.Sniffer()
        sniffer.preferred = list(SEPARATORS)
        try:
            few = "\n".join(lines[:SNIFFED]).replace("'", "")  # which it takes for a quote
            return sniffer.sniff(few, "".join(found)).delimiter
        except csv.Error:
            pass
    return max(found, key=header.count, default=",")


class CSVText:
    """An opened CSV, and the options by which pandas reads it.

    Parameters
    ----------
    pandas : module
        pandas.
    file : file
        Binary and seekable.
    reading : Reading
        The options of the user.

    Attributes
    ----------
    separator : str
        Separator of fields.
    names : list of str
        Names of the columns.

    Raises
    ------
    Mistake
        The file is empty, or a column name repeats.
    """

    def __init__(self, pandas: Any, file: Any, reading: Reading):
        self.pandas, self.file = pandas, file
        self.encoding = self._encoding(reading.encoding)
        self.separator = reading.sep or separator_of(self._sample())
        self.has_header = not reading.no_header
        self.options: dict[str, Any] = {
            "sep": self.separator,
            "index_col": False,
            "encoding": self.encoding,
            "low_memory": False,
            "skipinitialspace": True,
            "decimal": reading.decimal or ".",
            "keep_default_na": not reading.keep_na,
            "na_values": [*reading.missing, *([""] if reading.keep_na else [])],
        }
        rows = self.rows()
        first, second = next(rows, []), next(rows, [])
        rows.close()
        names = list(reading.names) if reading.no_header else first
        if reading.names and len(names) != len(first):
            raise Mistake(
                f"--names: expected {len(first)} names, one for each field of the first row, which "
                f"{self.separator!r} separates; got {len(names)}; "
                + (
                    "the second row has them: is the first line no row?"
                    if len(second) == len(names)
                    else "--sep names another separator"
                )
            )
        twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
        if twice:
            raise Mistake(
                f"expected different names of columns; got {listed(twice)} more than once"
            )
        if reading.no_header:
            names = names or [str(i) for i in range(1, len(first) + 1)]
            self.options |= {"header": None, "names": names}
        self.names = [str(name) for name in self.parsed(nrows=0).columns]
        if len(self.names) == 1:
            self._keep_empty_rows()

    def _keep_empty_rows(self) -> None:
        """Read empty lines of one column as missing values; those at the ends are no rows."""
        with self._text() as text:
            lines = [bool(line.strip()) for line in text]
        there = [i for i, full in enumerate(lines) if full]
        if there and len(there) < there[-1] - there[0] + 1 and self._records() == len(lines):
            rows = there[-1] - there[0] + 1 - self.has_header
            self.options |= {"skip_blank_lines": False, "skiprows": there[0], "nrows": rows}

    def _records(self) -> int:
        """Return the number of rows, empty ones too: fewer than lines if a field has several."""
        with self._text() as text:
            return sum(1 for _ in csv.reader(text, delimiter=self.separator))

    def _encoding(self, wanted: str) -> str:
        self.file.seek(0)
        first = self.file.read(4)
        marked = next((MARKS[mark] for mark in MARKS if first.startswith(mark)), None)
        if marked is None and wanted.lower().startswith("utf") and first[1:2] == b"\0":
            marked = "utf-16-le" if wanted == Reading.encoding else wanted
        return marked or wanted

    def _sample(self) -> str:
        # "replace", as the bound may cut a character; pandas refuses wrong bytes
        with self._text("replace") as text:
            sample = text.read(SAMPLE)
            while sample and not sample.strip():
                sample = text.read(SAMPLE)
        if not sample:
            raise Mistake(EMPTY)
        return sample

    @contextmanager
    def _text(self, errors: str = "strict") -> Iterator[io.TextIOWrapper]:
        """Yield the file as text, and leave it open."""
        self.file.seek(0)
        text = io.TextIOWrapper(self.file, self.encoding, errors, newline="")
        try:
            yield text
        finally:
            text.detach()  # or it would close the file

    def rows(self) -> Generator[list[str]]:
        """Yield the rows, without empty ones."""
        with self._text() as text:
            try:
                reader = csv.reader(text, delimiter=self.separator, skipinitialspace=True)
                yield from filter(None, reader)
            except csv.Error as error:
                raise Mistake(f"not CSV: {error}") from error

    def parsed(self, **options: Any) -> Any:
        """Return what pandas reads."""
        self.file.seek(0)
        try:
            with warnings.catch_warnings():
                # pandas cuts rows that are all longer than the header, and only warns
                warnings.simplefilter("error", self.pandas.errors.ParserWarning)
                return self.pandas.read_csv(self.file, **self.options | options)
        except self.pandas.errors.EmptyDataError as error:
            raise Mistake(EMPTY) from error
        except self.pandas.errors.ParserWarning as error:
            raise Mistake("ragged rows: they have more fields than the header") from error
        except self.pandas.errors.ParserError as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Mistake(f"ragged rows, or not CSV: {first}") from error

    def check_lengths(self) -> None:
        """Raise if a row is too short: pandas would fill it with missing values."""
        length = len(self.names)
        said = ", with the header as row 1," if self.has_header else ""
        wanted = f"the header {length}" if self.has_header else f"expected {length}"
        for number, row in enumerate(self.rows(), 1):
            if len(row) < length:
                fields = "field" if len(row) == 1 else "fields"
                raise Mistake(f"ragged rows: row {number}{said} has {len(row)} {fields}, {wanted}")

    def words(self, masks: Mapping[str, np.ndarray]) -> dict[str, Counter[str]]:
        """Return how often each word stands in chosen rows (m,) of some columns."""
        found: dict[str, Counter[str]] = {name: Counter() for name in masks}
        for start, chunk in self._chunks(list(masks)):
            for name, mask in masks.items():
                chosen = mask[start : start + len(chunk)]
                if chosen.any():
                    found[name].update(chunk[name][chosen].tolist())
        return found

    def led_by_zero(self, names: Sequence[str]) -> dict[str, Counter[str]]:
        """Return the words such as 007 in columns of numbers, and how often each is there."""
        found: dict[str, Counter[str]] = {name: Counter() for name in names}
        if not names or not self._has_a_zero():
            return {}
        for _, chunk in self._chunks(names):
            for name in names:
                words = chunk[name]
                found[name].update(words[words.str.fullmatch(r"\s*[+-]?0\d+\s*")].tolist())
        return {name: counts for name, counts in found.items() if counts}

    def written(self, names: Sequence[str]) -> dict[str, Any]:
        """Return columns as the text that is written in the file."""
        chunks = [chunk for _, chunk in self._chunks(names)] if names else []
        return {name: self.pandas.concat([chunk[name] for chunk in chunks]) for name in names}

    def _chunks(self, names: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """Yield the first row and the text of some columns, for so many rows at a time."""
        options = {"keep_default_na": False, "na_values": [], "dtype": str, "chunksize": ROWS}
        start = 0
        for chunk in self.parsed(usecols=list(names), **options):
            yield start, chunk
            start += len(chunk)

    def _has_a_zero(self) -> bool:
        """Return whether a field may begin with 0 and a digit; this is much faster than parsing."""
        encoding = self.encoding.removesuffix("-sig")
        if "0".encode(encoding) != b"0":  # UTF-16
            return True
        mark = re.escape(self.separator.encode(encoding))
        pattern, tail = re.compile(rb'["\s' + mark + rb"][+-]?0[0-9]"), b"\n"
        self.file.seek(0)
        while chunk := self.file.read(1 << 20):
            if pattern.search(tail + chunk):
                return True
            tail = chunk[-3:]
        return False
