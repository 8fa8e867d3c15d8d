"""Reading a store: sealed rows and rows waiting in the journal, as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Block, Fingerprint, join
from featx.catalogue.items import Item, Skipped
from featx.catalogue.own_columns import Value, checked_headings, unlike_ours
from featx.compute.vectors import side_by_side
from featx.errors import FeatxError, did_you_mean
from featx.store.snapshot import Snapshot, load_snapshot
from featx.workspace import Workspace

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]
    import polars

    from featx.backbones.tensors import TorchRows

# The columns that every store has in a table, and how many rows a notebook shows of it.
TABLE = ("path", "id", "label", "product", "split", "embedding")
SHOWN = 8

# The name that stands for every block.
ALL = "all"


class Store:
    """A store as it was when opened; row i is the same photo in every list and in `features`."""

    def __init__(
        self, path: Path, contents: Snapshot, *, blocks: Sequence[Block] = (), whole: Store | None = None
    ) -> None:
        """The rows of a snapshot; `blocks` leaves only those blocks of the features of the `whole` store."""
        self.path = path
        self._contents = contents
        self._rows = list(contents.rows.values())
        made_by = contents.spec.fingerprint
        self._fingerprint = join([block.fingerprint for block in blocks]) if blocks else made_by
        self._whole = whole
        # Where the columns are in the file.
        self.columns_used = [(block.start, block.stop) for block in blocks] or [(0, made_by.width)]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Store({self.path}, {len(self):,} photos, {self.width:,} numbers each)"

    def __del__(self) -> None:
        contents = getattr(self, "_contents", None)
        if contents is not None and self._whole is None:
            contents.close()

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self._rows)

    @property
    def width(self) -> int:
        """How many numbers describe one view of a photo."""
        return self._fingerprint.width

    @property
    def views(self) -> int:
        """How many views of each photo are stored."""
        return self._contents.spec.views

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number format on disk."""
        return np.dtype(self._contents.spec.dtype)

    @property
    def fingerprint(self) -> Fingerprint:
        """The identity of what made the features."""
        return self._fingerprint

    @property
    def whole(self) -> Store:
        """The store with all its blocks."""
        return self if self._whole is None else self._whole

    @property
    def is_part(self) -> bool:
        """Whether these are only some blocks of the features in the file."""
        return self._whole is not None

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of the features by name; a single one unless the backbone is joined."""
        return self._fingerprint.blocks

    def with_blocks(self, names: Sequence[str]) -> Store:
        """The same store with only these blocks of its features, as they lie in the file; none, or `all`, for all.

        The name of a network with several stands for all of its own.
        """
        if list(names) == [ALL]:
            return self.whole
        known = {block.name: block for block in self.blocks}
        of_network = {block.fingerprint.backbone for block in self.blocks}
        for name in names:
            if name not in known and name not in of_network:
                raise FeatxError(
                    "bad-flag",
                    f"{self.path} has no block `{name}`",
                    did_you_mean(name, list(known), f"its blocks: {', '.join(known)}"),
                    {"blocks": list(known)},
                )
        chosen = [block for name, block in known.items() if name in names or block.fingerprint.backbone in names]
        return self._part(chosen) if names and len(chosen) < len(known) else self

    def suited_to(self, fingerprint: Fingerprint) -> Store:
        """The store, or the blocks of it that this fingerprint is of; whether either fits is for the caller to see."""
        if not self._fingerprint.difference(fingerprint, "classify"):
            return self
        blocks = [self._block_of(wanted.fingerprint) for wanted in fingerprint.blocks]
        chosen = [block for block in blocks if block is not None]
        return self._part(chosen) if chosen and len(chosen) == len(blocks) else self

    def _block_of(self, wanted: Fingerprint) -> Block | None:
        fits = (block for block in self.blocks if not block.fingerprint.difference(wanted, "classify"))
        return next(fits, None)

    def _part(self, blocks: Sequence[Block]) -> Store:
        if self._whole is None:
            return Store(self.path, self._contents, blocks=blocks, whole=self)
        fingerprints = [block.fingerprint for block in blocks]
        return self._whole._part([block for block in self._whole.blocks if block.fingerprint in fingerprints])

    @property
    def provenance(self) -> dict[str, object]:
        """How and when the store was made."""
        return dict(self._contents.provenance)

    @cached_property
    def ids(self) -> list[str]:
        """Item ids in row order."""
        return [row.item_id for row in self._rows]

    @cached_property
    def paths(self) -> list[str]:
        """Photo paths in row order."""
        return [row.path for row in self._rows]

    @cached_property
    def digests(self) -> list[str]:
        """Digests of the photos' bytes in row order."""
        return [row.digest for row in self._rows]

    @property
    def labels(self) -> list[str | None]:
        """Labels in row order as the catalogue gave them; None where there is none."""
        return self._labels

    @cached_property
    def _labels(self) -> list[str | None]:
        return [row.label for row in self._rows]

    @cached_property
    def products(self) -> list[str | None]:
        """Products in row order; None where the item is its own product."""
        return [row.product for row in self._rows]

    @cached_property
    def splits(self) -> list[str | None]:
        """Splits in row order; None where there is none."""
        return [row.split for row in self._rows]

    @cached_property
    def columns(self) -> dict[str, list[Value]]:
        """Every other column in row order; None where an item has no value."""
        names = sorted({name for row in self._rows for name in row.extra})
        return {name: [row.extra.get(name) for row in self._rows] for name in names}

    @cached_property
    def own_columns(self) -> dict[str, list[Value]]:
        """The person's own table in row order: every column under its heading there.

        Columns called id, product, label or split are left out where featx keeps the same under that name.
        """
        renamed = unlike_ours(self.headings)
        own = {name: [getattr(row, field) for row in self._rows] for name, field in renamed.items()}
        return own | {name: cells for name, cells in self.columns.items() if name not in own}

    def own_row(self, i: int) -> dict[str, Value]:
        """The columns of the catalogue's own table, for one row."""
        return {heading: column[i] for heading, column in self.own_columns.items()}

    @property
    def headings(self) -> dict[str, str]:
        """The headings in that table of ids, products, labels and splits: {"SKU": "item_id"}."""
        return checked_headings(self._contents.provenance.get("headings"))

    @property
    def features(self) -> NDArray[np.float32]:
        """The features of the photos themselves: (n, width), float32, checksums verified while they are read."""
        return self.all_views[:, 0]

    @cached_property
    def all_views(self) -> NDArray[np.float32]:
        """The features of every view: (n, views, width); the first view is the photo itself."""
        if self._whole is not None:
            return side_by_side(self._whole.all_views, self.columns_used)
        parts = self._view_blocks()
        whole = next(parts, np.empty((0, self.views, self.width), dtype=np.float32))[:]
        if len(whole) < len(self):  # rows of a single block need no room beside it
            start, first = len(whole), whole
            whole = np.empty((len(self), self.views, self.width), dtype=np.float32)
            whole[:start] = first
            for part in parts:
                whole[start : start + len(part)] = part
                start += len(part)
        whole.flags.writeable = False
        return whole

    def views_of(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """The features of some rows, named in order, with all views; the others are never all in memory."""
        some = np.empty((len(rows), self.views, self.width), dtype=np.float32)
        start = 0
        for part in self._view_blocks():
            first, end = np.searchsorted(rows, (start, start + len(part)))
            some[first:end] = part[rows[first:end] - start]
            start += len(part)
        return some

    def feature_blocks(self) -> Iterator[NDArray[np.float32]]:
        """The same as `features`, some thousand rows at a time, so that they are never all in memory."""
        for part in self._view_blocks():
            yield part[:, 0]

    def _view_blocks(self) -> Iterator[NDArray[np.float32]]:
        if self._whole is not None:
            yield from (side_by_side(part, self.columns_used) for part in self._whole._view_blocks())
            return
        yield from self._contents.view_blocks()

    def features_map(self) -> NDArray[Any]:
        """The features as a read-only memory map of the file, unverified; verified in memory if rows are unsealed.

        Blocks that do not lie side by side in the file are copied into memory.
        """
        if self._whole is not None:
            return side_by_side(self._whole.features_map(), self.columns_used)
        sealed, spec = self._contents.sealed, self._contents.spec
        if sealed is None or not len(self) or self.unsealed or not self._in_file_order():
            return self.features
        with open(sealed.fd, "rb", closefd=False) as file:
            whole = np.memmap(
                file, dtype=spec.dtype, mode="r", offset=sealed.offset, shape=(len(self), spec.views, spec.width)
            )
        return whole[:, 0]

    def _in_file_order(self) -> bool:
        locations = self._contents.locations
        return all(locations[row.item_id] == i for i, row in enumerate(self._rows)) and (
            self._contents.sealed is not None and self._contents.sealed.n == len(self)
        )

    @property
    def unsealed(self) -> int:
        """How many rows wait in the journal of an interrupted run."""
        return self._contents.journal_rows

    def known(self) -> Mapping[str, Item]:
        """Every row without its features, by item id, in row order."""
        return MappingProxyType(self._contents.rows)

    def known_skipped(self) -> Mapping[str, Skipped]:
        """Photos that could not be used, by path."""
        return MappingProxyType(self._contents.skipped)

    def position(self, item_id: str) -> int:
        """The row of an item."""
        try:
            return self._positions[item_id]
        except KeyError:
            raise FeatxError(
                "not-in-store", f"no item `{item_id}` in {self.path}", "`featx info` shows what the store holds"
            ) from None

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {row.item_id: i for i, row in enumerate(self._rows)}

    def product_of(self, i: int) -> str:
        """The product a row belongs to; an item without one is its own."""
        row = self._rows[i]
        return row.item_id if row.product is None else row.product

    def labelled(self) -> NDArray[np.intp]:
        """The positions of rows with a label."""
        return np.flatnonzero([row.label is not None for row in self._rows])

    def _table(self) -> dict[str, list[Any]]:
        names: dict[str, list[Any]] = {"path": self.paths, "id": self.ids, "label": self.labels}
        # A column of the catalogue never replaces what every store has.
        own = {name if name not in TABLE else f"{name}_": values for name, values in self.columns.items()}
        return {**names, "product": self.products, "split": self.splits, **own}

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame: path, id, label, product, split, the other columns, and the embedding of each photo."""
        from featx.views.frames import pandas_frame

        return pandas_frame({**self._table(), "embedding": list(self.features)})

    def to_polars(self) -> polars.DataFrame:
        """The same as `to_pandas` in polars; `embedding` is a column of arrays."""
        from featx.views.frames import polars_frame

        return polars_frame({**self._table(), "embedding": self.features})

    def to_torch(self) -> TorchRows:
        """Features and targets as tensors, and the categories that the targets count; -1 stands for no label."""
        from featx.backbones.tensors import torch_rows

        return torch_rows(self.features, self.labels)

    def _repr_html_(self) -> str:
        from featx.views.notebook import notebook_table

        rows = list(zip(self.ids, self.labels, self.products, self.splits, self.paths, strict=True))[:SHOWN]
        columns = ("id", "label", "product", "split", "path")
        return notebook_table(repr(self), columns, rows, [[path] for path in self.paths[:SHOWN]], len(self))

    def check(self) -> list[str]:
        """Verify every checksum; returns a sentence for each damaged part."""
        sealed = self._contents.sealed
        damage = sealed.check() if sealed is not None else []
        return damage + ([self._contents.journal_damage] if self._contents.journal_damage else [])


def open_store(path: Path | str | None = None, blocks: Sequence[str] = ()) -> Store:
    """Open a store (the current one when none is named), with the rows of an interrupted run if there are any.

    `blocks` are those of a joined backbone to use; all where none is named.
    """
    where = Workspace.here().current_store(Path(path) if path is not None else None)
    contents = load_snapshot(where)
    if contents is None:
        raise FeatxError("no-store", f"no store at `{where}`", f"make it: `featx extract IMAGES --store {where}`")
    return Store(where, contents).with_blocks(blocks)


def as_store(store: Store | Path | str | None) -> Store:
    """A store that is open already, else the one at a path; the current one when none is named."""
    return store if isinstance(store, Store) else open_store(store)
