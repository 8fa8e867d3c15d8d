"""Several nodes of the frozen network at once, from what is kept at a cut: the step before any training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from featx.backbones import open_backbone
from featx.backbones.cuts import Cut, CutNetwork
from featx.backbones.engines.base import EmbeddingModule
from featx.backbones.fingerprint import COMMA, Fingerprint
from featx.backbones.nodes import AT, PENULTIMATE
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.finetuning.cut.tail import Maps, rows_of

MIDDLE = ":middle"


@dataclass(frozen=True)
class FrozenNodes:
    """The last two blocks of a frozen network, whole and in the middle; `layers` as `extract --layer` takes them."""

    layers: str
    back: nn.Module
    module: EmbeddingModule
    fingerprint: Fingerprint

    def rows(self, batches: Iterator[Maps]) -> NDArray[np.float32]:
        """A row for each photo, with a block of length 1 for each node."""
        return rows_of(lambda maps: self.module.read(self.back(maps)), batches)


def frozen_nodes(backbone: str, weights: str | None, parts: CutNetwork, cut: Cut) -> FrozenNodes | None:
    """The nodes behind a cut; None for a network that is not read at several, as one that ends in tokens."""
    if len(parts.blocks) < 2:
        return None
    before = parts.blocks[-2].name
    layers = COMMA.join([PENULTIMATE, f"maps{MIDDLE}", before, f"{before}{MIDDLE}"])
    try:
        encoder = open_backbone(f"{backbone}{AT}{layers}", weights=weights, device="cpu")
        module = encoder.graph()
    except FeatxError:  # it has no such maps
        return None
    if not isinstance(module, EmbeddingModule):
        return None
    back = parts.back_of(module.network, cut)
    return None if back is None else FrozenNodes(layers, back.eval(), module, encoder.fingerprint)


def beside(rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of one network, at length 1, beside the blocks of another."""
    return np.concatenate([unit_rows(rows), others], axis=1)


def widened(fingerprint: Fingerprint, rows: NDArray[np.float32]) -> Fingerprint:
    """What calls rows of this width its own."""
    return replace(fingerprint, width=rows.shape[1])
