"""Retrieval quality of a store, measured with its own labels and products: no training, only neighbours.

Every item is looked up among all others. It should find its own category (in other products, so that several photos of
one product do not flatter) and, where products have several photos, its own product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import cosine_blocks
from featx.retrieval.rows import IndexRows

AT = (1, 5, 10)
MAX_QUERIES = 5000
RESAMPLES = 1000
METRICS = (*(f"recall_at_{k}" for k in AT), "precision_at_10", "map")


def measure(
    features: NDArray[Any],
    labels: Sequence[str | None],
    products: Sequence[str | None],
    ids: Sequence[str],
    *,
    max_queries: int = MAX_QUERIES,
    seed: int = 0,
) -> dict[str, Any]:
    """Recall@1/5/10 (a correct answer among the first k), precision@10 and mean average precision, with 95 % intervals.

    At the top level an answer is correct if it is of the same category but another product; under `products`, if it is
    of the same product. Ties go by id. Of more than `max_queries` items that many are sampled evenly in id order.
    """
    rows = IndexRows.of(features, ids, products=products, labels=labels)
    by_id = np.array(sorted(range(len(ids)), key=lambda i: ids[i]), dtype=np.intp)
    unit = rows.unit_rows(by_id) if len(ids) else np.empty((0, 1), dtype=np.float32)
    label, product = rows.label_codes[by_id], rows.codes[by_id]
    sampled = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), max_queries)).round().astype(np.intp))
    per_label, per_product = (np.empty((len(sampled), len(METRICS))) for _ in range(2))
    seen = np.zeros(len(ids), dtype=np.int64)
    for part, cosines in cosine_blocks(unit[sampled], unit):
        similar = np.round(cosines, 6)
        for number, row in enumerate(sampled[part], start=part.start):
            ranked = np.argsort(-similar[number - part.start], kind="stable")
            ranked = ranked[ranked != row]
            seen[ranked[: AT[-1]]] += 1
            other = ranked[product[ranked] != product[row]]
            right = (label[other] == label[row]) if label[row] >= 0 else np.zeros(0, dtype=bool)
            per_label[number] = _scores(right)
            per_product[number] = _scores(product[ranked] == product[row])
    summary = _summary(per_label, product[sampled], seed)
    names = rows.label_names
    summary["categories"] = [
        {"label": names[code], **_means(per_label[label[sampled] == code])}
        for code in sorted(set(label[sampled].tolist()) - {-1}, key=lambda code: names[code])
    ]
    by_product = _summary(per_product, product[sampled], seed)
    return {**summary, "products": by_product if by_product["n"] else None, "hubness": _hubness(seen)}


def _scores(correct: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The metrics of one query whose answers are correct or not, best first; NaN where no answer could be correct."""
    ranks = np.flatnonzero(correct)
    if not len(ranks):
        return np.full(len(METRICS), np.nan)
    recalls = [float(ranks[0] < k) for k in AT]
    precision = correct[: AT[-1]].sum() / min(AT[-1], len(correct))
    average = np.mean(np.arange(1, len(ranks) + 1) / (ranks + 1))
    return np.array([*recalls, precision, average])


def _means(scores: NDArray[np.float64]) -> dict[str, Any]:
    scored = scores[~np.isnan(scores[:, 0])]
    values = scored.mean(axis=0) if len(scored) else [None] * len(METRICS)
    return {"n": len(scored), **{name: _number(value) for name, value in zip(METRICS, values, strict=True)}}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _summary(scores: NDArray[np.float64], groups: NDArray[np.int32], seed: int) -> dict[str, Any]:
    """Means over the queries; intervals from resampling whole products, whose photos are not independent."""
    scored = ~np.isnan(scores[:, 0])
    scores, groups = scores[scored], groups[scored]
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
