"""A photo of the catalogue: its id, path, label, product, and the other columns of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from featx.catalogue.own_columns import Value, own_columns
from featx.catalogue.photos_by_sku import Unmatched

NOTHING: Mapping[str, Value] = MappingProxyType({})
NO_HEADINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Item:
    """One photo: its id, its path and its metadata; its digest where the bytes have been read."""

    item_id: str
    path: str
    label: str | None = None
    product: str | None = None
    split: str | None = None
    extra: Mapping[str, Value] = field(default_factory=lambda: NOTHING)
    # The table's own headings of the fields above, such as {"SKU": "item_id"}; one record for all items.
    headings: Mapping[str, str] = field(default_factory=lambda: NO_HEADINGS)
    digest: str = ""
    # The folder or table that first named the photo of a row; None: the one that the store was begun with.
    source: str | None = None

    @property
    def columns(self) -> dict[str, Value]:
        """All columns of the photo, under the table's own headings."""
        return own_columns(self, self.headings)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not a usable photo, with its size and time where they are known; a changed file is tried again."""

    path: str
    reason: str
    detail: str = ""
    size: int = -1
    mtime_ns: int = -1
    # Its columns, under the table's own headings.
    columns: Mapping[str, Value] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True)
class Catalogue:
    """The items featx was pointed at, and where their labels and products came from."""

    root: str
    items: Sequence[Item]
    skipped: Sequence[Skipped] = ()
    label_source: str = "none"
    product_source: str = "none"
    ids_guessed: bool = True
    # How it was read, as flags of `featx extract`.
    flags: Sequence[str] = ()
    # What a person should know of how it was read.
    notes: Sequence[str] = ()
    # Where photos are matched to the rows of a table by name: what is left over on either side.
    unmatched: Unmatched | None = None
    # Whether a table lists the items: then it says which there are, whatever else lies on the disk.
    from_table: bool = False
    # The columns of the person's own table, or of a pattern, in their order there.
    columns: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"Catalogue({self.describe()})"

    @property
    def labels(self) -> list[str]:
        """Every label once, sorted."""
        return sorted({item.label for item in self.items if item.label is not None})

    @property
    def splits(self) -> dict[str, int]:
        """How many items each split has."""
        return dict(sorted(Counter(item.split for item in self.items if item.split).items()))

    @property
    def n_products(self) -> int:
        """How many products own the items."""
        return len({item.product if item.product is not None else f"\0{item.item_id}" for item in self.items})

    def describe(self) -> str:
        """The first line an extraction prints."""
        return described(len(self.items), len(self.labels), self.root, self.label_source)


def described(n: int, k: int, root: str, label_source: str) -> str:
    """So many photos in so many categories, in words."""
    photos = f"{n:,} photo{'' if n == 1 else 's'}"
    if not k:
        return f"{photos} under {root} (no categories)"
    categories = f"{k:,} {'category' if k == 1 else 'categories'}"
    return f"{photos} in {categories} under {root} (category = {label_source})"


def joined_catalogues(catalogues: Sequence[Catalogue]) -> Catalogue:
    """Several catalogues as one: each file once, and the path as the id where two files have the same id."""
    items: dict[Path, Item] = {}
    for item in chain.from_iterable(catalogue.items for catalogue in catalogues):
        items.setdefault(Path(item.path).absolute(), item)
    often = Counter(item.item_id for item in items.values())
    return Catalogue(
        ", ".join(catalogue.root for catalogue in catalogues),
        [item if often[item.item_id] == 1 else replace(item, item_id=item.path) for item in items.values()],
        skipped=[skipped for catalogue in catalogues for skipped in catalogue.skipped],
        notes=list(dict.fromkeys(note for catalogue in catalogues for note in catalogue.notes)),
        columns=list(dict.fromkeys(column for catalogue in catalogues for column in catalogue.columns)),
    )
