"""Tables of photos, and tables of products whose photos lie in a folder: rows in, items out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from re import Pattern

from featx.catalogue.folders import no_images, photos_below, relative_path
from featx.catalogue.items import NOTHING, Catalogue, Item, Skipped
from featx.catalogue.located_photos import LocatedPhotos, locate_photos
from featx.catalogue.own_columns import Value
from featx.catalogue.path_layout import PathLayout, guess_products, ids_of, usual_split
from featx.catalogue.photos_by_sku import Unmatched, match_photos
from featx.catalogue.table_columns import SUGGESTED, ColumnChoice
from featx.catalogue.tables import Table, read_table
from featx.errors import FeatxError
from featx.files.cells import bare


def read_photo_table(path: Path, columns: ColumnChoice, layout: PathLayout, allow_outside: bool) -> Catalogue:
    """The items of a table that names photos, by paths from its folder."""
    catalogue = photos_of(read_table(path), path, columns, layout, allow_outside)
    if not catalogue.items:
        raise _no_photos_of(path, catalogue.skipped)
    return catalogue


def photos_of(read: Table, path: Path, columns: ColumnChoice, layout: PathLayout, allow_outside: bool) -> Catalogue:
    """The items of the rows of a table, all or some, that was read from a path; photos that are missing are skipped."""
    table = _Cells(read, path)
    header, root = table.header, str(path.parent)
    image = columns.image_column(header, path)
    label, split = columns.label_column(header, path), columns.split_column(header, path)
    located = locate_photos(table.texts(image), path, root, allow_outside)
    if not located.paths:
        return Catalogue(str(path), [], [skip for _, skip in located.skipped])
    id_column, ids = _ids(path, columns, table, located, root)
    product = columns.product_column(header, path) if layout.guess_products else None
    if product is not None and columns.group is None and _are_distinct(located.cells(table.texts(product))):
        product = None  # an id of each photo, not of its product
    fields = _Fields(table, layout, label=label, product=product, split=split, item_id=id_column, image=image)
    items = [
        fields.item(row, layout.item(item_id, photo, relative_path(photo, root), root))
        for row, item_id, photo in zip(located.rows, ids, located.paths, strict=True)
    ]
    product_source = f"column `{product}`" if product else "none"
    if product is None and layout.guess_products and id_column is None:
        items, product_source = guess_products(items)
    return Catalogue(
        str(path),
        items,
        [replace(skip, columns=fields.columns_of(row)) for row, skip in located.skipped],
        f"column `{label}`" if label else layout.label_source(items),
        product_source,
        ids_guessed=id_column is None,
        notes=table.notes,
        from_table=not table.hints,
        columns=[name for name in header if name not in (image, *table.hints)],
    )


def read_product_table(
    path: Path, images: Path, pattern: Pattern[str] | None, columns: ColumnChoice, layout: PathLayout
) -> Catalogue:
    """The items of a table that names products: the photos of a folder that are named after them."""
    table = _Cells(read_table(path), path)
    header = table.header
    sku = columns.sku_column(header, path)
    label, split = columns.label_column(header, path), columns.split_column(header, path)
    row_of: dict[str, int] = {}
    for row, cell in enumerate(table.texts(sku)):
        if cell is not None:
            row_of.setdefault(cell, row)
    photos, unmatched = match_photos(photos_below(images), row_of, pattern)
    if not photos:
        raise _no_photo_of_a_sku(path, images, sku, unmatched)
    fields = _Fields(table, layout, label=label, product=sku, split=split)
    items = []
    for item_id, photo in zip(ids_of([photo.path for photo in photos]), photos, strict=True):
        by_path = layout.item(item_id, os.path.join(images, photo.path), photo.path, str(images))
        items.append(fields.item(row_of[photo.sku], by_path, photo.parts))
    return Catalogue(
        str(path),
        items,
        (),
        f"column `{label}`" if label else layout.label_source(items),
        f"column `{sku}`",
        notes=table.notes,
        unmatched=unmatched,
        from_table=True,
        columns=list(dict.fromkeys([*header, *(name for photo in photos for name in photo.parts)])),
    )


class _Cells:
    """The cells of a table; in one that `featx suggest` wrote, without the marks that keep them from being formulas."""

    def __init__(self, table: Table, path: Path) -> None:
        self._table = table
        self.header = self._table.header
        self.hints = SUGGESTED if set(SUGGESTED) <= set(self.header) else ()
        self.notes = [f"{path}: {self._table.note}"] if self._table.note else []

    def texts(self, column: str) -> Sequence[str | None]:
        """A column as text."""
        cells = self._table.texts(column)
        return [cell and bare(cell) for cell in cells] if self.hints else cells

    def facts(self, without: Sequence[str | None]) -> list[dict[str, Value]]:
        """The columns that featx only passes on, row by row."""
        facts = list(self._table.facts(range(len(self._table)), (*without, *self.hints)))
        if not self.hints:
            return facts
        return [{name: bare(v) if isinstance(v, str) else v for name, v in fact.items()} for fact in facts]


class _Fields:
    """The fields of items: from the columns of a table or, where it has none, from their paths."""

    def __init__(
        self,
        table: _Cells,
        layout: PathLayout,
        *,
        label: str | None,
        product: str | None,
        split: str | None,
        item_id: str | None = None,
        image: str | None = None,
    ) -> None:
        self._layout = layout
        fields = (("product", product), ("item_id", item_id), ("label", label), ("split", split))
        self._headings = {column: name for name, column in fields if column is not None and column not in table.hints}
        self._named = {column: table.texts(column) for column in self._headings}
        self._labels, self._products, self._splits = (
            None if column is None else table.texts(column) for column in (label, product, split)
        )
        self._facts = table.facts((image, *self._headings))

    def item(self, row: int, by_path: Item, extra: Mapping[str, Value] = NOTHING) -> Item:
        """The item of a row, from the one that its path alone suggests."""
        label = by_path.label if self._layout.label_from else None
        listed = usual_split(self._splits[row]) if self._splits is not None else None
        return Item(
            by_path.item_id,
            by_path.path,
            label if self._labels is None else self._labels[row],
            by_path.product if self._products is None else self._products[row],
            self._layout.split or listed or by_path.split,
            # The columns of millions of rows are not copied.
            ({**extra, **self._facts[row]} if extra else self._facts[row]) or NOTHING,
            self._headings,
        )

    def columns_of(self, row: int) -> dict[str, Value]:
        """All columns of a row, under the table's own headings."""
        return {**{name: cells[row] for name, cells in self._named.items()}, **self._facts[row]}


