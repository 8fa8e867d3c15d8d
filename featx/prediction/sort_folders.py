"""Put photos into category folders: copies or hard links, planned first, never over another file."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from featx.errors import FeatxError
from featx.files.atomic import atomic_writer
from featx.prediction.predict import Prediction

REVIEW = "needs-review"
# The longest name of a file and the longest path that file systems take, in bytes; with room for a photo in a folder.
NAME, PATH = 255, 4096 - 256
# Control characters, and halves of a character that have no bytes.
NOT_IN_NAMES = r"[\x00-\x1f\x7f\\\ud800-\udc7f\udd00-\udfff]"


@dataclass(frozen=True)
class Move:
    """The target of a photo, and whether it is there already."""

    source: Path
    target: Path
    there: bool = False


def require_distinct_folders(categories: Iterable[str], root: Path) -> None:
    """Before anything is written: every category has a folder, and no two have the same one."""
    taken = {os.path.normcase(REVIEW): "the photos that need a look"}
    for label in categories:
        folder = _folder(label)
        shown = f"`{label if len(label) <= 40 else label[:40] + '…'}`"
        longest = max(len(os.fsencode(part)) for part in folder.parts)
        if longest > NAME or len(os.fsencode(root.absolute() / folder)) > PATH:
            raise FeatxError(
                "bad-flag",
                f"the category {shown} is too long for a folder: a name has {longest:,} bytes, and the limit is {NAME}",
                "shorten it and train again, or write the answers into a table: `-o predictions.csv`",
                {"category": label},
            )
        key = os.path.normcase(folder)
        if key in taken:
            raise FeatxError(
                "bad-flag",
                f"the category {shown} would share the folder `{folder}` with {taken[key]}",
                "rename it and train again, or write the answers into a table: `-o predictions.csv`",
                {"category": label},
            )
        taken[key] = f"the category {shown}"


def plan_moves(predictions: Iterable[Prediction], root: Path) -> Iterator[Move]:
    """The target of each photo under its category, or under `needs-review`; equal names get a number."""
    taken: set[Path] = set()
    for prediction in predictions:
        if prediction.unreadable:
            continue
        folder = root / (REVIEW if prediction.doubt else _folder(prediction.label))
        source = Path(prediction.item.path)
        target, number = folder / source.name, 1
        while target in taken or (target.exists() and not _same(source, target)):
            number += 1
            target = folder / _numbered(source, number)
        taken.add(target)
        yield Move(source, target, target.exists())


def apply_move(move: Move, *, link: bool) -> None:
    """Copy or link one photo, whole or not at all."""
    if move.there:
        return
    try:
        move.target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            _link(move.source, move.target)
            return
        with move.source.open("rb") as source, atomic_writer(move.target, swept=False) as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            shutil.copystat(move.source, copy.name)
    except OSError as error:
        full, long = error.errno in (errno.ENOSPC, errno.EDQUOT), error.errno == errno.ENAMETOOLONG
        raise FeatxError(
            "disk-full" if full else "bad-flag" if long else "no-permission",
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
    parts = [re.sub(r"^[\s.]+|[\s.]+$", "", part) for part in label.split("/")]
    return Path(*[re.sub(NOT_IN_NAMES, "-", part) or "unnamed" for part in parts])


def _numbered(source: Path, number: int) -> str:
    """Another name for a photo; where the two do not fit into one, its own is cut."""
    end = f"-{number}{source.suffix}"
    room = max(1, NAME - len(os.fsencode(end)))
    return os.fsencode(source.stem)[:room].decode("utf-8", "ignore") + end


def _same(path: Path, other: Path) -> bool:
    import filecmp

    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False
