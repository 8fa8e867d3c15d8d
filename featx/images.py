"""Read product photos: a path or bytes in, an upright sRGB picture out, or a plain reason why not.

A photo that cannot be read is never replaced, half shown or guessed: `UnreadablePhoto` names it and says why.
Everything here may be called from many threads at once.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile

MAX_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MAX_SIDE = 30_000
MAX_SCANS = 200
# Each scan of a progressive JPEG goes over every pixel, so a few hundred tiny ones over a large picture take minutes.
MAX_SCANNED_PIXELS = 2_000_000_000
# Pillow walks these parts in Python, so their number, not the pixels, decides how long a hostile file takes.
MAX_JPEG_HEADER = 16 * 2**20
MAX_JPEG_MARKERS = 500_000
MAX_PNG_CHUNKS = 50_000
MAX_GIF_PREAMBLE = 2**20
MAX_TIFF_STRIPS = 200_000
MAX_RLE_PIXELS = 4_000_000
MAX_PROFILE_BYTES = 8 * 2**20

# Odd but readable metadata makes Pillow warn on stderr from worker threads, amid the progress line. What matters
# is reported as `UnreadablePhoto`; `warnings.catch_warnings` would not be safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadablePhoto(Exception):
    """A file that gives no photo: which one, the reason as one fixed word, and the detail for people.

    `reason` is one of missing, unreadable, truncated, not-an-image, too-large.
    """

    def __init__(self, path: str, reason: str, detail: str = "") -> None:
        super().__init__(path, reason, detail)
        self.path = path
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        said = f"{self.reason} ({self.detail})" if self.detail else self.reason
        return f"{self.path}: {said}" if self.path else said


@dataclass(frozen=True)
class Photo:
    """A photo as read: upright sRGB pixels (mode RGB) and the SHA-256 of the file's bytes."""

    image: Image.Image
    digest: str


def read_photo(path: str | os.PathLike[str], *, draft_size: tuple[int, int] | None = None) -> Photo:
    """Read one photo from disk; raises `UnreadablePhoto` when it cannot be read.

    `draft_size` is explained at `decode_photo`.
    """
    data = read_bytes(path)
    return Photo(decode_photo(data, os.fspath(path), draft_size=draft_size), digest_of(data))


