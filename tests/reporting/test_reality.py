"""Reports on real photos, looked at in a browser: groceries in shops and clothes; skipped where they are absent."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from featx.reporting import read_document
from featx.reporting.files import LIMIT
from featx.reporting.formatting import NUMBER_FORMATS, value_at
from tests.conftest import ROOT, SHARED
from tests.reporting.documents import Numbers

PHOTOS = Path(os.environ.get("FEATX_REAL_PHOTOS", SHARED / "data"))
WEIGHTS = next(
    iter(sorted(Path(os.environ.get("FEATX_REAL_WEIGHTS", SHARED / "weights")).glob("squeezenet1_0*.pth"))), None
)

pytestmark = [
    pytest.mark.reality,
    pytest.mark.skipif(not (PHOTOS / "grocery").is_dir(), reason="the real photos are not on this machine"),
    pytest.mark.skipif(WEIGHTS is None, reason="the SqueezeNet weights are not on this machine"),
]


def listed(name: str, most: int | None) -> list[tuple[Path, str, str, str]]:
    """Photos of a real set as path, category, coarse category, split; at most so many of a category and split."""
    rows = []
    root = PHOTOS / name
    if name == "grocery":
        for split in ("train", "val"):
            with (root / f"{split}.txt").open(encoding="utf-8") as file:
                for path, *_ in csv.reader(file, skipinitialspace=True):
                    parts = Path(path).parts
                    rows.append((root / path, parts[-2], parts[2], split))
    else:
        for path in sorted((root / "train").glob("*/*.jpg")):
            rows.append((path, path.parent.name, path.parent.name, "train"))
    kept: dict[tuple[str, str], int] = defaultdict(int)
    taken = []
    for row in rows:
        kept[row[1], row[3]] += 1
        if most is None or kept[row[1], row[3]] <= (most if row[3] == "train" else 1):
            taken.append(row)
    return taken


def featx(folder: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    environment.pop("FEATX_STORE", None)
    ran = subprocess.run(
        [sys.executable, "-m", "featx", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def reported(folder: Path, name: str, most: int | None, clfs: str) -> Path:
    """Extract, compare and report a real set with the commands that people type; the folder of the report."""
    rows = listed(name, most)
    with (folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "coarse", "split", "product"])
        writer.writerows((*row, row[0]) for row in rows)
    assert WEIGHTS is not None
    featx(folder, "extract", "list.csv", "--allow-outside", "-b", "squeezenet1_0", "--weights", str(WEIGHTS), "-q")
    featx(folder, "compare", "--clf", clfs, "--folds", "3", "--coarse", "coarse", "--learning-curve", "-q")
    return folder / "artifacts/reports/latest"


@pytest.fixture(scope="module")
def groceries(tmp_path_factory):
    return reported(tmp_path_factory.mktemp("grocery"), "grocery", 4, "centroid,svm")


@pytest.fixture(scope="module")
def clothes(tmp_path_factory):
    return reported(tmp_path_factory.mktemp("clothing"), "clothing", 12, "centroid,svm")


def look(browser, folder: Path) -> None:
    """At three widths, in the dark and as printed: nothing overflows, fails, or is said on the console."""
    for width, scheme, media in (
        (390, "light", "screen"),
        (820, "light", "screen"),
        (1440, "light", "screen"),
        (390, "dark", "screen"),
        (1440, "dark", "screen"),
        (695, "light", "print"),
    ):
        faults: list[str] = []
        page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        page.on("console", lambda message, faults=faults: faults.append(message.text))
        page.on("pageerror", lambda error, faults=faults: faults.append(str(error)))
        page.on("requestfailed", lambda request, faults=faults: faults.append(request.url[:80]))
        page.on(
            "request",
            lambda request, faults=faults: (
                None if request.url.startswith(("file:", "data:")) else faults.append(request.url)
            ),
        )
        page.goto((folder / "report.html").resolve().as_uri())
        page.emulate_media(media=media, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, scheme, media)
        page.evaluate("for (const one of document.images) one.loading = 'eager'")
        page.wait_for_function("[...document.images].every(one => one.complete)")
        assert page.evaluate("[...document.images].filter(one => !one.naturalWidth).length") == 0
        assert page.locator("section").count() == 8
        page.context.close()
        assert not faults


def check(folder: Path) -> dict:
    """The document, after each number on the page was found in it; the page is small and shows real photos."""
    document = read_document(folder).to_dict()
    page = (folder / "report.html").read_text(encoding="utf-8")
    reader = Numbers()
    reader.feed(page)
    for attributes, shown in reader.found:
        assert shown == NUMBER_FORMATS[attributes["data-format"]](value_at(document, attributes["data-path"]))
    assert (folder / "report.html").stat().st_size <= LIMIT
    assert page.count("data:image/webp") > 60
    assert document["pictures"]["n_missing"] == 0
    return document


@pytest.mark.long
def test_a_report_of_groceries_looks_right_at_every_width(groceries, browser):
    look(browser, groceries)


@pytest.mark.long
def test_a_report_of_clothes_looks_right_at_every_width(clothes, browser):
    look(browser, clothes)


@pytest.mark.long
def test_the_groceries_are_recognised_and_published_figures_shown(groceries):
    document = check(groceries)
    honest = document["honest"]
    published = {row["method"]: (row["accuracy"], row["coarse"]) for row in honest["published"]}
    assert published["frozen AlexNet and an SVM"] == (0.650, 0.754)
    assert published["frozen VGG16 and an SVM"] == (0.573, 0.728)
    assert published["frozen DenseNet-169 and an SVM"] == (0.725, 0.852)
    # The validation photos are not the published test split, and the page says so.
    assert honest["published_on"]["same_photos"] is False
    page = (groceries / "report.html").read_text(encoding="utf-8")
    assert "Published results on Grocery Store Dataset" in page
    assert "compare with care" in page
    assert document["fails"]["coarse"]["value"] >= honest["test"][0]["value"]
    assert document["fails"]["coarse"]["classes"] > 40
    assert "Counting only the" in page


@pytest.mark.long
def test_the_clothes_are_no_data_set_with_published_figures(clothes):
    document = check(clothes)
    assert document["honest"]["published"] == []
    assert document["honest"]["measured_on"] == "cv"
    assert "Published results on" not in (clothes / "report.html").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("name", ["grocery", "clothing"])
def test_whole_sets_are_reported_within_the_limit(name, browser, tmp_path):
    folder = reported(tmp_path, name, None, "svm,centroid")
    document = check(folder)
    assert document["about"]["n"] > 2_900
    look(browser, folder)
