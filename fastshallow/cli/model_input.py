"""From a file to the X and y of a model that is there: the table is read as in training."""

from __future__ import annotations

import numpy as np

from ..tables.columns import check_present, read_values
from ..tables.mistakes import Mistake, did_you_mean, listed
from ..tables.pipeline import Pipeline
from ..tables.read import Kept, source_name
from ..tables.read_table import ReadTable
from ..tables.reading import Reading
from .common import warnings_noted

__all__ = ["read_answers", "read_input"]


def read_input(
    model: Pipeline,
    path: str,
    reading: Reading,
    target: str | None = None,
    kept: Kept = lambda names: [],
) -> tuple[ReadTable, np.ndarray]:
    """Return a table and its X; see `fastshallow.tables.read.read_noted` for ``kept``."""
    with warnings_noted():
        table = model.read_noted(path, target, vars(reading), kept)
        try:
            return table, model.transform(table.frame)
        except Mistake as error:
            raise Mistake(f"{source_name(path)}: {error}") from error


def read_answers(model: Pipeline, table: ReadTable, name: str, path: str) -> np.ndarray:
    """Return the right answers of a table, encoded as y (m,)."""
    if name not in table.frame:
        columns = [str(column) for column in table.frame.columns]
        raise Mistake(
            f"--target: expected a column of {source_name(path)}, which has {listed(columns)}; got "
            f"{listed([name])}{did_you_mean([name], columns)}"
        )
    try:
        if name in table.problems:
            raise Mistake(table.problems[name])
        values = read_values(name, table.frame[name])
        check_present([values], f"rows to score need the target{table.missing_text([name])}")
        return model.target.encode(values)
    except Mistake as error:
        raise Mistake(f"{source_name(path)}: {error}") from error
