"""Is the server alive, is it ready, and what has it counted?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from featx.errors import FeatxError
from featx.images import UnreadablePhoto
from featx.server.answers import json_answer
from featx.server.problems import Problem
from featx.server.requests import answers, needs, service_of
from featx.server.tokens import READ, Caller

router = APIRouter(tags=["health"])
# A photo is sent through the network at most so often, however often somebody asks.
SECONDS_BETWEEN = 5.0


@dataclass(frozen=True)
class Health:
    """`ok`, or `degraded` while an older state answers because the files of now cannot be opened."""

    status: str
    generation: str
    trouble: str | None = None


@router.get("/healthz/live", name="health_live", responses=answers(Health, errors=(421,)))
async def live(request: Request) -> Response:
    """The server answers at all."""
    return json_answer(Health("ok", service_of(request).now.name))


@router.get("/healthz", name="health", responses=answers(Health, errors=(421, 429, 500, 503)))
@router.get("/healthz/ready", name="health_ready", responses=answers(Health, errors=(421, 429, 500, 503)))
async def ready(request: Request) -> Response:
    """A photo goes through the network and the index; 503 where it does not."""
    service, state = service_of(request), request.app.state
    if time.monotonic() - getattr(state, "probed", -SECONDS_BETWEEN) >= SECONDS_BETWEEN:
        try:
            await service.probe()
        except (FeatxError, UnreadablePhoto, RuntimeError, ValueError) as error:
            raise Problem(503, "not-ready", f"a photo cannot be computed: {error}", retry_after=5) from error
        state.probed = time.monotonic()
    trouble = service.catalogue.trouble
    words = None if trouble is None else trouble.message
    return json_answer(Health("ok" if trouble is None else "degraded", service.now.name, words))


@router.get("/metrics", responses={200: {"content": {"text/plain": {}}}}, response_class=PlainTextResponse)
async def metrics(request: Request, caller: Annotated[Caller, Depends(needs(READ))]) -> Response:
    """What the server counts, as Prometheus reads it."""
    return PlainTextResponse(service_of(request).measures.text(), media_type="text/plain; version=0.0.4")
