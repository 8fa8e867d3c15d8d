"""Ids, labels, products and splits from the paths of photos."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from featx.catalogue.folders import natural, no_images, relative_path, walk
from featx.catalogue.items import NOTHING, Catalogue, Item, Skipped
from featx.catalogue.suffixes import IMAGE_SUFFIXES

LABEL_FROM = ("leaf", "top", "path", "prefix", "none")
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class PathLayout:
    """How labels, products and splits are read from paths."""

    label_from: str | None
    pattern: re.Pattern[str] | None
    split: str | None
    guess_products: bool

    def folder(self, root: Path) -> Catalogue:
        """The catalogue of all photos below a folder."""
        photos: list[str] = []
        others: Counter[str] = Counter()
        for path in walk(str(root)):
            suffix = os.path.splitext(path)[1].lower()
            if suffix in IMAGE_SUFFIXES:
                photos.append(path)
            else:
                others[suffix or "no suffix"] += 1
        if not photos:
            raise no_images(f"`{root}`", others)
        return self._catalogue(photos, str(root))

    def listed(self, paths: list[str], root: str) -> Catalogue:
        """The catalogue of some photos; those that are missing are listed as skipped."""
        photos: list[str] = []
        skipped: list[Skipped] = []
        for path in dict.fromkeys(paths):
            if not os.path.lexists(path):
                skipped.append(Skipped(path, "missing"))
            elif os.path.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
                skipped.append(Skipped(path, "not-an-image", "not a suffix of a photo"))
            else:
                photos.append(path)
        if not photos:
            raise no_images("the list", Counter(skip.reason for skip in skipped))
        return replace(self._catalogue(photos, root), skipped=skipped)

    def _catalogue(self, paths: list[str], root: str) -> Catalogue:
        paths = sorted(paths, key=natural)
        relative = [relative_path(path, root) if root != "." else path for path in paths]
        ids = ids_of(relative)
        items = [
            self.item(item_id, path, short, root) for item_id, path, short in zip(ids, paths, relative, strict=True)
        ]
        source = self.label_source(items)
        products = "the pattern" if any(item.product for item in items) else "none"
        if products == "none" and self.guess_products:
            items, products = guess_products(items)
        named = self.pattern.groupindex if self.pattern is not None else ()
        others = [name for name in named if name not in ("label", "product", "split")]
        return Catalogue(root, items, (), source, products, columns=others)

    def item(self, item_id: str, path: str, short: str, root: str) -> Item:
        """The item of one photo; `short` is its path below the root."""
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

    def label_source(self, items: Sequence[Item]) -> str:
        """Where the labels come from, in words."""
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


def usual_split(cell: str | None) -> str | None:
    """The split a table names, under its usual name."""
    return SPLITS.get(cell.lower(), cell) if cell else None


def ids_of(relative: Sequence[str]) -> list[str]:
    """The file's stem if unique, else its path below the root."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in relative]
    counts = Counter(stems)
    return [stem if counts[stem] == 1 else Path(path).as_posix() for stem, path in zip(stems, relative, strict=True)]


def guess_products(items: list[Item]) -> tuple[list[Item], str]:
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
