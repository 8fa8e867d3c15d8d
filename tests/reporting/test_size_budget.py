"""The page's limit: what is least useful goes first, nothing goes in vain, and what went is said."""

from __future__ import annotations

import base64
import json
import re
from itertools import pairwise

import numpy as np
import pytest

from featx.reporting import write_files, write_report
from featx.reporting.files import LIMIT
from featx.reporting.formatting import NUMBER_FORMATS, value_at
from featx.reporting.page import renderer
from featx.reporting.plots import svg_of
from featx.reporting.records import ReportDocument
from featx.reporting.size_budget import STEPS, PageBudget, fit_page, left_out, map_data
from tests.reporting.documents import Numbers, catalogue, comparison


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    root = tmp_path_factory.mktemp("reports")
    shop = catalogue(root / "photos", [f"kind {i:02d}" for i in range(12)], 20)
    ids = shop.ids
    issues = {"labels": [{"item_id": item_id, "says": "a", "looks_like": "b", "sure": 0.9} for item_id in ids[:30]]}
    pictures = [[{"id": ids[i + k], "label": "a", "split": "train"} for k in (0, 60)] for i in range(12)]
    duplicates = {"groups": [{"kind": "near-copy", "score": 0.99, "pictures": pair} for pair in pictures]}
    return write_report(comparison(shop), shop, root=root, issues=issues, duplicates=duplicates, formats=("html",))


@pytest.fixture(autouse=True, scope="module")
def plots_drawn_once():
    """The plots of one document are the same on each of its pages."""
    drawn: dict[tuple[str, int], str | None] = {}

    def once(name: str, document: ReportDocument) -> str | None:
        key = name, id(document)
        if key not in drawn:
            drawn[key] = svg_of(name, document)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.reporting.page.svg_of", once)
        yield


def shown_pictures(page: str) -> int:
    return page.count("data:image/webp")


def test_a_page_within_the_limit_goes_without_nothing(full):
    assert full.bytes <= LIMIT
    assert full.left_out == []
    assert "To stay within" not in full.page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "shares", [(1, 0.95, 0.5), pytest.param((1, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3), marks=pytest.mark.long)]
)
def test_a_page_gets_smaller_until_it_fits_and_says_what_it_lost(full, tmp_path, shares):
    sizes, lost = [], []
    for share in shares:
        limit = int(full.bytes * share)
        again = write_files(full.document, tmp_path, ("html",), pictures=full.folder, limit=limit)
        page = again.page.read_text(encoding="utf-8")
        assert again.bytes == again.page.stat().st_size <= limit
        for what in again.left_out:
            assert what in page
        assert bool(again.left_out) == (share < 1)
        sizes.append(again.bytes)
        lost.append(len(again.left_out))
    # The page names its limit, and one number may have more digits than another.
    assert all(smaller <= larger + 8 for larger, smaller in pairwise(sizes))
    assert lost[-1] > lost[1]


def test_what_is_most_useful_stays_longest(full):
    render = renderer(full.document, full.folder, LIMIT)
    size = len(render(PageBudget()).encode())
    page, budget = fit_page(render, int(size * 0.6))
    assert "mistakes" not in budget.without
    assert shown_pictures(page) > 10
    order = [step.name for step in STEPS]
    assert [name for name in order if name in budget.steps] == list(budget.steps)
    assert order.index("typical") < order.index("suspected") < order.index("mistakes") < order.index("map")


def test_nothing_is_left_out_that_saves_nothing(full):
    _, budget = fit_page(renderer(full.document, full.folder, LIMIT), 1)
    # 240 photos are fewer than any limit on the map's photos, and 12 categories than any on the table.
    assert not {"many_points", "points", "many_categories", "categories", "few_categories"} & set(budget.steps)
    assert "map" in budget.steps
    assert left_out(budget).count("the map") == 1
    assert "thumbnails on the map" not in left_out(budget)


def test_a_smaller_page_still_tells_the_numbers_of_the_json(full, tmp_path):
    again = write_files(full.document, tmp_path, ("html",), pictures=full.folder, limit=full.bytes // 3)
    reader = Numbers()
    reader.feed(again.page.read_text(encoding="utf-8"))
    assert len(reader.found) > 200
    for attributes, shown in reader.found:
        assert shown == NUMBER_FORMATS[attributes["data-format"]](
            value_at(full.document.to_dict(), attributes["data-path"])
        )


@pytest.mark.long
def test_two_small_renders_are_identical(full, tmp_path):
    pages = [
        write_files(full.document, tmp_path / name, ("html",), pictures=full.folder, limit=full.bytes // 2).page
        for name in "ab"
    ]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_thinned_map_keeps_each_photo_with_its_own_name_and_picture(full):
    drawn = full.document.map
    points = np.frombuffer(base64.b64decode(drawn.points), dtype="<u2").reshape(-1, 4)
    named = {tuple(row): name for row, name in zip(points.tolist(), drawn.ids, strict=True)}
    thinned = map_data(drawn, PageBudget(points=50))
    thin = np.frombuffer(base64.b64decode(thinned["points"]), dtype="<u2").reshape(-1, 4)
    assert len(thin) == len(thinned["ids"]) == 50
    assert [named[tuple(row)] for row in thin.tolist()] == thinned["ids"]
    thinned = map_data(drawn, PageBudget(points=50, named_points=False))
    thin = np.frombuffer(base64.b64decode(thinned["points"]), dtype="<u2").reshape(-1, 4)
    assert thinned["ids_of"] == "tiles"
    for row in thin.tolist():
        assert named[tuple(row)] == thinned["ids"][row[3]]


def test_the_command_says_what_the_page_goes_without(full, capsys):
    from featx.cli.output import Output
    from featx.cli.report import print_page

    again = write_files(full.document, full.folder / "small", ("html",), pictures=full.folder, limit=full.bytes // 2)
    print_page(again, Output())
    assert "left out to keep it small: " + again.left_out[0] in capsys.readouterr().err
    assert json.loads(json.dumps(again.to_dict()))["left_out"] == again.left_out


@pytest.mark.long
def test_thousands_of_categories_and_200000_photos_stay_within_the_limit(tmp_path):
    names = [f"a rather long name of a category, number {i:04d}" for i in range(4_000)]
    shop = catalogue(tmp_path / "photos", names, 50, photos=500)
    report = write_report(comparison(shop), shop, root=tmp_path / "reports", formats=("html", "json"))
    assert report.bytes <= LIMIT
    assert report.left_out
    page = report.page.read_text(encoding="utf-8")
    assert all(what in page for what in report.left_out)
    assert len(re.findall(r"<tr><th scope=\"row\">a rather long name", page)) >= 50
