"""Checks of the fields of `Column`, `Target` and `Pipeline`: of a caller, a file or a pickle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..network import checks
from .mistakes import plain

__all__ = [
    "check_empty",
    "check_scores",
    "choice",
    "distinct",
    "fields",
    "mean_scale",
    "name_of",
    "scaled_parts",
    "set_fields",
]

# Largest number of rows of a class: all such numbers are float64.
ROWS_MOST = 1 << 53


def name_of(what: str, name: Any) -> str:
    """Return the name of a column or target for messages."""
    if not isinstance(name, str):
        raise TypeError(f"name of a {what}: expected a text; got {checks.shown(name)}")
    check_writable(f"name of a {what}", name)
    return f"{what} {checks.shown(name)}"


def check_writable(where: str, text: str) -> None:
    """Raise unless text can be written in UTF-8: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where}: expected text of UTF-8; got {checks.shown(text)}") from error


def set_fields(described: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass."""
    for name, value in values.items():
        object.__setattr__(described, name, value)


def mean_scale(where: str, described: Any) -> dict[str, float]:
    """Return the checked mean and scale of a column or target."""
    return {
        "mean": checks.number(f"{where}: mean", described.mean),
        "scale": checks.number(f"{where}: scale", described.scale, above=0),
    }


def check_empty(where: str, name: str, values: Any) -> None:
    """Raise unless ``values`` is empty."""
    if not isinstance(values, (tuple, list)) or values:
        raise ValueError(f"{where}: {name}: expected none; got {checks.shown(values)}")


def distinct(where: str, values: Any, least: int) -> tuple[Any, ...]:
    """Return distinct values of one type: texts, whole numbers or booleans."""
    if not isinstance(values, (tuple, list)):
        raise TypeError(f"{where}: expected a list; got {checks.shown(values)}")
    plain = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
    kinds = set(map(type, plain))
    if len(plain) < least or len(kinds) != 1 or not kinds <= {str, int, bool}:
        raise ValueError(
            f"{where}: expected {least} or more, all texts, whole numbers or booleans; got "
            f"{checks.shown(plain)}"
        )
    for text in plain if kinds == {str} else ():
        check_writable(where, text)
    if len(set(plain)) < len(plain):
        twice = Counter(plain).most_common(1)[0][0]
        raise ValueError(f"{where}: expected different ones; got {checks.shown(twice)} twice")
    return plain


def scaled_parts(
    where: str, values: Any, known: tuple[str, ...]
) -> tuple[tuple[str, float, float], ...]:
    """Return checked parts of dates: name, mean and scale of each."""
    if not (
        isinstance(values, (tuple, list))
        and values
        and all(isinstance(part, (tuple, list)) and len(part) == 3 for part in values)
    ):
        raise TypeError(
            f"{where}: expected a list of name, mean and scale of each; got {checks.shown(values)}"
        )
    names = [checks.one_of(f"{where}: name", part[0], known) for part in values]
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: expected different ones; got {checks.shown(names)}")
    return tuple(
        (
            name,
            checks.number(f"{where}: {name}: mean", mean),
            checks.number(f"{where}: {name}: scale", scale, above=0),
        )
        for name, (_, mean, scale) in zip(names, values, strict=True)
    )


def choice(what: str, kept: Any, name: str, known: Iterable[str]) -> str:
    """Return the field of a JSON description that selects its kind; it must be a known value."""
    if not isinstance(kept, dict):
        raise TypeError(f"{what}: expected its description; got {checks.shown(kept)}")
    where = f"{what} {checks.shown(kept.get('name'))}"
    return checks.one_of(f"{where}: {name}", kept.get(name), known)


def fields(what: str, kept: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return a JSON description, which must have exactly these fields."""
    if set(kept) != set(names):
        raise ValueError(f"{what}: expected {', '.join(names)}; got {checks.shown(sorted(kept))}")
    return kept


def check_scores(scores: Any, n_classes: int) -> dict[str, Any] | None:
    """Return what the attribute ``scores`` of a `Pipeline` may be, in types of JSON, or raise."""
    if scores is None:
        return None
    if not isinstance(scores, dict):
        raise TypeError(f"scores: expected a dict; got {checks.shown(scores)}")
    found: dict[str, Any] = {}
    for name, value in scores.items():
        name_of("score", name)
        if name == "class_counts":
            found[name] = _checked_counts(value, n_classes)
        else:
            found[name] = _checked_numbers(
                f"scores: '{plain(name)}'", value, ("baseline", "spread")
            )
    return found


def _checked_counts(counts: Any, n_classes: int) -> list[int]:
    if not isinstance(counts, (list, tuple)) or not 0 < len(counts) == n_classes:
        raise ValueError(
            f"scores: class_counts: expected a list of {n_classes}; got {checks.shown(counts)}"
        )
    return [checks.whole("scores: class_counts", count, 1, ROWS_MOST) for count in counts]


def _checked_numbers(where: str, found: Any, parts: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a dict of numbers and None, or raise; ``parts`` of it are such dicts."""
    if not isinstance(found, dict):
        raise TypeError(f"{where}: expected numbers by name; got {checks.shown(found)}")
    checked: dict[str, Any] = {}
    for name, value in found.items():
        name_of("score", name)
        inner = f"{where}: '{plain(name)}'"
        if name in parts:
            checked[name] = _checked_numbers(inner, value)
        elif value is None or (type(value) is int and abs(value) <= ROWS_MOST):
            checked[name] = value
        else:
            checked[name] = checks.number(inner, value)
    return checked
