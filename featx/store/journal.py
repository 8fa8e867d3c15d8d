"""The journal beside a store: frames are only appended, and a frame that is on the disk is committed.

A frame is a fixed header (magic, kind, sequence number, lengths, CRC-32 of the payload, CRC-32 of the header itself),
then JSON, then raw features. The rest of a frame that a crash left unfinished fails its checks and is ignored.
"""

from __future__ import annotations

import errno
import json
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.errors import FeatxError
from featx.files.atomic import replace_durably, temporary_path
from featx.files.regular import BINARY, CLOEXEC, read_at

MAGIC = b"FXJ1"
SCHEMA = 1
HEADER = struct.Struct("<4sBxxxQIQII")  # magic, kind, sequence, JSON length, features length, payload CRC, header CRC
HEAD, ROWS, UPDATE, RENAME, REMOVE, SKIPPED, SEAL = range(1, 8)
MAX_JSON = 1 << 30
STEP = 1 << 20


@dataclass(frozen=True)
class Frame:
    """One committed change: its kind, its JSON, and the offset of its features in the journal."""

    kind: int
    payload: Any
    offset: int
    length: int


@dataclass
class Replay:
    """A journal read from its beginning: the committed frames, where they end, and any damage behind them."""

    frames: list[Frame]
    end: int
    damage: str = ""


def encode(kind: int, sequence: int, payload: object, features: bytes | memoryview = b"") -> list[bytes | memoryview]:
    """A frame as the pieces to write one after the other."""
    meta = json.dumps(payload, separators=(",", ":")).encode("ascii")
    crc = zlib.crc32(features, zlib.crc32(meta))
    front = HEADER.pack(MAGIC, kind, sequence, len(meta), len(features), crc, 0)[:-4]
    return [front + struct.pack("<I", zlib.crc32(front)), meta, features]


def write_all(fd: int, pieces: Sequence[bytes | memoryview]) -> int:
    """Write every byte, however few the system accepts at a time."""
    total = 0
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            done = os.write(fd, rest)
            total += done
            rest = rest[done:]
    return total


def _header(data: bytes) -> tuple[int, int, int, int, int] | None:
    if len(data) < HEADER.size:
        return None
    magic, kind, sequence, meta, features, crc, own = HEADER.unpack(data)
    if magic != MAGIC or own != zlib.crc32(data[:-4]) or meta > MAX_JSON:
        return None
    return kind, sequence, meta, features, crc


def _payload(fd: int, offset: int, meta: int, features: int, crc: int) -> bytes | None:
    """The JSON of a frame if its payload is intact; the features only pass through the checksum."""
    text = read_at(fd, meta, offset)
    if len(text) < meta:
        return None
    running, done = zlib.crc32(text), 0
    while done < features:
        piece = read_at(fd, min(STEP, features - done), offset + meta + done)
        if not piece:
            return None
        running = zlib.crc32(piece, running)
        done += len(piece)
    return text if running == crc else None


def replay(fd: int, path: Path) -> Replay:
    """Read every committed frame. Damage before the last frame is an error, never silently fewer rows."""
    size = os.fstat(fd).st_size
    result = Replay([], 0)
    while result.end < size:
        offset = result.end
        head = _header(read_at(fd, HEADER.size, offset))
        text = None
        if head is not None and head[1] == len(result.frames):
            kind, _, meta, features, crc = head
            finish = offset + HEADER.size + meta + features
            if finish > size:
                return result  # cut off while it was written: never committed
            text = _payload(fd, offset + HEADER.size, meta, features, crc)
        if text is None:
            if _frame_after(fd, offset + 1, size, len(result.frames)):
                raise FeatxError(
                    "store-broken",
                    f"`{path}` is damaged at byte {offset:,}; {len(result.frames):,} batches before it are intact",
                    "rebuild the store from the photos: `featx extract` with `--replace --yes`",
                    {"store": str(path), "byte": offset},
                )
            if size - offset >= HEADER.size:
                result.damage = f"{path.name} ends in {size - offset:,} damaged bytes; the rows in them are not counted"
            return result
        try:
            payload = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FeatxError(
                "store-broken",
                f"`{path}` is not the journal of a store: at byte {offset:,} there is no JSON",
                "rebuild the store from the photos: `featx extract` with `--replace --yes`",
                {"store": str(path), "byte": offset},
            ) from error
        result.frames.append(Frame(kind, payload, offset + HEADER.size + meta, features))
        result.end = finish
    return result


def _frame_after(fd: int, start: int, size: int, sequence: int) -> bool:
    """Whether an intact frame follows: then the bytes before it are damage, not an unfinished end."""
    offset = start
    while offset < size:
        offset = _data_from(fd, offset, size)
        piece = read_at(fd, STEP + HEADER.size, offset)
        hit = piece.find(MAGIC)
        while hit >= 0:
            head = _header(piece[hit : hit + HEADER.size])
            if head is not None and sequence <= head[1] <= sequence + (1 << 32):
                return True
            hit = piece.find(MAGIC, hit + 1)
        offset += STEP
    return False


def _data_from(fd: int, offset: int, size: int) -> int:
    """The next offset that is not in a hole of the file: a hole contains no frame, however long it is."""
    if not hasattr(os, "SEEK_DATA"):
        return offset
    here = os.lseek(fd, 0, os.SEEK_CUR)
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        return size if error.errno == errno.ENXIO else offset
    finally:
        os.lseek(fd, here, os.SEEK_SET)


class Journal:
    """A journal being written. A failed write ends it: committed frames stay, no more are added."""

    def __init__(self, path: Path, fd: int, end: int) -> None:
        self.path, self.fd, self.end = path, fd, end
        self.sequence = 1
        self.failed = False

    @classmethod
    def create(cls, path: Path, head: object) -> Journal:
        """A new journal; it appears under its name only once its head is on the disk."""
        temporary = temporary_path(path)
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | BINARY | CLOEXEC, 0o666)
        try:
            end = write_all(fd, encode(HEAD, 0, head))
            os.fsync(fd)
            replace_durably(temporary, path)
        except BaseException:
            os.close(fd)
            temporary.unlink(missing_ok=True)
            raise
        return cls(path, fd, end)

    def append(self, kind: int, payload: object, features: bytes | memoryview = b"") -> int:
        """Commit one frame; returns the offset of its features."""
        if self.failed:
            raise OSError("this journal is closed after a failed write")
        pieces = encode(kind, self.sequence, payload, features)
        start = self.end
        try:
            written = write_all(self.fd, pieces)
            os.fdatasync(self.fd) if hasattr(os, "fdatasync") else os.fsync(self.fd)
        except BaseException:
            # A failed fsync may have dropped pages that a second one would call written.
            self.failed = True
            with suppress(OSError):
                os.ftruncate(self.fd, start)
            raise
        self.end += written
        self.sequence += 1
        return start + len(pieces[0]) + len(pieces[1])

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
