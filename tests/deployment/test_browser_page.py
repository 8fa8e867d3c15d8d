"""The page of a deployment classifies in a real browser, from a folder, with no network."""

from __future__ import annotations

import base64
import csv
import hashlib
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featx.deployment import browser_page
from featx.deployment.folder import RUNNER
from featx.errors import FeatxError
from featx.images import colours

FORMS = {
    "squeezed": {"side": 192, "resize": None, "resampling": "bicubic", "reducing_gap": 3.0},
    "cropped": {"side": 224, "resize": 256, "resampling": "bilinear", "reducing_gap": None},
    "cropped by cubes": {"side": 100, "resize": 111, "resampling": "bicubic", "reducing_gap": None},
}
RESIZED = """([width, height, data, form]) => {
  const bytes = prepare({ width, height, pixels: bytesOf(data) }, form);
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
}"""


@pytest.fixture(scope="module")
def page(shop: Path, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page, opened by a double click; it may ask nobody and complain of nothing."""
    try:
        browser_page.runtime_archive()
    except FeatxError as error:
        pytest.skip(error.message)
    folder = tmp_path_factory.mktemp("deployed") / "browser"
    golden = shop / "out" / "golden"
    browser_page.write_page(folder, shop / "out" / "model.onnx", golden, golden / "expected.npz")
    faults: list[str] = []
    opened = browser.new_page()
    opened.on("console", lambda message: faults.append(message.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: faults.append(request.url) if request.url.startswith("http") else None)
    opened.goto((folder / "index.html").as_uri())
    opened.get_by_text("Ready").wait_for(timeout=300_000)
    yield opened
    opened.close()
    assert faults == []


def test_a_page_opened_from_a_folder_gives_the_golden_photos_the_answers_of_featx(page: Any) -> None:
    page.click("#check")
    page.get_by_text("drawn photos get").wait_for(timeout=300_000)
    assert page.inner_text("#state").startswith("20 of 20 drawn photos get the category that featx gives them")
    assert page.inner_text("#state").endswith("within 0.0001")


@pytest.mark.parametrize("size", [(300, 200), (1301, 977), (77, 90)])
@pytest.mark.parametrize("form", FORMS)
def test_a_browser_resizes_to_the_bytes_of_pillow(
    page: Any, form: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (RUNNER, Path(str(colours.__file__)).parent):
        monkeypatch.syspath_prepend(str(folder))
    for name in ("photo", "colours"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    from photo import prepare  # type: ignore[import-not-found]

    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = base64.b64encode(pixels.tobytes()).decode()
    own = np.frombuffer(base64.b64decode(page.evaluate(RESIZED, [width, height, data, FORMS[form]])), dtype=np.uint8)
    np.testing.assert_array_equal(own, prepare(Image.fromarray(pixels), FORMS[form]).ravel())
    for name in ("photo", "colours"):
        sys.modules.pop(name)


def test_photos_and_what_is_none_become_rows_of_a_table_without_formulas(page: Any, shop: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "=good.jpg", tmp_path / "bad.jpg"
    good.write_bytes(next((shop / "data" / "test").rglob("*.jpg")).read_bytes())
    bad.write_text("no photo")
    page.set_input_files("#choose", [str(good), str(bad)])
    page.get_by_text("2 answered").wait_for(timeout=300_000)
    with page.expect_download() as saved:
        page.click("#save")
    with Path(saved.value.path()).open(encoding="utf-8-sig", newline="") as file:
        heading, first, second = csv.reader(file)
    assert heading == ["name", "category", "sure", "needs a look"]
    assert first[0] == "'=good.jpg" and first[1] and 0 < float(first[2]) <= 1
    assert second == ["bad.jpg", "", "", "this browser cannot read it"]


def test_without_the_runtime_the_page_is_refused_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("FEATX_OFFLINE", "1")
    (tmp_path / "featx").mkdir()
    (tmp_path / "featx" / browser_page.ARCHIVE).write_bytes(b"another file")
    with pytest.raises(FeatxError, match="FEATX_OFFLINE") as error:
        browser_page.runtime_archive()
    assert "npm pack onnxruntime-web@" in str(error.value.hint) and str(tmp_path) in str(error.value.hint)


@pytest.mark.parametrize("is_ours", [True, False])
def test_the_runtime_is_fetched_once_and_only_the_known_file_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_ours: bool
) -> None:
    served = tmp_path / "onnxruntime-web" / "-" / browser_page.ARCHIVE
    served.parent.mkdir(parents=True)
    served.write_bytes(b"the archive")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *words: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FEATX_OFFLINE", raising=False)
    if is_ours:
        monkeypatch.setattr(browser_page, "SHA512", hashlib.sha512(b"the archive").hexdigest())
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{server.server_port}/")
        if is_ours:
            assert browser_page.runtime_archive() == b"the archive"
        else:
            with pytest.raises(FeatxError, match="not the file that featx knows"):
                browser_page.runtime_archive()
        server.shutdown()
    if is_ours:
        assert browser_page.runtime_archive() == b"the archive"  # from the cache, with the server gone
    assert is_ours == (tmp_path / "cache" / "featx" / browser_page.ARCHIVE).exists()
