"""Features in, the most alike products out: exact search by cosine, NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 65_536
NEAR_COPY = 0.98


@dataclass(frozen=True)
class Neighbour:
    """One answer to a query: which item of which product, and how alike, from -1 to 1."""

    item_id: str
    product: str
    similarity: float
    label: str | None
    path: str
    near_copy: bool = False


@dataclass(frozen=True)
class SimilarityIndex:
    """The features of a catalogue with what each row is; answers with products."""

    features: np.ndarray
    ids: Sequence[str]
    products: Sequence[str]
    digests: Sequence[str]
    labels: Sequence[str | None]
    paths: Sequence[str]

    def similarities(self, query: np.ndarray) -> np.ndarray:
        """The cosine of every row with a query; 0 where either has no direction."""
        wanted = np.asarray(query, dtype=np.float32).ravel()
        length = float(np.linalg.norm(wanted))
        if not np.isfinite(length) or length == 0:
            return np.zeros(len(self.ids), dtype=np.float32)
        wanted = wanted / length
        found = np.empty(len(self.ids), dtype=np.float32)
        for start in range(0, len(found), BLOCK):
            rows = np.asarray(self.features[start : start + BLOCK], dtype=np.float32)
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            found[start : start + BLOCK] = (rows @ wanted) / np.where(lengths > 0, lengths, 1)
        return np.clip(np.nan_to_num(found), -1, 1)

    def query(
        self,
        query: np.ndarray,
        k: int = 5,
        *,
        label: str | None = None,
        without_product: str | None = None,
        without_digest: str | None = None,
    ) -> list[Neighbour]:
        """The k products most like a query, each by its best photo, best first; ties go by id."""
        similarities = self.similarities(query)
        best: dict[str, int] = {}
        for i in self._promising(similarities, k, label, without_product, without_digest):
            product = self.products[i]
            held = best.get(product)
            if held is None or (-similarities[i], self.ids[i]) < (-similarities[held], self.ids[held]):
                best[product] = i
        ranked = sorted(best.values(), key=lambda i: (-float(similarities[i]), self.ids[i]))[:k]
        return [
            Neighbour(
                self.ids[i],
                self.products[i],
                round(float(similarities[i]), 6),
                self.labels[i],
                self.paths[i],
                bool(similarities[i] >= NEAR_COPY),
            )
            for i in ranked
        ]

    def _promising(
        self,
        similarities: np.ndarray,
        k: int,
        label: str | None,
        without_product: str | None,
        without_digest: str | None,
    ) -> list[int]:
        """Rows that may be among the answers: the best ones, until they belong to k products and no tie is cut."""
        allowed = np.ones(len(similarities), dtype=bool)
        for i in range(len(similarities)) if label is not None else ():
            allowed[i] = self.labels[i] == label
        if without_product is not None:
            allowed &= np.fromiter((p != without_product for p in self.products), bool, len(allowed))
        if without_digest is not None:
            allowed &= np.fromiter((d != without_digest for d in self.digests), bool, len(allowed))
        places = np.flatnonzero(allowed)
        take = min(len(places), max(64, 8 * k))
        while True:
            if take >= len(places):
                return [int(i) for i in places]
            among = similarities[places]
            limit = np.partition(among, len(among) - take)[len(among) - take]
            found = places[among >= limit]
            if len({self.products[i] for i in found}) > k:
                return [int(i) for i in found]
            take *= 4


def open_index(store: str | Path | Any = None) -> SimilarityIndex:
    """The index of a store; an item without a product is a product of its own."""
    from featx.store import Store, open_store

    opened = store if isinstance(store, Store) else open_store(store)
    return SimilarityIndex(
        opened.features_map(),
        opened.ids,
        [opened.product_of(i) for i in range(len(opened))],
        opened.digests,
        opened.labels,
        opened.paths,
    )
