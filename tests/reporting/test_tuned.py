"""The report of a tuned network's store: its passes, and what the judging photos were before and after."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from featx.backbones.tuned_card import VERSION, Answer, Epoch, Parent, Reached, TunedCard
from featx.reporting import write_report
from tests.reporting.documents import SCRIPT, Catalogue, catalogue, comparison

CATEGORIES = sorted(["boots", "hats", SCRIPT])
SCRIPTED, BOOTS, HATS = range(3)


def a_card() -> TunedCard:
    """Of photo 0 to 7, boots but for the last, two became right and one wrong."""
    said = [(BOOTS, HATS, BOOTS), (BOOTS, HATS, BOOTS), (BOOTS, BOOTS, SCRIPTED), (-1, BOOTS, BOOTS)]
    said += [(BOOTS, BOOTS, BOOTS)] * 3 + [(HATS, HATS, HATS)]
    answers = [Answer(f"{i:064x}", *each) for i, each in enumerate(said)]
    history = [Epoch(1, 1.25, 0.625, 1.5), Epoch(2, 0.75, 0.75, 1.25), Epoch(3, 0.5, 0.75, 1.375)]
    parent = Parent("squeezenet1_0", "DEFAULT", "0" * 64, "small", 24)
    reached = Reached(0.625, 0.5, 0.75, 8, "svm"), Reached(0.75, 0.6, 0.9, 8, "lda")
    judged_on = [answer.digest for answer in answers]
    return TunedCard(
        VERSION, "shop", "1" * 64, parent, "features.12", {"lr": 0.1}, 0, {}, CATEGORIES, *reached,
        (0.125, -0.1, 0.3, 0.25), history, [], judged_on, "", answers=answers,
    )  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A store of the tuned network, whose card is here."""
    monkeypatch.setenv("FEATX_ARTIFACTS", str(tmp_path / "artifacts"))
    tuned = tmp_path / "artifacts/tuned"
    tuned.mkdir(parents=True)
    (tuned / "shop.safetensors").touch()
    (tuned / "shop.json").write_bytes(msgspec.json.encode(a_card()))
    shop = catalogue(tmp_path / "photos", CATEGORIES, 8, photos=24)
    shop.fingerprint = replace(shop.fingerprint, backbone="tuned:shop", weights_sha256="1" * 64)
    return shop


def written(shop: Catalogue, folder: Path):
    return write_report(comparison(shop), shop, root=folder / "reports", formats=("html", "json", "md"))


def test_the_page_shows_passes_categories_mix_ups_and_photos_before_and_after(shop, tmp_path):
    report = written(shop, tmp_path)
    page, short = report.page.read_text(), next(report.folder.glob("*.md")).read_text()
    tuned = json.loads(next(report.folder.glob("report.json")).read_text())["tuned"]
    assert (tuned["n_gained"], tuned["n_lost"], tuned["best_epoch"]) == (2, 1, 2)
    assert tuned["categories"] == [{"label": "boots", "n": 6, "before": 4, "after": 5}]
    assert {"truth": "boots", "says": "hats", "before": 2, "after": 0} in tuned["pairs"]
    assert {"truth": "boots", "says": SCRIPT, "before": 0, "after": 1} in tuned["pairs"]
    for said in ("What did tuning change?", "62.5%", "75.0%", "Photos that became right", "Photos that became wrong"):
        assert said in page
    assert SCRIPT not in page and SCRIPT not in short
    assert "| boots | 6 | 4 | 5 |" in short


def test_without_the_card_or_with_that_of_another_file_the_section_is_missing(shop, tmp_path):
    shop.fingerprint = replace(shop.fingerprint, weights_sha256="2" * 64)
    assert "What did tuning change?" not in written(shop, tmp_path).page.read_text()
    (tmp_path / "artifacts/tuned/shop.json").unlink()
    assert "What did tuning change?" not in written(shop, tmp_path).page.read_text()
