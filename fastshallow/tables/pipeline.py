"""The class `Pipeline`: a network with its columns and target, which predicts from raw tables.

``fastshallow train`` writes a `Pipeline`, and `fastshallow.load` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..kernels.losses import TABLE as OUTPUTS
from ..network.checks import SHOWN_MOST, shown, warn
from ..network.network import Network
from .columns import Column, Target, Values, check_present, encode, read_values
from .described import check_scores
from .mistakes import Mistake, listed

__all__ = ["Pipeline", "UnseenCategories"]


class UnseenCategories(UserWarning):
    """Training did not see a category; its one-hot columns in X are all 0."""


class Pipeline:
    """A network, the columns of its input, and its target.

    Parameters
    ----------
    net : Network
        It has one input for each column of X. For regression it predicts the standardised target.
    columns : sequence of Column
        Encoding of each table column, in the order of X.
    target : Target
        The predicted column.
    scores : dict or None
        What ``fastshallow train`` measured: ``class_counts``, the training rows of each class, and
        scores by name under ``held_out``, ``test`` or ``cross_validation``.

    Attributes
    ----------
    net, columns, target, scores
        As above. The input of ``net`` is ``transform(table).T``.
    names : list of str
        Columns that a table must have, in any order.
    task : {"classification", "regression"}
        Task of the target.
    classes : ndarray or None
        Class labels; None for regression.

    Raises
    ------
    TypeError
        An argument has the wrong type.
    ValueError
        The arguments do not fit each other.

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

    def __init__(
        self, net: Network, columns: Any, target: Target, scores: dict[str, Any] | None = None
    ):
        self.net, self.columns, self.target = net, list(columns), target
        self.scores = scores
        self._check_types()
        n = len(target.classes)
        check_scores(scores, n)
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
        """Raise unless all arguments have the right types and the columns are distinct."""
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
        """Columns that a table must have."""
        return [column.name for column in self.columns]

    @property
    def task(self) -> str:
        """Task of the target: "classification" or "regression"."""
        return self.target.task

    @property
    def classes(self) -> np.ndarray | None:
        """Class labels; None for regression."""
        return self.target.labels() if self.target.classes else None

    def transform(self, table: Any) -> np.ndarray:
        """Return the encoded table X, (m, n_x), with examples as rows.

        Parameters
        ----------
        table : pandas.DataFrame, or dict of name to values (m,)
            The raw table. Columns that are not in ``names`` are ignored.

        Returns
        -------
        ndarray, (m, n_x)
            X in the dtype of the network.

        Raises
        ------
        Mistake
            A `ValueError`: columns or values are missing, or values are not numbers.

        Warns
        -----
        UnseenCategories
            Training did not see some categories; one warning for all columns.
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
            Threads; None chooses by the work.

        Returns
        -------
        ndarray, (m,)
            Labels as in the training table, or float64.
        """
        return self.answers(self.transform(table), n_threads)

    def predict_proba(self, table: Any, n_threads: int | None = None) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        table : pandas.DataFrame, or dict of name to values (m,)
            See `transform`.
        n_threads : int or None
            Threads; None chooses by the work.

        Returns
        -------
        ndarray, (m, n_classes)
            Probabilities in the order of ``classes``.
        """
        if self.task == "regression":
            raise Mistake(f"target {shown(self.target.name)}: a regression has no probabilities")
        return self.probabilities(self.transform(table), n_threads)

    def answers(self, X: np.ndarray, n_threads: int | None = None) -> np.ndarray:
        """Return the predictions for an encoded table (m, n_x)."""
        values = self.net.predict(X.T, n_threads=n_threads)
        if self.classes is None:
            with np.errstate(all="ignore"):  # an overflow gives infinity
                raw: np.ndarray = values[0].astype(np.float64)
                return raw * self.target.scale + self.target.mean
        return self.classes[values.reshape(-1).astype(np.int64)]

    def probabilities(self, X: np.ndarray, n_threads: int | None = None) -> np.ndarray:
        """Return the probabilities for an encoded table (m, n_x)."""
        A = self.net.predict_proba(X.T, n_threads)
        return np.stack([1 - A[0], A[0]], axis=1) if len(A) == 1 else A.T

    def describe(self) -> dict[str, Any]:
        """Return columns, target and scores, if there are any, in types of JSON."""
        return {
            "columns": [column.describe() for column in self.columns],
            "target": self.target.describe(),
            **({} if self.scores is None else {"scores": self.scores}),
        }

    @classmethod
    def described(cls, net: Network, kept: dict[str, Any]) -> Pipeline:
        """Return the pipeline of a network and a result of `describe`."""
        if not isinstance(kept, dict) or set(kept) - {"scores"} != {"columns", "target"}:
            got = sorted(map(str, kept)) if isinstance(kept, dict) else kept
            raise ValueError(f"pipeline: expected columns and target; got {shown(got)}")
        if not isinstance(kept["columns"], list):
            raise TypeError(f"columns: expected a list; got {shown(kept['columns'])}")
        columns = [Column.described(column) for column in kept["columns"]]
        return cls(net, columns, Target.described(kept["target"]), scores=kept.get("scores"))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and skops: the network and the result of `describe`."""
        return {"net": self.net, **self.describe()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of `__getstate__`."""
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
