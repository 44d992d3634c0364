"""Scores of a model on encoded rows, and the importance of its columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tables.importance import permutation_importance
from ..tables.pipeline import Pipeline
from ..tables.scores import classification_scores, regression_scores

__all__ = ["answers_of", "importance_of", "scores_from", "scores_of"]


def answers_of(
    model: Pipeline, X: np.ndarray, y: np.ndarray, n_threads: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return class numbers and probabilities, or right and predicted numbers, of encoded rows."""
    if model.task == "classification":
        return y, model.probabilities(X, n_threads)
    return y * model.target.scale + model.target.mean, model.answers(X, n_threads)


def scores_from(
    model: Pipeline, right: np.ndarray, answers: np.ndarray, threshold: float = 0.5
) -> dict[str, Any]:
    """Return the scores of the result of `answers_of`."""
    if model.task == "regression":
        return regression_scores(right, answers, model.target.mean)
    counts = (model.scores or {}).get("class_counts")
    return classification_scores(right, answers, model.target.classes, counts, threshold)


def scores_of(
    model: Pipeline,
    X: np.ndarray,
    y: np.ndarray,
    n_threads: int | None,
    threshold: float = 0.5,
) -> dict[str, Any] | None:
    """Return the scores of encoded rows, None where there are none."""
    if not len(X):
        return None
    return scores_from(model, *answers_of(model, X, y, n_threads), threshold)


def importance_of(
    model: Pipeline, X: np.ndarray, y: np.ndarray, n_threads: int | None, seed: int = 0
) -> list[dict[str, Any]]:
    """Return by column how much log loss or RMSE grow when its values are shuffled."""
    from sklearn import metrics

    labels = y.astype(X.dtype)
    right = y * model.target.scale + model.target.mean

    def loss(X: np.ndarray) -> float:
        if model.task == "classification":
            return float(model.net.cost(X.T, labels, n_threads=n_threads))
        return float(metrics.root_mean_squared_error(right, model.answers(X, n_threads)))

    return permutation_importance(model.columns, X, loss, seed)
