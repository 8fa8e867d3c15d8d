"""What needs no network: colours alone, so that a good-looking score means something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featx.backbones import open_backbone
from featx.backbones.registry import baseline_name
from featx.embedding.stream import Source, embed, read_source
from featx.files.caches import read_arrays, write_arrays

MOST = 10_000


def colour_features(
    paths: Sequence[str], digests: Sequence[str], cache: Path | None = None
) -> tuple[np.ndarray | None, str]:
    """Colour histograms of the photos, or None and why they were left out; kept by digest in `cache`."""
    if len(paths) > MOST:
        return None, f"{len(paths):,} photos are too many to read again (at most {MOST:,})"
    known = read_colours(cache)
    missing = [i for i, digest in enumerate(digests) if digest not in known]

    def read(i: int) -> Source | None:
        source = read_source(paths[i], exact=True)
        return source if source.digest == digests[i] else None

    with embed(missing, lambda: open_backbone(baseline_name()), read=read) as stream:
        for result in stream:
            if result.features is None:
                why = result.unreadable or f"{paths[result.photo]}: it changed since it was extracted"
                return None, f"a photo cannot be read any more ({why})"
            known[result.digest] = result.features
    if missing and cache is not None:
        write_colours(cache, {digest: known[digest] for digest in digests})
    return np.stack([known[digest] for digest in digests]), ""


def read_colours(cache: Path | None) -> dict[str, np.ndarray]:
    """The colour features kept in a file, by digest; none where there is no sound file."""
    arrays = read_arrays(cache, "digests", "features")
    if arrays is None or len(arrays["digests"]) != len(arrays["features"]):
        return {}
    return dict(zip(arrays["digests"].tolist(), arrays["features"], strict=True))


def write_colours(cache: Path, known: dict[str, np.ndarray]) -> None:
    """Keep colour features in a file, by digest."""
    write_arrays(cache, {"digests": np.array(list(known)), "features": np.stack(list(known.values()))})
