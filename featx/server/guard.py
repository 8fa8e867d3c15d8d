"""The door in front of every request: its host, its origin, its caller and its size; and the headers of every answer.

One layer of ASGI around the application, so that no route can forget it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from featx.errors import FeatxError
from featx.server.measures import Measures
from featx.server.problems import Problem, too_large
from featx.server.settings import Limits, ServerSettings, is_loopback
from featx.server.tokens import CLASSIFY, COOKIE, Access, Caller

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; img-src 'self' blob:; connect-src 'self'; style-src 'self'; "
    "media-src 'self' blob:; manifest-src 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# The page and the widget, which hold no data, the link that logs a browser in, and the checks of a supervisor.
OPEN_PATHS = frozenset(
    {
        "/",
        "/widget.js",
        "/login",
        "/healthz",
        "/healthz/live",
        "/healthz/ready",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
    }
)
OPEN_FOLDERS = ("/page/",)
# Where a photo is sent that waits for the network.
PHOTO_PATHS = frozenset({"/v1/similar", "/v1/classify"})


class Guard:
    """Refuses what does not belong here before the application sees it."""

    def __init__(
        self,
        app: App,
        settings: ServerSettings,
        access: Access,
        measures: Measures,
        require_room: Callable[[Caller], Awaitable[None]],
    ) -> None:
        """`require_room` refuses a photo of a caller where too many wait."""
        self.app, self.settings, self.access, self.measures = app, settings, access, measures
        self.require_room = require_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and stop of the server."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no other doors, such as web sockets
            return
        body = _Body(scope, receive, self.settings.limits)
        answer = _Answer(scope, send, body)
        begun = time.monotonic()
        try:
            caller = self._admit(scope)
            body.require_size()
            # Here, where a refusal costs a third: while many are sent they must not hold up the answers.
            if scope["path"] in PHOTO_PATHS and scope["method"] == "POST" and caller and CLASSIFY in caller.scopes:
                await self.require_room(caller)
            await self.app(scope, body, answer)
        except Problem as problem:
            await problem.response()(scope, receive, answer)
        except FeatxError as error:
            await Problem.of(error).response()(scope, receive, answer)
        finally:
            self.measures.answered(_route(scope), answer.status, time.monotonic() - begun)

    def _admit(self, scope: Scope) -> Caller | None:
        headers = Headers(scope=scope)
        self._check_host(headers)
        caller = self.access.caller(headers.get("authorization", ""), _session(headers))
        self._check_origin(scope, headers, caller)
        if caller is None and not is_open(scope["path"]):
            raise Problem(
                401,
                "not-logged-in",
                "this needs a login",
                "open the link that `featx serve` printed, or send `Authorization: Bearer TOKEN`",
            )
        scope.setdefault("state", {})["caller"] = caller
        return caller

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """A page elsewhere may point a name of its own at this machine; only our own names are answered."""
        host = headers.get("host", "")
        name = (urlsplit(f"//{host}").hostname or "") if _is_host(host) else ""
        known = {self.settings.host.lower(), *map(str.lower, self.settings.names)}
        if name not in known and not (self.settings.loopback and is_loopback(name)):
            raise Problem(421, "wrong-host", "the server has another name", "`featx serve --name NAME` allows one more")

    def _check_origin(self, scope: Scope, headers: Mapping[str, str], caller: Caller | None) -> None:
        """No other site may use the session of a browser; a program with a token has none to be misused."""
        site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
        safe = scope["method"] in SAFE
        page = safe and headers.get("sec-fetch-mode") == "navigate" and not scope["path"].startswith("/v")
        foreign = site not in ("", "same-origin", "none") and not page
        if origin and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            foreign = True
        if not safe and caller is not None and caller.by_cookie and not (site or origin):
            foreign = True
        if foreign:
            raise Problem(403, "foreign-origin", "another site sent this request", "open the page of the server itself")


class _Body:
    """The body, counted while it arrives: its announced length may lie, and it may never end."""

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        headers = Headers(scope=scope)
        self._receive, self._limits = receive, limits
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._most = limits.json_bytes if kind in ("", "application/json") else limits.photo_bytes
        if kind == "multipart/form-data" or scope["path"].startswith("/v2/"):
            self._most = limits.form_bytes
        self._announced = headers.get("content-length", "")
        self._arrived, self._until = 0, time.monotonic() + limits.body_seconds
        # Whether it has arrived, and whether more of it is of any use.
        self._complete = self._announced in ("", "0") and "transfer-encoding" not in headers
        self._closes = scope.get("http_version") == "1.0" or headers.get("connection", "").lower() == "close"

    def require_size(self) -> None:
        """Refuse a body that says itself that it is too long."""
        if self._announced.isdigit() and int(self._announced) > self._most:
            raise too_large(self._most)

    async def __call__(self) -> Message:
        """The next part of it, within the limits."""
        if self._complete:
            return await self._receive()
        message = await self._next(self._until)
        if self._arrived > self._most:
            raise too_large(self._most)
        return message

    @property
    def wants_reading(self) -> bool:
        """Whether a connection that closes with the answer would cut it off: who still sends may never read it."""
        return self._closes and not self._complete

    async def discard(self) -> None:
        """Read the rest of it, so that its sender, such as a proxy, reads the answer; within limits of its own."""
        until = time.monotonic() + self._limits.header_seconds
        with suppress(Problem):
            while not self._complete and self._arrived <= self._limits.form_bytes:
                if (await self._next(until))["type"] == "http.disconnect":
                    return

    async def _next(self, until: float) -> Message:
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                message = await self._receive()
        except TimeoutError as error:
            self._complete = True
            raise Problem(408, "too-slow", "the body took too long to arrive", "send it again") from error
        self._arrived += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        return message


class _Answer:
    """Adds the headers of every answer, and remembers its status."""

    def __init__(self, scope: Scope, send: Send, body: _Body) -> None:
        self._scope, self._send, self._body = scope, send, body
        self.status = 500
        self._request_id = secrets.token_hex(8)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-ID"] = self._request_id
            headers.setdefault("Cache-Control", "no-store")
        elif self._body.wants_reading and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._body.discard()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)


def _route(scope: Scope) -> str:
    """The pattern of the path, so that a metric has no more labels than there are routes."""
    refused = scope["path"] if scope["path"] in PHOTO_PATHS else "other"
    return str(getattr(scope.get("route"), "path", "")) or refused


def is_open(path: str) -> bool:
    """Whether a path holds no data, so that it answers everybody."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _is_host(text: str) -> bool:
    """Whether a header has the form of a host, with or without a port."""
    return bool(text) and not any(c in "/@?#\\" or c.isspace() for c in text)


def _session(headers: Mapping[str, str]) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""
