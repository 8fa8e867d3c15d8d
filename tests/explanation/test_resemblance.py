"""A similarity is the sum of its parts, and spots that look alike are found wherever they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.explanation.regions import EXACT, GRID
from featx.explanation.resemblance import Resemblance, Spot, explain_similar
from featx.extraction import extract
from featx.retrieval.query import open_index
from featx.store import Store
from tests.conftest import Run, made_once


@pytest.fixture(scope="module")
def starred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos of noise with the same ring, one in the upper left and one in the lower right; and one without."""

    def make(root: Path) -> None:
        random, (y, x) = np.random.default_rng(1), np.indices((192, 192))
        for name, middle in (("first", (48, 48)), ("second", (144, 144)), ("third", None)):
            pixels = np.clip(random.normal(120, 12, (192, 192, 3)), 0, 255).astype(np.uint8)
            if middle is not None:
                far = np.hypot(y - middle[0], x - middle[1])
                pixels[far < 36] = (240, 240, 240)
                pixels[far < 18] = (200, 20, 20)
            Image.fromarray(pixels).save(root / f"{name}.png")
        extract(root, backbone="builtin", store=root / "store.h5")

    return made_once(tmp_path_factory, "starred-shop", make)


@pytest.fixture(scope="module")
def alike(starred: Path) -> Resemblance:
    return explain_similar(starred / "first.png", "second.png", store=starred / "store.h5")


def test_parts_add_up_to_the_similarity_that_similar_prints(alike: Resemblance, starred: Path) -> None:
    (neighbour,) = open_index(starred / "store.h5").matches("first.png", 1)
    assert neighbour.path.endswith("second.png")
    assert alike.similarity == pytest.approx(neighbour.similarity, abs=1e-4)
    assert sum(part.share for part in alike.parts) == pytest.approx(alike.similarity, abs=1e-6)


def test_the_same_detail_is_matched_where_it_is(alike: Resemblance) -> None:
    pair = alike.pairs[0]
    assert pair.first.near(Spot(0.25, 0.25)) and pair.second.near(Spot(0.75, 0.75)), alike.pairs
    assert (pair.first.words, pair.second.words) == ("top left", "bottom right")


def test_a_detail_adds_more_to_the_similarity_with_a_photo_that_has_it_too(alike: Resemblance, starred: Path) -> None:
    without = explain_similar(starred / "first.png", starred / "third.png", store=starred / "store.h5")
    quarter = np.s_[: GRID // 2, : GRID // 2]
    assert alike.regions["builtin"].cells[quarter].sum() > without.regions["builtin"].cells[quarter].sum()


def test_where_every_layer_is_a_mean_the_cells_are_the_share_of_the_similarity(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(random.integers(0, 256, (96, 96, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    layers = "penultimate,layer3:middle"
    extract(tmp_path, backbone="resnet18", weights="random", layer=layers, store=tmp_path / "s.h5")
    result = explain_similar(tmp_path / "a.png", tmp_path / "b.png", store=tmp_path / "s.h5")
    for regions in (result.regions, result.other_regions):
        assert regions["resnet18"].method == EXACT
        assert regions["resnet18"].cells.sum() == pytest.approx(result.similarity, abs=1e-4)


def test_a_store_without_maps_still_has_parts(colour_shop: Store) -> None:
    ids = colour_shop.ids
    result = explain_similar(ids[0], ids[1], store=colour_shop.path)
    assert [part.name for part in result.parts] == ["colour"] and not result.pairs and not result.regions


def test_the_command_draws_both_photos(featx: Run, starred: Path, tmp_path: Path) -> None:
    words = ("explain", "first.png", "--similar", "second.png", "-s", "store.h5")
    ran = featx(*words, "-o", str(tmp_path / "alike.png"), "--json", cwd=starred)
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert record["pairs"] and record["pairs_by"] == "builtin" and "orange makes them alike" in ran.stderr
    with Image.open(tmp_path / "alike.png") as drawn:
        assert drawn.width > 2 * 500 and drawn.height == 512
    said = featx(*words, cwd=starred).stdout
    assert "similarity 0." in said and "top left is like bottom right of the other" in said
    for more, code in ((("--against", "mugs"), 2), (("third.png",), 2)):
        assert featx(*words, *more, cwd=starred).returncode == code
    unknown = featx("explain", "first.png", "--similar", "nothing", "-s", "store.h5", cwd=starred)
    assert unknown.returncode != 0 and "nothing" in unknown.stderr
