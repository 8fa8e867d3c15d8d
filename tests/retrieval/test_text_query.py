"""Words find what looks so where the backbone knows texts; elsewhere they are looked for on the photos."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import featx as fx
from featx.backbones import open_backbone
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.retrieval.query import open_index
from featx.retrieval.text_query import text_matches, text_network
from featx.store import open_store
from tests.backbones.tiny_clip import TINY, tiny_clip
from tests.conftest import Run, made_once, photo

__all__ = ["tiny_clip"]


@pytest.fixture
def described(tmp_path_factory: pytest.TempPathFactory, tiny_clip: str, tmp_path: Path, monkeypatch) -> Path:
    """A store of a network that knows texts, with six photos, two of them of one product."""

    def make(root: Path) -> None:
        rows = ["image,label,product_id"]
        for i in range(6):
            photo(root / f"photos/item{i}.png", seed=i)
            rows.append(f"photos/item{i}.png,{'mugs' if i % 2 else 'hats'},p{max(i, 1)}")
        (root / "list.csv").write_text("\n".join(rows) + "\n")
        fx.extract(root / "list.csv", backbone=tiny_clip, weights="random", store=root / "store.h5")

    made = made_once(tmp_path_factory, "described", make)
    monkeypatch.chdir(tmp_path)
    for name in ("store.h5", "store.json"):
        shutil.copy(made / name, tmp_path / name)
    return tmp_path / "store.h5"


def test_a_text_finds_the_photos_nearest_to_it_in_the_space_of_both(described):
    index = open_index(described)
    assert text_network(index) == TINY
    found = text_matches(index, "red dress", 5)
    store = open_store(described)
    row = open_backbone(TINY, weights="random").text_features(["red dress"])[0]
    cosines = dict(zip(store.ids, (unit_rows(store.features) @ row).tolist(), strict=True))
    assert [answer.item_id for answer in found] == [
        name for name in sorted(cosines, key=lambda name: -cosines[name]) if name in {a.item_id for a in found}
    ]
    assert len(found) == 5 and len({answer.product for answer in found}) == 5
    np.testing.assert_allclose(
        [answer.similarity for answer in found], [cosines[answer.item_id] for answer in found], atol=1e-4
    )
    assert found.query.name == "red dress" and found.compared_by == TINY
    # The words for similarities are measured between photos.
    assert all(answer.word == "" and answer.precision is None for answer in found)


def test_the_command_and_python_answer_alike_and_name_the_network(featx: Run, described):
    ran = featx("similar", "--text", "red dress", "--label", "mugs", "-s", str(described), "--json")
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {answer["label"] for answer in answers} == {"mugs"}
    assert {answer["compared_by"] for answer in answers} == {TINY}
    assert answers == fx.similar(text="red dress", label="mugs", store=described).to_dict()
    shown = featx("similar", "--text", "red dress", "-s", str(described))
    assert f"by the text network of {TINY}" in shown.stderr and "not read yet" not in shown.stderr
    assert featx("similar", "--text", "red dress", "-s", str(described), "-o", "found.csv").returncode == 0
    rows = list(csv.DictReader((described.parent / "found.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) == 5 and rows[0]["compared_by"] == TINY


def test_a_least_similarity_holds_for_texts_too(described):
    best = fx.similar(text="red dress", store=described)[0].similarity
    assert len(fx.similar(text="red dress", store=described, min_similarity=min(1.0, best + 0.01))) == 0


def test_a_text_without_words_is_refused(featx: Run, described):
    ran = featx("similar", "--text", " - ", "-s", str(described))
    assert ran.returncode == 2 and "no word to look for" in ran.stderr
    with pytest.raises(FeatxError, match="no query was given"):
        fx.similar(store=described)


def test_words_are_looked_for_on_the_photos_of_other_backbones(colour_shop):
    assert text_network(open_index(colour_shop)) == ""
    with pytest.raises(FeatxError, match="was not read yet"):
        fx.similar(text="havre", store=colour_shop)


def test_a_part_of_a_joined_backbone_that_knows_texts_is_asked_by_its_name(described):
    photos = described.parent / "few"
    for i in range(3):
        photo(photos / f"item{i}.png", seed=i)
    fx.extract(photos, backbone=f"colour+{TINY}", weights="random", store="joined.h5")
    joined = open_index("joined.h5", blocks=[TINY])
    assert text_network(joined) == TINY and text_network(open_index("joined.h5")) == ""
    alone = {answer.item_id: answer.similarity for answer in fx.similar(text="mug", store=described)}
    for answer in text_matches(joined, "mug", 3):
        assert alone.get(answer.item_id, answer.similarity) == pytest.approx(answer.similarity, abs=1e-3)
