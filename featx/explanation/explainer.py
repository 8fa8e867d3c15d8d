"""A photo → its category and the next one, and what in the photo decides between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.base import Encoder
from featx.backbones.joined import JoinedEncoder
from featx.classifiers.model import Classifier
from featx.compute.vectors import nearest, unit_rows
from featx.embedding.single import NAMELESS, unreadable_query
from featx.embedding.stream import Embedded, Maps, embed, read_source
from featx.errors import FeatxError
from featx.explanation.margin import Margin, linear_margin, log_odds
from featx.explanation.regions import GRID, Regions, regions_of
from featx.images import PhotoLike
from featx.images.photos import name_of
from featx.prediction.predict import Predictor, open_predictor
from featx.views.notebook import notebook_table
from featx.views.quantities import percent

if TYPE_CHECKING:
    from PIL import Image

NEAREST = 3


@dataclass(frozen=True)
class PartShare:
    """What one part of the features adds to the log-odds of the category against the next."""

    name: str
    log_odds: float


@dataclass(frozen=True)
class NearPhoto:
    """A training photo and its similarity."""

    path: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """Why one category and not the next.

    `log_odds` says how much likelier the category is than the runner-up. With a linear classifier it is the sum of
    `parts` and `rest`, which no photo changes; with another one a part is what would be lost without it.
    """

    path: str
    category: str
    sure: float
    runner_up: str
    runner_up_sure: float
    log_odds: float
    parts: list[PartShare]
    rest: float | None
    # What each cell of the photo adds, by the name of the network; and whether that is exact or by occlusion.
    regions: dict[str, Regions]
    near: dict[str, list[NearPhoto]]
    image: Image.Image = field(repr=False)

    @property
    def cells(self) -> NDArray[np.float64]:
        """The regions of all networks together, on a grid over the photo."""
        total = np.zeros((GRID, GRID))
        for region in self.regions.values():
            total += region.cells
        return total

    @property
    def strongest(self) -> PartShare:
        """The part that speaks most for the category."""
        return max(self.parts, key=lambda part: part.log_odds)

    def overlay(self, side: int = 512) -> Image.Image:
        """The photo with its regions: orange speaks for the category, blue for the runner-up."""
        from featx.explanation.overlay import overlay

        return overlay(self.image, self.cells, side)

    def to_dict(self) -> dict[str, Any]:
        """The JSON record of `featx explain --json`."""
        return {
            "path": self.path,
            "category": self.category,
            "sure": round(self.sure, 4),
            "runner_up": self.runner_up,
            "runner_up_sure": round(self.runner_up_sure, 4),
            "log_odds": round(self.log_odds, 4),
            "parts": {part.name: round(part.log_odds, 4) for part in self.parts},
            "rest": None if self.rest is None else round(self.rest, 4),
            "regions": {
                name: {"method": region.method, "cells": np.round(region.cells, 5).tolist()}
                for name, region in self.regions.items()
            },
            "nearest": {
                label: [{"path": photo.path, "similarity": round(photo.similarity, 4)} for photo in photos]
                for label, photos in self.near.items()
            },
        }

    def _repr_html_(self) -> str:
        from featx.images.thumbnails import data_uri, jpeg

        rows = [(part.name, f"{part.log_odds:+.2f}") for part in self.parts]
        title = f"{self.category} ({percent(self.sure)}) rather than {self.runner_up}"
        return f'<img src="{data_uri(jpeg(self.overlay(320)), "jpeg")}">' + notebook_table(
            title, ("part", "log-odds"), rows
        )


def explain(
    photo: PhotoLike, classifier: str | None = None, *, store: Path | None = None, against: str | None = None
) -> Explanation:
    """Explain the category of a photo in any form: what speaks for it, rather than for the next one or `against`."""
    return Explainer(open_predictor(classifier, store, device="cpu"))(photo, against)


class Explainer:
    """Explains one photo after another with the same classifier."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __call__(self, photo: PhotoLike, against: str | None = None) -> Explanation:
        """The explanation of one photo."""
        model, name = self.predictor.model, name_of(photo, NAMELESS)
        embedded = self._embed(photo, name)
        row, image, encoder = embedded.features, embedded.image, self.predictor.backbone
        assert row is not None and image is not None
        shares = model.predict_proba(row[None])[0]
        winner, other = _first_two(model, shares, against)
        margin = linear_margin(model, row, winner, other)
        return Explanation(
            path=name,
            category=model.classes[winner],
            sure=float(shares[winner]),
            runner_up=model.classes[other],
            runner_up_sure=float(shares[other]),
            log_odds=float(log_odds(model, row[None], winner, other)[0]),
            parts=_parts(model, encoder, row, margin, winner, other),
            rest=None if margin is None else margin.rest,
            regions=dict(_regions(model, encoder, embedded.maps, image.size, row, margin, winner, other)),
            near=_nearest(self.predictor, row, embedded.digest, [model.classes[winner], model.classes[other]]),
            image=image,
        )

    def _embed(self, photo: PhotoLike, name: str) -> Embedded[PhotoLike]:
        """Its features, and what the networks saw of it."""
        read = partial(read_source, exact=self.predictor.exact, name=name)
        # As with a query, a batch of one has no neighbours.
        with embed([photo], lambda: self.predictor.backbone, read=read, workers=1, batch=1, keep_maps=True) as stream:
            embedded = next(stream)
        if embedded.unreadable is not None:
            raise unreadable_query(embedded.unreadable) from embedded.unreadable
        return embedded


