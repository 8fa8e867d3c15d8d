"""The counts of a store, for `featx info` and for other programs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from featx.store.store import Store


@dataclass(frozen=True)
class StoreFacts:
    """The counts and the file of one store."""

    store: str
    n: int
    width: int
    dtype: str
    categories: int
    products: int
    splits: dict[str, int]
    columns: list[str]
    bytes: int
    changed: str | None
    unlabelled: int


def facts_of(store: Store, labels: Sequence[str | None] | None = None) -> StoreFacts:
    """Count the content of a store; `labels` replace its own where people corrected them."""
    stat = store.path.stat() if store.path.exists() else None
    return StoreFacts(
        store=str(store.path),
        n=len(store),
        width=store.width,
        dtype=str(store.dtype),
        categories=len(set(store.labels if labels is None else labels) - {None}),
        products=len({store.product_of(i) for i in range(len(store))}),
        splits=dict(Counter(split for split in store.splits if split)),
        columns=list(store.columns),
        bytes=stat.st_size if stat else 0,
        changed=time.strftime("%Y-%m-%d %H:%M", time.localtime(stat.st_mtime)) if stat else None,
        unlabelled=sum(label is None for label in store.labels),
    )
