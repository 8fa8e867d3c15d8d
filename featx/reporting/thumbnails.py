"""The thumbnails of a report: WebP files beside it, so that it can be written again without the photos."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from featx.files.atomic import write_atomic
from featx.images.thumbnails import data_uri, square_thumbnail, thumbnail, webp

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
        """The file name of an item's thumbnail, created if necessary; None if the photo cannot be read."""
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
        image = thumbnail(self.base / path, SIDE)
        if image is None:
            self._miss(item_id)
            return None
        return self._keep(webp(image, QUALITY))

    def picture(self, image: Image.Image) -> str:
        """The file name of a picture that was drawn over a photo."""
        return self._keep(webp(image, QUALITY))

    def _keep(self, data: bytes) -> str:
        name = name_of(data)
        write_thumbnail(self.folder / FOLDER / name, data)
        return name

    def _miss(self, item_id: str) -> None:
        if item_id not in self.missing:
            self.missing.append(item_id)

    def sheet(self, item_ids: Sequence[str]) -> tuple[str | None, list[str]]:
        """One picture that holds a small square of each photo; its file name, and whose squares it holds, in order."""
        tiles: list[Image.Image] = []
        shown: list[str] = []
        for item_id in item_ids:
            if item_id not in self.paths:
                continue
            tile = square_thumbnail(self.base / self.paths[item_id], TILE)
            if tile is None:
                self._miss(item_id)
            else:
                tiles.append(tile)
                shown.append(item_id)
        if not tiles:
            return None, []
        high = -(-len(tiles) // SHEET_WIDTH)
        sheet = Image.new("RGB", (SHEET_WIDTH * TILE, high * TILE), "white")
        for i, tile in enumerate(tiles):
            sheet.paste(tile, (i % SHEET_WIDTH * TILE, i // SHEET_WIDTH * TILE))
        return self._keep(webp(sheet, TILE_QUALITY)), shown


def write_thumbnail(path: Path, data: bytes) -> None:
    """Write a thumbnail under the name of its content, unless it is there."""
    # Hundreds of them are not synced one by one; one damaged by a power cut does not match its name, and is replaced.
    with suppress(OSError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data, synced=False, swept=False)


def inline(folder: Path, name: str | None) -> str | None:
    """A thumbnail as a data URI; None if it is missing."""
    data = kept_bytes(folder, name)
    return None if data is None else data_uri(data, "webp")


def read_kept(folder: Path, name: str | None) -> Image.Image | None:
    """A thumbnail as an image; None if it is missing."""
    data = kept_bytes(folder, name)
    if data is None:
        return None
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None


def kept_bytes(folder: Path, name: str | None) -> bytes | None:
    """The bytes of a thumbnail; None if it is missing or does not match its name."""
    # The name comes from a JSON file: it must not lead out of the folder.
    if not name or Path(name).name != name or not name.endswith(".webp"):
        return None
    try:
        data = (folder / FOLDER / name).read_bytes()
    except OSError:
        return None
    return data if name_of(data) == name else None


def name_of(data: bytes) -> str:
    """The file name of a thumbnail: a digest of its bytes."""
    return f"{hashlib.sha256(data).hexdigest()[:20]}.webp"
