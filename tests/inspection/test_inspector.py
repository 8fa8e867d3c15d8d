"""A fault is found and shown where it is; good photos pass as often as was promised."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.backbones import open_backbone
from featx.errors import FeatxError
from featx.inspection.bank import PatchBank, limit_for, unlikeness
from featx.inspection.inspector import Inspection, Inspector, inspect
from featx.inspection.patches import patches_of
from tests.conftest import Run, made_once


def ring(seed: int, gap: tuple[int, int] | None = None, scratch: bool = False) -> Image.Image:
    """A ring of some shade on a light ground, a little shifted; `gap` is the middle of a missing part."""
    random, (y, x) = np.random.default_rng(seed), np.indices((192, 192))
    across, down = random.integers(90, 103, 2)
    far = np.hypot(y - down, x - across)
    pixels = np.clip(random.normal(225, 3, (192, 192, 3)), 0, 255)
    pixels[(far < 70) & (far > 40)] = random.normal((130, 90, 90), 10)
    if gap is not None:
        pixels[np.hypot(y - gap[0], x - gap[1]) < 22] = 225
    if scratch:
        pixels[np.abs((y - 40) - (x - 96)) < 3] = 20
    return Image.fromarray(np.clip(pixels + random.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(root: Path) -> None:
        for part, seeds in (("good", range(24)), ("new", range(100, 104))):
            (root / part).mkdir()
            for seed in seeds:
                ring(seed).save(root / part / f"{seed}.png")
        ring(200, gap=(96, 40)).save(root / "new" / "gap.png")
        ring(201, scratch=True).save(root / "new" / "scratch.png")

    return made_once(tmp_path_factory, "rings", make)


@pytest.fixture(scope="module", autouse=True)
def few_patches() -> Iterator[None]:
    """So plain photos need few patches to stand for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.inspection.bank.KEPT", 300)
        patch.setattr("featx.inspection.bank.CANDIDATES", 4000)
        yield


@pytest.fixture(scope="module")
def inspector(rings: Path) -> Inspector:
    return Inspector(sorted((rings / "good").iterdir()))


def test_a_missing_part_is_unlike_and_is_shown_where_it_is(inspector: Inspector, rings: Path) -> None:
    result = inspector(rings / "new" / "gap.png")
    assert result.is_unlike and "unlike the good photos" in result.sentence
    x, y = result.where
    assert np.hypot(x - 40 / 192, y - 96 / 192) < 0.2, result.where
    pixels = np.asarray(result.overlay(192), dtype=int)
    orange = pixels[..., 0] - pixels[..., 2] > 60
    assert orange.any() and orange[:, :96].sum() > 3 * orange[:, 96:].sum()


def test_faulty_photos_are_more_unlike_than_new_good_ones(inspector: Inspector, rings: Path) -> None:
    found = {path.stem: inspector(path) for path in sorted((rings / "new").iterdir())}
    good = max(result.unlikeness for name, result in found.items() if name.isdigit())
    assert good < min(found["gap"].unlikeness, found["scratch"].unlikeness)
    assert found["scratch"].is_unlike


def test_the_limit_lets_as_many_good_photos_pass_as_promised() -> None:
    random, shares = np.random.default_rng(0), []
    for _ in range(400):
        scores = random.exponential(size=60)
        shares.append((random.exponential(size=400) > limit_for(scores[:59].tolist(), 0.1)).mean())
    assert np.mean(shares) <= 0.1 + 0.01


def test_too_few_good_photos_are_refused_with_how_many_it_takes(rings: Path) -> None:
    with pytest.raises(FeatxError, match="which takes 99"):
        limit_for([1.0] * 30, 0.01)
    with pytest.raises(FeatxError, match="10 are needed"):
        Inspector(sorted((rings / "good").iterdir())[:4])


