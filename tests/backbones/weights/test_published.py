"""The list of published weights, their names and their checksums."""

from __future__ import annotations

import json

import pytest

from featx.backbones import weights
from featx.errors import FeatxError


def test_all_published_weights_are_listed_in_json_also_those_without_an_accuracy(featx):
    ran = featx("weights", "list", "--all", "--json")
    assert ran.returncode == 0, ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert any(record["name"] == "vgg16" and record["top1"] is None for record in records)
    assert {record["name"] for record in records} >= {"resnet50", "builtin", "colour"}


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("resnet50-0676ba61.pth", "0676ba61"),
        ("shufflenetv2_x1-5666bf0f80.pth", "5666bf0f80"),
        ("mnasnet0.5_top1_67.823-3ffadce67e.pth", "3ffadce67e"),
        ("mine.pth", None),
        ("mine-v2.pth", None),
        ("mine-20240131.pth", None),
        ("vgg13-19584684.pth", "19584684"),
        ("resnet50-0676ba61.zip", None),
    ],
)
def test_the_published_checksum_is_read_from_the_name(name, prefix):
    assert weights.hash_prefix(name) == prefix


def test_the_short_list_agrees_with_torchvision():
    every = {(entry.backbone, entry.weights): entry for entry in weights.published_weights()}
    assert len(every) > 100
    for entry in weights.RECOMMENDED:
        theirs = every[entry.backbone, entry.weights]
        assert entry.url == theirs.url
        assert entry.top1 == theirs.top1
        assert abs(entry.size - theirs.size) < 2_000
    assert all(weights.hash_prefix(entry.file_name) for entry in every.values())
    assert weights.find_published("resnet50", "IMAGENET1K_V2").file_name == "resnet50-11ad3fa6.pth"
    assert weights.find_published("resnet101").weights == "IMAGENET1K_V1"
    assert weights.find_published("vit_h_14").backbone == "vit_h_14"


def test_unknown_names_are_met_with_near_ones():
    with pytest.raises(FeatxError, match="no published weights") as caught:
        weights.find_published("resnet5O")
    assert caught.value.code == "unknown-backbone"
    assert "`resnet50`" in caught.value.hint
    with pytest.raises(FeatxError, match="no weights `V3`") as caught:
        weights.find_published("resnet50", "V3")
    assert "IMAGENET1K_V2" in caught.value.hint
