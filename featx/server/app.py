"""The application: every route behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from featx.errors import FeatxError
from featx.server import (
    explain_routes,
    health_routes,
    item_routes,
    map_routes,
    page_routes,
    protocol_routes,
    report_routes,
    review_routes,
    search_routes,
    update_routes,
)
from featx.server.description import description
from featx.server.guard import App, Guard
from featx.server.problems import Problem
from featx.server.service import Service
from featx.version import __version__

ROUTES = (
    search_routes,
    explain_routes,
    item_routes,
    review_routes,
    map_routes,
    report_routes,
    update_routes,
    protocol_routes,
    health_routes,
    page_routes,
)
SUMMARY = "Look-alikes and categories of product photos, and the catalogue behind them."


def application(service: Service) -> App:
    """Everything that answers, for a server of ASGI applications."""
    return Guard(routes_of(service), service.settings, service.access, service.measures, service.require_room)


def routes_of(service: Service | None) -> FastAPI:
    """The routes, without the guard; their description needs no service."""

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        assert service is not None
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="featx", version=__version__, summary=SUMMARY, lifespan=running, docs_url=None, redoc_url=None,
        openapi_url=None, generate_unique_id_function=lambda route: route.name,
    )  # fmt: skip
    app.state.service = service
    for routes in ROUTES:
        app.include_router(routes.router)
    _answer_errors(app)
    app.openapi = lambda: description(app)  # type: ignore[method-assign]
    return app


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(FeatxError)
    async def known(_: Request, error: FeatxError) -> Response:
        return Problem.of(error).response()

    @app.exception_handler(RequestValidationError)
    async def misfit(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = " ".join(str(part) for part in first["loc"][1:]) or "the body"
        return Problem(
            422, "bad-request", f"`{where}`: {first['msg']}", "`/openapi.json` says what is allowed"
        ).response()

    @app.exception_handler(HTTPException)
    async def unrouted(_: Request, error: HTTPException) -> Response:
        code = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "bad-request")
        return _with_headers(Problem(error.status_code, code, str(error.detail).lower()).response(), error)

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> Response:
        return Problem(500, "bug", f"featx broke ({type(error).__name__})", "the trace is in the log").response()


def _with_headers(response: Response, error: HTTPException) -> Response:
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
