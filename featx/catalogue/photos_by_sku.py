"""Which photos show which product, by their names: A1001.jpg, A1001_2.jpg, A1001-front.JPG and A1001/any.jpg."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

MARKS = re.compile(r"[-_ .(]+")


@dataclass(frozen=True)
class NamedPhoto:
    """A photo and the SKU its name stands for, with what else a pattern found in the name."""

    path: str
    sku: str
    parts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unmatched:
    """What is left over when photos are matched to SKUs by name."""

    skus: list[str] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)
    # Photos whose names stand for several SKUs, the one that was taken first.
    ambiguous: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.skus or self.photos or self.ambiguous)

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Everything as rows of a table: the finding, the SKU, the photo."""
        for sku in self.skus:
            yield "no photo", sku, ""
        for photo in self.photos:
            yield "no SKU", "", photo
        for photo, skus in self.ambiguous.items():
            yield "several SKUs", "; ".join(skus), photo


def match_photos(
    paths: Sequence[str], skus: Iterable[str], pattern: re.Pattern[str] | None = None
) -> tuple[list[NamedPhoto], Unmatched]:
    """The photos that show a product, by paths below their folder, and what matched nothing; case does not count."""
    by_key: dict[str, str] = {}
    for sku in skus:
        by_key.setdefault(sku.casefold(), sku)
    matched: list[NamedPhoto] = []
    left = Unmatched()
    for path in paths:
        parts = _parts(path, pattern) if pattern is not None else {}
        names = [parts.pop("sku", "")] if pattern is not None else _names(path)
        known = list(dict.fromkeys(by_key[name.casefold()] for name in names if name.casefold() in by_key))
        if not known:
            left.photos.append(path)
            continue
        matched.append(NamedPhoto(path, known[0], parts))
        if len(known) > 1:
            left.ambiguous[path] = known
    shown = {photo.sku for photo in matched}
    left.skus.extend(sku for sku in by_key.values() if sku not in shown)
    return matched, left


def _names(path: str) -> Iterator[str]:
    """What a path may name, the most exact first: its stem, shorter and shorter beginnings of it, its folders."""
    place = PurePosixPath(path)
    yield place.stem
    for mark in reversed(list(MARKS.finditer(place.stem))):
        yield place.stem[: mark.start()]
    for folder in place.parents:
        yield folder.name


def _parts(path: str, pattern: re.Pattern[str]) -> dict[str, str]:
    match = pattern.search(path) or pattern.search(PurePosixPath(path).stem)
    return {} if match is None else {name: text for name, text in match.groupdict().items() if text}
