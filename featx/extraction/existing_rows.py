"""What a store knew before an extraction: which of its rows an item of the catalogue is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from featx.backbones import Fingerprint
from featx.catalogue.items import Catalogue, Item, Skipped
from featx.files.regular import same_place
from featx.store import Store


class ExistingRows:
    """The rows of a store, by id, path and digest; none where there is no store yet."""

    def __init__(self, store: Store | None) -> None:
        self.rows: dict[str, Item] = {} if store is None else dict(store.known())
        self.fingerprint: Fingerprint | None = None if store is None else store.fingerprint
        self.provenance: dict[str, object] = {} if store is None else dict(store.provenance)
        self.by_path = {row.path: row for row in self.rows.values()}
        self.digests = {row.digest for row in self.rows.values()}

    def named(self, catalogue: Catalogue) -> Iterator[Item]:
        """Items under the ids they have in the store: a path keeps its id, and two photos never share one."""
        here = {item.path for item in catalogue.items}
        ids = {item.item_id for item in catalogue.items}
        taken: dict[str, str] = {}
        for item in catalogue.items:
            row = self.by_path.get(item.path)
            item_id = row.item_id if row is not None and catalogue.ids_guessed else item.item_id
            other = self.rows.get(item_id)
            clash = other is not None and other.path != item.path
            if clash and catalogue.ids_guessed and (other.path in here or Path(other.path).exists()):  # type: ignore[union-attr]
                item_id = item.path
            if taken.setdefault(item_id, item.path) != item.path:
                item_id = item.path
            known = self.rows.get(item_id)
            if known is None and row is not None and row.item_id not in ids:
                known = row  # the photo has another id now
            named = item if item_id == item.item_id else replace(item, item_id=item_id)
            yield self._filled(named, known, catalogue.root)

    def _filled(self, item: Item, row: Item | None, source: str) -> Item:
        """An empty cell removes no label; a second table, such as one of new labels, adds to the first."""
        if row is None or row.path != item.path:
            return item
        changes: dict[str, Any] = {"label": row.label} if item.label is None and row.label is not None else {}
        if self.provenance.get("source") not in (None, source):
            changes["extra"] = {**row.extra, **item.extra}
            changes |= {
                name: known
                for name, known in (("product", row.product), ("split", row.split))
                if known is not None and getattr(item, name) is None
            }
        return replace(item, **changes) if changes else item

    def row_of(self, item: Item) -> Item | None:
        """The row of an item, if it has one."""
        return self.rows.get(item.item_id)

    def source_of(self, catalogue: Catalogue) -> str | None:
        """What new rows of a catalogue remember of where they came from; nothing in the first one's rows."""
        first = self._first_source
        return catalogue.root if "source" in self.provenance and not _same(first, catalogue.root) else None

    @property
    def _first_source(self) -> str | None:
        first = self.provenance.get("first_source")
        return first if isinstance(first, str) else None

    def _sources_of(self, catalogue: Catalogue) -> set[str | None]:
        """The sources whose rows the catalogue has to list, or they have left it; none where it is not a table."""
        if not catalogue.from_table:
            return set()
        sources = {row.source for row in self.rows.values()}
        return {source for source in sources if _same(source or self._first_source, catalogue.root)}

    def departed(
        self,
        catalogue: Catalogue,
        items: Sequence[Item],
        skipped: Sequence[Skipped],
        gained: Sequence[tuple[Item, str]],
    ) -> Departures:
        """Rows that are no longer in the catalogue: renamed (the same photo has another id now), gone or left."""
        ids, paths = {item.item_id for item in items}, {item.path for item in items}
        unusable = {skip.path for skip in skipped}
        newcomers = {item.path: item.item_id for item, _ in gained}
        mine = self._sources_of(catalogue)
        departures, waiting = Departures(), dict[str, list[Item]]()
        for row in self.rows.values():
            if row.item_id in ids or row.path in unusable:
                continue
            if row.path in newcomers:
                departures.renamed[row.item_id] = newcomers.pop(row.path)
            elif row.source in mine or (row.path not in paths and not os.path.lexists(row.path)):
                waiting.setdefault(row.digest, []).append(row)
        taken = set(departures.renamed.values())
        for item, digest in gained:
            if item.item_id not in taken and waiting.get(digest):
                departures.renamed[waiting[digest].pop(0).item_id] = item.item_id
        for row in sorted((row for rows in waiting.values() for row in rows), key=lambda row: row.item_id):
            (departures.left if os.path.lexists(row.path) else departures.gone).append(row.item_id)
        return departures


@dataclass
class Departures:
    """Rows of a store that a catalogue does not name any more."""

    # Old id to new one: the same photo under another id, or another path.
    renamed: dict[str, str] = field(default_factory=dict)
    # Photos that are no longer on disk, and photos that are, but that their table does not list any more.
    gone: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def _same(source: str | None, root: str) -> bool:
    return source is not None and (source == root or same_place(source, Path(root)))


def differs(row: Item, item: Item) -> bool:
    """Whether the catalogue and the row of an item differ."""
    return (row.path, row.label, row.product, row.split, dict(row.extra)) != (
        item.path,
        item.label,
        item.product,
        item.split,
        dict(item.extra),
    )
