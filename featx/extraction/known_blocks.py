"""Blocks that other stores already have: features of a joined part are copied for photos with the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.backbones import Encoder, Fingerprint
from featx.backbones.joined import JoinedEncoder
from featx.compute.vectors import unit_rows
from featx.embedding.reopen import decodes_exactly
from featx.errors import FeatxError
from featx.files.regular import read_json
from featx.store import Store, open_store

Features = NDArray[np.float32]


@dataclass(frozen=True)
class _Rows:
    """The rows of one part in one store, by the digest of the photos."""

    store: Path
    # The blocks of its nodes, of one in most parts.
    nodes: Sequence[NDArray[Any]]
    row_of: Mapping[str, int]

    def of(self, digest: str) -> Features | None:
        row = self.row_of.get(digest)
        if row is None:
            return None
        return np.concatenate([unit_rows(rows[row : row + 1])[0] for rows in self.nodes])


@dataclass
class KnownBlocks:
    """The known blocks of each part, by the number of the part; counts what was copied, and from where."""

    names: tuple[str, ...] = ()
    sources: Mapping[int, list[_Rows]] = field(default_factory=dict)
    copied: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def known(self, digest: str) -> Features | None:
        """The whole row of a photo, if every block is known."""
        if not self.names or len(self.sources) < len(self.names):
            return None
        blocks = self._blocks(digest)
        if len(blocks) < len(self.names):
            return None
        self._count(blocks)
        return np.concatenate([blocks[i][1] for i in range(len(self.names))])

    def prepare(self, encoder: Encoder, digest: str, view: Any) -> Any:
        """A photo as the encoder takes it, with known blocks instead of prepared photos."""
        blocks = self._blocks(digest)
        if not blocks or not isinstance(encoder, JoinedEncoder):
            return encoder.prepare(view)
        self._count(blocks)
        return encoder.prepare_missing(view, {i: features for i, (_, features) in blocks.items()})

    def _blocks(self, digest: str) -> dict[int, tuple[Path, Features]]:
        blocks: dict[int, tuple[Path, Features]] = {}
        for i, sources in self.sources.items():
            for source in sources:
                if i not in blocks and (features := source.of(digest)) is not None:
                    blocks[i] = source.store, features
        return blocks

    def _count(self, blocks: Mapping[int, tuple[Path, Features]]) -> None:
        with self._lock:
            self.copied.update((self.names[i], str(store)) for i, (store, _) in blocks.items())


def find_known_blocks(encoder: Encoder, own: Path, folder: Path, *, exact: bool) -> KnownBlocks:
    """The blocks of an encoder in stores beside its own one and in the folder of stores.

    Where photos are to be decoded `exact`, others do not count. An encoder that is not joined has no blocks.
    """
    if not isinstance(encoder, JoinedEncoder):
        return KnownBlocks()
    names = tuple(part.spec.name for part in encoder.parts)
    sources: dict[int, list[_Rows]] = {}
    for store in _stores_with(names, own, folder):
        if store.views != 1 or (exact and not decodes_exactly(store.provenance)):
            continue
        digests = {digest: row for row, digest in enumerate(store.digests)}
        for i, part in enumerate(encoder.parts):
            nodes = [_block_of(store, wanted.fingerprint) for wanted in part.fingerprint.blocks]
            known = [node for node in nodes if node is not None]
            if len(known) == len(nodes):
                sources.setdefault(i, []).append(_Rows(store.path, known, digests))
    return KnownBlocks(names, sources)


def _block_of(store: Store, wanted: Fingerprint) -> NDArray[Any] | None:
    """The rows of the block that has these numbers."""
    fits = (block for block in store.blocks if _same_numbers(block.fingerprint, wanted))
    block = next(fits, None)
    return None if block is None else store.with_blocks([block.name]).features_map()


def _same_numbers(stored: Fingerprint, wanted: Fingerprint) -> bool:
    """Whether a block comes from this part, whatever its length, which is 1 in every joined row."""
    return not replace(stored, length="").difference(replace(wanted, length=""), "append")


def _stores_with(names: tuple[str, ...], own: Path, folder: Path) -> Iterator[Store]:
    """The other stores that have a block of one of these names; the others are not even opened."""
    paths = {path.resolve(): path for near in (own.parent, folder) for path in sorted(near.glob("*.h5"))}
    for real, path in sorted(paths.items()):
        if real != own.resolve() and _may_have(path, names):
            try:
                yield open_store(path)
            except FeatxError:
                continue  # damaged or of a later version: its photos are computed, and `featx info` says what is wrong


def _may_have(path: Path, names: tuple[str, ...]) -> bool:
    """The fingerprint on the card beside a store; a store without a card is opened."""
    try:
        made = Fingerprint.from_dict(read_json(path.with_suffix(".json"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, FeatxError):
        return True
    return any(block.fingerprint.backbone in names for block in made.blocks)
