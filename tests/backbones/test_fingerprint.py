"""The identity of features: what may be used together, and records that are read back or refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from featx.backbones.fingerprint import Fingerprint, join
from featx.backbones.names import EDITIONS
from featx.errors import FeatxError

USES = ("search", "classify", "append")
BASE = Fingerprint("resnet18", "IMAGENET1K_V1", "ab" * 32, "penultimate", "avg", "resize 256", "fp32", 512)
CHANGES = {
    "backbone": "resnet34",
    "weights_sha256": "cd" * 32,
    "layer": "layer3",
    "pool": "gem",
    "preprocessing": "resize 224",
    "precision": "int8",
    "width": 256,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("field", CHANGES)
def test_features_made_in_another_way_are_told_by_the_field(use, field):
    changed = replace(BASE, **{field: CHANGES[field]})
    assert BASE.difference(changed, use) == changed.difference(BASE, use) == field


def test_values_that_differ_are_named_with_their_field():
    changed = replace(BASE, precision="int8")
    assert BASE.values_of("precision", changed) == ("precision fp32", "precision int8")


def test_editions_of_the_built_in_network_are_named_also_in_joined_features():
    second, third = (replace(BASE, backbone="builtin", weights_sha256=digest) for digest in EDITIONS)
    words = ("the second edition of the built-in network", "the third edition of the built-in network")
    assert second.values_of("weights_sha256", third) == words
    assert join([second, BASE]).values_of("weights_sha256", join([third, BASE])) == words
    assert join([BASE, second]).earlier_edition == "second" and third.earlier_edition == BASE.earlier_edition == ""
    other = replace(BASE, weights_sha256="cd" * 32)
    assert join([third, BASE]).values_of("weights_sha256", join([third, other]))[0].startswith("weights sha256 ")


@pytest.mark.parametrize("use", USES)
def test_features_made_in_the_same_way_may_be_used_together(use):
    assert BASE.difference(replace(BASE), use) == ""


def test_a_renamed_weights_file_makes_the_same_features_but_a_name_without_a_digest_counts():
    assert BASE.difference(replace(BASE, weights="file copy.pth"), "append") == ""
    named = replace(BASE, weights="mine 1", weights_sha256="")
    assert named.difference(replace(named, weights="mine 2"), "classify") == "weights"


def test_only_the_rows_of_a_store_must_have_as_many_views():
    several = replace(BASE, views=3)
    assert [BASE.difference(several, use) for use in USES] == ["", "", "views"]


def test_every_ingredient_changes_the_digest():
    changed = [replace(BASE, **{field: value}) for field, value in {**CHANGES, "weights": "other", "views": 2}.items()]
    assert len({fingerprint.digest() for fingerprint in [BASE, *changed]}) == 10


def test_a_record_is_read_back_and_fields_of_later_versions_are_ignored():
    assert Fingerprint.from_dict({**BASE.to_dict(), "modality": "image"}) == BASE


def test_a_record_of_the_first_format_may_leave_fields_out():
    old = Fingerprint.from_dict({"backbone": "toy"}, width=3)
    assert (old.width, old.views, old.precision, old.weights_sha256) == (3, 1, "fp32", "")


@pytest.mark.parametrize(
    "record",
    [None, [], "resnet18", {}, {"width": 3}, {"backbone": None, "width": 3}, {"backbone": "toy"},
     {**BASE.to_dict(), "precision": 8}, {**BASE.to_dict(), "weights": None}, {**BASE.to_dict(), "width": "512"},
     {**BASE.to_dict(), "width": True}, {**BASE.to_dict(), "views": 0}],
)  # fmt: skip
def test_a_damaged_record_is_an_error_in_words(record):
    with pytest.raises(FeatxError, match="fingerprint of its features is damaged") as caught:
        Fingerprint.from_dict(record)
    assert caught.value.code == "store-broken"


def test_a_record_of_features_of_another_width_is_damaged():
    with pytest.raises(FeatxError, match="width"):
        Fingerprint.from_dict(BASE.to_dict(), width=64)
