"""The frozen teachers: networks trained on ImageNet, each with its last feature maps and its scores of the classes.

Their weights are used to train; no number of them enters the package.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from featx.backbones.efficientnet_lite_network import SIZES, EfficientNetLite

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
AROUND_ZERO = ((0.498,) * 3, (0.502,) * 3)


class Teacher(nn.Module):
    """A network cut before its last average, taking pixels in 0..1; `trust` is its weight beside other teachers."""

    trust = 2.0

    def __init__(self, body: nn.Module, classifier: nn.Module, scaling: tuple[tuple[float, ...], ...], width: int):
        """Keep both parts, frozen."""
        super().__init__()
        self.body, self.classifier, self.width = body, classifier, width
        self.register_buffer("mean", torch.tensor(scaling[0]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(scaling[1]).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last maps, none below zero, and the scores."""
        x = ((pixels - self.mean) / self.deviation).to(self.kind).contiguous(memory_format=torch.channels_last)
        maps = self.body(x)
        return maps, self.classifier(maps).float()

    @property
    def kind(self) -> torch.dtype:
        """What it computes in."""
        return next(self.body.parameters()).dtype


class SqueezeClassifier(nn.Module):
    """The scores of squeezenet: a 1 x 1 convolution before the average."""

    def __init__(self, convolution: nn.Module) -> None:
        """Keep the convolution."""
        super().__init__()
        self.convolution = convolution

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Scores of the classes."""
        return F.relu(self.convolution(maps)).mean((2, 3))


class LiteBody(nn.Module):
    """All of an EfficientNet-Lite before its average, normalisation folded into the convolutions."""

    def __init__(self, network: EfficientNetLite) -> None:
        """Fold in place."""
        super().__init__()
        _fold(network, "_conv_stem", "_bn0")
        _fold(network, "_conv_head", "_bn1")
        for block in network._blocks:
            for convolution, norm in (
                ("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")
            ):  # fmt: skip
                _fold(block, convolution, norm)
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The maps that are averaged for the scores."""
        network = self.network
        maps = F.relu6(network._conv_stem(network._pad(x)))
        for block in network._blocks:
            maps = block(maps)
        return F.relu6(network._conv_head(maps))


def _fold(module: nn.Module, convolution: str, norm: str) -> None:
    if hasattr(module, convolution):
        setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
        setattr(module, norm, nn.Identity())


def open_teacher(given: str, device: str) -> Teacher:
    """Open `NAME=FILE`: squeezenet1_0 or efficientnet_lite0, 1 or 2 with its published weights."""
    name, _, file = given.partition("=")
    state = torch.load(Path(file), map_location="cpu", weights_only=True)
    if name == "squeezenet1_0":
        squeeze = torchvision.models.squeezenet1_0()
        squeeze.load_state_dict(state)
        teacher = Teacher(squeeze.features, SqueezeClassifier(squeeze.classifier[1]), IMAGENET, 512)
        teacher.trust = 1.0
    elif name in SIZES:
        lite = EfficientNetLite(SIZES[name])
        lite.load_state_dict(state)
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), lite._fc)
        teacher = Teacher(LiteBody(lite.eval()), head, AROUND_ZERO, lite._fc.in_features)
    else:
        raise SystemExit(f"no teacher is called `{name}`: squeezenet1_0, {', '.join(SIZES)}")
    teacher.body.to(torch.bfloat16)
    teacher.classifier.to(torch.bfloat16)
    return teacher.to(device=device, memory_format=torch.channels_last)
