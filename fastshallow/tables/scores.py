"""Scores of a model on examples with known answers, as numbers for JSON.

A baseline stands beside every score: the same score of a model that ignores the features. It always
answers the commonest class of the training rows, with the shares of their classes as
probabilities, or their mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "SCORES",
    "across_folds",
    "classification_scores",
    "predicted_classes",
    "regression_scores",
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
        The three scores as floats, and ``baseline`` (the same scores, and its ``answer``). A score
        is None where it is not finite: ``r2`` of one example, or squares beyond float64.

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

    with warnings.catch_warnings(), np.errstate(all="ignore"):  # squares may overflow
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        found = {
            "r2": float(metrics.r2_score(numbers, answers)),
            "rmse": float(metrics.root_mean_squared_error(numbers, answers)),
            "mae": float(metrics.mean_absolute_error(numbers, answers)),
        }
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


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
