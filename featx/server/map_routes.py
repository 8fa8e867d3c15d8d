"""`/v1/map`: every photo of the catalogue as a point, similar ones close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from featx.errors import FeatxError
from featx.reporting.map_layout import Layout
from featx.server.answers import json_answer
from featx.server.findings import layout
from featx.server.generations import Generation
from featx.server.jobs import Job, Progress
from featx.server.problems import Problem
from featx.server.requests import answers, needs, service_of
from featx.server.service import Service, in_thread
from featx.server.tokens import READ, Caller

router = APIRouter(tags=["map"])
Reader = Annotated[Caller, Depends(needs(READ))]
LARGEST = 65_535


@dataclass(frozen=True)
class MapAnswer:
    """How far the map is, and how to read its points: category numbers count from 1 in `categories`, 0 has none."""

    generation: str
    state: str
    points: int
    categories: list[str]


@router.get("/v1/map", name="map", responses=answers(MapAnswer, later=True))
async def about_map(request: Request, caller: Reader) -> Response:
    """Begin the map, and say whether it is ready."""
    service = service_of(request)
    generation = service.now
    job = _job(service, generation)
    job.ready()
    answer = MapAnswer(generation.name, job.state, len(generation.index), generation.index.rows.label_names)
    working = job.state == "working"
    return json_answer(answer, 202 if working else 200, {"Retry-After": "1"} if working else {})


@router.get(
    "/v1/map/points",
    name="map_points",
    responses={
        **answers(None),
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def points(request: Request, caller: Reader) -> Response:
    """Three little-endian uint16 a photo: x, y, number of the category; the n-th is `/v1/items?start=n&limit=1`."""
    service = service_of(request)
    generation = service.now
    places: Layout | None = _job(service, generation).ready()
    if places is None:
        raise Problem(503, "not-ready", "the map is being laid out", "ask `/v1/map` until it is ready", retry_after=2)
    data = await in_thread(_packed, generation, places)
    return Response(data, media_type="application/octet-stream", headers={"X-Generation": generation.name})


def _job(service: Service, generation: Generation) -> Job:
    cache, store = service.workspace.root / "cache", generation.store
    blocks = [block.name for block in store.blocks] if store.is_part else []

    def work(progress: Progress) -> Layout:
        found = service.processes.run(layout, service.settings, blocks, cache, progress=progress)
        if len(found.places) != len(generation.index):
            raise FeatxError("store-busy", "the store was replaced meanwhile", "ask for the map again")
        return found

    return service.jobs.job((generation.name, "map"), work)


def _packed(generation: Generation, found: Layout) -> bytes:
    places = np.round(np.clip(found.places, 0, 1) * LARGEST)
    columns = np.column_stack([places, generation.index.rows.label_codes + 1])
    return columns.astype("<u2").tobytes()
