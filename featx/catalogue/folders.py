"""The files below a folder, in the order people count: photo2 before photo10."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.errors import FeatxError

IGNORED = {"thumbs.db", "desktop.ini", ".ds_store"}


def walk(root: str) -> Iterator[str]:
    """Every visible file below a folder; each real folder once, so that loops of links end."""
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:
            continue
        seen.add((stat.st_dev, stat.st_ino))
        try:
            entries = list(os.scandir(folder))
        except PermissionError as error:
            raise FeatxError(
                "no-permission", f"cannot read the folder `{folder}`", "make the folder readable"
            ) from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                continue
            try:
                if entry.is_dir():
                    waiting.append(entry.path)
                    continue
            except OSError:
                pass  # a link that leads nowhere: reading it will say so, by name
            yield entry.path


def photos_below(folder: Path) -> list[str]:
    """The photos below a folder, by their paths from it."""
    photos = [path for path in walk(str(folder)) if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES]
    return sorted((Path(relative_path(path, str(folder))).as_posix() for path in photos), key=natural)


def natural(path: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as people count: photo2 before photo10."""
    return [
        (1, int(part), "") if part.isdecimal() and part.isascii() else (0, 0, part)
        for part in re.split(r"([0-9]+)", path)
    ]


def relative_path(path: str, root: str) -> str:
    """The path below the root. Few paths need the slow way, which looks for the way up and down again."""
    if "://" in path:
        return path.partition("://")[2]
    if root == ".":
        below = path
    elif path.startswith(root + os.sep):
        below = path[len(root) + 1 :]
    else:
        return os.path.relpath(path, root)
    short = os.path.normpath(below) if below else ".."
    return os.path.relpath(path, root) if short.startswith(("..", os.sep)) else short


def no_images(where: str, others: Counter[str]) -> FeatxError:
    """The error for a place without photos, with what lies there instead."""
    n = sum(others.values())
    suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(5))
    detail = (
        f"\nfound {n:,} file{'' if n == 1 else 's'}, none of them a photo: {suffixes}" if n else "\nthe folder is empty"
    )
    return FeatxError(
        "no-images", f"no photos under {where}{detail}", f"featx reads {' '.join(sorted(IMAGE_SUFFIXES))}"
    )
