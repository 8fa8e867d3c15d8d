"""Which engine answers: by the size of the catalogue, by what is built, or by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featx.errors import FeatxError
from featx.retrieval.approximate import Watch, approximate_of, open_nearby
from featx.retrieval.engines.servers import is_address
from featx.retrieval.lance_index import build_lance, lance_of, open_lance, unsealed
from featx.retrieval.search import SMALL
from featx.retrieval.server_index import noted_server, open_synced

if TYPE_CHECKING:
    from featx.retrieval.engines.base import CandidateSource
    from featx.retrieval.rows import IndexRows

# Up to so many photos a graph is built, which lies in memory; beyond, an index of Lance.
GRAPH_SUITS = 10_000_000
ENGINES = ("auto", "exact", "usearch", "lance")


def suited_index(n: int) -> str:
    """The index that is built for n photos, where one is wanted."""
    return "usearch" if n <= GRAPH_SUITS else "lance"


def require_engine(name: str) -> None:
    """Refuse an engine that does not exist."""
    if name not in ENGINES and not is_address(name):
        raise FeatxError(
            "bad-flag",
            f"there is no search engine `{name}`",
            f"choose one of {', '.join(ENGINES)}, or the URL of a server",
        )


def open_engine(index: IndexRows, engine: str, *, make: bool, watch: Watch | None = None) -> CandidateSource | None:
    """An engine by name; None for exact search, and where there is no index of it and `make` does not build one."""
    require_engine(engine)
    if is_address(engine):
        return open_synced(index, engine)
    if engine == "auto":
        return _built_already(index)
    if engine == "usearch":
        return open_nearby(index, make=make, watch=watch)
    if engine == "lance":
        return open_lance(index) or (build_lance(index, watch) if make else None)
    return None


def build_index(index: IndexRows, engine: str = "auto", watch: Watch | None = None) -> tuple[str, CandidateSource]:
    """Build the index of a store with an engine, or with the one for its size; its name, and the index."""
    require_engine(engine)
    name = suited_index(len(index)) if engine == "auto" else engine
    if name == "exact":
        raise FeatxError("bad-flag", "exact search needs no index", "build one of usearch or lance")
    if is_address(name):
        raise FeatxError("bad-flag", "an index on a server is synced, not built", "`featx index sync URL`")
    source = build_lance(index, watch) if name == "lance" else open_nearby(index, make=True, watch=watch)
    if source is None:
        raise unsealed(index)
    return name, source


def _built_already(index: IndexRows) -> CandidateSource | None:
    """The index of a large catalogue that exists: on a server, or the one that suits its size first."""
    assert index.path is not None
    if len(index) < SMALL:
        return None
    if (server := noted_server(index.path)) is not None:
        try:
            return open_synced(index, server)
        except FeatxError as error:
            if error.code != "index-stale":
                raise
            # The store has changed since the sync: what is here answers, as without a server.
    here = {"usearch": approximate_of(index.path).is_file(), "lance": lance_of(index.path).is_file()}
    first = suited_index(len(index))
    for name in sorted(here, key=lambda name: name != first):
        if here[name] and (source := open_engine(index, name, make=False)) is not None:
            return source
    return None
