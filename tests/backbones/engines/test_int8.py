"""int8: close enough to float32, the same for everybody, and never mixed with it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from featx.backbones import open_backbone
from featx.backbones.engines import int8
from featx.backbones.engines.base import TOLERANCE, min_cosine
from featx.backbones.engines.int8_images import calibration_digest, calibration_images, comparison_images
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.extraction import ExtractionOptions, check_store, run_extraction
from featx.images import decode_photo, read_bytes
from featx.store import open_store
from tests.conftest import SHARED, photo

REAL = SHARED / "data/grocery/train"
SQUEEZENET = SHARED / "weights/squeezenet1_0_imagenet_dc-46c89ed6.pth"
quantises = pytest.mark.skipif(
    not (find_spec("openvino") and find_spec("nncf")), reason="openvino and nncf are not installed"
)


@pytest.fixture(autouse=True)
def kept_for_all(shared_networks, monkeypatch):
    monkeypatch.setattr("featx.backbones.engines.conversion_cache.conversions_folder", lambda: shared_networks)


@pytest.fixture
def nothing_kept(kept_for_all, no_network_kept, monkeypatch):
    monkeypatch.setattr("featx.backbones.engines.conversion_cache.conversions_folder", lambda: no_network_kept)


def opened(name, precision="int8", weights=None):
    weights = weights or (None if name == "builtin" else "random")
    backbone = open_backbone(name, weights=weights, device="cpu", precision=precision)
    backbone.use_engine("openvino", photos=1, batch_size=4)
    return backbone


@quantises
@pytest.mark.parametrize("name", ["squeezenet1_1", pytest.param("builtin", marks=pytest.mark.long)])
def test_int8_answers_nearly_as_float32_and_the_same_each_time(name):
    pictures = comparison_images()[:8]
    plain, fast, again = opened(name, "fp32"), opened(name), opened(name)
    rows = [backbone.features([backbone.prepare(picture) for picture in pictures]) for backbone in (plain, fast, again)]
    assert fast.fingerprint.precision == "int8" and fast.fingerprint.digest() != plain.fingerprint.digest()
    assert rows[1].tobytes() == rows[2].tobytes()
    assert min_cosine(rows[0], rows[1]) >= TOLERANCE["int8"]
    assert min_cosine(rows[0], rows[1]) < 0.99999  # it is int8 indeed


@quantises
def test_an_int8_store_is_checked_asked_and_grown_in_int8_and_in_nothing_else(workplace, folder):
    request = ExtractionOptions(backbone="squeezenet1_1", weights="random", precision="int8")
    run_extraction(read_catalogue(folder), request, store=workplace / "a.h5")
    store = open_store(workplace / "a.h5")
    assert store.fingerprint.precision == "int8" and store.provenance["engine"] == "openvino"
    later = open_backbone("squeezenet1_1", weights="random", precision="int8")  # no engine named, as a search does
    with Image.open(store.paths[0]) as picture:
        features = later.features([later.prepare(picture.convert("RGB"))])
    assert min_cosine(features, np.asarray(store.features[:1], dtype=np.float32)) > 0.999
    assert check_store(store) == []
    photo(folder / "mugs" / "new.jpg", seed=99)
    with pytest.raises(FeatxError) as caught:
        run_extraction(
            read_catalogue(folder),
            ExtractionOptions(backbone="squeezenet1_1", weights="random"),
            store=workplace / "a.h5",
        )
    assert caught.value.code == "other-backbone" and "int8" in caught.value.message


@quantises
@pytest.mark.parametrize(
    ("precision", "times"),
    [("int8", 2), *(pytest.param(precision, 15, marks=pytest.mark.long) for precision in ("fp32", "bf16", "int8"))],
)
def test_a_network_says_the_same_on_every_core_however_often_it_is_compiled(precision, times):
    # Compiled for several streams at once, every fourth int8 network was wrong throughout.
    pictures = comparison_images()
    first = opened("squeezenet1_1", precision)
    prepared = [first.prepare(picture) for picture in pictures]
    rows = first.features(prepared)
    for _ in range(times):
        assert opened("squeezenet1_1", precision).features(prepared).tobytes() == rows.tobytes()


@quantises
@pytest.mark.long
def test_a_network_that_int8_changes_too_much_is_refused(nothing_kept, monkeypatch):
    monkeypatch.setitem(TOLERANCE, "int8", 1.1)
    monkeypatch.setattr(int8, "quantised", lambda network, prepare: network)  # it is not even changed
    with pytest.raises(FeatxError) as caught:
        opened("squeezenet1_1")
    assert caught.value.code == "bad-flag" and "cosine" in caught.value.message


def test_int8_says_where_it_cannot_run(nothing_kept, monkeypatch):
    with pytest.raises(FeatxError, match="int8 runs on the CPU"):
        open_backbone("builtin", device="cuda", precision="int8")
    backbone = open_backbone("builtin", precision="int8")
    with pytest.raises(FeatxError, match="does not compute in int8"):
        backbone.use_engine("torch", photos=1, batch_size=4)
    if find_spec("openvino") is None:
        return
    monkeypatch.setattr(int8, "find_spec", lambda name: None)
    monkeypatch.setattr("featx.backbones.engines.openvino_engine.converted", lambda *_: pytest.fail("converted"))
    with pytest.raises(FeatxError) as caught:
        backbone.use_engine("auto", photos=1, batch_size=4)
    assert caught.value.code == "extra-missing" and "featx[int8]" in caught.value.hint


def test_the_images_that_calibrate_are_the_same_as_ever():
    """They decide what int8 features are: with other images the digest changes, and with it the fingerprint."""
    pixels = b"".join(image.resize((8, 8), Image.Resampling.BOX).tobytes() for image in calibration_images())
    coarse = np.frombuffer(pixels, dtype=np.uint8) // 64
    assert (calibration_digest(), hashlib.sha256(coarse.tobytes()).hexdigest()[:16]) == (
        "39be8695bc5afdd5",
        "6aca651b4f8969b8",
    )


def test_an_int8_fingerprint_names_the_images_it_was_calibrated_on():
    fingerprint = open_backbone("builtin", device="cpu", precision="int8").fingerprint
    assert calibration_digest() in fingerprint.preprocessing
    earlier = replace(fingerprint, preprocessing=fingerprint.preprocessing.replace(calibration_digest(), "0" * 16))
    assert fingerprint.difference(earlier, "search") == "preprocessing"


@quantises
@pytest.mark.long
@pytest.mark.reality
@pytest.mark.skipif(not (REAL.is_dir() and SQUEEZENET.is_file()), reason="the real photos and weights are not here")
@pytest.mark.parametrize("name", ["builtin", "squeezenet1_0"])
def test_int8_finds_the_neighbours_and_categories_of_real_photos_that_float32_finds(name):
    from featx.classifiers.pipelines import build
    from featx.classifiers.spec import ClassifierSettings

    files = sorted(REAL.rglob("*.jpg"))[::4]
    labels = np.array([path.relative_to(REAL).parts[0] for path in files])
    near, right = [], []
    for precision in ("fp32", "int8"):
        backbone = opened(name, precision, SQUEEZENET if name == "squeezenet1_0" else None)
        prepared = [backbone.prepare(decode_photo(read_bytes(path))) for path in files]
        rows = backbone.features(prepared)
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        alike = unit @ unit.T
        np.fill_diagonal(alike, -2)
        near.append(np.argsort(-alike, axis=1)[:, :10])
        learned = build(ClassifierSettings("logreg")).fit(rows[::2], labels[::2])
        right.append(np.mean(learned.predict(rows[1::2]) == labels[1::2]))
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*near, strict=True)])
    assert overlap >= 0.9 and right[1] >= right[0] - 0.01
