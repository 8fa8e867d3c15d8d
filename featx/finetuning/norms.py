"""`--adapt-norms`: the statistics of batch normalisation, measured again on photos from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from featx.backbones import Encoder
from featx.backbones.base import BackboneRequest
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.registry import open_backbone
from featx.backbones.tunable import TunableNetwork
from featx.backbones.tuned import find_card, is_tuned
from featx.embedding.stream import embed
from featx.errors import FeatxError
from featx.finetuning.cut.front import FrontEncoder, as_prepared, even_part

# Statistics of fewer photos say little; more than so many change them no more.
FEWEST, MOST, AT_ONCE = 32, 1000, 64


def adapt_norms(encoder: Encoder, network: TunableNetwork, paths: Sequence[str]) -> int:
    """Measure the statistics again, layer by layer, on photos without labels; returns on how many."""
    norms = [
        module
        for module in network.network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        raise FeatxError(
            "bad-flag",
            f"`{encoder.spec.name}` has no batch normalisation to adapt",
            "leave `--adapt-norms` out, or choose a network that has, such as resnet18 or mobilenet_v2",
        )
    photos = _prepared(encoder, paths)
    if len(photos) < FEWEST:
        raise FeatxError(
            "class-too-small",
            f"`--adapt-norms` names {len(photos):,} photos that can be read; statistics need {FEWEST}",
            "name a folder with more; they need no categories",
        )
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        # None takes the mean over all batches, however many there are.
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    device = next(network.network.parameters()).device
    with torch.no_grad():
        for start in range(0, len(photos) - FEWEST + 1, AT_ONCE):
            network.network(network.enter(torch.from_numpy(photos[start : start + AT_ONCE].copy()).to(device)))
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
        norm.eval()
    return len(photos)


def open_adapted(parent: Fingerprint, file: Path, device: str) -> Encoder:
    """The network of a fingerprint with adapted weights from a file."""
    name, preprocessing = parent.backbone, parent.preprocessing
    while is_tuned(name):
        name = find_card(name).parent.backbone
    return open_backbone(BackboneRequest(name, str(file), device=device, preprocessing=preprocessing))


def _prepared(encoder: Encoder, paths: Sequence[str]) -> NDArray[np.generic]:
    """An even part of the photos as the network takes them, by their digest, so that no batch is all of one folder."""
    with embed([paths[i] for i in even_part(len(paths), MOST)], lambda: FrontEncoder.of_photos(encoder)) as stream:
        photos = {result.digest: result.features for result in stream if result.features is not None}
    return as_prepared(encoder, [photos[digest] for digest in sorted(photos)])
