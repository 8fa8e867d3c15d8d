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
from featx.store import Store, open_store
from featx.text.reader import Reader, open_reader
from featx.text.records import PhotoText
from featx.text.text_file import TextWriter, load_texts, other_files, texts_beside
from featx.workspace import Workspace

# So many photos at most are lost by a kill.
SAVED_EVERY = 16
# `auto` reads so many photos first, and the rest only where at least this share of them has this many letters.
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
    """What a run did, and what the file holds for the photos of the store afterwards."""

    store: Path
    reader: str = ""
    photos: int = 0
    read: int = 0
    copied: int = 0
    known: int = 0
    with_text: int = 0
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
            "with_text": self.with_text,
            "by_other_reader": self.by_other_reader,
            "unread": [{"path": one.path, "reason": one.reason, "detail": one.detail} for one in self.unread],
            "left": self.left,
            "stopped": self.stopped,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class _Photo:
    path: str
    digest: str


def read_photos(
    store: Store | str | Path | None = None,
    *,
    auto: bool = False,
    force: bool = False,
    workers: int | None = None,
    reader: Reader | None = None,
    stop: threading.Event | None = None,
    progress: Progress = lambda done, total: None,
) -> ReadingReport:
    """Read the text on every photo of a store that was not read yet; the current store when none is named.

    With `auto` a sample is read first, and the rest only where it has text. `force` reads everything again. Another
    `reader` is anything that keeps the contract of `featx.text.reader.Reader`.
    """
    begun = time.monotonic()
    opened = store if isinstance(store, Store) else open_store(store)
    with TextWriter.open(texts_beside(opened.path)) as writer:
        run = _Reading(opened, writer, reader, force, workers or cores(), stop or threading.Event(), progress)
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
    ) -> None:
        self.store, self.writer, self.workers, self.stop, self.progress = store, writer, workers, stop, progress
        self.given, self.force = reader, force
        self.report = ReadingReport(store.path, photos=len(store))
        self.done = 0

    def go(self, auto: bool) -> None:
        """Read what is missing, or find that reading does not pay here."""
        photos = self._distinct()
        missing = photos if self.force else [photo for photo in photos if photo.digest not in self.writer.known]
        self.report.known = len(photos) - len(missing)
        if missing:
            reader = self.given or open_reader()
            self.report.reader = reader.fingerprint
            if not self.force:
                missing = self._copied(missing, reader)
            sample = _spread(missing, SAMPLE) if auto and not self._knows_text() else missing
            self._read(reader, sample, len(missing))
            rest = [photo for photo in missing if photo.digest not in self.writer.known] if sample != missing else []
            if rest and not self.stop.is_set():
                if self._pays(sample):
                    self._read(reader, rest, len(missing))
                else:
                    self.report.left = len(rest)
        self._count(photos)

    def _distinct(self) -> list[_Photo]:
        """The photos of the store, each content once."""
        paths = dict(zip(reversed(self.store.digests), reversed(self.store.paths), strict=True))
        return [_Photo(paths[digest], digest) for digest in dict.fromkeys(self.store.digests)]

    def _copied(self, missing: list[_Photo], reader: Reader) -> list[_Photo]:
        """What the same reader read for other stores is copied; the photos that are left."""
        texts: dict[str, PhotoText] = {}
        for path in other_files(self.store.path, Workspace.here().embeddings):
            try:
                others = load_texts(path)
            except FeatxError:
                continue  # damaged or of a later version: its own store says so
            for photo in missing:
                if photo.digest in others and others[photo.digest].reader == reader.fingerprint:
                    texts[photo.digest] = others[photo.digest]
        self.writer.add(texts)
        self.report.copied = len(texts)
        return [photo for photo in missing if photo.digest not in texts]

    def _read(self, reader: Reader, photos: Sequence[_Photo], total: int) -> None:
        ready: dict[str, PhotoText] = {}
        try:
            for photo, outcome in self._side_by_side(reader, photos):
                if isinstance(outcome, UnreadPhoto):
                    self.report.unread.append(outcome)
                else:
                    ready[photo.digest] = outcome
                    self.report.read += 1
                self.done += 1
                if len(ready) >= SAVED_EVERY:
                    self.writer.add(ready)
                    ready = {}
                self.progress(self.done, total)
        finally:
            self.writer.add(ready)
        self.report.stopped = self.stop.is_set() and self.done < total

    def _side_by_side(
        self, reader: Reader, photos: Sequence[_Photo]
    ) -> Iterator[tuple[_Photo, PhotoText | UnreadPhoto]]:
        """Each photo with its text, in order, a few ahead; one core for each worker."""
        waiting: deque[tuple[_Photo, Future[PhotoText | UnreadPhoto]]] = deque()
        coming = iter(photos)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="read") as pool:
            try:
                while True:
                    while len(waiting) < 2 * self.workers and not self.stop.is_set():
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

    def _knows_text(self) -> bool:
        """Whether enough of the photos were read before to know that reading pays."""
        return _share_with_text([self.writer.known.get(digest) for digest in self.store.digests]) >= WORTH_SHARE

    def _pays(self, sample: Sequence[_Photo]) -> bool:
        return _share_with_text([self.writer.known.get(photo.digest) for photo in sample]) >= WORTH_SHARE

    def _count(self, photos: Sequence[_Photo]) -> None:
        texts = [self.writer.known[photo.digest] for photo in photos if photo.digest in self.writer.known]
        self.report.with_text = sum(bool(text.lines) for text in texts)
        ours = self.report.reader
        self.report.by_other_reader = sum(text.reader != ours for text in texts) if ours else 0


def _outcome(reader: Reader, photo: _Photo) -> PhotoText | UnreadPhoto:
    """The text of one photo, or why there is none; called from worker threads."""
    try:
        data = read_bytes(photo.path)
        if digest_of(data) != photo.digest:
            return UnreadPhoto(photo.path, "changed", "the file is not the one in the store; extract again")
        pixels = np.asarray(decode_photo(data, photo.path))
    except UnreadablePhoto as error:
        return UnreadPhoto(photo.path, error.reason, error.detail)
    try:
        return PhotoText(reader.read([pixels])[0], reader.fingerprint)
    except FeatxError:
        raise
    except Exception as error:  # noqa: BLE001 (one odd photo must not end the night's run; it is named)
        return UnreadPhoto(photo.path, "reader-failed", f"{type(error).__name__}: {error}"[:200])


def _spread(photos: list[_Photo], n: int) -> list[_Photo]:
    """At most n photos from everywhere in the list: neighbours often show the same category."""
    if len(photos) <= n:
        return photos
    return [photos[i] for i in np.linspace(0, len(photos) - 1, n).round().astype(int).tolist()]


def _share_with_text(texts: Sequence[PhotoText | None]) -> float:
    read = [text for text in texts if text is not None]
    letters = [sum(letter.isalnum() for letter in text.text) for text in read]
    return sum(n >= WORTH_LETTERS for n in letters) / len(read) if read else 0.0
