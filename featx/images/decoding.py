"""A photo's bytes in, an upright sRGB image out."""

from __future__ import annotations

import hashlib
import io
import warnings

from PIL import Image, ImageFile

from featx.images.colours import orientation_of, to_rgb, upright
from featx.images.formats import describe, pillow_formats, sniff
from featx.images.limits import pixel_limit_words, refuse_costly, refuse_large, refuse_many_scans
from featx.images.reading import UnreadablePhoto
from featx.images.truncation import seems_cut, words_of

# Odd but readable metadata makes Pillow warn on stderr from worker threads, amid the progress line. What matters
# is reported as `UnreadablePhoto`; `warnings.catch_warnings` would not be safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


def digest_of(data: bytes) -> str:
    """The SHA-256 of a photo's bytes, in hex: the name its features are kept under."""
    return hashlib.sha256(data).hexdigest()


def decode_photo(data: bytes, path: str = "", *, draft_size: tuple[int, int] | None = None) -> Image.Image:
    """The image in a photo's bytes: mode RGB, upright, in sRGB, transparent parts on white, first frame only.

    With `draft_size` (width, height of the upright image) a JPEG may come out smaller than it is, but never below
    that size: decoding then costs a fraction. Without it the pixels are exact. `path` only names the photo in errors.
    """
    if draft_size is not None and min(draft_size) < 1:
        raise ValueError(f"draft_size must be at least 1 × 1, not {draft_size}")
    # Another library in this process may have switched it on; a cut photo would then come out half grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    kind = sniff(data)
    if kind is None:
        reason, detail = describe(data)
        raise UnreadablePhoto(path, reason, detail)
    try:
        # From .size to the last pixel, any step may raise nearly anything on a damaged file.
        refuse_costly(kind, data)
        with Image.open(io.BytesIO(data), formats=pillow_formats(kind)) as opened:
            refuse_large(*opened.size)
            if kind == "JPEG":
                refuse_many_scans(data, *opened.size)
                _draft(opened, draft_size)
            opened.load()
            refuse_large(*opened.size)
            return upright(to_rgb(opened, kind, data), orientation_of(opened))
    except UnreadablePhoto as refusal:
        raise UnreadablePhoto(path, refusal.reason, refusal.detail) from refusal.__cause__
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadablePhoto(path, "too-large", pixel_limit_words()) from error
    except MemoryError as error:
        raise UnreadablePhoto(path, "too-large", "there is not enough memory to decode it") from error
    except Exception as error:
        if seems_cut(kind, data, str(error)):
            raise UnreadablePhoto(path, "truncated", f"the {kind} file ends too early") from error
        raise UnreadablePhoto(path, "unreadable", f"damaged {kind}: {words_of(error)}") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """An image opened elsewhere, converted as `decode_photo` does: RGB, upright, sRGB, on white."""
    try:
        image.load()
        return upright(to_rgb(image, "", b""), orientation_of(image))
    except Exception as error:
        name = str(getattr(image, "filename", "") or "")
        raise UnreadablePhoto(name, "unreadable", words_of(error)) from error


def _draft(opened: Image.Image, size: tuple[int, int] | None) -> None:
    if size is None:
        return
    if orientation_of(opened) in (5, 6, 7, 8):
        size = (size[1], size[0])
    opened.draft(None, size)
