"""The rows of an index: features, names, products and categories, and the rows of each product."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.catalogue.own_columns import Value
from featx.compute.vectors import BLOCK, inverse_lengths, unit_queries
from featx.errors import FeatxError
from featx.retrieval.string_column import StringColumn

Columns = Mapping[str, Sequence[Any]]
NEAR_COPY = 0.98


@dataclass
class IndexRows:
    """The features of a catalogue, and the item, product and category of each row."""

    features: NDArray[Any]
    scale: NDArray[np.float32]
    ids: StringColumn
    paths: StringColumn
    digests: StringColumn
    codes: NDArray[np.int32]
    products: StringColumn
    label_codes: NDArray[np.int32]
    label_names: list[str]
    columns: Callable[[], Columns]
    path: Path | None = None
    # The person's own table, column by column.
    own_columns: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    # The parts of a joined backbone whose blocks these features are; none where all are used.
    blocks: tuple[str, ...] = ()
    # How much each of the blocks counts in a cosine; none where all count alike.
    weights: tuple[float, ...] = ()
    # What each number is multiplied by, so that the blocks count so much.
    stretch: NDArray[np.float32] | None = None

    @classmethod
    def of(
        cls,
        features: NDArray[Any],
        ids: Sequence[str],
        *,
        products: Sequence[str | None] | None = None,
        labels: Sequence[str | None] | None = None,
        digests: Sequence[str] | None = None,
        paths: Sequence[str] | None = None,
        columns: Columns | None = None,
    ) -> Self:
        """The index of plain arrays; an item without a product is a product of its own."""
        own = [ids[i] if product is None else product for i, product in enumerate(products or [None] * len(ids))]
        codes, product_names = coded(own)
        given = labels or [None] * len(ids)
        label_codes, label_names = coded([label for label in given if label is not None])
        all_labels = np.full(len(ids), -1, dtype=np.int32)
        all_labels[[i for i, label in enumerate(given) if label is not None]] = label_codes
        split: dict[str, Sequence[Any]] = {
            "id": list(ids),
            "path": list(paths or ids),
            "label": list(given),
            "product": list(products or own),
        }
        return cls(
            features,
            inverse_lengths(features),
            StringColumn.of(ids),
            StringColumn.of(paths or ids),
            StringColumn.of(digests or [""] * len(ids)),
            codes,
            StringColumn.of(product_names),
            all_labels,
            label_names,
            lambda: {**split, **(columns or {})},
        )

    @classmethod
    def of_store(cls, store: Any, weights: tuple[float, ...] = ()) -> Self:
        """The index of an opened store, its features mapped into memory, not read; `weights` are for its blocks."""
        more = {**store.columns, "split": store.splits, "digest": store.digests}
        index = cls.of(
            store.features_map(),
            store.ids,
            products=store.products,
            labels=store.labels,
            digests=store.digests,
            paths=store.paths,
            columns=more,
        )
        if not np.isfinite(index.features[np.flatnonzero(index.scale == 0)]).all():
            raise FeatxError(
                "store-broken",
                f"`{store.path}` has features that are not numbers",
                "`featx info --check` says which; extract again with `--replace --yes`",
            )
        index.path = store.path
        index.own_columns = store.own_columns
        index.blocks = tuple(block.name for block in store.blocks) if store.is_part else ()
        if weights:
            index.weights = weights
            widths = [block.fingerprint.width for block in store.blocks]
            index.stretch = np.repeat(np.sqrt(weights), widths).astype(np.float32)
            index.scale = inverse_lengths(index.features, index.stretch)
        return index

    def __len__(self) -> int:
        return len(self.scale)

    def expect_many(self) -> None:
        """Prepare the columns in which names are looked up for more than a few of them."""
        for names in (self.ids, self.products, self.digests):
            names.expect_many()

    def own_row(self, i: int) -> dict[str, Value]:
        """What the person's own table says of a row."""
        return {heading: column[i] for heading, column in self.own_columns.items()}

    def label_of(self, i: int) -> str | None:
        """The category of a row."""
        code = int(self.label_codes[i])
        return None if code < 0 else self.label_names[code]

    @property
    def described(self) -> list[str]:
        """The blocks and their weights, which tell this index from others of the store."""
        return [*self.blocks, *(f"×{weight:g}" for weight in self.weights)]

    def unit_queries(self, query: NDArray[Any]) -> NDArray[np.float32]:
        """The photos of a query at length 1, as their rows here would be."""
        return unit_queries(query if self.stretch is None else np.asarray(query, dtype=np.float64) * self.stretch)

    @cached_property
    def no_direction(self) -> NDArray[np.intp]:
        """The rows without a direction, similar to nothing."""
        return np.flatnonzero(self.scale == 0)

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The rows, product after product."""
        return np.argsort(self.codes, kind="stable")

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where each product begins in `order`, and the end of the last."""
        counts = np.bincount(self.codes, minlength=len(self.products))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)

    def unit_rows(self, rows: slice | NDArray[np.intp]) -> NDArray[np.float32]:
        """Some rows at length 1; a row without a direction (zero, NaN or infinite) is all zeros."""
        with np.errstate(invalid="ignore"):
            unit = np.asarray(self.features[rows], dtype=np.float32) * self.scale[rows][:, None]
            if self.stretch is not None:
                unit *= self.stretch
        unit[self.scale[rows] == 0] = 0
        return np.ascontiguousarray(unit, dtype=np.float32)

    def cosines(self, unit: NDArray[np.float32], rows: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """The cosines of unit queries with all rows or some, whose directions are made block by block."""
        n = len(self) if rows is None else len(rows)
        result = np.empty((len(unit), n), dtype=np.float32)
        for start in range(0, n, BLOCK):
            part = slice(start, start + BLOCK)
            result[:, part] = unit @ self.unit_rows(part if rows is None else rows[part]).T
        return result


def coded(texts: Sequence[str]) -> tuple[NDArray[np.int32], list[str]]:
    """A number for each text, in the order of their first appearance, and the texts that they stand for."""
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(text, len(numbers)) for text in texts), np.int32, len(texts))
    return codes, list(numbers)
