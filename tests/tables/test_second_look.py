"""What pandas takes for something else, or does not tell: decimals, NA, spellings, empty lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import numpy as np
import pandas as pd
import pytest

from fastshallow.tables.mistakes import Mistake
from fastshallow.tables.read import read_noted, read_table, table_csv
from fastshallow.tables.reading import Reading
from fastshallow.tables.values import read_values


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a text as a file, and looks at all columns."""

    def read(content, kinds=None, kept=lambda names: [], **options):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = read_noted(str(path), Reading(**options), kinds, kept)
        for name in found.frame:
            found.look(name)
        return found

    return read


def said(found, name):
    return " ".join([found.problems.get(name, ""), *found.notes.get(name, [])])


# Decimals ----------------------------------------------------------------------------------------


def test_points_of_thousands_beside_decimal_commas_are_refused(read):
    text = "price;n\n900;0,5\n1.017;1,5\n902;2,5\n"
    found = read(text)
    assert "'1.017' stands beside decimal commas in other columns; --decimal ," in said(
        found, "price"
    )
    for kinds in (None, {"price": "number", "n": "number"}):
        found = read(text, kinds, decimal=",")
        assert not found.problems
        assert found.frame["price"].tolist() == [900, 1017, 902]
        assert found.frame["n"].tolist() == [0.5, 1.5, 2.5]


def test_points_that_may_be_thousands_are_told(read):
    text = "price;n\n900;5\n1.017;6\n"
    assert "'1.017' is read with a decimal point; --decimal , reads" in said(read(text), "price")
    assert not said(read(text, decimal="."), "price")
    assert read(text, decimal=",").frame["price"].tolist() == [900, 1017]
    assert not said(read(text.replace("6\n", "0.5\n")), "price")  # the sign of the file is known
    money = text.replace("n\n", "n;m\n").replace(";5", ";5;0,50 €").replace(";6", ";6;1,50 €")
    assert "stands beside decimal commas" in said(read(money, number=["m"]), "price")
    for other in ("0.123", "1.5", "1.0171"):
        assert not said(read(text.replace("1.017", other)), "price")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["1.234,5", "2,5"], [1234.5, 2.5]),
        (["1.000", "2.500"], [1000, 2500]),
        (["1.234.567", "3"], [1234567, 3]),
        (["-0,5", "1e-3"], [-0.5, 0.001]),
        (["1,5", "2.5"], None),
    ],
)
@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_named_decimal_comma_reads_all_that_have_one(read, words, wanted, separator):
    text = separator.join(["a", "b"]) + "".join(f"\n{word}{separator}x" for word in words)
    found = read(text, decimal=",")
    if wanted is None:
        assert "--decimal ," not in said(found, "a")  # the advice was taken
    else:
        assert found.frame["a"].tolist() == wanted


def test_whole_numbers_that_are_written_keep_their_digits(read):
    words = ["1000000000000000000000001", "1,000,000,000,000,000,000,000,002", "7", ""]
    found = read("a,b\n" + "".join(f'"{word}",x\n' for word in words), number=["a"])
    values = read_values("a", found.frame["a"])
    assert values.exact.tolist() == [10**24 + 1, 10**24 + 2, 7, None]


def test_missing_values_beside_integers_beyond_64_bits(read):
    words = ["1000000000000000000000001", "x", "", "NA", "?"] * 10
    found = read("a,b\n" + "".join(f"{word},x\n" for word in words), missing=["?"])
    assert found.frame["a"].isna().tolist() == [word in ("", "NA", "?") for word in words]


# Words -------------------------------------------------------------------------------------------


def test_a_word_in_most_rows_among_many_numbers_is_refused(read):
    words = [*map(str, range(135)), *["n/k"] * 165]
    found = read("a\n" + "\n".join(words))
    assert found.problems["a"].startswith("column 'a': numbers, but 'n/k' in 165 rows (136, 137,")
    assert "--missing 'n/k' reads it as missing" in found.problems["a"]
    sizes = read("a\n" + "\n".join([*"SML"] * 50 + ["36", "38"]))
    assert not sizes.problems


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--", "--missing='--' reads"),
        ("it's", "--missing 'it'\\''s' reads"),
        ("x" * 99, "--missing WORD reads"),
        ("a\tb", "--missing WORD reads"),
    ],
)
def test_hints_can_be_typed(read, word, hint):
    found = read("a,b\n" + "".join(f"{i},x\n" for i in range(60)) + f'"{word}",x\n')
    assert hint in found.problems["a"]


