"""The image format of a file, recognised by its bytes, and a description of bytes that are not an image."""

from __future__ import annotations

import re
from functools import cache

from PIL import Image

from featx.images.reading import UnreadablePhoto

_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0\x08\0", "TIFF"),
    (b"MM\0+\0\x08", "TIFF"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})


def sniff(data: bytes) -> str | None:
    """The format of a photo's bytes; None if it is none that is read here."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return _sniff_boxes(data)


def _sniff_boxes(data: bytes) -> str | None:
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 1024, len(data))
    brands = {data[8:12]} | {data[offset : offset + 4] for offset in range(16, end - 3, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


def pillow_formats(kind: str) -> list[str]:
    """The formats Pillow may try, with the decoder they need registered."""
    if kind == "HEIC":
        register_heic()
        return ["HEIF"]
    if kind == "AVIF" and "AVIF" not in Image.OPEN:
        Image.init()
        if "AVIF" not in Image.OPEN:
            raise UnreadablePhoto("", "unreadable", "this Pillow was built without AVIF")
    return [kind.upper()]


@cache
def register_heic() -> None:
    """Let Pillow read HEIC, once a process."""
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadablePhoto(
            "", "unreadable", "HEIC photos need one more package: pip install 'featx[heic]'"
        ) from error
    pillow_heif.register_heif_opener()


_OTHER_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "icon"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"SIMPLE  =", "FITS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"FUJIFILMCCD-RAW", "camera raw"),
)
_NO_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or office document"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"ID3", "a sound file"),
    (b"OggS", "a sound or video file"),
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` to get the photo"),
)


def describe(data: bytes) -> tuple[str, str]:
    """The reason and the words for bytes that are none of the formats read here."""
    if not data:
        return "not-an-image", "the file is empty"
    for start, words in _OTHER_PICTURES:
        if data.startswith(start):
            return "unreadable", f"{words} is an image format that featx does not read"
    for start, words in _NO_PICTURES:
        if data.startswith(start):
            return "not-an-image", f"this is {words}"
    if not data[:4096].strip(b"\0"):
        return "not-an-image", "the file contains only zero bytes"
    if data.startswith(b"RIFF") or data[4:8] == b"ftyp":
        return "not-an-image", "this is a sound or video file"
    return "not-an-image", _describe_text(data[:4096])


_TEXTS = (
    (re.compile(r"\s*<(!doctype html|html|head|body)|.*<html", re.I | re.S), "this is an HTML page"),
    (re.compile(r".*<svg", re.I | re.S), "this is an SVG drawing"),
    (re.compile(r"\s*<"), "this is an XML document"),
    (re.compile(r"\s*[{\[]"), "this is JSON text"),
    (re.compile(r"[^\x00-\x08\x0e-\x1a\x1c-\x1f]*\Z"), "this is text"),
)


def _describe_text(head: bytes) -> str:
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = head.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        # The last letter may be cut in the middle.
        text = "\0" if wide or error.start < len(head) - 4 else head[: error.start].decode("utf-8-sig")
    if "\0" in text:
        return "its first bytes belong to no photo format"
    return next((words for form, words in _TEXTS if form.match(text)), "its first bytes belong to no photo format")
