"""Warm exact search beside scikit-learn, faiss, usearch and what the memory permits, in one run.

    python benchmarks/similar_search.py [--rows 100000] [--width 512] [--rounds 9]

One query a time, k = 10. faiss and usearch are measured where they are installed. The last line reads the
features once on one core (a sum): a yardstick for the memory, not its limit, since the searches use several cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from featx.retrieval import Query, SimilarityIndex
from featx.retrieval.rows import IndexRows

K = 10


def contestants(features: np.ndarray) -> dict[str, Callable[[np.ndarray], Any]]:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    index = SimilarityIndex(IndexRows.of(features, [f"i{i}" for i in range(len(features))]))
    half = SimilarityIndex(IndexRows.of(features.astype(np.float16), [f"i{i}" for i in range(len(features))]))
    brute = NearestNeighbors(n_neighbors=K, metric="cosine", algorithm="brute").fit(features)
    ways: dict[str, Callable[[np.ndarray], Any]] = {
        "featx, float32": lambda query: index.query(Query("q", query[None]), K, copies=True),
        "featx, float16": lambda query: half.query(Query("q", query[None]), K, copies=True),
        "scikit-learn brute force": lambda query: brute.kneighbors(query[None]),
    }
    if find_spec("faiss"):
        import faiss

        flat = faiss.IndexFlatIP(features.shape[1])
        flat.add(unit)
        ways["faiss flat"] = lambda query: flat.search((query / np.linalg.norm(query))[None], K)
    if find_spec("usearch"):
        from usearch.index import MetricKind, search

        ways["usearch exact"] = lambda query: search(unit, query, K, MetricKind.Cos, exact=True)
    ways["one core reads the rows"] = lambda query: unit.sum()
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    features = random.normal(size=(arguments.rows, arguments.width)).astype(np.float32)
    all_times: dict[str, list[float]] = {}
    every = contestants(features)
    for turn in range(arguments.rounds + 1):
        query = random.normal(size=arguments.width).astype(np.float32)
        for name, search in every.items():
            begun = time.perf_counter()
            search(query)
            if turn:
                all_times.setdefault(name, []).append(time.perf_counter() - begun)
    base = statistics.median(all_times["featx, float32"])
    print(f"{arguments.rows:,} x {arguments.width}, k = {K}, {arguments.rounds} rounds")
    for name, times in all_times.items():
        middle = statistics.median(times)
        print(f"{name:26s} {1000 * middle:9.1f} ms  {middle / base:6.2f} x featx  (best {1000 * min(times):.1f})")


if __name__ == "__main__":
    main()
