"""Which columns of a table hold the path, id, label, product and split of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError, did_you_mean

IMAGE_COLUMNS = ("image", "path", "file_name", "filename", "file", "image_path", "photo", "picture")
LABEL_COLUMNS = ("category", "label", "class", "product_type")
ID_COLUMNS = ("item_id", "sku", "id", "product_id")
PRODUCT_COLUMNS = ("product_id", "product", "sku", "group", "group_id", "item_id", "id")
SKU_COLUMNS = ("sku", "product_id", "item_id", "id", "product", "article", "ean", "gtin")
SPLIT_COLUMNS = ("split",)
# `featx suggest` writes these beside path and label, for the person who labels a photo; they are not facts about it.
SUGGESTED = ("says", "sure", "instead", "product", "id")


@dataclass(frozen=True)
class ColumnChoice:
    """The columns that a user named; None means: guess."""

    image: str | None
    label: str | None
    item_id: str | None
    group: str | None
    split: str | None

    def image_column(self, header: Sequence[str], table: Path) -> str:
        """The column with the paths of the photos."""
        column = _pick(self.image, IMAGE_COLUMNS, header, table, "image-col")
        if column is None:
            raise _no_column(table, header, "the path of a photo", "image-col")
        return column

    def sku_column(self, header: Sequence[str], table: Path) -> str:
        """The column with the SKUs that photos are named after."""
        named, flag = (self.item_id, "id-col") if self.item_id else (self.group, "group-col")
        column = _pick(named, SKU_COLUMNS, header, table, flag)
        if column is None:
            raise _no_column(table, header, "a SKU", "id-col")
        return column

    def label_column(self, header: Sequence[str], table: Path) -> str | None:
        """The column with the labels."""
        return _pick(self.label, LABEL_COLUMNS, header, table, "label-col")

    def product_column(self, header: Sequence[str], table: Path) -> str | None:
        """The column with the products."""
        return _pick(self.group, PRODUCT_COLUMNS, header, table, "group-col")

    def split_column(self, header: Sequence[str], table: Path) -> str | None:
        """The column with the splits."""
        return _pick(self.split, SPLIT_COLUMNS, header, table, "split-col")

    def id_columns(self, header: Sequence[str], table: Path) -> list[str]:
        """The columns that may hold ids, likeliest first."""
        named = _pick(self.item_id, (), header, table, "id-col")
        if named is not None:
            return [named]
        by_lower_name = _by_lower_name(header)
        return [by_lower_name[name] for name in ID_COLUMNS if name in by_lower_name]


def _pick(named: str | None, guesses: Sequence[str], header: Sequence[str], table: Path, flag: str) -> str | None:
    if named is None:
        by_lower_name = _by_lower_name(header)
        return next((by_lower_name[guess] for guess in guesses if guess in by_lower_name), None)
    if named in header:
        return named
    raise FeatxError(
        "bad-column",
        f"no column `{named}` in {table}\ncolumns: {', '.join(header)}",
        did_you_mean(named, list(header), f"choose one of the columns for `--{flag}`"),
    )


def _by_lower_name(header: Sequence[str]) -> dict[str, str]:
    """The columns by their names in lower case, the leftmost of those alike."""
    return {name.lower().strip(): name for name in reversed(header)}


def _no_column(table: Path, header: Sequence[str], what: str, flag: str) -> FeatxError:
    return FeatxError(
        "bad-column",
        f"no column of {table} looks like {what}\ncolumns: {', '.join(header)}",
        f"name it: `--{flag} COLUMN`",
    )
