"""The widget in a real browser, on a page of the shop that has a strict policy and styles of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browsing import Tab
from tests.server.conftest import Served
from tests.server.test_safety import listening
from tests.server.test_search import a_photo

STYLE = "p, li, img { display: none !important; } * { letter-spacing: 3px; }"
HEAD = '<!doctype html><link rel="stylesheet" href="/shop.css"><h1>Boot</h1>'
POLICY = "default-src 'none'; script-src 'self'; img-src 'self'; connect-src 'self'; style-src 'self'"


@pytest.fixture
def shop_page(served: Served, tab: Tab) -> Iterator[Callable[[str], Any]]:
    """A page of the shop on the server's own origin; a proxy in front adds the token, as docs/serve.md says."""
    token = served.as_program("read", "classify")

    def opened(attributes: str) -> Any:
        refused: list[str] = []
        page = tab(console=lambda message: refused.append(message.text) if "polic" in message.text.lower() else None)
        page.set_extra_http_headers(token)
        html = f'{HEAD}<script src="/widget.js" {attributes}></script>'
        headers = {"Content-Security-Policy": POLICY}
        page.route(
            "**/product",
            lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8", headers=headers),
        )
        page.route("**/shop.css", lambda route: route.fulfill(body=STYLE, content_type="text/css"))
        page.refused = refused
        page.goto(f"{address}/product")
        return page

    with listening(served) as (host, port):
        address = f"http://{host}:{port}"
        yield opened


def test_one_tag_shows_look_alikes_that_lead_to_the_shops_own_pages(shop_page: Callable[[str], Any]):
    page = shop_page('data-id="boots0-0" data-k="3" data-title="More" data-link="/p/{product}" data-show="price"')
    page.get_by_role("heading", name="More").wait_for()
    links = page.get_by_role("link")
    links.first.wait_for()
    assert links.count() == 3 and all("/p/" in link.get_attribute("href") for link in links.all())
    page.wait_for_function("() => document.querySelector('h1 ~ div').shadowRoot.querySelector('img').naturalWidth > 0")
    assert links.first.locator("p").inner_text().isdigit(), "the price that the shop asked to show"
    assert page.refused == [] and page.locator("input").count() == 0


def test_a_visitor_searches_by_photo_and_a_file_that_is_none_is_refused_in_the_shops_words(
    shop_page: Callable[[str], Any],
):
    page = shop_page('data-choose="Foto wählen" data-failed="Kein Foto"')
    field = page.get_by_label("Foto wählen")
    field.set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": a_photo()})
    page.get_by_role("img").nth(5).wait_for()
    field.set_input_files({"name": "b.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"})
    page.get_by_text("Kein Foto").wait_for()
    assert page.get_by_role("img").count() == 0


def test_a_product_without_look_alikes_leaves_the_page_as_it_is(shop_page: Callable[[str], Any]):
    page = shop_page(f"data-id={json.dumps('no such')} data-title='More'")
    page.wait_for_event("console", lambda message: "no item or product" in message.text)
    assert not page.get_by_text("More").is_visible()
