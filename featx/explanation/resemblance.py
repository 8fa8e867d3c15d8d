"""Why two photos are alike: what each part adds to their similarity, which regions count, and which match which."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.base import Encoder
from featx.backbones.weights import named_place
from featx.compute.vectors import inverse_lengths, unit_rows
from featx.embedding.reopen import decodes_exactly, reopen_backbone
from featx.embedding.single import NAMELESS
from featx.embedding.stream import Embedded
from featx.explanation.looking import aspects_of, look, regions_of_networks
from featx.explanation.regions import GRID, Regions, place_of_cell
from featx.images import PhotoLike
from featx.images.photos import name_of
from featx.retrieval.query import open_index
from featx.retrieval.search import SimilarityIndex
from featx.store import open_store
from featx.views.notebook import notebook_table

if TYPE_CHECKING:
    from PIL import Image

PAIRS = 5
# Cells nearer than this to one of an earlier pair show the same detail.
APART = 0.2
VERTICAL, HORIZONTAL = ("top", "", "bottom"), ("left", "", "right")


@dataclass(frozen=True)
class Spot:
    """A point of a photo, in fractions of its width and height."""

    x: float
    y: float

    @property
    def words(self) -> str:
        """Where it is: `top left`, `middle`."""
        names = VERTICAL[min(int(3 * self.y), 2)], HORIZONTAL[min(int(3 * self.x), 2)]
        return " ".join(filter(None, names)) or "middle"

    def near(self, other: Spot) -> bool:
        """Whether both show the same detail."""
        return float(np.hypot(self.x - other.x, self.y - other.y)) < APART


@dataclass(frozen=True)
class SpotPair:
    """A spot of one photo and the spot of the other that looks like it, with the cosine of the two."""

    first: Spot
    second: Spot
    similarity: float


@dataclass(frozen=True)
class SimilarityShare:
    """What one part of the features adds to the similarity."""

    name: str
    share: float


@dataclass(frozen=True)
class Resemblance:
    """Why two photos are alike.

    `parts` add up to the `similarity`. `regions` are those of the first photo and `other_regions` those of the second:
    what each adds to the similarity. `pairs` are spots that look alike, by the maps of `network`.
    """

    path: str
    other: str
    similarity: float
    parts: list[SimilarityShare]
    regions: dict[str, Regions]
    other_regions: dict[str, Regions]
    pairs: list[SpotPair]
    network: str
    image: Image.Image = field(repr=False)
    other_image: Image.Image = field(repr=False)

    def picture(self, side: int = 512) -> Image.Image:
        """Both photos side by side: orange regions make them alike, blue ones unlike, numbers show what matches."""
        from featx.explanation.overlay import beside

        return beside(self.pictures(side))

    def pictures(self, side: int = 512) -> list[Image.Image]:
        """The same one by one."""
        from featx.explanation.overlay import numbered, overlay

        return [
            numbered(overlay(image, _sum(regions), side), [(spot.x, spot.y) for spot in spots])
            for image, regions, spots in (
                (self.image, self.regions, [pair.first for pair in self.pairs]),
                (self.other_image, self.other_regions, [pair.second for pair in self.pairs]),
            )
        ]

    def to_dict(self) -> dict[str, Any]:
        """The JSON record of `featx explain --similar --json`."""
        return {
            "path": self.path,
            "other": self.other,
            "similarity": round(self.similarity, 4),
            "parts": {part.name: round(part.share, 4) for part in self.parts},
            "pairs": [
                {
                    "first": [round(pair.first.x, 3), round(pair.first.y, 3)],
                    "second": [round(pair.second.x, 3), round(pair.second.y, 3)],
                    "similarity": round(pair.similarity, 4),
                }
                for pair in self.pairs
            ],
            "pairs_by": self.network or None,
            "regions": _plain(self.regions),
            "other_regions": _plain(self.other_regions),
        }

    def _repr_html_(self) -> str:
        from featx.images.thumbnails import data_uri, jpeg

        rows = [(part.name, f"{part.share:+.2f}") for part in self.parts]
        title = f"{self.path} and {self.other}: {self.similarity:.2f}"
        return f'<img src="{data_uri(jpeg(self.picture(320)), "jpeg")}" alt="">' + notebook_table(
            title, ("part", "similarity"), rows
        )


def explain_similar(
    photo: PhotoLike,
    other: PhotoLike,
    *,
    store: Path | str | None = None,
    index: SimilarityIndex | None = None,
    weights: str | Path | None = None,
) -> Resemblance:
    """Explain the similarity of two photos, or of items of the store, as `similar` counts it.

    For many pairs, open the index once: `index=featx.open_index()`. `weights` is where the weights file of the backbone
    is, if it moved.
    """
    index = index or open_index(store)
    rows = index.rows
    assert rows.path is not None
    opened = open_store(rows.path, rows.blocks)
    encoder, exact = reopen_backbone(opened, "cpu", named_place(weights)), decodes_exactly(opened.provenance)
    photos = [_photo_of(index, each) for each in (photo, other)]
    names = [name_of(each, NAMELESS) for each in photos]
    first, second = (look(each, lambda: encoder, name, exact=exact) for each, name in zip(photos, names, strict=True))
    return _resemblance(encoder, names, first, second, rows.stretch)


def _photo_of(index: SimilarityIndex, photo: PhotoLike) -> PhotoLike:
    """The photo itself, or the first one of an item or a product that the index knows by this name."""
    from featx.retrieval.query import find_query

    if not isinstance(photo, str) or Path(photo).is_file():
        return photo
    return find_query(index, photo).paths[0]


def _resemblance(
    encoder: Encoder,
    names: list[str],
    first: Embedded[PhotoLike],
    second: Embedded[PhotoLike],
    stretch: NDArray[np.float32] | None,
) -> Resemblance:
    assert first.features is not None and second.features is not None
    weights = _cosine_weights(first.features, second.features, stretch)
    own = weights * first.features
    parts = [SimilarityShare(name, float(own[columns].sum())) for name, columns in aspects_of(encoder).items()]
    regions = regions_of_networks(encoder, first, weights, partial(_cosines, second.features, stretch))
    back = _cosine_weights(second.features, first.features, stretch)
    others = regions_of_networks(encoder, second, back, partial(_cosines, first.features, stretch))
    network, pairs = _pairs(encoder, first, second, {name: region.cells.sum() for name, region in regions.items()})
    assert first.image is not None and second.image is not None
    return Resemblance(
        names[0], names[1], float(own.sum()), sorted(parts, key=lambda part: -part.share), regions, others, pairs,
        network, first.image, second.image,
    )  # fmt: skip


def _cosine_weights(row: NDArray[Any], other: NDArray[Any], stretch: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """What times the row is its cosine with the other; numbers are multiplied by `stretch` first."""
    factor = inverse_lengths(np.stack([row, other]), stretch).astype(np.float64)
    squared = 1.0 if stretch is None else stretch.astype(np.float64) ** 2
    weights: NDArray[np.float64] = factor.prod() * squared * other.astype(np.float64)
    return weights


def _cosines(other: NDArray[Any], stretch: NDArray[np.float32] | None, rows: NDArray[Any]) -> NDArray[np.float64]:
    """The cosines of rows with another one."""
    factor = 1.0 if stretch is None else stretch
    cosines: NDArray[np.float64] = (unit_rows(rows * factor) @ unit_rows((other * factor)[None])[0]).astype(np.float64)
    return cosines


# --- which matches which ----------------------------------------------------------------------------------------------


def _pairs(
    encoder: Encoder, first: Embedded[PhotoLike], second: Embedded[PhotoLike], shares: dict[str, float]
) -> tuple[str, list[SpotPair]]:
    """Spots that look alike, by the maps of the network that counts most, and its name."""
    if not shares:
        return "", []
    strongest = max(shares, key=lambda name: shares[name])
    for part, a, b in zip(encoder.networks(), first.maps, second.maps, strict=True):
        if part.spec.name == strongest and a is not None and b is not None:
            cosines, products = _products_of_cells(a, b)
            return strongest, _alike(cosines, products, _spots(a, part, first), _spots(b, part, second))
    return "", []


def _spots(maps: NDArray[np.float32], part: Encoder, looked: Embedded[PhotoLike]) -> list[Spot]:
    """The middle of each cell of the maps."""
    assert looked.image is not None
    return [Spot(*place_of_cell(i, maps.shape[1:], part, looked.image.size)) for i in range(maps[0].size)]


def _products_of_cells(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The cosine of each cell of one photo with each of the other, and how much each pair stands out.

    Both without what all cells of both photos have in common.
    """
    cells = [maps.reshape(len(maps), -1).T for maps in (a, b)]
    common = np.concatenate(cells).mean(axis=0)
    first, second = (each - common for each in cells)
    return unit_rows(first) @ unit_rows(second).T, first @ second.T


def _alike(
    cosines: NDArray[np.float32], products: NDArray[np.float32], first: list[Spot], second: list[Spot]
) -> list[SpotPair]:
    """Pairs of cells that are each other's nearest, those that stand out most first, each of another detail."""
    there, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    mutual = [i for i in range(len(first)) if back[there[i]] == i and cosines[i, there[i]] > 0]
    pairs: list[SpotPair] = []
    for i in sorted(mutual, key=lambda i: -products[i, there[i]]):
        pair = SpotPair(first[i], second[there[i]], float(cosines[i, there[i]]))
        if not any(pair.first.near(other.first) or pair.second.near(other.second) for other in pairs):
            pairs.append(pair)
    return pairs[:PAIRS]


def _sum(regions: dict[str, Regions]) -> NDArray[np.float64]:
    return sum((region.cells for region in regions.values()), start=np.zeros((GRID, GRID)))


def _plain(regions: dict[str, Regions]) -> dict[str, Any]:
    return {name: region.to_dict() for name, region in regions.items()}
