"""The most similar products of every product, block by block: the table for a shop's product pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.retrieval.engines.exact import Pool
from featx.retrieval.rows import IndexRows, coded
from featx.retrieval.search import SimilarityIndex

# How many similarities are held at a time: 128 MB of them.
ELEMENTS = 32_000_000


@dataclass(frozen=True)
class RelatedProduct:
    """One row of the table: a product, and one that is like it, whose first photo is at `row` of the store."""

    product: str
    rank: int
    related: str
    similarity: float
    row: int


def related(
    index: SimilarityIndex,
    k: int = 10,
    *,
    allowed: NDArray[np.bool_] | None = None,
    pool: Pool = "best",
    min_similarity: float = -1.0,
    copies: bool = False,
) -> Iterator[list[RelatedProduct]]:
    """For every product the k most alike others, a list of a product's rows at a time; ties go by name.

    Photos with the same bytes never make two products alike; near-copies count only where `copies` says so.
    """
    rows = index.rows
    names = list(rows.products)
    by_name = np.empty(len(names), dtype=np.int64)
    by_name[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    digests = coded(rows.digests)[0] if len(index) and rows.digests[0] else None
    order = np.asarray(rows.order)
    kept = order if allowed is None else order[allowed[order]]
    codes, starts = np.unique(rows.codes[kept], return_index=True) if len(kept) else (kept, kept)
    per_product = np.diff(rows.starts)
    start = 0
    while start < len(names):
        end = start + 1
        n_rows = int(per_product[start])
        while end < len(names) and (n_rows + per_product[end]) * max(len(kept), 1) <= ELEMENTS:
            n_rows += int(per_product[end])
            end += 1
        queries = order[rows.starts[start] : rows.starts[end]]
        begins = rows.starts[start:end] - rows.starts[start]
        scores = _scores(rows, queries, begins, kept, codes, starts, digests, pool)
        for i, product in enumerate(range(start, end)):
            best = _best(product, codes, scores[i], by_name, k, min_similarity, 2 if copies else index.near)
            yield [
                RelatedProduct(names[product], rank, names[code], similarity, int(order[rows.starts[code]]))
                for rank, (code, similarity) in enumerate(best, start=1)
            ]
        start = end


def _scores(
    rows: IndexRows,
    queries: NDArray[np.intp],
    begins: NDArray[np.intp],
    kept: NDArray[np.intp],
    codes: NDArray[Any],
    starts: NDArray[np.intp],
    digests: NDArray[np.int32] | None,
    pool: Pool,
) -> NDArray[Any]:
    """The similarity of some products with every product that may answer, pooled over the photos of both."""
    if not len(codes):
        return np.empty((len(begins), 0))
    unit = rows.unit_rows(queries)
    cosines = rows.cosines(unit, kept)
    np.clip(cosines, -1, 1, out=cosines)
    same = digests[queries][:, None] == digests[kept][None, :] if digests is not None else None
    if pool == "best":
        if same is not None:
            cosines[same] = -np.inf
        best = np.maximum.reduceat(np.maximum.reduceat(cosines, begins, axis=0), starts, axis=1)
        return np.round(best.astype(np.float64), 6)
    counted = np.ones_like(cosines) if same is None else (~same).astype(np.float32)
    cosines *= counted
    sums, counts = (
        np.add.reduceat(np.add.reduceat(values, begins, axis=0, dtype=np.float64), starts, axis=1)
        for values in (cosines, counted)
    )
    return np.round(np.where(counts, sums / np.maximum(counts, 1), -np.inf), 6)


def _best(
    product: int,
    codes: NDArray[Any],
    scores: NDArray[Any],
    by_name: NDArray[np.int64],
    k: int,
    least: float,
    below: float,
) -> list[tuple[int, float]]:
    """The numbers of the most similar products that may answer, each with its similarity."""
    may = (scores >= least) & (scores > -np.inf) & (codes != product) & (scores < below)
    candidates = np.flatnonzero(may)
    if len(candidates) > k:
        limit = np.partition(scores[candidates], len(candidates) - k)[len(candidates) - k]
        candidates = candidates[scores[candidates] >= limit]
    ranked = candidates[np.lexsort((by_name[codes[candidates]], -scores[candidates]))][:k]
    return [(int(codes[i]), float(scores[i])) for i in ranked]
