"""Photos without text yet are read, side by side; what was read is safe at once, and the run may stop at any time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from featx.compute.threads import cores
from featx.errors import FeatxError
from featx.images import UnreadablePhoto, decode_photo, digest_of, read_bytes
from featx.store import Store, as_store
from featx.text.reader import Reader, looks_among, looks_of, open_reader, text_of
from featx.text.records import PhotoText
from featx.text.text_file import TextFile, TextWriter, other_files, texts_beside
from featx.workspace import Workspace

# So many photos at most are lost by a kill.
SAVED_EVERY = 16
# `auto` needs so many photos that were read, and the rest only where at least this share of them has this many letters.
SAMPLE, WORTH_SHARE, WORTH_LETTERS = 48, 0.1, 4

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class UnreadPhoto:
    """A photo that could not be read, and why."""

    path: str
    reason: str
    detail: str = ""


@dataclass
class ReadingReport:
    """What a run did to different contents, and how many `photos` of the store are `done` and have text afterwards."""

    store: Path
    reader: str = ""
    photos: int = 0
    done: int = 0
    with_text: int = 0
    read: int = 0
    copied: int = 0
    known: int = 0
    # Photos that another reader read before; `force` reads them again.
    by_other_reader: int = 0
    unread: list[UnreadPhoto] = field(default_factory=list)
    # `auto` found too little text in a sample, and left the rest.
    left: int = 0
    stopped: bool = False
    seconds: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """The report for programs."""
        return {
            "version": 1,
            "store": str(self.store),
            "reader": self.reader,
            "photos": self.photos,
            "read": self.read,
            "copied": self.copied,
            "known": self.known,
            "done": self.done,
            "with_text": self.with_text,
            "by_other_reader": self.by_other_reader,
            "unread": [{"path": photo.path, "reason": photo.reason, "detail": photo.detail} for photo in self.unread],
            "left": self.left,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class PhotoToRead:
    """A photo by its path, and the digest that its bytes must have; any where that is empty."""

    path: str
    digest: str = ""


def read_store(
    store: Store | str | Path | None = None,
    *,
    auto: bool = False,
    force: bool = False,
    workers: int | None = None,
    looks: int | None = None,
    reader: Reader | None = None,
    stop: threading.Event | None = None,
    progress: Progress = lambda done, total: None,
) -> ReadingReport:
    """Read the text on every photo of a store that was not read yet; the current store when none is named.

    With `auto` a sample is read first, and the rest only where it has text. `force` reads everything again. With two
    `looks` lines are looked for twice, and photos that were looked at once are read again; without a number, as often
    as the store's photos were. Another `reader` is anything that keeps the contract of `featx.text.reader.Reader`.
    """
    begun = time.monotonic()
    opened = as_store(store)
    with TextWriter.open(texts_beside(opened.path)) as writer:
        run = _Reading(opened, writer, reader, force, workers or cores(), stop or threading.Event(), progress, looks)
        run.go(auto)
    run.report.seconds = time.monotonic() - begun
    return run.report


class _Reading:
    """One run over the photos of a store."""

    def __init__(
        self,
        store: Store,
        writer: TextWriter,
        reader: Reader | None,
        force: bool,
        workers: int,
        stop: threading.Event,
        progress: Progress,
        looks: int | None,
    ) -> None:
        self.store, self.writer, self.workers, self.stop, self.progress = store, writer, workers, stop, progress
        self.given, self.force = reader, force
        self.known = writer.content.readers()
        self.looks = looks or looks_among(self.known.values())
        self.report = ReadingReport(store.path, photos=len(store))
        self.done = 0

    def go(self, auto: bool) -> None:
        """Read what is missing, or find that reading does not pay here."""
        photos = self._distinct()
        missing = photos if self.force else [photo for photo in photos if not self._is_known(photo)]
        self.report.known = len(photos) - len(missing)
        if missing:
            reader = self.given or open_reader(self.looks)
            self.report.reader = reader.fingerprint
            if not self.force:
                missing = self._copied(missing, reader)
            if auto:
                sample = _spread(missing, max(0, SAMPLE - self.report.known - self.report.copied))
                self._read(reader, sample, len(missing))
                missing = [photo for photo in missing if photo not in sample]
            if auto and not self._pays() and not self.stop.is_set():
                self.report.left = len(missing)
            else:
                self._read(reader, missing, len(missing) + self.done)
        self._count()

    def _is_known(self, photo: PhotoToRead) -> bool:
        """Whether the photo was read before, and looked at as often as now."""
        reader = self.known.get(photo.digest)
        return reader is not None and (self.given is not None or looks_of(reader) >= self.looks)

    def _distinct(self) -> list[PhotoToRead]:
        """The photos of the store, each content once."""
        paths = dict(zip(reversed(self.store.digests), reversed(self.store.paths), strict=True))
        return [PhotoToRead(paths[digest], digest) for digest in dict.fromkeys(self.store.digests)]

    def _copied(self, missing: list[PhotoToRead], reader: Reader) -> list[PhotoToRead]:
        """What the same reader read for other stores is copied; the photos that are left."""
        texts: dict[str, PhotoText] = {}
        for path in other_files(self.store.path, Workspace.here()):
            try:
                if (file := TextFile.open(path)) is None:
                    continue
                with file:
                    others = file.texts(photo.digest for photo in missing)
            except FeatxError:
                continue  # damaged or of a later version: its own store says so
            texts |= {digest: text for digest, text in others.items() if text.reader == reader.fingerprint}
        self._keep(texts)
        self.report.copied = len(texts)
        return [photo for photo in missing if photo.digest not in texts]

    def _read(self, reader: Reader, photos: Sequence[PhotoToRead], total: int) -> None:
        ready: dict[str, PhotoText] = {}
        try:
            for photo, outcome in side_by_side(reader, photos, self.workers, self.stop):
                if isinstance(outcome, UnreadPhoto):
                    self.report.unread.append(outcome)
                else:
                    ready[photo.digest] = outcome
                    self.report.read += 1
                self.done += 1
                if len(ready) >= SAVED_EVERY:
                    self._keep(ready)
                    ready = {}
                self.progress(self.done, total)
        finally:
            self._keep(ready)
        self.report.stopped = self.stop.is_set() and self.done < total

    def _keep(self, texts: dict[str, PhotoText]) -> None:
        self.writer.add(texts)
        self.known |= {digest: text.reader for digest, text in texts.items()}

    def _pays(self) -> bool:
        """Whether enough of the photos that were read have more than stray letters."""
        texts = self.writer.content.texts(self.store.digests).values()
        letters = [sum(letter.isalnum() for letter in text.text) for text in texts]
        return bool(letters) and sum(n >= WORTH_LETTERS for n in letters) / len(letters) >= WORTH_SHARE

    def _count(self) -> None:
        texts = self.writer.content.texts(self.store.digests)
        of_rows = [texts[digest] for digest in self.store.digests if digest in texts]
        self.report.done, self.report.with_text = len(of_rows), sum(bool(text.lines) for text in of_rows)
        ours = self.report.reader
        self.report.by_other_reader = sum(text.reader != ours for text in of_rows) if ours else 0


def side_by_side(
    reader: Reader, photos: Sequence[PhotoToRead], workers: int, stop: threading.Event
) -> Iterator[tuple[PhotoToRead, PhotoText | UnreadPhoto]]:
    """Each photo with its text, in order, a few ahead, one core for each worker; ends early once `stop` is set."""
    waiting: deque[tuple[PhotoToRead, Future[PhotoText | UnreadPhoto]]] = deque()
    coming = iter(photos)
    with ThreadPoolExecutor(workers, thread_name_prefix="read") as pool:
        try:
            while True:
                while len(waiting) < 2 * workers and not stop.is_set():
                    photo = next(coming, None)
                    if photo is None:
                        break
                    waiting.append((photo, pool.submit(_outcome, reader, photo)))
                if not waiting:
                    return
                photo, future = waiting.popleft()
                yield photo, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _outcome(reader: Reader, photo: PhotoToRead) -> PhotoText | UnreadPhoto:
    """The text of one photo, or why there is none; called from worker threads."""
    try:
        data = read_bytes(photo.path)
        if photo.digest and digest_of(data) != photo.digest:
            return UnreadPhoto(photo.path, "changed", "the file is not the one in the store; extract again")
        pixels = np.asarray(decode_photo(data, photo.path))
    except UnreadablePhoto as error:
        return UnreadPhoto(photo.path, error.reason, error.detail)
    try:
        return text_of(reader, pixels)
    except FeatxError:
        raise
    except Exception as error:  # noqa: BLE001 (one odd photo must not end the night's run; it is named)
        return UnreadPhoto(photo.path, "reader-failed", f"{type(error).__name__}: {error}"[:200])


def _spread(photos: list[PhotoToRead], n: int) -> list[PhotoToRead]:
    """At most n photos from everywhere in the list: neighbours often show the same category."""
    if len(photos) <= n or not n:
        return photos[:n]
    return [photos[i] for i in np.linspace(0, len(photos) - 1, n).round().astype(int).tolist()]
