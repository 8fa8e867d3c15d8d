"""A store of some of the products: what looks at all photos at once can look at these instead."""

from __future__ import annotations

import numpy as np

from featx.labels.training_set import drawn_products, labels_for
from featx.store import Store
from featx.store.in_memory import rows_in_memory


def some_products(store: Store, products: int, level: str | None = None, seed: int = 0) -> Store:
    """The labelled photos of about so many products, of each category in proportion; the store if it has no more.

    The same seed draws the same products from every store that has them, so that stores can still be compared.
    """
    labels = labels_for(store, level)
    rows = np.array([i for i, label in enumerate(labels) if label is not None], dtype=np.intp)
    owners = np.array([store.product_of(int(i)) for i in rows], dtype=object)
    if len(set(owners.tolist())) <= products:
        return store
    drawn = drawn_products(owners, np.array([labels[i] for i in rows]), products, seed)
    return rows_in_memory(store, rows[drawn])
