"""torchvision's networks, frozen: the weights' own preprocessing, features before the last classifying layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from featx.backbones.devices import choose_device, import_torch, raises_out_of_memory
from featx.backbones.engines.mixin import EngineMixin
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.preprocessing import preset_of
from featx.backbones.weights import fetch_weights, file_sha256, find_published, hash_prefix, load_state_dict
from featx.errors import FeatxError, did_you_mean

if TYPE_CHECKING:
    from featx.backbones.engines.base import Engine, EngineJob

WEIGHTS_SUFFIXES = (".pth", ".pt", ".safetensors")


class FrozenNetwork(EngineMixin):
    """A network in eval mode that never changes: photos prepared as its weights want them, features out."""

    def __init__(
        self,
        network: Any,
        transforms: Callable[[Image.Image], Any],
        fingerprint: Fingerprint,
        *,
        read: Callable[[Any], Any],
        device: str,
        device_reason: str,
        weights_file: str = "",
    ) -> None:
        torch, torchvision = import_torch()
        self.name = fingerprint.backbone
        self.width = fingerprint.width
        self.fingerprint = fingerprint
        self.device, self.device_reason = device, device_reason
        self.weights_file = weights_file
        self.versions: Mapping[str, str] = {
            "torch": str(torch.__version__),
            "torchvision": str(torchvision.__version__),
            "numpy": np.__version__,
        }
        preset = preset_of(transforms)
        self._prepare: Callable[[Image.Image], Any] = preset or transforms
        # JPEGs may be decoded at a reduced scale down to this size; None: never.
        self.decode_size = preset.decode_size if preset is not None else None
        self.network = network.eval().requires_grad_(False).to(device)
        if device != "mps":
            self.network = self.network.to(memory_format=torch.channels_last)
        self._read = read
        self._normal = (preset.mean, preset.std) if preset is not None else (None, None)
        # int8 needs a network of its own, which is read or made when the first photo comes.
        self._engine: Engine | None = None if fingerprint.precision == "int8" else self._torch_engine()

    def use_engine(self, asked: str, *, photos: int, batch_size: int) -> str:
        """Compute with another engine from now on; returns why not, where `auto` could not have the one it wanted."""
        from featx.backbones.engines.base import example_photos
        from featx.backbones.engines.choosing import engine_for, try_engine

        one = np.asarray(self.prepare(Image.new("RGB", (256, 256))))
        example = example_photos(one.shape, one.dtype, batch_size)
        work = self._runnable(example)
        name = engine_for(asked, work, photos)
        if name != "openvino":  # which folds it by itself
            self._fold_batch_norm(example)
            work = self._runnable(example)
        engine, why = try_engine(asked, name, work)
        if engine is None:
            self._fold_batch_norm(example)
            self._engine = self._torch_engine()
            return why
        self._run_on(engine)
        return ""

    def _runnable(self, example: np.ndarray) -> EngineJob:
        from featx.backbones.engines.base import EmbeddingModule, EngineJob

        module = EmbeddingModule(self.network, self._read, *self._normal).eval().to(self.device)
        return EngineJob(module, example, self.fingerprint, self.prepare, self.device)

    def _torch_engine(self) -> Engine:
        from featx.backbones.engines.base import EmbeddingModule
        from featx.backbones.engines.torch_engine import TorchEngine

        module = EmbeddingModule(self.network, self._read, *self._normal).eval().to(self.device)
        return TorchEngine(module, self.device, self.fingerprint.precision)

    def _fold_batch_norm(self, example: np.ndarray) -> None:
        from featx.backbones.engines.base import fold_batch_norm

        torch, _ = import_torch()
        if self.device == "cpu" and self.fingerprint.precision == "fp32":
            side = example.shape[1:3] if self._normal[0] is not None else example.shape[2:4]
            probe = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *side)).astype(np.float32))
            folded = fold_batch_norm(self.network, probe, self._read)
            self.network = folded.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def prepare(self, image: Image.Image) -> Any:
        """The photo as the weights were trained to see it."""
        return self._prepare(image)

    @raises_out_of_memory
    def features(self, prepared: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos: (n, width), float32."""
        if not prepared:
            return np.zeros((0, self.width), dtype=np.float32)
        batch = np.stack([np.asarray(one) for one in prepared])
        return self._computed(batch)


def network_names() -> list[str]:
    """Every torchvision classification network."""
    _, torchvision = import_torch()
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def _known(name: str) -> None:
    names = network_names()
    if name not in names:
        near = [*names, "colour", "builtin"]
        raise FeatxError(
            "unknown-backbone", f"no backbone called `{name}`", did_you_mean(name, near, "`featx backbones` lists them")
        )


def build(name: str, weights: Any = None) -> Any:
    """The bare network, in eval mode, shaped for these weights; its parameters mean nothing yet."""
    _, torchvision = import_torch()
    settings: dict[str, object] = {}
    if name in ("googlenet", "inception_v3"):
        settings = {"aux_logits": False, "init_weights": False, "transform_input": True}
    if name.startswith("vit_") and weights is not None:
        settings = {"image_size": weights.meta["min_size"][0]}
    if weights is not None and len(weights.meta.get("categories", ())) not in (0, 1000):
        settings["num_classes"] = len(weights.meta["categories"])
    return torchvision.models.get_model(name, weights=None, **settings).eval()


