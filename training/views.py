"""Views of pictures, made on the device that trains: crops, other colours, worse cameras, and pictures in pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

# Luma and two chroma axes: a turn in the plane of the two is a turn of the hue.
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@dataclass(frozen=True, slots=True)
class Views:
    """Pictures in 0..1 and what they show: the labels of picture and guest, and how much of the picture is its own."""

    pixels: torch.Tensor
    label: torch.Tensor
    guest: torch.Tensor
    own: torch.Tensor


def uniform(like: torch.Tensor, low: float, high: float, *shape: int) -> torch.Tensor:
    """A random number for each picture (or more, by shape), where the pictures are."""
    return low + (high - low) * torch.rand((len(like), *shape), device=like.device)


def some(like: torch.Tensor, share: float) -> torch.Tensor:
    """True for a random share of the pictures."""
    return torch.rand(len(like), device=like.device) < share


def make_views(pictures: torch.Tensor, label: torch.Tensor, side: int, least: float) -> Views:
    """One view of each picture (n, 3, height, width; bytes): at least so much of its area, then others mixed in."""
    pixels = recoloured_a_little(crops(pictures, side, least))
    strange = some(pixels, 0.25)
    pixels = torch.where(strange.view(-1, 1, 1, 1), recoloured_strongly(pixels), pixels)
    pixels = worse(pixels).clamp(0, 1)
    # In other colours it would be another product.
    return mixed(pixels, torch.where(strange, -1, label))


def crops(pictures: torch.Tensor, side: int, least: float, whole: float = 0.15) -> torch.Tensor:
    """Random crops, mirrored and tilted a little; a share stays whole."""
    area = torch.exp(uniform(pictures, math.log(least), 0))
    area = torch.where(some(pictures, whole), 1.0, area).sqrt()
    ratio = torch.exp(uniform(pictures, -0.15, 0.15))
    wide, high = (area * ratio).clamp(max=1), (area / ratio).clamp(max=1)
    x, y = (1 - wide) * uniform(pictures, -1, 1), (1 - high) * uniform(pictures, -1, 1)
    tilt = torch.where(some(pictures, 0.5), (0.12 * torch.randn(len(x), device=x.device)).clamp(-0.4, 0.4), 0.0)
    mirror = torch.where(some(pictures, 0.5), -1.0, 1.0)
    cos, sin = tilt.cos(), tilt.sin()
    first = torch.stack([wide * cos * mirror, -wide * sin, x], 1)
    second = torch.stack([high * sin * mirror, high * cos, y], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), [len(x), 3, side, side], align_corners=False)
    return F.grid_sample(pictures.float() / 255, grid, padding_mode="reflection", align_corners=False)


def recoloured_a_little(x: torch.Tensor) -> torch.Tensor:
    """A little exposure, contrast and white balance; hue is left alone."""
    x = x * uniform(x, 0.75, 1.25, 1, 1, 1) * uniform(x, 0.95, 1.05, 3, 1, 1)
    middle = x.mean((1, 2, 3), keepdim=True)
    return (middle + (x - middle) * uniform(x, 0.75, 1.25, 1, 1, 1)).clamp(0, 1)


def recoloured_strongly(x: torch.Tensor) -> torch.Tensor:
    """Any hue, more or less saturation down to grey, another gamma, sometimes the negative."""
    turn, fresh = uniform(x, -math.pi, math.pi), uniform(x, 0.0, 1.8)
    zero, one = torch.zeros_like(turn), torch.ones_like(turn)
    cos, sin = fresh * turn.cos(), fresh * turn.sin()
    turned = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    there = torch.tensor(YIQ)
    back = torch.linalg.inv(there).to(x.device)
    matrix = back @ turned @ there.to(x.device)
    x = torch.einsum("nij,njhw->nihw", matrix, x).clamp(1e-3, 1) ** torch.exp(uniform(x, -0.6, 0.6, 1, 1, 1))
    return torch.where(some(x, 0.1).view(-1, 1, 1, 1), 1 - x, x)


def worse(x: torch.Tensor) -> torch.Tensor:
    """Some pictures as a worse camera takes them: unsharp, or with noise."""
    side = x.shape[2]
    coarse = F.interpolate(x, size=(side // 2, side // 2), mode="bilinear", antialias=True)
    coarse = F.interpolate(coarse, size=(side, side), mode="bilinear")
    x = torch.where(some(x, 0.12).view(-1, 1, 1, 1), coarse, x)
    grain = torch.where(some(x, 0.12), uniform(x, 0, 0.08), 0.0).view(-1, 1, 1, 1)
    return x + grain * torch.randn_like(x)


def mixed(x: torch.Tensor, label: torch.Tensor) -> Views:
    """Paste a part of another picture into a share of them, blend a share, and lay out a share as four in one."""
    order = torch.randperm(len(x), device=x.device)
    kind = torch.rand(len(x), device=x.device)
    paste, blend, four = kind < 0.35, (kind >= 0.35) & (kind < 0.5), kind >= 0.92
    foreign = pasted_shapes(x) * paste.view(-1, 1, 1, 1)
    foreign = torch.where(blend.view(-1, 1, 1, 1), uniform(x, 0, 0.5, 1, 1, 1), foreign)
    own = 1 - foreign.mean((1, 2, 3))
    together = torch.lerp(x, x[order], foreign)
    tiled = four_in_one(x)
    pixels = torch.where(four.view(-1, 1, 1, 1), tiled, together)
    return Views(pixels, torch.where(four, -1, label), torch.where(four, -1, label[order]), own)


def pasted_shapes(x: torch.Tensor) -> torch.Tensor:
    """A mask for each picture: a rectangle or an ellipse of 10 to 50 % of its area, anywhere, one half of the time."""
    share, ratio = uniform(x, 0.1, 0.5, 1, 1), torch.exp(uniform(x, -0.4, 0.4, 1, 1))
    high, wide = (share.sqrt() * ratio).clamp(max=1), (share.sqrt() / ratio).clamp(max=1)
    top, left = uniform(x, 0, 1, 1, 1) * (1 - high), uniform(x, 0, 1, 1, 1) * (1 - wide)
    across = torch.linspace(0, 1, x.shape[2], device=x.device)
    v, u = (across.view(1, -1, 1) - top) / high * 2 - 1, (across.view(1, 1, -1) - left) / wide * 2 - 1
    box = (v.abs() <= 1) & (u.abs() <= 1)
    round_ = v * v + u * u <= 1
    return torch.where(some(x, 0.5).view(-1, 1, 1), box, round_).float().unsqueeze(1)


def four_in_one(x: torch.Tensor) -> torch.Tensor:
    """Each picture beside the three after it, at half its size."""
    half = F.interpolate(x, size=(x.shape[2] // 2, x.shape[3] // 2), mode="bilinear", antialias=True)
    first, second, third = (half.roll(step, 0) for step in (1, 2, 3))
    return torch.cat([torch.cat([half, first], 3), torch.cat([second, third], 3)], 2)
