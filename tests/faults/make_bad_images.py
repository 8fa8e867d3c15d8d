"""Makes some hundreds of damaged, strange and hostile photo files: `python tests/faults/make_bad_images.py FOLDER`.

Each kind of damage is done to each format, so that what a decoder of one format forgives another is tried on as well.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tiff": "TIFF", "avif": "AVIF"}


def picture(width: int = 40, height: int = 30) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    planes = np.stack([x * 6 % 256, y * 8 % 256, (x + y) * 3 % 256], axis=-1)
    return Image.fromarray(planes.astype(np.uint8))


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    (image or picture()).save(out, form, **options)
    return out.getvalue()


def damaged(data: bytes) -> dict[str, bytes]:
    """The same damages for every format."""
    n = len(data)
    middle = n // 2
    return {
        "empty-end": data[:-1],
        "half": data[:middle],
        "tenth": data[: n // 10],
        "four-bytes": data[:4],
        "head-only": data[:32],
        "first-byte-gone": data[1:],
        "zeros-inside": data[:middle] + b"\0" * 64 + data[middle + 64 :],
        "zeros-to-the-end": data[:middle].ljust(n, b"\0"),
        "ones-inside": data[:middle] + b"\xff" * 64 + data[middle + 64 :],
        "text-inside": data[:middle] + b"<script>alert(1)</script>" + data[middle + 25 :],
        "crlf-instead-of-lf": data.replace(b"\n", b"\r\n"),
        "bits-of-text-mode": bytes(byte & 0x7F for byte in data),
        "reversed": data[::-1],
        "twice": data + data,
        "junk-behind": data + b"PK\x03\x04" + bytes(range(256)) * 4,
        "junk-in-front": b"\0" * 16 + data,
        "byte-order-mark": b"\xef\xbb\xbf" + data,
        "swapped-halves": data[middle:] + data[:middle],
        "hole": data[: n // 3] + data[2 * n // 3 :],
        "huge-lengths": data[:16] + b"\xff" * 8 + data[24:],
    }


def png_of(width: int, height: int, body: bytes = b"", depth: int = 8, colour: int = 2) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(encoded("JPEG"))
    at = bytes(data).index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def strange() -> dict[str, bytes]:
    """Files that are something else than their name says, or that would cost their reader dearly."""
    jpeg, png, gif = encoded("JPEG"), encoded("PNG"), encoded("GIF")
    sizes = [(0, 0), (0, 10), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1), (65535, 65535), (30_001, 1), (1, 30_001)]
    made = {f"png-says-{w}x{h}.png": png_of(w, h, zlib.compress(b"\0" * 1000)) for w, h in sizes}
    made |= {f"jpeg-says-{w}x{h}.jpg": jpeg_of(w, h) for w, h in sizes if max(w, h) < 65536}
    made |= {f"png-depth-{d}-colour-{c}.png": png_of(4, 4, zlib.compress(b"\0" * 200), d, c)
             for d in (0, 1, 3, 8, 16, 255) for c in (0, 1, 2, 3, 6, 7)}  # fmt: skip
    made |= {
        "nothing.jpg": b"",
        "one-byte.jpg": b"\xff",
        "page.jpg": b"<!doctype html><title>404</title>",
        "drawing.jpg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "document.jpg": b"%PDF-1.7\n1 0 obj<<>>endobj\n",
        "archive.jpg": b"PK\x03\x04" + b"\0" * 100,
        "program.jpg": b"\x7fELF" + b"\0" * 100,
        "script.jpg": b"#!/bin/sh\nrm -rf /\n",
        "pickle.jpg": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93",
        "gzip-bomb.png": zlib.compress(b"\0" * 10_000_000),
        "bomb.png": png_of(50_000, 50_000, zlib.compress(b"\0" * 1_000_000)),
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) (r) file\n",
        "fits.jpg": b"SIMPLE  =                    T".ljust(2880),
        "pointer-of-lfs.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:"
        + b"a" * 64
        + b"\nsize 12345\n",
        "utf16.jpg": "not a picture".encode("utf-16"),
        "random.jpg": np.random.default_rng(0).bytes(5000),
        "zeros.jpg": b"\0" * 5000,
        "only-start.jpg": b"\xff\xd8",
        "start-and-end.jpg": b"\xff\xd8\xff\xd9",
        "endless-marks.jpg": b"\xff\xd8" + b"\xff" * 20_000,
        "many-comments.jpg": b"\xff\xd8" + b"\xff\xfe\x00\x04ab" * 5000 + jpeg[2:],
        "comment-of-no-length.jpg": b"\xff\xd8\xff\xfe\x00\x00" + jpeg[2:],
        "png-named.jpg": png,
        "jpeg-named.png": jpeg,
        "gif-named.webp": gif,
        "gif-of-no-frame.gif": gif[:13] + b"\x3b",
        "gif-endless.gif": gif[:-1] * 50,
        "riff-of-nothing.webp": b"RIFF\xff\xff\xff\xffWEBPVP8 \xff\xff\xff\xff",
        "ftyp-only.avif": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
        "tiff-circle.tiff": b"II*\0\x08\0\0\0\x00\0\x08\0\0\0",
        "tiff-far-directory.tiff": b"II*\0\xff\xff\xff\x7f",
        "tiff-many-tags.tiff": b"II*\0\x08\0\0\0\xff\xff" + b"\x00\x01\x04\x00\xff\xff\xff\xff\0\0\0\0" * 500,
        "exif-broken.jpg": jpeg[:2] + b"\xff\xe1\x00\x10Exif\0\0II*\0\xff\xff\xff\xff" + jpeg[2:],
        "profile-broken.jpg": jpeg[:2] + b"\xff\xe2\x00\x20ICC_PROFILE\0\x01\x01" + b"\xff" * 16 + jpeg[2:],
        "one-pixel.png": encoded("PNG", Image.new("RGB", (1, 1))),
        "long.png": encoded("PNG", Image.new("RGB", (20_000, 1))),
        "two-level.png": encoded("PNG", Image.new("1", (9, 9))),
        "grey-clear.png": encoded("PNG", Image.new("LA", (9, 9))),
        "all-clear.png": encoded("PNG", Image.new("RGBA", (9, 9))),
        "palette.gif": encoded("GIF", Image.new("P", (9, 9))),
        "sixteen.png": encoded("PNG", Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
        "float.tiff": encoded("TIFF", Image.fromarray(np.full((9, 9), np.nan, np.float32))),
        "inks.jpg": encoded("JPEG", Image.new("CMYK", (9, 9))),
        "inks.tiff": encoded("TIFF", Image.new("CMYK", (9, 9))),
    }
    return made


def bad_images() -> dict[str, bytes]:
    """Every file by name; the same bytes each time."""
    made = {
        f"{kind}.{suffix}": data for suffix, form in FORMATS.items() for kind, data in damaged(encoded(form)).items()
    }
    return {**made, **strange()}


def write(folder: Path) -> list[Path]:
    """All of them as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in bad_images().items():
        (folder / name).write_bytes(data)
    return sorted(folder.iterdir())


if __name__ == "__main__":
    print(f"{len(write(Path(sys.argv[1]))):,} files in {sys.argv[1]}")
