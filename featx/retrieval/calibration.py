"""What a similarity means in one catalogue, measured on its own products and categories.

No cosine means the same for every backbone and every shop. So some items of the catalogue are looked up in it, and
their nearest neighbours say how often an answer of a given similarity was the same product, or of the same category.
The limits are chosen on one half of these items, and their precision is measured on the other half.
"""

from __future__ import annotations

from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import top_k
from featx.retrieval.rows import IndexRows
from featx.retrieval.similarity_words import Band, SimilarityScale

# A near-copy is at least so alike. Where the backbone finds many different products as alike as that, it takes more:
# then only one item in twenty has another product that near, up to a limit that recompressed copies still reach.
NEAR, NEAREST, FEW = 0.98, 0.995, 0.05
# How many items are looked up: fewer in a large catalogue, where each costs more and the shares are as sure.
QUERIES, FEWEST_QUERIES, COMPARED = 1000, 200, 40_000_000
ANSWERS = 10
WANTED = 0.9
FEWEST = 30
ELEMENTS = 40_000_000


def calibrate(index: IndexRows) -> SimilarityScale:
    """Measure the meaning of similarities here; without products and categories only near-copies get a word."""
    similar, product, category = _answers(index)
    halves = np.arange(len(similar)) % 2 == 0
    known = product[:, 0] >= 0 if len(similar) else halves
    products: list[Band] = []
    near = _near(similar, product, category)
    if known.any() and (product[known] == 1).any():
        word = _from_above("same product", similar, product, halves)
        if word is not None:
            products.append(word)
    categories = [near]
    if (category >= 0).any():
        other = np.where(product == 1, -1, category)
        same = _from_above("same category", similar, other, halves)
        below = _from_below(similar, other, halves, same.least if same else 1.01)
        if same is not None:
            categories.append(same)
        if below is not None:
            top = same.least if same else 1.01
            categories += [_between(similar, other, ~halves, below.least, top), below]
        else:
            categories.append(_between(similar, other, ~halves, -1.01, same.least if same else 1.01))
    if products:
        # "Near-copy" comes before "same product" only where its limit is higher.
        products = [near, *products] if near.least >= products[0].least else products
    return SimilarityScale(tuple(products), tuple(categories))


def _answers(index: IndexRows) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Similarities of the nearest answers to some items, whether of the same product and category (-1: not known)."""
    n = len(index)
    names = list(map(add, index.digests, index.ids))
    by_name = sorted(range(n), key=names.__getitem__)
    sample = min(QUERIES, max(FEWEST_QUERIES, COMPARED // max(n, 1)))
    rows = np.array(by_name[:: max(1, -(-n // sample))], dtype=np.intp)
    del names, by_name
    k = min(ANSWERS, n - 1)
    if k < 1:
        nothing = np.empty((0, 1))
        return nothing, nothing.astype(np.int8), nothing.astype(np.int8)
    has_digests = bool(index.digests[0])
    alone = np.bincount(index.codes, minlength=len(index.products)) == 1
    similar, nearest = [], []
    step = max(1, ELEMENTS // n)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        unit = index.unit_rows(part)
        cosines = index.cosines(unit)
        for i, row in enumerate(part.tolist()):
            # The same bytes under another name are no evidence about similar photos.
            cosines[i, index.digests.rows_of(index.digests[row]) if has_digests else row] = -2
        answers = top_k(cosines, k)
        similar.append(np.take_along_axis(cosines, answers, axis=1))
        nearest.append(answers)
    values, answers = np.concatenate(similar), np.concatenate(nearest)
    product = (index.codes[answers] == index.codes[rows][:, None]).astype(np.int8)
    product[alone[index.codes[rows]]] = -1
    labels = index.label_codes
    category = (labels[answers] == labels[rows][:, None]).astype(np.int8)
    category[(labels[answers] < 0) | (labels[rows] < 0)[:, None]] = -1
    product[values <= -2], category[values <= -2] = -1, -1
    return values, product, category


def _pairs(similar: NDArray[Any], truth: NDArray[Any], half: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    values, right = similar[half].ravel(), truth[half].ravel()
    known = right >= 0
    order = np.argsort(-values[known], kind="stable")
    return values[known][order], right[known][order] == 1


def _share(
    similar: NDArray[Any], truth: NDArray[Any], half: NDArray[Any], low: float, high: float
) -> tuple[float, int]:
    values, right = _pairs(similar, truth, half)
    inside = (values >= low) & (values < high)
    n = int(inside.sum())
    return (float(right[inside].mean()) if n else 0.0), n


def _near(similar: NDArray[Any], product: NDArray[Any], category: NDArray[Any]) -> Band:
    if not len(similar):
        return Band("near-duplicate", NEAR, None, 0)
    nearest = np.where(product == 1, -1, similar).max(axis=1)
    least = float(min(NEAREST, max(NEAR, np.ceil(float(np.quantile(nearest, 1 - FEW)) * 1000) / 1000)))
    truth, meaning = (product, "the same product") if (product == 1).any() else (category, "the same category")
    precision, n = _share(similar, truth, np.ones(len(similar), dtype=bool), least, 2)
    enough = n >= FEWEST
    return Band("near-duplicate", least, precision if enough else None, n, meaning if enough else "")


def _from_above(word: str, similar: NDArray[Any], truth: NDArray[Any], half: NDArray[Any]) -> Band | None:
    """The lowest limit above which the answers of one half are right often enough; measured on the other half."""
    values, right = _pairs(similar, truth, half)
    if len(values) < FEWEST:
        return None
    share = np.cumsum(right) / np.arange(1, len(right) + 1)
    good = np.flatnonzero((share >= WANTED) & (np.arange(1, len(right) + 1) >= FEWEST))
    if not len(good):
        return None
    least = float(np.floor(float(values[good[-1]]) * 1000) / 1000)
    precision, n = _share(similar, truth, ~half, least, 2)
    return Band(word, least, precision, n, f"the {word}") if n >= FEWEST else None


def _from_below(similar: NDArray[Any], truth: NDArray[Any], half: NDArray[Any], most: float) -> Band | None:
    """The highest limit below which the answers of one half are of other categories often enough."""
    values, right = _pairs(similar, truth, half)
    values, wrong = values[::-1], ~right[::-1]
    counts = np.arange(1, len(wrong) + 1)
    good = np.flatnonzero((np.cumsum(wrong) / np.maximum(counts, 1) >= WANTED) & (counts >= FEWEST) & (values < most))
    if not len(good):
        return None
    limit = float(np.ceil(float(values[good[-1]]) * 1000) / 1000)
    same, n = _share(similar, truth, ~half, -2, limit)
    return Band("unrelated", -1.01, 1 - same, n, "another category") if n >= FEWEST else None


def _between(similar: NDArray[Any], truth: NDArray[Any], half: NDArray[Any], low: float, high: float) -> Band:
    precision, n = _share(similar, truth, half, low, high)
    return Band("alike", low, precision if n >= FEWEST else None, n, "the same category")
