"""The page, its files, the link that logs a browser in, and the description of the API."""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import HTMLResponse, Response

from featx.server.problems import JsonResponse, Problem
from featx.server.requests import needs, service_of
from featx.server.service import Service
from featx.server.tokens import COOKIE, READ, SESSION_SECONDS, Caller

router = APIRouter(include_in_schema=False)
PAGE = Path(__file__).parent / "page"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# A page that sends the browser on: after a redirect, a strict cookie would not be sent by a link from elsewhere.
ONWARD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>featx</title>'
    '<link rel="icon" href="/page/icon.svg">{onward}<p>{words}</p></html>'
)


@router.get("/")
async def page() -> Response:
    """The page, which asks the API for everything it shows."""
    return _file("index.html")


@router.get("/page/{name}")
async def file(name: str) -> Response:
    """A script or style of the page."""
    return _file(name)


@router.get("/widget.js")
async def widget() -> Response:
    """The script that shows look-alikes on a shop's own pages."""
    return _file("widget.js")


def _file(name: str) -> Response:
    files = files_of_page()
    if name not in files:
        raise Problem(404, "not-found", "no such file")
    kind = KINDS[Path(name).suffix]
    return Response(files[name], media_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})


@cache
def files_of_page() -> dict[str, bytes]:
    """The files of the page by name; no other file of the disk can be named."""
    return {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.suffix in KINDS}


@router.get("/login")
async def login(request: Request, token: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Open a session for the browser with the link that `featx serve` printed."""
    service = service_of(request)
    session = service.access.session(token)
    if session is None:
        words = "This link has been used already, or is old. The terminal of featx serve has a new one."
        return HTMLResponse(ONWARD.format(onward="", words=words), 403)
    _announce_link(service)
    onward = '<meta http-equiv="refresh" content="0;url=/">'
    response = HTMLResponse(ONWARD.format(onward=onward, words=f"Welcome. {html.escape('Opening the page …')}"))
    response.set_cookie(COOKIE, session, max_age=int(SESSION_SECONDS), httponly=True, samesite="strict", path="/")
    return response


def _announce_link(service: Service) -> None:
    """Each link works once, so the next browser needs the next link."""
    service.announce(f"{service.settings.address}/login?token={service.access.new_link()}")


@router.get("/openapi.json")
async def description(request: Request, caller: Annotated[Caller, Depends(needs(READ))]) -> Response:
    """The description of the API."""
    return JsonResponse(request.app.openapi())