def digest_of(data: bytes) -> str:
    """The SHA-256 of a photo's bytes, in hex: the name its features are kept under."""
    return hashlib.sha256(data).hexdigest()


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a photo file; refuses what is no regular file, is over 64 MiB, or changes while it is read."""
    name = os.fspath(path)
    try:
        # Without O_NONBLOCK a named pipe called x.jpg would wait for a writer for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(name, flags)
    except (OSError, ValueError) as error:
        raise _cannot_open(name, error) from error
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise UnreadablePhoto(name, "not-an-image", f"this is {_kind_of_node(before.st_mode)}")
        if before.st_size > MAX_BYTES:
            raise UnreadablePhoto(
                name, "too-large", f"{before.st_size / 2**20:,.0f} MiB, the limit is {MAX_BYTES // 2**20} MiB"
            )
        data = _read_up_to(handle, before.st_size + 1)
        after = os.fstat(handle)
    except OSError as error:
        raise UnreadablePhoto(name, "unreadable", _system_words(error)) from error
    finally:
        os.close(handle)
    if len(data) != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise UnreadablePhoto(name, "unreadable", "the file changed while it was read")
    return data


def decode_photo(data: bytes, path: str = "", *, draft_size: tuple[int, int] | None = None) -> Image.Image:
    """The picture in a photo's bytes: mode RGB, upright, in sRGB, transparent parts on white, first frame only.

    With `draft_size` (width, height of the upright picture) a JPEG may come out smaller than it is, but never below
    that size: decoding then costs a fraction. Without it the pixels are exact. `path` only names the photo in errors.
    """
    if draft_size is not None and min(draft_size) < 1:
        raise ValueError(f"draft_size must be at least 1 × 1, not {draft_size}")
    # Another library in this process may have switched it on; a cut photo would then come out half grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    kind = _sniff(data)
    if kind is None:
        reason, detail = _describe(data)
        raise UnreadablePhoto(path, reason, detail)
    try:
        # From .size to the last pixel, any step may raise nearly anything on a damaged file.
        _refuse_costly(kind, data)
        with Image.open(io.BytesIO(data), formats=_pillow_formats(kind)) as opened:
            _refuse_large(*opened.size)
            if kind == "JPEG":
                _refuse_many_scans(data, *opened.size)
                _draft(opened, draft_size)
            opened.load()
            _refuse_large(*opened.size)
            return _upright(_to_rgb(opened, kind, data), _orientation(opened))
    except UnreadablePhoto as refusal:
        raise UnreadablePhoto(path, refusal.reason, refusal.detail) from refusal.__cause__
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadablePhoto(path, "too-large", _pixel_limit_words()) from error
    except MemoryError as error:
        raise UnreadablePhoto(path, "too-large", "there is not enough memory to decode it") from error
    except Exception as error:
        if _seems_cut(kind, data, str(error)):
            raise UnreadablePhoto(path, "truncated", f"the {kind} file ends too early") from error
        raise UnreadablePhoto(path, "unreadable", f"damaged {kind}: {_words_of(error)}") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """A picture opened elsewhere, made what `decode_photo` gives: RGB, upright, sRGB, on white."""
    try:
        image.load()
        return _upright(_to_rgb(image, "", b""), _orientation(image))
    except Exception as error:
        name = str(getattr(image, "filename", "") or "")
        raise UnreadablePhoto(name, "unreadable", _words_of(error)) from error


# --- opening ---------------------------------------------------------------------------------------------------------


def _read_up_to(handle: int, most: int) -> bytes:
    parts: list[bytes] = []
    left = most
    while left and (part := os.read(handle, left)):
        parts.append(part)
        left -= len(part)
        if left == 1:  # the size fstat told; growth since then shows in the second fstat
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _cannot_open(name: str, error: OSError | ValueError) -> UnreadablePhoto:
    if isinstance(error, ValueError):
        return UnreadablePhoto(name, "missing", "no file can have this name")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        link = Path(name).is_symlink()
        return UnreadablePhoto(name, "missing", "the link points nowhere" if link else "no such file")
    if error.errno == errno.ENAMETOOLONG:
        return UnreadablePhoto(name, "missing", "the name is too long for a file")
    if error.errno == errno.ENXIO:
        return UnreadablePhoto(name, "not-an-image", "this is a socket or a device")
    if Path(name).is_dir():  # where folders cannot be opened at all
        return UnreadablePhoto(name, "not-an-image", "this is a folder")
    return UnreadablePhoto(name, "unreadable", _system_words(error))


def _system_words(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "no permission to read it"
    if error.errno == errno.ELOOP:
        return "the link points at itself"
    return (error.strerror or str(error)).lower()


def _kind_of_node(mode: int) -> str:
    kinds: tuple[tuple[Callable[[int], bool], str], ...] = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((words for is_kind, words in kinds if is_kind(mode)), "no regular file")


# --- which format, told from the bytes -------------------------------------------------------------------------------

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


def _sniff(data: bytes) -> str | None:
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
    brands = {data[8:12]} | {data[at : at + 4] for at in range(16, end - 3, 4)}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else None


def _pillow_formats(kind: str) -> list[str]:
    if kind == "HEIC":
        _register_heic()
        return ["HEIF"]
    if kind == "AVIF" and "AVIF" not in Image.OPEN:
        Image.init()
        if "AVIF" not in Image.OPEN:
            raise UnreadablePhoto("", "unreadable", "this Pillow was built without AVIF")
    return [kind.upper()]


@cache
def _register_heic() -> None:
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


def _describe(data: bytes) -> tuple[str, str]:
    """The reason and the words for bytes that are none of the formats read here."""
    if not data:
        return "not-an-image", "the file is empty"
    for start, words in _OTHER_PICTURES:
        if data.startswith(start):
            return "unreadable", f"{words} is a picture format that featx does not read"
    for start, words in _NO_PICTURES:
        if data.startswith(start):
            return "not-an-image", f"this is {words}"
    if not data[:4096].strip(b"\0"):
        return "not-an-image", "the file holds only zero bytes"
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


# --- refusing before memory or time is spent -------------------------------------------------------------------------


def _pixel_limit_words() -> str:
    return f"the limit is {MAX_PIXELS // 1_000_000} million pixels and {MAX_SIDE:,} on one side"


def _refuse_large(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UnreadablePhoto("", "unreadable", "a picture without pixels")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnreadablePhoto("", "too-large", f"{width:,} × {height:,} pixels; {_pixel_limit_words()}")


def _refuse_costly(kind: str, data: bytes) -> None:
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
        raise UnreadablePhoto("", "unreadable", f"over {MAX_JPEG_HEADER // 2**20} MiB of headers before the picture")


def _check_png(data: bytes) -> None:
    at = 8
    for _ in range(MAX_PNG_CHUNKS):
        if at + 8 > len(data):
            return
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    raise UnreadablePhoto("", "unreadable", f"over {MAX_PNG_CHUNKS:,} PNG chunks")


def _check_webp(data: bytes) -> None:
    # Pillow's decoder allocates the whole canvas as soon as it is opened.
    part = data[12:16]
    if part == b"VP8X" and len(data) >= 30:
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif part == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif part == b"VP8 " and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    else:
        return
    _refuse_large(width, height)


def _check_gif(data: bytes) -> None:
    # Pillow joins the pieces of a comment one by one, which for a long one takes hours.
    picture = _first_gif_picture(data)
    if picture > MAX_GIF_PREAMBLE:
        raise UnreadablePhoto("", "unreadable", f"over {MAX_GIF_PREAMBLE // 2**20} MiB of GIF comments")


def _first_gif_picture(data: bytes) -> int:
    at = 13 + (3 * 2 ** ((data[10] & 7) + 1) if len(data) > 10 and data[10] & 0x80 else 0)
    while at < min(len(data), MAX_GIF_PREAMBLE + 1) and data[at] != 0x2C:
        at += 1
        if data[at - 1] == 0x21:
            at += 1
            while at < len(data) and data[at] and at <= MAX_GIF_PREAMBLE:
                at += 1 + data[at]
            at += 1
    return at


def _check_tiff(data: bytes) -> None:
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    try:
        if big:
            at = struct.unpack_from(order + "Q", data, 8)[0]
            entries, at, size, form = struct.unpack_from(order + "Q", data, at)[0], at + 8, 20, order + "HHQ"
        else:
            at = struct.unpack_from(order + "I", data, 4)[0]
            entries, at, size, form = struct.unpack_from(order + "H", data, at)[0], at + 2, 12, order + "HHI"
        for entry in range(min(entries, 65_536)):
            _, number_type, count = struct.unpack_from(form, data, at + entry * size)
            if count > MAX_TIFF_STRIPS and number_type not in (1, 2, 6, 7):
                raise UnreadablePhoto("", "unreadable", f"a TIFF directory entry of {count:,} numbers")
    except struct.error:
        return  # Pillow says what is wrong with it


def _check_bmp(data: bytes) -> None:
    if int.from_bytes(data[14:18], "little") < 40 or int.from_bytes(data[30:34], "little") not in (1, 2):
        return
    width, height = (abs(int.from_bytes(data[at : at + 4], "little", signed=True)) for at in (18, 22))
    if width * height > MAX_RLE_PIXELS:  # Pillow unpacks run lengths in Python
        raise UnreadablePhoto("", "too-large", f"{width:,} × {height:,} pixels are too many for a run-length BMP")


_MARKER = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


def _refuse_many_scans(data: bytes, width: int, height: int) -> None:
    most = min(MAX_SCANS, MAX_SCANNED_PIXELS // (width * height))
    # Thumbnails and appended videos hold the same two bytes, so the exact walk follows when the quick look is high.
    if data.count(b"\xff\xda") > most and sum(1 for _ in islice(_scan_starts(data), most + 1)) > most:
        raise UnreadablePhoto("", "too-large", f"a JPEG of more than {most:,} scans, too many for its size")


def _scan_starts(data: bytes) -> Iterator[int]:
    """Where each scan of a JPEG begins, following its markers up to the end of the picture."""
    at = 2
    for _ in range(MAX_JPEG_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or data[found.end() - 1] == 0xD9:
            return
        at = found.end()
        if data[at - 1] == 0xDA:
            yield at
        if data[at - 1] not in (0x01, 0xD8):
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
    raise UnreadablePhoto("", "unreadable", f"over {MAX_JPEG_MARKERS:,} JPEG markers")


def _draft(opened: Image.Image, size: tuple[int, int] | None) -> None:
    if size is None:
        return
    if _orientation(opened) in (5, 6, 7, 8):
        size = (size[1], size[0])
    opened.draft(None, size)


# --- cut or damaged? -------------------------------------------------------------------------------------------------

_CUT_WORDS = ("truncated", "not enough data", "unexpected end", "premature", "end of file", "end-of-file")


def _seems_cut(kind: str, data: bytes, words: str) -> bool:
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
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:
            return len(data)
        if size < 8:
            return at
        at += size
    return at


def _words_of(error: Exception) -> str:
    words = re.sub(r" ?<[^>]*\bobject at 0x[0-9a-f]+>", "", " ".join(str(error).split()))
    return words[:200] or type(error).__name__


# --- pixels: upright, sRGB, on white ---------------------------------------------------------------------------------

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _orientation(image: Image.Image) -> int:
    try:
        value: Any = image.getexif().get(0x0112, 1)
        return int(value)
    except Exception:
        return 1  # broken metadata says nothing about the pixels


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image, kind: str, data: bytes) -> Image.Image:
    profile = image.info.get("icc_profile")
    if kind == "PNG" and "transparency" in image.info:
        _rescale_transparency(image, depth=data[24])
    colour, alpha = _colour_and_alpha(image)
    rgb = _to_srgb(colour, profile if isinstance(profile, bytes) else None)
    if alpha is None or alpha.getextrema() == (255, 255):
        # A still JPEG is closed and whole after load(); the others may keep their file for more frames.
        return rgb.copy() if rgb is image and image.format != "JPEG" else rgb
    # Cut-out shots are transparent around the product. Left alone that turns black,
    # and the features would describe the black.
    white = Image.new("RGB", rgb.size, "white")
    white.paste(rgb, mask=alpha)
    return white


def _rescale_transparency(image: Image.Image, depth: int) -> None:
    """Bring a PNG's transparent colour to the scale of the pixels, which Pillow leaves as it was stored."""
    value = image.info["transparency"]
    if depth == 16 and isinstance(value, tuple):
        image.info["transparency"] = tuple(part >> 8 for part in value)
    elif depth in (2, 4) and isinstance(value, int) and image.mode == "L":
        image.info["transparency"] = value * 255 // (2**depth - 1)


