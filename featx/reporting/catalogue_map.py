"""The map of a catalogue in a report: packed coordinates, categories, a sheet of thumbnails."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from featx.reporting.map_layout import lay_out
from featx.reporting.records import CatalogueMap
from featx.reporting.thumbnails import SHEET_WIDTH, TILE, TILES

if TYPE_CHECKING:
    from featx.reporting.thumbnails import ThumbnailCache
    from featx.store import Store

NAMED = 12_000
UNLABELLED = 65535


def map_of(store: Store, labels: Sequence[str | None], thumbnails: ThumbnailCache, cache: Path | None) -> CatalogueMap:
    """The coordinates of every photo of a store, with thumbnails for as many as fit, spread over the categories."""
    layout = lay_out(store.features, cache=cache)
    classes = sorted({label for label in labels if label})
    index_of = {label: i for i, label in enumerate(classes)}
    category = np.array([UNLABELLED if label is None else index_of[label] for label in labels], dtype="<u2")
    sheet, in_sheet = thumbnails.sheet([store.ids[i] for i in _spread(category, TILES)])
    tile_of = {item_id: i for i, item_id in enumerate(in_sheet)}
    tiles = np.array([tile_of.get(item_id, 65535) for item_id in store.ids], dtype="<u2")
    coordinates = np.clip(np.round(layout.places * 65534), 0, 65534).astype("<u2")
    packed = np.stack([coordinates[:, 0], coordinates[:, 1], category, tiles], axis=1).astype("<u2")
    names = store.ids if len(store) <= NAMED else in_sheet
    return CatalogueMap(
        n=len(store),
        method=layout.method,
        seconds=layout.seconds,
        same_category=share_of_own_category(coordinates, category),
        classes=classes,
        points=base64.b64encode(packed.tobytes()).decode(),
        sheet=sheet,
        tile=TILE,
        columns=SHEET_WIDTH,
        n_pictures=len(in_sheet),
        ids=list(names),
        ids_of="points" if len(store) <= NAMED else "tiles",
    )


def _spread(category: np.ndarray, most: int) -> list[int]:
    """Rows taken in turn from every category, so that a large one does not crowd out the small."""
    random = np.random.default_rng(0)
    if len(category) <= most:
        return list(range(len(category)))
    turns = np.empty(len(category))
    for number in np.unique(category):
        rows = np.flatnonzero(category == number)
        turns[rows] = random.permutation(len(rows))
    return [int(i) for i in np.sort(np.lexsort((np.arange(len(category)), turns))[:most])]


def share_of_own_category(coordinates: np.ndarray, category: np.ndarray) -> float | None:
    """How many photos have a photo of their own category as their nearest on the map, between 0 and 1.

    Where several photos are equally near, the photo counts by the share of them that are of its category.
    The coordinates are whole numbers, so that a tie is a tie and the order of the rows changes nothing.
    """
    labelled = category != UNLABELLED
    if np.count_nonzero(labelled) < 2:
        return None
    spots, spot = np.unique(coordinates[labelled].astype(np.int64), axis=0, return_inverse=True)
    category, spot = category[labelled].astype(np.int64), spot.ravel()
    crowd = np.bincount(spot, minlength=len(spots))
    of_category = _counts(spot, category)
    alone = crowd[spot] == 1
    hits = np.empty(len(spot))
    # Photos that share a spot are each other's nearest.
    hits[~alone] = (of_category(spot[~alone], category[~alone]) - 1) / (crowd[spot[~alone]] - 1)
    near, row = _nearest_spots(spots, spot[alone])
    own = np.bincount(row, of_category(near, category[alone][row]), minlength=len(hits[alone]))
    hits[alone] = own / np.bincount(row, crowd[near], minlength=len(hits[alone]))
    return float(np.sort(hits).mean())


def _counts(spot: np.ndarray, category: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A lookup of how many photos of a category share a spot."""
    n_categories = int(category.max()) + 1
    keys, counts = np.unique(spot * n_categories + category, return_counts=True)

    def look_up(spot: np.ndarray, category: np.ndarray) -> np.ndarray:
        key = spot * n_categories + category
        index = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        return np.where(keys[index] == key, counts[index], 0)

    return look_up


def _nearest_spots(spots: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every spot that is as near as the nearest to each query (the number of a spot), and whose query it answers."""
    from scipy.spatial import cKDTree

    if not len(queries):
        return queries, queries
    tree = cKDTree(spots)
    nearest = np.rint(tree.query(spots[queries], k=2)[0][:, 1] ** 2)
    # Squares of distances are whole numbers: half of one more leaves room for rounding and lets no other spot in.
    tied = tree.query_ball_point(spots[queries], np.sqrt(nearest + 0.5))
    row = np.repeat(np.arange(len(queries)), [len(ties) for ties in tied])
    near = np.concatenate([np.asarray(ties) for ties in tied])
    other = near != queries[row]
    return near[other], row[other]
