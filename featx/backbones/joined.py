"""`builtin+efficientnet_lite2`: several backbones share a pass over the photos; their features form one row.

The photo is decoded once. Each part has its own preprocessing and engine, and its block of the row has length 1, so
that each part has the same say in a cosine, whatever the size of its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones.base import BackboneRequest, Encoder, EncoderSpec
from featx.backbones.fingerprint import PLUS, Fingerprint, join
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError

MOST = 4


@dataclass(frozen=True)
class KnownBlock:
    """A block that was computed before; it replaces the prepared photo of its part."""

    features: NDArray[np.float32]


class JoinedEncoder(Encoder):
    """Several encoders as one; a prepared photo is a tuple with one entry for each part."""

    def __init__(self, parts: Sequence[Encoder]) -> None:
        self.parts = tuple(parts)
        self.fingerprint = join([block_fingerprint(part) for part in parts])

    @property
    def spec(self) -> EncoderSpec:
        """The facts that callers need; the device is that of the first part."""
        specs = [part.spec for part in self.parts]
        return EncoderSpec(
            name=PLUS.join(spec.name for spec in specs),
            width=sum(spec.width for spec in specs),
            device=specs[0].device,
            device_reason=specs[0].device_reason,
            versions={name: version for spec in specs for name, version in spec.versions.items()},
            engine=_engine([spec.engine for spec in specs]),
            decode_size=_largest([spec.decode_size for spec in specs]),
            batch_hint=max(spec.batch_hint for spec in specs),
            parallel_calls=min(spec.parallel_calls for spec in specs),
            weights_files={spec.name: spec.weights_file for spec in specs if spec.weights_file},
        )

    def prepare(self, source: Any) -> tuple[Any, ...]:
        """One photo as each part takes it."""
        return tuple(part.prepare(source) for part in self.parts)

    def prepare_missing(self, source: Any, known: Mapping[int, NDArray[np.float32]]) -> tuple[Any, ...]:
        """The same, with the blocks that are known by the number of their part instead of computed."""
        return tuple(KnownBlock(known[i]) if i in known else part.prepare(source) for i, part in enumerate(self.parts))

    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos, the blocks of all parts in each row."""
        blocks = [_block(part, [photo[i] for photo in batch]) for i, part in enumerate(self.parts)]
        return np.concatenate(blocks, axis=1)

    def networks(self) -> Sequence[Encoder]:
        """Its parts, each of them by its nodes."""
        return [network for part in self.parts for network in part.networks()]

    def maps_of_networks(self, batch: Sequence[Any]) -> list[np.ndarray | None]:
        """The feature maps of each part."""
        return [maps for i, part in enumerate(self.parts) for maps in part.maps_of_networks([p[i] for p in batch])]

    def features_with_maps(self, batch: Sequence[Any]) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """The blocks of all parts in each row, and the feature maps of each part."""
        blocks, maps = [], list[np.ndarray | None]()
        for i, part in enumerate(self.parts):
            rows, own = part.features_with_maps([photo[i] for photo in batch])
            blocks.append(_as_block(part, rows))
            maps += own
        return np.concatenate(blocks, axis=1), maps

    def detail_maps(self, batch: Sequence[Any]) -> np.ndarray:
        """Those of the first part."""
        return self.parts[0].detail_maps([photo[0] for photo in batch])

    def use_engine(self, requested: str, *, photos: int, batch_size: int) -> str:
        """Let each part compute with another engine; returns why `auto` could not have what it wanted, or ""."""
        wanted = requested.split(PLUS)
        if len(wanted) != len(self.parts):
            wanted = [requested] * len(self.parts)
        reasons = [
            # A part without a choice of engines goes on as it is.
            part.use_engine(engine if part.spec.engine else "auto", photos=photos, batch_size=batch_size)
            for part, engine in zip(self.parts, wanted, strict=True)
        ]
        return "; ".join(reason for reason in reasons if reason)


def block_fingerprint(part: Encoder) -> Fingerprint:
    """The fingerprint of a part's block; rows of another length are scaled to 1."""
    return part.fingerprint if part.spec.unit_rows else replace(part.fingerprint, length="unit")


def requests_of(request: BackboneRequest) -> list[BackboneRequest]:
    """The request for each part of a joined backbone."""
    names = request.name.split(PLUS)
    if not 2 <= len(names) <= MOST or "" in names or len(set(names)) < len(names):
        raise FeatxError(
            "unknown-backbone",
            f"`{request.name}` does not join two to {MOST} different backbones",
            "write it like this: `--backbone builtin+efficientnet_lite2`",
        )
    if request.pool != "avg":
        raise FeatxError("bad-flag", "a joined backbone takes no `--pool`", "leave `--pool` out")
    weights = _weights(request.weights, len(names))
    return [replace(request, name=name, weights=own or None) for name, own in zip(names, weights, strict=True)]


def _weights(given: str | None, parts: int) -> list[str]:
    """`A+B`: the weights of each part, nothing for its usual ones; `random` alone is for all."""
    if given in (None, "random"):
        return [given or ""] * parts
    weights = str(given).split(PLUS)
    if len(weights) != parts:
        raise FeatxError(
            "bad-flag",
            f"`--weights {given}` does not say which part it is for",
            f"join weights in the order of the backbones, nothing for the default ones: `--weights {PLUS}FILE.pth`",
        )
    return weights


def _block(part: Encoder, prepared: Sequence[Any]) -> NDArray[np.float32]:
    """The block of a part for a batch; known rows are not computed again, and the batch keeps its shape."""
    rows = np.empty((len(prepared), part.spec.width), dtype=np.float32)
    missing = []
    for i, photo in enumerate(prepared):
        if isinstance(photo, KnownBlock):
            rows[i] = photo.features
        else:
            missing.append(i)
    if missing:
        shown = [prepared[i] for i in missing]
        shown += [shown[-1]] * (len(prepared) - len(shown))
        rows[missing] = _as_block(part, part.features(shown)[: len(missing)])
    return rows


def _as_block(part: Encoder, rows: np.ndarray) -> NDArray[np.float32]:
    return rows if part.spec.unit_rows else unit_rows(rows)


def _engine(engines: Sequence[str]) -> str:
    """One name if all parts with a choice run the same engine, else the name of each."""
    chosen = {engine for engine in engines if engine}
    return PLUS.join(engine or "-" for engine in engines) if len(chosen) > 1 else next(iter(chosen), "")


def _largest(sizes: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    """The decoded size that suffices for every part; None if one needs the full size."""
    known = [size for size in sizes if size is not None]
    return (max(w for w, _ in known), max(h for _, h in known)) if len(known) == len(sizes) else None
