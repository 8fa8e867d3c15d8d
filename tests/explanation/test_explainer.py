"""What decides a category is found, adds up, and is not made up."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.backbones import open_backbone
from featx.backbones.default import is_ready
from featx.classifiers.fit import fit
from featx.cli.explain import picture_names
from featx.explanation.border import ask_border
from featx.explanation.covering import covered, find_covering
from featx.explanation.explainer import Explainer
from featx.explanation.fine import BLURRED, fine_regions
from featx.explanation.looking import aspects_of, look, regions_of_networks
from featx.explanation.question import Question
from featx.explanation.regions import (
    EXACT,
    GRADIENT,
    GRID,
    OCCLUSION,
    cells_of,
    regions_of,
    spread,
    support_of,
)
from featx.extraction import extract
from featx.prediction.predict import Predictor
from featx.store import open_store
from tests.conftest import Run, made_once


@pytest.fixture(scope="module")
def marked_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two categories of noise; a mark in the upper left corner gives one of them away."""

    def make(root: Path) -> None:
        random = np.random.default_rng(0)
        for category in ("marked", "plain"):
            (root / "photos" / category).mkdir(parents=True)
            for i in range(14):
                pixels = np.clip(random.normal(random.uniform(90, 160), 12, (128, 128, 3)), 0, 255).astype(np.uint8)
                if category == "marked":
                    pixels[6:38, 6:38] = (230, 230, 230)
                    pixels[14:30, 14:30] = (20, 20, 20)
                Image.fromarray(pixels).save(root / "photos" / category / f"{category}{i}.png")
        extract(root / "photos", backbone="builtin", store=root / "store.h5")

    return made_once(tmp_path_factory, "marked-shop", make)


@pytest.fixture(scope="module")
def explainer(marked_shop: Path) -> Explainer:
    store = open_store(marked_shop / "store.h5")
    backbone = open_backbone("builtin", device="cpu")
    return Explainer(Predictor(fit(store, "svm"), store, lambda: backbone))


def photo_of(shop: Path, category: str) -> Path:
    return sorted((shop / "photos" / category).iterdir())[0]


def test_a_mark_that_gives_a_category_away_carries_most_of_the_map(explainer: Explainer, marked_shop: Path) -> None:
    cells = np.clip(explainer(photo_of(marked_shop, "marked")).cells, 0, None)
    corner = GRID * 54 // 128  # the mark and the cell beside it, which sees the mark too
    assert cells[:corner, :corner].sum() >= 0.6 * cells.sum()


@pytest.mark.long
@pytest.mark.reality
def test_two_layers_of_a_network_find_the_mark_too(marked_shop: Path, tmp_path: Path) -> None:
    if not is_ready("efficientnet_lite2"):
        pytest.skip("the weights of efficientnet_lite2 are not installed")
    name = "builtin+efficientnet_lite2@penultimate,_blocks.20:middle"
    extract(marked_shop / "photos", backbone=name, store=tmp_path / "store.h5")
    store = open_store(tmp_path / "store.h5")
    backbone = open_backbone(name, device="cpu")
    result = Explainer(Predictor(fit(store, "svm"), store, lambda: backbone))(photo_of(marked_shop, "marked"))
    own = result.regions["efficientnet_lite2"]
    share = next(part.log_odds for part in result.parts if part.name == "efficientnet_lite2")
    assert own.method == EXACT and own.cells.sum() == pytest.approx(share, abs=1e-4)
    cells, corner = np.clip(result.cells, 0, None), GRID * 54 // 128
    assert cells[:corner, :corner].sum() >= 0.6 * cells.sum()


def test_the_gradient_is_the_slope_of_the_score_along_each_cell(explainer: Explainer, marked_shop: Path) -> None:
    encoder = explainer.predictor.backbone
    with Image.open(photo_of(marked_shop, "marked")) as photo:
        prepared = encoder.prepare(photo.convert("RGB"))
    maps, row = encoder.feature_maps([prepared]), encoder.features([prepared])[0]
    weights = np.random.default_rng(0).normal(size=len(row))

    def score(pooled: np.ndarray) -> np.ndarray:
        return pooled.astype(np.float64) @ weights[: pooled.shape[1]]

    cells, method = cells_of(encoder, maps, weights, score)
    assert method == GRADIENT and cells_of(encoder, maps, None, score)[1] == OCCLUSION
    brightest = np.unravel_index(np.abs(cells).argmax(), cells.shape)
    for y, x in ((3, 3), (6, 7), brightest):
        step = np.zeros_like(maps)
        step[:, :, y, x] = 0.01 * maps[:, :, y, x]
        slope = (score(encoder.pool_maps(maps + step)) - score(encoder.pool_maps(maps - step)))[0] / 0.02
        assert cells[y, x] == pytest.approx(slope, rel=0.02, abs=2e-3)


