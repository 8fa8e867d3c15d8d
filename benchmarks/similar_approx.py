"""Approximate search beside faiss, hnswlib and usearch with their own defaults, at equal recall, in one run.

    python benchmarks/similar_approx.py [--rows 100000] [--width 512] [--threads 2] [--recall 0.99]

The features are made up the way a network's are: few things vary, many numbers show them, none is negative. Each
engine gets the effort at query time that reaches the recall; featx's candidates are compared exactly, as in
`featx similar --approx`. Peers are measured where they are installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from featx.backbones import Fingerprint
from featx.retrieval import index_of
from featx.retrieval.approximate import approximate_of, open_nearby
from featx.store import Row, StoreWriter

K = 10
EFFORTS = (16, 32, 64, 128, 256, 512, 1024)
Search = Callable[[np.ndarray, int], Any]


def made_up(rows: int, width: int, seed: int) -> np.ndarray:
    """Rows around 300 centres on a curved surface of 40 dimensions."""
    fixed, random = np.random.default_rng(0), np.random.default_rng(seed)
    centres, turned = fixed.normal(size=(300, 40)), fixed.normal(size=(40, width)) / 6
    vectors = np.empty((rows, width), dtype=np.float32)
    for start in range(0, rows, 10_000):
        n = min(10_000, rows - start)
        inner = centres[random.integers(0, 300, n)] + 0.6 * random.normal(size=(n, 40))
        vectors[start : start + n] = np.maximum(inner @ turned + 0.2 * random.normal(size=(n, width)), 0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_store(path: Path, features: np.ndarray) -> None:
    with StoreWriter.open(path, Fingerprint.from_dict({"backbone": "made up", "width": features.shape[1]})) as writer:
        for start in range(0, len(features), 1000):
            part = features[start : start + 1000]
            writer.append(
                [
                    Row(f"i{start + i}", f"{start + i}.jpg", f"{start + i:064x}", None, None, None, {}, vector)
                    for i, vector in enumerate(part)
                ]
            )
        writer.seal()


def recall_and_time(search: Search, queries: np.ndarray, true: np.ndarray, effort: int) -> tuple[float, float]:
    """The share of the true nearest found, and the median milliseconds of a query."""
    shares, times = [], []
    for query, wanted in zip(queries, true, strict=True):
        begun = time.perf_counter()
        neighbours = search(query, effort)
        times.append(time.perf_counter() - begun)
        shares.append(len({int(i) for i in np.ravel(neighbours)} & set(wanted.tolist())) / K)
    return float(np.mean(shares)), 1000 * statistics.median(times)


def featx_engine(features: np.ndarray, place: Path) -> tuple[Search, float, Path, Callable[[], Any]]:
    store = place / "made-up.h5"
    write_store(store, features)
    index = index_of(store)
    begun = time.perf_counter()
    nearby = open_nearby(index.rows, make=True)
    seconds = time.perf_counter() - begun
    assert nearby is not None

    def search(query: np.ndarray, effort: int) -> Any:
        index.nearby = type(nearby)(nearby.engine, nearby.keys, nearby.rows, nearby.recall, effort)
        return [int(match.item_id[1:]) for match in index.query(query, K, copies=True)]

    return search, seconds, approximate_of(store), lambda: open_nearby(index)


def usearch_engine(features: np.ndarray, place: Path, threads: int) -> tuple[Search, float, Path, Callable[[], Any]]:
    from usearch.index import Index

    begun = time.perf_counter()
    graph = Index(ndim=features.shape[1], metric="cos")
    graph.add(np.arange(len(features)), features, threads=threads)
    seconds = time.perf_counter() - begun
    path = place / "usearch"
    graph.save(str(path))

    def search(query: np.ndarray, effort: int) -> Any:
        graph.expansion_search = effort
        return graph.search(query, K).keys

    return search, seconds, path, lambda: Index.restore(str(path), view=True)


def hnswlib_engine(features: np.ndarray, place: Path, threads: int) -> tuple[Search, float, Path, Callable[[], Any]]:
    import hnswlib

    begun = time.perf_counter()
    graph = hnswlib.Index(space="cosine", dim=features.shape[1])
    graph.init_index(max_elements=len(features))
    graph.add_items(features, num_threads=threads)
    seconds = time.perf_counter() - begun
    path = place / "hnswlib"
    graph.save_index(str(path))

    def search(query: np.ndarray, effort: int) -> Any:
        graph.set_ef(max(effort, K))
        return graph.knn_query(query, K, num_threads=1)[0]

    def opened() -> Any:
        again = hnswlib.Index(space="cosine", dim=features.shape[1])
        again.load_index(str(path))

    return search, seconds, path, opened


def faiss_engine(features: np.ndarray, place: Path, threads: int) -> tuple[Search, float, Path, Callable[[], Any]]:
    import faiss

    faiss.omp_set_num_threads(threads)
    begun = time.perf_counter()
    graph = faiss.IndexHNSWFlat(features.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    graph.add(features)
    seconds = time.perf_counter() - begun
    path = place / "faiss"
    faiss.write_index(graph, str(path))

    def search(query: np.ndarray, effort: int) -> Any:
        graph.hnsw.efSearch = effort
        return graph.search(query[None], K)[1]

    return search, seconds, path, lambda: faiss.read_index(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--queries", type=int, default=200)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    features, queries = made_up(arguments.rows, arguments.width, 1), made_up(arguments.queries, arguments.width, 2)
    true = np.argsort(-(queries @ features.T), axis=1)[:, :K]
    print(
        f"{arguments.rows:,} x {arguments.width}, k = {K}, {arguments.threads} threads to build, "
        f"{arguments.queries} queries",
        flush=True,
    )
    print(f"{'':10s} {'build':>8s} {'file':>8s} {'open':>9s} {'effort':>7s} {'recall':>7s} {'query':>9s}")
    engines: dict[str, Callable[[Path], Any]] = {"featx": lambda place: featx_engine(features, place)}
    for name, engine in (("usearch", usearch_engine), ("hnswlib", hnswlib_engine), ("faiss", faiss_engine)):
        if find_spec(name):
            engines[name] = lambda place, engine=engine: engine(features, place, arguments.threads)
    for name, engine in engines.items():
        with tempfile.TemporaryDirectory() as place:
            search, seconds, path, opened = engine(Path(place))
            for effort in EFFORTS:
                share, milliseconds = recall_and_time(search, queries, true, effort)
                if share >= arguments.recall:
                    break
            begun = time.perf_counter()
            opened()
            open_ms = 1000 * (time.perf_counter() - begun)
            size = path.stat().st_size / 1e6
            print(
                f"{name:10s} {seconds:6.1f} s {size:5.0f} MB {open_ms:6.1f} ms {effort:7d} {share:7.3f} "
                f"{milliseconds:6.2f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