def test_a_long_column_is_looked_at_fast(read):
    found = read("a\n" + "\n".join([*map(str, range(100_000)), "?"]))  # not in quadratic time
    assert "numbers, but '?' in row 100001" in found.problems["a"]


def test_messages_of_many_words_are_short(read):
    strays = [f"w{i % 150}x" for i in range(150)]
    found = read("a\n" + "\n".join([*map(str, range(9000)), *strays]))
    assert "148 more words in 148 rows; --missing WORD reads" in found.problems["a"]
    assert len(found.problems["a"]) < 300


def test_na_among_numbers_is_missing_where_na_is_kept_in_text(read):
    text = "country,n\nNA,1\nNO,NA\nNA,3\n"
    found = read(text, keep_na=True)
    assert found.frame["country"].tolist() == ["NA", "NO", "NA"]
    np.testing.assert_array_equal(found.frame["n"], [1, np.nan, 3])
    assert read(text, {"country": "text", "n": "number"}, keep_na=True).frame["n"].isna().sum() == 1


def test_spellings_and_spaces_are_told(read):
    found = read("a,b,c\nTrue,yes,x\ntrue,yes ,y\nFalse,no,x\n")
    assert "'True', 'true' are read as booleans; --text 'a'" in said(found, "a").replace(
        "'False', ", ""
    )
    assert "'yes' and 'yes ' differ by spaces alone" in said(found, "b")
    assert not said(found, "c")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_zeros_are_told_in_every_encoding(read, encoding):
    found = read("a,b\n007 ,x\n12,y\n".encode(encoding))
    assert "1 row with zeros, such as '007', read as numbers" in said(found, "a").replace(
        "007 ", "007"
    )
    assert found.frame["a"].tolist() == [7, 12]


@pytest.mark.parametrize("word", ["007", "+07", "-07", " 007 ", '"007"'])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_zeros_before_a_number_are_told_whatever_stands_around(read, word, separator):
    found = read(f"b{separator}a\nx{separator}{word}\ny{separator}12\n")
    assert "1 row with zeros, such as" in said(found, "a")
    for other in ("0", "-0", "0.5", "70", "1e07"):
        assert not said(read(f"b{separator}a\nx{separator}{other}\ny{separator}12\n"), "a")


def test_a_space_that_makes_booleans_text_is_told(read):
    found = read("a,b\nTRUE,x\nTrue ,y\nFalse,x\n")
    assert "'TRUE' and 'True ' differ by spaces alone" in said(found, "a")
    assert not said(read("a,b\nOslo,x\noslo,y\n"), "a")


def test_words_that_are_nowhere_are_known(read):
    found = read("a,b\n?,x\n2,y\n", missing=["?", "n/k"])
    assert found.unused == ["n/k"]
    assert not read("a\n1\n", {"a": "number"}, missing=["?"]).unused


# Rows and files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["c", '"c"'])
@pytest.mark.parametrize("before", ["", "\n"])
@pytest.mark.parametrize("after", ["", "\n", "\n\n \n"])
def test_empty_lines_of_one_column_are_rows(read, header, before, after):
    text = f"{before}{header}\n1\n\n50\n  \n7{after}"
    found = read(text, kept=lambda names: names)
    np.testing.assert_array_equal(found.frame["c"], [1, np.nan, 50, np.nan, 7])
    assert found.kept["c"].str.strip().tolist() == ["1", "", "50", "", "7"]
    assert read(f"{before}a,b\n1,2\n\n3,4{after}").frame["a"].tolist() == [1, 3]


def test_files_are_known_by_their_beginning(tmp_path, monkeypatch):
    text = b"a,b\n1,2\n"
    for name, pack in (("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)):
        for end in (name, name.upper(), "csv"):
            path = tmp_path / f"t.{end}"
            path.write_bytes(pack(text))
            assert read_table(str(path))["b"].tolist() == [2]
    path = tmp_path / "t.csv.gz"
    path.write_bytes(text)
    with pytest.raises(Mistake, match="cannot be decompressed"):
        read_table(str(path))
    path = tmp_path / "t.csv"
    path.write_bytes(b"PK\x03\x04rest")
    with pytest.raises(Mistake, match="got a ZIP archive"):
        read_table(str(path))


def test_what_is_written_is_read_again():
    columns = {"a": ["x\ry", "x\ny", 'say "hi"', "a,b"], "b": [1.5, 2.5, 3.5, 4.5]}
    again = pd.read_csv(io.StringIO(table_csv(columns), newline=""))
    assert again.to_dict("list") == columns
