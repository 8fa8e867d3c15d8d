"""The records of a store: rows, and the origin of their features. A row without features is an `Item`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Fingerprint
from featx.catalogue.items import Item
from featx.catalogue.own_columns import Value


@dataclass(frozen=True, slots=True)
class Row:
    """One photo with its metadata and features: (width,), or (views, width) where views are stored."""

    item_id: str
    path: str
    digest: str
    label: str | None
    product: str | None
    split: str | None
    extra: Mapping[str, Value]
    features: NDArray[np.floating]
    # The folder or table that first named the photo; None: the one that the store was begun with.
    source: str | None = None

    @property
    def item(self) -> Item:
        """The row without its features."""
        words = self.label, self.product, self.split
        return Item(self.item_id, self.path, *words, self.extra, digest=self.digest, source=self.source)


@dataclass(frozen=True)
class FeatureSpec:
    """The origin and shape of the features of a store; the same for every row."""

    fingerprint: Fingerprint
    width: int
    views: int
    dtype: str

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The shape of one row's features."""
        return (self.width,) if self.views == 1 else (self.views, self.width)

    @property
    def row_bytes(self) -> int:
        """How many bytes one row's features take."""
        return self.views * self.width * np.dtype(self.dtype).itemsize
