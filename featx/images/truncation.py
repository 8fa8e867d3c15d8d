"""Is a photo that cannot be decoded cut off, or damaged?"""

from __future__ import annotations

import re

_CUT_WORDS = ("truncated", "not enough data", "unexpected end", "premature", "end of file", "end-of-file")


def seems_cut(kind: str, data: bytes, words: str) -> bool:
    """Whether a file ends before its image is complete."""
    lower = words.lower()
    ends_early = {
        "JPEG": lambda: b"\xff\xd9" not in data[-65536:],
        "PNG": lambda: b"IEND" not in data[-65536:],
        "WebP": lambda: int.from_bytes(data[4:8], "little") + 8 > len(data),
        "GIF": lambda: b";" not in data[-16:],
        "BMP": lambda: int.from_bytes(data[2:6], "little") > len(data),
        "AVIF": lambda: _boxes_end(data) > len(data),
        "HEIC": lambda: _boxes_end(data) > len(data),
    }
    return any(sign in lower for sign in _CUT_WORDS) or ends_early.get(kind, lambda: False)()


def _boxes_end(data: bytes) -> int:
    offset = 0
    while offset + 8 <= len(data):
        size = int.from_bytes(data[offset : offset + 4], "big")
        if size == 1:
            size = int.from_bytes(data[offset + 8 : offset + 16], "big")
        if size == 0:
            return len(data)
        if size < 8:
            return offset
        offset += size
    return offset


def words_of(error: Exception) -> str:
    """An error in one line, without addresses in memory."""
    words = re.sub(r" ?<[^>]*\bobject at 0x[0-9a-f]+>", "", " ".join(str(error).split()))
    return words[:200] or type(error).__name__
