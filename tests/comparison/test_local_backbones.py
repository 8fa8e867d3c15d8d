"""Every backbone of this machine is compared on the same photos, with the joined sets that are better than one."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.catalogue.reading import read_catalogue
from featx.cli.comparison_tables import print_backbones
from featx.cli.output import Output
from featx.comparison import compare_backbones, local_backbones
from featx.comparison.joined_sets import joined_sets_that_pay
from featx.errors import FeatxError
from featx.extraction import ExtractionOptions, run_extraction
from featx.store import open_store
from tests.conftest import Run, made_once

HUE, STRIPES, BROKEN = (f"tests.comparison.toys:{name}" for name in ("hue", "stripes", "broken"))
COLOURS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}


def draw(path: Path, colour: tuple[int, int, int], down: bool, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    pixels = np.tile(np.array(colour, dtype=float), (16, 16, 1)) + chance.normal(0, 12, (16, 16, 3))
    # As much light and dark in both, so that their mean colour is the same.
    light = np.where(np.arange(16) // 4 % 2, 40, -40)
    pixels += light[None, :, None] if down else light[:, None, None]
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="session")
def drawn_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        for kind, down in (("across", False), ("down", True)):
            for name, colour in COLOURS.items():
                for number in range(36):
                    draw(folder / "photos" / f"{name}-{kind}" / f"{number:02}.png", colour, down, number)

    return made_once(tmp_path_factory, "striped-shop", make)


@pytest.fixture
def shop(drawn_shop, tmp_path, monkeypatch) -> Path:
    """A shop in the current folder, on a machine with three toys for backbones, one of them broken."""
    shutil.copytree(drawn_shop / "photos", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    names = [HUE, STRIPES, BROKEN]
    monkeypatch.setattr(local_backbones, "cheap_first", lambda: names)
    monkeypatch.setattr(local_backbones, "local_names", lambda: names)
    return tmp_path


def test_all_backbones_of_this_machine_and_the_joined_set_that_pays_are_compared(shop, capsys):
    comparison = compare_backbones("photos", folds=3, colour=False)
    assert [store.name for store in comparison.document.stores] == [HUE, STRIPES, f"{HUE}+{STRIPES}"]
    assert comparison.best.store == f"{HUE}+{STRIPES}"
    assert comparison.document.notes[0] == f"{BROKEN} was left out: the weights of this toy are damaged"
    accuracy = {entry.store: entry.accuracy.value for entry in comparison.entries if not entry.baseline}
    assert accuracy[f"{HUE}+{STRIPES}"] > 0.95 > max(accuracy[HUE], accuracy[STRIPES])
    # Its blocks were copied: its pace is that of its parts, one after the other.
    paces = {store.name: store.images_per_second or 0 for store in comparison.document.stores}
    assert paces[f"{HUE}+{STRIPES}"] == pytest.approx(1 / (1 / paces[HUE] + 1 / paces[STRIPES]), rel=1e-3)
    joined = next(store.path for store in comparison.document.stores if "+" in store.name)
    assert "images_per_second" not in open_store(joined).provenance
    print_backbones(comparison.document, 2.0, Output())
    joined_row, *_ = [line.split("\t") for line in capsys.readouterr().out.splitlines() if line]
    assert (joined_row[0], joined_row[1], joined_row[-1]) == (f"{HUE}+{STRIPES}", "38", "best")
    hours = 1e6 / paces[joined_row[0]] / 3600
    assert float(joined_row[-2]) == pytest.approx(2 * hours, rel=0.2, abs=0.01)
    # Another comparison computes nothing again.
    again = compare_backbones("photos", minutes=0, folds=3, colour=False)
    assert [store.name for store in again.document.stores] == [HUE, STRIPES, f"{HUE}+{STRIPES}"]


def test_a_set_that_adds_nothing_does_not_pay(shop):
    stores = [
        open_store(run_extraction(read_catalogue("photos"), ExtractionOptions(backbone=HUE), store=Path(name)).store)
        for name in ("a.h5", "b.h5")
    ]
    assert joined_sets_that_pay(stores, ()) == []
    assert joined_sets_that_pay(stores[:1], ()) == []


def test_what_the_time_did_not_suffice_for_is_named_and_the_same_command_goes_on(shop, monkeypatch):
    with pytest.raises(FeatxError, match=r"hue, was left out: the 0 minutes were over, it was not begun") as refused:
        compare_backbones("photos", minutes=0)
    assert refused.value.code == "no-store" and "--minutes" in refused.value.hint
    stop = threading.Event()
    stop.set()
    report = run_extraction(
        read_catalogue("photos"), ExtractionOptions(backbone=STRIPES), store=Path("stripes.h5"), stop=stop
    )
    assert report.stopped and report.total < report.listed
    whole = run_extraction(read_catalogue("photos"), ExtractionOptions(backbone=STRIPES), store=Path("stripes.h5"))
    assert not whole.stopped and whole.total == whole.listed == 216


def test_photos_without_categories_are_refused_before_any_work(shop):
    with pytest.raises(FeatxError, match="needs photos of two categories"):
        compare_backbones(read_catalogue("photos", label_from="none"))
    assert not (shop / "artifacts").exists()


@pytest.mark.long
def test_the_command_shows_pace_and_cost_of_each_backbone(featx: Run, shop):
    ran = featx(
        "compare", "photos", "-b", "all-local", "--folds", "3", "--fast", "--no-colour", "--price-per-hour", "2"
    )
    assert ran.returncode == 0, ran.stderr
    assert f"3 backbones whose weights are here: {HUE}, {STRIPES}, {BROKEN}" in ran.stderr
    assert f"{BROKEN} was left out: the weights of this toy are damaged" in ran.stderr
    document = json.loads((shop / "artifacts" / "reports" / "comparison.json").read_text())
    assert {entry["clf"] for entry in document["entries"] if not entry["baseline"]} == {"lda"}
    assert all(store["images_per_second"] > 0 for store in document["stores"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-b", "all-local"), "needs photos to extract"),
        (("photos", "-b", "all-local,colour"), "takes no other backbone"),
        (("photos", "-b", "colour", "--minutes", "5"), "`--minutes` works only with"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(featx: Run, shop, words, says):
    ran = featx("compare", *words)
    assert (ran.returncode, says in " ".join(ran.stderr.split())) == (2, True), ran.stderr


def test_several_backbones_may_be_named_with_commas(featx: Run, shop):
    words = ("compare", "photos", "--clf", "lda", "--folds", "3", "--fast", "--no-colour", "--json")
    ran = featx(*words, "--backbones", f"{HUE},{STRIPES}")
    assert ran.returncode == 0, ran.stderr
    assert {store["name"] for store in json.loads(ran.stdout)["stores"]} == {HUE, STRIPES}
