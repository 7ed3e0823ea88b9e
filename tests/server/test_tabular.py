"""Rows as dqlite's shell prints them."""

from server.tabular import indented, tabular


def test_columns_stand_at_tab_stops() -> None:
    assert tabular(["id", "name"], [[1, "/registry/x"], [123456789, None]]) == (
        "id\t\tname\t\t\n1\t\t/registry/x\t\n123456789\t\t\t"
    )


def test_a_cell_as_wide_as_a_stop_takes_the_next() -> None:
    assert tabular(["12345678"], [["1"]]) == "12345678\t\n1\t\t"


def test_no_rows_are_a_head_alone() -> None:
    assert tabular(["a", "b"], []) == "a\tb\t"


def test_documents_are_indented_by_tabs() -> None:
    assert indented([{"ID": 1}]) == '[\n\t{\n\t\t"ID": 1\n\t}\n]'
