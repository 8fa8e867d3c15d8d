"""Makes the photo files that tests need and cameras do not give: odd, damaged and hostile ones, as bytes.

`python tests/images/odd_images.py FOLDER` writes them all, to look at them or to feed them to something else.
"""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

WHITE_D50 = (0.9642, 1.0, 0.8249)
# Columns of the matrices to XYZ (D50): red, green, blue.
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def scene(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture with a different colour in each corner, so that turns and flips show."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    y, x = y / (height - 1), x / (width - 1)
    planes = np.stack([40 + 200 * x, 40 + 200 * y, 200 - 150 * x * y], axis=-1)
    return Image.fromarray(planes.astype(np.uint8))


# --- PNG by hand: depths and transparency that Pillow does not write -------------------------------------------------


def png(pixels: np.ndarray, *, depth: int, colour: int, extra: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG of rows of samples (height, width × channels), each sample `depth` bits wide."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    height, width = pixels.shape[0], pixels.shape[1] // channels
    rows = b""
    for row in pixels:
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(value), f"0{depth}b") for value in row)
            bits += "0" * (-len(bits) % 8)
            packed = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
        rows += b"\0" + packed
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, body) for name, body in chunks)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


# --- ICC profiles ----------------------------------------------------------------------------------------------------


def _icc(space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        padded = content + b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += padded
    size = at + len(body)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">I", size) + b"none" + struct.pack(">I", 0x02400000) + kind + space + pcs
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _fixed(WHITE_D50)
    return head.ljust(128, b"\0") + table + body


