"""Rows of look-alikes for the report: a query, its neighbours, and which of them are right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.comparison.document import SearchQuality
from featx.compute.vectors import nearest, unit_rows
from featx.reporting.records import Neighbour, Photo, SearchExample, Similar

if TYPE_CHECKING:
    from featx.reporting.thumbnails import ThumbnailCache
    from featx.store import Store

NEIGHBOURS = 6
ROWS = 5
QUERIES = 1_500


def lookalikes_of(
    measured: SearchQuality | None,
    store: Store | None,
    labels: Sequence[str | None],
    thumbnails: ThumbnailCache,
) -> Similar | None:
    """The retrieval figures with the best and the worst queries; None where neither is known."""
    best, worst = ([], []) if store is None else example_rows(store, labels, thumbnails)
    if measured is None and not best:
        return None
    return Similar(measured, best, worst)


def example_rows(
    store: Store, all_labels: Sequence[str | None], thumbnails: ThumbnailCache
) -> tuple[list[SearchExample], list[SearchExample]]:
    """Queries whose neighbours are most and least often of their category, one query a category at most."""
    labelled = np.array([i for i, label in enumerate(all_labels) if label], dtype=int)
    if len(labelled) < 3:
        return [], []
    unit = unit_rows(np.asarray(store.features)[labelled])
    labels = np.array([all_labels[i] for i in labelled], dtype=object)
    products = np.array([store.products[i] or store.ids[i] for i in labelled], dtype=object)
    _, product = np.unique(products.astype(str), return_inverse=True)
    queries = np.arange(len(labelled))
    if len(queries) > QUERIES:
        queries = np.sort(np.random.default_rng(0).choice(queries, QUERIES, replace=False))
    ranked_queries = []
    # A query never finds itself or another photo of its own product.
    rows, similar = nearest(unit[queries], unit, 12 * NEIGHBOURS, (product[queries], product))
    for query, candidates, values in zip(queries, rows, similar, strict=True):
        first = _one_a_product(candidates, product)
        if len(first):
            near, cosines = candidates[first], values[first]
            share = float(np.mean(labels[near] == labels[query]))
            ranked_queries.append((share, float(np.mean(cosines)), int(query), near.tolist(), cosines.tolist()))

    def example(query: int, near: list[int], cosines: list[float]) -> SearchExample:
        correct = [bool(labels[i] == labels[query]) for i in near]
        photos = [_photo(store, all_labels, labelled[i], thumbnails) for i in (query, *near)]
        return SearchExample(
            query=photos[0],
            right=sum(correct),
            neighbours=[
                Neighbour(
                    id=photo.id,
                    label=photo.label,
                    thumbnail=photo.thumbnail,
                    similarity=round(float(cosine), 4),
                    right=right,
                )
                for photo, cosine, right in zip(photos[1:], cosines, correct, strict=True)
            ],
        )

    best = _one_a_category(sorted(ranked_queries, key=lambda query: (-query[0], -query[1], query[2])), labels)
    worst = _one_a_category(sorted(ranked_queries, key=lambda query: (query[0], -query[1], query[2])), labels)
    return [example(*query[2:]) for query in best], [example(*query[2:]) for query in worst if query[0] < 1]


def _one_a_product(near: np.ndarray, product: np.ndarray) -> np.ndarray:
    """The indices of the nearest rows, the most similar one of each product."""
    near = near[near >= 0]
    return np.sort(np.unique(product[near], return_index=True)[1])[:NEIGHBOURS]


def _one_a_category(ranked: list[Any], labels: np.ndarray) -> list[Any]:
    picked: dict[Any, Any] = {}
    for query in ranked:
        picked.setdefault(labels[query[2]], query)
        if len(picked) == ROWS:
            break
    return list(picked.values())


def _photo(store: Store, labels: Sequence[str | None], row: int, thumbnails: ThumbnailCache) -> Photo:
    item_id = store.ids[row]
    return Photo(item_id, labels[row], thumbnails.name(item_id))
