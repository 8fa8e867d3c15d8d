"""The report of a comparison with columns: the rows photo, columns and both, and photos that the columns decided."""

from __future__ import annotations

from featx.reporting import write_report
from tests.reporting.documents import SCRIPT, catalogue, comparison


def test_the_page_shows_the_photo_the_columns_and_both_with_photos_they_decided(tmp_path):
    shop = catalogue(tmp_path / "photos", ["boots", "hats", SCRIPT], 8, photos=24)
    tried = [
        {"name": "photo", "correct": 80, "n": 100},
        {"name": "columns", "correct": 60, "n": 100},
        {"name": "averaged", "correct": 90, "n": 100, "p": 0.001, "chosen": True},
    ]
    gain = {"photo": 0.8, "both": 0.9, "difference": 0.1, "ci95": [0.04, 0.16], "p": 0.001, "n": 100}
    record = {
        "way": "averaged",
        "reads": False,
        "columns": [{"name": SCRIPT, "kind": "text", "given": 0.9}],
        "tried": tried,
        "cv": gain,
        "tried_on_held_out": [{"name": "averaged", "correct": 41, "n": 50, "chosen": True}],
        "test": None,
        "decided": [{"id": shop.ids[0], "truth": "boots", "photo": SCRIPT, "both": "boots", "text": f"LACED {SCRIPT}"}],
        "words": {SCRIPT: [{"word": "laced", "here": 7, "of": 8, "elsewhere": 1, "others": 16}]},
    }
    compared = comparison(shop) | {"columns": record}
    written = write_report(compared, shop, root=tmp_path / "reports", formats=("html", "json", "md"))
    page = written.page.read_text()
    assert "Beside the photo" in page and "both, averaged" in page and "Photos that the columns decided" in page
    for share in ("80.0%", "60.0%", "90.0%"):
        assert share in page
    assert SCRIPT not in page
    assert "82.0%" in page and "LACED" in page and "7</data> of" in page.replace("</span>", "</data>")
    short = next(written.folder.glob("*.md")).read_text()
    assert "| both, averaged | 90.0% | 82.0% |" in short and "| laced |" in short and SCRIPT not in short
