"""What every server of vectors does for an index that is kept on it: rows under numbers, each with a stamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.retrieval.condition_tree import Value
from featx.retrieval.engines.base import VectorEngine
from featx.retrieval.engines.pushdown import KeptColumn

# The schemes of addresses, and the servers they stand for.
SCHEMES = {"postgresql": "postgresql", "postgres": "postgresql", "qdrant": "qdrant", "qdrants": "qdrant"}


class ServerState(msgspec.Struct, frozen=True):
    """What a server remembers of an index: the store it is of, and how much it finds; `store` is empty meanwhile."""

    store: str
    described: list[str]
    width: int
    columns: list[tuple[str, str, str]]
    # The groups of rows whose recall is measured; kept, or every sync would move rows to other groups.
    centres: list[list[float]]
    recall: float = 0.0
    towards: float = 0.0
    away: float = 0.0
    effort: int = 0


@dataclass(frozen=True)
class ServerRows:
    """Rows for a server: their numbers and stamps, directions of length 1, and the values of the kept columns."""

    keys: NDArray[np.int64]
    stamps: NDArray[np.int64]
    directions: NDArray[np.float32]
    values: Mapping[str, Sequence[Value]]


class VectorServer(Protocol):
    """One index on a server, under a name."""

    def state(self) -> ServerState | None:
        """What the server remembers of the index; None where there is none."""

    def remember(self, state: ServerState) -> None:
        """Keep the state."""

    def begin(self, width: int, columns: Sequence[KeptColumn], *, anew: bool) -> None:
        """Make room for rows, and forget all that are there with `anew`."""

    def stamps(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of all rows in order, and the stamp of each."""

    def put(self, rows: ServerRows) -> None:
        """Add or replace rows, durably."""

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Forget rows, durably."""

    def finish(self) -> None:
        """Make the indexes that searches need."""

    def engine(self) -> VectorEngine:
        """The rows, to be searched."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True)
class Address:
    """Where an index is: the server's URL, and the name there that `#name` at the end of the URL gives."""

    url: str
    name: str

    @classmethod
    def of(cls, text: str, default: str) -> Address:
        """An address as people write it; the name is that of the store where none is given."""
        parts = urlsplit(text)
        if parts.scheme not in SCHEMES:
            raise FeatxError(
                "bad-flag",
                f"`{parts.scheme}://` is no server that featx can keep an index on",
                "write postgresql://host/database or qdrant://host:6333",
            )
        name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in parts.fragment or default)
        return cls(urlunsplit(parts._replace(fragment="")), name.lower()[:40] or "index")

    @property
    def kind(self) -> str:
        """Which server it is."""
        return SCHEMES[urlsplit(self.url).scheme]

    @property
    def shown(self) -> str:
        """The address without its password."""
        return f"{without_password(self.url)}#{self.name}"


def without_password(url: str) -> str:
    """A URL for people and files."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}"))


def is_address(text: str) -> bool:
    """Whether this is the URL of a server, and no name of an engine."""
    return "://" in text


def unreachable(address: Address, error: Exception) -> FeatxError:
    """The error for a server that does not answer, or refuses."""
    what = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return FeatxError(
        "no-server",
        f"cannot use the index server `{address.shown}`: {what}",
        "check the address, and that the server runs and lets you in; `--exact` needs no server",
    )
