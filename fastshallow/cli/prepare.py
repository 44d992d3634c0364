"""From a table to the arrays that a network takes, in a part to train on and one held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..network.checks import shown
from ..network.network import Network
from ..tables.columns import Column, Target, Values, check_present, encode, read_values
from ..tables.mistakes import Mistake, all_of, listed, together
from ..tables.pipeline import Pipeline
from ..tables.read import read_noted, source_name
from ..tables.read_table import ReadTable
from ..tables.reading import AS_FOUND, Reading, named, typed
from .common import note
from .guards import check_classes, dates_noted, doubts, left_out, reasons_text, useless
from .options import TrainOptions
from .split import cuts, split

__all__ = ["Prepared", "Raw", "digits", "folds", "prepare", "raw"]

# The name that scikit-learn's own table of the digits has for it.
DIGITS_TARGET = "target"

LEAVE_OUT = "; --drop leaves a column out"


@dataclass
class Raw:
    """The target of a table and its features, as they were read."""

    target: Target
    wanted: Values
    found: list[Values]


@dataclass
class Prepared:
    """A table as the network takes it, in two parts; examples are rows."""

    columns: list[Column]
    target: Target
    X: np.ndarray
    y: np.ndarray
    X_held_out: np.ndarray
    y_held_out: np.ndarray
    reading: Reading = AS_FOUND
    #: Columns that are no features, with the reason of each.
    left_out: dict[str, str] = field(default_factory=dict)
    #: A file of its own that the rows held out are from.
    test: str | None = None

    @property
    def rows(self) -> int:
        """How many the table had."""
        return len(self.y_of_table)

    @property
    def y_of_table(self) -> np.ndarray:
        """The targets of the table, in another order."""
        return self.y if self.test else np.concatenate([self.y, self.y_held_out])

    def model(self, net: Network, scores: dict[str, Any] | None = None) -> Pipeline:
        """Return the network with its columns."""
        return Pipeline(net, self.columns, self.target, self.reading, scores=scores)

    def sizes(self, hidden: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sizes of a network with these hidden layers."""
        n = len(self.target.classes)
        return (self.X.shape[1], *hidden, n if n > 2 else 1)


