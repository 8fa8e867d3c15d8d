"""The photos that a command line names: a folder, a table, photos, or paths on stdin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from featx.cli.shop_folder import from_shop
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.catalogue.items import Catalogue
    from featx.catalogue.photo_lists import PhotoList
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


class ReadingFlags(TypedDict, total=False):
    """How a folder or table is read, by the flags of `extract`."""

    label_from: str
    pattern: str | None
    image_col: str | None
    label_col: str | None
    id_col: str | None
    group_col: str | None
    split: str | None
    split_col: str | None
    allow_outside: bool
    images: Path | None
    image_pattern: str | None


def catalogue_of(named: list[str], out: Output, /, **flags: Unpack[ReadingFlags]) -> Catalogue:
    """The catalogue of the photos named on the command line; its notes are warnings."""
    from featx.catalogue.reading import read_catalogue

    return _noted(read_catalogue(source_of(named), **_arguments(flags)), out)


def parts_or_catalogue_of(named: list[str], out: Output, /, **flags: Unpack[ReadingFlags]) -> Catalogue | PhotoList:
    """The same; a long list of photos as one that is read part by part."""
    from featx.catalogue.items import Catalogue
    from featx.catalogue.reading import read_in_parts

    read = read_in_parts(source_of(named), **_arguments(flags))
    return _noted(read, out) if isinstance(read, Catalogue) else read


def _arguments(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags as arguments of `read_catalogue`."""
    return {name: value for name, value in flags.items() if (name, value) != ("label_from", "auto")}


def _noted(catalogue: Catalogue, out: Output) -> Catalogue:
    for note in catalogue.notes:
        out.warn(note)
    return catalogue
