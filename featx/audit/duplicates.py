"""Photos that are the same or nearly so: groups of them, and how far the similarity can be trusted to say so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.audit.near_pairs import Forest, Pairs, near_pairs
from featx.audit.perceptual_hashes import AGREE, NEARLY_AGREE, UNREAD, HashCache
from featx.compute.vectors import cosine_blocks, unit_rows
from featx.errors import FeatxError
from featx.labels.decisions import labels_after_decisions
from featx.retrieval import with_look_alike_blocks
from featx.store import Store, as_store
from featx.views.frames import columns_of, pandas_frame
from featx.views.notebook import MOST_ROWS, notebook_table

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

USUAL = 0.98
CHOICES = (0.99, 0.98, 0.97, 0.96, 0.95)
WANTED = 0.9
COLUMNS = ("group", "kind", "score", "id", "product", "category", "split", "path", "digest")


@dataclass(frozen=True)
class Picture:
    """One photo of a group."""

    item_id: str
    product: str
    label: str | None
    split: str | None
    path: str
    digest: str


@dataclass(frozen=True)
class DuplicateGroup:
    """Photos that are the same: `same file` or `near copy`, and the weakest similarity that joins them."""

    kind: str
    score: float
    pictures: tuple[Picture, ...]

    @property
    def labels(self) -> list[str]:
        """The different labels in the group."""
        return sorted({picture.label for picture in self.pictures if picture.label is not None})

    @property
    def splits(self) -> list[str]:
        """The different splits in the group."""
        return sorted({picture.split for picture in self.pictures if picture.split is not None})

    @property
    def products(self) -> list[str]:
        """The different products in the group; more than one: one product is listed under two ids."""
        return sorted({picture.product for picture in self.pictures})

    def to_dict(self) -> dict[str, Any]:
        """The group for programs."""
        members = [
            {
                "id": picture.item_id,
                "product": picture.product,
                "label": picture.label,
                "split": picture.split,
                "path": picture.path,
            }
            for picture in self.pictures
        ]
        return {
            "kind": self.kind,
            "score": round(self.score, 4),
            "labels": self.labels,
            "splits": self.splits,
            "products": self.products,
            "pictures": members,
        }


@dataclass(frozen=True)
class CopyEvidence:
    """What the near copies rest on: pairs alike enough, those whose photos agree too, and those that just miss it."""

    alike: int
    agreed: int
    nearly: int
    unread: int

    @property
    def precision(self) -> float | None:
        """The estimated share of agreeing pairs that are copies; None where no pair agrees.

        Accidents grow rarer the better two photos agree, copies do not: there are at most about as many accidents
        among the agreeing pairs as there are pairs in the strip just beyond the limit.
        """
        return max(0.0, 1 - self.nearly / self.agreed) if self.agreed else None


@dataclass(frozen=True)
class Duplicates:
    """Groups of copies, most similar first; iterate over it, or `.to_pandas()`.

    `left_out` counts the groups that do not lie across what was asked for.
    """

    groups: tuple[DuplicateGroup, ...]
    min_score: float
    trust: CopyEvidence
    unreadable: int
    n: int
    left_out: int = 0

    def __iter__(self) -> Iterator[DuplicateGroup]:
        return iter(self.groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __repr__(self) -> str:
        return f"Duplicates({len(self.groups):,} groups, {self.pictures:,} of {self.n:,} photos)"

    def _repr_html_(self) -> str:
        rows = [
            (group.kind, f"{group.score:.3f}", len(group.pictures), ", ".join(group.labels)) for group in self.groups
        ]
        photos = [[picture.path for picture in group.pictures[:3]] for group in self.groups[:MOST_ROWS]]
        return notebook_table(repr(self), ("kind", "score", "photos", "categories"), rows, photos)

    @property
    def pictures(self) -> int:
        """How many photos are in a group."""
        return sum(len(group.pictures) for group in self.groups)

    def to_dict(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "schema": "featx-duplicates/1",
            "n": self.n,
            "min_score": self.min_score,
            "alike_pairs": self.trust.alike,
            "agreeing_pairs": self.trust.agreed,
            "precision": self.trust.precision,
            "unreadable": self.unreadable,
            "left_out": self.left_out,
            "groups": [group.to_dict() for group in self.groups],
        }

    def rows(self) -> list[tuple[str | int | float | None, ...]]:
        """A row for each photo, in the order of `COLUMNS`."""
        return [
            (
                number,
                group.kind,
                round(group.score, 4),
                picture.item_id,
                picture.product,
                picture.label,
                picture.split,
                picture.path,
                picture.digest,
            )
            for number, group in enumerate(self.groups, start=1)
            for picture in group.pictures
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """A data frame with a row for each photo."""
        return pandas_frame(columns_of(self.rows(), COLUMNS))


def find_duplicates(
    store: Store | str | Path | None = None,
    *,
    min_score: float | None = None,
    across: str | None = None,
    fixes: Path | None = None,
    choose_blocks: bool = True,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Duplicates:
    """Groups of photos that are the same file, or nearly the same photo.

    Near copies have a cosine of at least `min_score` (chosen from the data where it is left open) and, where both
    photos can be read, agree in their perceptual hashes. `across` keeps groups that hold two labels or two splits.
    Of a joined backbone those parts are compared that find look-alikes best here, unless `choose_blocks` is False.
    Labels are those people decided on (`fixes`, by default artifacts/fixes.csv).
    """
    if across not in (None, "label", "split"):
        raise FeatxError("bad-flag", f"`--across {across}` is not known", "use `--across label` or `--across split`")
    if min_score is not None and not 0 < min_score <= 1:
        raise FeatxError("bad-flag", f"a similarity is between 0 and 1, not {min_score}", "try `--min-score 0.98`")
    opened = as_store(store)
    opened = with_look_alike_blocks(opened) if choose_blocks else opened
    forest = Forest(len(opened))
    rows = _link_same_files(opened, forest)
    unit = unit_rows(opened.features_map()[rows] if len(rows) < len(opened) else opened.features_map())
    pictures = HashCache(opened)
    least = _choose(unit, rows, pictures) if min_score is None else min_score
    n = len(unit)
    # Each row is compared with those after it, the first ones with nearly all.
    pairs = near_pairs(unit, least, lambda done: progress(len(opened) * done * (2 * n - done) // n**2, len(opened)))
    evidence = _link_near_copies(pairs, rows, pictures, forest, least)
    pictures.keep()
    labels = labels_after_decisions(opened, fixes).labels
    groups = [_group(opened, labels, members, score) for members, score in forest.groups()]
    n_groups = len(groups)
    if across is not None:
        groups = [group for group in groups if len(group.labels if across == "label" else group.splits) > 1]
    groups.sort(key=lambda group: (-group.score, group.pictures[0].path, group.pictures[0].item_id))
    return Duplicates(tuple(groups), least, evidence, len(pictures.unreadable), len(opened), n_groups - len(groups))


def _link_same_files(store: Store, forest: Forest) -> np.ndarray:
    """Link the rows whose bytes are equal; returned is the first row of each file, for a file is compared once."""
    first: dict[str, int] = {}
    owners = np.array([first.setdefault(digest, row) for row, digest in enumerate(store.digests)], dtype=int)
    copies = np.flatnonzero(owners != np.arange(len(owners)))
    forest.link(owners[copies], copies, np.ones(len(copies)))
    return np.array(list(first.values()), dtype=int)


def _link_near_copies(
    pairs: Iterable[Pairs], rows: np.ndarray, pictures: HashCache, forest: Forest, least: float
) -> CopyEvidence:
    """Link the pairs of rows whose photos agree too, and count how they agree."""
    counts = np.zeros(4, dtype=int)
    for left, right, scores in pairs:
        i, j = rows[left], rows[right]
        verdicts = pictures.verdicts(i, j)
        counts += np.bincount(verdicts, minlength=len(counts))
        # Where a photo is gone, only features that are all but equal may speak for it.
        good = (verdicts == AGREE) | ((verdicts == UNREAD) & (scores >= max(least, 0.99)))
        forest.link(np.minimum(i, j)[good], np.maximum(i, j)[good], scores[good])
    return CopyEvidence(int(counts.sum()), *counts[[AGREE, NEARLY_AGREE, UNREAD]].tolist())


def _group(store: Store, labels: list[str | None], members: list[int], score: float) -> DuplicateGroup:
    pictures = [
        Picture(store.ids[i], store.product_of(i), labels[i], store.splits[i], store.paths[i], store.digests[i])
        for i in members
    ]
    pictures.sort(key=lambda picture: (picture.path, picture.item_id))
    one_file = len({picture.digest for picture in pictures}) == 1
    return DuplicateGroup("same file" if one_file else "near copy", 1.0 if one_file else score, tuple(pictures))


def _choose(unit: np.ndarray, rows: np.ndarray, pictures: HashCache) -> float:
    """The lowest similarity at which nine in ten agreeing pairs are copies, or else the one with the best estimate.

    Measured on up to 1,000 photos against all others; a digest decides who is in the sample, not the order of rows.
    """
    if len(unit) < 2:
        return USUAL
    digests = [pictures.store.digests[row] for row in rows]
    sample = np.array(sorted(range(len(rows)), key=digests.__getitem__)[:: max(1, len(rows) // 1000)][:1000])
    bands: list[list[tuple[str, str, int, int]]] = [[] for _ in CHOICES]
    counts = np.zeros(len(CHOICES), dtype=int)
    for block, alike in cosine_blocks(unit[sample], unit, 50):
        part = sample[block]
        alike[np.arange(len(part)), part] = -1
        for band, least in enumerate(CHOICES):
            pairs = np.argwhere((alike >= least) & (alike < (CHOICES[band - 1] if band else 2)))
            counts[band] += len(pairs)
            for a, b in pairs[:: max(1, len(pairs) // 20)]:
                i, j = int(part[a]), int(b)
                bands[band].append((min(digests[i], digests[j]), max(digests[i], digests[j]), i, j))
    best, precise, seen, agreed, nearly = USUAL, 0.0, 0, 0.0, 0.0
    for least, count, band_pairs in zip(CHOICES, counts.tolist(), bands, strict=True):
        seen += count
        # Beyond that, every photo would have to be read for next to nothing.
        if seen > 10 * len(sample):
            break
        held = np.array([(i, j) for *_, i, j in sorted(band_pairs)[:400]], dtype=int).reshape(-1, 2)
        same = pictures.verdicts(rows[held[:, 0]], rows[held[:, 1]])
        readable = max(1, int((same != UNREAD).sum()))
        agreed += count * int((same == AGREE).sum()) / readable
        nearly += count * int((same == NEARLY_AGREE).sum()) / readable
        precision = 1 - nearly / agreed if agreed else 0.0
        if precision > precise or precision >= WANTED:
            best, precise = least, precision
    return best
