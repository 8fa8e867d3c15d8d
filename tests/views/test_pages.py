"""Pages for people: whole in one file, nothing fetched, and no name is ever markup."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from PIL import Image

from featx.errors import FeatxError
from featx.views.notebook import MOST_PHOTOS, MOST_ROWS, notebook_table
from featx.views.pages import write_page
from featx.views.sheet import Sheet, SheetPhoto

EVIL = '<script>alert("x")</script>'


def test_names_are_text_in_every_page():
    path = f"/nowhere/{EVIL}"
    photo = SheetPhoto(EVIL, EVIL, path, EVIL, EVIL, (EVIL,), EVIL, ((EVIL, EVIL),), {EVIL: EVIL}, EVIL)
    for page in (
        Sheet(EVIL, [photo], [EVIL], 1, EVIL).to_html(),
        notebook_table(EVIL, (EVIL,), [(EVIL,)], [[path]]),
    ):
        assert "<script>alert" not in page
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
    page = Sheet("Found", [SheetPhoto("a", "", str(tmp_path / "a.png"), "a")], [], 1, "the first").to_html()
    assert "default-src 'none'; img-src data:" in html.unescape(page)
    assert re.findall(r'(?:src|href)="([^"]{5})', page) == ["data:"]


def test_a_name_that_is_no_text_is_shown_by_its_bytes(tmp_path):
    name = b"br\xf6ken.jpg".decode("utf-8", "surrogateescape")
    page = Sheet("Found", [SheetPhoto(name, "", name, name)], [], 1, "the first").to_html()
    assert r"br\udcf6ken.jpg" in page
    write_page(tmp_path / "page.html", page)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_a_page_without_a_name_is_refused_in_words(tmp_path):
    with pytest.raises(FeatxError, match="not a file name"):
        write_page(Path(), "")
    with pytest.raises(FeatxError, match="cannot write"):
        write_page(tmp_path / "no" / "page.html", "")
