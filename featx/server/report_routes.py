"""`/v1/report` and `/report`: the page of the last comparison, in a frame that can ask the server for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from featx.files.regular import read_regular
from featx.reporting.files import newest
from featx.reporting.page import page_policy
from featx.server.answers import json_answer
from featx.server.problems import Problem
from featx.server.requests import answers, needs, service_of
from featx.server.service import Service, in_thread
from featx.server.tokens import READ, Caller

router = APIRouter(tags=["report"])
Reader = Annotated[Caller, Depends(needs(READ))]
ADDRESS = "/report"


@dataclass(frozen=True)
class ReportAnswer:
    """When the comparison of the newest report was made, and the address of its page; nothing before the first."""

    written: str | None = None
    page: str | None = None


@router.get("/v1/report", name="report", responses=answers(ReportAnswer))
async def about_report(request: Request, caller: Reader) -> Response:
    """The newest report of a comparison."""
    page = await in_thread(_newest_page, service_of(request))
    return json_answer(ReportAnswer() if page is None else ReportAnswer(page.parent.name, ADDRESS))


@router.get(ADDRESS, include_in_schema=False)
async def report_page(request: Request, caller: Reader) -> Response:
    """The page of the newest report, as it was written."""
    page = await in_thread(_newest_page, service_of(request))
    if page is None:
        raise Problem(404, "no-such-file", "no comparison has been made yet", "make one: `featx compare`")
    data = await in_thread(read_regular, page)
    return Response(data, headers=_frame(), media_type="text/html; charset=utf-8")


def _newest_page(service: Service) -> Path | None:
    report = newest(service.workspace.root / "reports")
    page = None if report is None else report.with_name("report.html")
    return page if page is not None and page.exists() else None


@cache
def _frame() -> dict[str, str]:
    """A report runs featx's own two scripts alone, and is of no origin: it reaches neither the session nor the API."""
    policy = f"{page_policy()}; frame-ancestors 'self'; sandbox allow-scripts allow-popups"
    return {"Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"}
