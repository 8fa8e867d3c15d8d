"""Which items exist: a folder, a table or a list of paths in, items with labels and products out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from featx.catalogue.items import Catalogue, joined_catalogues
from featx.catalogue.path_layout import LABEL_FROM, PathLayout
from featx.catalogue.patterns import compile_pattern, sku_pattern
from featx.catalogue.photo_lists import PhotoList, open_photo_list
from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.catalogue.table_columns import ColumnChoice
from featx.catalogue.table_items import read_photo_table, read_product_table
from featx.catalogue.tables import SUFFIXES
from featx.errors import FeatxError

# A table of one of these names in a folder lists its photos.
INSIDE = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def read_catalogue(
    source: str | Path | Iterable[str],
    *,
    label_from: str | None = None,
    pattern: str | None = None,
    image_col: str | None = None,
    label_col: str | None = None,
    id_col: str | None = None,
    group_col: str | None = None,
    split: str | None = None,
    split_col: str | None = None,
    allow_outside: bool = False,
    images: str | Path | None = None,
    image_pattern: str | None = None,
) -> Catalogue:
    """Read a folder of photos, a table that lists them, or a list of paths.

    Where the table names no photos, `images` is their folder, and their names begin with the SKU or lie in a folder of
    that name; where they are named otherwise, `image_pattern` describes it, as in "{sku}_{shot}.jpg".

    >>> read_catalogue("data/train").labels[:2]
    ['backpacks', 'boots']
    """
    arguments = locals()
    flags, (layout, columns) = _flags(arguments), _choices(arguments)
    if images is not None:
        catalogue = _read_products(source, Path(images), image_pattern, columns, layout)
        return replace(catalogue, flags=flags)
    if image_pattern is not None:
        raise FeatxError("bad-flag", "`--image-pattern` needs `--images`", "name the folder of the photos")
    return replace(_read(source, layout, columns, allow_outside), flags=flags)


def read_in_parts(source: str | Path | Iterable[str], **how: Any) -> Catalogue | PhotoList:
    """The same; a Parquet file in the order of its paths, as `featx list` writes it, is read by parts."""
    path = Path(source) if isinstance(source, str | Path) else Path()
    if path.suffix.lower() == ".parquet" and path.is_file() and not (how.get("images") or how.get("image_pattern")):
        layout, columns = _choices(how)
        if listed := open_photo_list(path, columns, layout, bool(how.get("allow_outside")), _flags(how)):
            return listed
    return read_catalogue(source, **how)


def _choices(how: Mapping[str, Any]) -> tuple[PathLayout, ColumnChoice]:
    """What the arguments of `read_catalogue` say of paths and of columns."""
    label_from, group = how.get("label_from"), how.get("group_col")
    if label_from is not None and label_from not in LABEL_FROM:
        raise FeatxError("bad-flag", f"`--label-from {label_from}` is not known", f"choose {', '.join(LABEL_FROM)}")
    layout = PathLayout(label_from, compile_pattern(how.get("pattern")), how.get("split"), group != "none")
    image, label, item_id, of_split = (how.get(f"{name}_col") for name in ("image", "label", "id", "split"))
    return layout, ColumnChoice(image, label, item_id, None if group == "none" else group, of_split)


def read_several(sources: Sequence[str], *, allow_outside: bool = False) -> Catalogue:
    """Folders, tables and photos, one after the other, as one catalogue; a photo that is named twice counts once."""
    if len(sources) < 2:
        return read_catalogue(sources[0] if sources else [], allow_outside=allow_outside)
    read: list[Catalogue] = []
    for alone, names in groupby(sources, _stands_alone):
        together = list(names)
        read += [read_catalogue(source, allow_outside=allow_outside) for source in (together if alone else [together])]
    return read[0] if len(read) == 1 else joined_catalogues(read)


def _stands_alone(source: str) -> bool:
    """Whether this is a folder or table, or nothing that is here; photos one after the other are one list."""
    path = Path(source)
    return path.is_dir() or path.suffix.lower() in SUFFIXES or not (path.suffix or path.exists())


def _flags(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """The arguments of `read_catalogue` as flags of `featx extract`."""
    words: list[str] = []
    for name, value in arguments.items():
        if name != "source" and value not in (None, False):
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return tuple(words)


def _read(
    source: str | Path | Iterable[str], layout: PathLayout, columns: ColumnChoice, allow_outside: bool
) -> Catalogue:
    if not isinstance(source, str | Path):
        return layout.listed([str(path) for path in source], root=".")
    path = Path(source)
    if path.is_dir():
        inside = [path / name for name in INSIDE if (path / name).is_file()]
        if inside:
            return read_photo_table(inside[0], columns, layout, allow_outside)
        for flag, given in (("image-col", columns.image), ("label-col", columns.label), ("id-col", columns.item_id)):
            if given:
                raise FeatxError("bad-flag", f"`--{flag}` needs a table, and `{path}` is a folder", "name a table")
        return layout.folder(path)
    if not path.exists():
        what = "photo" if path.suffix.lower() in IMAGE_SUFFIXES else "folder or table"
        raise FeatxError("no-such-file", f"no {what} at `{path}`", "check the spelling, or where you are")
    if path.suffix.lower() in SUFFIXES:
        return read_photo_table(path, columns, layout, allow_outside)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return layout.listed([str(path)], root=str(path.parent))
    raise FeatxError(
        "bad-manifest",
        f"`{path}` is neither a folder, a photo nor a table",
        f"tables end in {', '.join(SUFFIXES)}",
    )


def _read_products(
    source: str | Path | Iterable[str],
    images: Path,
    image_pattern: str | None,
    columns: ColumnChoice,
    layout: PathLayout,
) -> Catalogue:
    if not isinstance(source, str | Path) or Path(source).suffix.lower() not in SUFFIXES:
        hint = "`featx extract products.csv --images DIR`"
        raise FeatxError("bad-flag", "`--images` needs a table of products", hint)
    if not images.is_dir():
        raise FeatxError("no-such-file", f"no folder at `{images}`", "name the folder of the photos: `--images DIR`")
    return read_product_table(Path(source), images, sku_pattern(image_pattern), columns, layout)
