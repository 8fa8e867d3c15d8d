"""Promises of the backbone that travels with featx."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featx
from featx.backbones import builtin, open_backbone
from featx.backbones.names import EDITIONS
from featx.embedding.reopen import reopen_backbone
from featx.errors import FeatxError
from tests.conftest import command_environment, run_here

REALITY = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "grocery"


@pytest.fixture(scope="module")
def backbone() -> builtin.BuiltinEncoder:
    """The backbone on the CPU."""
    return open_backbone("builtin", device="cpu")


def picture(seed: int, size: tuple[int, int] = (200, 150)) -> Image.Image:
    """A smooth picture of random colours."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def test_features_are_finite_float32_rows_of_unit_length(backbone: builtin.BuiltinEncoder) -> None:
    """Every photo gives one usable row, whatever its shape."""
    images = [picture(1), picture(2, (50, 400)), picture(3, (1, 1)), Image.new("RGB", (90, 90)), Image.new("L", (9, 9))]
    features = backbone.features([backbone.prepare(image) for image in images])
    assert features.shape == (5, backbone.spec.width)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


def test_no_photo_gives_no_row(backbone: builtin.BuiltinEncoder) -> None:
    """An empty batch is no error."""
    assert backbone.features([]).shape == (0, backbone.spec.width)


def test_a_photo_has_the_same_features_in_any_batch(backbone: builtin.BuiltinEncoder) -> None:
    """What a photo is computed beside does not matter, nor does computing it twice."""
    prepared = [backbone.prepare(picture(seed)) for seed in range(5)]
    together = backbone.features(prepared)
    alone = np.concatenate([backbone.features([image]) for image in prepared])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(together, backbone.features(prepared))


@pytest.mark.long
def test_openvino_gives_the_same_features(backbone: builtin.BuiltinEncoder) -> None:
    """Another engine changes the last digits only, and is named."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    other = open_backbone("builtin", device="cpu")
    assert other.use_engine("openvino", photos=10_000, batch_size=4) == ""
    assert (backbone.spec.engine, other.spec.engine) == ("torch", "openvino")
    prepared = [backbone.prepare(picture(seed)) for seed in range(4)]
    cosines = (backbone.features(prepared) * other.features(prepared)).sum(axis=1)
    assert cosines.min() >= 0.9999


def test_computing_changes_no_tensor_and_keeps_no_gradient(backbone: builtin.BuiltinEncoder) -> None:
    """Frozen means frozen."""
    network = backbone.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    backbone.features([backbone.prepare(picture(1))])
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    for name, value in network.state_dict().items():
        assert value.equal(before[name]), name


def test_colour_tells_two_plain_photos_apart(backbone: builtin.BuiltinEncoder) -> None:
    """A red and a blue one are less alike than two reds."""
    reds = [Image.new("RGB", (80, 80), (200 + step, 20, 20)) for step in (0, 6)]
    features = backbone.features(
        [backbone.prepare(image) for image in [*reds, Image.new("RGB", (80, 80), (20, 20, 200))]]
    )
    assert features[0] @ features[1] > features[0] @ features[2] + 0.1


def test_the_fingerprint_names_the_weights_by_their_digest(backbone: builtin.BuiltinEncoder) -> None:
    """A store can tell these weights from any later ones."""
    _, digest = builtin.read_weights()
    assert backbone.fingerprint.weights_sha256 == digest
    assert backbone.fingerprint.backbone == backbone.spec.name == "builtin"
    assert backbone.fingerprint.width == backbone.spec.width == builtin.WIDTH


def test_the_shipped_network_is_the_last_edition() -> None:
    """Whoever ships another one adds its digest, so that its stores are known later."""
    assert builtin.read_weights()[1] == list(EDITIONS)[-1]


def test_a_store_of_an_earlier_edition_is_refused_with_the_command_that_makes_it_anew(
    workplace: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both directions: new photos for the old store, and a query that was never in it."""
    data, _ = builtin.read_weights()
    with monkeypatch.context() as earlier:
        earlier.setattr(builtin, "read_weights", lambda: (data, next(iter(EDITIONS))))
        store = featx.extract(folder, backbone="builtin", device="cpu")
    assert (
        "made by the second edition of the built-in network"
        in run_here(("info",), workplace, "", command_environment({})).stdout
    )
    words = "second edition of the built-in network, but this run asks for the third edition"
    with pytest.raises(FeatxError, match=words) as caught:
        reopen_backbone(store)
    command = f"featx extract {folder} --backbone builtin --store {store.path} --replace --yes"
    assert caught.value.code == "other-backbone" and command in caught.value.hint
    new = folder / "boots" / "new.jpg"
    Image.new("RGB", (40, 40), "red").save(new)
    with pytest.raises(FeatxError, match="but the backbone here has the third edition") as caught:
        featx.predict(new, featx.fit(store, "centroid"))
    assert caught.value.hint == "train again: `featx fit`, on a store of this backbone"
    with pytest.raises(FeatxError, match=words) as caught:
        featx.extract(folder, backbone="builtin", device="cpu")
    assert "--replace --yes" in caught.value.hint


