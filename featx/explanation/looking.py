"""A photo with everything its networks saw, and the regions that move a score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.backbones.base import Encoder
from featx.compute.vectors import unit_rows
from featx.embedding.single import NAMELESS, unreadable_query
from featx.embedding.stream import Embedded, embed, read_source
from featx.explanation.regions import Regions, regions_of
from featx.images import PhotoLike

if TYPE_CHECKING:
    from PIL import Image

FEW = 4
Row = NDArray[np.float32]
# A score for each of some rows of features.
Score = Callable[[Row], NDArray[np.float64]]


def look(photo: PhotoLike, open_encoder: Callable[[], Encoder], name: str, *, exact: bool) -> Embedded[PhotoLike]:
    """A photo with its image, its features and its maps."""
    read = partial(read_source, exact=exact, name=name)
    # As with a query, a batch of one has no neighbours.
    with embed([photo], open_encoder, read=read, workers=1, batch=1, keep_maps=True) as stream:
        embedded = next(stream)
    if embedded.unreadable is not None:
        raise unreadable_query(embedded.unreadable) from embedded.unreadable
    return embedded


def rows_of(images: Sequence[Image.Image], open_encoder: Callable[[], Encoder]) -> Row:
    """The features of some images, in batches; a few of them unpadded."""
    batch = len(images) if len(images) <= FEW else None
    with embed(images, open_encoder, read=partial(read_source, exact=True, name=NAMELESS), batch=batch) as stream:
        return np.stack([embedded.features for embedded in stream if embedded.features is not None])


def blocks_of(encoder: Encoder) -> list[tuple[Encoder, slice]]:
    """The networks of a row, and the columns of each."""
    blocks, start = [], 0
    for part in encoder.networks():
        blocks.append((part, slice(start, start + part.spec.width)))
        start += part.spec.width
    return blocks


def aspects_of(encoder: Encoder) -> dict[str, slice]:
    """The networks of a row, and each aspect of one that has several, with their columns."""
    columns: dict[str, slice] = {}
    for part, block in blocks_of(encoder):
        aspects = part.aspects() or {"": slice(0, part.spec.width)}
        for aspect, own in aspects.items():
            name = f"{part.spec.name} {aspect}".strip()
            # The nodes of one network stand side by side, and speak with one voice.
            start = columns[name].start if name in columns else block.start + own.start
            columns[name] = slice(start, block.start + own.stop)
    return columns


def regions_of_networks(
    encoder: Encoder, looked: Embedded[PhotoLike], weights: NDArray[np.float64] | None, score: Score
) -> dict[str, Regions]:
    """What each region adds to a score, by the name of the network; only of networks that have maps.

    `weights` times the row is the score, but for a number that no photo changes; None where there are no such weights.
    """
    regions: dict[str, Regions] = {}
    for name, own in _regions_of_blocks(encoder, looked, weights, score):
        regions[name] = regions[name].with_those_of(own) if name in regions else own
    return regions


def _regions_of_blocks(
    encoder: Encoder, looked: Embedded[PhotoLike], weights: NDArray[np.float64] | None, score: Score
) -> Iterator[tuple[str, Regions]]:
    """The same block by block: a network that is read at several nodes has one for each."""
    row, image = looked.features, looked.image
    assert row is not None and image is not None
    for (part, block), maps in zip(blocks_of(encoder), looked.maps, strict=True):
        if maps is None:
            continue
        # A block beside others has length 1, and the maps behind it have not.
        is_scaled = part is not encoder and not part.spec.unit_rows
        scale = _scale(row[block], part.pool_maps(maps[None])[0]) if is_scaled else 1.0
        own = None if weights is None else weights[block] * scale
        of_block = partial(_score_of_block, score, row, block.start, is_scaled)
        yield part.spec.name, regions_of(part, maps[None], image.size, own, of_block)


def _score_of_block(score: Score, row: Row, start: int, is_scaled: bool, pooled: Row) -> NDArray[np.float64]:
    """The score of the row with its block, or the first columns of it, replaced."""
    rows = np.repeat(row[None], len(pooled), axis=0)
    rows[:, start : start + pooled.shape[1]] = unit_rows(pooled) if is_scaled else pooled
    return score(rows)


def _scale(block: Row, pooled: Row) -> float:
    """What the features that maps lead to were multiplied with to become the first columns of a block."""
    own, scaled = pooled.astype(np.float64), block[: len(pooled)].astype(np.float64)
    return float(own @ scaled) / max(float(own @ own), 1e-24)
