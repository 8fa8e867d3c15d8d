"""`/v1/explain`: why this category and not the next, in numbers and as a picture."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from featx.explanation.explainer import Explainer
from featx.images import PhotoLike, UnreadablePhoto
from featx.images.thumbnails import jpeg
from featx.server.answers import json_answer
from featx.server.generations import Generation
from featx.server.item_routes import row_of, stored_photo
from featx.server.problems import Problem
from featx.server.requests import ID, PHOTO_BODY, answers, needs, service_of
from featx.server.service import Service, in_thread, unreadable
from featx.server.tokens import CLASSIFY, READ, Caller
from featx.server.uploads import uploads_of

router = APIRouter(tags=["explain"])
Reader = Annotated[Caller, Depends(needs(READ))]
Classifying = Annotated[Caller, Depends(needs(CLASSIFY))]
Against = Annotated[str | None, Query(max_length=500, description="Compare with this category; the next by default.")]
OVERLAY = 512


@dataclass(frozen=True)
class ExplanationAnswer:
    """What `featx explain --json` prints, and the regions over the photo as the address of an image."""

    generation: str
    explanation: dict[str, Any]
    overlay: str | None


@router.get("/v1/explain/{item_id:path}", responses=answers(ExplanationAnswer))
async def explain_item(request: Request, item_id: ID, caller: Reader, against: Against = None) -> Response:
    """Why the photo of an item is of its category and not of the next."""
    service = service_of(request)
    generation = service.now
    row = row_of(generation, item_id)
    data = await in_thread(stored_photo, generation, row)
    return json_answer(await _in_turn(service, generation, data, against))


@router.post("/v1/explain", responses=answers(ExplanationAnswer), openapi_extra=PHOTO_BODY)
async def explain_photo(request: Request, caller: Classifying, against: Against = None) -> Response:
    """Why one photo is of its category and not of the next."""
    service = service_of(request)
    uploads, _ = await uploads_of(request, service.settings.limits)
    upload = uploads[0]
    if upload.photo is None:
        assert upload.refusal is not None
        raise unreadable(upload.refusal)
    return json_answer(await _in_turn(service, service.now, upload.photo, against))


async def _in_turn(
    service: Service, generation: Generation, photo: PhotoLike, against: str | None
) -> ExplanationAnswer:
    """One explanation at a time: each may take a second of every core."""
    try:
        async with asyncio.timeout(service.settings.limits.answer_seconds):
            await service.explaining.acquire()
    except TimeoutError as error:
        raise Problem(503, "overloaded", "others are being explained", "try again", retry_after=2) from error
    try:
        return await in_thread(_explained, generation, photo, against)
    finally:
        service.explaining.release()


def _explained(generation: Generation, photo: PhotoLike, against: str | None) -> ExplanationAnswer:
    try:
        found = Explainer(generation.classifier)(photo, against)
        record = found.to_dict()
        drawn = jpeg(found.overlay(OVERLAY)) if found.regions else None
    except UnreadablePhoto as error:
        raise unreadable(error) from error
    # Files are named by item, never by path.
    record.pop("path")
    for photos in record["nearest"].values():
        for near in photos:
            rows = generation.index.rows.paths.rows_of(near.pop("path"))
            near["id"] = generation.index.rows.ids[rows[0]] if rows else None
    overlay = None if drawn is None else f"data:image/jpeg;base64,{base64.b64encode(drawn).decode()}"
    return ExplanationAnswer(generation.name, record, overlay)
