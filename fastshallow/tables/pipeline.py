"""A network with the columns that it was trained on: from a raw table to predictions.

The ``fastshallow train`` command writes one, and `fastshallow.load` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..kernels.losses import TABLE as OUTPUTS
from ..network.checks import SHOWN_MOST, shown, warn
from ..network.network import Network
from .columns import Column, Target, Values, check_present, encode, read_values
from .mistakes import Mistake, listed

__all__ = ["Pipeline", "UnseenCategories"]


class UnseenCategories(UserWarning):
    """Text that was in no row trained on; all columns of X that it could have set are 0."""


class Pipeline:
    """A network, the columns that it takes, and the target that it predicts.

    Parameters
    ----------
    net : Network
        One input for each column of X; for regression, its output is standardised.
    columns : sequence of Column
        How the columns of a table become those of X, in this order.
    target : Target
        What is predicted.

    Attributes
    ----------
    net, columns, target
        As above; ``net`` takes encoded examples as columns, ``transform(table).T``.
    names : list of str
        The columns that a table must have, in any order.
    task : {"classification", "regression"}
        Of the two.
    classes : ndarray or None
        Class labels; None for regression.

    Raises
    ------
    ValueError
        Where the parts do not fit each other.

    Examples
    --------
    >>> import fastshallow as fs
    >>> from fastshallow.tables.columns import Column, Target
    >>> net = fs.Network((2, 1))
    >>> net.W1 = [[-1.0, 1.0]]
    >>> column = Column("colour", "text", categories=("blue", "red"))
    >>> model = fs.Pipeline(net, [column], Target("warm", "classification", ("no", "yes")))
    >>> model.predict({"colour": ["red", "blue"]}).tolist()
    ['yes', 'no']
    >>> model.predict_proba({"colour": ["red"]}).shape
    (1, 2)
    """

    def __init__(self, net: Network, columns: Any, target: Target):
        self.net, self.columns, self.target = net, list(columns), target
        self._check_types()
        n = len(target.classes)
        outputs = 1 if n in (0, 2) else n
        classifies = bool(target.classes)
        legal = {name for name, row in OUTPUTS.items() if row.classifies == classifies}
        width = sum(column.width for column in self.columns)
        if (net.sizes[0], net.sizes[-1]) != (width, outputs) or net.output not in legal:
            kinds = " or ".join(sorted(legal))
            raise ValueError(
                f"net: expected ({width}, ..., {outputs}), {kinds}; got {repr(net)[:SHOWN_MOST]}"
            )
        wanted = "sigmoid" if n == 2 else "softmax"
        if n and net.output != wanted:
            raise ValueError(f"output: expected {wanted} for {n} classes; got {net.output}")

    def _check_types(self) -> None:
        """Raise unless all parts are what they should be, and no column is there twice."""
        parts = [("net", self.net, Network), ("target", self.target, Target)]
        parts += [(f"columns[{i}]", column, Column) for i, column in enumerate(self.columns)]
        for name, part, wanted in parts:
            if not isinstance(part, wanted):
                raise TypeError(f"{name}: expected a {wanted.__name__}; got {shown(part)}")
        names = set()
        for column in self.columns:
            if column.name in names:
                raise ValueError(f"columns: {shown(column.name)} is there twice")
            names.add(column.name)
            if isinstance(column.fill, float):
                with np.errstate(over="ignore"):
                    x = self.net.dtype.type((column.fill - column.mean) / column.scale)
                if not np.isfinite(x):
                    raise ValueError(
                        f"column {shown(column.name)}: fill: {column.fill:g} is too far "
                        f"from {column.mean:g} +- {column.scale:g}"
                    )

    @property
    def names(self) -> list[str]:
        """The columns that a table must have."""
        return [column.name for column in self.columns]

    @property
    def task(self) -> str:
        """Whether it answers classes or numbers."""
        return self.target.task

    @property
    def classes(self) -> np.ndarray | None:
        """Class labels."""
        return self.target.labels() if self.target.classes else None

    def transform(self, table: Any) -> np.ndarray:
        """Return X, (m, n_x): the encoded table, examples as rows.

        Parameters
        ----------
        table : pandas.DataFrame, or dict of name to values (m,)
            The raw table. Other columns than those of ``names`` are left aside.

        Raises
        ------
        Mistake
            A `ValueError`: columns not there, values missing, numbers that are none.

        Warns
        -----
        UnseenCategories
            In one warning for all columns.
        """
        found = self._read(table)
        advice = "fill them, or train with --impute median"
        unfilled = [v for v, column in zip(found, self.columns, strict=True) if column.fill is None]
        check_present(unfilled, advice)
        X, unseen = encode(self.columns, found, self.net.dtype)
        if unseen:
            what = "; ".join(
                f"column {shown(name)}: {listed(new, 5)}" for name, new in unseen.items()
            )
            warn(
                f"categories that training did not see, taken as all zeros: {what}",
                UnseenCategories,
            )
        return X

    def _read(self, table: Any) -> list[Values]:
        if not (isinstance(table, Mapping) or hasattr(table, "columns")):
            raise TypeError(
                "table: expected a pandas.DataFrame, or a dict of names and values; got "
                f"{type(table).__name__}"
            )
        missing = [name for name in self.names if name not in table]
        if missing:
            raise Mistake(f"columns that the model needs are not there: {listed(missing)}")
        found = [read_values(name, table[name]) for name in self.names]
        lengths = {values.name: len(values.values) for values in found}
        if len(set(lengths.values())) > 1:
            raise Mistake(f"table: expected columns of one length; got {lengths}")
        if not len(found[0].values):
            raise Mistake("table: expected rows; got none")
        return found

    def predict(self, table: Any, n_threads: int | None = None) -> np.ndarray:
        """Return the predicted classes, or numbers in the units of the target.

        Parameters
        ----------
        table : pandas.DataFrame, or dict of name to values (m,)
            See `transform`.
        n_threads : int or None
            Threads; None is by the work.

        Returns
        -------
        ndarray, (m,)
            Labels as they were in the table trained on, or float64.
        """
        return self.answers(self.transform(table), n_threads)

    def predict_proba(self, table: Any, n_threads: int | None = None) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        table : pandas.DataFrame, or dict of name to values (m,)
            See `transform`.
        n_threads : int or None
            Threads; None is by the work.

        Returns
        -------
        ndarray, (m, n_classes)
            In the order of ``classes``.
        """
        if self.task == "regression":
            raise Mistake(f"target {shown(self.target.name)}: a regression has no probabilities")
        return self.probabilities(self.transform(table), n_threads)

    def answers(self, X: np.ndarray, n_threads: int | None = None) -> np.ndarray:
        """Return what `predict` does, for an encoded table (m, n_x)."""
        values = self.net.predict(X.T, n_threads=n_threads)
        if self.classes is None:
            with np.errstate(all="ignore"):  # infinity says it
                raw: np.ndarray = values[0].astype(np.float64)
                return raw * self.target.scale + self.target.mean
        return self.classes[values.reshape(-1).astype(np.int64)]

    def probabilities(self, X: np.ndarray, n_threads: int | None = None) -> np.ndarray:
        """Return what `predict_proba` does, for an encoded table (m, n_x)."""
        A = self.net.predict_proba(X.T, n_threads)
        return np.stack([1 - A[0], A[0]], axis=1) if len(A) == 1 else A.T

    def describe(self) -> dict[str, Any]:
        """Return what JSON keeps beside the network."""
        return {
            "columns": [column.describe() for column in self.columns],
            "target": self.target.describe(),
        }

    @classmethod
    def described(cls, net: Network, kept: dict[str, Any]) -> Pipeline:
        """Return the pipeline that `describe` described."""
        if not isinstance(kept, dict) or set(kept) != {"columns", "target"}:
            got = sorted(map(str, kept)) if isinstance(kept, dict) else kept
            raise ValueError(f"pipeline: expected columns and target; got {shown(got)}")
        if not isinstance(kept["columns"], list):
            raise TypeError(f"columns: expected a list; got {shown(kept['columns'])}")
        columns = [Column.described(column) for column in kept["columns"]]
        return cls(net, columns, Target.described(kept["target"]))

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickle and skops keep: the network, and what a file has beside it."""
        return {"net": self.net, **self.describe()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become the pipeline that `__getstate__` described."""
        kept = dict(state)
        self.__dict__.update(Pipeline.described(kept.pop("net", None), kept).__dict__)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pipeline):
            return NotImplemented
        return self.net == other.net and self.describe() == other.describe()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"Pipeline({self.task} of {self.target.name!r} by {listed(self.names)}: {self.net!r})"
        )
