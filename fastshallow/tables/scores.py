"""Scores of a model on held-out examples, as numbers for JSON and as text."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .mistakes import plain

__all__ = ["classification_scores", "regression_scores", "scores_text", "text_table"]

#: Largest number of classes with a printed confusion matrix, and of printed scores by class.
CONFUSION_MOST = 10
CLASSES_MOST = 30
#: Characters of a cell.
CELL_MOST = 300


def classification_scores(
    numbers: np.ndarray, probabilities: np.ndarray, classes: Sequence[Any]
) -> dict[str, Any]:
    """Return the scores of predicted probabilities.

    Parameters
    ----------
    numbers : ndarray, (m,)
        True class numbers.
    probabilities : ndarray, (m, n_classes)
        Predicted probabilities.
    classes : sequence
        Class labels.

    Returns
    -------
    dict
        ``accuracy``, ``log_loss``, ``classes`` (precision, recall, f1 and number of examples of
        each class) and ``confusion`` (rows are true classes, columns predicted ones).

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.scores import classification_scores
    >>> P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> scores = classification_scores(np.array([0, 1, 1]), P, ["no", "yes"])
    >>> round(scores["accuracy"], 3), scores["confusion"]
    (0.667, [[1, 0], [1, 1]])
    """
    from sklearn import metrics

    every = list(range(len(classes)))
    # log_loss warns if rows do not add up to 1, as in float32
    P = probabilities.astype(np.float64)
    with np.errstate(under="ignore"):
        P /= P.sum(axis=1, keepdims=True)
    answers = P.argmax(axis=1)
    figures = metrics.precision_recall_fscore_support(
        numbers, answers, labels=every, zero_division=0
    )
    names = ("precision", "recall", "f1", "examples")
    return {
        "accuracy": float(metrics.accuracy_score(numbers, answers)),
        "log_loss": float(metrics.log_loss(numbers, P, labels=every)),
        "classes": [
            {"class": label, **dict(zip(names, (*map(float, row[:3]), int(row[3])), strict=True))}
            for label, row in zip(classes, zip(*figures, strict=True), strict=True)
        ],
        "confusion": metrics.confusion_matrix(numbers, answers, labels=every).tolist(),
    }


def regression_scores(numbers: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    """Return the scores of predicted numbers: ``r2``, ``rmse`` and ``mae``.

    Parameters
    ----------
    numbers, answers : ndarray, (m,)
        True and predicted numbers.

    Returns
    -------
    dict
        The three scores as floats; ``r2`` is None for one example.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.scores import regression_scores
    >>> regression_scores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))["r2"]
    0.5
    """
    from sklearn import metrics
    from sklearn.exceptions import UndefinedMetricWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        r2 = float(metrics.r2_score(numbers, answers))
    return {
        "r2": r2 if np.isfinite(r2) else None,
        "rmse": float(metrics.root_mean_squared_error(numbers, answers)),
        "mae": float(metrics.mean_absolute_error(numbers, answers)),
    }


def text_table(rows: Sequence[Sequence[Any]], left: int = 1) -> str:
    """Return rows as aligned text.

    Parameters
    ----------
    rows : sequence of sequence
        Cells.
    left : int
        Number of left-aligned columns; the others are right-aligned.

    Examples
    --------
    >>> from fastshallow.tables.scores import text_table
    >>> print(text_table([["name", "m"], ["a", 10]]))
    name   m
    a     10
    """
    cells = [[plain(cell, CELL_MOST) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def scores_text(scores: dict[str, Any], examples: int, where: str = "Held-out") -> str:
    """Return scores as lines of text.

    Parameters
    ----------
    scores : dict
        Result of `classification_scores` or `regression_scores`.
    examples : int
        Number of scored examples.
    where : str
        Name of the examples, printed before the first score.

    Examples
    --------
    >>> from fastshallow.tables.scores import scores_text
    >>> print(scores_text({"r2": 0.5, "rmse": 0.25, "mae": 0.125}, 3))
    Held-out R2        0.5000 (3 examples)
    RMSE               0.25
    Mean abs. error    0.125
    """
    if "accuracy" not in scores:
        r2 = "undefined" if scores["r2"] is None else f"{scores['r2']:.4f}"
        return "\n".join(
            (
                f"{where + ' R2':<18} {r2} ({examples} examples)",
                f"{'RMSE':<18} {scores['rmse']:.6g}",
                f"{'Mean abs. error':<18} {scores['mae']:.6g}",
            )
        )
    lines = [
        f"{where + ' accuracy':<18} {scores['accuracy']:.4f} ({examples} examples)",
        f"{'Log loss':<18} {scores['log_loss']:.4f}",
        "",
        _by_class(scores["classes"]),
    ]
    if len(scores["classes"]) <= CONFUSION_MOST:
        lines += ["", _confusion(scores)]
    return "\n".join(lines)


def _by_class(classes: list[dict[str, Any]]) -> str:
    head = ("class", "precision", "recall", "f1", "examples")
    rows = [
        (c["class"], *(f"{c[name]:.3f}" for name in head[1:4]), c["examples"])
        for c in classes[:CLASSES_MOST]
    ]
    left_out = len(classes) - len(rows)
    return text_table([head, *rows]) + (f"\n... and {left_out} more classes" if left_out else "")


def _confusion(scores: dict[str, Any]) -> str:
    labels = [c["class"] for c in scores["classes"]]
    rows = [(label, *row) for label, row in zip(labels, scores["confusion"], strict=True)]
    return "Confusion matrix (rows: the right class, columns: the predicted one)\n" + text_table(
        [("", *labels), *rows]
    )
