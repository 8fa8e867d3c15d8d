"""The sample catalogue: a made-up shop whose photos featx draws itself, the same for the same seed.

products (what is sold) → product_shapes and solids (surfaces) → scene (photos) → write (files and the manifest)
"""

from featx.samples.products import CATEGORIES, Product, product
from featx.samples.write import PRODUCTS, SHOTS, SIZE, Row, contact_sheet, draw_photo, write_catalogue

__all__ = [
    "CATEGORIES",
    "PRODUCTS",
    "SHOTS",
    "SIZE",
    "Product",
    "Row",
    "contact_sheet",
    "draw_photo",
    "product",
    "write_catalogue",
]
