"""The backbone of an extraction: opened as the store wants it, and run by the engine that suits it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from featx.backbones import Encoder, Fingerprint, open_backbone
from featx.backbones.fingerprint import with_views
from featx.embedding.reopen import located_weights, other_backbone, requested_name, requested_pool
from featx.embedding.stream import batch_size_for
from featx.extraction.existing_rows import ExistingRows
from featx.extraction.options import ExtractionOptions


def open_network(
    name: str, options: ExtractionOptions, existing: ExistingRows, store: Path
) -> tuple[Encoder, Fingerprint]:
    """The backbone and the fingerprint of its rows; refused if the store holds rows of another one."""
    stored = existing.fingerprint
    weights = options.weights
    if weights is None and stored is not None:
        weights = located_weights(stored, existing.provenance, [store.parent])
    as_stored = stored is not None and options.layer is None and name == stored.backbone
    backbone = open_backbone(
        requested_name(stored) if stored is not None and as_stored else name,
        weights=weights,
        layer=options.layer,
        pool=options.pool or requested_pool(stored),
        device=options.device,
        precision=options.precision,
    )
    fingerprint = with_views(backbone.fingerprint, options.views)
    if stored is not None and (field := stored.difference(fingerprint, "append")):
        raise other_backbone(store, field, stored, fingerprint)
    return backbone, fingerprint


def batch_size_of(backbone: Encoder, options: ExtractionOptions) -> int:
    """Photos in a batch: as requested, else the default of all commands."""
    return options.batch_size or batch_size_for(backbone)


def choose_engine(
    backbone: Encoder, options: ExtractionOptions, photos: int, provenance: Mapping[str, object]
) -> tuple[str, str]:
    """The library that runs the network from now on, and why not a faster one.

    A first run that was interrupted goes on with the engine it began with.
    """
    requested = options.engine
    if requested == "auto" and "written" not in provenance:
        requested = str(provenance.get("engine") or "auto")
    why = backbone.use_engine(requested, photos=photos, batch_size=batch_size_of(backbone, options))
    return backbone.spec.engine, why
