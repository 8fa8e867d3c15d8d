"""Which items exist: a folder, a table or a list of paths in, items with labels and products out."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from featx.errors import FeatxError, did_you_mean
from featx.formats import IMAGE_SUFFIXES

Value = str | int | float | bool | None
NOTHING: Mapping[str, Value] = MappingProxyType({})

TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet")
INSIDE = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
IMAGE_COLUMNS = ("image", "path", "file_name", "filename", "file", "image_path", "photo", "picture")
LABEL_COLUMNS = ("category", "label", "class", "product_type")
ID_COLUMNS = ("item_id", "sku", "id", "product_id")
PRODUCT_COLUMNS = ("product_id", "product", "sku", "group", "group_id", "item_id", "id")
SPLIT_COLUMNS = ("split",)
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
IGNORED = {"thumbs.db", "desktop.ini", ".ds_store"}
LABEL_FROM = ("leaf", "top", "path", "prefix", "none")


@dataclass(frozen=True, slots=True)
class Item:
    """One photo: its id, where it lies, and what is said of it."""

    item_id: str
    path: str
    label: str | None = None
    product: str | None = None
    split: str | None = None
    extra: Mapping[str, Value] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was listed or found and is no usable photo."""

    path: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Catalogue:
    """The items featx was pointed at, and how their labels and products were told."""

    root: str
    items: Sequence[Item]
    skipped: Sequence[Skipped] = ()
    label_source: str = "none"
    product_source: str = "none"
    ids_guessed: bool = True

    @property
    def labels(self) -> list[str]:
        """Every label once, sorted."""
        return sorted({item.label for item in self.items if item.label is not None})

    @property
    def splits(self) -> dict[str, int]:
        """How many items each split has."""
        return dict(sorted(Counter(item.split for item in self.items if item.split).items()))

    @property
    def n_products(self) -> int:
        """How many products own the items."""
        return len({item.product if item.product is not None else f"\0{item.item_id}" for item in self.items})

    def describe(self) -> str:
        """The first line an extraction prints."""
        n, k = len(self.items), len(self.labels)
        images = f"{n:,} image{'' if n == 1 else 's'}"
        if not k:
            return f"{images} under {self.root} (no categories)"
        said = f"{images} in {k:,} {'category' if k == 1 else 'categories'} under {self.root}"
        return f"{said} (category = {self.label_source})"


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
) -> Catalogue:
    """Read a folder of photos, a table that lists them, or a list of paths.

    >>> read_catalogue("data/train").labels[:2]
    ['backpacks', 'boots']
    """
    if label_from is not None and label_from not in LABEL_FROM:
        raise FeatxError("bad-flag", f"`--label-from {label_from}` is not known", f"choose {', '.join(LABEL_FROM)}")
    layout = _Layout(label_from, _compiled(pattern), split, group_col != "none")
    columns = _Columns(image_col, label_col, id_col, None if group_col == "none" else group_col, split_col)
    if not isinstance(source, str | Path):
        return layout.listed([str(path) for path in source], root=".")
    path = Path(source)
    if path.is_dir():
        inside = [path / name for name in INSIDE if (path / name).is_file()]
        if inside:
            return _read_table(inside[0], columns, layout, allow_outside)
        for flag, given in (("image-col", image_col), ("label-col", label_col), ("id-col", id_col)):
            if given:
                raise FeatxError("bad-flag", f"`--{flag}` needs a table, and `{path}` is a folder", "name a table")
        return layout.folder(path)
    if not path.exists():
        raise FeatxError("no-such-file", f"no folder or table at `{path}`", "check the spelling, or where you are")
    if path.suffix.lower() in TABLES:
        return _read_table(path, columns, layout, allow_outside)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return layout.listed([str(path)], root=str(path.parent))
    raise FeatxError(
        "bad-manifest",
        f"`{path}` is neither a folder, a photo nor a table",
        f"tables end in {', '.join(TABLES)}",
    )


