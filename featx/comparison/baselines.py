"""What needs no network: colours alone, so that a good-looking score means something."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from featx.backbones import open_backbone
from featx.embedding.stream import Source, embed, read_file
from featx.files.atomic import atomic_writer
from featx.files.regular import open_regular

MOST = 10_000


def colour_features(
    paths: Sequence[str], digests: Sequence[str], cache: Path | None = None
) -> tuple[np.ndarray | None, str]:
    """Colour histograms of the photos, or None and why they were left out; kept by digest in `cache`."""
    if len(paths) > MOST:
        return None, f"{len(paths):,} photos are too many to read again (at most {MOST:,})"
    known = _read(cache)
    missing = [i for i, digest in enumerate(digests) if digest not in known]

    def read(i: int) -> Source | None:
        source = read_file(paths[i], exact=True)
        return source if source.digest == digests[i] else None

    with embed(missing, lambda: open_backbone("colour"), read=read) as stream:
        for result in stream:
            if result.features is None:
                why = result.unreadable or f"{paths[result.photo]}: it changed since it was extracted"
                return None, f"a photo cannot be read any more ({why})"
            known[result.digest] = result.features
    if missing and cache is not None:
        _write(cache, {digest: known[digest] for digest in digests})
    return np.stack([known[digest] for digest in digests]), ""


def _read(cache: Path | None) -> dict[str, np.ndarray]:
    if cache is None or not cache.exists():
        return {}
    try:
        with open_regular(cache) as file, np.load(file, allow_pickle=False) as held:
            return dict(zip(held["digests"].tolist(), held["features"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        # Only a cache: what cannot be read is computed again.
        return {}


def _write(cache: Path, known: dict[str, np.ndarray]) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(cache) as file:
        np.savez(file, digests=np.array(list(known)), features=np.stack(list(known.values())))
