"""The estimators: predictions for one row or a few, which go a way of their own."""

from __future__ import annotations

import numpy as np
import pytest
from peer import NUMBERS, QUICK, data, mine, quietly

from fastshallow.estimators import base


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["iris", "binary", "multilabel", "strings", *NUMBERS])
def test_few_rows_are_predicted_as_many(name, dtype):
    X, y = data(name)
    model = quietly(mine(name, **QUICK, dtype=dtype).fit, X, y)
    # above FEW_VALUES values the rows go another way
    many = np.tile(X, (9, 1))
    methods = ["predict"] + ["predict_proba"] * (name not in NUMBERS)
    for method in methods:
        wanted = getattr(model, method)(many)[: len(X)]
        for kind in ("float32", "float64"):
            if kind == "float32" and dtype == "float64":
                continue  # X is rounded
            for rows in (1, 3):
                found = getattr(model, method)(X[:rows].astype(kind))
                assert np.array_equal(found, wanted[:rows])
                assert found.dtype == wanted.dtype
        listed = getattr(model, method)(X[:1].tolist())
        assert np.array_equal(listed, wanted[:1])


@pytest.mark.parametrize("name", ["iris", "binary", "multilabel", "strings", *NUMBERS])
def test_one_row_is_neither_validated_nor_copied(name, monkeypatch):
    X, y = data(name)
    model = quietly(mine(name, **QUICK).fit, X, y)
    monkeypatch.setattr(base, "validate_data", None)
    monkeypatch.setattr(base, "check_is_fitted", None)
    for method in ["predict"] + ["predict_proba"] * (name not in NUMBERS):
        assert len(getattr(model, method)(X[:1])) == 1
        with pytest.raises(TypeError, match="not callable"):  # lists are
            getattr(model, method)(X[:1].tolist())
