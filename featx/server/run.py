"""A server on a port: connections that stall are closed, and a signal lets what is under way finish."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from featx.compute.threads import one_thread_each
from featx.errors import FeatxError
from featx.server.app import application
from featx.server.service import Service
from featx.server.settings import Limits, ServerSettings
from featx.server.tokens import Access, tokens_of
from featx.workspace import Workspace

LARGEST_HEADER = 16 * 1024
# The loop gives the interpreter up with every packet, and waits up to this long for it while photos are decoded.
TURN_SECONDS = 0.0005


def serve(
    store: str | Path | None = None,
    *,
    classifier: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8470,
    names: Sequence[str] = (),
    read_only: bool = False,
    engine: str = "auto",
    weights: str | Path | None = None,
    on_link: Callable[[str], object] = print,
    on_ready: Callable[[Service], object] = lambda _: None,
) -> None:
    """Serve a store (the current one when none is named) to browsers and programs until a signal.

    `on_link` is given each address that logs a browser in: one at the start, and the next whenever one was used.
    `engine` names the search engine; by default an index that is built beside the store is used. `names` are other
    names of the server, such as that of a proxy; `read_only` takes no decisions. Other machines are let in by `host`
    only where there are tokens: `featx serve --add-token NAME`.
    """
    workspace = Workspace.here()
    path = workspace.current_store(None if store is None else Path(store))
    settings = ServerSettings(path, classifier, weights, engine, host, port, tuple(names), read_only)
    access = Access(tokens_of(workspace), read_only=read_only)
    require_tokens(settings, access)
    listener = listening_socket(settings)
    with listener, one_thread_each(), _short_turns(), leaving_out_what_is_there() as leave_out:
        service = Service(settings, access, on_link, leave_out)
        on_ready(service)
        on_link(f"{settings.address}/login?token={access.new_link()}")
        uvicorn.Server(configuration(service)).run(sockets=[listener])


@contextmanager
def _short_turns() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


@contextmanager
def leaving_out_what_is_there() -> Iterator[Callable[[], object]]:
    """Python halts every thread while it looks for garbage; what is called in here leaves out what is there already.

    The libraries alone are hundreds of thousands of objects, which it would look through again and again: every caller
    would wait for a third of a second.
    """

    def leave_out() -> None:
        gc.collect()
        gc.freeze()

    try:
        yield leave_out
    finally:
        gc.unfreeze()


def require_tokens(settings: ServerSettings, access: Access) -> None:
    """Other machines are let in only where somebody has made a token."""
    if not settings.loopback and not access.tokens.tokens():
        raise FeatxError(
            "bad-flag",
            f"`--host {settings.host}` lets other machines in, and there is no token yet",
            "make one first: `featx serve --add-token NAME --scope read`",
        )


def listening_socket(settings: ServerSettings) -> socket.socket:
    """The socket, bound before anything slow is opened."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named as TCP, or asyncio lets the rest of an answer wait until its first packet is acknowledged, 40 ms later.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        # Whoever opens the link at once waits for the first answer instead of being refused.
        listener.listen(settings.limits.connections)
    except (OSError, OverflowError) as error:
        listener.close()
        words = getattr(error, "strerror", None) or str(error)
        raise FeatxError(
            "bad-flag", f"cannot listen on {settings.host}:{settings.port}: {words.lower()}", "choose another `--port`"
        ) from error
    return listener


def configuration(service: Service) -> uvicorn.Config:
    """How connections are handled; featx counts requests itself, and writes no secret into a log."""
    limits = service.settings.limits
    return uvicorn.Config(
        application(service),
        http=bounded_protocol(limits),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=int(limits.stop_seconds),
        h11_max_incomplete_event_size=LARGEST_HEADER,
        backlog=limits.connections,
    )


def bounded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """uvicorn's protocol, with a bound on connections and on the time that headers may take."""

    class BoundedProtocol(H11Protocol):
        _headers_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            if len(self.connections) >= limits.connections:
                transport.abort()
                return
            super().connection_made(transport)
            self._expect_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._headers_came()
            if self.transport is not None:
                super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._headers_due is None and (self.cycle is None or self.cycle.response_complete):
                self._expect_headers()
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._headers_came()

        def _expect_headers(self) -> None:
            self._headers_due = self.loop.call_later(limits.header_seconds, self.transport.abort)

        def _headers_came(self) -> None:
            if self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None

    return BoundedProtocol
