"""The API of `featx serve` from Python. This file needs nothing but Python: copy it where featx is not installed."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

Json = dict[str, Any]
Photo = bytes | str | Path


@dataclass(eq=False)
class Refusal(Exception):
    """Why there is no answer: the HTTP status (0 for none), featx's code, what is wrong and what to do next."""

    status: int
    code: str
    detail: str
    hint: str | None = None
    retry_after: float | None = None

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})" + (f"; {self.hint}" if self.hint else "")


class Client:
    """A server and a token for it; a server that is busy is asked again for `patience` seconds."""

    def __init__(self, address: str, token: str, *, timeout: float = 60, patience: float = 60) -> None:
        self.address, self.token, self.timeout, self.patience = address.rstrip("/"), token, timeout, patience
        self._opener = build_opener(_NoRedirect)

    def similar(self, item: str | None = None, *, photo: Photo | None = None, **settings: Any) -> list[Json]:
        """The products most like an item or a photo; `k`, `where`, `label`, `like`, … as in `GET /v1/similar`."""
        body = None if photo is None else _bytes_of(photo)
        answer = self.ask("GET" if body is None else "POST", "/v1/similar", body, id=item, **settings)
        return list(answer["answers"][0]["results"])

    def classify(self, photo: Photo, top: int = 3) -> Json:
        """The `category` of a photo, how `sure` that is, and whether it is for a person to `review`."""
        return dict(self.ask("POST", "/v1/classify", _bytes_of(photo), top=top)["answers"][0])

    def items(self, **settings: Any) -> Iterator[Json]:
        """The items of the catalogue, page after page; `q`, `where` and `label` choose among them."""
        start: int | None = 0
        while start is not None:
            page = self.ask("GET", "/v1/items", **{"limit": 200, **settings, "start": start})
            yield from page["items"]
            start = page["next"]

    def decide(self, item: str, decision: str, new_label: str = "") -> Json:
        """Decide `keep`, `change` or `exclude`; the answer has the `key` by which `undo` takes it back."""
        return self.ask("POST", "/v1/decisions", {"id": item, "decision": decision, "new_label": new_label})

    def undo(self, key: str) -> Json:
        """Take a decision back."""
        return self.ask("DELETE", f"/v1/decisions/{quote(key, safe='')}")

    def decisions(self, limit: int = 50) -> list[Json]:
        """The newest decisions."""
        return list(self.ask("GET", "/v1/decisions", limit=limit)["decisions"])

    def ask(self, method: str, path: str, body: bytes | Json | None = None, **query: Any) -> Json:
        """Any route of the API, with a photo or a record in the body; `GET /openapi.json` describes them."""
        kind, data = ("octet-stream", body) if isinstance(body, bytes) else ("json", body and json.dumps(body).encode())
        # Asked again with the same key, a decision is still one decision.
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": secrets.token_hex(12)}
        headers |= {"Content-Type": f"application/{kind}"} if data else {}
        settings = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
        request = Request(f"{self.address}{path}?{settings}", data or None, headers, method=method)
        until = time.monotonic() + self.patience
        while True:
            try:
                return self._answer(request)
            except Refusal as refusal:
                if refusal.retry_after is None or time.monotonic() + refusal.retry_after > until:
                    raise
                time.sleep(refusal.retry_after)

    def _answer(self, request: Request) -> Json:
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                return dict(json.load(answer))
        except HTTPError as error:
            raise _refusal_of(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            hint = "is `featx serve` running there?"
            raise Refusal(0, "no-answer", f"{self.address} gives no answer of featx: {error}", hint) from error


class _NoRedirect(HTTPRedirectHandler):
    """The token is for this server alone, and featx sends nobody elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _refusal_of(error: HTTPError) -> Refusal:
    wait = error.headers.get("Retry-After", "")
    with error:
        try:
            body = dict(json.load(error))
        except (ValueError, TypeError, OSError):  # a proxy in between answers in its own words
            body = {}
    code, detail = body.get("code", "no-answer"), body.get("detail", error.reason)
    return Refusal(error.code, code, detail, body.get("hint"), float(wait) if wait.isdigit() else None)


def _bytes_of(photo: Photo) -> bytes:
    return photo if isinstance(photo, bytes) else Path(photo).read_bytes()
