"""Photos of another size than the weights were trained with, tiny and grey pictures among them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from featx.backbones import open_backbone
from featx.backbones.base import BackboneRequest
from featx.backbones.preprocessing import Preset, as_worded
from featx.backbones.registry import open_backbone as open_requested
from featx.errors import FeatxError
from featx.images import read_photo
from tests.finetuning.conftest import small_network

PRESET = Preset(256, 224, Image.Resampling.BILINEAR, (0.5,) * 3, (0.25,) * 3)


def test_a_network_takes_photos_of_another_size_and_its_fingerprint_says_so():
    encoder = open_backbone("squeezenet1_1", weights="random", device="cpu", size=40)
    assert "crop_size=[40] resize_size=[40]" in encoder.fingerprint.preprocessing
    photo = encoder.prepare(Image.new("RGB", (8, 8)))
    assert photo.shape == (40, 40, 3)
    assert encoder.features([photo]).shape == (1, 512)


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_vit"])
def test_a_timm_network_takes_another_size_and_finds_it_again_with_its_weights(tmp_path, name):
    pytest.importorskip("timm")
    own = open_backbone(name, weights="random", device="cpu")
    encoder = open_backbone(name, weights="random", device="cpu", size=64)
    words = encoder.fingerprint.preprocessing
    assert "CenterCrop(size=(64, 64))" in words and words != own.fingerprint.preprocessing
    save_file(encoder.tunable().weights(), tmp_path / "tuned.safetensors")
    request = BackboneRequest(name, str(tmp_path / "tuned.safetensors"), device="cpu", preprocessing=words)
    again = open_requested(request)
    photo = encoder.prepare(Image.new("RGB", (80, 64), "red"))
    assert np.array_equal(again.features([photo]), encoder.features([photo]))


def test_nothing_of_a_square_picture_is_cut_off():
    picture = Image.new("RGB", (8, 8))
    picture.putpixel((0, 0), (255, 255, 255))
    assert PRESET.sized(32)(picture)[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("backbone", "size", "wanted"),
    [
        ("squeezenet1_1", 27, "`--size 27` is not from 28 to 1024"),
        ("colour", 64, "the `colour` backbone takes no `--size`"),
        ("alexnet", 28, "`alexnet` cannot take photos of 28 pixels"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_refused_in_words(backbone, size, wanted):
    with pytest.raises(FeatxError, match=wanted):
        open_backbone(backbone, weights=None if backbone == "colour" else "random", device="cpu", size=size)


def test_a_preprocessing_in_words_brings_its_size_back_and_no_other_one():
    assert as_worded(PRESET, str(PRESET.sized(96))) == PRESET.sized(96)
    assert as_worded(PRESET, None) == as_worded(PRESET, "whole photo to 192x192") == PRESET
    other = Preset(96, 96, Image.Resampling.BICUBIC, (0.5,) * 3, (0.25,) * 3)
    assert as_worded(PRESET, str(other)) == PRESET


def test_a_grey_picture_in_three_channels_is_what_one_channel_would_be(tmp_path):
    """Kernels over equal channels add up, so that a grey picture needs no network of its own."""
    encoder = small_network(BackboneRequest("small", device="cpu"))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    Image.fromarray(pixels).convert("RGB").save(tmp_path / "colour.png")
    grey, colour = (encoder.prepare(read_photo(tmp_path / f"{name}.png").image) for name in ("grey", "colour"))
    assert np.array_equal(grey, colour)
    one_channel = copy.deepcopy(encoder.network)
    first = one_channel.features[0][0]
    first.weight = torch.nn.Parameter(first.weight.sum(dim=1, keepdim=True))
    normalised = (torch.from_numpy(grey[None, None, :, :, 0]).float() / 255 - 0.5) / 0.25
    with torch.inference_mode():
        alone = one_channel(normalised).flatten(1).numpy()
    assert np.abs(alone - encoder.features([grey])).max() <= 1e-5
