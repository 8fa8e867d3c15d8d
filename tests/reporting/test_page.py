"""The report as people meet it: in a browser, at three widths, in the dark, with a keyboard, with 500 categories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from featx.reporting import write_report
from tests.conftest import ROOT
from tests.reporting.documents import SCRIPT, catalogue, comparison

COUNT_MARKS = """
    window.marks = 0;
    for (const name of ["arc", "fillRect", "fillText"]) {
        const real = CanvasRenderingContext2D.prototype[name];
        CanvasRenderingContext2D.prototype[name] = function (...a) { window.marks++; return real.apply(this, a); };
    }
"""


def axe_source() -> Path | None:
    for path in (os.environ.get("FEATX_AXE"), ROOT / "node_modules/axe-core/axe.min.js"):
        if path and Path(path).exists():
            return Path(path)
    return None


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page of a catalogue with everything on it: findings, prices, what changed since a better report."""
    folder = tmp_path_factory.mktemp("small")
    classes = ["boots", "hats", SCRIPT, "mügs", "shoes", "vases", *(f"kind-{i:02d}" for i in range(20))]
    shop = catalogue(folder / "photos", classes, 16, photos=64)
    pictures = [{"id": shop.ids[i], "label": shop.labels[i], "split": "train" if i else "test"} for i in (0, 25)]
    old = write_report(comparison(shop, right=0.95), shop, root=folder / "old", formats=("json",)).document
    return write_report(
        comparison(shop),
        shop,
        root=folder / "reports",
        issues={"labels": [{"item_id": shop.ids[3], "says": "boots", "looks_like": "shoes", "sure": 0.9}]},
        duplicates={"groups": [{"kind": "near-copy", "score": 0.991, "pictures": pictures}]},
        skipped=[{"path": "x.jpg", "reason": "truncated"}],
        price_per_hour=0.4,
        against=old,
        formats=("html",),
    ).page.as_uri()


@pytest.fixture
def opened(tab, address):
    """Open the page; at the end nothing may have been said on the console nor asked of anybody."""
    faults = []

    def asked(request) -> None:
        if not request.url.startswith(("file:", "data:", "about:")):
            faults.append(request.url)

    def show(width: int = 1280, scheme: str = "light", uri: str = address):
        page = tab(
            width,
            scheme,
            console=lambda message: faults.append(message.text),
            pageerror=lambda error: faults.append(str(error)),
            requestfailed=lambda request: faults.append(request.url[:80]),
            request=asked,
        )
        page.goto(uri)
        return page

    yield show
    assert not faults


