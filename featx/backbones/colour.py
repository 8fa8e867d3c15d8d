"""`colour`: a description by colour and coarse layout, without any weights. The floor every score must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.backbones.base import BackboneFamily, Encoder, EncoderSpec, OwnWeights
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.names import COLOUR

if TYPE_CHECKING:
    from PIL import Image

SIDE = 64
HUES, SATURATIONS, VALUES = 8, 4, 4
GRID = 2
BINS = HUES * SATURATIONS * VALUES
LAYOUT = 4
WIDTH = BINS * (1 + GRID * GRID) + LAYOUT * LAYOUT * 3


class ColourEncoder(Encoder):
    """Square-rooted colour histograms of the photo and its quarters, and a 4 × 4 thumbnail."""

    def __init__(self) -> None:
        self.fingerprint = Fingerprint(
            backbone=COLOUR,
            weights="none",
            weights_sha256="",
            layer="penultimate",
            pool="avg",
            preprocessing=f"whole photo to {SIDE}x{SIDE}, HSV",
            precision="fp32",
            width=WIDTH,
        )

    @property
    def spec(self) -> EncoderSpec:
        """The facts that callers need."""
        return EncoderSpec(COLOUR, WIDTH, versions={"numpy": np.__version__})

    def prepare(self, source: Image.Image) -> np.ndarray:
        """The photo as a small square of hue, saturation and value, with its thumbnail in RGB."""
        from PIL import Image as pillow

        small = source.resize((SIDE, SIDE), pillow.Resampling.BOX)
        return np.concatenate([np.asarray(small.convert("HSV")), np.asarray(small)], axis=2)

    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """Histograms and thumbnails, a row per photo."""
        return np.stack([_describe(pixels) for pixels in batch]).astype(np.float32)


def _describe(pixels: np.ndarray) -> np.ndarray:
    hue, saturation, value = (pixels[..., channel].astype(np.int64) for channel in range(3))
    bins = (hue * HUES // 256 * SATURATIONS + saturation * SATURATIONS // 256) * VALUES + value * VALUES // 256
    half, cell = SIDE // GRID, SIDE // LAYOUT
    quarters = bins.reshape(GRID, half, GRID, half).transpose(0, 2, 1, 3).reshape(GRID * GRID, -1)
    counts = [np.bincount(part, minlength=BINS) / part.size for part in (bins.ravel(), *quarters)]
    # The square root lets small patches of colour count; half the weight goes to the layout.
    histograms = np.sqrt(np.stack(counts)) * np.sqrt([[0.5], *[[0.5 / len(quarters)]] * len(quarters)])
    thumbnail = pixels[..., 3:].reshape(LAYOUT, cell, LAYOUT, cell, 3).mean((1, 3)).ravel() / 255
    return np.concatenate([histograms.ravel(), thumbnail / 4])


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "name": COLOUR,
            "width": WIDTH,
            "parameters": 0,
            "gflops": None,
            "input": SIDE,
            "weights": [],
            "default": None,
            "url": None,
            "top1": None,
            "licence": "MIT",
        }
    ]


FAMILY = BackboneFamily(
    COLOUR,
    owns=lambda name: name == COLOUR,
    open=lambda request: ColourEncoder(),
    rows=_rows,
    own_weights=lambda: OwnWeights("none needed", 0),
    takes_weights=False,
    is_baseline=True,
)
