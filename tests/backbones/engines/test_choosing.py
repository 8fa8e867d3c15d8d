"""Engines and decoding: faster, with the same answer within the tolerance that is promised."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

import featx
from featx.backbones import OutOfMemory, open_backbone
from featx.backbones.engines.base import TOLERANCE, min_cosine, network_threads
from featx.backbones.engines.choosing import choose_engine
from featx.backbones.preprocessing import preset_of
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.extraction import ExtractionEvents, ExtractionOptions, network, run_extraction
from featx.images import decode_photo, read_bytes
from featx.store import open_store
from tests.conftest import SHARED, photo

HERE = [name for name in ("torch", "openvino", "onnxruntime") if name == "torch" or find_spec(name)]
REAL = SHARED / "data/grocery/train"
SQUEEZENET = SHARED / "weights/squeezenet1_0_imagenet_dc-46c89ed6.pth"
needs_openvino = pytest.mark.skipif("openvino" not in HERE, reason="openvino is not installed")


@pytest.fixture(autouse=True)
def kept_for_all(shared_networks, monkeypatch):
    monkeypatch.setattr("featx.backbones.engines.conversion_cache.conversions_folder", lambda: shared_networks)


def blobs(seed: int, size: tuple[int, int] = (300, 260)) -> Image.Image:
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (9, 11, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)


def engined(name: str, engine: str, **options: str):
    backbone = open_backbone(name, weights="random", device="cpu", **options)
    backbone.use_engine(engine, photos=1, batch_size=4)
    return backbone


# --- preparing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(348, 348), (224, 640), (640, 225), (30, 17), (256, 256), (1, 1), (1001, 333)])
@pytest.mark.parametrize("name", ["ResNet50_Weights", "MobileNet_V3_Large_Weights", "ConvNeXt_Tiny_Weights"])
def test_prepared_bytes_are_the_pixels_of_the_weights_own_transforms(name, size):
    import torchvision

    transforms = getattr(torchvision.models, name).IMAGENET1K_V1.transforms()
    picture = blobs(1, size)
    mine = preset_of(transforms)
    assert mine is not None
    got = torch.from_numpy(mine(picture)).permute(2, 0, 1) / 255
    got = (got - torch.tensor(mine.mean).view(3, 1, 1)) / torch.tensor(mine.std).view(3, 1, 1)
    # One step of a byte at most, where rounding falls the other way.
    assert (got - transforms(picture)).abs().max() <= 1.01 / 255 / min(mine.std)
    assert ((got - transforms(picture)).abs() > 1e-4).float().mean() < 0.05


def test_other_preprocessing_is_left_alone():
    assert preset_of(lambda image: image) is None


# --- engines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", HERE)
@pytest.mark.parametrize("name", ["squeezenet1_1", pytest.param("resnet18", marks=pytest.mark.long)])
def test_float32_engines_give_the_features_of_plain_torch(name, engine):
    pictures = [blobs(i) for i in range(4)]
    plain = open_backbone(name, weights="random", device="cpu")
    other = engined(name, engine)
    assert other.spec.engine == engine
    assert other.fingerprint == plain.fingerprint
    mine, theirs = (
        backbone.features([backbone.prepare(picture) for picture in pictures]) for backbone in (other, plain)
    )
    assert mine.dtype == np.float32 and mine.shape == theirs.shape
    assert min_cosine(mine, theirs) >= TOLERANCE["fp32"]


@pytest.mark.parametrize("engine", HERE)
def test_neighbours_in_a_batch_never_change_a_photos_numbers(engine):
    backbone = engined("squeezenet1_1", engine)
    prepared = [backbone.prepare(blobs(i)) for i in range(8)]
    first = backbone.features([prepared[i] for i in (0, 1, 2, 3)])
    again = backbone.features([prepared[i] for i in (7, 1, 0, 5)])
    assert first[1].tobytes() == again[1].tobytes()
    assert backbone.features([prepared[i] for i in (0, 1, 2, 3)]).tobytes() == first.tobytes()


@needs_openvino
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_engine_for_photos_one_at_a_time_gives_the_very_numbers_of_batches(precision):
    batches, alone = (open_backbone("squeezenet1_1", weights="random", precision=precision) for _ in range(2))
    batches.use_engine("openvino", photos=1, batch_size=4)
    alone.use_engine("openvino", photos=1, batch_size=1)
    assert (alone.spec.batch_hint, alone.spec.parallel_calls) == (1, network_threads())
    prepared = [alone.prepare(blobs(i)) for i in range(6)]
    one_by_one = np.concatenate([alone.features([photo]) for photo in prepared])
    assert one_by_one.tobytes() == batches.features(prepared).tobytes() == alone.features(prepared).tobytes()


@needs_openvino
def test_engines_take_batches_of_any_size():
    backbone = engined("squeezenet1_1", "openvino")
    prepared = [backbone.prepare(blobs(i)) for i in range(5)]
    whole = backbone.features(prepared)
    parts = np.concatenate([backbone.features(prepared[:1]), backbone.features(prepared[1:3]), whole[3:]])
    assert min_cosine(whole, parts) >= TOLERANCE["fp32"]
    assert backbone.features([]).shape == (0, backbone.spec.width)


@needs_openvino
def test_bf16_is_another_fingerprint_and_within_its_own_tolerance():
    pictures = [blobs(i) for i in range(4)]
    plain, fast = (
        open_backbone("squeezenet1_1", weights="random"),
        engined("squeezenet1_1", "openvino", precision="bf16"),
    )
    assert fast.fingerprint.precision == "bf16" and fast.fingerprint.digest() != plain.fingerprint.digest()
    rows = [backbone.features([backbone.prepare(picture) for picture in pictures]) for backbone in (plain, fast)]
    assert min_cosine(*rows) >= TOLERANCE["bf16"]


def test_the_automatic_engine_converts_only_where_that_pays():
    network = open_backbone("resnet18", weights="random", device="cpu").network
    best = "openvino" if "openvino" in HERE else "torch"
    assert choose_engine("auto", device="cpu", photos=300, network=network, worth_from=300) == best
    assert choose_engine("auto", device="cpu", photos=299, network=network, worth_from=300) == "torch"
    assert choose_engine("auto", device="cuda", photos=10**6, network=network, worth_from=300) == "torch"
    few = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3))
    assert choose_engine("auto", device="cpu", photos=10**6, network=few, worth_from=300) == "torch"


def test_wrong_engines_are_told_in_a_sentence():
    backbone = open_backbone("resnet18", weights="random", device="cpu")
    with pytest.raises(FeatxError) as caught:
        backbone.use_engine("openvin", photos=1, batch_size=1)
    assert "openvino" in caught.value.hint
    with pytest.raises(FeatxError, match="runs on the CPU") as caught:
        choose_engine("openvino", device="cuda", photos=1, network=backbone.network, worth_from=300)
    assert caught.value.code == "bad-flag"
    if "onnxruntime" in HERE:
        with pytest.raises(FeatxError) as caught:
            engined("resnet18", "onnxruntime", precision="bf16")
        assert "bf16" in caught.value.message


@needs_openvino
def test_an_engine_with_other_answers_is_not_used(monkeypatch):
    from featx.backbones.engines import openvino_engine

    wrong = openvino_engine.OpenVinoEngine.__call__
    monkeypatch.setattr(openvino_engine.OpenVinoEngine, "__call__", lambda self, batch: 1 + wrong(self, batch))
    backbone = open_backbone("squeezenet1_1", weights="random", device="cpu")
    made, convert = {}, openvino_engine.converted
    monkeypatch.setattr(openvino_engine, "converted", lambda *words: made.get(1) or made.setdefault(1, convert(*words)))
    with pytest.raises(FeatxError) as caught:
        backbone.use_engine("openvino", photos=1, batch_size=2)
    assert "cosine" in caught.value.message
    why = backbone.use_engine("auto", photos=10**6, batch_size=2)
    assert "cosine" in why and backbone.spec.engine == "torch"


# --- in an extraction -------------------------------------------------------------------------------------------------


def extracted(folder, store, **options):
    request = ExtractionOptions(backbone="squeezenet1_1", weights="random", batch_size=4, **options)
    run_extraction(read_catalogue(folder), request, store=store)
    return open_store(store)


@pytest.mark.parametrize("engine", HERE)
def test_the_order_of_photos_never_changes_a_feature(workplace, folder, engine):
    first = extracted(folder, workplace / "a.h5", engine=engine)
    for path in sorted(folder.rglob("*.jpg"))[::2]:
        path.rename(path.with_name(f"z{path.name}"))
    again = extracted(folder, workplace / "b.h5", engine=engine)
    before, after = ({d: s.features[i].tobytes() for i, d in enumerate(s.digests)} for s in (first, again))
    assert before == after and first.provenance["engine"] == engine


@needs_openvino
def test_a_store_goes_on_with_another_float32_engine_but_not_with_another_precision(workplace, folder):
    extracted(folder, workplace / "a.h5", engine="torch")
    photo(folder / "mugs" / "new.jpg", seed=99)
    grown = extracted(folder, workplace / "a.h5", engine="openvino")
    assert len(grown) == 13 and grown.provenance["engine"] == "openvino"
    photo(folder / "mugs" / "newer.jpg", seed=98)
    with pytest.raises(FeatxError) as caught:
        extracted(folder, workplace / "a.h5", engine="openvino", precision="bf16")
    assert caught.value.code == "other-backbone" and "bf16" in caught.value.message


def test_backbones_with_one_engine_say_so(workplace, folder):
    for name in ("colour",):
        request = ExtractionOptions(backbone=name, engine="openvino")
        with pytest.raises(FeatxError) as caught:
            run_extraction(read_catalogue(folder), request, store=workplace / f"{name}.h5")
        assert caught.value.code == "bad-flag" and name in caught.value.message


@needs_openvino
def test_batches_are_halved_when_memory_runs_out_whatever_the_engine(workplace, folder, monkeypatch):
    from featx.backbones.engines import openvino_engine

    real = openvino_engine.OpenVinoEngine.__call__

    def small(self, batch):
        if len(batch) > 2:
            raise RuntimeError("could not allocate memory")
        return real(self, batch)

    opened = network.open_backbone

    def open_then_shrink(*words, **options):
        backbone = opened(*words, **options)
        use = backbone.use_engine
        backbone.use_engine = lambda *a, **k: (
            use(*a, **k),
            monkeypatch.setattr(openvino_engine.OpenVinoEngine, "__call__", small),
        )[0]
        return backbone

    monkeypatch.setattr(network, "open_backbone", open_then_shrink)
    heard: list[int] = []

    class Hears(ExtractionEvents):
        def halved(self, batch_size: int) -> None:
            heard.append(batch_size)

    request = ExtractionOptions(backbone="squeezenet1_1", weights="random", batch_size=8, engine="openvino")
    summary = run_extraction(read_catalogue(folder), request, store=workplace / "a.h5", listener=Hears())
    assert summary.new == 12 and heard == [4, 2]


def test_exhausted_memory_keeps_its_name(monkeypatch):
    backbone = open_backbone("squeezenet1_1", weights="random", device="cpu")

    def full(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("torchvision.models.squeezenet.SqueezeNet.forward", full)
    with pytest.raises(OutOfMemory):
        backbone.features([backbone.prepare(blobs(0))])


def test_large_photos_are_decoded_small_unless_asked_otherwise(workplace):
    Image.fromarray(np.asarray(blobs(3, (1600, 1200)))).save(workplace / "big.jpg", quality=92)
    scaled = featx.extract([str(workplace / "big.jpg")], store=workplace / "s.h5", backbone="builtin")
    exact = featx.extract([str(workplace / "big.jpg")], store=workplace / "e.h5", backbone="builtin", exact_decode=True)
    backbone = open_backbone("builtin", device="cpu")
    data = read_bytes(workplace / "big.jpg")
    whole = backbone.features([backbone.prepare(decode_photo(data))] * 16)
    assert (scaled.provenance["decoding"], exact.provenance["decoding"]) == ("scaled", "exact")
    # Another number of threads may round the last bit otherwise; another decoding is thousands of times farther off.
    np.testing.assert_allclose(exact.features[0], whole[0], atol=1e-6)
    assert np.abs(scaled.features[0] - whole[0]).max() > 1e-5
    assert min_cosine(np.asarray(scaled.features[:]), whole[:1]) >= 0.999


# --- on real photos ---------------------------------------------------------------------------------------------------


def large_photos(tmp_path, count=2):
    """Photos of 1,600 pixels with real detail: sixteen real ones side by side."""
    files = sorted(REAL.rglob("*.jpg"))
    for number in range(count):
        whole = Image.new("RGB", (1600, 1600))
        for copy in range(16):
            with Image.open(files[(number * 331 + copy * 97) % len(files)]) as opened:
                whole.paste(opened.convert("RGB").resize((400, 400)), (copy % 4 * 400, copy // 4 * 400))
        whole.save(tmp_path / f"{number}.jpg", quality=90)
    return sorted(tmp_path.glob("*.jpg"))


@pytest.mark.reality
@pytest.mark.skipif(not (REAL.is_dir() and SQUEEZENET.is_file()), reason="the real photos and weights are not here")
@pytest.mark.parametrize("name", ["builtin", "squeezenet1_0"])
def test_scaled_decoding_of_real_photos_keeps_the_features(tmp_path, name):
    backbone = open_backbone(name, weights=SQUEEZENET if name != "builtin" else None, device="cpu")
    photos = [read_bytes(path) for path in large_photos(tmp_path)]
    exact = backbone.features([backbone.prepare(decode_photo(data)) for data in photos])
    small = [decode_photo(data, draft_size=backbone.spec.decode_size) for data in photos]
    assert all(max(image.size) < 1600 for image in small)
    assert min_cosine(exact, backbone.features([backbone.prepare(image) for image in small])) >= 0.999


@pytest.mark.long
@pytest.mark.reality
@pytest.mark.skipif(not (REAL.is_dir() and SQUEEZENET.is_file()), reason="the real photos and weights are not here")
@needs_openvino
def test_bf16_finds_the_neighbours_of_real_photos_that_float32_finds():
    files = sorted(REAL.rglob("*.jpg"))[::40]
    rows = []
    for precision in ("fp32", "bf16"):
        backbone = open_backbone("squeezenet1_0", weights=SQUEEZENET, device="cpu", precision=precision)
        backbone.use_engine("openvino", photos=1, batch_size=4)
        features = backbone.features([backbone.prepare(decode_photo(read_bytes(path))) for path in files])
        rows.append(features / np.linalg.norm(features, axis=1, keepdims=True))
    assert (rows[0] * rows[1]).sum(1).min() >= TOLERANCE["bf16"]
    near = [np.argsort(-(features @ features.T), axis=1)[:, 1:6] for features in rows]
    overlap = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(*near, strict=True)])
    assert overlap >= 0.95
