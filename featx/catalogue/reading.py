"""Which items exist: a folder, a table or a list of paths in, items with labels and products out."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from featx.catalogue.items import NOTHING, Catalogue, Item, Skipped
from featx.catalogue.photos_by_sku import Unmatched, match_photos
from featx.catalogue.suffixes import IMAGE_SUFFIXES
from featx.catalogue.tables import SUFFIXES, read_table
from featx.errors import FeatxError, did_you_mean
from featx.files.cells import bare

INSIDE = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
IMAGE_COLUMNS = ("image", "path", "file_name", "filename", "file", "image_path", "photo", "picture")
LABEL_COLUMNS = ("category", "label", "class", "product_type")
ID_COLUMNS = ("item_id", "sku", "id", "product_id")
SUGGESTED = ("says", "sure", "instead", "product", "id")
PRODUCT_COLUMNS = ("product_id", "product", "sku", "group", "group_id", "item_id", "id")
SKU_COLUMNS = ("sku", "product_id", "item_id", "id", "product", "article", "ean", "gtin")
SPLIT_COLUMNS = ("split",)
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
IGNORED = {"thumbs.db", "desktop.ini", ".ds_store"}
LABEL_FROM = ("leaf", "top", "path", "prefix", "none")


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
    that name; `image_pattern` says otherwise, as in "{sku}_{shot}.jpg".

    >>> read_catalogue("data/train").labels[:2]
    ['backpacks', 'boots']
    """
    flags = _flags(locals())
    if label_from is not None and label_from not in LABEL_FROM:
        raise FeatxError("bad-flag", f"`--label-from {label_from}` is not known", f"choose {', '.join(LABEL_FROM)}")
    layout = _Layout(label_from, _compiled(pattern), split, group_col != "none")
    columns = _Columns(image_col, label_col, id_col, None if group_col == "none" else group_col, split_col)
    if images is not None:
        by_sku = _compiled(image_pattern) if image_pattern is not None else None
        return replace(_read_by_sku(source, Path(images), by_sku, columns, layout), flags=flags)
    if image_pattern is not None:
        raise FeatxError("bad-flag", "`--image-pattern` needs `--images`", "name the folder of the photos")
    return replace(_read(source, layout, columns, allow_outside), flags=flags)


