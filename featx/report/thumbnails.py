"""The small pictures of a report: WebP files beside it, so that it can be written again without the photos."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from featx.files.atomic import write_atomic
from featx.images import UnreadablePhoto, read_photo

SIDE = 96
QUALITY = 62
MOST = 420
TILE = 40
TILE_QUALITY = 45
TILES = 1_600
SHEET_WIDTH = 40
FOLDER = "thumbnails"


@dataclass
class ThumbnailCache:
    """Makes thumbnails of a store's photos into one folder; says which could not be made."""

    folder: Path
    paths: dict[str, str]
    base: Path = field(default_factory=Path)
    most: int = MOST
    missing: list[str] = field(default_factory=list)
    left_out: int = 0
    made: dict[str, str | None] = field(default_factory=dict)

    def name(self, item_id: str) -> str | None:
        """The file name of an item's thumbnail, made now if need be; None where there can be none."""
        if item_id in self.made:
            return self.made[item_id]
        if item_id not in self.paths:
            return None
        if sum(name is not None for name in self.made.values()) >= self.most:
            self.left_out += 1
            return None
        self.made[item_id] = self._make(item_id, self.paths[item_id])
        return self.made[item_id]

    def _make(self, item_id: str, path: str) -> str | None:
        image = self._read(item_id, path, SIDE)
        if image is None:
            return None
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        data = webp(image, QUALITY)
        name = _name_of(data)
        _write(self.folder / FOLDER / name, data)
        return name

    def sheet(self, item_ids: Sequence[str]) -> tuple[str | None, list[str]]:
        """One picture that holds a small square of each photo; its file name, and whose squares it holds, in order."""
        tiles: list[Image.Image] = []
        held: list[str] = []
        for item_id in item_ids:
            image = self._read(item_id, self.paths[item_id], TILE) if item_id in self.paths else None
            if image is not None:
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                square = image.crop((left, top, left + side, top + side))
                tiles.append(square.resize((TILE, TILE), Image.Resampling.LANCZOS))
                held.append(item_id)
        if not tiles:
            return None, []
        high = -(-len(tiles) // SHEET_WIDTH)
        sheet = Image.new("RGB", (SHEET_WIDTH * TILE, high * TILE), "white")
        for i, tile in enumerate(tiles):
            sheet.paste(tile, (i % SHEET_WIDTH * TILE, i // SHEET_WIDTH * TILE))
        data = webp(sheet, TILE_QUALITY)
        name = _name_of(data)
        _write(self.folder / FOLDER / name, data)
        return name, held

    def _read(self, item_id: str, path: str, side: int) -> Image.Image | None:
        try:
            return read_photo(self.base / path, draft_size=(2 * side, 2 * side)).image
        except UnreadablePhoto:
            if item_id not in self.missing:
                self.missing.append(item_id)
            return None


def webp(image: Image.Image, quality: int) -> bytes:
    """A picture as the bytes of a WebP file."""
    held = io.BytesIO()
    image.convert("RGB").save(held, "WEBP", quality=quality, method=6)
    return held.getvalue()


def _write(path: Path, data: bytes) -> None:
    # Hundreds of them are not synced one by one; what a power cut spoilt is not what its name says, and is replaced.
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data, synced=False, swept=False)


def inline(folder: Path, name: str | None) -> str | None:
    """A thumbnail as an address that needs no file; None where it is not there."""
    data = _kept(folder, name)
    return None if data is None else "data:image/webp;base64," + base64.b64encode(data).decode()


def read_kept(folder: Path, name: str | None) -> Image.Image | None:
    """A thumbnail as a picture; None where it is not there."""
    data = _kept(folder, name)
    if data is None:
        return None
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None


def _kept(folder: Path, name: str | None) -> bytes | None:
    # The name comes from a JSON file: it must not lead out of the folder.
    if not name or Path(name).name != name or not name.endswith(".webp"):
        return None
    try:
        data = (folder / FOLDER / name).read_bytes()
    except OSError:
        return None
    return data if _name_of(data) == name else None


def _name_of(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:20]}.webp"
