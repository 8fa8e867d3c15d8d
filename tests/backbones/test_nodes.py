"""Several nodes of one network: one pass, a block of length 1 for each, and what reads the store again finds them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import featx
from featx.backbones import Fingerprint, open_backbone
from featx.backbones.nodes import Node, nodes_of
from featx.compute.vectors import unit_rows
from featx.embedding.reopen import open_from_fingerprint, rebuild_command, reopen_backbone, requested_name
from featx.errors import FeatxError
from featx.store import open_store

NODES = "penultimate,maps:middle,maps:spread,features.9"
NAMES = [f"squeezenet1_1/{node}" for node in NODES.split(",")]


def pictures(n: int = 3) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (40, 30, 3), dtype=np.uint8)) for _ in range(n)]


def network(layer: str | None = None, **options):
    return open_backbone(options.pop("name", "squeezenet1_1"), weights="random", layer=layer, device="cpu", **options)


def rows_of(encoder, photos) -> np.ndarray:
    return encoder.features([encoder.prepare(photo) for photo in photos])


def test_each_block_is_what_its_node_gives_alone_at_length_one():
    whole = network(NODES)
    rows = rows_of(whole, pictures())
    assert [block.name for block in whole.fingerprint.blocks] == NAMES
    for block, node in zip(whole.fingerprint.blocks, NODES.split(","), strict=True):
        layer, _, pool = node.partition(":")
        alone = rows_of(network(layer, pool=pool or "avg"), pictures())
        np.testing.assert_allclose(rows[:, block.columns], unit_rows(alone), atol=1e-5)


def test_the_middle_and_the_spread_of_the_last_maps_are_theirs():
    whole = network()
    maps = whole.feature_maps([whole.prepare(photo) for photo in pictures(2)])
    side = maps.shape[-1]
    middle = maps[:, :, side // 4 : side - side // 4, side // 4 : side - side // 4].mean((2, 3))
    np.testing.assert_allclose(rows_of(network("maps", pool="middle"), pictures(2)), middle, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows_of(network("maps", pool="spread"), pictures(2)), maps.std((2, 3)), atol=1e-4)


def test_each_node_has_its_maps_in_the_pass_that_makes_the_features(monkeypatch):
    whole = network(NODES)
    photos = [whole.prepare(photo) for photo in pictures(2)]
    features = whole.features(photos)
    monkeypatch.setattr(whole, "features", None)
    rows, maps = whole.features_with_maps(photos)
    np.testing.assert_array_equal(rows, features)
    for node, block, own in zip(whole.networks(), whole.fingerprint.blocks, maps, strict=True):
        pooled = node.pool_maps(own)
        np.testing.assert_allclose(unit_rows(pooled), features[:, block.columns], atol=1e-5)
        np.testing.assert_allclose(node.features(photos), pooled, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(node.feature_maps(photos), own)
        assert node.spec.name == "squeezenet1_1" and node.spec.width == pooled.shape[1]


@pytest.mark.long
def test_a_node_of_tokens_has_no_maps_and_its_features_all_the_same():
    whole = network("penultimate,encoder.layers.encoder_layer_1", name="vit_b_16")
    photos = [whole.prepare(photo) for photo in pictures(1)]
    rows, maps = whole.features_with_maps(photos)
    assert maps == [None, None] and rows.shape == (1, whole.spec.width)
    with pytest.raises(FeatxError, match="no feature maps"):
        whole.networks()[1].feature_maps(photos)


def test_a_backbone_names_its_nodes_itself_also_within_a_joined_one():
    assert network(name=f"squeezenet1_1@{NODES}").fingerprint == network(NODES).fingerprint
    joined = open_backbone("colour+squeezenet1_1@penultimate,maps:middle", weights="random", device="cpu")
    assert [block.name for block in joined.fingerprint.blocks] == ["colour", *NAMES[:2]]
    assert joined.fingerprint.backbone == "colour+squeezenet1_1"
    rows = rows_of(joined, pictures())
    for block in joined.fingerprint.blocks:
        np.testing.assert_allclose(np.linalg.norm(rows[:, block.columns], axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [f"squeezenet1_1@{NODES}", "squeezenet1_1@maps:middle", "colour+squeezenet1_1@penultimate,features.9"],
)
def test_the_fingerprint_opens_the_same_nodes_again(name):
    made = open_backbone(name, weights="random", device="cpu").fingerprint
    assert requested_name(made) == name
    assert open_from_fingerprint(made, device="cpu").fingerprint == made
    assert Fingerprint.from_dict(made.to_dict(), width=made.width) == made


def test_every_pooling_of_pool_is_taken_of_every_layer_without_its_own():
    assert nodes_of("layer3,layer4:max", "avg,middle") == (
        Node("layer3"), Node("layer3", "middle"), Node("layer4", "max"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "code", "words"),
    [
        ("penultimate,", "bad-flag", "different layers"),
        ("layer3,layer3", "bad-flag", "different layers"),
        ("layer3:centre", "bad-flag", "no pooling called `centre`"),
        ("penultimate,layr3.0.add", "unknown-layer", "no layer `layr3.0.add`"),
        ("penultimate,fc", "unknown-layer", "classification head"),
        ("penultimate:middle", "bad-flag", "`middle` pooling needs"),
    ],
)
def test_nodes_that_cannot_be_read_are_refused_in_a_sentence(layer, code, words):
    with pytest.raises(FeatxError, match=words) as caught:
        network(layer, name="resnet18")
    assert caught.value.code == code and caught.value.hint


def test_layers_named_twice_or_for_a_backbone_without_any_are_refused():
    with pytest.raises(FeatxError, match="names its layers"):
        network("features.9", name="squeezenet1_1@features.7")
    with pytest.raises(FeatxError, match="takes no `--layer`"):
        open_backbone("colour@layer3")


def test_a_store_keeps_its_nodes_by_name_and_a_query_of_some_computes_the_same(workplace, folder):
    made = featx.extract(folder, backbone=f"squeezenet1_1@{NODES}", weights="random", device="cpu")
    again = featx.extract(folder, device="cpu")
    assert again.path == made.path and again.fingerprint == made.fingerprint
    assert [block.name for block in made.blocks] == NAMES
    assert made.with_blocks(["squeezenet1_1"]).width == made.width
    part = open_store(made.path, ["squeezenet1_1/maps:middle"])
    encoder = reopen_backbone(part, device="cpu")
    with Image.open(made.paths[0]) as photo:
        row = rows_of(encoder, [photo.convert("RGB")])[0]
    np.testing.assert_allclose(row, part.features[0], atol=1e-4)
    assert f"--layer {NODES}" in rebuild_command(made)


def test_nodes_of_a_part_are_copied_from_a_store_that_has_them_all(workplace, folder):
    made = featx.extract(folder, backbone="squeezenet1_1@penultimate,features.9", weights="random", device="cpu")
    from featx.catalogue.reading import read_catalogue
    from featx.extraction import ExtractionOptions, run_extraction

    name = "colour+squeezenet1_1@features.9,penultimate"
    report = run_extraction(read_catalogue(folder), ExtractionOptions(backbone=name, weights="random", device="cpu"))
    assert [(copied.block, copied.photos) for copied in report.blocks_copied] == [("squeezenet1_1", 12)]
    swapped = open_store(report.store).with_blocks(["squeezenet1_1/features.9"]).features
    np.testing.assert_allclose(swapped, made.with_blocks(["squeezenet1_1/features.9"]).features, atol=1e-6)
