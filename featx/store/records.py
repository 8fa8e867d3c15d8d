"""The records of a store: rows, rows without their features, and photos that could not be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from featx.backbones.fingerprint import Fingerprint

Value = str | int | float | bool | None
NOTHING: Mapping[str, Value] = MappingProxyType({})


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


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A stored row without its features."""

    item_id: str
    path: str
    digest: str
    label: str | None = None
    product: str | None = None
    split: str | None = None
    extra: Mapping[str, Value] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """A photo that could not be used, with the size and time of its file then; a changed file is tried again."""

    path: str
    reason: str
    detail: str = ""
    size: int = -1
    mtime_ns: int = -1


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
