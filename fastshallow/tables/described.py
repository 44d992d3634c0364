"""Checks of what a `Column` and a `Target` are made of: by a caller, by a file, or by a pickle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..network import checks

__all__ = ["choice_of", "different", "fields_of", "named", "none_of", "set_fields", "standards"]


def named(what: str, name: Any) -> str:
    """Return how messages call a column."""
    if not isinstance(name, str):
        raise TypeError(f"name of a {what}: expected a text; got {checks.shown(name)}")
    return f"{what} {checks.shown(name)}"


def set_fields(described: Any, **values: Any) -> None:
    """Give a frozen dataclass its checked values."""
    for name, value in values.items():
        object.__setattr__(described, name, value)


def standards(where: str, described: Any) -> dict[str, float]:
    """Return checked mean and scale."""
    return {
        "mean": checks.number(f"{where}: mean", described.mean),
        "scale": checks.number(f"{where}: scale", described.scale, above=0),
    }


def none_of(where: str, name: str, values: Any) -> None:
    """Raise unless there are no values."""
    if not isinstance(values, (tuple, list)) or values:
        raise ValueError(f"{where}: {name}: expected none; got {checks.shown(values)}")


def different(where: str, values: Any, least: int) -> tuple[Any, ...]:
    """Return texts, whole numbers or booleans of one type, no two of them equal."""
    if not isinstance(values, (tuple, list)):
        raise TypeError(f"{where}: expected a list; got {checks.shown(values)}")
    plain = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
    kinds = set(map(type, plain))
    if len(plain) < least or len(kinds) != 1 or not kinds <= {str, int, bool}:
        raise ValueError(
            f"{where}: expected {least} or more, all texts, whole numbers or booleans; got "
            f"{checks.shown(plain)}"
        )
    if len(set(plain)) < len(plain):
        twice = Counter(plain).most_common(1)[0][0]
        raise ValueError(f"{where}: expected different ones; got {checks.shown(twice)} twice")
    return plain


def choice_of(what: str, kept: Any, name: str, known: Iterable[str]) -> str:
    """Return the value, one of the known, that decides what else JSON has kept."""
    if not isinstance(kept, dict):
        raise TypeError(f"{what}: expected its description; got {checks.shown(kept)}")
    where = f"{what} {checks.shown(kept.get('name'))}"
    return checks.one_of(f"{where}: {name}", kept.get(name), known)


def fields_of(what: str, kept: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return what JSON kept, if it has these names and no others."""
    if set(kept) != set(names):
        raise ValueError(f"{what}: expected {', '.join(names)}; got {checks.shown(sorted(kept))}")
    return kept
