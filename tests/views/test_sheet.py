"""Sheets of photos: decided by keyboard in a real browser, downloaded, and applied to the labels of the store."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from featx.labels.decisions import labels_after_decisions
from featx.store import Store, open_store
from featx.views.sheet import EAGER, Sheet, SheetPhoto
from tests.browsing import Tab
from tests.conftest import Run, photo


def a_sheet(n: int, total: int | None = None) -> Sheet:
    photos = [SheetPhoto(f"sku{i}", f"{i:064d}", f"{i}.jpg", f"sku{i}", "boots", ("mugs",)) for i in range(n)]
    return Sheet("Labels", photos, ["boots", "hats", "mugs"], total or n, "the most certain")


def test_a_sheet_says_how_many_photos_it_leaves_out_and_decodes_the_first_hundred_at_once(tmp_path):
    path = str(photo(tmp_path / "a.jpg"))
    photos = [SheetPhoto(f"sku{i}", "", path, f"sku{i}") for i in range(EAGER + 7)]
    page = Sheet("Labels", photos, [], 431, "the most certain").to_html()
    assert "The first 107 of 431 photos, the most certain first." in page
    assert (page.count('loading="eager"'), page.count('loading="lazy"')) == (EAGER, 7)
    assert "3 photos, the most certain first." in a_sheet(3).to_html()


def test_only_decisions_that_make_sense_are_offered():
    def offered(**fields: Any) -> list[str]:
        return [f"{choice.key} {choice.words}" for choice in SheetPhoto("a", "", "a.jpg", "a", **fields).choices]

    rest = ["o another category …", "x leave out"]
    assert offered(says="boots", suggestions=("mugs",)) == ["r boots is right", "c change to mugs", *rest]
    assert offered(suggestions=("hats", "mugs")) == ["c it is hats", "v it is mugs", *rest]
    assert offered(says="boots", suggestions=("boots",)) == ["r boots is right", *rest]


@pytest.fixture
def shop(workplace: Path, featx: Run) -> Path:
    """Three categories of one colour each, with two copies under another category, and photos without one."""
    lines = ["path,label,sku,price"]
    for number, category in enumerate(("boots", "hats", "mugs")):
        for i in range(4):
            lines.append(f"{category}{i}.jpg,{category},{category}-{i},{10 + i}")
            photo(workplace / "photos" / f"{category}{i}.jpg", seed=number, noise=10 * number + i)
    for i in range(2):
        lines += [f"copy{i}.jpg,hats,copy-{i},5", f"open{i}.jpg,,=open-{i},7"]
        (workplace / "photos" / f"copy{i}.jpg").write_bytes((workplace / f"photos/boots{i}.jpg").read_bytes())
        photo(workplace / "photos" / f"open{i}.jpg", seed=2, noise=90 + i)
    (workplace / "photos/list.csv").write_text("\n".join(lines) + "\n")
    for words in (("extract", "photos/list.csv", "-b", "colour"), ("fit", "--clf", "centroid", "--folds", "2")):
        ran = featx(*words, cwd=workplace)
        assert ran.returncode == 0, ran.stderr
    return workplace


Show = Callable[..., Any]


@pytest.fixture
def show(tab: Tab) -> Iterator[Show]:
    """Open a page; at the end nothing may have been said on the console nor asked of anybody."""
    faults: list[str] = []

    def asked(request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            faults.append(request.url)

    def opened(path: Path, width: int = 1280, scheme: str = "light") -> Any:
        page = tab(
            width,
            scheme,
            console=lambda message: faults.append(message.text),
            pageerror=lambda error: faults.append(str(error)),
            request=asked,
        )
        page.goto(path.as_uri())
        return page

    yield opened
    assert faults == []


def labels_of(shop: Path) -> dict[str, str | None]:
    store = opened_store(shop)
    return dict(zip(store.ids, labels_after_decisions(store).labels, strict=True))


def opened_store(shop: Path) -> Store:
    return open_store(shop / "artifacts/embeddings/colour.h5")


def downloaded(page: Any, shop: Path) -> Path:
    with page.expect_download() as download:
        page.keyboard.press("s")
    target = shop / download.value.suggested_filename
    download.value.save_as(target)
    return target


def test_copies_are_decided_by_keyboard_downloaded_and_applied(featx: Run, shop, show):
    ran = featx("duplicates", "--html", "copies.html", cwd=shop)
    assert ran.returncode == 0 and "next: featx issues --apply decisions.csv" in ran.stderr, ran.stderr
    page = show(shop / "copies.html")
    assert page.locator("li.photo").count() == 4 and "two categories" in page.locator("h2").first.inner_text()
    assert "price" in page.locator("li.photo dl").first.inner_text()
    page.keyboard.press("r")  # boots-0 is right, and the next photo has the focus
    assert page.evaluate("document.activeElement.dataset.name") == "copy-0"
    page.keyboard.press("c")
    page.keyboard.press("x")
    page.keyboard.press("u")
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.keyboard.type("shoes")
    page.keyboard.press("Enter")
    assert "No category is called" in page.locator("#wrong").inner_text()
    page.locator("#category").fill("mugs")
    page.keyboard.press("Enter")
    assert page.locator("#status").inner_text() == "3 of 4 decided: 2 changed, 1 right."
    page.reload()
    assert page.locator("#status").inner_text() == "3 of 4 decided: 2 changed, 1 right."
    table = downloaded(page, shop)
    with table.open(encoding="utf-8-sig", newline="") as file:
        assert [row["decision"] for row in csv.DictReader(file)] == ["keep", "change", "change"]
    before = labels_of(shop)
    ran = featx("issues", "--apply", table.name, cwd=shop)
    assert ran.returncode == 0 and "2 relabelled, 0 excluded, 1 kept" in ran.stderr, ran.stderr
    changed = {item: label for item, label in labels_of(shop).items() if label != before[item]}
    assert changed == {"copy0": "boots", "copy1": "mugs"} or changed == {"copy-0": "boots", "copy-1": "mugs"}


def test_wrong_labels_are_decided_by_keyboard_downloaded_and_applied(featx: Run, shop, show):
    ran = featx("issues", "--html", "issues.html", "-n", "2", cwd=shop)
    assert ran.returncode == 0 and not ran.stdout, ran.stderr
    page = show(shop / "issues.html")
    assert page.locator("li.photo").count() == 2
    page.keyboard.press("?")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.press("r")
    page.keyboard.press("u")  # after a second look the photo shows nothing to learn
    page.keyboard.press("x")
    assert page.locator("#status").inner_text() == "2 of 2 decided: 1 changed, 1 left out."
    table = downloaded(page, shop)
    with table.open(encoding="utf-8-sig", newline="") as file:
        change, exclude = csv.DictReader(file)
    assert [row["decision"] for row in (change, exclude)] == ["change", "exclude"]
    before = labels_of(shop)
    ran = featx("issues", "--apply", table.name, cwd=shop)
    assert ran.returncode == 0 and "1 relabelled, 1 excluded, 0 kept" in ran.stderr, ran.stderr
    after = labels_of(shop)
    assert after == {**before, change["id"]: change["new_label"], exclude["id"]: None}
    assert after[change["id"]] != before[change["id"]]


def test_a_suggested_photo_gets_its_first_label_and_is_not_suggested_again(featx: Run, shop, show):
    ran = featx("suggest", "--html", "next.html", cwd=shop)
    assert ran.returncode == 0 and not ran.stdout, ran.stderr
    page = show(shop / "next.html")
    assert page.locator("li.photo").count() == 2
    page.keyboard.press("c")
    page.locator("button[data-decision=exclude]").nth(1).click()
    table = downloaded(page, shop)
    assert featx("issues", "--apply", table.name, cwd=shop).returncode == 0
    labels = labels_of(shop)
    assert sorted(str(labels[item]) for item in labels if "open" in item) == ["None", "mugs"]
    assert "0 of" in (again := featx("suggest", cwd=shop)).stderr or "have a category" in again.stderr


def test_predictions_are_shown_doubtful_first_and_decided_once_they_are_in_the_store(featx: Run, shop, show):
    ran = featx("predict", "photos", "--any", "--html", "p.html", "--number", "5", "-q", cwd=shop)
    assert ran.returncode == 0 and len(ran.stdout.splitlines()) == 16, ran.stderr
    page = show(shop / "p.html")
    assert page.locator("li.photo").count() == 5
    assert "The first 5 of 16 photos, the most doubtful first." in page.locator("main").inner_text()
    page.keyboard.press("c")
    assert featx("issues", "--apply", downloaded(page, shop).name, cwd=shop).returncode == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_sheet_fits_its_screen_and_every_button_has_a_name(show, tmp_path, width, scheme):
    page_path = tmp_path / "sheet.html"
    page_path.write_text(a_sheet(30).to_html(), encoding="utf-8")
    page = show(page_path, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    names = page.locator("button").evaluate_all("all => all.map(one => one.ariaLabel || one.textContent.trim())")
    assert all(names) and len({name for name in names if name.startswith("sku")}) == 4 * 30
    brightness = (
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => +a + +b) / 3"
    )
    assert (page.evaluate(brightness) < 60) == (scheme == "dark")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.id") not in ("photo0", "photo1")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    assert not page.locator("#help").is_visible() and page.evaluate("document.activeElement.className") == "photo"


def test_decisions_are_applied_whole_or_not_at_all(featx: Run, shop):
    (shop / "decisions.csv").write_text("id,path,says,decision,new_label,digest\nboots-0,b.jpg,boots,change,shoes,\n")
    ran = featx("issues", "--apply", "decisions.csv", cwd=shop)
    assert ran.returncode == 2 and "shoes" in ran.stderr
    (shop / "decisions.csv").write_text("id,path,says,decision,new_label,digest\nnew,n.jpg,,change,boots,\n")
    ran = featx("issues", "--apply", "decisions.csv", cwd=shop)
    assert ran.returncode == 5 and "extract that photo first" in ran.stderr
