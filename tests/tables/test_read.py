"""Reading of tables from files."""

from __future__ import annotations

from fastshallow.tables import read


def test_a_header_may_be_cut_within_a_character(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("aé,b\n1,2\n", "utf-8")
    monkeypatch.setattr(read, "HEADER_MOST", 2)  # é has two bytes
    assert read.read_table(str(path)).to_dict("list") == {"aé": [1], "b": [2]}
