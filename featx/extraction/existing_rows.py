"""What a store knew before an extraction: which of its rows an item of the catalogue is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from featx.backbones import Fingerprint
from featx.catalogue.items import Catalogue, Item, Skipped
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
            yield self._filled(item if item_id == item.item_id else replace(item, item_id=item_id), catalogue.root)

    def _filled(self, item: Item, source: str) -> Item:
        """An empty cell removes no label; a second table, such as one of new labels, adds to the first."""
        row = self.rows.get(item.item_id)
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

    def left(
        self, items: Sequence[Item], skipped: Sequence[Skipped], gained: Sequence[tuple[Item, str]]
    ) -> tuple[dict[str, str], list[str]]:
        """Rows whose photo is gone, either renamed (the same bytes are elsewhere now) or removed."""
        listed = {item.path for item in items} | {skip.path for skip in skipped}
        ids = {item.item_id for item in items}
        gone: dict[str, list[Item]] = {}
        for row in self.rows.values():
            if row.path not in listed and row.item_id not in ids and not os.path.lexists(row.path):
                gone.setdefault(row.digest, []).append(row)
        renamed: dict[str, str] = {}
        for item, digest in gained:
            if gone.get(digest):
                renamed[gone[digest].pop(0).item_id] = item.item_id
        return renamed, sorted(row.item_id for rows in gone.values() for row in rows)


def differs(row: Item, item: Item) -> bool:
    """Whether the catalogue and the row of an item differ."""
    return (row.path, row.label, row.product, row.split, dict(row.extra)) != (
        item.path,
        item.label,
        item.product,
        item.split,
        dict(item.extra),
    )
