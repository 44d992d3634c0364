"""`Mistake`, the error that a user can fix; text for its message; exit codes of the command."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "MISTAKE",
    "Mistake",
    "TableWarning",
    "all_of",
    "did_you_mean",
    "listed",
    "plain",
    "together",
]

# Characters of a name in a message.
NAME_MOST = 60

# Problems in a message, and names that are searched for one like a mistyped name.
PROBLEMS_MOST = 10
KNOWN_MOST = 2000

# Exit codes.
DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


class Mistake(ValueError):
    """An error that the user can fix; the message is one line.

    Examples
    --------
    >>> from fastshallow.tables.mistakes import Mistake
    >>> str(Mistake("no column 'age'"))
    "no column 'age'"
    """


class TableWarning(UserWarning):
    """Something in a table may mean something else than it is read as."""


def plain(text: object, most: int = 60) -> str:
    r"""Return text from a file for a terminal: one line, shortened, without control characters.

    Examples
    --------
    >>> from fastshallow.tables.mistakes import plain
    >>> plain("a\x1b[2J"), plain("é" * 99, most=3)
    ('a\\x1b[2J', 'ééé...')
    """
    found = str(text)
    short = found[:most]
    return (short if short.isprintable() else repr(short)[1:-1]) + "..." * (len(found) > most)


def listed(names: list[str], most: int = 10) -> str:
    """Return names in quotes, shortened for a message.

    Parameters
    ----------
    names : list of str
        One or more names.
    most : int
        Largest number of names that are listed.

    Examples
    --------
    >>> from fastshallow.tables.mistakes import listed
    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    text = ", ".join(
        f"{name[:NAME_MOST]!r}{'...' * (len(name) > NAME_MOST)}" for name in names[:most]
    )
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def did_you_mean(wanted: Sequence[str], known: Iterable[str], before: str = "") -> str:
    """Return the end of a message: the known names that are most like those wanted, if any are.

    Parameters
    ----------
    wanted : sequence of str
        Names that are not known.
    known : iterable of str
        Known names.
    before : str
        What stands before each known name in the message.

    Examples
    --------
    >>> from fastshallow.tables.mistakes import did_you_mean
    >>> did_you_mean(["Incone"], ["age", "income"]), did_you_mean(["z"], ["age"])
    ("; did you mean 'income'?", '')
    """
    by_key = {name[:NAME_MOST].strip().casefold(): name for name in list(known)[:KNOWN_MOST]}
    found = {}
    for name in wanted[:PROBLEMS_MOST]:
        key = name[:NAME_MOST].strip().casefold()
        found.update(dict.fromkeys(difflib.get_close_matches(key, by_key, 1)))
    names = [before + by_key[key] for key in found]
    return f"; did you mean {listed(names)}?" if names else ""


def all_of(items: Iterable[Any], function: Callable[[Any], Any]) -> list[Any]:
    """Return a function of each item; raise one `Mistake` of all that it raises.

    Examples
    --------
    >>> from fastshallow.tables.mistakes import all_of
    >>> all_of(["1", "2"], int)
    [1, 2]
    """
    found, problems = [], []
    for item in items:
        try:
            found.append(function(item))
        except Mistake as error:
            problems.append(str(error))
    together(problems)
    return found


def together(problems: Sequence[str], advice: str = "") -> None:
    """Raise one `Mistake` of all problems, if there are any; ``advice`` ends its message.

    Examples
    --------
    >>> from fastshallow.tables.mistakes import Mistake, together
    >>> together([])
    >>> try:
    ...     together(["no 'a'", "no 'b'"])
    ... except Mistake as error:
    ...     print(error)
    no 'a'; no 'b'
    """
    if problems:
        more = len(problems) - PROBLEMS_MOST
        text = "; ".join(problems[:PROBLEMS_MOST])
        raise Mistake(f"{text}; and {more} more problems{advice}" if more > 0 else text + advice)
