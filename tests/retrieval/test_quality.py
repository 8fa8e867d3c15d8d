"""Retrieval figures: the same as a plain computation over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from featx.retrieval.quality import measure


def plain(features, labels, products, ids):
    """Every metric by loops."""
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    similar = unit @ unit.T
    rows = {"label": [], "product": []}
    for i in range(len(ids)):
        ranked = sorted((j for j in range(len(ids)) if j != i), key=lambda j: (-similar[i, j], ids[j]))
        other = [j for j in ranked if products[j] is None or products[j] != products[i]]
        for kind, answers, right in (
            ("label", other, [labels[j] is not None and labels[j] == labels[i] for j in other]),
            ("product", ranked, [products[j] is not None and products[j] == products[i] for j in ranked]),
        ):
            if any(right):
                hits = [rank for rank, hit in enumerate(right) if hit]
                rows[kind].append(
                    [
                        *(any(right[:k]) for k in (1, 5, 10)),
                        sum(right[:10]) / min(10, len(answers)),
                        np.mean([(n + 1) / (rank + 1) for n, rank in enumerate(hits)]),
                    ]
                )
    return {kind: np.array(values, dtype=float) for kind, values in rows.items()}


def catalogue(n=120, seed=0):
    random = np.random.default_rng(seed)
    groups = random.integers(0, 6, n)
    features = random.normal(size=(6, 12))[groups] + random.normal(size=(n, 12))
    labels = [None if i % 17 == 0 else f"c{groups[i]}" for i in range(n)]
    products = [None if i % 5 == 0 else f"p{i // 3}" for i in range(n)]
    return features.astype(np.float32), labels, products, [f"i{(i * 37) % n:03d}" for i in range(n)]


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_are_those_of_a_plain_computation(seed, monkeypatch):
    monkeypatch.setattr("featx.compute.vectors.COSINES", 1000)
    given = catalogue(seed=seed)
    measured, wanted = measure(*given), plain(*given)
    for figures, rows in ((measured, wanted["label"]), (measured["products"], wanted["product"])):
        assert figures["n"] == len(rows)
        for name, mean in zip(
            ("recall_at_1", "recall_at_5", "recall_at_10", "precision_at_10", "map"), rows.mean(axis=0), strict=True
        ):
            assert figures[name]["value"] == pytest.approx(mean, abs=1e-9)
            assert figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"]
    assert sum(row["n"] for row in measured["categories"]) == measured["n"]
    assert [row["label"] for row in measured["categories"]] == [f"c{i}" for i in range(6)]
    weighted = sum(row["n"] * row["map"] for row in measured["categories"]) / measured["n"]
    assert weighted == pytest.approx(measured["map"]["value"])


def test_the_figures_do_not_depend_on_the_order_of_the_items():
    features, labels, products, ids = catalogue()
    order = np.random.default_rng(5).permutation(len(ids))
    shuffled = measure(features[order], *([column[i] for i in order] for column in (labels, products, ids)))
    before = measure(features, labels, products, ids)
    assert shuffled["hubness"] == before["hubness"]
    for name in ("recall_at_1", "precision_at_10", "map"):
        assert shuffled[name]["value"] == pytest.approx(before[name]["value"])


def test_an_interval_of_many_photos_of_few_products_is_wide():
    random = np.random.default_rng(0)
    centres = random.normal(size=(20, 8))
    features = np.repeat(centres, 20, axis=0) + 0.05 * random.normal(size=(400, 8))
    labels = [f"c{i // 20 % 2}" for i in range(400)]
    ids = [f"i{i:03d}" for i in range(400)]
    alone = measure(features, labels, [None] * 400, ids)["map"]
    grouped = measure(features, labels, [f"p{i // 20}" for i in range(400)], ids)["map"]
    assert grouped["high"] - grouped["low"] > 2 * (alone["high"] - alone["low"])


def test_a_hub_is_seen():
    features = np.eye(40, dtype=np.float32)
    features[0] = 1
    hubness = measure(features, ["a"] * 40, [None] * 40, [f"i{i:02d}" for i in range(40)])["hubness"]
    assert hubness["most"] == 39
    assert hubness["skewness"] > 0


@pytest.mark.parametrize("n", [0, 1, 2])
def test_almost_nothing_is_measured_too(n):
    measured = measure(np.ones((n, 3)), ["a"] * n, [None] * n, [str(i) for i in range(n)])
    assert measured["products"] is None
    assert measured["n"] == (2 if n == 2 else 0)


def test_of_very_many_items_some_are_asked():
    features, labels, products, ids = catalogue(300)
    measured = measure(features, labels, products, ids, max_queries=50)
    assert 40 < measured["n"] <= 50
