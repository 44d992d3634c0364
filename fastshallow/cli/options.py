"""The options of ``fastshallow train``. --help reads them, so nothing large is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from ..tables.reading import AS_FOUND, Reading

__all__ = ["TrainOptions"]

#: What messages call the table that stands in where there is no DATA.
DIGITS = "the handwritten digits of scikit-learn"


@dataclass(frozen=True)
class TrainOptions:
    """What ``fastshallow train --help`` lists, with the defaults that it shows.

    The defaults of training are those of the estimators. A test compares them.

    Parameters
    ----------
    data : str or None
        Path of the table, "-" for standard input; None for the handwritten digits.
    target : str or None
        The column to predict; None for that of the digits.
    test : str or None
        Path of a table for the scores; None holds a part of ``data`` out.
    cv : int or None
        Number of folds of a cross-validation; None for none.
    batch_size, learning_rate : int or None, float or None
        Of a step; None for the default of the estimator. "lbfgs" takes neither.
    reading : Reading
        How the file is read.
    threads : int or None
        None for as many as the work is worth.

    Examples
    --------
    >>> from fastshallow.cli.options import TrainOptions
    >>> TrainOptions("people.csv", target="income").epochs
    200
    >>> TrainOptions().source
    'the handwritten digits of scikit-learn'
    """

    data: str | None = None
    target: str | None = None
    drop: tuple[str, ...] = ()
    reading: Reading = AS_FOUND
    task: str = "auto"
    hidden: tuple[int, ...] = (100,)
    activation: str = "relu"
    solver: str = "adam"
    epochs: int = 200
    batch_size: int | None = None
    learning_rate: float | None = None
    alpha: float = 0.0001
    early_stopping: bool = False
    class_weight: str | None = None
    seed: int = 0
    test_size: float = 0.2
    test: str | None = None
    cv: int | None = None
    importance: bool = False
    impute: str | None = None
    out: str = "model.safetensors"
    force: bool = False
    plot: str | None = None
    quiet: bool = False
    json: bool = False
    threads: int | None = None

    @property
    def source(self) -> str:
        """What messages call the table."""
        return DIGITS if self.data is None else self.data