# --- folders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How labels, products and splits are told from paths."""

    label_from: str | None
    pattern: re.Pattern[str] | None
    split: str | None
    guess_products: bool

    def folder(self, root: Path) -> Catalogue:
        found: list[str] = []
        others: Counter[str] = Counter()
        for path in _walk(str(root)):
            suffix = os.path.splitext(path)[1].lower()
            if suffix in IMAGE_SUFFIXES:
                found.append(path)
            else:
                others[suffix or "no suffix"] += 1
        if not found:
            raise _no_images(f"`{root}`", others)
        return self._catalogue(found, str(root))

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
        relative = [os.path.relpath(path, root) if root != "." else path for path in paths]
        ids = _ids(relative)
        items = [
            self._item(item_id, path, short, root) for item_id, path, short in zip(ids, paths, relative, strict=True)
        ]
        source = self._label_source(items)
        products = "the pattern" if any(item.product for item in items) else "none"
        if products == "none" and self.guess_products:
            items, products = _guess_products(items)
        return Catalogue(root, items, (), source, products)

    def _item(self, item_id: str, path: str, short: str, root: str) -> Item:
        said = self._said(short)
        folders = [part for part in Path(short).parent.parts if part.lower() not in SPLITS]
        # Photos right under the folder that was named belong to the category that folder is called.
        label = said.get("label") or self._label(folders, short)
        above = [part for part in (*Path(root).parts, *Path(short).parent.parts) if part.lower() in SPLITS]
        split = said.get("split") or self.split or (SPLITS[above[-1].lower()] if above else None)
        extra = {k: v for k, v in said.items() if k not in ("label", "product", "split")}
        return Item(item_id, path, label, said.get("product"), split, extra)

    def _said(self, short: str) -> dict[str, str]:
        if self.pattern is None:
            return {}
        match = self.pattern.search(Path(short).as_posix()) or self.pattern.search(Path(short).stem)
        return {} if match is None else {k: v for k, v in match.groupdict().items() if v}

    def _label(self, folders: list[str], short: str) -> str | None:
        if self.label_from == "none":
            return None
        if self.label_from == "prefix":
            head, mark, _ = Path(short).stem.partition("_")
            return head if mark else None
        if not folders:
            return None
        if self.label_from == "top":
            return folders[0]
        return "/".join(folders) if self.label_from == "path" else folders[-1]

    def _label_source(self, items: Sequence[Item]) -> str:
        if not any(item.label for item in items):
            return "none"
        if self.pattern is not None and "label" in self.pattern.groupindex:
            return "the pattern"
        names = {"prefix": "file-name prefix", "top": "top folder", "path": "folder path"}
        return names.get(self.label_from or "", "folder name")


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
            raise FeatxError("no-permission", f"cannot look into `{folder}`", "make the folder readable") from error
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
    found = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(5))
    said = (
        f"\nfound {n:,} file{'' if n == 1 else 's'}, none of them an image: {found}" if n else "\nthe folder is empty"
    )
    return FeatxError("no-images", f"no images under {where}{said}", f"featx reads {' '.join(sorted(IMAGE_SUFFIXES))}")


