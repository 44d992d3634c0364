"""What a user can put right, and the exit codes of the command."""

from __future__ import annotations

__all__ = ["DONE", "FAILED", "INTERRUPTED", "MISTAKE", "Mistake", "listed"]

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


class Mistake(ValueError):
    """Something that the user can put right; the message is one line.

    Examples
    --------
    >>> from fastshallow.mistakes import Mistake
    >>> str(Mistake("no column 'age'"))
    "no column 'age'"
    """


def listed(names: list[str], most: int = 10) -> str:
    """Return names in quotes, the first ones of many.

    Parameters
    ----------
    names : list of str
        One or more.
    most : int
        So many are named.

    Examples
    --------
    >>> from fastshallow.mistakes import listed
    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    text = ", ".join(map(repr, names[:most]))
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
