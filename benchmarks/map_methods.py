"""The report's map beside openTSNE and plain t-SNE: how true, how fast, and whether it is the same twice.

    pip install openTSNE
    python benchmarks/map_methods.py --store STORE [--store STORE] [--generated 50000]

Rows of the stores (of one backbone) are put together; `--generated` adds a made-up catalogue of 512 numbers, 100 photos
around the centre of each category. Every method gets the same 50 principal directions of rows of unit length. Printed
for each:

- kept: of a photo's 10 nearest in all its numbers, the share that is among its 10 nearest on the map;
- category: how often the nearest on the map is of the same category;
- seconds of CPU, of one thread; and whether a second run gives the same places to the last bit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

from featx.compute.vectors import unit_rows
from featx.reporting import map_layout
from featx.store import open_store

QUERIES = 2_000
NEAR = 10
Method = Callable[[np.ndarray], np.ndarray]


def generated(n: int, width: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """A catalogue that was never photographed, with categories that overlap."""
    random = np.random.default_rng(0)
    labels = np.arange(n) // 100
    centres = random.normal(size=(labels.max() + 1, width))
    return (centres[labels] + 1.5 * random.normal(size=(n, width))).astype(np.float32), labels.astype(str)


def by_featx(rows: np.ndarray) -> np.ndarray:
    """As `featx report` draws it."""
    return map_layout.lay_out(rows).places


def by_scikit_learn(rows: np.ndarray) -> np.ndarray:
    """t-SNE of every row."""
    return map_layout._tsne(map_layout._directions(unit_rows(rows), 0), 0)


def by_opentsne(rows: np.ndarray) -> np.ndarray:
    """openTSNE with its defaults, on one thread."""
    import openTSNE

    directions = map_layout._directions(unit_rows(rows), 0)
    return np.asarray(openTSNE.TSNE(n_jobs=1, random_state=0).fit(directions))


def nearest(rows: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """The k nearest rows of each that is asked, itself left out."""
    neighbours = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(rows).kneighbors(rows[queries])[1]
    return np.stack([row[row != own][:k] for row, own in zip(neighbours, queries, strict=True)])


def measure(name: str, rows: np.ndarray, labels: np.ndarray, methods: Iterable[tuple[str, Method]]) -> None:
    """Print a row for each method."""
    queries = np.random.default_rng(0).choice(len(rows), min(QUERIES, len(rows)), replace=False)
    true = nearest(unit_rows(rows), queries, NEAR)
    for method, place in methods:
        begun = time.process_time()
        places = place(rows)
        spent = time.process_time() - begun
        near = nearest(places, queries, NEAR)
        kept = np.mean([len(np.intersect1d(before, after)) / NEAR for before, after in zip(true, near, strict=True)])
        category = np.mean(labels[near[:, 0]] == labels[queries])
        again = "yes" if np.array_equal(places, place(rows)) else "no"
        print(f"| {name} | {method} | {kept:.3f} | {category:.3f} | {spent:.0f} | {again} |", flush=True)


def main() -> None:
    """Measure every method on every catalogue."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, action="append", default=[])
    parser.add_argument("--generated", type=int, action="append", default=[])
    options = parser.parse_args()
    methods: list[tuple[str, Method]] = [("featx", by_featx), ("openTSNE", by_opentsne)]
    print("| catalogue | method | kept | category | CPU s | same twice |\n|---|---|---|---|---|---|", flush=True)
    if options.store:
        stores = [open_store(path) for path in options.store]
        rows = np.concatenate([store.features for store in stores])
        labels = np.concatenate([np.array(store.labels, dtype=str) for store in stores])
        measure(f"{len(rows):,} real photos", rows, labels, methods)
    for n in options.generated:
        whole = [("t-SNE of all", by_scikit_learn)] if n <= 20_000 else []
        measure(f"{n:,} generated", *generated(n), [*methods, *whole])


if __name__ == "__main__":
    main()
