"""Promises of the tables that describe a photo's colours."""

from __future__ import annotations

import numpy as np
import pytest

from featx.backbones.builtin_colours import COLOURS, HUES, SATURATIONS, VALUES, colour_bins, colour_histograms


def bins_by_formula(pixels: np.ndarray) -> np.ndarray:
    """Hue, saturation and value as every textbook computes them, in float32."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    span = high - low
    safe = np.where(span > 0, span, 1)
    from_green = np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    hue = np.where(high == red, ((green - blue) / safe) % 6, from_green)
    hue_bin = np.minimum((hue * (HUES / 6)).astype(np.int64), HUES - 1)
    saturation = np.minimum((span / np.maximum(high, 1) * SATURATIONS).astype(np.int64), SATURATIONS - 1)
    return (hue_bin * SATURATIONS + saturation) * VALUES + (high * (VALUES / 256)).astype(np.int64)


def test_the_tables_give_what_the_formula_gives() -> None:
    """For all shades of green and blue beside some of red, greys and pure colours among them."""
    green, blue = np.mgrid[0:256, 0:256].astype(np.uint8)
    for red in (0, 1, 63, 64, 85, 128, 170, 254, 255):
        photo = np.stack([np.full_like(green, red), green, blue], axis=-1)
        np.testing.assert_array_equal(colour_bins(photo), bins_by_formula(photo))


def test_histograms_count_every_pixel_once_and_those_of_the_middle_only_the_middle() -> None:
    """The squares of a row sum to one, and the margin changes nothing in the middle."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    whole, middle = colour_histograms(pixels, 10)
    assert whole.shape == middle.shape == (3, COLOURS)
    np.testing.assert_allclose((whole**2).sum(1), 1, rtol=1e-5)
    pixels[:, :10] = 255
    again, same = colour_histograms(pixels, 10)
    np.testing.assert_array_equal(middle, same)
    assert (whole != again).any()


@pytest.mark.parametrize("wrong", [0.0, 1e-5, -1e-5])
def test_a_graph_puts_every_colour_into_its_bin_even_where_it_divides_less_exactly(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from featx.backbones.builtin_network import ColourBlocks

    exact = torch.Tensor.__truediv__
    monkeypatch.setattr(torch.Tensor, "__truediv__", lambda a, b: exact(a, b) * (1 + wrong))
    blocks = ColourBlocks((HUES, SATURATIONS, VALUES), [(COLOURS, 1.0)] * 2, torch.zeros(2 * COLOURS))
    levels = np.array([0, 1, 2, 3, 60, 64, 85, 90, 120, 127, 128, 170, 180, 191, 240, 255], dtype=np.uint8)
    every = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, 64, 64, 3)
    whole, _ = colour_histograms(every, 16)
    np.testing.assert_allclose(blocks._histogram(torch.from_numpy(every)).numpy(), whole, rtol=1e-4)


def test_a_mirror_image_has_the_colours_of_its_photo() -> None:
    """So a view to learn from is described by its own pixels, colours too."""
    photo = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    for own, mirrored in zip(colour_histograms(photo, 16), colour_histograms(photo[:, :, ::-1], 16), strict=True):
        np.testing.assert_array_equal(own, mirrored)
