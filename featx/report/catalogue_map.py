"""The map of a catalogue as the report keeps it: packed places, categories, a sheet of small pictures."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.report.map_layout import lay_out
from featx.report.thumbnails import SHEET_WIDTH, TILE, TILES

if TYPE_CHECKING:
    from featx.report.thumbnails import ThumbnailCache
    from featx.store import Store

NAMED = 12_000


def map_of(store: Store, pictures: ThumbnailCache, cache: Path | None) -> dict[str, Any]:
    """Where every photo of a store lies, with a picture for as many as fit, spread over the categories."""
    layout = lay_out(store.features, cache=cache)
    classes = sorted({label for label in store.labels if label})
    place = {label: i for i, label in enumerate(classes)}
    category = np.array([65535 if label is None else place[label] for label in store.labels], dtype="<u2")
    sheet, held = pictures.sheet([store.ids[i] for i in _spread(category, TILES)])
    tile_of = {item_id: i for i, item_id in enumerate(held)}
    tiles = np.array([tile_of.get(item_id, 65535) for item_id in store.ids], dtype="<u2")
    places = np.clip(np.round(layout.places * 65534), 0, 65534).astype("<u2")
    packed = np.stack([places[:, 0], places[:, 1], category, tiles], axis=1).astype("<u2")
    names = store.ids if len(store) <= NAMED else held
    return {
        "n": len(store),
        "method": layout.method,
        "seconds": layout.seconds,
        "same_category": _same_category(layout.places, category),
        "classes": classes,
        "points": base64.b64encode(packed.tobytes()).decode(),
        "sheet": sheet,
        "tile": TILE,
        "columns": SHEET_WIDTH,
        "n_pictures": len(held),
        "ids": list(names),
        "ids_of": "points" if len(store) <= NAMED else "tiles",
    }


def _spread(category: np.ndarray, most: int) -> list[int]:
    """Rows taken in turn from every category, so that a large one does not crowd out the small."""
    random = np.random.default_rng(0)
    if len(category) <= most:
        return list(range(len(category)))
    turns = np.empty(len(category))
    for one in np.unique(category):
        rows = np.flatnonzero(category == one)
        turns[rows] = random.permutation(len(rows))
    return [int(i) for i in np.sort(np.lexsort((np.arange(len(category)), turns))[:most])]


def _same_category(places: np.ndarray, category: np.ndarray, most: int = 2_000) -> float | None:
    """The share of photos whose nearest photo on the map is of their own category."""
    known = np.flatnonzero(category != 65535)
    if len(known) < 2:
        return None
    from scipy.spatial import cKDTree

    tree = cKDTree(places[known])
    asked = known if len(known) <= most else np.sort(np.random.default_rng(0).choice(known, most, replace=False))
    _, near = tree.query(places[asked], k=2)
    position = {int(row): i for i, row in enumerate(known)}
    hits = 0
    for row, (first, second) in zip(asked, near, strict=True):
        other = second if first == position[int(row)] else first
        hits += int(category[known[other]] == category[row])
    return hits / len(asked)
