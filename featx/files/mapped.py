"""Files laid out to be mapped: a line that names the format, a head that says where all lies, and aligned parts."""

from __future__ import annotations

import json
import zlib
from typing import Any

from featx.files.regular import parse_json

ALIGN = 64


def pack_header(magic: bytes, head: dict[str, Any]) -> bytes:
    """What stands before the parts; the parts together have as many bytes as `head["bytes"]` says."""
    said = json.dumps(head).encode()
    begin = magic + f"{len(said):12d} {zlib.crc32(said):10d}\n".encode() + said
    return begin + b" " * (-len(begin) % ALIGN)


def unpack_header(magic: bytes, whole: memoryview) -> tuple[dict[str, Any], int] | None:
    """What a file says of itself, and where its parts begin; None where it is of another kind or not whole."""
    start = len(magic)
    if bytes(whole[:start]) != magic:
        return None
    length, told = (int(one) for one in bytes(whole[start : start + 24]).split())
    said = bytes(whole[start + 24 : start + 24 + length])
    if zlib.crc32(said) != told:
        return None
    head: dict[str, Any] = parse_json(said)
    begin = -(-(start + 24 + length) // ALIGN) * ALIGN
    return (head, begin) if begin + head["bytes"] == len(whole) else None
