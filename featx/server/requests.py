"""What routes share: who may call them, and how their bodies and errors are described."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Request
from pydantic import StringConstraints

from featx.server.problems import MEDIA_TYPE, Problem, ProblemDetails
from featx.server.service import Service
from featx.server.tokens import Caller

ID = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
ERRORS = {
    400: "The request cannot be understood.",
    401: "Nobody is logged in, and no token was sent.",
    403: "The token lacks the scope, or another site sent the request.",
    404: "There is no such item.",
    408: "The body took too long.",
    409: "Something must be run first, such as `featx fit`.",
    413: "The body is too large.",
    415: "The body is no photo.",
    421: "The server has another name.",
    422: "The photo, or a value, cannot be used.",
    429: "Too many photos of this caller wait.",
    500: "featx broke.",
    503: "The server is busy or stopping.",
}
BINARY = {"schema": {"type": "string", "format": "binary"}}
PHOTO_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": BINARY,
            "image/png": BINARY,
            "image/webp": BINARY,
            "application/octet-stream": BINARY,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"photo": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                    "required": ["photo"],
                }
            },
        },
    }
}


def service_of(request: Request) -> Service:
    """The service behind a request."""
    service: Service = request.app.state.service
    return service


def needs(scope: str) -> Callable[[Request], Caller]:
    """A dependency that lets in who has a scope."""

    async def check(request: Request) -> Caller:
        caller: Caller | None = request.scope["state"].get("caller")
        if caller is None or scope not in caller.scopes:
            read_only = service_of(request).settings.read_only
            hint = "the server is read-only" if read_only else f"make a token with `--scope {scope}`"
            raise Problem(403, "forbidden", f"this needs the scope `{scope}`", hint)
        return caller

    return check  # type: ignore[return-value]


def answers(
    model: Any, status: int = 200, errors: tuple[int, ...] = tuple(ERRORS), *, later: bool = False
) -> dict[int | str, dict[str, Any]]:
    """How the answers of a route are described: the good one, every problem, and that one has to ask `later` again."""
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    problems: dict[int | str, dict[str, Any]] = {
        code: {"description": ERRORS[code], "content": {MEDIA_TYPE: {"schema": schema}}} for code in errors
    }
    working: dict[int | str, dict[str, Any]] = (
        {202: {"model": model, "description": "It is worked on: ask again after `Retry-After`."}} if later else {}
    )
    return {status: {"model": model, "description": "The answer."}, **working, **problems}


__all__ = ["ERRORS", "ID", "PHOTO_BODY", "ProblemDetails", "answers", "needs", "service_of"]
