"""Files to be memory-mapped: a line that names the format, a JSON header with offsets, and aligned parts."""

from __future__ import annotations

import json
import zlib
from typing import Any

from featx.files.regular import parse_json

ALIGN = 64


def pack_header(magic: bytes, head: dict[str, Any]) -> bytes:
    """The bytes before the parts; the parts together have `head["bytes"]` bytes."""
    data = json.dumps(head).encode()
    begin = magic + f"{len(data):12d} {zlib.crc32(data):10d}\n".encode() + data
    return begin + b" " * (-len(begin) % ALIGN)


def unpack_header(magic: bytes, whole: memoryview) -> tuple[dict[str, Any], int] | None:
    """The header of a file and the offset of its parts; None if the format is another or the file is not whole."""
    start = len(magic)
    if bytes(whole[:start]) != magic:
        return None
    length, checksum = (int(word) for word in bytes(whole[start : start + 24]).split())
    data = bytes(whole[start + 24 : start + 24 + length])
    if zlib.crc32(data) != checksum:
        return None
    head: dict[str, Any] = parse_json(data)
    begin = -(-(start + 24 + length) // ALIGN) * ALIGN
    return (head, begin) if begin + head["bytes"] == len(whole) else None
