"""EfficientNet-Lite: MobileNet blocks without squeeze-and-excitation, ReLU6, for quick inference on a CPU.

The names of the parameters are those of the published PyTorch checkpoints, so that these load as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

# Stages of EfficientNet-B0: kernel, blocks, channels, expansion, stride.
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
# TensorFlow's, with which the weights were trained.
EPSILON = 1e-3


@dataclass(frozen=True)
class Size:
    """How much wider and deeper than B0, and the side of the photos it was trained on."""

    width: float
    depth: float
    pixels: int


SIZES = {
    "efficientnet_lite0": Size(1.0, 1.0, 224),
    "efficientnet_lite1": Size(1.0, 1.1, 240),
    "efficientnet_lite2": Size(1.1, 1.2, 260),
}


def scaled_channels(channels: int, width: float) -> int:
    """Channels times width, rounded to a multiple of eight, never losing more than a tenth."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after a side, as TensorFlow does it: an odd pixel goes after."""
    missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return missing // 2, missing - missing // 2


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON)


class Block(nn.Module):
    """Expand, filter each channel, project; plus the input if the shapes match."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int, side: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.adds = stride == 1 and channels == out
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(channels, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self.before, self.after = same_padding(side, kernel, stride)
        even = self.before if self.before == self.after else 0
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, even, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, out, 1, bias=False)
        self._bn2 = _norm(out)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Feature maps in, feature maps out."""
        inner = functional.relu6(self._bn0(self._expand_conv(maps))) if self.expands else maps
        if self.before != self.after:
            inner = functional.pad(inner, (self.before, self.after, self.before, self.after))
        inner = functional.relu6(self._bn1(self._depthwise_conv(inner)))
        out: torch.Tensor = self._bn2(self._project_conv(inner))
        return out + maps if self.adds else out


class EfficientNetLite(nn.Module):
    """The network with its classifier of ImageNet's thousand classes.

    Padding is TensorFlow's for photos of the size it was trained on; others are padded alike.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self._pad = nn.ZeroPad2d(same_padding(size.pixels, 3, 2) * 2)
        self._conv_stem = nn.Conv2d(3, STEM, 3, 2, bias=False)
        self._bn0 = _norm(STEM)
        self._blocks = nn.ModuleList(_blocks(size))
        last = scaled_channels(STAGES[-1][2], size.width)
        self._conv_head = nn.Conv2d(last, HEAD, 1, bias=False)
        self._bn1 = _norm(HEAD)
        self._avg_pooling = nn.AdaptiveAvgPool2d(1)
        self._flatten = nn.Flatten()
        self._fc = nn.Linear(HEAD, CLASSES)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """Prepared photos in, scores of the classes out."""
        maps = functional.relu6(self._bn0(self._conv_stem(self._pad(photos))))
        for block in self._blocks:
            maps = block(maps)
        maps = functional.relu6(self._bn1(self._conv_head(maps)))
        scores: torch.Tensor = self._fc(self._flatten(self._avg_pooling(maps)))
        return scores


def _blocks(size: Size) -> list[Block]:
    """The Lite variants scale neither the stem nor the depth of the first and the last stage."""
    blocks: list[Block] = []
    channels, side = STEM, math.ceil(size.pixels / 2)
    for number, (kernel, repeats, out, expansion, stride) in enumerate(STAGES):
        fixed = number in (0, len(STAGES) - 1)
        wide = scaled_channels(out, size.width)
        for i in range(repeats if fixed else math.ceil(repeats * size.depth)):
            step = 1 if i else stride
            blocks.append(Block(channels, wide, expansion, kernel, step, side))
            channels, side = wide, math.ceil(side / step)
    return blocks
