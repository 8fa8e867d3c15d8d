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

from featx.backbones.devices import choose_device, import_torch, raises_out_of_memory
from featx.backbones.engines.mixin import EngineMixin
from featx.backbones.fingerprint import Fingerprint
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.backbones.builtin_network import BuiltinNetwork
    from featx.backbones.engines.base import Engine

FOLDER = Path(__file__).parent
SIDE = 192
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
HUES, SATURATIONS, VALUES = 12, 4, 4
COLOURS = HUES * SATURATIONS * VALUES
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
# Converting it takes some 4 s and then saves 3 ms of CPU time a photo; reading what was converted takes half a second.
WORTH_CONVERTING = 1500
WORTH_READING = 250
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
            "install featx again, or name another backbone: --backbone colour",
            {"path": str(path)},
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        raise FeatxError(
            "weights-broken",
            f"the built-in weights at {path} are damaged: their digest is not the published one",
            "install featx again",
            {"path": str(path), "expected": expected, "found": digest},
        )
    return data, digest


def colour_histograms(pixels: np.ndarray) -> np.ndarray:
    """Square-rooted joint histograms of hue, saturation and value; unit length, a row per photo."""
    x = pixels.reshape(len(pixels), -1, 3)
    red, green, blue = (x[..., channel].astype(np.float32) for channel in range(3))
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    span = high - low
    safe = np.where(span > 0, span, 1)
    hue = np.where(
        high == red,
        ((green - blue) / safe) % 6,
        np.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue_bin = np.minimum((hue * (HUES / 6)).astype(np.int64), HUES - 1)
    saturation = np.minimum((span / np.maximum(high, 1) * SATURATIONS).astype(np.int64), SATURATIONS - 1)
    value = (high * (VALUES / 256)).astype(np.int64)
    places = (hue_bin * SATURATIONS + saturation) * VALUES + value + COLOURS * np.arange(len(x))[:, None]
    counts = np.bincount(places.ravel(), minlength=COLOURS * len(x)).reshape(len(x), COLOURS)
    return np.sqrt(counts / x.shape[1]).astype(np.float32)


class BuiltinBackbone(EngineMixin):
    """The opened backbone: frozen, in eval mode."""

    name = "builtin"
    width = WIDTH
    # JPEGs may be decoded at a reduced scale down to this size: the features stay within cosine 0.999.
    decode_size = (SIDE * 5 // 4, SIDE * 5 // 4)

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
        torch, torchvision = import_torch()
        from featx.backbones.engines.base import EmbeddingModule
        from featx.backbones.engines.torch_engine import TorchEngine

        self._module = EmbeddingModule(network, lambda pooled: pooled, MEAN, STD).eval().to(device)
        # int8 needs a network of its own, which is read or made when the first photo comes.
        self._engine: Engine | None = None if precision == "int8" else TorchEngine(self._module, device, precision)
        self._centre = centre
        self.device = device
        self.device_reason = device_reason
        self.versions: Mapping[str, str] = {
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "numpy": np.__version__,
        }
        self.fingerprint = Fingerprint(
            backbone=self.name,
            weights="built-in",
            weights_sha256=digest,
            layer="head+stage+colour+middle",
            pool="avg",
            preprocessing=PREPROCESSING,
            precision=precision,
            width=WIDTH,
        )

    @property
    def network(self) -> Any:
        """The bare network: prepared numbers in, pooled maps out."""
        return self._module.network

    def use_engine(self, asked: str, *, photos: int, batch_size: int) -> str:
        """Compute with another engine from now on; returns why not, where `auto` could not have the one it wanted."""
        from featx.backbones.engines.base import EngineJob, example_photos
        from featx.backbones.engines.choosing import engine_for, try_engine

        example = example_photos((SIDE, SIDE, 3), np.dtype(np.uint8), batch_size)
        work = EngineJob(self._module, example, self.fingerprint, self.prepare, self.device)
        name = engine_for(asked, work, photos, WORTH_CONVERTING, WORTH_READING)
        engine, why = try_engine(asked, name, work)
        if engine is not None:
            self._run_on(engine)
        return why

    def prepare(self, image: Image.Image) -> np.ndarray:
        """The whole photo as bytes of one size; runs in any thread."""
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
        return np.array(small, dtype=np.uint8)

    def blocks(self, prepared: Sequence[Any]) -> dict[str, np.ndarray]:
        """The blocks of the features before they are centred, weighted and joined, each with rows of unit length."""
        pixels = np.stack([np.asarray(one, dtype=np.uint8) for one in prepared])
        return blocks_of(self._computed(pixels), pixels)

    @raises_out_of_memory
    def features(self, prepared: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos, a float32 row of unit length each."""
        if not len(prepared):
            return np.zeros((0, WIDTH), dtype=np.float32)
        return self.joined(self.blocks(prepared))

    def joined(self, blocks: Mapping[str, np.ndarray]) -> np.ndarray:
        """The blocks as features: what all photos have in common is taken out, for it says nothing of any."""
        parts = [unit_rows(blocks[name] - self._centre[name]) * np.sqrt(share) for name, _, share in BLOCKS]
        return unit_rows(np.concatenate(parts, axis=1))


def blocks_of(pooled: np.ndarray, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What the network said of some photos, and their colours, block by block, in rows of unit length."""
    found, at = {}, 0
    for name, width, _ in BLOCKS:
        if not name.startswith("colour"):
            # The square root tames the few channels that would otherwise decide every similarity.
            found[name] = unit_rows(np.sqrt(pooled[:, at : at + width]))
            at += width
    quarter = SIDE // 4
    middle = np.ascontiguousarray(pixels[:, quarter:-quarter, quarter:-quarter])
    found["colour"], found["colour in the middle"] = colour_histograms(pixels), colour_histograms(middle)
    return found


def open_builtin(*, device: str = "auto", precision: str = "auto") -> BuiltinBackbone:
    """Open the built-in backbone; it needs no download."""
    torch, _ = import_torch()
    from safetensors.torch import load

    from featx.backbones.builtin_network import BuiltinNetwork

    data, digest = read_weights()
    network = BuiltinNetwork()
    held = {name: value.float() for name, value in load(data).items()}
    centre = {name: held.pop(f"centre.{name}").numpy() for name, _, _ in BLOCKS}
    network.load_state_dict(held)
    device, reason = choose_device(device)
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return BuiltinBackbone(network, centre, digest, device, reason, "fp32" if precision == "auto" else precision)
