"""Does turning, scaling or averaging the features make look-alike search better? Measured on stores of real photos.

    python benchmarks/whitening.py STORE.h5 [STORE.h5 ...]

A store with `val` or `test` rows asks those among the training rows; in another, every photo is asked among all others.
What is learned (means, spreads, directions) is learned from the rows that answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from featx.compute.vectors import unit_rows
from featx.store import open_store

Pair = tuple[np.ndarray, np.ndarray]


def whitened(width: int) -> Callable[[np.ndarray, np.ndarray], Pair]:
    """Principal directions scaled to the same spread."""

    def turn(rows: np.ndarray, queries: np.ndarray) -> Pair:
        pca = PCA(min(width, *rows.shape), whiten=True, random_state=0).fit(unit_rows(rows))
        return pca.transform(unit_rows(rows)), pca.transform(unit_rows(queries))

    return turn


def centred(rows: np.ndarray, queries: np.ndarray) -> Pair:
    """Without what all photos have in common."""
    middle = unit_rows(rows).mean(axis=0)
    return unit_rows(rows) - middle, unit_rows(queries) - middle


def standardised(rows: np.ndarray, queries: np.ndarray) -> Pair:
    """Every number with the same spread."""
    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    return (rows - middle) / spread, (queries - middle) / spread


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], Pair]] = {
    "as they are": lambda rows, queries: (rows, queries),
    "square root": lambda rows, queries: tuple(np.sign(x) * np.sqrt(np.abs(x)) for x in (rows, queries)),  # type: ignore[return-value]
    "centred": centred,
    "standardised": standardised,
    "whitened to 128": whitened(128),
    "whitened to 256": whitened(256),
}


def scores(
    rows: np.ndarray, queries: np.ndarray, same: bool, labels: np.ndarray, wanted: np.ndarray, expand: int
) -> str:
    """Recall@1 and precision@10 of the category; `expand` neighbours are averaged into the query first."""
    rows, queries = unit_rows(rows), unit_rows(queries)
    alike = queries @ rows.T
    if same:
        np.fill_diagonal(alike, -np.inf)
    if expand:
        nearest = np.argsort(-alike, axis=1)[:, :expand]
        queries = unit_rows(queries + rows[nearest].sum(axis=1))
        alike = queries @ rows.T
        if same:
            np.fill_diagonal(alike, -np.inf)
    hits = labels[np.argsort(-alike, axis=1)[:, :10]] == wanted[:, None]
    return f"{100 * hits[:, 0].mean():6.1f} {100 * hits.mean():6.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", type=Path)
    for path in parser.parse_args().stores:
        store = open_store(path)
        features = np.asarray(store.features, dtype=np.float32)
        labels = np.array([str(label) for label in store.labels])
        held = np.array([split in ("val", "test") for split in store.splits])
        rows, queries = (np.flatnonzero(~held), np.flatnonzero(held)) if held.any() else (np.arange(len(labels)),) * 2
        print(f"{path.name}: {len(queries):,} asked among {len(rows):,}; recall@1, precision@10", flush=True)
        for name, way in WAYS.items():
            for expand in (0, 3):
                x, q = way(features[rows], features[queries])
                title = f"{name}{', query expanded by 3' if expand else ''}"
                print(f"  {title:40}{scores(x, q, not held.any(), labels[rows], labels[queries], expand)}", flush=True)


if __name__ == "__main__":
    main()
