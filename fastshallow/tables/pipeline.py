"""The class `Pipeline`: a network with its columns and target, which predicts from raw tables.

``fastshallow train`` writes a `Pipeline`, and `fastshallow.load` reads it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..kernels.losses import TABLE as OUTPUTS
from ..network.checks import SHOWN_MOST, shown, warn
from ..network.network import Network
from .columns import Column, Target, Values, check_present, encode, read_values
from .described import check_scores
from .frames import columns_of, is_one_value
from .mistakes import Mistake, TableWarning, all_of, listed, together
from .read import Kept, read_noted, source_name
from .read_table import ReadTable
from .reading import AS_FOUND, OF_MODELS, Reading
from .values import WHAT

__all__ = ["Pipeline", "UnseenCategories"]


# Columns that a warning names.
UNSEEN_MOST = 10


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
    reading : Reading
        What files are read by: the words that are missing values, and the columns whose numbers may
        have a unit or separators of thousands.
    scores : dict or None
        What ``fastshallow train`` measured: ``class_counts``, the training rows of each class, and
        scores by name under ``held_out``, ``test`` or ``cross_validation``.

    Attributes
    ----------
    net, columns, target, reading, scores
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
    >>> model.predict({"colour": "red"}).tolist()
    ['yes']
    >>> list(model.predict_proba({"colour": ["red"]}, by_class=True))
    ['no', 'yes']
    >>> model.score({"colour": ["red", "blue"], "warm": ["yes", "yes"]})
    0.5
    """

    def __init__(
        self,
        net: Network,
        columns: Any,
        target: Target,
        reading: Reading = AS_FOUND,
        *,
        scores: dict[str, Any] | None = None,
    ):
        self.net, self.columns, self.target = net, list(columns), target
        self.reading = reading
        self._check_types()
        n = len(target.classes)
        self.scores = check_scores(scores, n)
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
        parts += [("reading", self.reading, Reading)]
        parts += [(f"columns[{i}]", column, Column) for i, column in enumerate(self.columns)]
        for name, part, wanted in parts:
            if not isinstance(part, wanted):
                raise TypeError(f"{name}: expected a {wanted.__name__}; got {shown(part)}")
        if self.reading != replace(AS_FOUND, **self.reading.of_models()):
            raise ValueError(
                f"reading: expected {', '.join(OF_MODELS)} alone: the others belong to a file; got "
                f"{shown(self.reading)}"
            )
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

    def read(self, path: str | os.PathLike[str], target: str | None = None, **options: Any) -> Any:
        """Return the table in a file, read as in training.

        Text that looks like numbers stays text where it was text in training. The words that were
        missing values are missing.

        Parameters
        ----------
        path : str or path-like
            CSV or Parquet; "-" is standard input.
        target : str or None
            The column with the right answers, if there is one; None for the target's name.
        **options
            Of `fastshallow.tables.reading.Reading`: ``sep``, ``decimal``, ``encoding``,
            ``no_header``, ``names``; ``missing`` adds to the words of training. ``text`` and
            ``number`` may only name columns that are so in the model, or are none of its columns.

        Returns
        -------
        pandas.DataFrame
            All columns of the file, for `predict`.

        Raises
        ------
        Mistake
            A `ValueError`: the file is no table, or a column of numbers has other words.

        Warns
        -----
        TableWarning
            A column may mean something else than it is read as.

        Examples
        --------
        >>> import pathlib, tempfile, fastshallow as fs
        >>> from fastshallow.tables.columns import Column, Target
        >>> net = fs.Network((2, 1))
        >>> net.W1 = [[1.0, -1.0]]
        >>> column = Column("zip", "text", categories=("01234", "01235"))
        >>> model = fs.Pipeline(net, [column], Target("warm", "classification", ("no", "yes")))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "new.csv")
        ...     _ = path.write_text("zip\\n01235\\n01234\\n")
        ...     model.predict(model.read(path)).tolist()
        ['no', 'yes']
        """
        return self.read_noted(path, target, options).frame

    def read_noted(
        self,
        path: str | os.PathLike[str],
        target: str | None,
        options: Mapping[str, Any],
        kept: Kept = lambda names: [],
    ) -> ReadTable:
        """Return what `read` does, as a `ReadTable`; see `fastshallow.tables.read.read_noted`."""
        path = os.fsdecode(path)
        given = Reading(**options).joined(self.reading)
        found = read_noted(path, given, self._kinds(target), kept)
        asked = dict.fromkeys([*self.names, *found.number, *found.as_text])
        wrong = [found.problems[name] for name in asked if name in found.problems]
        try:
            together([*self._other_kinds(found), *wrong])
        except Mistake as error:
            raise Mistake(f"{source_name(path)}: {error}") from error
        for column in self.columns:
            words = found.words_missing(column.name)
            if column.kind == "number" and column.fill is not None:
                words = ""  # NA among numbers is what it seems
            said = [f"{words} taken as missing; --keep-na keeps such words"] if words else []
            for text in [*found.notes.get(column.name, []), *said]:
                warn(text, TableWarning)
        return found

    def _other_kinds(self, found: ReadTable) -> list[str]:
        """Return what is wrong with options that read a column as another kind than training."""
        return [
            f"{option}: column {shown(column.name)} is {WHAT[column.kind]} in the model"
            for option, names, kind in (
                ("--text", found.as_text, "text"),
                ("--number", found.number, "number"),
            )
            for column in self.columns
            if column.name in names and column.kind != kind
        ]

    def _kinds(self, target: str | None) -> dict[str, str]:
        """Return what columns of a file are read as, the right answers among them."""
        classes = self.target.classes
        if self.task == "regression":
            answers = "number"
        else:  # whole numbers and booleans are what they look like
            answers = "text" if isinstance(classes[0], str) else "class"
        kinds = {self.target.name if target is None else target: answers}
        kinds |= {column.name: column.kind for column in self.columns}
        written = [name for name in self.reading.number if name in kinds]
        return kinds | dict.fromkeys(written, "written")

    def transform(self, table: Any) -> np.ndarray:
        """Return the encoded table X, (m, n_x), with examples as rows.

        Parameters
        ----------
        table : table_like
            The raw table: a pandas or polars DataFrame, a pyarrow Table, a dict of name to values
            (m,), or a list of dicts. A dict of name to value, and a pandas Series, are one row.
            Columns that are not in ``names`` are ignored.

        Returns
        -------
        ndarray, (m, n_x)
            X in the dtype of the network.

        Raises
        ------
        Mistake
            A `ValueError`: columns or values are missing, a column is there twice, or values are
            of another kind than in training.

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
            names = list(unseen)[:UNSEEN_MOST]
            what = "; ".join(f"column {shown(name)}: {listed(unseen[name], 5)}" for name in names)
            what += f"; and {len(unseen) - len(names)} more columns" * (len(unseen) > len(names))
            warn(
                f"categories that training did not see, taken as all zeros: {what}",
                UnseenCategories,
            )
        return X

    def _read(self, table: Any) -> list[Values]:
        columns = columns_of(table, self.names).items()
        missing = self.reading.missing
        found = all_of(columns, lambda column: read_values(*column).without(missing))
        lengths = {len(values.values): values.name for values in found}
        if len(lengths) > 1:
            got = " and ".join(f"{n} of {shown(name)}" for n, name in list(lengths.items())[:2])
            raise Mistake(f"table: expected as many values of every column; got {got}")
        if 0 in lengths:
            raise Mistake("table: expected rows; got none")
        return found

    def predict(self, table: Any, n_threads: int | None = None) -> np.ndarray:
        """Return the predicted classes, or numbers in the units of the target.

        Parameters
        ----------
        table : table_like
            See `transform`.
        n_threads : int or None
            Threads; None chooses by the work.

        Returns
        -------
        ndarray, (m,)
            Labels as in the training table, or float64.
        """
        return self.answers(self.transform(table), n_threads)

    def predict_proba(
        self, table: Any, n_threads: int | None = None, *, by_class: bool = False
    ) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        table : table_like
            See `transform`.
        n_threads : int or None
            Threads; None chooses by the work.
        by_class : bool
            Return a dict of class to probabilities; ``pandas.DataFrame`` makes a table of it.

        Returns
        -------
        ndarray, (m, n_classes); or dict of class to ndarray, (m,)
            Probabilities in the order of ``classes``.
        """
        if self.task == "regression":
            raise Mistake(f"target {shown(self.target.name)}: a regression has no probabilities")
        P = self.probabilities(self.transform(table), n_threads)
        return dict(zip(self.target.classes, P.T, strict=True)) if by_class else P

    def score(self, table: Any, y: Any = None, n_threads: int | None = None) -> float:
        """Return the accuracy, or the coefficient of determination R^2 of a regression.

        Parameters
        ----------
        table : table_like
            See `transform`.
        y : array_like, (m,), or None
            The right answers; None takes them from the target's column of the table.
        n_threads : int or None
            Threads; None chooses by the work.

        Returns
        -------
        float
            The score that scikit-learn's ``score`` has.
        """
        X = self.transform(table)
        name = self.target.name
        right = read_values(
            name, self._right(table) if y is None else [y] if is_one_value(y) else y
        )
        check_present([right], "rows to score need the target")
        if len(right.values) != len(X):
            raise Mistake(f"y: expected {len(X)} values; got {len(right.values)}")
        wanted = self.target.encode(right)
        if self.task == "classification":
            numbers = self.net.predict(X.T, n_threads=n_threads).reshape(-1)
            return float((numbers == wanted).mean())
        from .scores import regression_scores

        r2 = regression_scores(right.values, self.answers(X, n_threads))["r2"]
        if r2 is None:
            raise Mistake("score: expected two rows or more, with numbers whose squares are finite")
        return float(r2)

    def _right(self, table: Any) -> Any:
        try:
            return columns_of(table, [self.target.name])[self.target.name]
        except Mistake as error:
            raise Mistake(f"{error}; y takes the right answers") from error

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
        """Return columns and target in types of JSON, reading and scores if there are any."""
        reading = self.reading.describe()
        return {
            "columns": [column.describe() for column in self.columns],
            "target": self.target.describe(),
            **({"reading": reading} if reading else {}),
            **({} if self.scores is None else {"scores": self.scores}),
        }

    @classmethod
    def described(cls, net: Network, kept: dict[str, Any]) -> Pipeline:
        """Return the pipeline of a network and a result of `describe`."""
        more = {"reading", "scores"}
        if not isinstance(kept, dict) or set(kept) - more != {"columns", "target"}:
            got = sorted(map(str, kept)) if isinstance(kept, dict) else kept
            raise ValueError(f"pipeline: expected columns and target; got {shown(got)}")
        if not isinstance(kept["columns"], list):
            raise TypeError(f"columns: expected a list; got {shown(kept['columns'])}")
        columns = [Column.described(column) for column in kept["columns"]]
        reading, target = Reading.described(kept.get("reading", {})), kept["target"]
        return cls(net, columns, Target.described(target), reading, scores=kept.get("scores"))

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
            f"Pipeline({self.task} of {shown(self.target.name)} by {listed(self.names)}: "
            f"{self.net!r})"
        )
