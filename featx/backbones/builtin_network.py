"""The built-in network: dense 3 x 3 residual stages that run fast on a CPU.

Training uses it with batch normalisation; the shipped weights have the normalisation folded into the convolutions.
"""

from __future__ import annotations

import torch
from torch import nn

WIDTHS = (32, 64, 128, 256)
DEPTHS = (1, 3, 5)
HEAD_WIDTH = 512


class ConvUnit(nn.Module):
    """A convolution, its normalisation while training, and an optional ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, *, normed: bool, active: bool = True) -> None:
        """Build the unit; ``normed`` is for training, a folded unit has a bias instead."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=not normed)
        self.norm: nn.Module = nn.BatchNorm2d(outputs) if normed else nn.Identity()
        self.act: nn.Module = nn.ReLU(inplace=True) if active else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply convolution, normalisation and activation."""
        result: torch.Tensor = self.act(self.norm(self.conv(x)))
        return result


class Block(nn.Module):
    """Squeeze with 1 x 1 to half the channels, look around with 3 x 3, add to the input."""

    def __init__(self, width: int, *, normed: bool) -> None:
        """Build a block of the given width."""
        super().__init__()
        self.squeeze = ConvUnit(width, width // 2, 1, 1, normed=normed)
        self.look = ConvUnit(width // 2, width, 3, 1, normed=normed, active=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        result: torch.Tensor = self.act(x + self.look(self.squeeze(x)))
        return result


class BuiltinNetwork(nn.Module):
    """A stem and three stages (strides 4, 8 and 16) with a wide 1 x 1 head."""

    def __init__(self, *, normed: bool = False) -> None:
        """Build the network, untrained."""
        super().__init__()
        self.stem = ConvUnit(3, WIDTHS[0], 3, 2, normed=normed)
        stages = []
        for depth, inputs, width in zip(DEPTHS, WIDTHS, WIDTHS[1:], strict=False):
            down = ConvUnit(inputs, width, 3, 2, normed=normed)
            stages.append(nn.Sequential(down, *(Block(width, normed=normed) for _ in range(depth))))
        self.stages = nn.ModuleList(stages)
        self.head = ConvUnit(WIDTHS[-1], HEAD_WIDTH, 1, 1, normed=normed)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return the maps of the three stages and of the head."""
        x = self.stem(x)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        found.append(self.head(x))
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Averages of the head and of the last stage, whole and in the middle, and the spread in the middle."""
        _, _, stage, head = self.maps(x)
        inner = middle_of(stage)
        spread = inner.var((2, 3), unbiased=False).clamp_min(0).sqrt()
        averages = [maps.mean((2, 3)) for maps in (head, middle_of(head), stage, inner)]
        return torch.cat([*averages, spread], dim=1)


def middle_of(maps: torch.Tensor) -> torch.Tensor:
    """The middle half of maps in both directions, where the product mostly is."""
    height, width = maps.shape[2] // 4, maps.shape[3] // 4
    return maps[:, :, height : maps.shape[2] - height, width : maps.shape[3] - width]


def folded(network: BuiltinNetwork) -> BuiltinNetwork:
    """Return a copy in eval mode whose normalisation is folded into its convolutions."""
    plain = BuiltinNetwork(normed=False).eval()
    units = {name: unit for name, unit in network.named_modules() if isinstance(unit, ConvUnit)}
    with torch.no_grad():
        for name, target in plain.named_modules():
            if not isinstance(target, ConvUnit):
                continue
            source = units[name]
            norm = source.norm
            if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
                raise TypeError(f"{name} has no normalisation to fold")
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            target.conv.weight.copy_(source.conv.weight * scale[:, None, None, None])
            if target.conv.bias is not None:
                target.conv.bias.copy_(norm.bias - norm.running_mean * scale)
    return plain
