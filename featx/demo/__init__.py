"""The sample catalogue: a made-up shop whose photos featx draws itself, the same for the same seed.

products (what is sold) → shapes (surfaces) → scene (photos) → writing (files and the manifest)
"""

from featx.demo.products import CATEGORIES, Product, product
from featx.demo.writing import PRODUCTS, SHOTS, SIZE, Row, contact_sheet, draw_photo, write_catalogue

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
