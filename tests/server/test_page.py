"""The page in a real browser: searched, reviewed, by mouse and by keyboard alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from featx import extract, fit
from featx.labels.decisions import decided
from featx.server.page_routes import PAGE
from tests.browsing import Tab
from tests.conftest import made_once, photo
from tests.reporting.test_page import axe_source
from tests.server.conftest import Served
from tests.server.test_safety import listening
from tests.server.test_search import a_photo

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def odd_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three categories of one colour each; a wrong label, a copy, and a photo without a label."""

    def make(folder: Path) -> None:
        lines = ["path,label,product,kind,price"]
        for number, category in enumerate(("boots", "hats", "mugs")):
            for i in range(6):
                photo(folder / f"site/{category}{i}.jpg", seed=number, noise=10 * number + i)
                lines.append(
                    f"{category}{i}.jpg,{category},{category}-{i // 2},{'worn' if number < 2 else 'used'},{10 + i}"
                )
        photo(folder / "site/wrong.jpg", seed=0, noise=900)
        photo(folder / "site/new.jpg", seed=777)
        (folder / "site/copy.jpg").write_bytes((folder / "site/mugs0.jpg").read_bytes())
        lines += ["wrong.jpg,hats,boots-0,worn,5", "new.jpg,,new,,9", "copy.jpg,mugs,copy,used,9"]
        (folder / "site/list.csv").write_text("\n".join(lines) + "\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            store = extract("site/list.csv", backbone="colour", store="site.h5")
            fit(store, "centroid", folds=2).save(Path("artifacts/models/site.safetensors"))

    return made_once(tmp_path_factory, "odd-shop", make)


@pytest.fixture
def site(serve, odd_shop: Path, workplace: Path) -> Iterator[tuple[Served, str]]:
    """That shop on a port."""
    shutil.copytree(odd_shop, workplace, dirs_exist_ok=True)
    served = serve(store=Path("site.h5"), classifier="site")
    with listening(served) as (host, port):
        yield served, f"http://{host}:{port}"


@pytest.fixture
def open_page(site: tuple[Served, str], tab: Tab) -> Iterator[Open]:
    """Log a browser in and open an address; at the end, nothing may have gone wrong or been asked of anybody else."""
    served, address = site
    faults: list[str] = []

    def opened(path: str = "/", width: int = 1200, scheme: str = "light", refusals: bool = False) -> Any:
        # The browser itself notes each answer that is an error; tests that want one say so.
        page = tab(
            width,
            scheme,
            pageerror=lambda error: faults.append(str(error)),
            console=lambda message: faults.append(message.text) if is_fault(message, refusals) else None,
            request=lambda ask: None if ask.url.startswith((address, "blob:")) else faults.append(ask.url),
        )
        page.goto(f"{address}/login?token={served.service.access.new_link()}")
        page.wait_for_url(f"{address}/")
        page.goto(address + path)
        return page

    yield opened
    assert faults == []


def is_fault(message: Any, refusals: bool) -> bool:
    return message.type == "error" and not (
        refusals and ("Failed to load resource" in message.text or "Content Security Policy" in message.text)
    )


def test_the_page_is_small():
    assert sum(file.stat().st_size for file in PAGE.iterdir()) < 100_000


def test_without_a_session_the_page_says_how_to_log_in(site: tuple[Served, str], tab: Tab):
    page = tab()
    page.goto(site[1])
    page.get_by_text("Open the address that featx serve printed").wait_for()


def test_a_photo_is_chosen_pasted_and_dropped_and_answered_with_look_alikes_and_a_category(open_page: Open):
    page = open_page(refusals=True)
    page.set_input_files("#file", {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": a_photo()})
    page.locator(".tiles li").first.wait_for()
    page.locator(".category strong").wait_for()
    assert page.locator(".pinned h2").inner_text() == "mine.jpg"
    bring = """async ([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], `${kind}.jpg`, {type: "image/jpeg"}));
        const how = {bubbles: true, cancelable: true};
        const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, ...how})
            : new DragEvent("drop", {dataTransfer: data, ...how});
        document.getElementById("drop").dispatchEvent(event);
    }"""
    for kind in ("paste", "drop"):
        page.evaluate(bring, [kind, list(a_photo(seed=len(kind)))])
        page.get_by_role("heading", name=f"{kind}.jpg").wait_for()
        page.locator(".tiles li").first.wait_for()
    page.set_input_files("#file", {"name": "text.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"})
    page.get_by_role("heading", name="That file is not a photo featx can read").wait_for()


def test_a_photo_is_taken_with_the_camera(open_page: Open):
    page = open_page()
    page.get_by_role("button", name="Take a photo").click()
    page.get_by_role("dialog", name="Take a photo").wait_for()
    page.get_by_role("button", name="Use this picture").click()
    page.get_by_role("heading", name="camera.jpg").wait_for()
    page.locator(".tiles li").first.wait_for()
    assert page.locator("dialog").count() == 0


def test_why_a_photo_is_of_its_category_is_shown_beside_it(open_page: Open):
    page = open_page()
    page.set_input_files("#file", {"name": "mine.jpg", "mimeType": "image/jpeg", "buffer": a_photo()})
    page.get_by_role("button", name="Why?").click()
    page.locator(".why li", has_text="speaks for").first.wait_for()


def test_sixty_decisions_take_sixty_keys_and_wait_for_no_answer(open_page: Open, site: tuple[Served, str]):
    page = open_page()
    shop = site[0].client.get("/v1/items?limit=1", headers=site[0].as_program("read")).json()
    case = {"suggestions": [{"category": "hats", "sure": 0.9}], "why": "look", "agree": 5, "of": 5}
    items = [{**shop["items"][0], "id": f"item{number}"} for number in range(60)]
    found = {"generation": shop["generation"], "state": "ready", "done": 1.0, "total": 60, "decided": 0}
    page.route(
        "**/v1/review?*", lambda ask: ask.fulfill(json=found | {"cases": [{"item": one, **case} for one in items]})
    )
    page.route("**/v1/similar?*", lambda ask: ask.fulfill(json={"answers": [{"results": []}]}))
    asked: list[Any] = []
    page.route("**/v1/decisions", lambda ask: asked.append(ask))
    page.goto(page.url + "?view=review")
    page.get_by_role("heading", name="Is this boots?").wait_for()
    for _ in range(60):
        page.keyboard.press("r")
    page.get_by_role("heading", name="All done").wait_for()
    page.wait_for_function("document.querySelector('#status').textContent")
    assert [ask.request.post_data_json["id"] for ask in asked] == [item["id"] for item in items]
    for ask in asked:
        ask.fulfill(status=201, json={})


def test_a_decision_that_the_server_refuses_comes_back_to_its_photo(open_page: Open):
    page = open_page("/?view=review", refusals=True)
    page.get_by_role("heading", name="Is this hats?").wait_for()
    refusal = {"status": 409, "code": "photo-changed", "detail": "the photo has changed", "hint": None}
    page.route("**/v1/decisions", lambda ask: ask.fulfill(status=409, json=refusal))
    page.keyboard.press("c")
    page.locator("#status", has_text="Not decided: the photo has changed").wait_for()
    page.get_by_role("heading", name="Is this hats?").wait_for()
    page.keyboard.press("u")
    page.get_by_role("heading", name="Is this hats?").wait_for()
    assert decided() == []


def test_the_page_says_what_the_decisions_changed(open_page: Open):
    page = open_page()
    states = [{"state": "working", "stage": "training"}]
    done = {"state": "ready", "accuracy_before": 0.941, "accuracy_after": 0.953, "report": {"trainings": ["svm again"]}}
    page.route("**/v1/update", lambda ask: ask.fulfill(json=states.pop() if states else done))
    page.goto(page.url + "?view=decisions")
    page.get_by_text("Working: training …").wait_for()
    page.get_by_text("svm again. Accuracy 94 % before, 95 % now.").wait_for()


def test_the_report_is_shown_in_a_frame_that_reaches_nothing_of_the_page(open_page: Open):
    page = open_page("/?view=report", refusals=True)
    page.get_by_text("No comparison has been made yet").wait_for()
    folder = Path("artifacts/reports/2026-03-02-091500")
    folder.mkdir(parents=True)
    (folder / "report.json").write_text("{}")
    script = "<script>document.body.append('a script ran')</script>"
    (folder / "report.html").write_text(f"<!doctype html><title>r</title><body><h1>Which?</h1>{script}</body>")
    page.reload()
    frame = page.frame_locator("iframe.report")
    frame.get_by_role("heading", name="Which?").wait_for()
    assert "a script ran" not in frame.locator("body").inner_text()
    assert page.frames[-1].evaluate("window.origin") == "null"


def test_a_category_that_must_not_be_missed_has_a_mark_of_its_own(open_page: Open):
    page = open_page()
    words = """async (flags) => {
        const { categoryPanel } = await import("/page/category.js");
        const answer = {category: "mugs", review: true, doubt: "unsure", flags, top: []};
        return [...categoryPanel(answer).querySelectorAll(".mark")].map((mark) => mark.textContent);
    }"""
    assert page.evaluate(words, ["knives", "guns"]) == ["may be knives or guns"]
    assert page.evaluate(words, []) == ["needs a look: unsure"]


def test_the_address_carries_the_search_so_that_back_and_bookmarks_work(open_page: Open):
    page = open_page("/?id=boots0&copies=1")
    page.locator(".tiles li").first.wait_for()
    page.select_option("#label", "hats")
    page.wait_for_url("**label=hats**")
    page.locator(".tiles .quiet", has_text="hats").first.wait_for()
    page.get_by_role("button", name="More like").first.click()
    page.wait_for_url("**like=**")
    assert page.locator(".chip.like").count() == 1
    page.go_back()
    page.wait_for_url(lambda url: "like=" not in url and "label=hats" in url)
    page.select_option("#column0", "worn")
    page.wait_for_url("**column=kind%3Dworn**")
    page.locator(".tiles li").first.wait_for()
    page.reload()
    page.locator(".tiles li").first.wait_for()
    page.locator(".tiles li p a").first.click()
    page.get_by_role("heading", name="Your table").wait_for()


def test_the_review_is_worked_by_keyboard_and_every_key_is_a_decision_that_lasts(open_page: Open):
    page = open_page("/?view=review")
    page.get_by_role("heading", name="Is this hats?").wait_for()
    page.keyboard.press("c")
    page.get_by_role("heading", name="All done").wait_for()
    until(lambda: decided())
    assert [(fix.item_id, fix.new_label) for fix in decided()] == [("wrong", "boots")]
    page.keyboard.press("u")
    page.get_by_role("heading", name="Is this hats?").wait_for()
    assert decided() == []
    page.keyboard.press("o")
    page.keyboard.type("mu")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="change to mugs").wait_for()
    page.goto(page.url.partition("?")[0] + "?view=decisions")
    page.get_by_role("cell", name="change to mugs", exact=True).wait_for()
    assert [(fix.item_id, fix.new_label) for fix in decided()] == [("wrong", "mugs")]
    page.get_by_role("button", name="Undo change to mugs of wrong").click()
    page.get_by_role("cell", name="undone", exact=True).nth(1).wait_for()
    assert decided() == []


def test_of_copies_one_is_kept(open_page: Open):
    page = open_page("/?view=copies")
    page.get_by_role("button", name="keep this one: mugs0").click()
    page.locator(".group.settled").wait_for()
    until(lambda: decided())
    assert [(fix.item_id, fix.decision) for fix in decided()] == [("copy", "exclude")]
    page.keyboard.press("u")
    page.locator("#status", has_text="Undone").wait_for()
    assert decided() == []


def until(held: Callable[[], Any]) -> None:
    """Wait for what the server does meanwhile."""
    for _ in range(200):
        if held():
            return
        time.sleep(0.05)


VIEWS = (
    "/?view=map",
    "/",
    "/?id=boots0",
    "/?view=item&id=boots0",
    "/?view=item&id=new",
    "/?view=review",
    "/?view=copies",
    "/?view=decisions",
    "/?view=report",
)


# Those with every kind of field and button.
BUSY = ("/?view=item&id=boots0", "/?view=review")


def test_every_view_fits_a_phone_and_is_reached_with_the_tab_key(open_page: Open):
    page = open_page(width=390, scheme="dark")
    base = page.url
    for view in VIEWS:
        page.goto(base + view[1:])
        page.locator("main h1").wait_for()
        page.wait_for_load_state("networkidle")
        assert "null" not in page.locator("main").inner_text(), view
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, view
        # Letters of twice the size, as people with weak eyes set them, on a screen of twice the width.
        page.set_viewport_size({"width": 780, "height": 900})
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("getComputedStyle(document.body).fontSize") == "32px"
        assert page.evaluate("document.documentElement.scrollWidth") <= 780, view
        page.evaluate("document.documentElement.style.fontSize = ''")
        page.set_viewport_size({"width": 390, "height": 900})
        if view not in BUSY:
            continue
        wanted = page.evaluate(
            "[...document.querySelectorAll('a[href], button, input, select, summary')]"
            ".filter((one) => one.checkVisibility()).length"
        )
        reached = set()
        for _ in range(wanted + 15):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        assert len(reached) >= wanted, view


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_axe_finds_no_fault(open_page: Open, scheme: str):
    source = axe_source()
    if source is None:
        pytest.skip("axe-core is not here: set FEATX_AXE, or npm install axe-core")
    page = open_page(scheme=scheme)
    base = page.url
    script = source.read_text()
    for view in VIEWS:
        page.goto(base + view[1:])
        page.locator("main h1").wait_for()
        page.wait_for_load_state("networkidle")
        # The policy of the page forbids a script that is put into it; one that is evaluated belongs to the test.
        page.evaluate(script)
        found = page.evaluate("axe.run().then((all) => all.violations.map((one) => [one.id, one.nodes[0].html]))")
        assert found == [], view


def test_what_a_lasso_encircles_on_the_map_is_shown_and_back_comes_to_it_again(open_page: Open):
    page = open_page("/?view=map")
    box = page.locator("canvas").bounding_box()
    left, top = box["x"] + 2, box["y"] + 2
    right, bottom = left + box["width"] - 4, top + box["height"] - 4
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom)):
        page.mouse.move(x, y)
    page.mouse.up()
    page.get_by_role("heading", name="21 photos").wait_for()
    page.locator(".tiles a").first.click()
    page.get_by_role("heading", name="Look-alikes").wait_for()
    page.go_back()
    page.get_by_role("heading", name="21 photos").wait_for()


