"""How good a store's look-alikes are, measured with the labels and products it has: no training, only neighbours.

Every item is looked up among all others; what it should find is its own category (in other products, so that several
photos of one thing do not flatter), and, where products have several photos, its own product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import cosine_blocks
from featx.retrieval.search import SimilarityIndex

AT = (1, 5, 10)
MOST_ASKED = 5000
RESAMPLES = 1000
METRICS = (*(f"recall_at_{k}" for k in AT), "precision_at_10", "map")


def measure(
    features: NDArray[Any],
    labels: Sequence[str | None],
    products: Sequence[str | None],
    ids: Sequence[str],
    *,
    most_asked: int = MOST_ASKED,
    seed: int = 0,
) -> dict[str, Any]:
    """Recall@1/5/10 (something right among the first k), precision@10 and mean average precision, with 95 % intervals.

    At the top level what is right is the same category in another product; under `products`, the same product. Ties
    go by id. Of more than `most_asked` items, that many are asked, evenly taken in the order of their ids.
    """
    index = SimilarityIndex.of(features, ids, products=products, labels=labels)
    by_id = np.array(sorted(range(len(ids)), key=lambda i: ids[i]), dtype=np.intp)
    unit = index.unit_rows(by_id) if len(ids) else np.empty((0, 1), dtype=np.float32)
    label, product = index.label_codes[by_id], index.codes[by_id]
    asked = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), most_asked)).round().astype(np.intp))
    per_label, per_product = (np.empty((len(asked), len(METRICS))) for _ in range(2))
    seen = np.zeros(len(ids), dtype=np.int64)
    for part, cosines in cosine_blocks(unit[asked], unit):
        similar = np.round(cosines, 6)
        for at, row in enumerate(asked[part], start=part.start):
            ranked = np.argsort(-similar[at - part.start], kind="stable")
            ranked = ranked[ranked != row]
            seen[ranked[: AT[-1]]] += 1
            other = ranked[product[ranked] != product[row]]
            right = (label[other] == label[row]) if label[row] >= 0 else np.zeros(0, dtype=bool)
            per_label[at] = _scores(right)
            per_product[at] = _scores(product[ranked] == product[row])
    found = _summary(per_label, product[asked], seed)
    names = index.label_names
    found["categories"] = [
        {"label": names[code], **_means(per_label[label[asked] == code])}
        for code in sorted(set(label[asked].tolist()) - {-1}, key=lambda code: names[code])
    ]
    told = _summary(per_product, product[asked], seed)
    return {**found, "products": told if told["n"] else None, "hubness": _hubness(seen)}


def _scores(right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The metrics of one query from whether each answer is right, best first; not a number where nothing could be."""
    places = np.flatnonzero(right)
    if not len(places):
        return np.full(len(METRICS), np.nan)
    recalls = [float(places[0] < k) for k in AT]
    precision = right[: AT[-1]].sum() / min(AT[-1], len(right))
    average = np.mean(np.arange(1, len(places) + 1) / (places + 1))
    return np.array([*recalls, precision, average])


def _means(scores: NDArray[np.float64]) -> dict[str, Any]:
    told = scores[~np.isnan(scores[:, 0])]
    values = told.mean(axis=0) if len(told) else [None] * len(METRICS)
    return {"n": len(told), **{name: _number(value) for name, value in zip(METRICS, values, strict=True)}}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _summary(scores: NDArray[np.float64], groups: NDArray[np.int32], seed: int) -> dict[str, Any]:
    """Means over the queries; intervals from resampling whole products, whose photos are not independent."""
    told = ~np.isnan(scores[:, 0])
    scores, groups = scores[told], groups[told]
    if not len(scores):
        return {"n": 0, **dict.fromkeys(METRICS)}
    codes = np.unique(groups, return_inverse=True)[1]
    count = np.bincount(codes)
    sums = np.stack([np.bincount(codes, weights=column) for column in scores.T], axis=1)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(count), np.full(len(count), 1 / len(count)), size=RESAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ count)[:, None], [0.025, 0.975], axis=0)
    means = scores.mean(axis=0)
    return {
        "n": len(scores),
        **{
            name: {"value": float(means[i]), "low": float(low[i]), "high": float(high[i])}
            for i, name in enumerate(METRICS)
        },
    }


def _hubness(seen: NDArray[np.int64]) -> dict[str, float]:
    """How unevenly items turn up among the first ten: skewness, the share that never does, and the most frequent."""
    if not len(seen) or seen.std() == 0:
        return {
            "skewness": 0.0,
            "never": float((seen == 0).mean()) if len(seen) else 0.0,
            "most": int(seen.max(initial=0)),
        }
    z = (seen - seen.mean()) / seen.std()
    return {"skewness": float((z**3).mean()), "never": float((seen == 0).mean()), "most": int(seen.max())}
