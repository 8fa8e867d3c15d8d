"""`/v1/update`: extract what is new, train again, predict, as `featx update` does; and what that changed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from featx.server.answers import json_answer
from featx.server.problems import Problem
from featx.server.requests import answers, needs, service_of
from featx.server.service import in_thread
from featx.server.tokens import READ, REVIEW, Caller
from featx.server.updates import UpdateAnswer

router = APIRouter(tags=["update"])
Reader = Annotated[Caller, Depends(needs(READ))]
Reviewer = Annotated[Caller, Depends(needs(REVIEW))]


@router.post("/v1/update", name="begin_update", status_code=202, responses=answers(UpdateAnswer, 202))
async def begin(request: Request, caller: Reviewer) -> Response:
    """Begin an update, or say how far the one under way is."""
    service = service_of(request)
    if service.settings.classifier is not None:
        raise Problem(409, "bad-flag", "this server has a classifier of its own", "start it without `--clf`")
    return json_answer(await in_thread(service.update.start), 202)


@router.get("/v1/update", name="update", responses=answers(UpdateAnswer))
async def state(request: Request, caller: Reader) -> Response:
    """How far the update is, and what the last one changed."""
    return json_answer(service_of(request).update.answer)