def _flags(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """The arguments of `read_catalogue` as flags of `featx extract`."""
    words: list[str] = []
    for name, value in arguments.items():
        if name != "source" and value not in (None, False):
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return tuple(words)


def _read(source: str | Path | Iterable[str], layout: _Layout, columns: _Columns, allow_outside: bool) -> Catalogue:
    if not isinstance(source, str | Path):
        return layout.listed([str(path) for path in source], root=".")
    path = Path(source)
    if path.is_dir():
        inside = [path / name for name in INSIDE if (path / name).is_file()]
        if inside:
            return _read_table(inside[0], columns, layout, allow_outside)
        for flag, given in (("image-col", columns.image), ("label-col", columns.label), ("id-col", columns.item_id)):
            if given:
                raise FeatxError("bad-flag", f"`--{flag}` needs a table, and `{path}` is a folder", "name a table")
        return layout.folder(path)
    if not path.exists():
        raise FeatxError("no-such-file", f"no folder or table at `{path}`", "check the spelling, or where you are")
    if path.suffix.lower() in SUFFIXES:
        return _read_table(path, columns, layout, allow_outside)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return layout.listed([str(path)], root=str(path.parent))
    raise FeatxError(
        "bad-manifest",
        f"`{path}` is neither a folder, a photo nor a table",
        f"tables end in {', '.join(SUFFIXES)}",
    )


# --- folders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How labels, products and splits are read from paths."""

    label_from: str | None
    pattern: re.Pattern[str] | None
    split: str | None
    guess_products: bool

    def folder(self, root: Path) -> Catalogue:
        photos: list[str] = []
        others: Counter[str] = Counter()
        for path in _walk(str(root)):
            suffix = os.path.splitext(path)[1].lower()
            if suffix in IMAGE_SUFFIXES:
                photos.append(path)
            else:
                others[suffix or "no suffix"] += 1
        if not photos:
            raise _no_images(f"`{root}`", others)
        return self._catalogue(photos, str(root))

    def listed(self, paths: list[str], root: str) -> Catalogue:
        here: list[str] = []
        skipped: list[Skipped] = []
        for path in dict.fromkeys(paths):
            if not os.path.lexists(path):
                skipped.append(Skipped(path, "missing"))
            elif os.path.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
                skipped.append(Skipped(path, "not-an-image", "not a suffix of a photo"))
            else:
                here.append(path)
        if not here:
            raise _no_images("the list", Counter(skip.reason for skip in skipped))
        return replace(self._catalogue(here, root), skipped=skipped)

    def _catalogue(self, paths: list[str], root: str) -> Catalogue:
        paths = sorted(paths, key=natural)
        relative = [_relative(path, root) if root != "." else path for path in paths]
        ids = _ids(relative)
        items = [
            self._item(item_id, path, short, root) for item_id, path, short in zip(ids, paths, relative, strict=True)
        ]
        source = self._label_source(items)
        products = "the pattern" if any(item.product for item in items) else "none"
        if products == "none" and self.guess_products:
            items, products = _guess_products(items)
        named = self.pattern.groupindex if self.pattern is not None else ()
        others = [name for name in named if name not in ("label", "product", "split")]
        return Catalogue(root, items, (), source, products, columns=others)

    def _item(self, item_id: str, path: str, short: str, root: str) -> Item:
        captured = self._captures(short)
        # Photos right under the folder that was named belong to the category that folder is called.
        folders, named_split = _split_folders(os.path.split(short)[0], root)
        label = captured.get("label") or self._label(folders, short)
        split = captured.get("split") or self.split or named_split
        extra = {k: v for k, v in captured.items() if k not in ("label", "product", "split")} if captured else NOTHING
        return Item(item_id, path, label, captured.get("product"), split, extra)

    def _captures(self, short: str) -> dict[str, str]:
        if self.pattern is None:
            return {}
        match = self.pattern.search(Path(short).as_posix()) or self.pattern.search(Path(short).stem)
        return {} if match is None else {k: v for k, v in match.groupdict().items() if v}

    def _label(self, folders: Sequence[str], short: str) -> str | None:
        if self.label_from == "none":
            return None
        if self.label_from == "prefix":
            head, mark, _ = Path(short).stem.partition("_")
            return head if mark else None
        if not folders:
            return None
        if self.label_from == "top":
            return folders[0]
        return sys.intern("/".join(folders)) if self.label_from == "path" else folders[-1]

    def _label_source(self, items: Sequence[Item]) -> str:
        if not any(item.label for item in items):
            return "none"
        if self.pattern is not None and "label" in self.pattern.groupindex:
            return "the pattern"
        names = {"prefix": "file-name prefix", "top": "top folder", "path": "folder path"}
        return names.get(self.label_from or "", "folder name")


@lru_cache(maxsize=4096)
def _split_folders(folder: str, root: str) -> tuple[tuple[str, ...], str | None]:
    """The folders of a photo without those that name a split, and that split."""
    parts = Path(folder).parts
    above = [part for part in (*Path(root).parts, *parts) if part.lower() in SPLITS]
    plain = tuple(part for part in parts if part.lower() not in SPLITS)
    return plain, SPLITS[above[-1].lower()] if above else None


def natural(path: str) -> list[tuple[int, int, str]]:
    """A key that sorts names as people count: photo2 before photo10."""
    return [
        (1, int(part), "") if part.isdecimal() and part.isascii() else (0, 0, part)
        for part in re.split(r"([0-9]+)", path)
    ]


def _walk(root: str) -> Iterator[str]:
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


def _no_images(where: str, others: Counter[str]) -> FeatxError:
    n = sum(others.values())
    suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(5))
    detail = (
        f"\nfound {n:,} file{'' if n == 1 else 's'}, none of them a photo: {suffixes}" if n else "\nthe folder is empty"
    )
    return FeatxError(
        "no-images", f"no photos under {where}{detail}", f"featx reads {' '.join(sorted(IMAGE_SUFFIXES))}"
    )


