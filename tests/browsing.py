"""A browser for the tests that look at pages; they skip, saying so, where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
