"""Weights files that their publishers offer for download."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from featx.errors import FeatxError, did_you_mean

PUBLISHER = "https://download.pytorch.org/models/"
_PREFIX = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])")


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """A weights file that its publisher offers for download."""

    backbone: str
    weights: str
    url: str
    size: int
    top1: float | None = None

    @property
    def file_name(self) -> str:
        """The name the file has in torch's cache."""
        return file_name(self.url)


def _ours(backbone: str, file: str, size: int, top1: float) -> PublishedWeights:
    return PublishedWeights(backbone, "IMAGENET1K_V1", PUBLISHER + file, size, top1)


# Small to large. Repeated from torchvision, so that listing and choosing need not import torch.
# All are the plain first recipes: the later ones score higher on ImageNet, but by smoothing that hurts fixed features.
RECOMMENDED = (
    _ours("squeezenet1_0", "squeezenet1_0-b66bff10.pth", 5_010_096, 58.092),
    _ours("shufflenet_v2_x1_0", "shufflenetv2_x1-5666bf0f80.pth", 9_218_031, 69.362),
    _ours("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", 10_306_454, 67.668),
    _ours("mobilenet_v2", "mobilenet_v2-b0353104.pth", 14_213_448, 71.878),
    _ours("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", 21_444_428, 77.692),
    _ours("mobilenet_v3_large", "mobilenet_v3_large-8738ca79.pth", 22_139_633, 74.042),
    _ours("densenet121", "densenet121-a639ec97.pth", 32_342_921, 74.434),
    _ours("resnet18", "resnet18-f37072fd.pth", 46_830_453, 69.758),
    _ours("resnet34", "resnet34-b627a593.pth", 87_320_166, 73.314),
    _ours("resnet50", "resnet50-0676ba61.pth", 102_530_808, 76.13),
    _ours("swin_t", "swin_t-704ceda3.pth", 113_445_437, 81.474),
    _ours("convnext_tiny", "convnext_tiny-983f1562.pth", 114_419_564, 82.52),
)


def published_weights() -> list[PublishedWeights]:
    """Every weights file torchvision publishes for classification, by network name (imports torchvision)."""
    from torchvision import models

    return [
        PublishedWeights(
            name,
            entry.name,
            entry.url,
            round(float(entry.meta["_file_size"]) * 2**20),
            _accuracy(entry.meta["_metrics"]),
        )
        for name in models.list_models(module=models)
        for entry in models.get_model_weights(name)
    ]


def _accuracy(metrics: Mapping[str, Mapping[str, float]]) -> float | None:
    # Weights without a last layer have NaN there, which JSON cannot hold.
    top1 = metrics.get("ImageNet-1K", {}).get("acc@1")
    return None if top1 is None or math.isnan(top1) else top1


def find_published(backbone: str, weights: str | None = None) -> PublishedWeights:
    """The published file of a network; without a weights name, its plain ImageNet-1K recipe."""
    for entry in RECOMMENDED:
        if entry.backbone == backbone and weights in (None, entry.weights):
            return entry
    every = published_weights()
    mine = [entry for entry in every if entry.backbone == backbone]
    if not mine:
        raise FeatxError(
            "unknown-backbone",
            f"there are no published weights for `{backbone}`",
            did_you_mean(backbone, sorted({entry.backbone for entry in every}), "`featx weights list --all` lists all"),
        )
    for entry in mine:
        if entry.weights == (weights or "IMAGENET1K_V1"):
            return entry
    if weights is None:
        return mine[0]
    names = [entry.weights for entry in mine]
    raise FeatxError("bad-flag", f"`{backbone}` has no weights `{weights}`", f"it has {', '.join(names)}")


def file_name(url: str) -> str:
    """The name under which the file of this address is kept."""
    name = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    if not name or name in (".", "..") or "\\" in name or "\0" in name:
        raise FeatxError("bad-flag", f"the address `{url}` does not name a file", "let it end in the name of a file")
    return name


def hash_prefix(name: str) -> str | None:
    """The beginning of the SHA-256 that publishers write into a file's name, such as the end of `resnet50-0676ba61`."""
    match = _PREFIX.search(name)
    return match[1] if match and not _DATE.fullmatch(match[1]) else None