def test_copies_of_a_good_photo_count_once_and_a_product_is_measured_without_itself(rings: Path) -> None:
    good = sorted((rings / "good").iterdir())[:20]
    assert Inspector([*good, *good]).n_good == 20
    with pytest.raises(FeatxError, match="5 good photos of different products"):
        Inspector(good, products=[str(i // 4) for i in range(20)])


def test_the_kept_patches_are_near_to_all_and_the_same_each_time() -> None:
    random = np.random.default_rng(0)
    photos = [patches_of(random.normal(size=(8, 12, 12)).astype(np.float32)) for _ in range(20)]
    bank = PatchBank.of(photos, list(range(20)))
    again = PatchBank.of(photos, list(range(20)))
    np.testing.assert_array_equal(bank.patches, again.patches)
    assert len(bank.patches) <= 2000
    own = bank.distances(photos[3])
    assert unlikeness(own) < unlikeness(bank.distances(photos[3], without=3))
    assert unlikeness(own) < unlikeness(bank.distances(photos[3] + 5))


def test_the_finest_maps_of_the_built_in_network_are_inside_it() -> None:
    encoder = open_backbone("builtin", device="cpu")
    prepared = encoder.prepare(ring(0))
    assert encoder.detail_maps([prepared]).shape == (1, 384, 24, 24)
    assert encoder.feature_maps([prepared]).shape[2:] == (12, 12)


def test_python_and_command_agree(featx: Run, rings: Path, tmp_path: Path) -> None:
    results = {Path(result.path).name: result for result in inspect(sorted((rings / "new").iterdir()), rings / "good")}
    page, pictures = tmp_path / "page.html", tmp_path / "pictures"
    ran = featx("inspect", "new", "--good", "good", "--json", "--html", str(page), "-o", str(pictures), cwd=rings)
    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {Path(record["path"]).name: record["unlike"] for record in records} == {
        name: result.is_unlike for name, result in results.items()
    }
    assert records[0]["unlikeness"] == pytest.approx(results[Path(records[0]["path"]).name].unlikeness, abs=1e-3)
    text = page.read_text()
    assert text.count("<li ") == 6 and text.index("gap.png") < text.index("100.png") and "<script" not in text
    assert len(list(pictures.iterdir())) == 6 and "learned from 24 good photos" in ran.stderr
    assert isinstance(results["gap.png"], Inspection) and "gap.png" in results["gap.png"]._repr_html_()


@pytest.fixture
def kept(featx: Run, rings: Path, tmp_path: Path) -> Path:
    """A shop with photos whose bank is kept under the name `rings`."""
    shutil.copytree(rings, tmp_path / "shop")
    ran = featx("inspect", "new/gap.png", "--good", "good", "--bank", "rings", cwd=tmp_path / "shop")
    assert ran.returncode == 0 and "kept as the bank `rings`" in ran.stderr, ran.stderr
    return tmp_path / "shop"


def test_a_kept_bank_answers_the_same_without_learning_again(
    featx: Run, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("inspect", "new/gap.png", "new/100.png", "--json")
    fresh = featx(*words, "--good", "good", cwd=kept)
    monkeypatch.setattr(PatchBank, "of", None)
    for more in (("--bank", "rings"), ("--bank", "rings", "--good", "good")):
        again = featx(*words, *more, cwd=kept)
        assert again.stdout == fresh.stdout and "the bank `rings` was kept" in again.stderr, again.stderr
    # The limit follows `--false-alarms`, without the photos.
    looser = featx(*words, "--bank", "rings", "--false-alarms", "0.2", cwd=kept)
    assert json.loads(looser.stdout.splitlines()[0])["limit"] < json.loads(fresh.stdout.splitlines()[0])["limit"]


def test_a_bank_that_is_stale_broken_or_absent_is_refused_with_what_to_do(featx: Run, kept: Path) -> None:
    file = kept / "artifacts/banks/rings.bank"
    data = file.read_bytes()

    def refused(code: int, part: str, *words: str) -> None:
        ran = featx("inspect", "new/gap.png", "--bank", *(words or ("rings",)), cwd=kept)
        assert (ran.returncode, part in " ".join(ran.stderr.split())) == (code, True), ran.stderr

    refused(4, "no bank `hoops`", "hoops")
    refused(2, "no name of a bank", "../rings")
    refused(5, "learned with another network", "rings", "-b", "colour")
    for place in (3, 70, len(data) // 2):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        refused(5, "SHA-256")
    file.write_bytes(data)
    (kept / "good/3.png").unlink()
    assert featx("inspect", "new/gap.png", "--bank", "rings", cwd=kept).returncode == 0
    ring(77).save(kept / "good/4.png")
    refused(5, "1 good photo of the bank `rings` changed after it was learned, such as `good/4.png`")
    again = featx("inspect", "new/gap.png", "--bank", "rings", "--good", "good", cwd=kept)
    assert again.returncode == 0 and "kept as the bank" in again.stderr
    assert "learned from 23 good photos" in featx("inspect", "new/gap.png", "--bank", "rings", cwd=kept).stderr


@pytest.mark.long
def test_python_keeps_and_uses_a_bank(rings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo = rings / "new" / "gap.png"
    (first,) = inspect(photo, rings / "good", bank="rings")
    (again,) = inspect(photo, bank="rings")
    assert again.to_dict() == first.to_dict()
    with pytest.raises(FeatxError, match="nothing to compare with"):
        inspect(photo)


def test_wrong_calls_are_refused_in_a_sentence(featx: Run, rings: Path) -> None:
    for words, code, part in (
        (["new"], 2, "nothing to compare with"),
        (["new", "--good", "good", "-b", "colour"], 2, "no feature maps"),
        (["new", "--good", "good", "--false-alarms", "0.01"], 3, "which takes 99"),
        (["new", "--good", "good", "-o", "one.png"], 2, "several photos"),
        (["absent.png", "--good", "good"], 2, "absent.png"),
    ):
        ran = featx("inspect", *words, cwd=rings)
        assert (ran.returncode, part in ran.stderr) == (code, True), ran.stderr
