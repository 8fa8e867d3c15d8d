"""Which photos exist, and what is known of each.

items     a photo, and the catalogue of all
reading   folders and tables -> catalogue
tables    CSV, JSON lines and Parquet, cell by cell
suffixes  which files are photos
"""

from featx.catalogue.items import Catalogue, Item, Skipped
from featx.catalogue.reading import read_catalogue

__all__ = ["Catalogue", "Item", "Skipped", "read_catalogue"]
