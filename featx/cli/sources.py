"""The photos that a command line names: a folder, a table, photos, or paths on stdin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from featx.cli.shop_folder import from_shop
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.catalogue.items import Catalogue
    from featx.cli.output import Output

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


def catalogue_of(
    images: list[str],
    out: Output,
    *,
    label_from: str,
    pattern: str | None,
    image_col: str | None,
    label_col: str | None,
    id_col: str | None,
    group_col: str | None,
    split_col: str | None,
    allow_outside: bool,
    images_folder: Path | None,
    image_pattern: str | None,
    split: str | None = None,
) -> Catalogue:
    """The catalogue of the photos named on the command line, by the flags of `extract`; its notes are warnings."""
    from featx.catalogue.reading import read_catalogue

    catalogue = read_catalogue(
        source_of(images),
        label_from=None if label_from == "auto" else label_from,
        pattern=pattern,
        image_col=image_col,
        label_col=label_col,
        id_col=id_col,
        group_col=group_col,
        split=split,
        split_col=split_col,
        allow_outside=allow_outside,
        images=images_folder,
        image_pattern=image_pattern,
    )
    for note in catalogue.notes:
        out.warn(note)
    return catalogue