def test_shuffled_weights_destroy_the_map(explainer: Explainer, marked_shop: Path) -> None:
    encoder, random = explainer.predictor.backbone, np.random.default_rng(0)
    with Image.open(photo_of(marked_shop, "marked")) as photo:
        prepared = encoder.prepare(photo.convert("RGB"))
    maps, row = encoder.feature_maps([prepared]), encoder.features([prepared])[0]
    margin = Question(explainer.predictor.model, 0, 1, np.zeros(0, dtype=np.float32)).margin(row)
    assert margin is not None
    own, *others = (
        np.argsort(np.argsort(cells_of(encoder, maps, weights, lambda rows: rows[:, 0])[0].ravel()))
        for weights in (margin.weights, *(random.permutation(margin.weights) for _ in range(8)))
    )
    assert abs(np.mean([np.corrcoef(own, other)[0, 1] for other in others])) < 0.3


def test_parts_and_rest_add_up_to_the_log_odds(explainer: Explainer, marked_shop: Path) -> None:
    for category in ("marked", "plain"):
        result = explainer(photo_of(marked_shop, category))
        assert result.category == category and {part.name for part in result.parts} == {
            "builtin shape",
            "builtin colour",
        }
        assert result.rest is not None
        total = sum(part.log_odds for part in result.parts) + result.rest
        assert total == pytest.approx(result.log_odds, abs=1e-4 * (1 + abs(result.log_odds)))


def test_the_nearest_photos_leave_out_the_photo_itself(explainer: Explainer, marked_shop: Path) -> None:
    photo = photo_of(marked_shop, "marked")
    near = explainer(photo).near
    assert set(near) == {"marked", "plain"} and all(len(photos) == 3 for photos in near.values())
    assert all(Path(other.path).name != photo.name for photos in near.values() for other in photos)


def test_another_weighing_of_the_features_gives_another_map() -> None:
    encoder = open_backbone("resnet18", weights="random", device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    prepared = encoder.prepare(Image.fromarray(pixels))
    row, random = encoder.features([prepared])[0].astype(np.float64), np.random.default_rng(1)
    weights, maps = random.normal(size=len(row)), encoder.feature_maps([prepared])
    pictures = []
    for own in (weights, random.permutation(weights)):
        regions = regions_of(encoder, maps, (128, 128), own, lambda rows: rows[:, 0])
        assert regions.method == EXACT
        # Where the network averages its maps, the cells are the block's share of the log-odds, whatever the weights.
        assert regions.cells.sum() == pytest.approx(float(own @ row), abs=1e-4 * (1 + abs(float(own @ row))))
        pictures.append(regions.cells.ravel())
    ranks = [np.argsort(np.argsort(cells)) for cells in pictures]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.6


def test_means_of_several_layers_are_exact_together_though_their_maps_differ_in_size() -> None:
    encoder = open_backbone("colour+resnet18@penultimate,layer3:middle,layer2", weights="random", device="cpu")
    random = np.random.default_rng(0)
    photo = Image.fromarray(random.integers(0, 256, (96, 128, 3), dtype=np.uint8))
    looked = look(photo, lambda: encoder, "photo", exact=True)
    row, weights = looked.features, random.normal(size=encoder.spec.width)
    assert row is not None and [None if maps is None else maps.shape[1] for maps in looked.maps] == [None, 7, 14, 28]
    columns = aspects_of(encoder)["resnet18"]
    assert columns == slice(encoder.networks()[0].spec.width, encoder.spec.width)
    pictures = []
    for own in (weights, random.permutation(weights)):
        regions = regions_of_networks(encoder, looked, own, lambda rows: rows[:, 0])["resnet18"]
        assert regions.method == EXACT
        assert regions.cells.sum() == pytest.approx(float(own[columns] @ row[columns]), abs=1e-4)
        pictures.append(np.argsort(np.argsort(regions.cells.ravel())))
    assert abs(np.corrcoef(*pictures)[0, 1]) < 0.6


def test_a_layer_that_is_no_mean_makes_the_regions_of_its_network_slopes() -> None:
    encoder = open_backbone("resnet18@penultimate,layer4:spread", weights="random", device="cpu")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8))
    looked = look(photo, lambda: encoder, "photo", exact=True)
    for weights, method in ((np.ones(encoder.spec.width), GRADIENT), (None, OCCLUSION)):
        regions = regions_of_networks(encoder, looked, weights, lambda rows: rows.sum(axis=1, dtype=np.float64))
        assert {name: each.method for name, each in regions.items()} == {"resnet18": method}


