"""The doors of a backbone: its feature maps, a copy to train, and one graph to export."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from featx.backbones import open_backbone
from featx.errors import FeatxError

BUILTIN = ("builtin", {})
NETWORKS = [
    ("resnet18", {}),
    ("mobilenet_v3_small", {}),
    ("squeezenet1_1", {}),
    ("efficientnet_lite0", {}),
    ("shufflenet_v2_x0_5", {}),
    ("resnet18", {"layer": "layer3", "pool": "gem"}),
]
# A network that is read before its end.
LAYER = pytest.param("resnet18", {"layer": "layer3"}, marks=pytest.mark.long)
HEAVY = [
    ("densenet121", {}),
    ("convnext_tiny", {}),
    ("vgg11", {}),
    ("swin_t", {}),
    ("swin_t", {"layer": "features.5", "pool": "avgmax"}),
]


def opened(name: str, options: dict[str, str]):
    return open_backbone(name, weights=None if name == "builtin" else "random", device="cpu", **options)


def prepared(encoder, count: int = 3):
    random = np.random.default_rng(0)
    small = [Image.fromarray(random.integers(0, 256, (9, 11, 3), dtype=np.uint8)) for _ in range(count)]
    return [encoder.prepare(image.resize((300, 260), Image.Resampling.BICUBIC)) for image in small]


def as_batch(photos) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(photo) for photo in photos]))


def same(ours: np.ndarray, theirs: np.ndarray, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol * max(1, float(np.abs(theirs).max())))


@pytest.mark.parametrize(
    ("name", "options"),
    [*NETWORKS, *(pytest.param(*network, marks=pytest.mark.long) for network in HEAVY)],
)
def test_pooled_feature_maps_are_the_features(name, options):
    encoder = opened(name, options)
    photos = prepared(encoder)
    maps = encoder.feature_maps(photos)
    assert maps.ndim == 4 and len(maps) == 3 and min(maps.shape[2:]) > 1 and maps.dtype == np.float32
    same(encoder.pool_maps(maps), encoder.features(photos))


@pytest.mark.parametrize("name", ["builtin", "squeezenet1_1", "efficientnet_lite0", "colour+resnet18"])
def test_features_with_their_maps_are_the_same_to_the_last_bit_and_cost_one_pass(name, monkeypatch):
    encoder = opened(name, {})
    photos = prepared(encoder)
    features, maps = encoder.features(photos), encoder.maps_of_networks(photos)
    network = encoder.networks()[-1]
    monkeypatch.setattr(network, "features", None)
    monkeypatch.setattr(network, "feature_maps", None)
    rows, own = encoder.features_with_maps(photos)
    np.testing.assert_array_equal(rows, features)
    for one, other in zip(own, maps, strict=True):
        assert (one is None) == (other is None)
        np.testing.assert_array_equal(one, other)


def test_features_of_another_engine_are_its_own_beside_the_maps():
    encoder = opened("resnet18", {})
    photos = prepared(encoder)
    encoder.use_engine("torch", photos=3, batch_size=3)  # which folds batch normalisation
    rows, (maps,) = encoder.features_with_maps(photos)
    np.testing.assert_array_equal(rows, encoder.features(photos))
    same(encoder.pool_maps(maps), rows, atol=1e-4)


def test_the_maps_of_a_plain_network_are_averaged_to_its_features():
    encoder = opened("resnet18", {})
    photos = prepared(encoder)
    maps = encoder.feature_maps(photos)
    assert maps.shape == (3, 512, 7, 7)
    same(maps.mean((2, 3)), encoder.features(photos))


def test_the_maps_of_the_builtin_backbone_lead_to_all_its_columns_but_those_of_colour():
    encoder = opened(*BUILTIN)
    photos = prepared(encoder)
    rows = encoder.pool_maps(encoder.feature_maps(photos))
    features = encoder.features(photos)
    assert rows.shape == (3, features.shape[1] - 2 * 192)
    same(rows, features[:, : rows.shape[1]])


def test_a_joined_backbone_hands_out_the_maps_of_each_of_its_networks():
    encoder = open_backbone("colour+resnet18", weights="+random", device="cpu")
    photos = prepared(encoder)
    none, maps = encoder.maps_of_networks(photos)
    assert none is None and [part.spec.name for part in encoder.networks()] == ["colour", "resnet18"]
    alone = encoder.networks()[1]
    same(maps, alone.feature_maps([photo[1] for photo in photos]))


def test_folded_batch_normalisation_leaves_the_maps_as_they_were():
    encoder = opened("resnet18", {})
    photos = prepared(encoder)
    before = encoder.feature_maps(photos)
    encoder.use_engine("torch", photos=1, batch_size=4)
    same(encoder.feature_maps(photos), before, atol=1e-4)


def test_a_network_of_tokens_has_no_feature_maps_and_says_so():
    pytest.importorskip("timm")
    encoder = opened("timm:vit_tiny_patch16_224", {})
    with pytest.raises(FeatxError, match="`timm:vit_tiny_patch16_224` backbone has no feature maps"):
        encoder.feature_maps(prepared(encoder, 1))


@pytest.mark.parametrize(("name", "options"), [BUILTIN, ("squeezenet1_1", {}), LAYER])
def test_a_graph_gives_the_features_and_so_does_what_is_exported_from_it(name, options):
    encoder = opened(name, options)
    photos = prepared(encoder)
    graph, batch, features = encoder.graph(), as_batch(photos), encoder.features(photos)
    with torch.inference_mode():
        same(graph(batch).numpy(), features)
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, (batch[:2],), file, dynamo=False, input_names=["photos"], dynamic_axes={"photos": {0: "n"}}
        )
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    same(session.run(None, {"photos": batch.numpy()})[0], features, atol=1e-4)


@pytest.mark.parametrize(("name", "options"), [BUILTIN, ("squeezenet1_1", {}), LAYER])
def test_training_a_copy_leaves_the_frozen_network_as_it_was(name, options):
    encoder = opened(name, options)
    photos = prepared(encoder)
    before = encoder.features(photos)
    module = encoder.trainable_module()
    assert module.training and all(parameter.requires_grad for parameter in module.parameters())
    with torch.no_grad():
        same(module.eval()(as_batch(photos)).numpy(), before)
    optimizer = torch.optim.SGD(module.train().parameters(), lr=0.1)
    module(as_batch(photos))[:, 0].sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in module.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    optimizer.step()
    np.testing.assert_array_equal(encoder.features(photos), before)
    assert not any(parameter.requires_grad for parameter in encoder.graph().parameters())
    with torch.no_grad():
        assert not np.allclose(module.eval()(as_batch(photos)).numpy(), before)


def test_a_copy_to_train_keeps_its_batch_normalisation_whatever_engine_runs():
    encoder = opened("resnet18", {})
    encoder.use_engine("torch", photos=1, batch_size=4)
    module = encoder.trainable_module()
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())


@pytest.mark.long
def test_an_encoder_that_rested_gives_the_same_features_again():
    pytest.importorskip("openvino")
    encoder = opened("squeezenet1_1", {})
    photos = prepared(encoder)
    encoder.use_engine("openvino", photos=1000, batch_size=4)
    before = encoder.features(photos)
    encoder.rest()
    np.testing.assert_array_equal(encoder.features(photos), before)


@pytest.mark.long
def test_a_timm_network_has_the_same_doors():
    pytest.importorskip("timm")
    encoder = opened("timm:resnet18", {})
    photos = prepared(encoder)
    features = encoder.features(photos)
    same(encoder.feature_maps(photos).mean((2, 3)), features)
    same(encoder.pool_maps(encoder.feature_maps(photos)), features)
    with torch.inference_mode():
        same(encoder.graph()(as_batch(photos)).numpy(), features)
    assert encoder.trainable_module().training


@pytest.mark.parametrize("door", ["feature_maps", "pool_maps", "graph", "trainable_module"])
def test_a_backbone_without_a_network_says_so(door):
    encoder = open_backbone("colour")
    words = () if door in ("graph", "trainable_module") else ([],)
    with pytest.raises(FeatxError, match="`colour` backbone has no") as caught:
        getattr(encoder, door)(*words)
    assert caught.value.code == "bad-flag"
