"""The columns of a person's own table in tables on a terminal: what fits, or what was asked for."""

from __future__ import annotations

import pytest

from featx.cli.own_columns import OwnColumns, requested_columns
from featx.errors import FeatxError

COLUMNS = ["#", "product", "file", ""]
ROWS = [[1, "S1", "a/very/long/way/to/one.jpg", ""], [2, "S2", "two.jpg", "unsure"]]
OWN = [
    {"SKU": "S1", "title": "A mug that is green all over and has a handle", "price": 4.5, "empty": None},
    {"SKU": "S2", "title": "A hat", "price": None, "empty": None},
]


def test_a_wide_terminal_shows_them_before_the_paths_but_none_twice_and_none_that_is_empty():
    columns, rows, numbers = OwnColumns(OWN).fitting(COLUMNS, ROWS, ["file"], 120)
    assert columns == ["#", "product", "title", "price", "file", ""]
    assert rows[0][2:4] == ["A mug that is green all ove…", "4.5"] and rows[1][3] == ""
    assert numbers == ["price"]


def test_a_narrow_terminal_shows_as_many_as_fit_and_leaves_the_paths_their_room():
    columns, rows, _ = OwnColumns(OWN).fitting(COLUMNS, ROWS, ["file"], 60)
    assert columns == ["#", "product", "price", "file", ""]
    columns, rows, _ = OwnColumns(OWN).fitting(COLUMNS, ROWS, ["file"], 30)
    assert (columns, rows) == (COLUMNS, ROWS)


def test_where_the_file_comes_first_they_stand_behind_and_a_remark_stays_at_the_end():
    columns, _, _ = OwnColumns(OWN).fitting(
        ["file", "category", ""], [["a", "mugs", ""], ["b", "hats", ""]], ["file"], 200
    )
    assert columns == ["file", "category", "SKU", "title", "price", ""]


def test_those_that_were_asked_for_are_shown_whole_in_a_pipe_too():
    own = OwnColumns(OWN, requested_columns("Title, sku", ["SKU", "title"]))
    columns, rows, _ = own.fitting(COLUMNS, ROWS, ["file"], 20)
    assert columns == ["#", "product", "title", "SKU", "file", ""]
    assert rows[0][2] == OWN[0]["title"]
    assert own.named(COLUMNS, ROWS)[0] == [*COLUMNS, "title", "SKU"]
    assert OwnColumns(OWN, requested_columns("none", [])).named(COLUMNS, ROWS)[0] == COLUMNS


def test_a_column_that_the_table_does_not_have_is_named_with_those_it_has():
    with pytest.raises(FeatxError, match="no column `titel`") as caught:
        requested_columns("SKU,titel", ["SKU", "title"])
    assert caught.value.code == "bad-column" and "title" in caught.value.hint
