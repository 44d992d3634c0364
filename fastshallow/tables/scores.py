"""Scores of a model on examples with known answers, as numbers for JSON and as text.

A baseline stands beside every score: the same score of a model that ignores the features. It always
answers the commonest class of the training rows, with the shares of their classes as
probabilities, or their mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .mistakes import listed, plain

__all__ = [
    "across_folds",
    "classification_scores",
    "predicted_classes",
    "regression_scores",
    "scores_line",
    "scores_text",
    "text_table",
    "totals",
]

#: Names of the scores in the order of the report, their format, and whether larger is better.
SCORES = {
    "accuracy": ("accuracy", ".4f", True),
    "balanced_accuracy": ("balanced accuracy", ".4f", True),
    "roc_auc": ("ROC AUC", ".4f", True),
    "pr_auc": ("PR AUC", ".4f", True),
    "log_loss": ("log loss", ".4f", False),
    "r2": ("R2", ".4f", True),
    "rmse": ("RMSE", ".6g", False),
    "mae": ("mean abs. error", ".6g", False),
}

#: Largest number of classes with a printed confusion matrix, and of printed scores by class.
CONFUSION_MOST = 10
CLASSES_MOST = 30
#: Characters of a cell.
CELL_MOST = 300
#: Relative difference below which a score equals that of the baseline.
ROUNDING = 1e-9


def predicted_classes(probabilities: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Return the number of the predicted class of each row.

    Parameters
    ----------
    probabilities : ndarray, (m, n_classes)
        Predicted probabilities.
    threshold : float
        Of two classes the second is predicted where its probability is larger than this. Of more
        classes the likeliest is predicted, whatever the threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.scores import predicted_classes
    >>> P = np.array([[0.9, 0.1], [0.6, 0.4]])
    >>> predicted_classes(P).tolist(), predicted_classes(P, 0.3).tolist()
    ([0, 0], [0, 1])
    """
    numbers: np.ndarray = probabilities.argmax(axis=1)
    if probabilities.shape[1] == 2 and threshold != 0.5:
        numbers = (probabilities[:, 1].astype(np.float64) > threshold).astype(np.int64)
    return numbers


