"""Studio pictures and shelf photos of the same groceries: how far down the right ones come, and back.

    python benchmarks/iconic.py STORE GROCERY

STORE holds the natural photos of the Grocery Store Dataset, labelled with their fine class; GROCERY is the data set's
folder, with classes.csv and the iconic pictures.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from featx.compute.vectors import unit_queries
from featx.embedding.single import Embedder
from featx.retrieval.query import open_index


def ranks(similar: np.ndarray, right: np.ndarray) -> np.ndarray:
    """For each row the rank, from 1, of the best right answer."""
    best = np.where(right, similar, -2).max(axis=1, keepdims=True)
    return 1 + (similar > best).sum(axis=1)


def line(name: str, ranked: np.ndarray, of: int) -> str:
    shares = "  ".join(f"within {k} {100 * (ranked <= k).mean():5.1f} %" for k in (1, 5, 10))
    return f"{name}: {shares}  median rank {np.median(ranked):.0f} of {of:,}  ({len(ranked):,} queries)"


def main() -> None:
    store, grocery = Path(sys.argv[1]), Path(sys.argv[2])
    index = open_index(store)
    embed = Embedder(store)
    with (grocery / "classes.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["Class Name (str)"], row["Iconic Image Path (str)"]) for row in csv.DictReader(file)]
    classes = [(name, path) for name, path in rows if name in index.rows.label_names]
    iconic = unit_queries(np.stack([embed(grocery / path.lstrip("/")) for _, path in classes]))
    natural = index.rows.unit_rows(slice(None))
    similar = iconic @ natural.T
    label = np.array([index.rows.label_of(i) for i in range(len(index))])
    right = np.array([name for name, _ in classes])[:, None] == label[None, :]
    print(line("studio picture -> shelf photos", ranks(similar, right), len(index)))
    photos = right.any(axis=0)
    print(line("shelf photo -> studio pictures", ranks(similar.T[photos], right.T[photos]), len(classes)))


if __name__ == "__main__":
    main()
