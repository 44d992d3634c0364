"""Words in a column: which are numbers, and what is said about the others."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fastshallow.tables.words import doubt, number_of, to_numbers

NUMBERS = [str(n) for n in range(40)]


@pytest.mark.parametrize(
    ("word", "decimal", "value", "unit"),
    [
        ("1234.5", ".", 1234.5, ""),
        ("-.5e3", ".", -500, ""),
        ("007", ".", 7, ""),
        ("$1,234.50", ".", 1234.5, "$"),
        ("-$1,234,567", ".", -1234567, "$"),
        ("12%", ".", 12, "%"),
        ("12 %", ".", 12, "%"),
        ("1 234", ".", 1234, ""),
        ("1'234.5", ".", 1234.5, ""),
        ("1.234,5 €", ",", 1234.5, "€"),
        ("0,5", ",", 0.5, ""),
        ("\u22125", ".", -5, ""),
        ("1,5", ".", None, ""),
        ("1,2,3", ".", None, ""),
        ("01,234", ".", None, ""),
        ("1 234,567", ".", None, ""),
        ("1.2.3", ".", None, ""),
        ("$5%", ".", None, ""),
        ("1_000", ".", None, ""),
        ("0x10", ".", None, ""),
        ("inf", ".", None, ""),
        ("1e999", ".", None, ""),
        ("9" * 400, ".", None, ""),
        ("", ".", None, ""),
        ("-", ".", None, ""),
        (".", ".", None, ""),
        ("$", ".", None, ""),
    ],
)
def test_numbers_as_people_write_them(word, decimal, value, unit):
    found, mark = number_of(word, decimal)
    assert mark == unit if value is not None else math.isnan(found)
    assert value is None or found == value


def test_without_units_and_thousands():
    words = ("1,234", "$5", "5%", "1.5")
    found = [number_of(word, written=False)[0] for word in words]
    assert np.isnan(found[:3]).all() and found[3] == 1.5


@pytest.mark.parametrize(
    ("values", "said", "refused"),
    [
        (["Oslo", "Rome", None], "", False),
        (["A1", "B2"], "", False),
        (["2024-01-05", "09:30", "10.0.0.1"], "", False),
        ([*NUMBERS, "?"], "numbers, but '?' in row 41; --missing '?' reads it as missing", True),
        (
            [*NUMBERS, "?", "x", "?", None],
            "numbers, but '?' in 2 rows (41, 43), 'x' in row 42; --missing '?' --missing 'x' reads",
            True,
        ),
        (
            ["0"] * 20 + ["1"] * 10 + ["3+"] * 4,
            "because of '3+' in 4 rows (31, 32, 33, ...)",
            False,
        ),
        (["0", "1", "?"] * 9, "--missing '?' reads it as missing, --text 'a' reads it as", False),
        (["a", "b", "?"] * 9, "a category is '?' in 9 rows (3, 6, 9, ...); --missing '?'", False),
        (
            [f"{n},5" for n in range(30)],
            "30 of 30 rows are written such as '0,5'; --decimal ,",
            True,
        ),
        ([f"${n}" for n in range(30)], "such as '$0'; --number 'a' reads signs and sep", True),
        (["1,5", "2,5"] * 9, "18 of 18 rows are written such as '1,5'; --decimal ,", False),
        ([f"PC {n}" for n in range(30)] + NUMBERS, "text, though 40 of 70 rows are numbers", False),
    ],
)
def test_doubts(values, said, refused):
    text, refuse = doubt("a", pd.Series(values))
    assert (said in text if said else text == "") and refuse == refused
    assert text.startswith("column 'a': ") or not said
    assert len(text) < 600 and text.isprintable()


def test_a_file_with_types_says_what_is_text():
    column = pd.Series(NUMBERS)
    assert doubt("a", column, parquet=True) == ("", False)
    assert doubt("a", column)[1]


def test_columns_become_numbers_or_say_why_not():
    def numbers(values, decimals=".", written=True):
        return to_numbers("a", pd.Series(values), decimals, written, False)

    values, problem = numbers(["$1,234.50", None, "7"])
    assert values.tolist()[::2] == [1234.5, 7.0] and np.isnan(values[1]) and not problem
    assert numbers(["1.234 €", "2,5 €"], ".,")[0].tolist() == [1234.0, 2.5]
    for given, text in (
        (
            (["1", "x", "x"],),
            "column 'a': expected numbers, as --number says; got 'x' in 2 rows (2, 3)",
        ),
        ((["1", "12%"],), "expected numbers of one unit, as --number says; got '1', '12%'"),
        ((["$1", "€1"],), "of one unit"),
        ((["1,5"],), "got '1,5' in row 1; --decimal , reads decimal commas"),
        ((["1,234"], ".", False), "--number 'a' reads signs and separators of thousands"),
        ((["1.234 €"], ".,"), "'1.234 €' may be 1.234 or 1234; --decimal says which"),
    ):
        values, problem = numbers(*given)
        assert values is None and text in problem, problem
