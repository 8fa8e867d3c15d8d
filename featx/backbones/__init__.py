"""Frozen networks that turn photos into features, each with its own weights and preprocessing.

base                   the contract of every encoder, and the record of a family
fingerprint            what made the features, and which may be used together
names                  the two that featx brings itself
registry               the families, by name
default                the backbone for when nobody named one
colour, builtin, builtin_colours, builtin_network, torchvision_networks, timm_networks, open_clip_networks, custom,
efficientnet_lite, efficientnet_lite_network    a family each
network_encoder        what every family with a network shares
frozen_network, freezing    a network with its preprocessing, and as it was requested
node_maps, network_of_nodes    one that is read at several nodes, with the maps behind each
tuned, tuned_card      networks that `featx tune` trained further, with their cards
tunable, cuts          a network as fine-tuning takes it, and where it can be cut in two
joined                 several backbones side by side
nodes                  the nodes of a network that are read, by name
tracing                a network as a graph whose nodes have names
layers, preprocessing  where in a network features are read; photos as its weights want them
architectures          which network a weights file was made for
sentences, sentence_network, word_pieces    texts → features by meaning
text_tokenizers        texts → numbers, as the file of a publisher says
adding                 weights from a file, a folder or a package
tensors                rows of features for torch
devices                where it runs
weights/               find, fetch and verify weights files
engines/               what runs it
onnx_export            a network for programs without torch
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from featx.backbones.fingerprint import Fingerprint

if TYPE_CHECKING:
    from featx.backbones.base import Encoder, EncoderSpec, OutOfMemory
else:

    def __getattr__(name: str) -> object:
        # A store needs the fingerprint alone; the contract is loaded with the first encoder.
        if name not in __all__:
            raise AttributeError(f"module 'featx.backbones' has no attribute {name!r}")
        return getattr(importlib.import_module("featx.backbones.base"), name)


__all__ = [
    "Encoder",
    "EncoderSpec",
    "Fingerprint",
    "OutOfMemory",
    "choose_backbone",
    "open_backbone",
]


def choose_backbone() -> tuple[str, str]:
    """The name of the best backbone that needs no download, and one line on why."""
    from featx.backbones.default import choose_backbone as choose

    return choose()


def open_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    layer: str | None = None,
    pool: str = "avg",
    device: str = "auto",
    precision: str = "auto",
    size: int | None = None,
) -> Encoder:
    """Load a backbone, frozen and ready.

    `name` is a torchvision network, `timm:NAME`, `open_clip:NAME`, `builtin`, `colour`, or `package.module:factory` for
    one's own; names joined by `+` give features side by side, each block of length 1.
    `weights` is the name of published weights, a .pth or .safetensors file, or `random` (seeded; for tests).
    `size` is the side of the square that photos become, where it is not to be that of the weights.
    """
    from featx.backbones import registry
    from featx.backbones.base import BackboneRequest

    file = None if weights is None else str(weights)
    return registry.open_backbone(BackboneRequest(name, file, layer, pool, device, precision, size=size))