def open_torchvision(
    name: str,
    *,
    weights: str | Path | None = None,
    layer: str | None = None,
    pool: str = "avg",
    device: str = "auto",
    precision: str = "auto",
) -> FrozenNetwork:
    """Load one of torchvision's networks with published weights, a file, or random numbers."""
    torch, torchvision = import_torch()
    from featx.backbones import layers

    _known(name)
    place, reason = choose_device(device)
    given = str(weights) if weights is not None else None
    is_file = given is not None and (given.lower().endswith(WEIGHTS_SUFFIXES) or Path(given).is_file())
    every = {entry.name: entry for entry in torchvision.models.get_model_weights(name)}
    file: Path | None = None
    if given == "random":
        recipe, said = every[find_published(name).weights], "random"
    elif is_file:
        file = Path(str(given))
        recipe, said = every[_recipe_of(name, file, every)], f"file {file.name}"
    else:
        entry = find_published(name, given)
        recipe, said = every[entry.weights], entry.weights
        file = fetch_weights(entry.url, backbone=name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(name, recipe)
    head = layers.last_classifying_layer(network)
    sha256 = "random"
    if file is not None:
        state = load_state_dict(file, sha256_prefix=None if is_file else hash_prefix(file.name))
        sha256 = file_sha256(file)
        put_weights(network, state, head, name, file)
    network = layers.without_head(network) if layer is None else layers.tapped_at(network, layer, name)

    def read(found: Any) -> Any:
        """The network's answer as a row for each photo; Swin keeps its channels last."""
        maps = found if layer is None else found["features"]
        return layers.pooled(maps, pool, channels_last=layer is not None and name.startswith("swin"))

    transforms: Callable[[Image.Image], Any] = recipe.transforms()
    with torch.inference_mode():
        probe: Any = transforms(Image.new("RGB", (256, 256)))[None]
        width = int(read(network.eval()(probe)).shape[1])
    return FrozenNetwork(
        network,
        transforms,
        Fingerprint(
            backbone=name,
            weights=said,
            weights_sha256=sha256,
            layer=layer or "penultimate",
            pool=pool,
            preprocessing=" ".join(str(transforms).split()),
            precision="fp32" if precision == "auto" else precision,
            width=width,
        ),
        read=read,
        device=place,
        device_reason=reason,
        weights_file=str(file.resolve()) if file is not None and is_file else "",
    )


def _recipe_of(name: str, file: Path, every: Mapping[str, Any]) -> str:
    """Whose preprocessing a file of one's own gets: that of the published file it is, else the usual one's."""
    for recipe, entry in every.items():
        if entry.url.rpartition("/")[2] == file.name:
            return recipe
    return find_published(name).weights


def put_weights(network: Any, state: Mapping[str, Any], head: str, name: str, file: Path) -> None:
    """Load tensors into a network; anything that does not fit is named. The head is not used and may be another's."""
    # Files of early DenseNets write norm.1 where torchvision now says norm1.
    old = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..+)$")
    tensors = {old.sub(r"\1\2", key): value for key, value in state.items()}
    unused = (f"{head}.", "aux1.", "aux2.", "AuxLogits.")
    own = {key: value for key, value in network.state_dict().items() if not key.startswith(f"{head}.")}
    theirs = {key: value for key, value in tensors.items() if not key.startswith(unused)}
    # Counters of batches seen are absent from old files and play no part in eval mode.
    missing = [key for key in own if key not in theirs and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in theirs if key not in own]
    wrong = [
        f"{key} is {tuple(theirs[key].shape)} instead of {tuple(own[key].shape)}"
        for key in own
        if key in theirs and theirs[key].shape != own[key].shape
    ]
    if missing or unexpected or wrong:
        lines = [
            f"{len(found):,} {what}: {', '.join(found[:3])}{', …' if len(found) > 3 else ''}"
            for what, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
            if found
        ]
        raise FeatxError(
            "weights-misfit",
            f"{file} does not hold weights of {name}\n" + "\n".join(lines),
            "name the network the file was made for: `--backbone NAME`; `featx backbones` lists them",
            {"missing": missing, "unexpected": unexpected, "of_another_shape": wrong},
        )
    network.load_state_dict({**network.state_dict(), **{key: theirs[key] for key in own if key in theirs}})


def describe(name: str) -> dict[str, Any]:
    """What torchvision publishes of a network: sizes, accuracy, every weights name."""
    _, torchvision = import_torch()
    entry = find_published(name)
    every = torchvision.models.get_model_weights(name)
    meta = every[entry.weights].meta
    transforms = every[entry.weights].transforms()
    license_ = "CC-BY-NC-4.0" if "SWAG" in entry.weights else "BSD-3-Clause"
    return {
        "name": name,
        "parameters": meta["num_params"],
        "gflops": meta["_ops"],
        "top1": entry.top1,
        "input": transforms.crop_size[0],
        "weights": [one.name for one in every],
        "default": entry.weights,
        "licence": license_,
        "url": entry.url,
    }


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """Every node of a network with the shape of its output for one photo."""
    from featx.backbones import layers

    _known(name)
    return layers.node_shapes(build(name), describe(name)["input"])
