"""torchvision's networks: the plain torchvision answer, whatever the family, and nothing changed by asking."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from featx.backbones import open_backbone
from featx.backbones.layers import last_classifying_layer
from featx.backbones.registry import backbone_rows, family_of
from featx.errors import FeatxError
from featx.images import read_photo
from tests.conftest import SHARED

SQUEEZENET = SHARED / "weights/squeezenet1_0_imagenet_dc-46c89ed6.pth"
FAMILIES = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vgg11",
    "vit_b_16",
)


def picture(seed: int = 0, size: tuple[int, int] = (300, 260), mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(mode)


def plain_torchvision(backbone, pictures):
    """The textbook way, written on its own: the whole network, a hook that keeps what enters the last layer."""
    recipe = torchvision.models.get_model_weights(backbone.spec.name)[
        next(row["default"] for row in backbone_rows() if row["name"] == backbone.spec.name)
    ]
    settings = {}
    if backbone.spec.name in ("googlenet", "inception_v3"):
        settings = {"transform_input": True, "init_weights": False, "aux_logits": False}
    if backbone.spec.name == "vit_h_14":
        settings = {"image_size": 518}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = torchvision.models.get_model(backbone.spec.name, weights=None, **settings).eval()
    return hooked(network, recipe.transforms(), pictures)


def hooked(network, transforms, pictures):
    kept = []
    network.get_submodule(last_classifying_layer(network)).register_forward_pre_hook(
        lambda _, inputs: kept.append(inputs[0])
    )
    with torch.no_grad():
        network(torch.stack([transforms(picture) for picture in pictures]))
    return kept[0].mean((2, 3)).numpy() if kept[0].ndim == 4 else kept[0].numpy()


REAL = SHARED / "data/grocery/train"
LIGHT = ("mobilenet_v3_small", "squeezenet1_1")


@pytest.mark.reality
@pytest.mark.skipif(not REAL.is_dir(), reason="the real grocery photos are not here")
@pytest.mark.parametrize(
    "name", [name if name in LIGHT else pytest.param(name, marks=pytest.mark.long) for name in FAMILIES]
)
def test_features_of_real_photos_equal_those_of_plain_torchvision(name):
    backbone = open_backbone(name, weights="random", device="cpu")
    photos = [read_photo(path).image for path in sorted(REAL.rglob("*.jpg"))[::700]]
    mine = backbone.features([backbone.prepare(photo) for photo in photos])
    assert alike(mine, plain_torchvision(backbone, photos)).min() >= 0.9999


def alike(a, b):
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


# Most of the work of these is to draw their random weights, vgg11 133 million of them; alexnet ends as it does.
SLOW = (
    "alexnet",
    "googlenet",
    "regnet_y_400mf",
    "efficientnet_b0",
    "vgg11",
    "densenet121",
    "vit_b_16",
    "swin_t",
    "maxvit_t",
    "convnext_tiny",
    "inception_v3",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name for name in FAMILIES]
)
def test_features_equal_those_of_plain_torchvision(name):
    backbone = open_backbone(name, weights="random", device="cpu")
    pictures = [picture(1), picture(2, (64, 90))]
    mine = backbone.features([backbone.prepare(picture) for picture in pictures])
    assert mine.shape == (2, backbone.spec.width) and mine.dtype == np.float32
    assert backbone.spec.width == next(row["width"] for row in backbone_rows() if row["name"] == name)
    assert alike(mine, plain_torchvision(backbone, pictures)).min() >= 0.9999


@pytest.mark.long
@pytest.mark.parametrize("name", [row["name"] for row in family_of("resnet18").rows() if row["weights"]])
def test_every_network_gives_its_penultimate_features(name):
    row = next(row for row in backbone_rows() if row["name"] == name)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free < 12 * row["parameters"] + 1e9:
        pytest.skip(f"needs {12 * row['parameters'] / 1e9:.0f} GB of free memory")
    backbone = open_backbone(name, weights="random", device="cpu")
    pictures = [picture(1)]
    features = backbone.features([backbone.prepare(picture) for picture in pictures])
    assert features.shape == (1, row["width"])
    assert alike(features, plain_torchvision(backbone, pictures)).min() >= 0.9999


def test_the_table_names_every_torchvision_network():
    listed = {row["name"] for row in family_of("resnet18").rows() if row["weights"]}
    assert listed == set(torchvision.models.list_models(module=torchvision.models))


@pytest.mark.parametrize("name", [pytest.param("resnet18", marks=pytest.mark.long), "mobilenet_v3_small"])
def test_extracting_leaves_every_tensor_as_it_was(name):
    backbone = open_backbone(name, weights="random", device="cpu")
    before = {key: value.clone() for key, value in backbone.network.state_dict().items()}
    first = backbone.features([backbone.prepare(picture(i)) for i in range(3)])
    again = backbone.features([backbone.prepare(picture(i)) for i in range(3)])
    np.testing.assert_array_equal(first, again)
    after = backbone.network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert not any(parameter.requires_grad for parameter in backbone.network.parameters())


def test_a_batch_equals_its_photos_one_by_one():
    backbone = open_backbone("resnet18", weights="random", device="cpu")
    prepared = [backbone.prepare(picture(i)) for i in range(5)]
    together = backbone.features(prepared)
    alone = np.concatenate([backbone.features([image]) for image in prepared])
    assert alike(together, alone).min() >= 0.999999


@pytest.mark.parametrize(
    "name", ["squeezenet1_1", "colour", "builtin", pytest.param("vit_b_16", marks=pytest.mark.long)]
)
def test_grey_and_tiny_pictures_work(name):
    backbone = open_backbone(name, weights="random" if name not in ("colour", "builtin") else None, device="cpu")
    tiny = [picture(0, (28, 28), "L").convert("RGB"), picture(0, (1, 1))]
    assert np.isfinite(backbone.features([backbone.prepare(picture) for picture in tiny])).all()


@pytest.mark.parametrize(
    ("layer", "pool", "width"),
    [("layer3", "max", 256), ("layer2", "gem", 128), pytest.param("layer4", "avgmax", 1024, marks=pytest.mark.long)],
)
def test_another_layer_can_be_read(layer, pool, width):
    backbone = open_backbone("resnet18", weights="random", layer=layer, pool=pool, device="cpu")
    assert backbone.features([backbone.prepare(picture())]).shape == (1, width)


def test_a_mistyped_layer_or_name_gets_the_right_one():
    with pytest.raises(FeatxError) as caught:
        open_backbone("resnet18", weights="random", layer="layr3.0.add")
    assert (caught.value.code, "layer3" in caught.value.hint) == ("unknown-layer", True)
    with pytest.raises(FeatxError) as caught:
        open_backbone("resnet5O")
    assert "resnet50" in caught.value.hint


def saved(tmp_path, name, changes=None, drop=()):
    state = dict(torchvision.models.get_model(name).state_dict())
    state.update(changes or {})
    for key in drop:
        del state[key]
    torch.save(state, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_a_head_with_other_classes_is_no_obstacle(tmp_path):
    changes = {"fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    backbone = open_backbone("resnet18", weights=saved(tmp_path, "resnet18", changes), device="cpu")
    assert backbone.spec.width == 512


def test_weights_that_do_not_fit_are_named(tmp_path):
    changes = {"conv1.weight": torch.zeros(64, 1, 7, 7), "strange": torch.zeros(1)}
    file = saved(tmp_path, "resnet18", changes, drop=["layer1.0.conv1.weight"])
    with pytest.raises(FeatxError) as caught:
        open_backbone("resnet18", weights=file)
    assert caught.value.code == "weights-misfit"
    for part in ("layer1.0.conv1.weight", "strange", "(64, 1, 7, 7)"):
        assert part in caught.value.message


def test_asking_for_a_gpu_that_is_not_there_is_an_error():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(FeatxError) as caught:
        open_backbone("resnet18", weights="random", device="cuda")
    assert caught.value.exit_code == 6


def test_nonsense_options_are_errors_not_traces():
    for options in ({"pool": "sum"}, {"precision": "int3"}, {"device": "tpu"}):
        with pytest.raises(FeatxError, match=next(iter(options.values()))) as caught:
            open_backbone("resnet18", weights="random", **options)
        assert caught.value.code == "bad-flag"
    with pytest.raises(FeatxError, match="layer") as caught:
        open_backbone("colour", layer="x")
    assert caught.value.code == "bad-flag"
    with pytest.raises(FeatxError, match=r"no\.such:thing") as caught:
        open_backbone("no.such:thing")
    assert caught.value.code == "unknown-backbone"


def test_timm_networks_are_backbones_too():
    pytest.importorskip("timm")
    backbone = open_backbone("timm:resnet18", weights="random", device="cpu")
    assert backbone.features([backbone.prepare(picture())]).shape == (1, 512)


@pytest.mark.reality
@pytest.mark.skipif(not SQUEEZENET.is_file(), reason="the real squeezenet weights are not here")
def test_real_weights_give_the_plain_torchvision_features_on_real_photos():
    files = sorted((SHARED / "data/grocery/train").rglob("*.jpg"))[:400:50]
    pictures = [Image.open(file).convert("RGB") for file in files]
    backbone = open_backbone("squeezenet1_0", weights=SQUEEZENET, device="cpu")
    network = torchvision.models.squeezenet1_0()
    network.load_state_dict(torch.load(SQUEEZENET, weights_only=True))
    transforms = torchvision.models.SqueezeNet1_0_Weights.IMAGENET1K_V1.transforms()
    reference = hooked(network.eval(), transforms, pictures)
    mine = backbone.features([backbone.prepare(picture) for picture in pictures])
    assert alike(mine, reference).min() >= 0.9999
