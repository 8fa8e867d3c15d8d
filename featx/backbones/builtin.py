"""The backbone that travels with featx: a small network trained for product photos, beside a description of colour.

Nothing here imports torch until a backbone is opened. What it was trained on and what it reaches is in
``docs/builtin-backbone.md``; the recipe is ``training/builtin.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from featx.backbones.base import BackboneFamily, BackboneRequest, OwnWeights
from featx.backbones.builtin_colours import COLOURS, HUES, SATURATIONS, VALUES, colour_histograms
from featx.backbones.devices import choose_device, import_torch_alone, raises_out_of_memory
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.names import BUILTIN
from featx.backbones.network_encoder import NetworkEncoder
from featx.backbones.preprocessing import PhotoForm, as_rgb
from featx.backbones.weights import builtin_weights, file_sha256, load_state_dict, put_tensors
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError

if TYPE_CHECKING:
    from torch import nn

    from featx.backbones.builtin_network import BuiltinNetwork
    from featx.backbones.tunable import TunableNetwork

FOLDER = Path(__file__).parent
SIDE = 192
# Shrinking in two steps, the first by a whole number, costs a third of the time.
REDUCING_GAP = 3.0
# JPEGs may be decoded at a reduced scale down to this size: the features stay within cosine 0.999.
DECODE_SIZE = (SIDE * 5 // 4, SIDE * 5 // 4)
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Each block has unit length before it is weighted, so these are the shares of a cosine similarity.
BLOCKS = (
    ("head", 512, 0.2),
    ("head in the middle", 512, 0.3),
    ("stage", 256, 0.1),
    ("stage in the middle", 256, 0.15),
    ("stage spread in the middle", 256, 0.1),
    ("colour", COLOURS, 0.08),
    ("colour in the middle", COLOURS, 0.07),
)
WIDTH = sum(width for _, width, _ in BLOCKS)
PREPROCESSING = f"whole photo to {SIDE}x{SIDE}, bicubic; ImageNet mean and std"


def read_weights(folder: Path = FOLDER) -> tuple[bytes, str]:
    """Read the weights file and check it against the digest noted beside it; nothing is parsed before that."""
    path = folder / "builtin.safetensors"
    try:
        expected = str(json.loads((folder / "builtin.json").read_text(encoding="utf-8"))["sha256"])
        data = path.read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FeatxError(
            "weights-missing",
            f"the built-in weights are not in this installation: {error}",
            "reinstall featx, or choose another backbone: `--backbone colour`",
            {"path": str(path)},
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise FeatxError(
            "weights-broken",
            f"the built-in weights at {path} are damaged: their digest is not the published one",
            "reinstall featx",
            {"path": str(path), "expected": expected, "found": digest},
        )
    return data, digest


class BuiltinEncoder(NetworkEncoder):
    """The opened backbone: frozen, in eval mode."""

    # Converting it takes some 4 s and then saves 3 ms of CPU time a photo; reading a converted one takes half a second.
    worth_converting = 1500
    worth_reading = 250
    unit_rows = True

    def __init__(
        self,
        network: BuiltinNetwork,
        centre: Mapping[str, np.ndarray],
        digest: str,
        device: str,
        device_reason: str,
        precision: str = "fp32",
    ) -> None:
        """Keep the loaded network and the centre of each block; use :func:`open_builtin`."""
        self._centre = centre
        fingerprint = Fingerprint(
            backbone=BUILTIN,
            weights="built-in",
            weights_sha256=digest,
            layer="head+stage+colour+middle",
            pool="avg",
            preprocessing=PREPROCESSING,
            precision=precision,
            width=WIDTH,
        )
        super().__init__(
            network,
            lambda pooled: pooled,
            (MEAN, STD),
            fingerprint,
            device=device,
            device_reason=device_reason,
            decode_size=DECODE_SIZE,
        )

    def prepare(self, source: Image.Image) -> np.ndarray:
        """The whole photo as bytes of one size; runs in any thread."""
        small = as_rgb(source).resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
        return np.array(small, dtype=np.uint8)

    def aspects(self) -> Mapping[str, slice]:
        """The columns of shape, from the network, and those of colour."""
        shape = sum(width for name, width, _ in BLOCKS if not name.startswith("colour"))
        return {"shape": slice(0, shape), "colour": slice(shape, WIDTH)}

    def photo_form(self) -> PhotoForm:
        """How `prepare` makes bytes of a photo, for programs without featx."""
        return PhotoForm(SIDE, "bicubic", reducing_gap=REDUCING_GAP)

    def tunable(self) -> TunableNetwork:
        """A copy of the network, folded as it ships; the columns of colour stay as they are."""
        from featx.backbones.builtin_network import BuiltinPooling, TunableBuiltin
        from featx.backbones.engines.base import EmbeddingModule
        from featx.backbones.tunable import TunableNetwork

        torch = import_torch_alone()
        network, pooling = TunableBuiltin.of(self.network), BuiltinPooling(*self._shares(colour=False))
        module = EmbeddingModule(network, pooling.eval(), MEAN, STD)
        centre = {f"centre.{name}": torch.from_numpy(np.array(row)) for name, row in self._centre.items()}
        return TunableNetwork(module.enter, network, module.read, self.aspects()["shape"].stop, centre)

    def graph(self) -> nn.Module:
        """One module from a batch of prepared photos to their features, in eval mode, for export."""
        from featx.backbones.builtin_network import BuiltinGraph, ColourBlocks
        from featx.backbones.engines.base import EmbeddingModule

        maps, pooling = self._parts()
        colours = ColourBlocks((HUES, SATURATIONS, VALUES), *self._shares(colour=True))
        taking_bytes = EmbeddingModule(maps, lambda output: output, MEAN, STD)
        return BuiltinGraph(taking_bytes, pooling, colours).eval().requires_grad_(False).to(self._device)

    def detail_maps(self, batch: Sequence[Any]) -> np.ndarray:
        """The maps of the last two stages, at the resolution of the finer one."""
        from featx.backbones.builtin_network import BuiltinDetails

        return self._maps_by(BuiltinDetails(self.network).eval(), batch)

    def _split_network(self) -> tuple[Any, Any]:
        from featx.backbones.builtin_network import BuiltinMaps, BuiltinPooling

        pooling = BuiltinPooling(*self._shares(colour=False))
        return BuiltinMaps(self.network).eval(), pooling.eval().to(self._device)

    @raises_out_of_memory
    def _rows_and_maps(self, batch: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        from featx.backbones.builtin_network import BuiltinAverages, BuiltinMaps

        averages, maps = self._by_halves(BuiltinMaps(self.network).eval(), BuiltinAverages(), batch)
        pixels = np.stack([np.asarray(photo, dtype=np.uint8) for photo in batch])
        return self.joined(blocks_of(averages, pixels)), maps

    def _shares(self, *, colour: bool) -> tuple[list[tuple[int, float]], Any]:
        """Width and weight of the blocks of colour, or of all others, and their centre."""
        torch = import_torch_alone()
        blocks = [block for block in BLOCKS if block[0].startswith("colour") == colour]
        centre = np.concatenate([self._centre[name] for name, _, _ in blocks])
        return [(width, share) for _, width, share in blocks], torch.from_numpy(centre)

    def blocks(self, batch: Sequence[Any]) -> dict[str, np.ndarray]:
        """The blocks of the features before they are centred, weighted and joined, each with rows of unit length."""
        pixels = np.stack([np.asarray(photo, dtype=np.uint8) for photo in batch])
        return blocks_of(self._compute(pixels), pixels)

    @raises_out_of_memory
    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos, a float32 row of unit length each."""
        if not len(batch):
            return np.zeros((0, WIDTH), dtype=np.float32)
        return self.joined(self.blocks(batch))

    def joined(self, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
        """The blocks as features, centred: what all photos have in common describes none of them."""
        parts = [unit_rows(blocks[name] - self._centre[name]) * np.sqrt(share) for name, _, share in BLOCKS]
        return unit_rows(np.concatenate(parts, axis=1))


def blocks_of(pooled: np.ndarray, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The network's output for some photos, and their colours, block by block, in rows of unit length."""
    blocks, start = {}, 0
    for name, width, _ in BLOCKS:
        if not name.startswith("colour"):
            # The square root tames the few channels that would otherwise decide every similarity.
            blocks[name] = unit_rows(np.sqrt(pooled[:, start : start + width]))
            start += width
    blocks["colour"], blocks["colour in the middle"] = colour_histograms(pixels, SIDE // 4)
    return blocks


def open_builtin(request: BackboneRequest) -> BuiltinEncoder:
    """Open the built-in backbone; it needs no download. Its weights may be those of a file, where it was tuned."""
    import_torch_alone()
    from safetensors.torch import load

    from featx.backbones.builtin_network import BuiltinNetwork

    data, digest = read_weights()
    network = BuiltinNetwork()
    tensors = {name: value.float() for name, value in load(data).items()}
    centre = {name: tensors.pop(f"centre.{name}").numpy() for name, _, _ in BLOCKS}
    if request.weights is not None:
        file = Path(request.weights)
        tensors, digest = load_state_dict(file), file_sha256(file)
        put_tensors(network, tensors, file, BUILTIN)
    else:
        network.load_state_dict(tensors)
    device, reason = choose_device(request.device)
    return BuiltinEncoder(network, centre, digest, device, reason, request.exact_precision)


def _rows() -> list[dict[str, Any]]:
    try:
        about = json.loads((FOLDER / "builtin.json").read_text(encoding="utf-8"))
        # The file holds half-precision numbers and next to nothing else.
        parameters = about["bytes"] // 2
    except (OSError, ValueError, KeyError):
        return []  # an installation without the built-in weights lists what it has
    return [
        {
            "name": BUILTIN,
            "width": WIDTH,
            "parameters": parameters,
            "gflops": None,
            "input": SIDE,
            "weights": [],
            "default": None,
            "url": None,
            "top1": None,
            "licence": "MIT",
        }
    ]


def _own_weights() -> OwnWeights | None:
    file = builtin_weights()
    return None if file is None else OwnWeights("ships with featx", file.stat().st_size)


FAMILY = BackboneFamily(
    BUILTIN,
    owns=lambda name: name == BUILTIN,
    open=open_builtin,
    rows=_rows,
    has_weights=lambda name: builtin_weights() is not None,
    own_weights=_own_weights,
    takes_weights=False,
)
