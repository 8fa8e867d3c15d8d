"""torchvision's networks, frozen: the weights' own preprocessing, features before the last classifying layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from featx.backbones.architectures import AUXILIARY, OLD_DENSENET, networks_with
from featx.backbones.base import BackboneFamily, BackboneRequest
from featx.backbones.devices import import_torch
from featx.backbones.freezing import frozen, in_words
from featx.backbones.frozen_network import FrozenNetwork
from featx.backbones.preprocessing import Preset, as_worded, preset_of
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
    return words in (in_words(transforms), str(as_worded(preset, words)) if isinstance(preset, Preset) else "")


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
