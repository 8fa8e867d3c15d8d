"""A list of photos that is read part by part: one in the order of its paths, as `featx list` writes it.

So the memory of a run in shards is that of a part, not of the list. What the whole list decides (its order, that no id
comes twice, whether products have several photos) is looked at once, some thousand rows at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.items import Catalogue, described
from featx.catalogue.path_layout import PathLayout
from featx.catalogue.table_columns import SUGGESTED, ColumnChoice
from featx.catalogue.table_items import photos_of
from featx.catalogue.tables import ArrowTable, open_parquet_table
from featx.images.objects import SCHEMES

AT_ONCE = 50_000


@dataclass(frozen=True)
class PhotoList:
    """A list of photos in a Parquet file, in the order of their paths; it stays open, so a new file changes nothing."""

    path: Path
    file: Any
    n: int
    labels: frozenset[str]
    columns: ColumnChoice
    layout: PathLayout
    allow_outside: bool
    flags: Sequence[str] = ()

    @property
    def root(self) -> str:
        """What the list is called where a catalogue has its folder."""
        return str(self.path)

    def describe(self) -> str:
        """The first line an extraction prints."""
        return described(self.n, len(self.labels), self.root, f"column `{self.columns.label}`")

    def part(self, start: int, stop: int) -> Catalogue:
        """The photos of some rows, as a catalogue; those that are missing are listed as skipped."""
        table = ArrowTable(list(self.file.schema_arrow.names), self._rows(start, stop))
        part = photos_of(table, self.path, self.columns, self.layout, self.allow_outside)
        return replace(part, flags=self.flags)

    def _rows(self, start: int, stop: int) -> Any:
        """Some rows, of which only the groups are read that hold them."""
        sizes = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]
        ends = np.cumsum(sizes)
        first, last = np.searchsorted(ends, [start, max(start, stop - 1)], side="right").tolist()
        groups = list(range(first, min(last + 1, len(sizes))))
        before = int(ends[first - 1]) if first else 0
        return self.file.read_row_groups(groups).slice(start - before, stop - start)


def open_photo_list(
    path: Path, columns: ColumnChoice, layout: PathLayout, allow_outside: bool, flags: Sequence[str]
) -> PhotoList | None:
    """A Parquet file as a list that is read part by part; None where it must be read whole."""
    file = open_parquet_table(path)
    header = list(file.schema_arrow.names)
    ids = columns.id_columns(header, path)
    if not ids or set(SUGGESTED) <= set(header):
        return None
    image, label = columns.image_column(header, path), columns.label_column(header, path)
    product = columns.product_column(header, path) if layout.guess_products else None
    names, numbers, products, labels = _Ascending(), _Repeats(), _Repeats(), set[str]()
    for batch in _batches(file, [column for column in (image, ids[0], label, product) if column]):
        if not names.go_on(batch[image]) or any(cell in (None, "") for cell in batch[ids[0]]):
            return None
        numbers.take(batch[ids[0]])
        products.take(batch[product] if product else [])
        labels.update(str(cell) for cell in set(batch[label] if label else []) if cell not in (None, ""))
    if numbers.any():
        return None
    if columns.group is None and not products.any():
        product = None  # an id of each photo, not of its product
    chosen = ColumnChoice(image, label, ids[0], product, columns.split_column(header, path))
    layout = replace(layout, guess_products=product is not None)
    return PhotoList(path, file, int(file.metadata.num_rows), frozenset(labels), chosen, layout, allow_outside, flags)


def _batches(file: Any, columns: Sequence[str]) -> Iterator[dict[str, list[Any]]]:
    for batch in file.iter_batches(batch_size=AT_ONCE, columns=list(dict.fromkeys(columns))):
        yield {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)}


class _Ascending:
    """Paths that come in order: all on servers, all from the root, or all from the folder of the table."""

    def __init__(self) -> None:
        self._last, self._kinds = "", set[str]()

    def go_on(self, cells: Sequence[Any]) -> bool:
        """Whether these paths go on in order."""
        if not all(isinstance(cell, str) and cell and cell == cell.strip() for cell in cells):
            return False
        self._kinds |= {_kind(cell) for cell in cells}
        ordered = all(left < right for left, right in pairwise([self._last, *cells]))
        self._last = cells[-1] if cells else self._last
        return ordered and len(self._kinds) < 2 and "odd" not in self._kinds


def _kind(path: str) -> str:
    if path.startswith(SCHEMES):
        return "server"
    return "odd" if "\\" in path else "root" if path.startswith("/") else "folder"


class _Repeats:
    """Cells of which one may come twice, by eight bytes of each; once one has, no more are kept."""

    def __init__(self) -> None:
        self._found, self._hashes = False, list[NDArray[np.int64]]()

    def take(self, cells: Sequence[Any]) -> None:
        """Take in more cells."""
        if not self._found:
            self._hashes.append(np.fromiter(map(hash, map(str, cells)), np.int64, len(cells)))
            self._found = len(np.unique(self._hashes[-1])) < len(cells)

    def any(self) -> bool:
        """Whether one came twice; two that only have the same hash count as one."""
        if not self._found and self._hashes:
            hashes, self._hashes = np.concatenate(self._hashes), []
            hashes.sort()
            self._found = bool((hashes[1:] == hashes[:-1]).any())
        return self._found
