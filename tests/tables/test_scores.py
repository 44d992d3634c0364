"""Scores and their baselines, compared with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.dummy import DummyClassifier, DummyRegressor

from fastshallow.tables.scores import (
    across_folds,
    classification_scores,
    predicted_classes,
    regression_scores,
    totals,
)
from fastshallow.tables.scores_text import scores_line, scores_text


@pytest.fixture
def rare():
    """Return a thousand rows with five of the class "yes", and probabilities that miss most."""
    y = np.zeros(1000, int)
    y[:5] = 1
    p = np.full(1000, 0.01)
    p[[0, 7, 8]] = 0.9  # one is found, two are false
    return y, np.stack([1 - p, p], axis=1)


@pytest.mark.parametrize("n", [2, 3])
def test_scores_are_those_of_scikit_learn(n, rng):
    y, train = rng.integers(0, n, 60), rng.integers(0, n, 90)
    P = rng.dirichlet(np.ones(n), 60)
    found = classification_scores(y, P, list("abc"[:n]), np.bincount(train))
    assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(y, P.argmax(axis=1))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, P))
    assert ("roc_auc" in found) == ("pr_auc" in found) == (n == 2)
    if n == 2:
        assert found["roc_auc"] == metrics.roc_auc_score(y, P[:, 1])
        assert found["pr_auc"] == metrics.average_precision_score(y, P[:, 1])
    dummy = DummyClassifier(strategy="prior").fit(train[:, None], train)
    same = classification_scores(y, dummy.predict_proba(y[:, None]), list("abc"[:n]))
    baseline = found["baseline"]
    assert baseline.pop("answer") == "abc"[int(dummy.predict([[0]])[0])]
    assert set(baseline) == {name for name, value in found.items() if isinstance(value, float)}
    for name, value in baseline.items():
        assert value == pytest.approx(same[name], abs=1e-12), name


def test_a_model_that_is_worse_than_its_baseline_looks_bad(rare):
    y, P = rare
    scores = classification_scores(y, P, ["no", "yes"])
    assert scores["accuracy"] == 0.994 < scores["baseline"]["accuracy"] == 0.995
    lines = scores_text(scores, 1000).splitlines()
    assert lines[0] == "Held-out accuracy  0.9940 (1000 examples)"
    assert lines[1] == "  baseline         0.9950, always 'no': the model is worse"
    assert lines[2:4] == ["Balanced accuracy  0.5990", "  baseline         0.5000"]
    assert lines[6].startswith("PR AUC             0.") and lines[6].endswith(" of 'yes'")
    assert lines[7] == "  baseline         0.0050"


def test_a_model_that_says_what_the_baseline_says_is_no_better():
    y = np.array([0, 0, 1])
    P = np.tile([2 / 3, 1 / 3], (3, 1))
    text = scores_text(classification_scores(y, P, [0, 1]), 3, "Test")
    assert text.count(": the model is no better") == 5
    assert "always '0': the model is no better" in text


def test_one_class_has_no_areas():
    scores = classification_scores(np.array([1, 1]), np.full((2, 2), 0.5), ["a", "b"], [3, 2])
    assert scores["roc_auc"] is None and scores["baseline"]["pr_auc"] is None
    assert scores["baseline"]["accuracy"] == scores["baseline"]["balanced_accuracy"] == 0
    assert "ROC AUC            undefined\n  baseline         undefined\n" in scores_text(scores, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_threshold_is_for_the_second_class(dtype):
    P = np.array([[0.7, 0.3], [0.71, 0.29], [0.1, 0.9]], dtype)
    assert predicted_classes(P).tolist() == [0, 0, 1]
    assert predicted_classes(P, 0.295).tolist() == [1, 0, 1]
    assert predicted_classes(P, 0.0).tolist() == [1, 1, 1]
    assert predicted_classes(P, 1.0).tolist() == [0, 0, 0]
    y = np.array([1, 0, 1])
    scores = classification_scores(y, P, ["no", "yes"], threshold=0.295)
    assert scores["accuracy"] == 1 and scores["confusion"] == [[1, 0], [0, 2]]
    assert scores["log_loss"] == classification_scores(y, P, ["no", "yes"])["log_loss"]


def test_a_regression(rng):
    y, answers, train = rng.normal(size=20), rng.normal(size=20), rng.normal(size=30)
    scores = regression_scores(y, answers, train.mean())
    dummy = DummyRegressor().fit(train[:, None], train).predict(y[:, None])
    assert scores["baseline"]["r2"] == pytest.approx(metrics.r2_score(y, dummy))
    assert scores["baseline"]["mae"] == pytest.approx(metrics.mean_absolute_error(y, dummy))
    assert scores["r2"] < scores["baseline"]["r2"]
    lines = scores_text(scores, 20).splitlines()
    assert lines[1].endswith(f", always {train.mean():.6g}: the model is worse")
    assert lines[3].startswith("  baseline         ")
    assert regression_scores(y[:1], answers[:1])["baseline"]["r2"] is None


def test_folds(rng):
    y, P = rng.integers(0, 2, 40), rng.dirichlet(np.ones(2), 40)
    folds = [classification_scores(y[i::4], P[i::4], [0, 1], [1, 2]) for i in range(4)]
    scores = across_folds(folds, classification_scores(y, P, [0, 1]))
    values = [fold["accuracy"] for fold in folds]
    assert (scores["accuracy"], scores["spread"]["accuracy"]) == (np.mean(values), np.std(values))
    assert scores["baseline"]["answer"] == 1 and np.sum(scores["confusion"]) == 40
    text = scores_text(scores, 40, "4-fold")
    mean, spread = np.mean(values), np.std(values)
    assert text.startswith(f"4-fold accuracy    {mean:.4f} +- {spread:.4f} (40 examples)\n")
    folds[1]["baseline"]["answer"] = 0
    assert "answer" not in across_folds(folds, scores)["baseline"]
    folds[0]["roc_auc"] = None
    assert across_folds(folds, scores)["roc_auc"] == np.mean([f["roc_auc"] for f in folds[1:]])


def test_totals_are_numbers(rare):
    found = totals(classification_scores(*rare, ["no", "yes"]))
    assert set(found) == {"accuracy", "balanced_accuracy", "roc_auc", "pr_auc", "log_loss"} | {
        "baseline"
    }
    assert set(found["baseline"]) == set(found) - {"baseline"}
    assert scores_line(found).startswith("accuracy 0.9940 (baseline 0.9950), balanced accuracy ")
