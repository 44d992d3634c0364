"""How a file is read: the options that the commands and `Pipeline.read` share.

--help reads them, so nothing large is imported here.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .mistakes import Mistake, did_you_mean, listed, plain

__all__ = ["AS_FOUND", "OF_MODELS", "Reading", "named", "typed"]

#: What belongs to a file, and what a model keeps: its columns say which ones are text.
OF_FILES = ("sep", "decimal", "encoding", "no_header", "names")
OF_MODELS = ("missing", "keep_na", "number")

TABS = ("tab", "\\t")

# Characters of a value that a message shows as it is typed.
TYPED_MOST = 60


@dataclass(frozen=True)
class Reading:
    r"""How a CSV file is read. The defaults are found out from the file.

    Parameters
    ----------
    sep : str or None
        Separator of fields, one character, or "tab". None finds ``,``, ``;``, tab or ``|``.
    decimal : {".", ",", None}
        Decimal sign. None is ".", and "," for columns of a file separated by ``;`` that have it.
    missing : tuple of str
        Words that are missing values, beside those of pandas.
    keep_na : bool
        Words that pandas takes for missing (None, NA, null) are values. Empty fields are missing.
    text, number : tuple of str
        Columns that are read as text and as numbers; several may stand in one, with commas between.
    encoding : str
        Encoding of the text, such as "utf-8" or "latin-1".
    no_header : bool
        The first row is data. The columns are called by ``names``, or "1", "2", ...
    names : tuple of str
        Names of the columns of a file without a header.

    Raises
    ------
    Mistake
        A value is not legal.

    Examples
    --------
    >>> from fastshallow.tables.reading import Reading
    >>> reading = Reading(sep="tab", missing=("?",), names=("age", "income"))
    >>> reading.sep, reading.no_header
    ('\t', True)
    >>> reading.flags()
    ' --sep tab --names age,income'
    >>> reading.arguments()
    ", sep='tab', names=['age', 'income']"
    """

    sep: str | None = None
    decimal: str | None = None
    missing: tuple[str, ...] = ()
    keep_na: bool = False
    text: tuple[str, ...] = ()
    number: tuple[str, ...] = ()
    encoding: str = "utf-8"
    no_header: bool = False
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in ("missing", "text", "number", "names"):
            given = getattr(self, field)
            words = given if isinstance(given, (list, tuple)) else (given,)
            if not all(isinstance(word, str) for word in words):
                raise Mistake(f"--{field}: expected texts; got {plain(words)}")
            words = tuple(words)
            object.__setattr__(self, field, words)
        for name in self.names:
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise Mistake(f"--names: expected text of UTF-8; got {plain(name)!r}") from error
        if self.names:
            object.__setattr__(self, "no_header", True)
        if self.sep in TABS:
            object.__setattr__(self, "sep", "\t")
        sep = "," if self.sep is None else self.sep
        # pandas takes separators of one byte
        if not (isinstance(sep, str) and len(sep) == 1 and sep.isascii() and sep not in '"\r\n\0'):
            raise Mistake(f"--sep: expected one ASCII character, or tab; got {plain(sep)!r}")
        if self.decimal not in (None, ".", ","):
            raise Mistake(f"--decimal: expected . or , ; got {plain(self.decimal)!r}")
        try:
            "a".encode(self.encoding)
        except (LookupError, ValueError, TypeError) as error:
            raise Mistake(
                "--encoding: expected one that Python knows, such as utf-8, latin-1, cp1252 or "
                f"utf-16; got {plain(self.encoding)!r}"
            ) from error

    def _of_file(self) -> dict[str, Any]:
        """Return the options of the file that are not the default."""
        found = {name: getattr(self, name) for name in OF_FILES}
        if self.names:
            del found["no_header"]  # implied
        if self.sep == "\t":
            found["sep"] = "tab"
        return {name: value for name, value in found.items() if value != getattr(AS_FOUND, name)}

    def of_model(self, names: Sequence[str]) -> Reading:
        """Return what a model with these columns keeps."""
        number = tuple(name for name in parted(self.number, names) if name in names)
        return Reading(missing=self.missing, keep_na=self.keep_na, number=number)

    def joined(self, kept: Reading) -> Reading:
        """Return these options, and those that a model keeps."""
        return replace(
            self,
            missing=tuple(dict.fromkeys([*kept.missing, *self.missing])),
            keep_na=kept.keep_na or self.keep_na,
        )

    def of_models(self) -> dict[str, Any]:
        """Return the options that a model keeps."""
        return {name: getattr(self, name) for name in OF_MODELS}

    def describe(self) -> dict[str, Any]:
        """Return what a model keeps, in types of JSON; nothing of the defaults."""
        kept = self.of_models()
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in kept.items()
            if value
        }

    @classmethod
    def described(cls, kept: Any) -> Reading:
        """Return the reading of a result of `describe`."""
        if not isinstance(kept, dict) or not set(kept) <= set(OF_MODELS):
            raise ValueError(f"reading: expected some of {', '.join(OF_MODELS)}")
        for name, value in kept.items():
            legal = value is True if name == "keep_na" else _are_texts(value)
            if not legal:
                raise ValueError(
                    f"reading: {name}: expected {'true' if name == 'keep_na' else 'texts'}"
                )
        return cls(**kept)

    def flags(self) -> str:
        """Return the options of the file as a command line has them, each after a space."""
        text = ""
        for name, value in self._of_file().items():
            word = ",".join(value) if isinstance(value, tuple) else value
            text += f" --{name.replace('_', '-')}"
            text += "" if value is True else f" {shlex.quote(word)}"
        return text

    def arguments(self) -> str:
        """Return the options of the file as Python has them, each after a comma."""
        return "".join(
            f", {name}={list(value) if isinstance(value, tuple) else value!r}"
            for name, value in self._of_file().items()
        )


def _are_texts(value: Any) -> bool:
    texts = isinstance(value, list) and all(isinstance(word, str) for word in value)
    return bool(texts and value)


#: Nothing is said: all is found out from the file.
AS_FOUND = Reading()


def typed(option: str, value: str) -> str:
    r"""Return an option with a value as it is typed in a shell, for a message.

    Examples
    --------
    >>> from fastshallow.tables.reading import typed
    >>> print(typed("--missing", "n/k"), typed("--missing", "--"), typed("--missing", "a\n"))
    --missing 'n/k' --missing='--' --missing WORD
    """
    if not value.isprintable() or len(value) > TYPED_MOST:
        return f"{option} WORD"
    quoted = value.replace("'", "'\\''")
    return f"{option}{'=' if value.startswith('-') else ' '}'{quoted}'"


def split(text: str) -> list[str]:
    """Return the names between commas."""
    return [name for part in text.split(",") if (name := part.strip())]


def parted(given: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return names that stand alone or with commas between; a name may have a comma itself.

    Examples
    --------
    >>> from fastshallow.tables.reading import parted
    >>> parted(["a,b", "c, EUR"], ["a", "b", "c, EUR"])
    ['a', 'b', 'c, EUR']
    """
    found: list[str] = []
    for text in given:
        found += split(text) if text not in names and split(text) else [text]
    return list(dict.fromkeys(found))


def named(
    option: str, given: Sequence[str], names: Sequence[str], source: str, commas: bool = True
) -> list[str]:
    """Return the columns that an option names: each alone, or some with commas between.

    Parameters
    ----------
    option : str
        Name of the option, for the message.
    given : sequence of str
        What the option says. A name that has a comma itself is found, too.
    names : sequence of str
        Columns of the table.
    source : str
        Name of the table, for the message.
    commas : bool
        Whether several names may stand in one text.

    Raises
    ------
    Mistake
        There is no such column; the message says which one is like it.

    Examples
    --------
    >>> from fastshallow.tables.reading import named
    >>> named("--drop", ["a,b", "c, EUR"], ["a", "b", "c, EUR", "y"], "t.csv")
    ['a', 'b', 'c, EUR']
    """
    found = parted(given, names) if commas else list(dict.fromkeys(given))
    absent = [name for name in found if name not in names]
    if absent:
        raise Mistake(
            f"{option}: expected a column of {source}, which has {listed(list(names))}; got "
            f"{listed(absent)}{did_you_mean(absent, names)}"
        )
    return found
