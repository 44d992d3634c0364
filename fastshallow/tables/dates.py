"""Dates as numbers: which texts are dates, and the parts of a date that a network gets.

========  ====================================================================================
days      days since the earliest of the training rows, with their fraction
year      the year
month     1 to 12
weekday   0, a Monday, to 6
hour      0 to 23
========  ====================================================================================

A date is a datetime64[us] without a time zone. One with a zone is converted to UTC first: the same
moment gives the same numbers, however it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

__all__ = [
    "DTYPE",
    "PARTS",
    "first_of_another_zone",
    "from_text",
    "has_zone",
    "is_far",
    "iso",
    "naive",
    "part",
]

PARTS = ("days", "year", "month", "weekday", "hour")
DTYPE = "datetime64[us]"

#: ISO 8601 with dashes. fromisoformat also takes 20200131, which is more often a code.
WRITTEN = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def from_text(text: Any) -> datetime | None:
    """Return the date of an ISO text, with its zone if it has one; None for anything else.

    Examples
    --------
    >>> from fastshallow.tables.dates import from_text
    >>> from_text("2024-02-29 12:30"), from_text("2023-02-29"), from_text("20240229")
    (datetime.datetime(2024, 2, 29, 12, 30), None, None)
    """
    if not (isinstance(text, str) and WRITTEN.fullmatch(text.strip())):
        return None
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:  # 2023-02-29
        return None


def has_zone(moment: Any) -> bool:
    """Return whether a date has a time zone."""
    return getattr(moment, "tzinfo", None) is not None


def is_far(moment: Any) -> bool:
    """Return whether a date in UTC is before the year 1 or after 9999."""
    try:
        naive([moment])
    except OverflowError:
        return True
    return False


def first_of_another_zone(moments: Sequence[Any]) -> int | None:
    """Return the place of the first date that has a time zone where the first has none, or not."""
    zones = [has_zone(moment) for moment in moments]
    return None if len(set(zones)) < 2 else zones.index(not zones[0])


def naive(moments: Iterable[date]) -> np.ndarray:
    """Return dates as datetime64[us], (m,), in UTC if they have a zone.

    Raises
    ------
    OverflowError
        A date in UTC is before the year 1 or after 9999.

    Examples
    --------
    >>> from fastshallow.tables.dates import from_text, naive
    >>> naive([from_text("2024-03-01T00:30+01:00")]).tolist()
    [datetime.datetime(2024, 2, 29, 23, 30)]
    """
    found = [
        moment.astimezone(UTC).replace(tzinfo=None)
        if isinstance(moment, datetime) and has_zone(moment)
        else moment
        for moment in moments
    ]
    return np.array(found, DTYPE)


def iso(moment: np.datetime64) -> str:
    """Return a date as ISO text, without the time at midnight.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.dates import iso
    >>> iso(np.datetime64("2024-02-29", "us")), iso(np.datetime64("2024-02-29T12:30", "us"))
    ('2024-02-29', '2024-02-29 12:30:00')
    """
    found: Any = moment.item()
    return str(found.isoformat(" ")).removesuffix(" 00:00:00")


def part(name: str, moments: np.ndarray, start: np.datetime64) -> np.ndarray:
    """Return a part of dates, (m,), as float64.

    Parameters
    ----------
    name : {"days", "year", "month", "weekday", "hour"}
        The part.
    moments : ndarray, (m,), datetime64[us]
        Dates.
    start : datetime64
        The date from which days are counted.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.dates import PARTS, part
    >>> moments = np.array(["2024-02-29T12:00"], "datetime64[us]")
    >>> [float(part(name, moments, np.datetime64("2024-02-28"))[0]) for name in PARTS]
    [1.5, 2024.0, 2.0, 3.0, 12.0]
    """
    if name == "days":
        days: np.ndarray = (moments - start) / np.timedelta64(1, "D")
        return days
    # numpy counts from 1970-01-01, a Thursday
    unit, shift, cycle, least = {
        "year": ("Y", 1970, 0, 0),
        "month": ("M", 0, 12, 1),
        "weekday": ("D", 3, 7, 0),
        "hour": ("h", 0, 24, 0),
    }[name]
    counts = moments.astype(f"datetime64[{unit}]").astype(np.int64) + shift
    return ((counts % cycle if cycle else counts) + least).astype(np.float64)
