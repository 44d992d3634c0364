"""Permutation importance, compared with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.inspection import permutation_importance as theirs
from sklearn.linear_model import LinearRegression

from fastshallow.tables.columns import Column
from fastshallow.tables.importance import permutation_importance


def test_the_inputs_of_a_column_are_shuffled_together(rng):
    city = rng.integers(0, 3, 400)
    X = np.concatenate([np.eye(3)[city], rng.normal(size=(400, 2))], axis=1)
    y = np.array([0.0, 1.0, 5.0])[city] + 0.5 * X[:, 3]
    columns = [Column("city", "text", categories=("a", "b", "c")), Column("x", "number")]
    columns.append(Column("noise", "number"))
    before = X.copy()
    model = LinearRegression().fit(X, y)

    def loss(X):
        return float(((model.predict(X) - y) ** 2).mean())

    rows = permutation_importance(columns, X, loss)
    assert np.array_equal(X, before)
    assert [row["column"] for row in rows] == ["city", "x", "noise"]
    variance = np.array([0.0, 1.0, 5.0])[city].var()
    assert rows[0]["mean"] == pytest.approx(2 * variance, rel=0.2)  # as by independent rows
    found = theirs(model, X, y, scoring="neg_mean_squared_error", n_repeats=50, random_state=0)
    assert rows[1]["mean"] == pytest.approx(found.importances_mean[3], rel=0.3)
    assert abs(rows[2]["mean"]) < 1e-10
    assert permutation_importance(columns, X, loss) == rows
    assert permutation_importance(columns, X, loss, seed=1) != rows