def _ids(relative: Sequence[str]) -> list[str]:
    """The file's stem where only one photo has it, else its path below the root."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in relative]
    counts = Counter(stems)
    return [stem if counts[stem] == 1 else Path(path).as_posix() for stem, path in zip(stems, relative, strict=True)]


def _guess_products(items: list[Item]) -> tuple[list[Item], str]:
    """Several shots of one product, told by the file name up to its last number, if that makes sensible groups."""
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
                f"the pattern `{pattern}` names nothing",
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
    header, rows = _rows_of(table)
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
    real_root = os.path.realpath(root)
    real_folders: dict[str, str] = {}
    kept: list[tuple[str, Mapping[str, Value]]] = []
    skipped: list[Skipped] = []
    for row in rows:
        said = str(row.get(image) or "").strip()
        if not said:
            skipped.append(Skipped("", "missing", "a row names no photo"))
            continue
        path = os.path.join(root, said) if root != "." else said
        if not _possible(path):
            skipped.append(Skipped(path, "missing", "no file can have such a name"))
            continue
        if not os.path.lexists(path) and "\\" in said:
            plain = os.path.join(root, said.replace("\\", "/"))
            path = plain if os.path.lexists(plain) else path
        if not allow_outside and not _inside(path, real_root, real_folders):
            raise FeatxError(
                "path-escapes",
                f"{table} names `{said}`, which lies outside `{root}`",
                "put the table beside its photos, or allow it: `--allow-outside`",
            )
        if not os.path.exists(path):
            skipped.append(Skipped(path, "missing"))
            continue
        kept.append((path, row))
    if not kept:
        raise _no_images(f"{table}", Counter(skip.reason for skip in skipped))
    relative = [os.path.relpath(path, root) for path, _ in kept]
    id_col, ids = _table_ids(table, id_named, header, kept, relative)
    group = columns.pick(columns.group, PRODUCT_COLUMNS, header, table, "group-col") if layout.guess_products else None
    if group is not None and columns.group is None and not _repeats(group, kept):
        group = None
    items = []
    for item_id, (path, named), short in zip(ids, kept, relative, strict=True):
        row = dict(named)
        guess = layout._item(item_id, path, short, root)
        said_label = _text(row.get(label)) if label else (guess.label if layout.label_from else None)
        said_split = _text(row.get(split)) if split else None
        items.append(
            Item(
                item_id,
                path,
                said_label,
                _text(row.get(group)) if group else guess.product,
                layout.split or (SPLITS.get(said_split.lower(), said_split) if said_split else guess.split),
                {k: v for k, v in row.items() if k not in (image, label, split, group, id_col)},
            )
        )
    label_source = f"column `{label}`" if label else layout._label_source(items)
    product_source = f"column `{group}`" if group else "none"
    if group is None and layout.guess_products and id_col is None:
        items, product_source = _guess_products(items)
    return Catalogue(str(table), items, skipped, label_source, product_source, ids_guessed=id_col is None)


def _inside(path: str, real_root: str, real_folders: dict[str, str]) -> bool:
    """Whether a path leads into the root, links followed; where its folder leads is looked up once."""
    folder, name = os.path.split(path)
    if name in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114
        real = os.path.realpath(path)
    else:
        if folder not in real_folders:
            real_folders[folder] = os.path.realpath(folder)
        real = os.path.join(real_folders[folder], name)
    return os.path.commonpath([real_root, real]) == real_root


def _possible(path: str) -> bool:
    """Whether a file could have this name at all."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _table_ids(
    table: Path,
    named: str | None,
    header: Sequence[str],
    kept: Sequence[tuple[str, Mapping[str, Value]]],
    relative: Sequence[str],
) -> tuple[str | None, list[str]]:
    lowered = {name.lower().strip(): name for name in reversed(header)}
    candidates = [named] if named else [lowered[name] for name in ID_COLUMNS if name in lowered]
    for column in candidates:
        ids = [_text(row.get(column)) for _, row in kept]
        doubled = [item_id for item_id, n in Counter(ids).items() if n > 1 or item_id is None]
        if not doubled:
            return column, [str(item_id) for item_id in ids]
        if named:
            raise FeatxError(
                "duplicate-id",
                f"column `{column}` of {table} is no id: {len(doubled):,} values stand in several rows or are empty,"
                f" such as {', '.join(repr(one) for one in doubled[:3])}",
                f"if it names the product, use `--group-col {column}`",
            )
    paths = Counter(relative)
    twice = [path for path, n in paths.items() if n > 1]
    if twice:
        raise FeatxError(
            "duplicate-id",
            f"{table} lists {len(twice):,} photos more than once, such as `{twice[0]}`",
            "keep one row for each photo, or give each row an id: `--id-col COLUMN`",
        )
    return None, _ids(relative)


def _repeats(column: str, kept: Sequence[tuple[str, Mapping[str, Value]]]) -> bool:
    values = [row.get(column) for _, row in kept]
    return len(set(values)) < len(values)


def _text(value: Value) -> str | None:
    if value is None or value == "":
        return None
    return str(value)


