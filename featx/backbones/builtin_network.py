"""The built-in network: dense 3 x 3 residual stages that run fast on a CPU.

Training uses it with batch normalisation; the shipped weights have the normalisation folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from featx.backbones.nodes import middle_places

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
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps.append(self.head(x))
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Averages of the head and of the last stage, whole and in the middle, and the spread in the middle."""
        _, _, stage, head = self.maps(x)
        return averages_of(head, stage)


class TunableBuiltin(BuiltinNetwork):
    """The same network with its last feature maps as its output, for fine-tuning: its parts keep their names."""

    @classmethod
    def of(cls, network: BuiltinNetwork) -> TunableBuiltin:
        """A copy of the weights, folded as they ship."""
        tunable = cls()
        tunable.load_state_dict(network.state_dict())
        return tunable.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As `BuiltinMaps` gives them."""
        _, _, stage, head = self.maps(x)
        return torch.cat([head, stage], dim=1)


class BuiltinMaps(nn.Module):
    """The last feature maps of the network: those of the head, then those of the last stage."""

    def __init__(self, network: BuiltinNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, HEAD_WIDTH + WIDTHS[-1], height, width)."""
        _, _, stage, head = self.network.maps(x)
        return torch.cat([head, stage], dim=1)


class BuiltinAverages(nn.Module):
    """The output of the network from its last feature maps."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """A row for each photo."""
        return averages_of(maps[:, :HEAD_WIDTH], maps[:, HEAD_WIDTH:])


class BuiltinDetails(nn.Module):
    """The maps of the last two stages, side by side at the resolution of the finer one."""

    def __init__(self, network: BuiltinNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, WIDTHS[-2] + WIDTHS[-1], height, width)."""
        _, finer, coarser, _ = self.network.maps(x)
        return torch.cat([finer, nn.functional.interpolate(coarser, finer.shape[2:], mode="nearest")], dim=1)


class BuiltinPooling(nn.Module):
    """The features' columns that come from the network, from its last feature maps; fit for training.

    `shares` holds the width and the weight of each block, in the order of `BuiltinNetwork.forward`.
    """

    centre: torch.Tensor

    def __init__(self, shares: Sequence[tuple[int, float]], centre: torch.Tensor) -> None:
        super().__init__()
        self.shares = tuple(shares)
        self.register_buffer("centre", centre)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """A row for each photo."""
        head, stage = maps[:, :HEAD_WIDTH], maps[:, HEAD_WIDTH:]
        inner = middle_of(stage)
        averages = [part.mean((2, 3)) for part in (head, middle_of(head), stage, inner)]
        # The gradient of a root ends at a channel that is dark everywhere, instead of becoming infinite.
        spread = _safe_root(inner.var((2, 3), unbiased=False), 1e-24)
        rows = _safe_root(torch.cat([*averages, spread], dim=1), 1e-12)
        parts, start = [], 0
        for width, share in self.shares:
            block = unit_length(rows[:, start : start + width]) - self.centre[start : start + width]
            parts.append(unit_length(block) * share**0.5)
            start += width
        return torch.cat(parts, dim=1)


class BuiltinGraph(nn.Module):
    """The whole backbone as one module: photos as bytes (n, height, width, 3) in, features out."""

    def __init__(self, maps: nn.Module, pooling: nn.Module, colours: nn.Module) -> None:
        super().__init__()
        self.maps, self.pooling, self.colours = maps, pooling, colours

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """A row of unit length for each photo."""
        return unit_length(torch.cat([self.pooling(self.maps(pixels)), self.colours(pixels)], dim=1))


class ColourBlocks(nn.Module):
    """The features' columns that describe colour, whole and in the middle; `bins` are of hue, saturation and value."""

    centre: torch.Tensor

    def __init__(self, bins: tuple[int, int, int], shares: Sequence[tuple[int, float]], centre: torch.Tensor) -> None:
        super().__init__()
        self.bins, self.shares = bins, tuple(shares)
        self.register_buffer("centre", centre)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """A row for each photo."""
        quarter = pixels.shape[1] // 4
        middle = pixels[:, quarter:-quarter, quarter:-quarter]
        parts, start = [], 0
        for part, (width, share) in zip((pixels, middle), self.shares, strict=True):
            block = self._histogram(part) - self.centre[start : start + width]
            parts.append(unit_length(block) * share**0.5)
            start += width
        return torch.cat(parts, dim=1)

    def _histogram(self, pixels: torch.Tensor) -> torch.Tensor:
        hues, saturations, values = self.bins
        x = pixels.flatten(1, 2).float()
        red, green, blue = x[..., 0], x[..., 1], x[..., 2]
        high, low = x.amax(-1), x.amin(-1)
        span = high - low
        safe = span.clamp_min(1)
        # Bytes are whole, so a quarter in a numerator moves no pixel across the edge of a bin; yet one exactly at the
        # edge stays in its bin where a library divides less exactly, as OpenVINO does.
        is_red, is_green = high == red, high == green
        difference = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
        turn = torch.where(is_red, 0.0, torch.where(is_green, hues / 3, 2 * hues / 3))
        hue_bin = (((hues / 6) * difference + 0.25) / safe).floor() + turn
        hue_bin = torch.where(hue_bin < 0, hue_bin + hues, hue_bin).long()
        saturation = ((saturations * span + 0.25) / high.clamp_min(1)).long().clamp_max(saturations - 1)
        bins = (hue_bin * saturations + saturation) * values + (high * (values / 256)).long()
        counts = torch.zeros((x.shape[0], hues * saturations * values), device=x.device)
        return (counts.scatter_add(1, bins, torch.ones_like(high)) / x.shape[1]).sqrt()


def averages_of(head: torch.Tensor, stage: torch.Tensor) -> torch.Tensor:
    """The averages and the spread that `BuiltinNetwork` answers with."""
    inner = middle_of(stage)
    spread = inner.var((2, 3), unbiased=False).clamp_min(0).sqrt()
    averages = [maps.mean((2, 3)) for maps in (head, middle_of(head), stage, inner)]
    return torch.cat([*averages, spread], dim=1)


def unit_length(rows: torch.Tensor) -> torch.Tensor:
    """Rows of unit length; rows of zeros stay zero."""
    length: torch.Tensor = rows.norm(dim=1, keepdim=True)
    return rows / length.clamp_min(1e-12)


def _safe_root(x: torch.Tensor, least: float) -> torch.Tensor:
    return x.clamp_min(least).sqrt()


def middle_of(maps: torch.Tensor) -> torch.Tensor:
    """The middle half of the maps in both directions, where the product usually is."""
    rows, columns = middle_places(maps.shape[2], maps.shape[3])
    return maps[:, :, rows, columns]


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