def _colour_and_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours as L, RGB, CMYK or LAB, and the opacity as L where there is any."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _deep_grey(image)
    if not image.has_transparency_data:
        if mode in ("L", "RGB", "CMYK", "LAB"):
            return image, None
        return image.convert("L" if mode == "1" else "RGB"), None
    if mode in ("LA", "La"):
        grey = image if mode == "LA" else image.convert("LA")
        return grey.getchannel("L"), grey.getchannel("A")
    clear = image if mode == "RGBA" else image.convert("RGBA")
    return clear.convert("RGB"), clear.getchannel("A")


def _deep_grey(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """More than 8 bits of grey, scaled to 8: Pillow's own conversion clips, which turns mid-tones white."""
    values = np.asarray(image)
    transparent = image.info.get("transparency")
    alpha = (
        Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)) if transparent is not None else None
    )
    # In bands: the numbers between would take thirty times the memory of a large picture.
    step = max(1, 500_000 // values.shape[1])
    bands = [slice(top, top + step) for top in range(0, values.shape[0], step)]
    if image.mode.startswith("I;16"):
        white = 65_535.0
    else:
        white = _white_of(max(float(_finite(values[band]).max()) for band in bands), image.mode)
    grey = np.empty(values.shape, dtype=np.uint8)
    for band in bands:
        grey[band] = np.rint(_finite(values[band]) * (255.0 / white)).clip(0, 255)
    return Image.fromarray(grey), alpha


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # floats of a damaged file hold every kind of no-number
        return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0.0)


def _white_of(brightest: float, mode: str) -> float:
    """The value that means white in a picture of plain numbers, which do not say it themselves."""
    if mode == "F" and brightest <= 1.0:
        return 1.0
    return next((white for white in (255.0, 65_535.0, 2.0**31 - 1) if brightest <= white), max(brightest, 1.0))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and len(profile) <= MAX_PROFILE_BYTES and (transform := _transform(profile, image.mode)) is not None:
        try:
            turned = transform.apply(image)
        except Exception:  # a profile that fails on the pixels is as good as none
            turned = None
        if turned is not None:
            return turned
    if image.mode == "LAB":
        return _lab_transform().apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where the profile is broken, of another kind, or sRGB already."""
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space.strip() != _PROFILE_SPACES.get(mode):
            return None
        transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except Exception:  # lcms and Pillow raise several kinds; a broken profile never costs the photo
        return None


@cache
def _lab_transform() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    moved = np.asarray(transform.apply(Image.fromarray(cube)))
    return bool(np.abs(moved.astype(int) - cube.astype(int)).max() <= 2)