def classification_scores(
    numbers: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[Any],
    counts: Any = None,
    threshold: float = 0.5,
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
    counts : array_like, (n_classes,), or None
        Training rows of each class, for the baseline; None counts the scored rows.
    threshold : float
        See `predicted_classes`.

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy`` (the mean of the recalls), ``log_loss``, ``baseline``
        (the same scores, and its ``answer``), ``classes`` (precision, recall, f1 and number of
        examples of each class) and ``confusion`` (rows are true classes, columns predicted ones).
        For two classes also ``roc_auc`` and ``pr_auc``, the average precision of the second class;
        both are None if the examples are of one class.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.scores import classification_scores
    >>> P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    >>> scores = classification_scores(np.array([0, 1, 1]), P, ["no", "yes"])
    >>> round(scores["accuracy"], 3), scores["roc_auc"], scores["confusion"]
    (0.667, 1.0, [[1, 0], [1, 1]])
    >>> scores["baseline"]["answer"], round(scores["baseline"]["accuracy"], 3)
    ('yes', 0.667)
    """
    from sklearn import metrics

    every = list(range(len(classes)))
    # log_loss warns if rows do not add up to 1, as in float32
    P = probabilities.astype(np.float64)
    with np.errstate(under="ignore"):
        P /= P.sum(axis=1, keepdims=True)
    answers = predicted_classes(probabilities, threshold)
    figures = metrics.precision_recall_fscore_support(
        numbers, answers, labels=every, zero_division=0
    )
    found = np.bincount(numbers, minlength=len(classes))
    names = ("precision", "recall", "f1", "examples")
    return {
        "accuracy": float(metrics.accuracy_score(numbers, answers)),
        # balanced_accuracy_score warns of predicted classes that have no examples
        "balanced_accuracy": float(
            metrics.recall_score(numbers, answers, labels=np.flatnonzero(found), average="macro")
        ),
        **(_areas(numbers, P[:, 1]) if len(classes) == 2 else {}),
        "log_loss": float(metrics.log_loss(numbers, P, labels=every)),
        "baseline": _baseline(found, found if counts is None else np.asarray(counts), classes),
        "classes": [
            {"class": label, **dict(zip(names, (*map(float, row[:3]), int(row[3])), strict=True))}
            for label, row in zip(classes, zip(*figures, strict=True), strict=True)
        ],
        "confusion": metrics.confusion_matrix(numbers, answers, labels=every).tolist(),
    }


def _areas(numbers: np.ndarray, second: np.ndarray) -> dict[str, float | None]:
    """Return the areas under the curves of two classes; None if there is only one."""
    from sklearn import metrics

    if numbers.min() == numbers.max():
        return {"roc_auc": None, "pr_auc": None}
    return {
        "roc_auc": float(metrics.roc_auc_score(numbers, second)),
        "pr_auc": float(metrics.average_precision_score(numbers, second)),
    }


def _baseline(found: np.ndarray, counts: np.ndarray, classes: Sequence[Any]) -> dict[str, Any]:
    """Return the scores of always the same answer: ``found`` are the scored rows of each class."""
    from sklearn import metrics

    every, majority, m = np.arange(len(classes)), int(counts.argmax()), int(found.sum())
    shares = np.tile(counts / counts.sum(), (len(classes), 1))
    two = len(classes) == 2
    known = two and found.min() > 0
    return {
        "answer": classes[majority],
        "accuracy": float(found[majority] / m),
        "balanced_accuracy": float((found[majority] > 0) / np.count_nonzero(found)),
        **({"roc_auc": 0.5 if known else None} if two else {}),
        **({"pr_auc": float(found[1] / m) if known else None} if two else {}),
        # all rows of a class have the same loss
        "log_loss": float(metrics.log_loss(every, shares, labels=every, sample_weight=found)),
    }


def regression_scores(
    numbers: np.ndarray, answers: np.ndarray, mean: float | None = None
) -> dict[str, Any]:
    """Return the scores of predicted numbers: ``r2``, ``rmse`` and ``mae``.

    Parameters
    ----------
    numbers, answers : ndarray, (m,)
        True and predicted numbers.
    mean : float or None
        Mean of the training rows, for the baseline; None takes that of ``numbers``.

    Returns
    -------
    dict
        The three scores as floats, and ``baseline`` (the same scores, and its ``answer``). ``r2``
        is None for one example.

    Examples
    --------
    >>> import numpy as np
    >>> from fastshallow.tables.scores import regression_scores
    >>> scores = regression_scores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]), mean=2.5)
    >>> scores["r2"], scores["mae"] < scores["baseline"]["mae"]
    (0.5, True)
    """
    answer = float(numbers.mean()) if mean is None else float(mean)
    baseline = _errors(numbers, np.full(len(numbers), answer))
    return {**_errors(numbers, answers), "baseline": {"answer": answer, **baseline}}


def _errors(numbers: np.ndarray, answers: np.ndarray) -> dict[str, float | None]:
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


# Totals ------------------------------------------------------------------------------------------


def totals(scores: dict[str, Any]) -> dict[str, Any]:
    """Return the scores over all examples and their baseline, without classes and labels.

    Parameters
    ----------
    scores : dict
        Result of `classification_scores`, `regression_scores` or `across_folds`.

    Examples
    --------
    >>> from fastshallow.tables.scores import totals
    >>> totals({"r2": 0.5, "classes": [], "baseline": {"answer": 2.5, "r2": 0.0}})
    {'r2': 0.5, 'baseline': {'r2': 0.0}}
    """
    found = {name: scores[name] for name in SCORES if name in scores}
    for part in ("baseline", "spread"):
        if part in scores:
            found[part] = totals(scores[part])
    return found


def across_folds(folds: Sequence[dict[str, Any]], pooled: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of a cross-validation.

    Parameters
    ----------
    folds : sequence of dict
        Scores of each fold.
    pooled : dict
        Scores of the examples of all folds together.

    Returns
    -------
    dict
        ``pooled``, but each score is the mean over the folds. ``spread`` has the standard
        deviations. The baseline has an ``answer`` if it is the same in all folds.

    Examples
    --------
    >>> from fastshallow.tables.scores import across_folds
    >>> folds = [
    ...     {"r2": 0.5, "baseline": {"answer": 3.0, "r2": 0.0}},
    ...     {"r2": 1.0, "baseline": {"answer": 3.5, "r2": -0.5}},
    ... ]
    >>> across_folds(folds, {"r2": 0.7})
    {'r2': 0.75, 'baseline': {'r2': -0.25}, 'spread': {'r2': 0.25}}
    """
    baselines = [fold["baseline"] for fold in folds]
    answers = {baseline.get("answer") for baseline in baselines}
    return {
        **pooled,
        **_over(np.mean, folds),
        "baseline": {
            **({"answer": answers.pop()} if len(answers) == 1 else {}),
            **_over(np.mean, baselines),
        },
        "spread": _over(np.std, folds),
    }


