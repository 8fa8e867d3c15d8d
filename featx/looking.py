"""What a person points at: items, products, file names, new photos or a part of one, made into a query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.index import Query, SimilarityIndex, index_of
from featx.index.lookup import known_rows, of_rows, unknown
from featx.index.numbers import unit_queries
from featx.index.search import LARGE

if TYPE_CHECKING:
    from PIL import Image

    from featx.backbones import Backbone
    from featx.index.approximate import Watch

# How far `--unlike` pushes, beside what `--like` and the query pull: whole steps leave the catalogue.
PUSH = 0.5


@dataclass(frozen=True)
class Crop:
    """A part of a photo: left, top, width and height, in pixels or as shares of the photo."""

    left: float
    top: float
    width: float
    height: float
    shares: bool

    @classmethod
    def of(cls, text: str) -> Crop:
        """Read `x,y,w,h`: whole numbers are pixels, numbers up to 1 with a point are shares."""
        parts = [one.strip() for one in text.split(",")]
        if len(parts) != 4 or not all(re.fullmatch(r"\d+|\d*\.\d+|\d+\.", one) for one in parts):
            raise FeatxError(
                "bad-flag", f"cannot read the crop `{text}`", "left, top, width, height: `--crop 40,0,200,180`"
            )
        shares = any("." in one for one in parts)
        left, top, width, height = (float(one) for one in parts)
        if width <= 0 or height <= 0:
            raise FeatxError("bad-flag", f"the crop `{text}` is empty", "give it a width and a height")
        if shares and (left + width > 1.0001 or top + height > 1.0001):
            raise FeatxError("bad-flag", f"the crop `{text}` reaches outside the photo", "shares go from 0 to 1")
        return cls(left, top, width, height, shares)

    def cut(self, image: Image.Image, name: str) -> Image.Image:
        """That part of a picture."""
        across, down = image.size if self.shares else (1, 1)
        box = (
            round(self.left * across),
            round(self.top * down),
            round((self.left + self.width) * across),
            round((self.top + self.height) * down),
        )
        if box[2] > image.width or box[3] > image.height or box[2] <= box[0] or box[3] <= box[1]:
            raise FeatxError(
                "bad-flag",
                f"the crop reaches outside `{name}`, which is {image.width} × {image.height} pixels",
                "shares of the photo work for every size: `--crop 0.25,0.25,0.5,0.5`",
            )
        return image.crop(box)


class Embedder:
    """New photos made into features with the backbone of a store, which is opened for the first of them."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._backbone: Backbone | None = None

    def __call__(self, path: Path, crop: Crop | None = None) -> NDArray[np.float32]:
        """The features of a photo, made exactly as those of the store."""
        from featx.extraction.reopening import reopen_backbone
        from featx.images import UnreadablePhoto, read_photo
        from featx.store import open_store

        try:
            image = read_photo(path).image
        except UnreadablePhoto as error:
            raise _unreadable(error) from error
        if crop is not None:
            image = crop.cut(image, str(path))
        if self._backbone is None:
            self._backbone = reopen_backbone(open_store(self.store))
        features: NDArray[np.float32] = self._backbone.features([self._backbone.prepare(image)])[0]
        return features


def open_index(
    store: str | Path | Any = None, approximate: bool | None = None, watch: Watch | None = None
) -> SimilarityIndex:
    """The index of a store (the current one when none is named), which takes new photos too.

    With `approximate` it looks at likely products only, through a graph of neighbours that is made once beside the
    store and then follows it; unless told, only where there is such a graph and the catalogue is large.
    """
    index = index_of(store)
    if index.path is None:
        return index
    index.embed = Embedder(index.path)
    if approximate or (approximate is None and len(index) >= LARGE):
        from featx.index.approximate import open_nearby

        index.nearby = open_nearby(index, make=bool(approximate), watch=watch)
    return index


def find_query(index: SimilarityIndex, name: str, crop: Crop | None = None) -> Query:
    """A query by item id, product id, file name, stem or path; a photo the index does not know is embedded.

    Known photos are answered without loading a network, unless only a part of one is meant.
    """
    rows = known_rows(index, name)
    path = Path(name)
    if rows is None and path.is_file():
        digest = _digest(path)
        rows = index.digests.rows_of(digest)[:1] or None
        if rows is None:
            return Query(name, _embedded(index, path, crop), digests=frozenset([digest]), paths=(name,))
    if rows is None:
        raise unknown(index, name)
    found = of_rows(index, name, rows)
    if crop is None:
        return found
    photos = [path] if path.is_file() else [Path(one) for one in found.paths]
    return replace(found, features=np.concatenate([_embedded(index, one, crop) for one in photos]))


def pool_queries(queries: Sequence[Query]) -> Query:
    """Several photos of one product as one query; none of their products and copies may answer."""
    return Query(
        " + ".join(one.name for one in queries),
        np.concatenate([np.asarray(one.features, dtype=np.float32) for one in queries]),
        frozenset().union(*(one.products for one in queries)),
        frozenset().union(*(one.digests for one in queries)),
        tuple(path for one in queries for path in one.paths),
    )


def steer(query: Query | None, like: Sequence[Query], unlike: Sequence[Query]) -> Query:
    """A query moved towards some things and away from others; none of these may answer."""
    pulls = [*([query] if query is not None else []), *like]
    if not pulls:
        raise FeatxError("bad-flag", "`--unlike` alone leaves nothing to look for", "name a photo, or `--like` one")
    towards = np.mean([_direction(one) for one in pulls], axis=0)
    away = np.mean([_direction(one) for one in unlike], axis=0) if unlike else 0.0
    whole = pool_queries([*pulls, *unlike])
    name = " + ".join(one.name for one in pulls) + "".join(f" - {one.name}" for one in unlike)
    paths = tuple(path for one in pulls for path in one.paths)
    return replace(whole, name=name, features=np.atleast_2d(towards - PUSH * away), paths=paths)


def _direction(query: Query) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = unit_queries(query.features).mean(axis=0)
    direction: NDArray[np.float32] = unit_queries(mean)[0]
    return direction


def _embedded(index: SimilarityIndex, path: Path, crop: Crop | None) -> NDArray[Any]:
    if not isinstance(index.embed, Embedder):
        raise FeatxError("not-in-store", f"`{path}` is not in the index, which has no backbone", "open one of a store")
    return np.atleast_2d(index.embed(path, crop))


def _digest(path: Path) -> str:
    from featx.images import UnreadablePhoto, digest_of, read_bytes

    try:
        return digest_of(read_bytes(path))
    except UnreadablePhoto as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> FeatxError:
    return FeatxError("photo-unreadable", f"cannot read {error}", "name another photo, or mend this one")
