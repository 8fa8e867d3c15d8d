"""The families of backbones: each name has one, and what the commands say of it comes from its record."""

from __future__ import annotations

import subprocess
import sys

import pytest

from featx.backbones import open_backbone
from featx.backbones.registry import FAMILIES, backbone_rows, baseline_name, family_of
from featx.errors import FeatxError


@pytest.mark.parametrize(
    ("name", "family"),
    [("colour", "colour"), ("builtin", "builtin"), ("timm:resnet18", "timm"), ("a.b:c", "custom"),
     ("resnet50", "torchvision")],
)  # fmt: skip
def test_a_name_belongs_to_one_family(name, family):
    assert family_of(name).name == family


def test_every_listed_backbone_has_a_row_of_the_same_facts():
    rows = backbone_rows()
    assert len({row["name"] for row in rows}) == len(rows) > 80
    # Who knows where its weights are says so; of the others `featx backbones` finds it out.
    assert len({frozenset(row) - {"here"} for row in rows}) == 1


def test_only_the_baseline_is_one_and_it_needs_no_download():
    assert baseline_name() == "colour"
    own = {family.name: family.own_weights() for family in FAMILIES}
    assert own["colour"].n_bytes == 0 and own["builtin"].n_bytes > 10**6
    assert own["torchvision"] is own["timm"] is own["custom"] is None


@pytest.mark.parametrize("name", ["colour", "builtin"])
@pytest.mark.parametrize("flag", ["weights", "layer"])
def test_a_flag_that_a_family_cannot_follow_is_refused(name, flag):
    with pytest.raises(FeatxError, match=f"takes no `--{flag}`"):
        open_backbone(name, **{flag: "x"})


def test_a_mistyped_name_of_any_family_is_recognised():
    for typed, meant in (("color", "colour"), ("resnet5O", "resnet50"), ("build-in", "builtin")):
        with pytest.raises(FeatxError) as caught:
            open_backbone(typed)
        assert caught.value.code == "unknown-backbone" and f"`{meant}`" in caught.value.hint


def test_listing_them_loads_no_torch():
    listing = "import sys; from featx.backbones import registry; registry.backbone_rows()"
    program = f"{listing}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