def _ids(relative: Sequence[str]) -> list[str]:
    """The file's stem if unique, else its path below the root."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in relative]
    counts = Counter(stems)
    return [stem if counts[stem] == 1 else Path(path).as_posix() for stem, path in zip(stems, relative, strict=True)]


def _guess_products(items: list[Item]) -> tuple[list[Item], str]:
    """Shots of one product, recognised by the file name up to its last number, if that makes sensible groups."""
    groups: dict[tuple[str | None, str], list[int]] = {}
    for i, item in enumerate(items):
        stem = os.path.splitext(os.path.basename(item.path))[0]
        match = re.fullmatch(r"(.+?)[-_ ][0-9]+", stem)
        groups.setdefault((item.split, match[1] if match else stem), []).append(i)
    sizes = [len(group) for group in groups.values()]
    several = [size for size in sizes if size > 1]
    labels_agree = all(len({items[i].label for i in group}) == 1 for group in groups.values())
    per_label = Counter(items[group[0]].label for group in groups.values())
    whole_classes = bool(per_label) and max(per_label.values()) == 1 and len(per_label) > 1
    if not several or max(sizes) > 20 or len(several) * 2 < len(sizes) or whole_classes:
        return items, "none"
    # One wrong label among the shots of a product is a finding, not a reason against the grouping.
    disagree = sum(len({items[i].label for i in group}) > 1 for group in groups.values())
    if not labels_agree and disagree > 0.05 * len(groups):
        return items, "none"
    grouped = list(items)
    for (_, name), group in groups.items():
        for i in group:
            grouped[i] = replace(items[i], product=name)
    return grouped, "file names"


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    """A regular expression with named groups, or a small template such as {product}_{shot}."""
    if pattern is None:
        return None
    template = "(?P<" not in pattern
    text = pattern
    if template:
        if not re.search(r"\{[A-Za-z_]\w*\}", pattern):
            raise FeatxError(
                "bad-pattern",
                f"the pattern `{pattern}` has no named part",
                "write `{product}_{shot}`, or a regular expression with (?P<label>…)",
            )
        stem = pattern[: -len(Path(pattern).suffix)] if Path(pattern).suffix.lower() in IMAGE_SUFFIXES else pattern
        parts = re.split(r"(\{[A-Za-z_]\w*\})", stem)
        text = "".join(
            f"(?P<{p[1:-1]}>[^/]+?)" if p.startswith("{") and p.endswith("}") else re.escape(p) for p in parts
        )
        text = rf"(?:^|/){text}(?:\.[^./]+)?$"
    try:
        return re.compile(text)
    except re.error as error:
        raise FeatxError(
            "bad-pattern", f"the pattern `{pattern}` is not usable: {error}", "check its brackets"
        ) from error


# --- tables ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """Which columns were named by the person; None means: guess."""

    image: str | None
    label: str | None
    item_id: str | None
    group: str | None
    split: str | None

    def pick(
        self, named: str | None, guesses: Sequence[str], header: Sequence[str], table: Path, flag: str
    ) -> str | None:
        if named is not None:
            if named in header:
                return named
            raise FeatxError(
                "bad-column",
                f"no column `{named}` in {table}\ncolumns: {', '.join(header)}",
                did_you_mean(named, list(header), f"choose one of the columns for `--{flag}`"),
            )
        lowered = {name.lower().strip(): name for name in reversed(header)}
        return next((lowered[guess] for guess in guesses if guess in lowered), None)


def _read_table(table: Path, columns: _Columns, layout: _Layout, allow_outside: bool) -> Catalogue:
    rows = read_table(table)
    header = rows.header
    image = columns.pick(columns.image, IMAGE_COLUMNS, header, table, "image-col")
    if image is None:
        raise FeatxError(
            "bad-column",
            f"no column of {table} looks like the path of a photo\ncolumns: {', '.join(header)}",
            "name it: `--image-col COLUMN`",
        )
    label = columns.pick(columns.label, LABEL_COLUMNS, header, table, "label-col")
    split = columns.pick(columns.split, SPLIT_COLUMNS, header, table, "split-col")
    id_named = columns.pick(columns.item_id, (), header, table, "id-col")
    root = str(table.parent)
    # The columns of `featx suggest` help the person who labels a photo; they are not facts about it.
    hints = SUGGESTED if set(SUGGESTED) <= set(header) else ()

    def cells_of(column: str) -> Sequence[str | None]:
        cells = rows.texts(column)
        # Such a table is featx's own, and its cells were kept from being formulas.
        return [cell and bare(cell) for cell in cells] if hints else cells

    indices, paths, missing = _located(cells_of(image), table, root, allow_outside)
    if not indices:
        if missing and all(skip.reason == "missing" for _, skip in missing):
            raise FeatxError(
                "no-images",
                f"none of the {len(missing):,} photos that {table} names exists, for example {missing[0][1].path}",
                f"paths are relative to the table's folder, {Path(root).absolute()}; another column: `--image-col`",
            )
        raise _no_images(f"{table}", Counter(skip.reason for _, skip in missing))

    def texts(column: str | None) -> Sequence[str | None] | None:
        if column is None:
            return None
        cells = cells_of(column)
        return cells if len(indices) == len(cells) else [cells[index] for index in indices]

    id_col, ids = _table_ids(table, id_named, header, texts, paths, root)
    group = columns.pick(columns.group, PRODUCT_COLUMNS, header, table, "group-col") if layout.guess_products else None
    groups, labels, splits = texts(group), texts(label), texts(split)
    if groups is not None and columns.group is None and len(set(groups)) == len(groups):
        group = groups = None
    understood = (("product", group), ("item_id", id_col), ("label", label), ("split", split))
    headings = {column: field for field, column in understood if column is not None and column not in hints}
    cells_by_heading = {column: cells_of(column) for column in headings}
    facts = list(rows.facts(range(len(rows)), (image, *headings, *hints)))
    if hints:
        facts = [{name: bare(v) if isinstance(v, str) else v for name, v in fact.items()} for fact in facts]
    items = []
    for row, (index, item_id, path) in enumerate(zip(indices, ids, paths, strict=True)):
        guess = layout._item(item_id, path, _relative(path, root), root)
        items.append(
            Item(
                item_id,
                path,
                labels[row] if labels is not None else (guess.label if layout.label_from else None),
                groups[row] if groups is not None else guess.product,
                layout.split or _listed_split(splits[row] if splits is not None else None) or guess.split,
                facts[index] or NOTHING,
                headings,
            )
        )
    skipped = [
        replace(skip, columns={**{name: cells[index] for name, cells in cells_by_heading.items()}, **facts[index]})
        for index, skip in missing
    ]
    label_source = f"column `{label}`" if label else layout._label_source(items)
    product_source = f"column `{group}`" if group else "none"
    if group is None and layout.guess_products and id_col is None:
        items, product_source = _guess_products(items)
    return Catalogue(
        str(table),
        items,
        skipped,
        label_source,
        product_source,
        ids_guessed=id_col is None,
        notes=[f"{table}: {rows.note}"] if rows.note else [],
        from_table=not hints,
        columns=[name for name in header if name not in (image, *hints)],
    )


def _read_by_sku(
    source: str | Path | Iterable[str],
    images: Path,
    pattern: re.Pattern[str] | None,
    columns: _Columns,
    layout: _Layout,
) -> Catalogue:
    """A table that names products, and the photos of a folder that are named after them."""
    if not isinstance(source, str | Path) or Path(source).suffix.lower() not in SUFFIXES:
        hint = "`featx extract products.csv --images DIR`"
        raise FeatxError("bad-flag", "`--images` needs a table of products", hint)
    if not images.is_dir():
        raise FeatxError("no-such-file", f"no folder at `{images}`", "name the folder of the photos: `--images DIR`")
    table = Path(source)
    rows = read_table(table)
    named, flag = (columns.item_id, "id-col") if columns.item_id else (columns.group, "group-col")
    sku = columns.pick(named, SKU_COLUMNS, rows.header, table, flag)
    if sku is None:
        raise FeatxError(
            "bad-column",
            f"no column of {table} looks like a SKU\ncolumns: {', '.join(rows.header)}",
            "name it: `--id-col COLUMN`",
        )
    label = columns.pick(columns.label, LABEL_COLUMNS, rows.header, table, "label-col")
    split = columns.pick(columns.split, SPLIT_COLUMNS, rows.header, table, "split-col")
    row_of: dict[str, int] = {}
    for row, cell in enumerate(rows.texts(sku)):
        if cell is not None:
            row_of.setdefault(cell, row)
    shown, unmatched = match_photos(_photos_below(images), row_of, _naming_skus(pattern))
    if not shown:
        raise _no_photo_of_a_sku(table, images, sku, unmatched)
    headings = {column: field for field, column in (("product", sku), ("label", label), ("split", split)) if column}
    labels, splits = (rows.texts(column) if column else None for column in (label, split))
    facts = list(rows.facts(range(len(rows)), (*headings,)))
    items = []
    for item_id, photo in zip(_ids([photo.path for photo in shown]), shown, strict=True):
        row = row_of[photo.sku]
        path = os.path.join(images, photo.path)
        guess = layout._item(item_id, path, photo.path, str(images))
        items.append(
            Item(
                item_id,
                path,
                labels[row] if labels is not None else (guess.label if layout.label_from else None),
                photo.sku,
                layout.split or _listed_split(splits[row] if splits is not None else None) or guess.split,
                {**photo.parts, **facts[row]} or NOTHING,
                headings,
            )
        )
    return Catalogue(
        str(table),
        items,
        (),
        f"column `{label}`" if label else layout._label_source(items),
        f"column `{sku}`",
        notes=[f"{table}: {rows.note}"] if rows.note else [],
        unmatched=unmatched,
        from_table=True,
        columns=list(dict.fromkeys([*rows.header, *(name for photo in shown for name in photo.parts)])),
    )


def _photos_below(folder: Path) -> list[str]:
    found = [path for path in _walk(str(folder)) if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES]
    return sorted((Path(_relative(path, str(folder))).as_posix() for path in found), key=natural)


def _naming_skus(pattern: re.Pattern[str] | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    if "sku" not in pattern.groupindex:
        raise FeatxError("bad-pattern", "`--image-pattern` does not say where the SKU is", "write `{sku}_{shot}.jpg`")
    return re.compile(pattern.pattern, re.IGNORECASE)


def _no_photo_of_a_sku(table: Path, images: Path, column: str, unmatched: Unmatched) -> FeatxError:
    skus, photos = unmatched.skus, unmatched.photos
    example = f"; a SKU is `{skus[0]}`, a photo `{photos[0]}`" if skus and photos else ""
    return FeatxError(
        "no-images",
        f"none of the {len(photos):,} photos under {images} is named after one of the {len(skus):,} SKUs in column "
        f"`{column}` of {table}{example}",
        "name another column, `--id-col COLUMN`, or say how photos are named: `--image-pattern '{sku}_{shot}.jpg'`",
    )


def _located(
    cells: Iterable[str | None], table: Path, root: str, allow_outside: bool
) -> tuple[list[int], list[str], list[tuple[int, Skipped]]]:
    """The rows whose photo exists, its path, and the other rows with the reason."""
    real_root = os.path.realpath(root)
    inside: dict[str, bool] = {}
    rows: list[int] = []
    paths: list[str] = []
    skipped: list[tuple[int, Skipped]] = []
    for row, cell in enumerate(cells):
        name = (cell or "").strip()
        if not name:
            skipped.append((row, Skipped("", "missing", "a row names no photo")))
            continue
        path = os.path.join(root, name) if root != "." else name
        if not _possible(path):
            skipped.append((row, Skipped(path, "missing", "no file can have such a name")))
            continue
        mode = _mode(path)
        if mode is None and "\\" in name:
            plain = os.path.join(root, name.replace("\\", "/"))
            mode = _mode(plain)
            path = plain if mode is not None else path
        link = mode is not None and stat.S_ISLNK(mode)
        if not allow_outside and not _inside(path, link, real_root, inside):
            raise FeatxError(
                "path-escapes",
                f"{table} names `{name}`, which is outside `{root}`",
                "put the table beside its photos, or allow it: `--allow-outside`",
            )
        if mode is None or (link and not os.path.exists(path)):
            skipped.append((row, Skipped(path, "missing")))
            continue
        rows.append(row)
        paths.append(path)
    return rows, paths, skipped


def _mode(path: str) -> int | None:
    """The kind of entry at a path, links not followed; None if there is nothing."""
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return None


def _inside(path: str, link: bool, real_root: str, folders: dict[str, bool]) -> bool:
    """Whether a path leads into the root, links followed; where a folder leads is looked up once."""
    folder, name = os.path.split(path)
    if link or name in ("", ".", ".."):
        return os.path.commonpath([real_root, os.path.realpath(path)]) == real_root
    if folder not in folders:
        folders[folder] = os.path.commonpath([real_root, os.path.realpath(folder)]) == real_root
    return folders[folder]


def _relative(path: str, root: str) -> str:
    """The path below the root. Few paths need the slow way, which looks for the way up and down again."""
    if root == ".":
        below = path
    elif path.startswith(root + os.sep):
        below = path[len(root) + 1 :]
    else:
        return os.path.relpath(path, root)
    short = os.path.normpath(below) if below else ".."
    return os.path.relpath(path, root) if short.startswith(("..", os.sep)) else short


def _possible(path: str) -> bool:
    """Whether a file could have this name at all."""
    if path.isascii():
        return "\0" not in path
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _table_ids(
    table: Path,
    named: str | None,
    header: Sequence[str],
    texts: Callable[[str], Sequence[str | None] | None],
    paths: Sequence[str],
    root: str,
) -> tuple[str | None, list[str]]:
    lowered = {name.lower().strip(): name for name in reversed(header)}
    candidates = [named] if named else [lowered[name] for name in ID_COLUMNS if name in lowered]
    for column in candidates:
        ids = texts(column) or []
        doubled = [item_id for item_id, n in Counter(ids).items() if n > 1 or item_id is None]
        if not doubled:
            return column, [str(item_id) for item_id in ids]
        if named:
            raise FeatxError(
                "duplicate-id",
                f"column `{column}` of {table} is not an id: {len(doubled):,} values are repeated or empty,"
                f" such as {', '.join(repr(one) for one in doubled[:3])}",
                f"if it names the product, use `--group-col {column}`",
            )
    relative = [_relative(path, root) for path in paths]
    twice = [path for path, n in Counter(relative).items() if n > 1]
    if twice:
        raise FeatxError(
            "duplicate-id",
            f"{table} lists {len(twice):,} photos more than once, such as `{twice[0]}`",
            "keep one row for each photo, or give each row an id: `--id-col COLUMN`",
        )
    return None, _ids(relative)


def _listed_split(cell: str | None) -> str | None:
    """The split a table names, under its usual name."""
    return SPLITS.get(cell.lower(), cell) if cell else None
