"""The file beside a store that keeps what was read, by the digest of the photo.

It stands beside the store, not in it: text belongs to the photo, whatever network made the features. So a new backbone,
or `--replace`, loses no text, other stores copy it, and the store's own format stays as it is. It is a journal like the
store's: a photo is read once and is safe as soon as its frame is on the disk.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from featx.errors import FeatxError
from featx.files.atomic import cannot_write, remove_stale_temporaries
from featx.files.locks import LockHeld, lock_file
from featx.files.regular import open_regular
from featx.store.journal import Frame, Journal, replay
from featx.text.records import PhotoText

HEAD, TEXTS = 1, 2
FORMAT = "featx text"
SCHEMA = 1
SUFFIX = ".text"

Texts = dict[str, PhotoText]


def texts_beside(store: Path) -> Path:
    """Where the text of a store's photos is kept."""
    return store.with_name(store.name + SUFFIX)


def load_texts(path: Path) -> Texts:
    """What a file holds, by digest; nothing where there is no file."""
    try:
        with open_regular(path) as file:
            frames = replay(file.fileno(), path).frames
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FeatxError("no-permission", f"cannot read `{path}`: {error.strerror}", "make it readable") from error
    except FeatxError as error:
        raise _broken(path, "it is damaged") from error
    return dict(_texts_of(path, frames))


def _texts_of(path: Path, frames: list[Frame]) -> Iterator[tuple[str, PhotoText]]:
    head = frames[0].payload if frames else None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise _broken(path, "it is no file of texts")
    if head.get("schema") != SCHEMA:
        raise FeatxError(
            "store-newer", f"`{path}` was written by a later featx", "update featx: `pip install -U featx`"
        )
    for frame in frames:
        try:
            for reader, texts in frame.payload["texts"].items():
                for digest, lines in texts.items():
                    yield digest, PhotoText.of_record(lines, reader)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise _broken(path, "its texts are of another form") from error


def _broken(path: Path, why: str) -> FeatxError:
    return FeatxError(
        "store-broken",
        f"`{path}` cannot be used: {why}",
        "delete it and read the photos again: `featx read`",
        {"path": str(path)},
    )


class TextWriter:
    """The one writer of such a file, from `open` until `close`; use it in a `with` block."""

    def __init__(self, path: Path, known: Texts) -> None:
        self.path, self._known = path, known
        self._journal: Journal | None = None
        self._lock = ExitStack()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file for writing; it is made with the first text."""
        with ExitStack() as stack:
            try:
                stack.enter_context(lock_file(path.with_name(path.name + ".lock")))
            except LockHeld as error:
                raise FeatxError(
                    "store-busy",
                    f"another featx is reading photos into {path}" + (f" (process {error.pid})" if error.pid else ""),
                    "wait until it is done",
                    {"path": str(path), "pid": error.pid},
                ) from error
            remove_stale_temporaries(path, alone=True)
            writer = cls(path, load_texts(path))
            writer._lock = stack.pop_all()
            return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; others may write it now."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self._lock.close()

    @property
    def known(self) -> Mapping[str, PhotoText]:
        """Everything that was read, by digest."""
        return MappingProxyType(self._known)

    def add(self, texts: Mapping[str, PhotoText]) -> None:
        """Keep texts by digest: when this returns they survive a kill or a power cut."""
        if not texts:
            return
        try:
            if self._journal is None:
                # Never append to an old journal: its last bytes may not be on the disk after a crash.
                self._journal = Journal.create(self.path, _frame(self._known, format=FORMAT, schema=SCHEMA))
            self._journal.append(TEXTS, _frame(texts))
        except OSError as error:
            hint = "what was read so far is kept; make room and run the same command again"
            raise cannot_write(self.path, error, hint) from error
        self._known.update(texts)


def _frame(texts: Mapping[str, PhotoText], **more: object) -> dict[str, Any]:
    by_reader: dict[str, dict[str, Any]] = defaultdict(dict)
    for digest, text in texts.items():
        by_reader[text.reader][digest] = text.to_record()
    return {**more, "texts": by_reader}


def other_files(store: Path, folder: Path) -> Iterator[Path]:
    """The files of text beside other stores: in the folder of this one, and in the folder of stores."""
    own = texts_beside(store)
    near = {os.path.realpath(path): path for place in (store.parent, folder) for path in place.glob(f"*.h5{SUFFIX}")}
    near.pop(os.path.realpath(own), None)
    yield from (near[real] for real in sorted(near))
