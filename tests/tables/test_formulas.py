"""Text that a spreadsheet would run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fastshallow.tables.formulas import without_formulas


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=cmd|' /C calc'!A0", "+SUM(A1)", "-A1", "@SUM(1)", "\t=1", " =A1", "-2+cmd|'x'!A0"],
)
def test_formulas_have_an_apostrophe_before_them(text):
    columns, changed = without_formulas({"a": ["x", text], text: [1, 2]})
    assert columns == {"a": ["x", f"'{text}"], f"'{text}": [1, 2]}
    assert changed == {"a": 1, text: 1}


@pytest.mark.parametrize(
    "text",
    ["-1.5", "+1", "-1e-5", "-inf", "-1,5", "-12%", "+47 22 33 44", "-", "+", "=", "a=b", "", "'"],
)
def test_numbers_and_signs_stay(text):
    assert without_formulas({"a": [text]}) == ({"a": [text]}, {})


def test_columns_of_other_kinds_stay():
    table = {
        "number": np.array([-1.5, 2.0]),
        "integer": pd.Series([-1, 2]),
        "text": np.array(["-1", "b"], object),
        "missing": pd.Series(["=1", None]),
        "date": pd.to_datetime(pd.Series(["2024-01-01", None])),
    }
    columns, changed = without_formulas(table)
    assert changed == {"missing": 1}
    assert columns["missing"][0] == "'=1" and pd.isna(columns["missing"][1])
    assert all(columns[name] is table[name] for name in table if name != "missing")
