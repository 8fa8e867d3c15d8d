"""The text on photos in no store: read once, kept in one file of the shop by the digest of each photo."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from featx.compute.threads import cores
from featx.images import UnreadablePhoto, digest_of, read_bytes
from featx.text.reader import Reader, looks_of, open_reader
from featx.text.reading import PhotoToRead, UnreadPhoto, side_by_side
from featx.text.records import PhotoText
from featx.text.text_file import TextWriter

# So many photos at most are lost by a kill, for each that is read at a time.
KEPT_EVERY = 16

Outcome = PhotoText | UnreadPhoto


def read_photos(
    paths: Iterable[str | Path],
    file: Path | None = None,
    *,
    force: bool = False,
    workers: int | None = None,
    looks: int = 1,
    reader: Reader | None = None,
    stop: threading.Event | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """Each photo with its text, or why it could not be read, in order; ends early once `stop` is set.

    What `file` has, with as many `looks`, is not read again unless `force` says so, and what is read is kept there.
    `featx read` of a store copies from the file of its shop.
    """
    wanted, at_once, halt = [str(path) for path in paths], workers or cores(), stop or threading.Event()
    with ExitStack() as stack:
        kept = None if file is None else stack.enter_context(TextWriter.open(file))
        given = reader
        for start in range(0, len(wanted), KEPT_EVERY * at_once):
            if halt.is_set():
                return
            some = wanted[start : start + KEPT_EVERY * at_once]
            photos, outcomes = _opened(some)
            if kept is not None and not force:
                outcomes |= _known(kept, photos, looks)
            missing = list({photo.path: photo for photo in photos if photo.path not in outcomes}.values())
            if missing:
                given = given or open_reader(looks)
                yield from _as_read(some, outcomes, side_by_side(given, missing, at_once, halt), kept)
            else:
                yield from ((path, outcomes[path]) for path in some)


def _as_read(
    paths: Sequence[str],
    outcomes: dict[str, Outcome],
    read: Iterator[tuple[PhotoToRead, Outcome]],
    kept: TextWriter | None,
) -> Iterator[tuple[str, Outcome]]:
    """The outcome of each photo as soon as it is there; what was read is kept, also where nobody waits for the rest."""
    new: dict[str, PhotoText] = {}
    try:
        for path in paths:
            while path not in outcomes:
                photo, outcome = next(read, (None, None))
                if photo is None or outcome is None:
                    return  # stopped
                outcomes[photo.path] = outcome
                if isinstance(outcome, PhotoText):
                    new[photo.digest] = outcome
            yield path, outcomes[path]
    finally:
        if kept is not None:
            kept.add(new)


def _opened(paths: Sequence[str]) -> tuple[list[PhotoToRead], dict[str, Outcome]]:
    """Photos by their bytes, and those that cannot be opened."""
    photos: list[PhotoToRead] = []
    outcomes: dict[str, Outcome] = {}
    for path in paths:
        try:
            photos.append(PhotoToRead(path, digest_of(read_bytes(path))))
        except UnreadablePhoto as error:
            outcomes[path] = UnreadPhoto(path, error.reason, error.detail)
    return photos, outcomes


def _known(kept: TextWriter, photos: Sequence[PhotoToRead], looks: int) -> dict[str, Outcome]:
    texts = kept.content.texts(photo.digest for photo in photos)
    enough = {digest: text for digest, text in texts.items() if looks_of(text.reader) >= looks}
    return {photo.path: enough[photo.digest] for photo in photos if photo.digest in enough}