def digits() -> dict[str, np.ndarray]:
    """Return the handwritten digits that scikit-learn ships, as a table: column by name.

    It is no data frame, so that the first run needs no pandas.

    Examples
    --------
    >>> from fastshallow.cli.prepare import digits
    >>> table = digits()
    >>> len(table), len(table["pixel_0_0"]), table["target"][:3].tolist()
    (65, 1797, [0, 1, 2])
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    pixels = dict(zip(found.feature_names, found.data.T, strict=True))
    return {**pixels, DIGITS_TARGET: found.target}


def raw(options: TrainOptions) -> Raw:
    """Read the table."""
    wanted, found = read(options)
    target = Target.of(wanted, options.task)
    if options.class_weight and target.task == "regression":
        raise Mistake(f"--class-weight: expected classes; target {shown(target.name)} has numbers")
    check_classes(target, wanted)
    return Raw(target, wanted, found)


def prepare(options: TrainOptions, table: Raw | None = None) -> Prepared:
    """Read the table, split it, and encode both parts by what the first one holds."""
    table = table or raw(options)
    chosen, rest = split(table.wanted, table.target, options)
    data = encoded(options, table, chosen, rest)
    if data.left_out:
        note(f"warning: columns left out: {reasons_text(data.left_out)}")
    return data


def folds(options: TrainOptions, table: Raw) -> Iterator[Prepared]:
    """Yield the table ``options.cv`` times, with each row held out once."""
    for chosen, rest in cuts(table.wanted, table.target, options):
        yield encoded(options, table, chosen, rest)


def encoded(options: TrainOptions, table: Raw, chosen: np.ndarray, rest: np.ndarray) -> Prepared:
    """Return the chosen rows to train on, and the rest, encoded by what the chosen ones hold."""
    # the digits are an image: each pixel is an input, also one that is always white
    reasons = {} if options.data is None else left_out(table.found, chosen, options.source)
    wanted, found = table.wanted, [v for v in table.found if v.name not in reasons]
    part = wanted.taken(chosen)
    target = table.target.standardised(part)
    columns = all_of(
        found, lambda values: Column.of(values.taken(chosen), options.impute is not None)
    )
    # float32 is what the kernels are fast in; the line searches of L-BFGS want more digits
    dtype = "float64" if options.solver == "lbfgs" else "float32"
    X, _ = encode(columns, [values.taken(chosen) for values in found], dtype)
    X_held_out, _ = encode(columns, [values.taken(rest) for values in found], dtype)
    y, y_held_out = target.encode(part), target.encode(wanted.taken(rest))
    reading = options.reading.of_model([target.name, *(column.name for column in columns)])
    return Prepared(columns, target, X, y, X_held_out, y_held_out, reading, reasons)


def read(options: TrainOptions) -> tuple[Values, list[Values]]:
    """Return the values of the target and of each feature."""
    if options.data is None:
        table = digits()
        target, features = chosen_columns(list(table), options)
        return read_values(target, table[target]), [read_values(n, table[n]) for n in features]
    found = read_noted(options.data, options.reading)
    target, features = chosen_columns(list(found.frame), options)
    try:
        return values_of(found, target, features, options)
    except Mistake as error:
        raise Mistake(f"{source_name(options.data)}: {error}") from error


def values_of(
    found: ReadTable, target: str, features: list[str], options: TrainOptions
) -> tuple[Values, list[Values]]:
    """Return the values of the target and of each feature; raise all problems at once."""
    problems: list[str] = []
    values: list[Values] = []
    for name in [target, *features]:
        try:
            found.look(name)
            if name in found.problems:
                raise Mistake(found.problems[name])
            column = read_values(name, found.frame[name])
            if name != target and name not in found.as_text:
                column = dates_noted(column)
            values.append(column)
        except Mistake as error:
            problems.append(str(error).removesuffix(LEAVE_OUT))
    answers = [column for column in values if column.name == target]
    others = [column for column in values if column.name != target]
    needed = [c for c in others if c.missing.any() and not useless(c, c)]
    advice = "fill them, or take --impute median" if options.impute is None else ""
    for columns, how in ((answers, "rows to learn from need the target"), (needed, advice)):
        try:
            if how:
                check_present(columns, how + found.missing_text([v.name for v in columns]))
        except Mistake as error:
            problems.append(str(error))
    together(problems, LEAVE_OUT if len(others) < len(features) else "")
    for column in others:
        if said := doubts(column):
            note(f"warning: column {shown(column.name)}: {said}")
    for word in found.unused:
        note(f"warning: {typed('--missing', word)}: no value is this word")
    for name in [target, *features]:
        for text in found.notes.get(name, []):
            note(f"warning: {text}")
    return answers[0], others


def chosen_columns(names: list[str], options: TrainOptions) -> tuple[str, list[str]]:
    """Return the target and the features."""
    target = DIGITS_TARGET if options.target is None else options.target
    problems, dropped = [], []
    for option, given in (("--target", [target]), ("--drop", options.drop)):
        try:
            dropped += named(option, given, names, options.source, commas=option == "--drop")
        except Mistake as error:
            problems.append(str(error))
    data = any(name.strip("-+").replace(".", "", 1).isdigit() for name in names)
    header = "; if the first row is data, --names or --no-header says so"
    together(problems, header if data and not options.reading.no_header else "")
    features = [name for name in names if name not in dropped]
    if not features:
        raise Mistake(f"{options.source}: expected columns beside the target; there are none")
    unnamed = [name for name in features if name.startswith("Unnamed: ")]
    if unnamed:
        note(f"warning: columns without a name are taken as features: {listed(unnamed)}")
    return target, features
