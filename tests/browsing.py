"""A browser for the tests that look at pages; they skip, saying so, where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Tab = Callable[..., Any]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# A camera of its own, which may be used without asking a person.
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
  <alias><family>sans-serif</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>system-ui</family><prefer><family>DejaVu Sans</family></prefer></alias>
  <alias><family>serif</family><prefer><family>DejaVu Serif</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>
</fontconfig>
"""


def same_fonts_everywhere(folder: Path) -> str:
    """The fonts that come with matplotlib and no others: wide ones, so that what fits with them fits with most."""
    import matplotlib

    path = folder / "fonts.conf"
    path.write_text(FONTS.format(fonts=Path(matplotlib.get_data_path()) / "fonts/ttf", cache=folder / "cache"))
    return str(path)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    fonts = same_fonts_everywhere(tmp_path_factory.mktemp("fonts"))
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *CAMERA], env={**os.environ, "FONTCONFIG_FILE": fonts}
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def only_page(browser: Any) -> Iterator[Any]:
    """The page that most tests take turns in: a new context costs four times what a page does in one."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def tab(only_page: Any) -> Iterator[Tab]:
    """Sets up that page with a width, a colour scheme and handlers of its events; it is blank and forgets all after."""
    page, handlers = only_page, []

    def opened(width: int = 1280, scheme: str = "light", **handle: Callable[[Any], object]) -> Any:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, media="null")
        for event, handler in handle.items():
            page.on(event, handler)
            handlers.append((event, handler))
        return page

    yield opened
    page.evaluate("try { localStorage.clear() } catch {}")
    page.unroute_all(behavior="ignoreErrors")
    page.goto("about:blank")
    page.mouse.move(0, 0)
    page.context.clear_cookies()
    page.set_extra_http_headers({})
    for event, handler in handlers:
        page.remove_listener(event, handler)