def test_damaged_weights_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    """One flipped bit is an error that says so."""
    for name in ("builtin.safetensors", "builtin.json"):
        shutil.copy(builtin.FOLDER / name, tmp_path)
    data = bytearray((tmp_path / "builtin.safetensors").read_bytes())
    data[-5] ^= 1
    (tmp_path / "builtin.safetensors").write_bytes(data)
    with pytest.raises(FeatxError) as caught:
        builtin.read_weights(tmp_path)
    assert caught.value.code == "weights-broken"


def test_absent_weights_are_an_error_with_a_way_out(tmp_path: Path) -> None:
    """An installation without the file says what else to use."""
    with pytest.raises(FeatxError) as caught:
        builtin.read_weights(tmp_path)
    assert caught.value.code == "weights-missing"
    assert "--backbone" in caught.value.hint


def test_bf16_is_close_to_float32_and_another_fingerprint() -> None:
    """A lower precision is used where it is asked for, and never mixes with the usual one."""
    plain, fast = (open_backbone("builtin", device="cpu", precision=precision) for precision in ("auto", "bf16"))
    assert (plain.fingerprint.precision, fast.fingerprint.precision) == ("fp32", "bf16")
    random = np.random.default_rng(0)
    pictures = [Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(2)]
    a, b = (backbone.features([backbone.prepare(picture) for picture in pictures]) for backbone in (plain, fast))
    assert (a * b).sum(1).min() > 0.999 and not np.array_equal(a, b)


def test_the_weights_fit_into_the_wheel() -> None:
    """At most 6 MB, and the facts beside them are true."""
    size = (builtin.FOLDER / "builtin.safetensors").stat().st_size
    assert size <= 6_000_000
    assert json.loads((builtin.FOLDER / "builtin.json").read_text())["bytes"] == size


def test_naming_it_loads_no_torch() -> None:
    """Light commands may import the module."""
    program = "import sys, featx.backbones.builtin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


@pytest.mark.reality
@pytest.mark.skipif(not REALITY.is_dir(), reason="the grocery photos are not here")
def test_photos_of_one_fruit_are_more_alike_than_of_two(backbone: builtin.BuiltinEncoder) -> None:
    """On photos kept out of the training, the nearest class mean names most fruit, in other shops too."""
    fruit = ("Banana", "Kiwi", "Lemon", "Orange", "Pineapple", "Papaya")
    means, queries, labels = [], [], []
    for number, name in enumerate(fruit):
        seen = sorted((REALITY / "train" / "Fruit" / name).glob("*.jpg"))[:6]
        new = sorted((REALITY / "val" / "Fruit" / name).glob("*.jpg"))[:4]
        rows = backbone.features([backbone.prepare(Image.open(path)) for path in [*seen, *new]])
        means.append(rows[: len(seen)].mean(0))
        queries.append(rows[len(seen) :])
        labels += [number] * len(new)
    answers = (np.concatenate(queries) @ np.array(means).T).argmax(1)
    assert (answers == np.array(labels)).mean() > 0.5