def test_cells_of_a_crop_keep_their_sum_and_their_place() -> None:
    encoder = open_backbone("resnet18", weights="random", device="cpu")
    cells = np.arange(12.0).reshape(3, 4)
    whole = spread(cells, encoder, (400, 200))
    assert whole.sum() == pytest.approx(cells.sum())
    # The middle square of a photo twice as wide as high: nothing is seen at its left and right ends.
    assert not whole[:, : GRID // 4].any() and not whole[:, -GRID // 4 :].any()


def test_support_is_only_what_speaks_for_the_category_and_fades_around_it() -> None:
    cells = np.full((GRID, GRID), -1.0)
    cells[8:16, 8:16] = 2
    support = support_of(cells)
    assert support.min() == 0 and np.unravel_index(support.argmax(), support.shape) in set(np.ndindex(16, 16))
    # Cells beside what speaks for it come before those far away, though all of them speak against it.
    assert support[12, 16] > 0 and not support[24:].any() and not support[:, 24:].any()
    assert not support_of(-np.abs(cells)).any()


def test_the_command_prints_json_and_draws_a_picture_for_each_photo(
    featx: Run, marked_shop: Path, tmp_path: Path
) -> None:
    import shutil

    shop = tmp_path / "shop"
    shutil.copytree(marked_shop, shop)
    assert featx("fit", "--clf", "knn", "-s", "store.h5", cwd=shop).returncode == 0
    photos = [str(photo_of(shop, category)) for category in ("marked", "plain")]
    ran = featx("explain", *photos, "-s", "store.h5", "-o", "why", "--json", cwd=shop)
    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [record["category"] for record in records] == ["marked", "plain"]
    assert records[0]["rest"] is None and records[0]["regions"]["builtin"]["method"] == OCCLUSION
    for photo in photos:
        with Image.open(shop / "why" / f"{Path(photo).stem}.png") as drawn:
            assert drawn.size == (512, 512)
    for words, code, part in (
        ([*photos, "-o", "one.png"], 2, "one file"),
        ([photos[0], "--against", "hats"], 2, "no category `hats`"),
        ([photos[0], "--against", "marked"], 2, "the category itself"),
        (["store.h5"], 3, "cannot read"),
        ([photos[0], "--html", "why.txt"], 2, "does not end in .html"),
        ([photos[0], "--open"], 2, "opens the page of `--html`"),
        ([photos[0], "-o", "store.h5/why.png"], 6, "store.h5/why.png"),
    ):
        ran = featx("explain", *words, "-s", "store.h5", cwd=shop)
        assert ran.returncode == code and part in ran.stderr, ran.stderr


def test_the_page_shows_each_photo_its_regions_and_the_nearest(featx: Run, marked_shop: Path, tmp_path: Path) -> None:
    import shutil

    shop = tmp_path / "<shop>"
    shutil.copytree(marked_shop, shop)
    assert featx("fit", "--clf", "logreg", "-s", "store.h5", cwd=shop).returncode == 0
    for extra in sorted((shop / "photos").glob("*/*[1-9].*")):
        extra.unlink()
    ran = featx("explain", "photos", "-s", "store.h5", "--html", "why.html", "-o", "why", cwd=shop)
    assert ran.returncode == 0, ran.stderr
    page = (shop / "why.html").read_text()
    several = featx("explain", "photos", "-s", "store.h5", "--json", cwd=shop).stdout.splitlines()
    assert all(json.loads(line)["border"] is None for line in several)
    near = re.findall("no picture|<li><span class=.frame.><img", page)
    assert "wrote why.html: 4 photos" in ran.stderr and len(list((shop / "why").iterdir())) == 4
    assert page.count("<section>") == 4 and page.count("Most like it in") == 8
    assert "builtin shape speaks for" in page and "<script" not in page
    assert page.count("data:image/jpeg;base64,") == 4 * 2 + len(near)


def test_a_terminal_shows_the_photo_beside_its_regions(featx: Run, explainer: Explainer, marked_shop: Path, tmp_path):
    explainer.predictor.model.save(tmp_path / "svm.safetensors")
    photo, store = str(photo_of(marked_shop, "marked")), str(marked_shop / "store.h5")
    words = ("explain", photo, "-s", store, "-c", str(tmp_path / "svm.safetensors"))
    ran = featx(*words, "--photos", "blocks", COLUMNS="80")
    assert "▀" in ran.stdout and "your photo" in ran.stdout and "for marked" in ran.stdout
    assert "▀" not in featx(*words, COLUMNS="80").stdout


def test_a_notebook_shows_regions_and_parts(explainer: Explainer, marked_shop: Path) -> None:
    page = explainer(photo_of(marked_shop, "marked"))._repr_html_()
    assert page.startswith('<img src="data:image/jpeg') and "builtin colour" in page


def test_photos_of_one_name_get_a_picture_each() -> None:
    names = picture_names(Path("why"), ["a/front.jpg", "b/front.jpg", "b/back.jpg"])
    assert names == [Path("why/front.png"), Path("why/front-2.png"), Path("why/back.png")]


def test_with_the_mark_covered_it_is_the_other_category(explainer: Explainer, marked_shop: Path) -> None:
    photo = photo_of(marked_shop, "marked")
    result = Explainer(explainer.predictor, cover=True)(photo)
    assert result.covering is not None and result.covering.category == "plain"
    # The mark stands in the nine cells of the upper left; not all of them need be covered.
    assert result.covering.cells[:4, :4].sum() == result.covering.cells.sum() <= 9
    record = result.to_dict()["covering"]
    assert record["share"] == len(record["boxes"]) / 64 and "is plain" in result.covering_sentence
    # What was found holds for the photo as a picture: the classifier answers so.
    again = explainer(covered(result.image, result.covering.cells))
    assert again.category == "plain" and again.sure == pytest.approx(result.covering.sure, abs=1e-4)
    assert "covering" not in explainer(photo).to_dict() and result.picture().width > 1000


def test_an_answer_that_no_cover_changes_has_no_covering() -> None:
    def same(images: Sequence[Image.Image]) -> np.ndarray:
        return np.tile([0.9, 0.1], (len(images), 1))

    cells = np.random.default_rng(0).normal(size=(GRID, GRID))
    assert find_covering(Image.new("RGB", (64, 64)), cells, same, ["a", "b"], 0) is None


def test_a_border_that_is_needed_and_suffices_is_warned_of(explainer: Explainer, marked_shop: Path) -> None:
    random = np.random.default_rng(5)
    for start, decides in ((2, True), (56, False)):
        pixels = np.clip(random.normal(120, 8, (128, 128, 3)), 0, 255).astype(np.uint8)
        pixels[start : start + 16, start : start + 16] = 230
        border = ask_border(Image.fromarray(pixels), edges, ["a", "b"], 1)
        assert border.decides == decides and border.category == "b"
    result = explainer(photo_of(marked_shop, "marked"))
    assert Explainer(explainer.predictor, border=False)(photo_of(marked_shop, "plain")).to_dict()["border"] is None
    assert result.border is not None
    record = result.to_dict()["border"]
    assert record["decides"] == result.border.decides == bool(result.border_sentence)
    assert set(record) == {"decides", "border_blurred", "middle_blurred"}


def edges(images: Sequence[Image.Image]) -> np.ndarray:
    """Category b for photos with a sharp edge."""
    pixels = [np.asarray(image.convert("L"), dtype=float) for image in images]
    is_sharp = np.array([float(np.abs(np.diff(each, axis=0)).max() > 80) for each in pixels])
    return np.stack([1 - is_sharp, is_sharp], axis=1)


@pytest.mark.long
def test_fine_regions_are_what_is_lost_by_blurring_a_part_and_find_the_mark(
    explainer: Explainer, marked_shop: Path
) -> None:
    photo = photo_of(marked_shop, "marked")
    result = Explainer(explainer.predictor, fine=True)(photo)
    regions = result.regions["builtin"]
    assert regions.method == BLURRED and "builtin blurred" in result.legend
    cells = np.clip(result.cells, 0, None)
    corner = GRID * 54 // 128
    assert cells[:corner, :corner].sum() >= 0.6 * cells.sum()


def test_fine_regions_of_a_score_that_one_place_decides_lie_there() -> None:
    """The score is the contrast in the upper right quarter of the photo: blurring anything else costs nothing."""
    pixels = np.random.default_rng(0).integers(0, 256, (96, 120, 3), dtype=np.uint8)

    def contrast(images: Sequence[Image.Image]) -> np.ndarray:
        return np.array([np.asarray(image, dtype=float)[:48, 60:].std() for image in images])

    cells = fine_regions(Image.fromarray(pixels), contrast).cells
    quarter = cells[: GRID // 2, GRID // 2 :]
    # A window at the edge of the quarter is shared with the cells beside it.
    assert quarter.min() > 0 and quarter.sum() > 0.8 * cells.sum()
    assert np.abs(cells[GRID // 2 + 4 :, : GRID // 2 - 4]).max() < 1e-9
