"""A store that was never written: rows at hand, for everything that takes a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Fingerprint
from featx.catalogue.items import Item
from featx.store.records import FeatureSpec
from featx.store.snapshot import Snapshot
from featx.store.store import Store


@dataclass
class _RowsInMemory(Snapshot):
    # A row for each photo, or a row for each of its views.
    features: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 1), dtype=np.float32))

    def blocks(self) -> Iterator[bytes]:
        """All features in row order."""
        yield self.features.tobytes()

    def view_blocks(self) -> Iterator[NDArray[np.float32]]:
        """The rows themselves: a copy would take as much memory again."""
        yield self.features.reshape(len(self.features), self.spec.views, self.spec.width)

    def array(self, location: int) -> NDArray[Any]:
        """One row's features."""
        return np.asarray(self.features[location])


def store_in_memory(
    name: str,
    items: Sequence[Item],
    features: NDArray[np.float32],
    fingerprint: Fingerprint,
    provenance: Mapping[str, object],
) -> Store:
    """A store of these items, each with its digest, and their features, row by row."""
    views = features.shape[1] if features.ndim == 3 else 1
    spec = FeatureSpec(fingerprint, fingerprint.width, views, "float32")
    rows = {item.item_id: item for item in items}
    where = {item.item_id: i for i, item in enumerate(items)}
    contents = _RowsInMemory(Path(name), spec, dict(provenance), rows, where, features=features)
    return Store(Path(name), contents)


def rows_in_memory(store: Store, rows: NDArray[np.intp]) -> Store:
    """A store of some rows of another, under its name; features of other rows are read, and not kept."""
    whole, kept = store.whole, np.sort(rows)
    known = list(whole.known().values())
    items = [known[row] for row in kept.tolist()]
    drawn = store_in_memory(str(store.path), items, whole.views_of(kept), whole.fingerprint, whole.provenance)
    return drawn.suited_to(store.fingerprint) if store.is_part else drawn
