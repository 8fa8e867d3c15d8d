"""Put photos into category folders: copies or hard links, planned first, never over another file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from featx.aside import written_aside
from featx.errors import FeatxError
from featx.prediction import Prediction

REVIEW = "needs-review"


@dataclass(frozen=True)
class Move:
    """Where one photo goes, and whether it lies there already."""

    source: Path
    target: Path
    there: bool = False


def planned(predictions: Iterable[Prediction], root: Path) -> Iterator[Move]:
    """The place of each photo under its category, or under `needs-review`; equal names get a number."""
    taken: set[Path] = set()
    for one in predictions:
        if one.unreadable:
            continue
        folder = root / (REVIEW if one.doubt else _folder(one.label))
        source = Path(one.item.path)
        target, number = folder / source.name, 1
        while target in taken or (target.exists() and not _same(source, target)):
            number += 1
            target = folder / f"{source.stem}-{number}{source.suffix}"
        taken.add(target)
        yield Move(source, target, target.exists())


def put(move: Move, *, link: bool) -> None:
    """Copy or link one photo, whole or not at all."""
    if move.there:
        return
    try:
        move.target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            _link(move.source, move.target)
            return
        with move.source.open("rb") as source, written_aside(move.target, swept=False) as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            shutil.copystat(move.source, copy.name)
    except OSError as error:
        raise FeatxError(
            "disk-full" if error.errno == 28 else "no-permission",
            f"cannot put `{move.source}` at `{move.target}`: {error.strerror or error}",
            "choose another folder" + (", or copy instead of linking: leave out `--link`" if link else ""),
        ) from error


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        if not _same(source, target):
            raise


def _folder(label: str) -> Path:
    """A category as a folder below the root: its parts, none of which can climb out."""
    parts = [part.strip().strip(".").replace("\\", "-").replace("\0", "") for part in label.split("/")]
    return Path(*[part or "unnamed" for part in parts])


def _same(one: Path, other: Path) -> bool:
    import filecmp

    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
