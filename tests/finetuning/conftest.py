"""Photos that a network can learn from in seconds, and a network that runs in milliseconds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from featx.backbones.base import BackboneRequest
from featx.backbones.freezing import frozen
from featx.backbones.frozen_network import FrozenNetwork
from featx.backbones.preprocessing import Preset
from featx.backbones.torchvision_networks import put_weights
from featx.backbones.weights import file_sha256, load_state_dict
from tests.conftest import made_once, photo

SIDE = 32


class Small(nn.Module):
    """Three convolutions with batch normalisation, as torchvision's networks are built."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
                for a, b in ((3, 8), (8, 12), (12, 16), (16, 24))
            )
        )
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(24, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.features(x)).flatten(1))


def small_network(request: BackboneRequest) -> FrozenNetwork:
    """The network with random weights, or those of a file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        network = Small().eval()
    sha256 = "random"
    if request.weights not in (None, "random"):
        file = Path(request.weights)
        put_weights(network, load_state_dict(file), "fc", "small", file)
        sha256 = file_sha256(file)
    preset = Preset(SIDE + 4, SIDE, Image.Resampling.BILINEAR, (0.5,) * 3, (0.25,) * 3)
    return frozen(network, preset, request, weights="random", sha256=sha256, reopen=lambda: small_network(request))


@pytest.fixture(autouse=True)
def few_classifiers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tuning is compared with the best classifier of the frozen network, whichever are tried."""
    monkeypatch.setattr("featx.classifiers.selection.CANDIDATES", ("logreg", "lda"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which the network opens in a test."""
    from featx.backbones import registry

    family = registry.BackboneFamily(
        "small",
        owns=lambda name: name == "small",
        open=small_network,
        layer_shapes=lambda name: {},
        takes_size=True,
    )
    monkeypatch.setattr(registry, "FAMILIES", (*registry.FAMILIES[:-3], family, *registry.FAMILIES[-3:]))
    return "small"


def make_shop(folder: Path) -> None:
    """Three categories of six products with two shots each, differing in colour only by a little."""
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for product in range(6):
            for shot in range(2):
                photo(
                    folder / category / f"{category}{product}_{shot}.jpg",
                    seed=100 * c + product % 2,
                    noise=1000 * c + 10 * product + shot,
                )


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "shop-to-tune", make_shop)
