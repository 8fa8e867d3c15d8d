"""The network that a tuning begins from, and the labelled photos with what it makes of them, divided."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Encoder, choose_backbone
from featx.backbones.fingerprint import PLUS
from featx.backbones.names import BUILTIN, COLOUR
from featx.backbones.nodes import without_nodes
from featx.catalogue.items import Catalogue, Item, Skipped
from featx.embedding.stream import Lookup, batch_size_for, embed, nothing_known
from featx.errors import FeatxError
from featx.finetuning.events import Planned, TuneEvents
from featx.finetuning.judgement.division import Photos, divided
from featx.finetuning.options import TuneOptions
from featx.finetuning.updates import judges_of
from featx.store import open_store
from featx.workspace import Workspace, is_store


def tunable_backbone() -> str:
    """The best backbone here that can be tuned: a part of the one that `extract` would choose."""
    chosen = without_nodes(choose_backbone()[0])
    parts = [part for part in chosen.split(PLUS) if part != COLOUR]
    # The built-in network has learned from product photos already; the others have more to gain.
    parts.sort(key=lambda part: part == BUILTIN)
    if not parts:
        raise FeatxError(
            "weights-missing",
            f"`{chosen}`, the best backbone here, cannot be tuned",
            'name another, such as `-b resnet18`, or get one: `pip install "featx[imagenet]"`',
        )
    return parts[0]


def labelled_photos(
    catalogue: Catalogue, encoder: Encoder, options: TuneOptions, events: TuneEvents
) -> tuple[Photos, list[Skipped]]:
    """The labelled photos with their features by the frozen network, divided, and those that cannot be read."""
    items = _labelled(catalogue)
    readable, rows, unreadable = _embedded(items, encoder, events)
    skipped = [*catalogue.skipped, *unreadable]
    if skipped:
        events.left_out(skipped)
    photos = divided(
        readable,
        rows,
        encoder.fingerprint,
        {"product_source": catalogue.product_source},
        f"{catalogue.root}",
        options.val,
        options.seed,
        judges_of(encoder.fingerprint.backbone, readable, options),
    )
    events.planned(_planned(photos, encoder))
    return photos, unreadable


def _labelled(catalogue: Catalogue) -> list[Item]:
    items = [item for item in catalogue.items if item.label is not None]
    if not items:
        raise FeatxError(
            "class-too-small",
            f"none of the {len(catalogue.items):,} photos has a category",
            "put each category into a folder of its own, or name the column: `--label-col COLUMN`",
        )
    return items


def _embedded(
    items: list[Item], encoder: Encoder, events: TuneEvents
) -> tuple[list[Item], NDArray[np.float32], list[Skipped]]:
    """The photos that can be read, their features, and the others."""
    encoder.use_engine("auto", photos=len(items), batch_size=batch_size_for(encoder))
    readable: list[Item] = []
    # Filled row by row: thousands of small arrays, then stacked, would take twice the memory.
    rows = np.empty((len(items), encoder.fingerprint.width), dtype=np.float32)
    skipped: list[Skipped] = []
    paths = [item.path for item in items]
    with (
        events.progress(len(items), "frozen features") as advance,
        embed(paths, lambda: encoder, known=_extracted(encoder)) as stream,
    ):
        for done, result in enumerate(stream):
            if result.features is not None:
                rows[len(readable)] = result.features
                readable.append(replace(items[done], digest=result.digest))
            elif result.unreadable is not None:
                bad = result.unreadable
                skipped.append(Skipped(items[done].path, bad.reason, bad.detail))
            advance(done + 1)
    return readable, rows[: len(readable)], skipped


def _extracted(encoder: Encoder) -> Lookup:
    """The features that a store in the artifacts has of the same network."""
    path = Workspace.here().store_path(encoder.spec.name)
    store = open_store(path) if is_store(path) else None
    if store is None or store.fingerprint.difference(encoder.fingerprint, "append"):
        return nothing_known
    rows = {digest: i for i, digest in enumerate(store.digests)}
    features = store.features
    return lambda digest: features[rows[digest]] if digest in rows else None


def _planned(photos: Photos, encoder: Encoder) -> Planned:
    products = len(set(photos.groups[photos.judge].tolist()))
    return Planned(
        len(photos.learn),
        len(photos.judge),
        products,
        len(photos.categories),
        len(photos.test),
        encoder.spec.name,
        encoder.spec.device_reason,
        photos.twins,
    )
