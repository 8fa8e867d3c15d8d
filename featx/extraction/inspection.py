"""Classify each photo: unchanged, new, changed, a copy of another one, or unusable."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from featx.catalogue.items import Item, Skipped
from featx.embedding.stream import Embedded, Images, Source
from featx.extraction.existing_rows import ExistingRows
from featx.extraction.skip_log import SkipLog
from featx.extraction.stat_cache import StatCache
from featx.images import UnreadablePhoto, digest_of, mark_of, read_bytes, read_with_mark

Kind = Literal["unchanged", "new", "changed", "copied", "skipped"]
# A photo's bytes, path and digest, and how small a JPEG may come out, to its image and its other views.
Decode = Callable[[bytes, str, str, tuple[int, int] | None], Images]


@dataclass
class Inspection:
    """A photo of the catalogue with the outcome of its inspection."""

    item: Item
    kind: Kind = "unchanged"
    digest: str = ""
    skip: Skipped | None = None
    # Size and time of the file; None if they cannot be read.
    mark: tuple[int, int] | None = None

    def conclude(self, result: Embedded[Inspection]) -> None:
        """Take over the outcome of the stream: a photo that cannot be read is skipped."""
        if result.unreadable is not None:
            self.kind, self.digest = "skipped", ""
            self.skip = Skipped(self.item.path, result.unreadable.reason, result.unreadable.detail)


class Inspector:
    """Looks at photos in worker threads; every digest is claimed by the first photo that has it."""

    def __init__(
        self, existing: ExistingRows, stats: StatCache, skips: SkipLog, decode: Decode, *, force: bool = False
    ) -> None:
        self.existing, self.stats, self.skips, self.decode, self.force = existing, stats, skips, decode, force
        self._claimed: set[str] = set()
        self._claim = threading.Lock()

    def look(self, inspection: Inspection) -> bytes | None:
        """Inspect a photo; returns its bytes if its features must be computed."""
        item = inspection.item
        row = self.existing.row_of(item)
        # Of a photo that nothing is known of, size and time come with its bytes: a bucket bills every request.
        known = row is not None or item.path in self.skips
        mark = inspection.mark = mark_of(item.path) if known else None
        if mark is not None and not self.force:
            if row is not None and self.stats.digest(item.path, mark) == row.digest:
                inspection.digest = row.digest
                return None
            inspection.skip = self.skips.unchanged_skip(item.path, mark)
            if inspection.skip is not None:
                inspection.kind = "skipped"
                return None
        data = read_bytes(item.path) if known else self._read_first(inspection)
        inspection.digest = digest_of(data)
        if row is not None and row.digest == inspection.digest and not self.force:
            return None
        if not self._is_first(inspection.digest):
            inspection.kind = "copied"
            return None
        inspection.kind = "new" if row is None else "changed"
        return data

    def _read_first(self, inspection: Inspection) -> bytes:
        try:
            data, inspection.mark = read_with_mark(inspection.item.path)
        except UnreadablePhoto:
            # Noted with the verdict, so that the same bytes are not read again.
            inspection.mark = mark_of(inspection.item.path)
            raise
        return data

    def read(self, inspection: Inspection) -> Source | None:
        """A photo for the stream; None if there is nothing to compute."""
        data = self.look(inspection)
        if data is None:
            return None
        path, digest = inspection.item.path, inspection.digest
        return Source(digest, lambda smallest: self.decode(data, path, digest, smallest))

    def _is_first(self, digest: str) -> bool:
        """Whether no row and no other photo of this run has these bytes; the first photo that asks claims them."""
        with self._claim:
            if digest in self._claimed or (digest in self.existing.digests and not self.force):
                return False
            self._claimed.add(digest)
            return True

    def finds_new_bytes(self, items: Iterable[Item]) -> bool:
        """Whether any photo has bytes that no row has: otherwise the network need not even be loaded."""
        return any(self._has_new_bytes(item) for item in items)

    def _has_new_bytes(self, item: Item) -> bool:
        row = self.existing.row_of(item)
        if row is not None or item.path in self.skips:
            mark = mark_of(item.path)
            if mark is None or (row is not None and self.stats.digest(item.path, mark) == row.digest):
                return False
            if self.skips.unchanged_skip(item.path, mark) is not None:
                return False
        try:
            return digest_of(read_bytes(item.path)) not in self.existing.digests
        except UnreadablePhoto:
            return False