@pytest.fixture
def touched(browser, address):
    """The page on a phone."""
    context = browser.new_context(viewport={"width": 390, "height": 900}, has_touch=True)
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_overflows_at_any_width(opened, width, scheme):
    page = opened(width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("section").count() == 9
    assert page.evaluate("typeof window.stolen") == "undefined"


def test_the_dark_page_is_dark_and_the_light_one_light(opened):
    def brightness(page) -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(float(part) for part in colour.strip("rgba()").split(",")[:3]) / 3

    assert brightness(opened(scheme="dark")) < 60
    assert brightness(opened(scheme="light")) > 220


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(opened):
    page = opened()
    values = (
        "[...document.querySelectorAll('#categories tbody tr')].map(r => +(r.cells[4].querySelector('data').value))"
    )
    button = page.locator("#categories thead th").nth(4).locator("button")
    button.focus()
    page.keyboard.press("Enter")
    up = page.evaluate(values)
    assert up == sorted(up)
    button.click()
    assert page.evaluate(values) == sorted(up, reverse=True)
    assert page.locator("#categories th[aria-sort=descending]").count() == 1
    page.locator("#categories thead th").nth(0).locator("button").click()
    names = page.evaluate("[...document.querySelectorAll('#categories tbody th')].map(c => c.textContent)")
    assert names.index("boots") < names.index("shoes") < names.index("vases")


def test_the_find_box_shows_only_what_is_looked_for(opened):
    page = opened()
    page.fill("#find", "MUG")
    assert page.locator("#categories tbody tr:visible").all_inner_texts()[0].startswith("mügs")
    assert page.locator("#found").inner_text() == "1 of 26 shown"
    page.fill("#find", "")
    assert page.locator("#categories tbody tr:not([hidden])").count() == 26


def test_hovering_over_the_map_shows_the_photo_and_the_wheel_zooms(opened):
    page = opened()
    canvas = page.locator("#map-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    tip = page.locator("#map-tip")
    for step in range(40):
        page.mouse.move(box["x"] + box["width"] * (0.2 + 0.015 * step), box["y"] + box["height"] * (0.3 + 0.01 * step))
        if tip.is_visible():
            break
    assert tip.is_visible()
    assert "item" in tip.inner_text()
    assert "data:image/webp" in tip.locator("i").evaluate("e => e.style.backgroundImage")
    before = canvas.evaluate("c => c.toDataURL()")
    page.mouse.wheel(0, -600)
    page.wait_for_timeout(150)
    assert canvas.evaluate("c => c.toDataURL()") != before
    page.mouse.move(5, 5)
    assert not tip.is_visible()


def test_the_map_answers_to_the_keyboard(opened):
    page = opened()
    page.locator("#map-canvas").focus()
    for key in ("+", "+", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    before = page.locator("#map-canvas").evaluate("c => c.toDataURL()")
    page.keyboard.press("0")
    page.wait_for_timeout(150)
    assert page.locator("#map-canvas").evaluate("c => c.toDataURL()") != before


def tip_after(page, canvas, act) -> str:
    """What the map tells once `act` was done at some of its photos."""
    box, tip = canvas.bounding_box(), page.locator("#map-tip")
    for step in range(60):
        act(box["x"] + box["width"] * (0.2 + 0.01 * step), box["y"] + box["height"] * (0.3 + 0.006 * step))
        page.wait_for_timeout(20)
        if tip.is_visible():
            return tip.inner_text()
    return ""


def test_a_tap_shows_the_photo_and_it_stays(touched):
    page = touched
    canvas = page.locator("#map-canvas")
    canvas.scroll_into_view_if_needed()
    assert "item" in tip_after(page, canvas, page.touchscreen.tap)
    page.wait_for_timeout(300)
    assert page.locator("#map-tip").is_visible()


def test_two_fingers_zoom_the_map_and_one_scrolls_past_it(touched):
    page = touched
    canvas = page.locator("#map-canvas")
    canvas.scroll_into_view_if_needed()
    assert canvas.evaluate("c => getComputedStyle(c).touchAction") == "pan-y"
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = canvas.evaluate("c => c.toDataURL()")
    client = page.context.new_cdp_session(page)

    def touch(kind: str, distance: float) -> None:
        points = [{"x": x - distance, "y": y, "id": 1}, {"x": x + distance, "y": y, "id": 2}] if distance else []
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 20)
    for distance in (30, 45, 60, 80):
        touch("touchMove", distance)
    touch("touchEnd", 0)
    page.wait_for_timeout(150)
    assert canvas.evaluate("c => c.toDataURL()") != before
    # Zoomed in, one finger moves the map.
    assert canvas.evaluate("c => getComputedStyle(c).touchAction") == "none"
    page.locator("#map-all").click()
    assert canvas.evaluate("c => getComputedStyle(c).touchAction") == "pan-y"


def test_keys_bring_a_photo_to_the_middle_and_show_it(opened):
    page = opened()
    page.locator("#map-canvas").focus()
    tip = page.locator("#map-tip")
    shown = []
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
        shown.append(tip.inner_text() if tip.is_visible() else "")
    assert shown[:2] == ["", ""]
    assert all("item" in text for text in shown[2:])


def test_a_chosen_category_is_all_that_the_map_answers_for(opened):
    page = opened()
    page.select_option("#map-category", label="vases")
    canvas = page.locator("#map-canvas")
    canvas.scroll_into_view_if_needed()
    box, tip = canvas.bounding_box(), page.locator("#map-tip")
    seen = set()
    for i in range(14):
        for k in range(6):
            page.mouse.move(box["x"] + box["width"] * (i + 0.5) / 14, box["y"] + box["height"] * (k + 0.5) / 6)
            if tip.is_visible():
                seen.add(tip.locator("b").inner_text())
    assert seen == {"vases"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_everything_is_dark_on_white_and_nothing_is_cut(opened, scheme):
    page = opened(695, scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 695
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    cut = """[...document.querySelectorAll('.scroll')].filter(one =>
        getComputedStyle(one).overflow !== 'visible' || one.scrollHeight > one.clientHeight + 1).length"""
    assert page.evaluate(cut) == 0
    beyond = (
        "[...document.querySelectorAll('td, th, figure, li')].filter(e => e.getBoundingClientRect().right > 697).length"
    )
    assert page.evaluate(beyond) == 0
    for hidden in ("nav", ".find", ".tools", "details"):
        assert not page.locator(hidden).first.is_visible()
    assert len(page.pdf(format="A4")) > 50_000


def test_odd_names_two_categories_and_no_photos_make_a_good_page(opened, tmp_path):
    odd = [SCRIPT, "x" * 200, "two\nlines", "{brace} & $m$", "日本 🥾", "a/b/c"]
    for name, classes in (("odd", odd), ("two", ["cats", "dogs"])):
        shop = catalogue(tmp_path / name / "photos", classes, 12)
        page = opened(uri=write_report(comparison(shop), shop, root=tmp_path / name, formats=("html",)).page.as_uri())
        for width in (390, 820, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("typeof window.stolen") == "undefined"
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 695, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 695
        assert page.locator("#categories tbody tr").count() == len(classes)
    shutil.rmtree(tmp_path / "two/photos")
    gone = write_report(comparison(shop), shop, root=tmp_path / "gone", formats=("html",))
    page = opened(uri=gone.page.as_uri())
    assert page.locator(".frame", has_text="no picture").count() > 4
    assert "24 photos could not be read again" in page.locator("footer").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(browser, address, scheme):
    source = axe_source()
    if source is None:
        pytest.skip("axe-core is not here: set FEATX_AXE, or npm install axe-core")
    # axe is not part of the page, so the page's own policy has to let it in.
    page = browser.new_context(bypass_csp=True, color_scheme=scheme).new_page()
    page.goto(address)
    page.add_script_tag(path=str(source))
    violations = page.evaluate("axe.run()")["violations"]
    page.context.close()
    assert [
        (violation["id"], violation["impact"], violation["nodes"][0]["html"][:120]) for violation in violations
    ] == []


@pytest.mark.long
def test_500_categories_and_50000_photos_stay_small_and_open_at_once(opened, tmp_path):
    shop = catalogue(tmp_path / "photos", [f"category {i:03d}" for i in range(500)], 100, photos=300)
    report = write_report(comparison(shop), shop, root=tmp_path / "reports")
    assert report.bytes <= 5_000_000
    page = opened(uri=report.page.as_uri())
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    # What a browser has to lay out grows with the categories and never with the photos.
    assert page.evaluate("document.querySelectorAll('*').length") < 60 * 500
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    assert page.locator("#categories tbody tr").count() == 500
    # A movement over 50,000 photos draws the one that is pointed at, and none of the others again.
    page.evaluate(COUNT_MARKS)
    canvas = page.locator("#map-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for step in range(20):
        page.mouse.move(box["x"] + 200 + 10 * step, box["y"] + 200)
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.locator("#map-tip").is_visible()
    assert page.evaluate("window.marks") <= 10 * 20
