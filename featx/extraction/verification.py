"""Is a store still true? Its checksums, and a sample of photos embedded once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from featx.backbones.weights import named_place
from featx.embedding.reopen import decodes_exactly, reopen_backbone
from featx.embedding.stream import Source, embed, read_source
from featx.store import Store

# The least cosine between the stored features of a photo and newly computed ones.
SAME = 0.999


def check_store(store: Store, sample: int = 8, weights: str | Path | None = None) -> list[str]:
    """What is wrong with a store, in words: its checksums, then a sample of photos embedded again and compared.

    `weights` is where the weights file of its backbone is, if it moved.
    """
    near = named_place(weights)
    damage = list(store.check())
    if damage or store.fingerprint.weights == "random":
        return damage
    exact = decodes_exactly(store.provenance)

    def read(row: int) -> Source | None:
        source = read_source(store.paths[row], exact=exact)
        return source if source.digest == store.digests[row] else None  # changed: the next extraction says so

    spread = np.linspace(0, len(store) - 1, min(sample, len(store))).round().astype(int)
    rows = list(dict.fromkeys(spread.tolist()))
    with embed(rows, lambda: reopen_backbone(store, near=near), read=read) as stream:
        for result in stream:
            if result.features is not None:
                damage += _difference(store, result.photo, result.features)
    return damage


def _difference(store: Store, row: int, features: np.ndarray) -> list[str]:
    stored = np.asarray(store.features[row], dtype=np.float32)
    lengths = float(np.linalg.norm(stored) * np.linalg.norm(features))
    cosine = float(stored @ features) / lengths if lengths else float(np.array_equal(stored, features))
    if cosine >= SAME:
        return []
    return [f"{store.paths[row]} gives other features now (cosine {cosine:.4f}) than the store holds"]
