"""What a person points at: items, products, file names, new photos or a part of one, made into a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import unit_queries
from featx.embedding.single import Embedder, unreadable_query
from featx.errors import FeatxError
from featx.retrieval import Matches, Query, SimilarityIndex, index_of
from featx.retrieval.lookup import known_rows, of_rows, rows_in_any_case, unknown
from featx.retrieval.search import SMALL

if TYPE_CHECKING:
    from featx.images.crop import Crop
    from featx.retrieval.approximate import Watch
    from featx.retrieval.engines.exact import Pool
    from featx.retrieval.search import QueryLike
    from featx.store import Store

# The weight of `--unlike` against `--like` and the query: full weight leads out of the catalogue.
PUSH = 0.5


def open_index(
    store: Store | str | Path | None = None,
    approximate: bool | None = None,
    watch: Watch | None = None,
    *,
    blocks: Sequence[str] = (),
    weights: str | Path | None = None,
    engine: str | None = None,
) -> SimilarityIndex:
    """The index of a store (the current one when none is named), which takes new photos too.

    With `approximate` it looks at likely products only, through an index that is made once beside the store; by
    default, only if there is such an index and the catalogue is large. `engine` names one: `exact`, `usearch`, `lance`.
    `blocks` are the parts of a joined backbone that are compared; where none is named, those that suit the store.
    `weights` is where the weights file of the store's backbone is, if it moved.
    """
    near = [] if weights is None else _places(weights)
    index = index_of(store, blocks)
    if index.rows.path is None:
        return index
    index.embed = Embedder(index.rows.path, index.rows.blocks, near)
    if approximate is None and engine is None and len(index) < SMALL:
        return index  # without loading any engine
    from featx.retrieval.engine_choice import open_engine, suited_index

    chosen = engine or ("auto" if approximate is None else suited_index(len(index)) if approximate else "exact")
    index.nearby = open_engine(index.rows, chosen, make=True, watch=watch)
    return index


def _places(weights: str | Path) -> list[Path]:
    from featx.backbones.weights import named_place

    return named_place(weights)


def similar(
    query: QueryLike | None = None,
    k: int = 5,
    *,
    text: str | None = None,
    store: Store | str | Path | None = None,
    where: str | None = None,
    label: str | None = None,
    min_similarity: float = -1.0,
    pool: Pool = "best",
    diverse: bool = False,
    copies: bool = False,
    blocks: Sequence[str] = (),
    weights: str | Path | None = None,
) -> Matches:
    """The `k` products most like a photo, an item or a product of the store (the current one when none is named).

    A photo is a path, bytes, an open file, a PIL image or a uint8 array; an array of floats is features.
    `text` alone looks for what the words say, where the backbone knows texts, else for the words on the photos; beside
    a query it is one more condition.
    For many queries, open the index once: `featx.open_index().matches(query)`.
    """
    index = open_index(store, blocks=blocks, weights=weights)
    if text is not None:
        from featx.retrieval.text_query import text_matches, words_condition

        if query is None:
            return text_matches(index, text, k, where=where, label=label, min_similarity=min_similarity)
        where = words_condition(text, where)
    if query is None:
        raise FeatxError("bad-flag", "no query was given", "name a photo, an item or a product, or give `text`")
    return index.matches(
        query, k, where=where, label=label, min_similarity=min_similarity, pool=pool, diverse=diverse, copies=copies
    )


def find_query(index: SimilarityIndex, name: str, crop: Crop | None = None) -> Query:
    """A query by item id, product id, file name, stem or path; a photo the index does not know is embedded.

    Known photos are answered without loading a network, unless only a part of one is meant.
    """
    rows = known_rows(index.rows, name)
    path = Path(name)
    if rows is None and path.is_file():
        digest = _digest(path)
        rows = index.rows.digests.rows_of(digest)[:1] or None
        if rows is None:
            return Query(name, _embedded(index, path, crop), digests=frozenset([digest]), paths=(name,))
    rows = rows if rows is not None else rows_in_any_case(index.rows, name)
    if rows is None:
        raise unknown(index.rows, name)
    known = of_rows(index.rows, name, rows)
    if crop is None:
        return known
    photos = [path] if path.is_file() else [Path(stored) for stored in known.paths]
    return replace(known, features=np.concatenate([_embedded(index, photo, crop) for photo in photos]))


def pool_queries(queries: Sequence[Query]) -> Query:
    """Several photos of one product as one query; none of their products and copies may answer."""
    return Query(
        " + ".join(query.name for query in queries),
        np.concatenate([np.asarray(query.features, dtype=np.float32) for query in queries]),
        frozenset().union(*(query.products for query in queries)),
        frozenset().union(*(query.digests for query in queries)),
        tuple(path for query in queries for path in query.paths),
    )


def steer(query: Query | None, like: Sequence[Query], unlike: Sequence[Query]) -> Query:
    """A query moved towards some things and away from others; none of these may answer."""
    pulls = [*([query] if query is not None else []), *like]
    if not pulls:
        raise FeatxError("bad-flag", "`--unlike` alone leaves nothing to look for", "name a photo, or `--like` one")
    towards = np.mean([_direction(pull) for pull in pulls], axis=0)
    away = np.mean([_direction(photo) for photo in unlike], axis=0) if unlike else 0.0
    whole = pool_queries([*pulls, *unlike])
    name = " + ".join(pull.name for pull in pulls) + "".join(f" - {photo.name}" for photo in unlike)
    paths = tuple(path for pull in pulls for path in pull.paths)
    return replace(whole, name=name, features=np.atleast_2d(towards - PUSH * away), paths=paths)


def _direction(query: Query) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = unit_queries(query.features).mean(axis=0)
    direction: NDArray[np.float32] = unit_queries(mean)[0]
    return direction


def _embedded(index: SimilarityIndex, path: Path, crop: Crop | None) -> NDArray[Any]:
    if not isinstance(index.embed, Embedder):
        raise FeatxError(
            "not-in-store",
            f"`{path}` is not in the index, which has no backbone to compute it with",
            "open the index of a store",
        )
    return np.atleast_2d(index.embed(path, crop))


def _digest(path: Path) -> str:
    from featx.images import UnreadablePhoto, digest_of, read_bytes

    try:
        return digest_of(read_bytes(path))
    except UnreadablePhoto as error:
        raise unreadable_query(error) from error
