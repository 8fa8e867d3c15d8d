"""Errors as the API answers them: problem details (RFC 9457) with featx's codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from featx.errors import FeatxError

MEDIA_TYPE = "application/problem+json"
# The status of every error that a request can cause; any other one is a fault of the server.
STATUS: Mapping[str, int] = {
    "bad-flag": 400,
    "bad-column": 400,
    "bad-manifest": 400,
    "photo-unreadable": 422,
    "not-in-store": 404,
    "no-text": 404,
    "no-such-file": 404,
    "class-too-small": 409,
    "no-model": 409,
    "other-backbone": 409,
    "store-busy": 503,
    "no-server": 503,
    "disk-full": 507,
}
# What to do next where the command had nothing to suggest.
HINTS: Mapping[str, str] = {"not-in-store": "`/v1/items` lists them"}


class Problem(Exception):
    """A request that is refused: the status, featx's code, what is wrong and what to do next."""

    def __init__(self, status: int, code: str, detail: str, hint: str = "", retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint
        self.retry_after = retry_after

    @classmethod
    def of(cls, error: FeatxError) -> Problem:
        """The problem that one of featx's errors is for the caller."""
        status = STATUS.get(error.code, 500)
        hint = error.hint or HINTS.get(error.code, "")
        return cls(status, error.code, error.message, hint, 5 if status == 503 else None)

    @property
    def details(self) -> ProblemDetails:
        """The body of the answer."""
        title = self.code.replace("-", " ")
        return ProblemDetails(
            f"urn:featx:error:{self.code}", title, self.status, self.detail, self.code, self.hint or None
        )

    def response(self) -> Response:
        """The answer itself."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JsonResponse(vars(self.details), self.status, headers, MEDIA_TYPE)


@dataclass(frozen=True)
class ProblemDetails:
    """The body of every error."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str | None = None


class JsonResponse(JSONResponse):
    """JSON in plain ASCII, so that names which are not UTF-8 can travel too."""

    def render(self, content: object) -> bytes:
        """The bytes of the answer."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()


def too_large(limit: int) -> Problem:
    """The refusal of a body that is too long."""
    return Problem(413, "too-large", f"the body is over {limit / 2**20:g} MiB", "send a smaller photo, or fewer")


def unknown_item(name: str, hint: str = "") -> Problem:
    """The refusal of a name that is neither an item nor a product."""
    return Problem(404, "not-in-store", f"no item or product `{name[:200]}`", hint or HINTS["not-in-store"])
