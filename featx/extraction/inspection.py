"""Looking at photos: is it new, changed, a copy, as before, or none that can be read?"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from featx.catalogue.items import Item, Skipped
from featx.extraction.existing_rows import ExistingRows
from featx.extraction.stat_cache import SkipLog, StatCache
from featx.images import UnreadablePhoto, digest_of, read_bytes

if TYPE_CHECKING:
    pass

Kind = Literal["unchanged", "new", "changed", "copied", "skipped"]
# Bytes of a photo, its path and its digest, to what the network wants of each view.
Prepare = Callable[[bytes, str, str], Sequence[Any]]


@dataclass
class Inspection:
    """What one photo turned out to be."""

    item: Item
    kind: Kind
    digest: str = ""
    prepared: Sequence[Any] | None = None
    skip: Skipped | None = None
    stat: tuple[int, int] | None = None


class Inspector:
    """Photos looked at in worker threads; every digest is claimed by the first photo that has it."""

    def __init__(
        self, known: ExistingRows, seen: StatCache, skips: SkipLog, stop: threading.Event, *, force: bool
    ) -> None:
        self.known, self.seen, self.skips, self.stop, self.force = known, seen, skips, stop, force
        self._claimed: set[str] = set()
        self._claim = threading.Lock()

    def _look(self, item: Item, prepare: Prepare | None) -> Inspection:
        if self.stop.is_set():
            return Inspection(item, "skipped")
        row = self.known.row_of(item)
        try:
            stat = os.stat(item.path)
            mark = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            mark = None
        if mark is not None and not self.force:
            if row is not None and self.seen.digest(item.path, mark) == row.digest:
                return Inspection(item, "unchanged", row.digest, stat=mark)
            skip = self.skips.still_bad(item.path, mark)
            if skip is not None:
                return Inspection(item, "skipped", skip=skip, stat=mark)
        try:
            data = read_bytes(item.path)
            digest = digest_of(data)
            if row is not None and row.digest == digest and not self.force:
                return Inspection(item, "unchanged", digest, stat=mark)
            kind: Kind = "new" if row is None else "changed"
            with self._claim:
                first = digest not in self._claimed
                stored = digest in self.known.digests and not self.force
                if first and not stored:
                    self._claimed.add(digest)
            if stored or not first:
                return Inspection(item, "copied", digest, stat=mark)
            prepared = None if prepare is None else prepare(data, item.path, digest)
            return Inspection(item, kind, digest, prepared, stat=mark)
        except UnreadablePhoto as error:
            return Inspection(item, "skipped", skip=Skipped(item.path, error.reason, error.detail), stat=mark)

    def over(
        self, items: Iterable[Item], pool: ThreadPoolExecutor, ahead: int, prepare: Prepare | None = None
    ) -> Iterator[Inspection]:
        """Looks in catalogue order, at most `ahead` of them in memory."""
        waiting: deque[Future[Inspection]] = deque()
        coming = iter(items)
        try:
            while True:
                while len(waiting) < ahead and not self.stop.is_set():
                    item = next(coming, None)
                    if item is None:
                        break
                    waiting.append(pool.submit(self._look, item, prepare))
                if not waiting or self.stop.is_set():
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
