"""torchvision's networks, frozen: the weights' own preprocessing, features before the last classifying layer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from featx.backbones.architectures import AUXILIARY, OLD_DENSENET, networks_with
from featx.backbones.base import BackboneFamily, BackboneRequest
from featx.backbones.devices import choose_device, import_torch, import_torch_alone, raises_out_of_memory
from featx.backbones.fingerprint import Fingerprint, join
from featx.backbones.network_encoder import NetworkEncoder
from featx.backbones.nodes import MAPS, PENULTIMATE, Node, nodes_of
from featx.backbones.preprocessing import PhotoForm, Preset, as_worded, preset_of
from featx.backbones.weights import (
    fetch_weights,
    file_sha256,
    find_published,
    hash_prefix,
    load_state_dict,
    unchecked_weights,
    weights_file,
)
from featx.errors import FeatxError, did_you_mean

# Sides of squares that networks may take: what halving five times leaves something of, and what fits memory.
SMALLEST, LARGEST = 28, 1024


class FrozenNetwork(NetworkEncoder):
    """A network of torchvision or timm: photos prepared as its weights want them, features out."""

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
        split: Callable[[Any], tuple[Any, Any] | None] = lambda network: None,
        reopen: Callable[[], NetworkEncoder] | None = None,
    ) -> None:
        """Freeze a network; `split` parts it at its last feature maps, `reopen` opens it once more."""
        preset = preset_of(transforms)
        self._split_at_maps = split
        self._preset = preset
        self._prepare: Callable[[Image.Image], Any] = preset or transforms
        super().__init__(
            network,
            read,
            None if preset is None else (preset.mean, preset.std),
            fingerprint,
            device=device,
            device_reason=device_reason,
            decode_size=None if preset is None else preset.decode_size,
            weights_file=weights_file,
            reopen=reopen,
        )

    def _split_network(self) -> tuple[Any, Any]:
        parts = self._split_at_maps(self.network)
        return super()._split_network() if parts is None else parts

    def prepare(self, source: Image.Image) -> Any:
        """The photo as the weights were trained to see it."""
        return self._prepare(source)

    def photo_form(self) -> PhotoForm:
        """How `prepare` makes bytes of a photo, for programs without featx."""
        return super().photo_form() if self._preset is None else self._preset.form

    @raises_out_of_memory
    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """Features of prepared photos: (n, width), float32."""
        if not batch:
            return np.zeros((0, self.fingerprint.width), dtype=np.float32)
        return self._compute(np.stack([np.asarray(photo) for photo in batch]))


def network_names() -> list[str]:
    """Every torchvision classification network."""
    _, torchvision = import_torch()
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def require_known(name: str, others: Sequence[str] = ()) -> None:
    """Refuse a name that torchvision does not know; `others` are names that may have been meant."""
    names = network_names()
    if name not in names:
        raise FeatxError(
            "unknown-backbone",
            f"no backbone called `{name}`",
            did_you_mean(name, [*names, *others], "`featx backbones` lists them"),
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


def open_torchvision(request: BackboneRequest) -> FrozenNetwork:
    """Load one of torchvision's networks with published weights, a file, or random numbers."""
    torch, torchvision = import_torch()
    from featx.backbones import layers

    name, given = request.name, request.weights
    own = weights_file(given)
    recipes = {entry.name: entry for entry in torchvision.models.get_model_weights(name)}
    file = own
    if given == "random":
        recipe, weights = recipes[find_published(name).weights], "random"
    elif own is not None:
        recipe, weights = recipes[_recipe_of(name, own, recipes, request.preprocessing)], f"file {own.name}"
    else:
        entry = find_published(name, given)
        recipe, weights = recipes[entry.weights], entry.weights
        file = fetch_weights(entry.url, backbone=name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(name, recipe)
    sha256 = "random"
    if file is not None:
        state = load_state_dict(file, sha256_prefix=hash_prefix(file.name) if own is None else None)
        sha256 = file_sha256(file)
        put_weights(network, state, layers.last_classifying_layer(network), name, file)
    return frozen(
        network,
        recipe.transforms(),
        request,
        weights=weights,
        sha256=sha256,
        reopen=partial(open_torchvision, request),
        weights_file="" if own is None else str(own.resolve()),
    )


def frozen(
    network: Any,
    transforms: Callable[[Image.Image], Any],
    request: BackboneRequest,
    *,
    weights: str,
    sha256: str,
    reopen: Callable[[], FrozenNetwork],
    weights_file: str = "",
) -> FrozenNetwork:
    """A network with its weights, read at the layer and pooled as requested."""
    transforms = _sized(transforms, request)
    probe = _example(transforms)
    device, device_reason = choose_device(request.device)
    nodes = nodes_of(request.layer, request.pool)
    reader = _reader(network.eval(), request, probe)
    widths = _widths(reader, probe, request)
    made = [
        Fingerprint(
            backbone=request.name,
            weights=weights,
            weights_sha256=sha256,
            layer=node.layer,
            pool=node.pool,
            preprocessing=_in_words(transforms),
            precision=request.exact_precision,
            width=width,
            # Each of several rows is scaled to length 1.
            length="unit" if len(nodes) > 1 else "",
        )
        for node, width in zip(nodes, widths, strict=True)
    ]
    return FrozenNetwork(
        reader.network,
        transforms,
        join(made),
        read=reader.read,
        device=device,
        device_reason=device_reason,
        weights_file=weights_file,
        split=lambda network: reader.split(network, probe.to(device)),
        reopen=reopen,
    )


def _sized(transforms: Callable[[Image.Image], Any], request: BackboneRequest) -> Callable[[Image.Image], Any]:
    """The preprocessing for the size that was requested, or that features which exist were made with."""
    preset = preset_of(transforms)
    if not isinstance(preset, Preset):
        return transforms
    if request.size is None:
        other = as_worded(preset, request.preprocessing)
        return transforms if other == preset else other
    if not SMALLEST <= request.size <= LARGEST:
        raise FeatxError(
            "bad-flag", f"`--size {request.size}` is not from {SMALLEST} to {LARGEST}", "such as `--size 96`"
        )
    return preset.sized(request.size)


def _widths(reader: _Reader, probe: Any, request: BackboneRequest) -> list[int]:
    """How many features each node has."""
    try:
        with import_torch_alone().inference_mode():
            return [int(row.shape[1]) for row in reader.rows(reader.network(probe))]
    except (RuntimeError, AssertionError) as error:
        if request.size is None:
            raise
        raise FeatxError(
            "bad-flag",
            f"`{request.name}` cannot take photos of {request.size} pixels: {error}",
            "try a larger size, or a network without attention",
        ) from error


@dataclass(frozen=True)
class _Reader:
    """A network cut where it is read, how each output becomes a row, and its halves before and after its last maps."""

    network: Any
    rows: Callable[[Any], list[Any]]
    split: Callable[[Any, Any], tuple[Any, Any] | None]

    def read(self, output: Any) -> Any:
        """The network's output as a row for each photo, with a block of length 1 for each of several nodes."""
        from featx.backbones.layers import joined_rows

        return joined_rows(self.rows(output))


def _reader(network: Any, request: BackboneRequest, probe: Any) -> _Reader:
    from featx.backbones import layers

    nodes = nodes_of(request.layer, request.pool)
    if len(nodes) > 1:
        return _reader_of_nodes(network, request.name, nodes, probe)
    (node,) = nodes
    if node.layer == PENULTIMATE:
        return _Reader(
            layers.without_head(network), lambda maps: [layers.pooled(maps, node.pool)], layers.split_at_maps
        )
    layer = layers.last_maps(layers.without_head(network), probe, request.name) if node.layer == MAPS else node.layer
    channels_last = _is_channels_last(request.name, node)
    return _Reader(
        layers.tapped_at(network, layer, request.name),
        lambda output: [layers.pooled(output["features"], node.pool, channels_last=channels_last)],
        lambda cut, example: layers.split_at_layer(cut, node.pool, example, channels_last=channels_last),
    )


def _reader_of_nodes(network: Any, name: str, nodes: Sequence[Node], probe: Any) -> _Reader:
    from featx.backbones import layers

    tapped, taps = layers.tapped_at_all(network, [node.layer for node in nodes], name, probe)

    def rows(output: Any) -> list[Any]:
        return [
            layers.pooled(output[tap], node.pool, channels_last=_is_channels_last(name, node))
            for node, tap in zip(nodes, taps, strict=True)
        ]

    # There is no single map from which all rows come.
    return _Reader(tapped, rows, lambda cut, example: None)


def _is_channels_last(name: str, node: Node) -> bool:
    """Swin keeps its channels last until its end."""
    return name.startswith("swin") and node.layer not in (PENULTIMATE, MAPS)


def _example(transforms: Callable[[Image.Image], Any]) -> Any:
    """A photo as the network takes it; of a preset only the shape counts."""
    torch = import_torch_alone()
    if isinstance(transforms, Preset):
        return torch.zeros(1, 3, transforms.crop, transforms.crop)
    return transforms(Image.new("RGB", (256, 256)))[None]


def _in_words(transforms: Any) -> str:
    """A preprocessing as fingerprints know it."""
    return " ".join(str(transforms).split())


def _recipe_of(name: str, file: Path, recipes: Mapping[str, Any], preprocessing: str | None) -> str:
    """The recipe whose preprocessing a weights file gets: as requested or published, else the default."""
    wanted = (recipe for recipe, entry in recipes.items() if _is_worded(entry.transforms(), preprocessing))
    if preprocessing is not None and (named := next(wanted, None)) is not None:
        return named
    digest = file_sha256(file) if file.is_file() else ""
    for recipe, entry in recipes.items():
        published = entry.url.rpartition("/")[2]
        if published == file.name or digest.startswith(hash_prefix(published) or "-"):
            return recipe
    return find_published(name).weights


def _is_worded(transforms: Any, words: str | None) -> bool:
    """Whether words describe a preprocessing, perhaps for photos of another size."""
    preset = preset_of(transforms)
    return words in (_in_words(transforms), str(as_worded(preset, words)) if isinstance(preset, Preset) else "")


def put_weights(network: Any, state: Mapping[str, Any], head: str, name: str, file: Path) -> None:
    """Load tensors into a network; anything that does not fit is named. The head is not used and may be another's."""
    tensors = {OLD_DENSENET.sub(r"\1\2", key): value for key, value in state.items()}
    unused = (f"{head}.", *AUXILIARY)
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
            f"{len(names):,} {what}: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"
            for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
            if names
        ]
        fitting = networks_with({key: tuple(value.shape) for key, value in state.items()})
        raise FeatxError(
            "weights-misfit",
            f"{file} does not hold weights of {name}\n" + "\n".join(lines),
            f"its tensors fit `--backbone {fitting[0]}`"
            if fitting
            else "name the network the file was made for: `--backbone NAME`; `featx backbones` lists them",
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
        "weights": [entry.name for entry in every],
        "default": entry.weights,
        "licence": license_,
        "url": entry.url,
    }


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """Every node of a network with the shape of its output for one photo."""
    from featx.backbones import layers

    require_known(name)
    return layers.node_shapes(build(name), describe(name)["input"])


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(Path(__file__).with_name("table.json").read_text(encoding="utf-8"))
    return rows


def _has_weights(name: str) -> bool:
    return any(row["name"] == name and unchecked_weights(row["url"]) is not None for row in _rows())


# The last family: a name that no other owns is one of torchvision's, or a mistake.
FAMILY = BackboneFamily(
    "torchvision",
    owns=lambda name: True,
    open=open_torchvision,
    rows=_rows,
    layer_shapes=shapes_of,
    has_weights=_has_weights,
    takes_size=True,
)
