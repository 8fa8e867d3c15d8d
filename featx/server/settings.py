"""How a server listens, and what it refuses before it takes memory or time."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

MiB = 2**20


@dataclass(frozen=True)
class Limits:
    """The bounds of one request, and of all of them together."""

    # One photo in a body of its own, and a whole form of photos.
    photo_bytes: int = 20 * MiB
    form_bytes: int = 64 * MiB
    # Any other body: decisions are short.
    json_bytes: int = 64 * 1024
    photos_in_form: int = 32
    # Seconds until the headers, a whole body and an answer are there.
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    answer_seconds: float = 20.0
    # The time that one photo may take to decode; a large one takes a second.
    decode_seconds: float = 10.0
    idle_seconds: float = 5.0
    stop_seconds: float = 20.0
    connections: int = 256
    # Photos that wait or are computed at a time, and how many of them one caller may have.
    waiting_photos: int = 64
    waiting_photos_of_caller: int = 48
    photos_at_once: int = 16


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, for whom, and whether anything may be changed through it."""

    store: Path
    classifier: str | None = None
    weights: str | Path | None = None
    # `auto` takes an index that is built beside the store, and compares all rows where there is none.
    engine: str = "auto"
    host: str = "127.0.0.1"
    port: int = 8470
    # Other names by which browsers may reach it, such as that of a proxy in front of it.
    names: tuple[str, ...] = ()
    read_only: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def address(self) -> str:
        """The address to type into a browser: a name, where the server listens on every address."""
        named = self.names[0] if self.names and is_every(self.host) else self.host
        host = f"[{named}]" if ":" in named else named
        return f"http://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether an address or name leads to this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_every(host: str) -> bool:
    """Whether it stands for every address of this machine, which no browser can open."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
