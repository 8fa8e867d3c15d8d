"""A photo → how unlike good photos of the product it is, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Encoder, open_backbone
from featx.catalogue.items import Item
from featx.catalogue.reading import read_several
from featx.embedding.single import unreadable_query
from featx.errors import FeatxError
from featx.explanation.regions import placed
from featx.images import PhotoLike
from featx.inspection.bank import unlikeness
from featx.inspection.kept import bank_path, fresh_bank, learned_once
from featx.inspection.learning import Learned, learn
from featx.inspection.patches import PatchedPhoto, patched_photos
from featx.metrics.scores import wilson
from featx.views.notebook import notebook_table
from featx.workspace import Workspace

if TYPE_CHECKING:
    from PIL import Image

FALSE_ALARMS = 0.05


@dataclass(frozen=True)
class Inspection:
    """How unlike the good photos one photo is; above the `limit` it is unlike them.

    `cells` is the unlikeness of each place on a grid over the photo; few good photos have a place above `usual`.
    """

    path: str
    unlikeness: float
    limit: float
    cells: NDArray[np.float64] = field(repr=False)
    usual: float
    image: Image.Image = field(repr=False)

    @property
    def is_unlike(self) -> bool:
        """Whether it is more unlike than good photos are."""
        return self.unlikeness > self.limit

    @property
    def where(self) -> tuple[float, float]:
        """The most unlike place, in fractions of the photo's width and height."""
        y, x = np.unravel_index(int(self.cells.argmax()), self.cells.shape)
        return (float(x) + 0.5) / self.cells.shape[1], (float(y) + 0.5) / self.cells.shape[0]

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        factor = self.unlikeness / self.limit if self.limit else float("inf")
        verdict = "unlike the good photos" if self.is_unlike else "as good photos are"
        return f"{verdict} ({factor:.2f} of the limit)"

    def overlay(self, side: int = 512) -> Image.Image:
        """The photo with orange where it is more unlike than places of good photos are."""
        from featx.explanation.overlay import overlay

        above = np.clip(self.cells - 0.8 * self.usual, 0, None)
        return overlay(self.image, above, side, strongest=0.8 * self.usual)

    def shown(self, side: int = 512) -> Image.Image:
        """The photo as large as its overlay."""
        from featx.explanation.overlay import fitted

        return fitted(self.image, side)

    def to_dict(self) -> dict[str, Any]:
        """The JSON record of `featx inspect --json`."""
        return {
            "path": self.path,
            "unlike": self.is_unlike,
            "unlikeness": round(self.unlikeness, 4),
            "limit": round(self.limit, 4),
            "where": [round(each, 3) for each in self.where],
            "cells": np.round(self.cells, 4).tolist(),
        }

    def _repr_html_(self) -> str:
        from featx.images.thumbnails import data_uri, jpeg

        rows = [("unlikeness", f"{self.unlikeness:.3f}"), ("limit", f"{self.limit:.3f}")]
        return f'<img src="{data_uri(jpeg(self.overlay(320)), "jpeg")}" alt="">' + notebook_table(
            f"{self.path}: {self.sentence}", ("", ""), rows
        )


class Inspector:
    """Compares one photo after another with the same good ones."""

    def __init__(
        self,
        good: Iterable[PhotoLike],
        encoder: Encoder | None = None,
        *,
        products: Sequence[str | None] | None = None,
        false_alarms: float = FALSE_ALARMS,
    ) -> None:
        """Learn from good photos, as many as possible and at least FEWEST; `products` says which show the same one."""
        encoder = encoder or open_backbone("builtin", device="cpu")
        self._take(learn(list(good), encoder, products), encoder, false_alarms)

    @classmethod
    def of(cls, learned: Learned, encoder: Encoder, false_alarms: float = FALSE_ALARMS) -> Inspector:
        """Of what was learned before, by the same network."""
        inspector = cls.__new__(cls)
        inspector._take(learned, encoder, false_alarms)
        return inspector

    def _take(self, learned: Learned, encoder: Encoder, false_alarms: float) -> None:
        self.learned, self.encoder, self.false_alarms = learned, encoder, false_alarms
        self.limit, self.usual = learned.limit(false_alarms), learned.usual(false_alarms)

    @property
    def n_good(self) -> int:
        """How many good photos it learned from."""
        return len(self.learned.scores)

    @property
    def measured_false_alarms(self) -> tuple[int, float, float]:
        """How many of the good photos are above the limit, each without its own product, and the interval."""
        above = int((self.learned.scores > self.limit).sum())
        interval = wilson(above, self.n_good)
        return above, interval.low, interval.high

    def __call__(self, photo: PhotoLike) -> Inspection:
        """One photo compared with the good ones."""
        (result,) = self.stream([photo])
        if isinstance(result, Inspection):
            return result
        assert result.unreadable is not None
        raise unreadable_query(result.unreadable) from result.unreadable

    def stream(self, photos: Iterable[PhotoLike]) -> Iterator[Inspection | PatchedPhoto]:
        """Photos one after the other; one that cannot be read comes with its reason."""
        for photo in patched_photos(photos, self.encoder):
            if photo.patches is None or photo.image is None:
                yield photo
                continue
            distances = self.learned.bank.distances(photo.patches)
            part = self.encoder.networks()[0]
            cells = placed(distances.astype(np.float64), part, photo.image.size)
            yield Inspection(photo.name, unlikeness(distances), self.limit, cells, self.usual, photo.image)


