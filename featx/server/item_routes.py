"""`/v1/items`, `/v1/photo` and `/v1/catalogue`: what is in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from featx.images import UnreadablePhoto, digest_of, read_bytes
from featx.images.thumbnails import jpeg, smaller
from featx.retrieval.lookup import known_items
from featx.retrieval.rows import IndexRows
from featx.server.answers import (
    CatalogueAnswer,
    ItemAnswer,
    ItemPage,
    item_record,
    json_answer,
)
from featx.server.generations import Generation
from featx.server.problems import Problem, unknown_item
from featx.server.requests import ID, answers, needs, service_of
from featx.server.search_routes import category_of_row
from featx.server.service import Service, in_thread
from featx.server.tokens import READ, Caller
from featx.version import __version__

router = APIRouter(tags=["catalogue"])
Reader = Annotated[Caller, Depends(needs(READ))]
SIDES = (96, 256, 1024)
A_DAY = "private, max-age=86400, immutable"


@router.get("/v1/catalogue", responses=answers(CatalogueAnswer))
async def catalogue(request: Request, caller: Reader) -> Response:
    """What the server knows, and what the caller may do."""
    service = service_of(request)
    return json_answer(await in_thread(_catalogue, service, service.now, caller))


def _catalogue(service: Service, generation: Generation, caller: Caller) -> CatalogueAnswer:
    rows, predictor, missing = generation.index.rows, generation.predictor, generation.no_classifier
    card = None if predictor is None else predictor.model.card
    best = None if card is None else card.best
    return CatalogueAnswer(
        generation.name,
        __version__,
        len(rows),
        len(rows.products),
        sorted(rows.label_names),
        sorted(rows.columns()),
        generation.choices,
        None if predictor is None else predictor.model.name,
        None if missing is None else missing.message,
        None if best is None else round(best.accuracy, 4),
        generation.index.nearby is not None,
        sorted(caller.scopes),
        service.settings.read_only,
        service.settings.store.with_name(service.settings.store.name + ".text").exists(),
    )


@router.get("/v1/items", responses=answers(ItemPage))
async def items(
    request: Request,
    caller: Reader,
    q: Annotated[str, Query(max_length=200, description="A part of an id or a product.")] = "",
    where: Annotated[str | None, Query(max_length=1000, description="Only these, like `price < 20`.")] = None,
    label: Annotated[str | None, Query(max_length=500, description="Only this category.")] = None,
    row: Annotated[
        list[Annotated[int, Field(ge=0, le=10**9)]],
        Query(max_length=200, description="Only these, by their numbers, as the points of `/v1/map/points` have them."),
    ] = [],  # noqa: B006 - FastAPI copies it
    start: Annotated[int, Query(ge=0, le=10**9, description="The number of the first one.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The items of the catalogue, or those that match."""
    generation = service_of(request).now

    def page() -> ItemPage:
        rows = _among(generation, row, _matching(generation, q, where or None, label or None))
        shown = [item_record(generation.index.rows, int(row)) for row in rows[start : start + limit]]
        more = start + limit if start + limit < len(rows) else None
        return ItemPage(generation.name, len(rows), shown, more)

    return json_answer(await in_thread(page))


def _matching(generation: Generation, q: str, where: str | None, label: str | None) -> Sequence[int]:
    index = generation.index
    allowed = index.allowed(where, label)
    every: Sequence[int] = range(len(index)) if allowed is None else np.flatnonzero(allowed).tolist()
    if not q:
        return every
    hits = {*index.rows.ids.rows_with_in_any_case(q)}
    for product in index.rows.products.rows_with_in_any_case(q):
        hits.update(_photos_of(index.rows, product))
    return sorted(hits.intersection(every))


def _among(generation: Generation, wanted: Sequence[int], rows: Sequence[int]) -> Sequence[int]:
    """The wanted ones of some rows, in the order in which they are wanted; all rows where none is."""
    for row in wanted:
        if row >= len(generation.index):
            raise unknown_item(f"number {row}", "the catalogue has changed; ask for its map again")
    return [row for row in wanted if row in rows] if wanted else rows


def _photos_of(rows: IndexRows, product: int) -> list[int]:
    photos: list[int] = rows.order[rows.starts[product] : rows.starts[product + 1]].tolist()
    return photos


@router.get("/v1/items/{item_id:path}", responses=answers(ItemAnswer))
async def item(request: Request, item_id: ID, caller: Reader) -> Response:
    """One item, the other photos of its product, and its category by the classifier."""
    service = service_of(request)
    generation = service.now
    return json_answer(await in_thread(_item, service, generation, row_of(generation, item_id)))


def _item(service: Service, generation: Generation, row: int) -> ItemAnswer:
    rows = generation.index.rows
    others = [item_record(rows, other) for other in _photos_of(rows, int(rows.codes[row])) if other != row]
    category = None if generation.predictor is None else category_of_row(service, generation, row)
    return ItemAnswer(generation.name, item_record(rows, row), others[:50], category)


def row_of(generation: Generation, name: str) -> int:
    """The row of an item, or the first of a product."""
    rows = known_items(generation.index.rows, name)
    if not rows:
        raise unknown_item(name)
    return rows[0]


@router.get(
    "/v1/photo/{item_id:path}",
    responses={**answers(None), 200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def photo(
    request: Request,
    item_id: ID,
    caller: Reader,
    side: Annotated[
        int, Query(ge=1, le=1024, description="The longer side: 96, 256 or 1024 pixels, whichever suffices.")
    ] = 256,
    v: Annotated[str, Query(max_length=64, description="The beginning of its digest, so that it may be kept.")] = "",
) -> Response:
    """The photo of an item: drawn again, so that nothing but its pixels is passed on."""
    generation = service_of(request).now
    rows = generation.index.rows
    row = row_of(generation, item_id)
    side = next(offered for offered in SIDES if offered >= side)
    tag = f'"{rows.digests[row][:32]}-{side}"'
    headers = {"ETag": tag, "Cache-Control": A_DAY if v else "private, no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    data = await in_thread(_drawn, rows.paths[row], rows.digests[row], side)
    return Response(data, headers=headers, media_type="image/jpeg")


@lru_cache(maxsize=512)
def _drawn(path: str, digest: str, side: int) -> bytes:
    """A photo of the store as a small JPEG."""
    try:
        return jpeg(smaller(_as_extracted(path, digest), side))
    except UnreadablePhoto as error:
        raise _hidden(error) from error


def stored_photo(generation: Generation, row: int) -> bytes:
    """The bytes of a photo of the store."""
    try:
        return _as_extracted(generation.index.rows.paths[row], generation.index.rows.digests[row])
    except UnreadablePhoto as error:
        raise _hidden(error) from error


def _as_extracted(path: str, digest: str) -> bytes:
    """The bytes of a file, only while they are the very ones that were extracted."""
    data = read_bytes(path)
    if digest_of(data) != digest:
        raise Problem(404, "photo-changed", "the photo has changed since it was extracted", "run `featx extract`")
    return data


def _hidden(error: UnreadablePhoto) -> Problem:
    return Problem(404, "photo-unreadable", f"the photo cannot be shown: {error.reason}", "run `featx extract`")