def _first_two(model: Classifier, shares: NDArray[np.float64], against: str | None) -> tuple[int, int]:
    """The likeliest category and the next one, or the one that was named."""
    first, second = np.argsort(-shares, kind="stable")[:2].tolist()
    if against is None:
        return first, second
    if against not in model.classes:
        raise FeatxError("bad-flag", f"the classifier knows no category `{against}`", "name one of its categories")
    named = model.classes.index(against)
    if named == first:
        raise FeatxError("bad-flag", f"`{against}` is the category itself", "name another one")
    return first, named


def _blocks(encoder: Encoder) -> list[tuple[Encoder, slice]]:
    """The networks of a row, and the columns of each."""
    blocks, start = [], 0
    for part in encoder.networks():
        blocks.append((part, slice(start, start + part.spec.width)))
        start += part.spec.width
    return blocks


def _parts(
    model: Classifier, encoder: Encoder, row: NDArray[np.float32], margin: Margin | None, winner: int, other: int
) -> list[PartShare]:
    """What each network, and each aspect of one, adds to the log-odds; the most first."""
    columns = {}
    for part, block in _blocks(encoder):
        aspects = part.aspects() or {"": slice(0, part.spec.width)}
        for aspect, own in aspects.items():
            columns[f"{part.spec.name} {aspect}".strip()] = slice(block.start + own.start, block.start + own.stop)
    if margin is not None:
        adds = {name: float(margin.weights[own] @ row[own].astype(np.float64)) for name, own in columns.items()}
    else:
        without = np.repeat(row[None], len(columns), axis=0)
        for i, own in enumerate(columns.values()):
            without[i, own] = 0
        lost = log_odds(model, row[None], winner, other) - log_odds(model, without, winner, other)
        adds = dict(zip(columns, lost.tolist(), strict=True))
    return [PartShare(name, value) for name, value in sorted(adds.items(), key=lambda item: -item[1])]


def _regions(
    model: Classifier, encoder: Encoder, maps: Maps, size: tuple[int, int], row: NDArray[np.float32],
    margin: Margin | None, winner: int, other: int,
) -> list[tuple[str, Regions]]:  # fmt: skip
    """The regions of each network that has maps."""
    result = []
    for (part, block), own in zip(_blocks(encoder), maps, strict=True):
        if own is None:
            continue
        # A block of a joined row has length 1, and the maps of its network have not.
        is_scaled = isinstance(encoder, JoinedEncoder) and not part.spec.unit_rows
        scale = _scale(row[block], part.pool_maps(own[None])[0]) if is_scaled else 1.0
        weights = None if margin is None else margin.weights[block] * scale

        def odds(pooled: NDArray[np.float32], block: slice = block, scaled: bool = is_scaled) -> NDArray[np.float64]:
            rows = np.repeat(row[None], len(pooled), axis=0)
            rows[:, block.start : block.start + pooled.shape[1]] = unit_rows(pooled) if scaled else pooled
            return log_odds(model, rows, winner, other)

        result.append((part.spec.name, regions_of(part, own[None], size, weights, odds)))
    return result


def _scale(block: NDArray[np.float32], pooled: NDArray[np.float32]) -> float:
    """What the features that maps lead to were multiplied with to become the first columns of a block."""
    own, scaled = pooled.astype(np.float64), block[: len(pooled)].astype(np.float64)
    return float(own @ scaled) / max(float(own @ own), 1e-24)


def _nearest(
    predictor: Predictor, row: NDArray[np.float32], digest: str, labels: Sequence[str]
) -> dict[str, list[NearPhoto]]:
    """The nearest photos of each category in the store the classifier was trained on, without the photo itself."""
    store = predictor.store
    if store is None:
        return {}
    names, near = np.array([str(label) for label in store.labels]), {}
    is_other = np.array(store.digests) != digest
    for label in labels:
        own = np.flatnonzero((names == label) & is_other)
        if len(own):
            rows = unit_rows(np.asarray(store.features[own], dtype=np.float32))
            index, cosine = nearest(unit_rows(row[None]), rows, NEAREST)
            photos = [store.paths[own[i]] for i in index[0]]
            near[label] = [NearPhoto(str(path), float(c)) for path, c in zip(photos, cosine[0], strict=True)]
    return near
