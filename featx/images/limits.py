"""What is refused before it takes memory or time."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import islice

from featx.images.reading import UnreadablePhoto

MAX_PIXELS = 50_000_000
MAX_SIDE = 30_000
MAX_SCANS = 200
# Each scan of a progressive JPEG visits every pixel, so a few hundred tiny scans of a large image take minutes.
MAX_SCANNED_PIXELS = 2_000_000_000
# Pillow walks these parts in Python, so their number, not the pixels, decides how long a hostile file takes.
MAX_JPEG_HEADER = 16 * 2**20
MAX_JPEG_MARKERS = 500_000
MAX_PNG_CHUNKS = 50_000
MAX_GIF_PREAMBLE = 2**20
MAX_TIFF_STRIPS = 200_000
MAX_RLE_PIXELS = 4_000_000


def pixel_limit_words() -> str:
    """The limit in words."""
    return f"the limit is {MAX_PIXELS // 1_000_000} million pixels and {MAX_SIDE:,} on one side"


def refuse_large(width: int, height: int) -> None:
    """Refuse an image of too many pixels, or of none."""
    if width < 1 or height < 1:
        raise UnreadablePhoto("", "unreadable", "an image without pixels")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnreadablePhoto("", "too-large", f"{width:,} × {height:,} pixels; {pixel_limit_words()}")


def refuse_costly(kind: str, data: bytes) -> None:
    """Refuse files that would take too long to open."""
    checks = {
        "JPEG": _check_jpeg,
        "PNG": _check_png,
        "WebP": _check_webp,
        "GIF": _check_gif,
        "TIFF": _check_tiff,
        "BMP": _check_bmp,
    }
    if kind in checks:
        checks[kind](data)


def _check_jpeg(data: bytes) -> None:
    if len(data) > MAX_JPEG_HEADER and next(_scan_starts(data), len(data)) > MAX_JPEG_HEADER:
        raise UnreadablePhoto("", "unreadable", f"over {MAX_JPEG_HEADER // 2**20} MiB of headers before the image")


def _check_png(data: bytes) -> None:
    offset = 8
    for _ in range(MAX_PNG_CHUNKS):
        if offset + 8 > len(data):
            return
        offset += 12 + int.from_bytes(data[offset : offset + 4], "big")
    raise UnreadablePhoto("", "unreadable", f"over {MAX_PNG_CHUNKS:,} PNG chunks")


def _check_webp(data: bytes) -> None:
    # Pillow's decoder allocates the whole canvas as soon as it is opened.
    part = data[12:16]
    if part == b"VP8X" and len(data) >= 30:
        width, height = (1 + int.from_bytes(data[offset : offset + 3], "little") for offset in (24, 27))
    elif part == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif part == b"VP8 " and len(data) >= 30:
        width, height = (int.from_bytes(data[offset : offset + 2], "little") & 0x3FFF for offset in (26, 28))
    else:
        return
    refuse_large(width, height)


def _check_gif(data: bytes) -> None:
    # Pillow joins the pieces of a comment one by one, which for a long one takes hours.
    picture = _first_gif_picture(data)
    if picture > MAX_GIF_PREAMBLE:
        raise UnreadablePhoto("", "unreadable", f"over {MAX_GIF_PREAMBLE // 2**20} MiB of GIF comments")


def _first_gif_picture(data: bytes) -> int:
    offset = 13 + (3 * 2 ** ((data[10] & 7) + 1) if len(data) > 10 and data[10] & 0x80 else 0)
    while offset < min(len(data), MAX_GIF_PREAMBLE + 1) and data[offset] != 0x2C:
        offset += 1
        if data[offset - 1] == 0x21:
            offset += 1
            while offset < len(data) and data[offset] and offset <= MAX_GIF_PREAMBLE:
                offset += 1 + data[offset]
            offset += 1
    return offset


def _check_tiff(data: bytes) -> None:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    try:
        if big:
            offset = struct.unpack_from(order + "Q", data, 8)[0]
            entries, offset, size, form = (
                struct.unpack_from(order + "Q", data, offset)[0],
                offset + 8,
                20,
                order + "HHQ",
            )
        else:
            offset = struct.unpack_from(order + "I", data, 4)[0]
            entries, offset, size, form = (
                struct.unpack_from(order + "H", data, offset)[0],
                offset + 2,
                12,
                order + "HHI",
            )
        for entry in range(min(entries, 65_536)):
            _, number_type, count = struct.unpack_from(form, data, offset + entry * size)
            if count > MAX_TIFF_STRIPS and number_type not in (1, 2, 6, 7):
                raise UnreadablePhoto("", "unreadable", f"a TIFF directory entry of {count:,} numbers")
    except struct.error:
        return  # Pillow reports the fault


def _check_bmp(data: bytes) -> None:
    if int.from_bytes(data[14:18], "little") < 40 or int.from_bytes(data[30:34], "little") not in (1, 2):
        return
    width, height = (abs(int.from_bytes(data[offset : offset + 4], "little", signed=True)) for offset in (18, 22))
    if width * height > MAX_RLE_PIXELS:  # Pillow unpacks run lengths in Python
        raise UnreadablePhoto("", "too-large", f"{width:,} × {height:,} pixels are too many for a run-length BMP")


_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


def refuse_many_scans(data: bytes, width: int, height: int) -> None:
    """Refuse a progressive JPEG that goes over its pixels too often."""
    most = min(MAX_SCANS, MAX_SCANNED_PIXELS // (width * height))
    # Thumbnails and appended videos contain the same two bytes, so a high quick count is followed by the exact walk.
    if data.count(b"\xff\xda") > most and sum(1 for _ in islice(_scan_starts(data), most + 1)) > most:
        raise UnreadablePhoto("", "too-large", f"a JPEG of more than {most:,} scans, too many for its size")


def _scan_starts(data: bytes) -> Iterator[int]:
    """Where each scan of a JPEG begins, following its markers up to the end of the image."""
    offset = 2
    for _ in range(MAX_JPEG_MARKERS):
        marker = _MARKER.search(data, offset)
        if marker is None or data[marker.end() - 1] == 0xD9:
            return
        offset = marker.end()
        if data[offset - 1] == 0xDA:
            yield offset
        if data[offset - 1] not in (0x01, 0xD8):
            offset += max(int.from_bytes(data[offset : offset + 2], "big"), 2)
    raise UnreadablePhoto("", "unreadable", f"over {MAX_JPEG_MARKERS:,} JPEG markers")
