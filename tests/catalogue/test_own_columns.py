"""A person's own columns keep their names and cells beside those of featx."""

from __future__ import annotations

from featx.catalogue.own_columns import beside, checked_headings, joined_headings, written_names
from featx.catalogue.reading import read_catalogue
from tests.conftest import photo


def test_a_name_that_featx_uses_gets_an_underscore_and_no_two_columns_share_one():
    assert written_names(["title", "sure", "sure_"], ["file", "sure"]) == {
        "title": "title", "sure": "sure__", "sure_": "sure_",
    }  # fmt: skip
    assert beside({"sure": 1.0}, {"price": float("inf"), "sure": "x"}) == {"sure": 1.0, "price": None, "sure_": "x"}


def test_what_the_first_table_calls_a_thing_stays_its_name():
    assert joined_headings({"SKU": "item_id"}, {"id": "item_id", "Kind": "label"}) == {
        "SKU": "item_id",
        "Kind": "label",
    }
    assert checked_headings({"SKU": "item_id", "x": "__class__", "y": 3}) == {"SKU": "item_id"}
    assert checked_headings(["SKU"]) == {}


def test_items_and_missing_photos_keep_every_cell_under_its_own_heading(tmp_path):
    photo(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text("image,SKU,Category,price\na.jpg,007,mugs,1.5\nb.jpg,008,hats,2\n")
    catalogue = read_catalogue(tmp_path / "t.csv")
    assert catalogue.columns == ["SKU", "Category", "price"]
    assert catalogue.items[0].columns == {"SKU": "007", "Category": "mugs", "price": 1.5}
    assert catalogue.skipped[0].columns == {"SKU": "008", "Category": "hats", "price": 2.0}