def _over(function: Any, rows: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Return a function of each score over folds, those without one left out."""
    found = {}
    for name in SCORES:
        if name in rows[0]:
            values = [row[name] for row in rows if row[name] is not None]
            found[name] = float(function(values)) if values else None
    return found


# Text --------------------------------------------------------------------------------------------


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
    """Return scores as lines of text, each with its baseline below it.

    Parameters
    ----------
    scores : dict
        Result of `classification_scores`, `regression_scores` or `across_folds`.
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
    >>> print(scores_text({"r2": -1.0, "baseline": {"answer": 2.5, "r2": 0.0}}, 3, "Test"))
    Test R2            -1.0000 (3 examples)
      baseline         0.0000, always 2.5: the model is worse
    """
    lines: list[str] = []
    for name in SCORES:
        if name in scores:
            lines += _score_lines(name, scores, examples, where if not lines else "")
    if "classes" in scores:
        lines += ["", _by_class(scores["classes"])]
        if len(scores["classes"]) <= CONFUSION_MOST:
            lines += ["", _confusion(scores)]
    return "\n".join(lines)


def _score_lines(name: str, scores: dict[str, Any], examples: int, where: str) -> list[str]:
    """Return the line of a score and that of its baseline; ``where`` makes them the first."""
    label = SCORES[name][0]
    text = _number(name, scores[name])
    if "spread" in scores:
        text += f" +- {_number(name, scores['spread'].get(name))}"
    if where:
        label, text = f"{where} {label}", f"{text} ({examples} examples)"
    if name == "pr_auc" and "classes" in scores:
        text += f" of {listed([str(scores['classes'][1]['class'])])}"
    lines = [f"{label[0].upper() + label[1:]:<18} {text}"]
    baseline = scores.get("baseline", {})
    if name in baseline:
        text = _number(name, baseline[name])
        if where and "answer" in baseline:
            answer = baseline["answer"]
            shown = f"{answer:.6g}" if isinstance(answer, float) else listed([str(answer)])
            text += f", always {shown}"
        lines.append(f"{'  baseline':<18} {text}{_verdict(name, scores[name], baseline[name])}")
    return lines


def _number(name: str, value: float | None) -> str:
    return "undefined" if value is None else format(value, SCORES[name][1])


def _verdict(name: str, value: float | None, baseline: float | None) -> str:
    """Return what is to say of a score that is not better than its baseline."""
    if value is None or baseline is None:
        return ""
    if abs(value - baseline) <= ROUNDING * max(abs(value), abs(baseline)):
        return ": the model is no better"
    return "" if (value > baseline) == SCORES[name][2] else ": the model is worse"


def scores_line(scores: dict[str, Any]) -> str:
    """Return the result of `totals` as one line.

    Parameters
    ----------
    scores : dict
        Result of `totals`.

    Examples
    --------
    >>> from fastshallow.tables.scores import scores_line
    >>> scores_line({"accuracy": 0.75, "log_loss": 0.5, "baseline": {"accuracy": 0.5}})
    'accuracy 0.7500 (baseline 0.5000), log loss 0.5000'
    """
    baseline = scores.get("baseline", {})
    return ", ".join(
        f"{label} {_number(name, scores[name])}"
        + (f" (baseline {_number(name, baseline[name])})" if name in baseline else "")
        for name, (label, _, _) in SCORES.items()
        if name in scores
    )


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
