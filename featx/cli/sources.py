"""The photos that a command line names: a folder, a table, photos, or paths on stdin."""

from __future__ import annotations

from pathlib import Path

from featx.cli.shop_folder import from_shop
from featx.errors import FeatxError

INSTEAD = "name one folder that contains the others, or run `featx extract` once for each: all go into the same store"


def paths_on_stdin() -> list[str]:
    """The paths that stdin lists, one per line."""
    import sys

    data = sys.stdin.buffer.read()
    # `find -print0` for names with newlines.
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [from_shop(line.decode("utf-8", "surrogateescape")) for line in lines if line.strip()]


def source_of(images: list[str]) -> str | list[str]:
    """The source named on the command line: one folder or table, photos, or paths on stdin."""
    if images == ["-"]:
        return paths_on_stdin()
    if len(images) == 1:
        return images[0]
    folders = [path for path in images if Path(path).is_dir()]
    if folders:
        raise FeatxError(
            "bad-flag",
            f"several sources were given, and `{folders[0]}` is a folder",
            INSTEAD,
        )
    return images
