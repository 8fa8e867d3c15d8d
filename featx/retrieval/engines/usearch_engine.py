"""usearch's graph of nearest neighbours (an extra)."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.retrieval.engines.base import Keys

if TYPE_CHECKING:
    from featx.retrieval.condition_tree import Node

# Eight bits a number: half the time and a third of the room of floats, and the exact comparison makes up for it.
KIND = "i8"
LINKS, BUILD_EFFORT = 16, 128
# So many times as many are gone through as are proposed.
SPARE = 2


class UsearchEngine:
    """A graph in memory, or mapped read-only from a file. It takes no conditions: what it proposes is filtered."""

    name = "usearch"
    efforts: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    @classmethod
    def empty(cls, width: int) -> Self:
        """A graph without a photo."""
        return cls(_index_class()(ndim=width, metric="cos", dtype=KIND, connectivity=LINKS, expansion_add=BUILD_EFFORT))

    @classmethod
    def restore(cls, data: bytes | memoryview, *, view: bool) -> Self | None:
        """A saved graph; a view maps the bytes and cannot be changed."""
        graph = _index_class().restore(data, view=view)
        return None if graph is None else cls(graph)

    def __len__(self) -> int:
        return len(self._graph)

    def add(self, keys: Keys, directions: NDArray[np.float32], threads: int) -> None:
        """Take in rows of length 1 under numbers that are new."""
        self._graph.add(keys, directions, threads=threads)

    def remove(self, keys: Keys) -> None:
        """Forget some numbers."""
        self._graph.remove(keys)

    def search(self, direction: NDArray[np.float32], k: int, effort: int, only: Node | None = None) -> Keys:
        """The numbers of probably the k nearest."""
        # The last of those that it goes through are the least certain: under a condition these were the answers.
        self._graph.expansion_search = max(effort, SPARE * k)
        return np.asarray(self._graph.search(direction, k).keys, dtype=np.uint64)

    def understood(self, condition: Node) -> Node | None:
        """Nothing of any condition."""
        return None

    def save(self, path: Path) -> None:
        """Write all of it into a new file, without holding it twice."""
        try:
            self._graph.save(os.fspath(path))
        except RuntimeError as error:
            raise OSError(str(error)) from error
        # A disk that is full at the last bytes is no error to usearch.
        if path.stat().st_size != self._graph.serialized_length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _index_class() -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise FeatxError(
            "extra-missing",
            "approximate search needs usearch, which is not installed",
            "`pip install 'featx[approx]'`, or search exactly: `--exact`",
        ) from error
    return Index