def _are_distinct(cells: Sequence[str | None]) -> bool:
    return len(set(cells)) == len(cells)


def _ids(
    path: Path, columns: ColumnChoice, table: _Cells, located: LocatedPhotos, root: str
) -> tuple[str | None, list[str]]:
    """The column with the ids, and the ids; where no column has one for each photo, ids from the paths."""
    for column in columns.id_columns(table.header, path):
        ids = located.cells(table.texts(column))
        repeated = [item_id for item_id, n in Counter(ids).items() if n > 1 or item_id is None]
        if not repeated:
            return column, [str(item_id) for item_id in ids]
        if columns.item_id is not None:
            raise FeatxError(
                "duplicate-id",
                f"column `{column}` of {path} is not an id: {len(repeated):,} values are repeated or empty,"
                f" such as {', '.join(map(repr, repeated[:3]))}",
                f"if it names the product, use `--group-col {column}`",
            )
    relative = [relative_path(photo, root) for photo in located.paths]
    repeated_paths = [photo for photo, n in Counter(relative).items() if n > 1]
    if repeated_paths:
        raise FeatxError(
            "duplicate-id",
            f"{path} lists {len(repeated_paths):,} photos more than once, such as `{repeated_paths[0]}`",
            "keep one row for each photo, or give each row an id: `--id-col COLUMN`",
        )
    return None, ids_of(relative)


def _no_photos_of(path: Path, skipped: Sequence[Skipped]) -> FeatxError:
    if not skipped or any(skip.reason != "missing" for skip in skipped):
        return no_images(f"{path}", Counter(skip.reason for skip in skipped))
    return FeatxError(
        "no-images",
        f"none of the {len(skipped):,} photos that {path} names exists, for example {skipped[0].path}",
        f"paths are relative to the table's folder, {path.parent.absolute()}; another column: `--image-col`",
    )


def _no_photo_of_a_sku(table: Path, images: Path, column: str, unmatched: Unmatched) -> FeatxError:
    skus, photos = unmatched.skus, unmatched.photos
    example = f"; a SKU is `{skus[0]}`, a photo `{photos[0]}`" if skus and photos else ""
    return FeatxError(
        "no-images",
        f"none of the {len(photos):,} photos under {images} is named after one of the {len(skus):,} SKUs in column "
        f"`{column}` of {table}{example}",
        "name another column, `--id-col COLUMN`, or say how photos are named: `--image-pattern '{sku}_{shot}.jpg'`",
    )
