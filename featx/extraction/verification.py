"""Is a store still true? Its checksums, and a sample of photos embedded once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from featx.embedding.reopen import reopen_backbone
from featx.images import UnreadablePhoto, decode_photo, digest_of, read_bytes
from featx.store import Store

if TYPE_CHECKING:
    from PIL import Image


def check_store(store: Store, sample: int = 8) -> list[str]:
    """What is wrong with a store, in words: its checksums, then a sample of photos embedded again and compared."""
    damage = list(store.check())
    if damage:
        return damage
    if store.fingerprint.weights == "random":
        return damage
    spread = np.linspace(0, len(store) - 1, min(sample, len(store))).round().astype(int)
    photos: list[tuple[int, Image.Image]] = []
    for i in dict.fromkeys(spread.tolist()):
        try:
            data = read_bytes(store.paths[i])
            if digest_of(data) == store.digests[i]:
                photos.append((i, decode_photo(data, store.paths[i])))
        except UnreadablePhoto:
            continue  # gone or changed since: the next extraction says so
    if not photos:
        return damage
    backbone = reopen_backbone(store)
    again = np.concatenate([backbone.features([backbone.prepare(photo)]) for _, photo in photos])
    for (i, _), features in zip(photos, again, strict=True):
        stored = np.asarray(store.features[i], dtype=np.float32)
        lengths = float(np.linalg.norm(stored) * np.linalg.norm(features))
        alike = float(stored @ features) / lengths if lengths else float(np.array_equal(stored, features))
        if alike < 0.999:
            damage.append(f"{store.paths[i]} gives other features now (cosine {alike:.4f}) than the store holds")
    return damage
