"""Pages for people: whole in one file, nothing fetched, and no name is ever markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from featx.errors import FeatxError
from featx.views.findings import Photo, PhotoGroup, findings_page
from featx.views.notebook import MOST_PHOTOS, MOST_ROWS, notebook_table
from featx.views.pages import write_page

EVIL = '<script>alert("x")</script>'


def test_names_are_text_in_every_page():
    photo = Photo(f"/nowhere/{EVIL}", (EVIL, "'"))
    for page in (
        findings_page(EVIL, EVIL, [PhotoGroup(EVIL, [photo])]),
        notebook_table(EVIL, (EVIL,), [(EVIL,)], [[photo.path]]),
    ):
        assert "<script" not in page
        assert "&lt;script&gt;" in page


def test_a_notebook_is_shown_the_first_rows_and_photos_and_told_of_how_many(tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    table = notebook_table("Rows", ("name", "empty"), [("x" * 500, None)] * 1000, [[str(tmp_path / "a.png")]] * 1000)
    assert table.count("<tr>") == MOST_ROWS + 1
    assert table.count("<img") == MOST_PHOTOS
    assert f"Rows (the first {MOST_ROWS} of 1,000 are shown)" in table
    assert len(table) < 100_000 and "<td>–</td>" in table


def test_a_page_loads_nothing_and_says_so(tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    page = findings_page("Found", "One group.", [PhotoGroup("1", [Photo(str(tmp_path / "a.png"), ("a",))])])
    assert "default-src 'none'; img-src data:" in page
    assert re.findall(r'(?:src|href)="([^"]{5})', page) == ["data:"]


def test_a_name_that_is_no_text_is_shown_by_its_bytes(tmp_path):
    name = b"br\xf6ken.jpg".decode("utf-8", "surrogateescape")
    page = findings_page("Found", "", [PhotoGroup("1", [Photo(name, (name,))])])
    assert r"br\udcf6ken.jpg" in page
    write_page(tmp_path / "page.html", page)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_of_a_large_group_the_first_photos_are_shown_and_the_others_counted():
    page = findings_page("Found", "", [PhotoGroup("1", [Photo(f"{i}.jpg", (str(i),)) for i in range(25)])])
    assert page.count("<li") == 20
    assert "and 5 more" in page


def test_a_page_without_a_name_is_refused_in_words(tmp_path):
    with pytest.raises(FeatxError, match="not a file name"):
        write_page(Path(), "")
    with pytest.raises(FeatxError, match="cannot write"):
        write_page(tmp_path / "no" / "page.html", "")