def _rows_of(table: Path) -> tuple[list[str], list[dict[str, Value]]]:
    suffix = table.suffix.lower()
    if suffix == ".parquet":
        return _parquet(table)
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FeatxError(
            "bad-manifest",
            f"line {line} of {table} is not UTF-8",
            "save the table as UTF-8 (CSV UTF-8 in a spreadsheet)",
        ) from error
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(table, text)
    return _separated(table, text)


def _separated(table: Path, text: str) -> tuple[list[str], list[dict[str, Value]]]:
    csv.field_size_limit(64 * 2**20)
    first = text.split("\n", 1)[0]
    mark = (
        "\t"
        if table.suffix.lower() == ".tsv" or ("\t" in first and "," not in first)
        else ";"
        if first.count(";") > first.count(",")
        else ","
    )
    reader = csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True)
    try:
        lines = [(reader.line_num, line) for line in reader if line]
    except csv.Error as error:
        raise FeatxError("bad-manifest", f"line {reader.line_num} of {table}: {error}", "mend the line") from error
    if not lines:
        raise FeatxError("bad-manifest", f"{table} is empty", "list a photo a line under a header")
    header = [name.strip() for name in lines[0][1]]
    if os.path.splitext(header[0])[1].lower() in IMAGE_SUFFIXES:
        # A bare list: path first, then labels from fine to coarse, as data sets often come.
        header = ["image", "label", *(f"column{i}" for i in range(3, len(header) + 1))][: len(header)]
    else:
        lines = lines[1:]
    doubled = [name for name, n in Counter(header).items() if n > 1]
    if doubled:
        raise FeatxError("bad-manifest", f"{table} has two columns called `{doubled[0]}`", "rename one of them")
    rows: list[dict[str, Value]] = []
    for number, line in lines:
        if len(line) != len(header):
            raise FeatxError(
                "bad-manifest",
                f"line {number} of {table} has {len(line)} cells, but there are {len(header)} columns",
                "mend the line; a cell that holds a comma stands in quotes",
            )
        rows.append(dict(zip(header, line, strict=True)))
    return header, _typed(header, rows)


def _typed(header: Sequence[str], rows: list[dict[str, Value]]) -> list[dict[str, Value]]:
    """A column whose every cell is a number becomes numbers; anything else stays text, as it stands."""
    for name in header:
        cells = [str(row[name]).strip() for row in rows]
        filled = [cell for cell in cells if cell]
        kind: type[int] | type[float] | None = None
        if filled and all(re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", cell) for cell in filled):
            kind = int
        elif filled and all(re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", cell) for cell in filled):
            kind = None if any(re.match(r"-?0[0-9]", cell) for cell in filled) else float
        for row, cell in zip(rows, cells, strict=True):
            row[name] = None if not cell else cell if kind is None else kind(cell)
    return rows


def _json_lines(table: Path, text: str) -> tuple[list[str], list[dict[str, Value]]]:
    rows: list[dict[str, Value]] = []
    header: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FeatxError(
                "bad-manifest", f"line {number} of {table} is not JSON: {error}", "mend the line"
            ) from error
        if not isinstance(row, dict):
            raise FeatxError("bad-manifest", f"line {number} of {table} is not a JSON object", "one object a line")
        plain = {k: v if isinstance(v, str | int | float | bool | None) else json.dumps(v) for k, v in row.items()}
        rows.append(plain)
        header.update(dict.fromkeys(plain))
    if not rows:
        raise FeatxError("bad-manifest", f"{table} is empty", "one JSON object a line, with the photo's path")
    return list(header), rows


def _parquet(table: Path) -> tuple[list[str], list[dict[str, Value]]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "reading Parquet needs one more package", 'pip install "featx[parquet]"'
        ) from error
    try:
        read = parquet.read_table(table)
    except Exception as error:
        raise FeatxError(
            "bad-manifest", f"{table} is not a readable Parquet file: {error}", "write it again"
        ) from error
    rows = [
        {k: v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in row.items()}
        for row in read.to_pylist()
    ]
    return list(read.column_names), rows
