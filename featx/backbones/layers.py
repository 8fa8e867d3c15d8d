"""Where in a network features are read: the input of its last classifying layer, or any node by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from featx.errors import FeatxError, did_you_mean


def last_classifying_layer(network: nn.Module) -> str:
    """The name of the layer that turns features into class scores: the last linear or convolving one."""
    names: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return names[-1]


def without_head(network: nn.Module) -> nn.Module:
    """The network with its last classifying layer taken out, so that it answers with that layer's input."""
    network.set_submodule(last_classifying_layer(network), nn.Identity())
    return network


def node_names(network: nn.Module) -> list[str]:
    """Every node whose output can be read, in the order they run."""
    names = get_graph_node_names(network, suppress_diff_warning=True)[1]
    return [name for name in names if name != "x"]


def node_shapes(network: nn.Module, side: int) -> dict[str, tuple[int, ...]]:
    """The output shape of every node for one photo of this side, batch left out; nodes that give no tensor are not."""
    wanted = {name: name for name in node_names(network)}
    tapped = create_feature_extractor(network, wanted, suppress_diff_warning=True).eval()
    with torch.inference_mode():
        found: Mapping[str, Any] = tapped(torch.zeros(1, 3, side, side))
    return {
        name: tuple(value.shape[1:])
        for name, value in found.items()
        if isinstance(value, torch.Tensor) and value.ndim > 1
    }


def tapped_at(network: nn.Module, layer: str, backbone: str) -> nn.Module:
    """The network cut after a node; what comes later is not computed."""
    known = node_names(network)
    if layer not in known:
        # `layer4` stands for the last node inside it, as people say it.
        inside = [name for name in known if name.startswith(f"{layer}.")]
        if not inside:
            raise FeatxError(
                "unknown-layer",
                f"{backbone} has no layer `{layer}`",
                did_you_mean(layer, known, f"`featx backbones {backbone} --layers` lists them"),
            )
        layer = inside[-1]
    cut: nn.Module = create_feature_extractor(network, {layer: "features"}, suppress_diff_warning=True)
    return cut


def pooled(x: torch.Tensor, pool: str, *, channels_last: bool = False) -> torch.Tensor:
    """One row of numbers for each photo, from maps (n, c, h, w), tokens (n, t, c) or rows (n, c)."""
    if x.ndim == 2 or pool == "flatten":
        return x.flatten(1)
    if x.ndim == 4:
        places = x.flatten(1, 2) if channels_last else x.flatten(2).transpose(1, 2)
    else:
        places = x.reshape(x.shape[0], -1, x.shape[-1])
    if pool == "max":
        return places.amax(1)
    if pool == "gem":
        return places.clamp(min=1e-6).pow(3).mean(1).pow(1 / 3)
    if pool == "avgmax":
        return torch.cat([places.mean(1), places.amax(1)], 1)
    return places.mean(1)
