"""The blocks of a joined store that find look-alikes best, measured on its own products and categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import BLOCK, unit_rows
from featx.metrics.block_choice import FEWEST, STEPS, Blend, BlockChoice, blends_of, choose_blocks

if TYPE_CHECKING:
    from featx.store import Store

# How many photos are looked up: fewer in a large catalogue, where each costs more.
QUERIES, COMPARED = 4000, 40_000_000
HIDDEN = -np.inf


def suited_blocks(store: Store) -> BlockChoice | None:
    """The choice of blocks, by the first look-alike of photos that have another one of their product or category.

    None where there is nothing to choose, or too little to measure. Photos that a tuned network learned from are found,
    but look for nothing themselves: it puts them beside their like too well.
    """
    names = [block.name for block in store.blocks]
    if len(names) < 2:
        return None
    # Only here: an index that is cached needs neither cards nor labels.
    from featx.labels.seen import seen_rows

    fair = ~seen_rows(store)
    _, digests = np.unique(store.digests, return_inverse=True)
    _, products = np.unique([store.product_of(i) for i in range(len(store))], return_inverse=True)
    for measure, truth, hidden in (
        ("first look-alike of the same product", products, digests),
        ("first look-alike of the same category", _codes(store.labels), products),
    ):
        query_rows = _query_rows(store, truth, hidden, fair)
        if len(query_rows) >= FEWEST:
            correct = _correct(store, names, query_rows, truth, hidden)
            return choose_blocks(correct, products[query_rows], measure)
    return None


def _codes(labels: list[str | None]) -> NDArray[np.intp]:
    """A number for each label; each row without one has a number of its own."""
    return np.unique(
        [f"{i} " if label is None else f"={label}" for i, label in enumerate(labels)], return_inverse=True
    )[1]


def _query_rows(
    store: Store, truth: NDArray[np.intp], hidden: NDArray[np.intp], fair: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """Some fair photos that have a right answer, in the order of their digests."""
    answers = fair & (np.bincount(truth)[truth] > _within(truth, hidden))
    rows = [i for i in np.argsort(store.digests, kind="stable").tolist() if answers[i]]
    most = min(QUERIES, max(FEWEST, COMPARED // max(len(store), 1)))
    return np.array(rows[:: max(1, -(-len(rows) // most))], dtype=np.intp)


def _within(truth: NDArray[np.intp], hidden: NDArray[np.intp]) -> NDArray[np.intp]:
    """How many rows share both numbers with each row; these cannot answer it."""
    _, pairs, counts = np.unique(np.stack([truth, hidden]), axis=1, return_inverse=True, return_counts=True)
    sizes: NDArray[np.intp] = counts[pairs.ravel()]
    return sizes


def _correct(
    store: Store, names: list[str], query_rows: NDArray[np.intp], truth: NDArray[np.intp], hidden: NDArray[np.intp]
) -> dict[Blend, NDArray[np.bool_]]:
    """Whether the first answer to each photo is right, for every choice of blocks and weights."""
    cosines = {name: _cosines(store.with_blocks([name]).features_map(), query_rows) for name in names}
    correct = {}
    for blend in blends_of(names, STEPS):
        total = blend.mean(cosines)
        total[hidden[query_rows][:, None] == hidden[None, :]] = HIDDEN
        correct[blend] = truth[total.argmax(axis=1)] == truth[query_rows]
    return correct


def _cosines(features: NDArray[np.float32], query_rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """The cosines of the query rows with all rows, whose directions are made block by block."""
    queries, n = unit_rows(features[query_rows]), len(features)
    cosines = np.empty((len(query_rows), n), dtype=np.float32)
    for start in range(0, n, BLOCK):
        cosines[:, start : start + BLOCK] = queries @ unit_rows(features[start : start + BLOCK]).T
    return cosines