def test_the_map_is_moved_zoomed_and_chosen_from_by_keyboard_and_by_category(open_page: Open):
    page = open_page("/?view=map")
    page.get_by_role("button", name="boots 6").click()
    page.get_by_role("heading", name="6 photos").wait_for()
    assert page.locator(".tiles .quiet").all_inner_texts() == ["boots"] * 6
    page.locator("canvas").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="21 photos").wait_for()
    for key in ("+", "+", "+", "+", "+", "+", "ArrowLeft", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.get_by_role("heading", name="21 photos").wait_for(state="detached")
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="21 photos").wait_for()


def test_the_map_follows_the_wheel_and_the_hand(open_page: Open):
    page = open_page("/?view=map")
    canvas = page.locator("canvas")
    page.get_by_role("button", name="Draw around points").click()
    shown = "canvas => canvas.toDataURL()"
    canvas.hover()
    pictures = [canvas.evaluate(shown)]
    for act in (lambda: page.mouse.wheel(0, -300), lambda: _drag(page)):
        act()
        page.wait_for_function("before => document.querySelector('canvas').toDataURL() !== before", arg=pictures[-1])
        pictures.append(canvas.evaluate(shown))


def _drag(page: Any) -> None:
    page.mouse.down()
    page.mouse.move(500, 400, steps=3)
    page.mouse.up()