def _fixed(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _gamma(power: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(power * 256))


def rgb_profile(columns: tuple[tuple[float, ...], ...], gamma: float = 2.2) -> bytes:
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(WHITE_D50)}
    for name, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags[name + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(column)
        tags[name + b"TRC"] = _gamma(gamma)
    return _icc(b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    return _icc(b"GRAY", b"XYZ ", {b"wtpt": b"XYZ \0\0\0\0" + _fixed(WHITE_D50), b"kTRC": _gamma(gamma)})


def cmyk_profile() -> bytes:
    """Inks no printer has: cyan ink prints pure red, everything else prints white, black ink prints black."""
    ramp = bytes(range(256))
    grid = b""
    for corner in range(16):  # cyan is the slowest of the four, black the fastest
        cyan, black = corner >> 3 & 1, corner & 1
        light, a, b = (0.0, 0.0, 0.0) if black else (54.3, 80.8, 69.9) if cyan else (100.0, 0.0, 0.0)
        grid += bytes([round(light * 2.55), round(a + 128), round(b + 128)])
    matrix = _fixed((1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + grid + ramp * 3
    return _icc(b"CMYK", b"Lab ", {b"wtpt": b"XYZ \0\0\0\0" + _fixed(WHITE_D50), b"A2B0": table})


# --- hostile and damaged files ---------------------------------------------------------------------------------------


def jpeg_claiming(width: int, height: int, *, progressive: bool = True) -> bytes:
    """A small JPEG whose header promises a picture of another size."""
    data = bytearray(encode(scene(), "JPEG", progressive=progressive))
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def jpeg_of_scans(scans: int) -> bytes:
    """A progressive JPEG with its last scan repeated until it has that many."""
    data = encode(scene(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (scans - data.count(b"\xff\xda") + 1) + b"\xff\xd9"


def gif_with_comment(size: int) -> bytes:
    data = encode(scene().convert("P"), "GIF")
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:start] + b"\x21\xfe" + (b"\xff" + b"x" * 255) * (size // 255) + b"\0" + data[start:]


def bmp_run_lengths(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 256, 0)
    body = b"\x01\x05" * 1000
    return b"BM" + struct.pack("<IHHI", 14 + 40 + 1024 + len(body), 0, 0, 14 + 40 + 1024) + head + bytes(1024) + body


def webp_claiming(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def gif_claiming(width: int, height: int) -> bytes:
    return (
        b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\xf0\0\0"
        + b"\0\0\0\xff\xff\xff"
        + (b"\x2c" + struct.pack("<HHHH", 0, 0, width, height) + b"\0\x02\x02\x4c\x01\0;")
    )


def tiff_with_huge_directory() -> bytes:
    entries = ((256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 5_000_000, 8))
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + bytes(1000)


def with_orientation(orientation: int, form: str, image: Image.Image) -> bytes:
    """The picture stored turned, with the tag that tells how to turn it back."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = image.transpose(back[orientation]) if orientation in back else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"exif": exif}
    if form in ("JPEG", "AVIF"):
        options["quality"] = 95
    if form == "WEBP":
        options["lossless"] = True
    return encode(stored, form, **options)


HTML = b"<!DOCTYPE html>\n<html><body>404, no such picture</body></html>"


def readable() -> dict[str, bytes]:
    """One small good file of every format and mode."""
    rgb = scene()
    clear = rgb.copy()
    clear.putalpha(Image.linear_gradient("L").resize(rgb.size))
    palette = rgb.quantize(16)
    grey16 = np.arange(32 * 24, dtype=np.uint32).reshape(24, 32) * 85
    files = {
        "baseline.jpg": encode(rgb, "JPEG"),
        "progressive.jpg": encode(rgb, "JPEG", progressive=True),
        "grey.jpg": encode(rgb.convert("L"), "JPEG"),
        "cmyk.jpg": encode(rgb.convert("CMYK"), "JPEG"),
        "cmyk-profile.jpg": encode(rgb.convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
        "adobe-rgb.jpg": encode(rgb, "JPEG", icc_profile=rgb_profile(ADOBE_RGB)),
        "mpo.jpg": encode(rgb, "MPO", save_all=True, append_images=[rgb.rotate(90)]),
        "rgb.png": encode(rgb, "PNG"),
        "rgba.png": encode(clear, "PNG"),
        "la.png": encode(clear.convert("LA"), "PNG"),
        "palette.png": encode(palette, "PNG"),
        "palette-clear.png": encode(palette, "PNG", transparency=0),
        "one-bit.png": encode(rgb.convert("1"), "PNG"),
        "grey16.png": png(grey16, depth=16, colour=0),
        "rgb16.png": png(grey16[:, :30], depth=16, colour=2),
        "animated.png": encode(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)]),
        "lossy.webp": encode(rgb, "WEBP"),
        "lossless.webp": encode(clear, "WEBP", lossless=True),
        "animated.webp": encode(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(90)]),
        "still.gif": encode(palette, "GIF"),
        "animated.gif": encode(rgb, "GIF", save_all=True, append_images=[rgb.rotate(90)]),
        "rgb.bmp": encode(rgb, "BMP"),
        "palette.bmp": encode(palette, "BMP"),
        "rgb.tif": encode(rgb, "TIFF"),
        "lzw.tif": encode(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encode(rgb, "TIFF", compression="tiff_deflate"),
        "jpeg.tif": encode(rgb, "TIFF", compression="jpeg"),
        "rgba.tif": encode(clear, "TIFF"),
        "cmyk.tif": encode(rgb.convert("CMYK"), "TIFF"),
        "lab.tif": encode(Image.new("LAB", (16, 16), (128, 200, 128)), "TIFF"),
        "one-bit.tif": encode(rgb.convert("1"), "TIFF", compression="group4"),
        "grey16.tif": encode(Image.fromarray(grey16.astype(np.uint16)), "TIFF"),
        "float.tif": encode(Image.fromarray((grey16 / 65535).astype(np.float32)), "TIFF"),
        "int32.tif": encode(Image.fromarray(grey16.astype(np.int32)), "TIFF"),
        "plain.avif": encode(rgb, "AVIF"),
        "clear.avif": encode(clear, "AVIF"),
    }
    return files | heic_files(rgb)


def heic_files(image: Image.Image) -> dict[str, bytes]:
    try:
        import pillow_heif
    except ImportError:
        return {}
    pillow_heif.register_heif_opener()
    return {"photo.heic": encode(image, "HEIF")} if pillow_heif.libheif_info().get("encoders") is not None else {}


def unreadable() -> dict[str, tuple[bytes, str]]:
    """Files that are no photo, each with the reason that must be given."""
    good = readable()
    return {
        "empty.jpg": (b"", "not-an-image"),
        "html.jpg": (HTML, "not-an-image"),
        "pdf.jpg": (b"%PDF-1.7\n...", "not-an-image"),
        "zip.jpg": (b"PK\x03\x04" + bytes(50), "not-an-image"),
        "fits-gzip.jpg": (b"\x1f\x8b\x08" + bytes(50), "not-an-image"),
        "text.png": ("größe;farbe\n1;blau\n".encode(), "not-an-image"),
        "noise.jpg": (bytes(range(7, 256)), "not-an-image"),
        "zeros.jpg": (bytes(5000), "not-an-image"),
        "drawing.svg.png": (b'<?xml version="1.0"?><svg xmlns="x"/>', "not-an-image"),
        "photoshop.jpg": (b"8BPS\0\x01" + bytes(100), "unreadable"),
        "bomb.jpg": (jpeg_claiming(13_000, 13_000), "too-large"),
        "strip.jpg": (jpeg_claiming(40_000, 10), "too-large"),
        "scans.jpg": (jpeg_of_scans(2_000), "too-large"),
        "bomb.gif": (gif_claiming(65_535, 65_535), "too-large"),
        "bomb.webp": (webp_claiming(16_383, 16_383), "too-large"),
        "bomb.png": (png_claiming(20_000, 20_000), "too-large"),
        "bomb.avif": (avif_claiming(12_000, 12_000), "too-large"),
        "run-lengths.bmp": (bmp_run_lengths(6_000, 6_000), "too-large"),
        "comment.gif": (gif_with_comment(2 * 2**20), "unreadable"),
        "chunks.png": (many_chunks(60_000), "unreadable"),
        "header.jpg": (b"\xff\xd8" + (b"\xff\xe1\xff\xff" + b"Exif\0\0" + bytes(65_527)) * 270, "unreadable"),
        "directory.tif": (tiff_with_huge_directory(), "unreadable"),
        "junk.tif": (b"II*\0" + bytes(range(256)) * 4, "unreadable"),
        "cut.jpg": (good["baseline.jpg"][: len(good["baseline.jpg"]) * 2 // 3], "truncated"),
        "cut-progressive.jpg": (good["progressive.jpg"][: len(good["progressive.jpg"]) * 2 // 3], "truncated"),
        "cut.png": (good["rgb.png"][:-60], "truncated"),
        "cut.webp": (good["lossy.webp"][:-60], "truncated"),
        "cut.gif": (good["still.gif"][: len(good["still.gif"]) - 200], "truncated"),
        "cut.bmp": (good["rgb.bmp"][:-600], "truncated"),
        "cut.tif": (good["rgb.tif"][:-600], "truncated"),
        "cut.avif": (good["plain.avif"][:-60], "truncated"),
    }


def avif_claiming(width: int, height: int) -> bytes:
    data = bytearray(encode(scene(), "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(name, part) for name, part in chunks)


def many_chunks(count: int) -> bytes:
    good = encode(scene(), "PNG")
    return good[:33] + png_chunk(b"tEXt", b"a\0b") * count + good[33:]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in {**readable(), **{name: data for name, (data, _) in unreadable().items()}}.items():
        (folder / name).write_bytes(data)