def inspect(
    photos: PhotoLike | Sequence[PhotoLike],
    good: str | Path | Sequence[PhotoLike] | None = None,
    *,
    bank: str | None = None,
    backbone: str | Encoder | None = None,
    false_alarms: float = FALSE_ALARMS,
    on_skipped: Callable[[str], object] = lambda name: None,
) -> list[Inspection]:
    """Compare photos with good photos of what they should show: a folder, a table or a list.

    With the name of a `bank`, what a folder or table taught is kept and need not be learned again; without `good`, the
    bank of before is used. `on_skipped` gets the reason of each photo that cannot be read.
    """
    inspector = _inspector(good, bank, backbone, false_alarms)
    alone = isinstance(photos, str | Path) or not isinstance(photos, Sequence)
    results = []
    for result in inspector.stream([photos] if alone else photos):  # type: ignore[list-item, arg-type]
        if isinstance(result, Inspection):
            results.append(result)
        else:
            on_skipped(str(result.unreadable))
    return results


def _inspector(
    good: str | Path | Sequence[PhotoLike] | None, bank: str | None, backbone: str | Encoder | None, false_alarms: float
) -> Inspector:
    items = _items(good) if isinstance(good, str | Path) else None
    if bank is not None or good is None:
        if good is not None and items is None:
            raise FeatxError("bad-flag", "a bank is learned from a folder or a table", "leave out `bank`")
        return kept_inspector(bank, items, backbone, false_alarms)[0]
    encoder = opened(backbone)
    if items is None:
        return Inspector(good, encoder, false_alarms=false_alarms)  # type: ignore[arg-type]
    products = [item.product for item in items]
    return Inspector([item.path for item in items], encoder, products=products, false_alarms=false_alarms)


def kept_inspector(
    bank: str | None, good: Sequence[Item] | None, backbone: str | Encoder | None, false_alarms: float = FALSE_ALARMS
) -> tuple[Inspector, bool]:
    """The inspector of a bank by its name, learned from `good` where it is not kept; and whether it was kept."""
    if bank is None:
        raise FeatxError("bad-flag", "there is nothing to compare with", "name good photos: `--good FOLDER`")
    path = bank_path(Workspace.here().banks, bank)
    if good is not None:
        encoder = opened(backbone)
        learned, was_kept = learned_once(path, encoder, good)
        return Inspector.of(learned, encoder, false_alarms), was_kept
    kept = fresh_bank(path)
    encoder = opened(backbone or kept.fingerprint.backbone)
    if encoder.fingerprint != kept.fingerprint:
        raise FeatxError(
            "bank-stale",
            f"the bank `{bank}` was learned with another network than the `{encoder.spec.name}` that is here",
            f"learn it again: `--bank {bank} --good FOLDER`",
        )
    return Inspector.of(kept.learned, encoder, false_alarms), True


def opened(backbone: str | Encoder | None) -> Encoder:
    """The network that compares; the built-in one by default."""
    return backbone if isinstance(backbone, Encoder) else open_backbone(backbone or "builtin", device="cpu")


def _items(good: str | Path) -> Sequence[Item]:
    return read_several([str(good)], allow_outside=True).items
