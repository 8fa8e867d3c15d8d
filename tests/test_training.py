"""Promises of the recipe for the built-in network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from featx.backbones.builtin_network import BuiltinNetwork, folded
from training.photos import Source, pack, read_photos
from training.student import normalised, unfolded
from training.views import make_views


@pytest.fixture
def pixels() -> torch.Tensor:
    """A few small pictures in 0..1."""
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_a_shipped_network_starts_its_training_as_it_is(pixels: torch.Tensor) -> None:
    """Normalisation is put back so that nothing changes: neither with its own statistics nor with those of a batch."""
    torch.manual_seed(0)
    shipped = folded(BuiltinNetwork(normed=True).eval())
    network = unfolded(shipped, [pixels])
    with torch.no_grad():
        before = shipped(normalised(pixels))
        for mode in (False, True):
            output = network.train(mode)(normalised(pixels))
            torch.testing.assert_close(output, before, rtol=0.02, atol=0.01)


def test_packed_photos_come_back_with_their_labels(tmp_path: Path) -> None:
    """What is packed for another machine is what that machine reads."""
    colours = {"red": (200, 30, 30), "blue": (30, 30, 200)}
    for name, colour in colours.items():
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{name}.png")
    pack([Source(tmp_path / f"{name}.png", name, "train") for name in colours], tmp_path / "all.zip", 1, 90)
    packed = read_photos([tmp_path / "all.zip"], threads=1, side=32)
    assert packed.labels == ("red", "blue")
    assert np.abs(packed.pixels.astype(int).mean((1, 2)) - list(colours.values())).max() < 6


def test_views_are_pictures_and_know_how_much_of_them_is_foreign(pixels: torch.Tensor) -> None:
    """Whatever is done to pictures: bytes in, the range of pixels out, and no label for what has another colour."""
    torch.manual_seed(0)
    views = make_views((pixels * 255).byte().repeat(8, 1, 1, 1), torch.arange(32), 48, 0.2)
    assert views.pixels.shape == (32, 3, 48, 48)
    assert float(views.pixels.min()) >= 0 and float(views.pixels.max()) <= 1
    assert ((views.own >= 0.4) & (views.own <= 1)).all()
    assert set(views.label.tolist()) <= {-1, *range(32)} and -1 in views.label
