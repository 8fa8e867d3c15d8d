"""Make the calibration images of int8: `python -m training.int8_images`.

Products of the sample catalogue on one sheet, 8 × 8 tiles. They are stored instead of drawn at run time, so that int8
features do not change when the drawing of the sample catalogue does, and the backbones need none of it.
"""

from __future__ import annotations

from PIL import Image

from featx.backbones.engines.int8_images import ACROSS, SHEET, SIDE, TILES
from featx.samples import draw_photo, product

SEED = 0


def main() -> None:
    """Draw the products and write the sheet."""
    sheet = Image.new("RGB", (ACROSS * SIDE, TILES // ACROSS * SIDE))
    for number in range(TILES):
        photo = draw_photo(product(number, SEED), 1 + number % 3, size=SIDE, seed=SEED).convert("RGB")
        sheet.paste(photo, (number % ACROSS * SIDE, number // ACROSS * SIDE))
    sheet.save(SHEET, quality=80, subsampling=0, optimize=True)


if __name__ == "__main__":
    main()
