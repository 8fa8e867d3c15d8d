"""A backbone of one's own: a factory by its name, an object with the documented parts, wrapped once."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from featx.backbones import Encoder, open_backbone
from featx.errors import FeatxError
from featx.extraction import extract
from featx.store import open_store
from tests.conftest import ROOT

MINE = """
import numpy as np
from featx.backbones import Fingerprint

class Mean:
    name, width, device, device_reason, versions = "mine:open_mean", 3, "cpu", "CPU", {"numpy": np.__version__}
    fingerprint = Fingerprint("mine:open_mean", "v1", "", "mean", "avg", "none", "fp32", 3)

    def prepare(self, image):
        return np.asarray(image).reshape(-1, 3).mean(axis=0)

    def features(self, prepared):
        return np.stack(prepared).astype(np.float32)

def open_mean(weights=None, device="auto"):
    return Mean()

def open_half(weights=None, device="auto"):
    return object()

def open_wide(weights=None, device="auto"):
    made = Mean()
    made.width = 4
    return made
"""


@pytest.fixture
def mine(workplace, monkeypatch):
    (workplace / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(workplace))
    yield workplace
    sys.modules.pop("mine", None)


def test_it_extracts_and_finds_look_alikes_like_any_other(mine, folder):
    store = extract(folder, backbone="mine:open_mean", store="mine.h5")
    assert store.fingerprint.backbone == "mine:open_mean" and store.features.shape == (12, 3)
    assert open_store("mine.h5").provenance["versions"]["numpy"] == np.__version__
    again = extract(folder, store="mine.h5")
    assert np.array_equal(again.features, store.features)


def test_it_is_an_encoder_with_one_engine_and_no_network_to_export(mine):
    encoder = open_backbone("mine:open_mean")
    assert isinstance(encoder, Encoder) and (encoder.spec.width, encoder.spec.parallel_calls) == (3, 1)
    assert encoder.use_engine("auto", photos=1, batch_size=1) == ""
    for refused in (
        lambda: encoder.use_engine("torch", photos=1, batch_size=1),
        lambda: encoder.feature_maps([]),
        lambda: encoder.graph(),
        lambda: encoder.trainable_module(),
    ):
        with pytest.raises(FeatxError, match="mine:open_mean") as caught:
            refused()
        assert caught.value.code == "bad-flag"


def test_an_encoder_of_ones_own_is_taken_as_it_is(mine):
    (mine / "mine.py").write_text(
        "from featx.backbones.colour import ColourEncoder\ndef open_it(weights, device):\n    return ColourEncoder()\n"
    )
    assert type(open_backbone("mine:open_it")).__name__ == "ColourEncoder"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mine:open_half", "without name, width, fingerprint"),
        ("mine:open_wide", "fingerprint.*width 4"),
        ("mine:nothing", "cannot load"),
        ("nowhere.at.all:x", "cannot load"),
    ],
)
def test_an_object_that_is_no_backbone_is_refused_with_what_it_lacks(mine, name, words):
    with pytest.raises(FeatxError, match=words) as caught:
        open_backbone(name)
    assert caught.value.code == "unknown-backbone"


def test_flags_it_cannot_follow_are_refused(mine):
    with pytest.raises(FeatxError, match="takes no `--layer`"):
        open_backbone("mine:open_mean", layer="x")


def test_the_documented_parts_are_the_ones_asked_for():
    text = (ROOT / "docs/backbones.md").read_text(encoding="utf-8")
    for part in ("name", "width", "fingerprint", "device", "device_reason", "versions", "prepare(", "features("):
        assert f"`{part}" in text, part
