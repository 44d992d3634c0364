"""`Mistake`, the error that a user can fix; text for its message; exit codes of the command."""

from __future__ import annotations

__all__ = ["DONE", "FAILED", "INTERRUPTED", "MISTAKE", "Mistake", "listed", "plain"]

# Characters of a name in a message.
NAME_MOST = 60

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
