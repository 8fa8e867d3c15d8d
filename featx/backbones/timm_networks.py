"""`timm:NAME`: timm's networks with timm's own preprocessing, features before the classifier."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from featx.backbones.base import BackboneFamily, BackboneRequest
from featx.backbones.devices import choose_device, import_torch
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.freezing import require_size, too_small
from featx.backbones.frozen_network import FrozenNetwork
from featx.backbones.weights import (
    fallback_backbone,
    file_name,
    file_sha256,
    load_state_dict,
    offline,
    probe_url,
    put_tensors,
    weights_file,
    weights_folder,
)
from featx.errors import FeatxError, did_you_mean

PREFIX = "timm:"
# What timm calls weights on the hub unless a network says otherwise.
HUB_FILE = "model.safetensors"
# How the hub's cache calls the folder of one of timm's networks.
_CACHED = "models--timm--"
# Seconds in which the hub must begin to answer; it is asked once.
PATIENCE = 3.0


def open_timm(request: BackboneRequest) -> FrozenNetwork:
    """Load one of timm's networks."""
    short = request.name.removeprefix(PREFIX)
    # Importing torch and timm takes seconds, which nobody waits for where no weights can be had.
    listed = HubWeights.listed(short) if request.weights is None and find_spec("timm") is not None else None
    if listed is not None:
        listed.require()
    torch, _ = import_torch()
    timm = import_timm()
    known = timm.list_models() + timm.list_pretrained()
    if short not in known:
        raise FeatxError(
            "unknown-backbone",
            f"timm has no network called `{short}`",
            did_you_mean(short, known, "`featx backbones timm` lists them"),
        )
    if request.pool != "avg":
        raise FeatxError(
            "bad-flag", "timm networks take no `--pool`: they give their pre-logits features", "leave `--pool` out"
        )
    device, device_reason = choose_device(request.device)
    given = request.weights
    file = weights_file(given)
    published = None if given is not None else HubWeights.of(short)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(short, num_classes=0) if published is None else published.load(listed)
    config = timm.data.resolve_model_data_config(network)
    # Weights that were tuned at another size fit the network of that size alone.
    tuned_at = _side_in(request.preprocessing, config) if request.size is None else None
    if tuned_at is not None:
        config = _resized(network, config, tuned_at)
    sha256 = "random"
    if file is not None:
        put_tensors(network, load_state_dict(file), file, request.name)
        sha256 = file_sha256(file)
    elif given not in (None, "random"):
        raise FeatxError(
            "bad-flag", f"`{request.name}` has no weights `{given}`", "give a file, or a timm name with its tag"
        )
    elif given is None:
        origin = network.pretrained_cfg.get("hf_hub_id") or network.pretrained_cfg.get("url")
        sha256 = f"timm {timm.__version__} {origin}"
    if request.size is not None:
        config = _resized(network, config, require_size(request.size))
        _require_fit(network, config, request)
    transforms = timm.data.create_transform(**config, is_training=False)
    return FrozenNetwork(
        network,
        transforms,
        Fingerprint(
            backbone=request.name,
            weights=f"file {file.name}" if file is not None else given or "pretrained",
            weights_sha256=sha256,
            layer="penultimate",
            pool=request.pool,
            preprocessing=" ".join(str(transforms).split()),
            precision=request.exact_precision,
            width=int(getattr(network, "head_hidden_size", network.num_features)),
        ),
        read=lambda rows: rows,
        device=device,
        device_reason=device_reason,
        weights_file="" if file is None else str(file.resolve()),
        split=partial(_split_at_maps, size=config["input_size"]),
        reopen=partial(open_timm, request),
    )


def import_timm() -> Any:
    """The library, or the command that installs it."""
    try:
        import timm
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "timm's networks need one more package", 'pip install "featx[timm]"'
        ) from error
    return timm


@dataclass(frozen=True)
class HubWeights:
    """The weights that timm publishes for a network: on a hub, or at an address of their own."""

    name: str
    repository: str
    url: str

    @classmethod
    def of(cls, name: str) -> HubWeights:
        """Where the weights of a network are published."""
        config = import_timm().get_pretrained_cfg(name, allow_unregistered=True)
        repository, own_url = config and config.hf_hub_id, config and config.url
        if not repository:
            return cls(name, "", own_url or "")
        return cls(name, repository, f"{_hub()}/{repository}/resolve/main/{config.hf_hub_filename or HUB_FILE}")

    @classmethod
    def listed(cls, name: str) -> HubWeights | None:
        """The same from the list beside this module, which needs no timm; None for a network that is not on it."""
        record = json.loads(Path(__file__).with_name("timm_tags.json").read_text(encoding="utf-8"))
        short, _, wanted = name.partition(".")
        tag = next((tag for tag, names in record["tags"].items() if short in names.split()), None)
        if tag is None or wanted not in ("", tag):
            return None
        repository = f"timm/{short}.{tag}"
        return cls(name, repository, f"{_hub()}/{repository}/resolve/main/{HUB_FILE}")

    @property
    def file(self) -> Path | None:
        """The file where an earlier download left it."""
        if not self.repository:
            kept = weights_folder() / file_name(self.url) if self.url else None
            return kept if kept is not None and kept.is_file() else None
        from huggingface_hub import constants, try_to_load_from_cache

        names = [self.url.rpartition("/")[2], "pytorch_model.bin"]
        kept_names = (try_to_load_from_cache(self.repository, name, cache_dir=constants.HF_HUB_CACHE) for name in names)
        return next((Path(kept) for kept in kept_names if isinstance(kept, str)), None)

    def require(self) -> None:
        """Refuse weights that are neither on this machine nor to be had; the hub is asked once."""
        if self.file is None and (why := self._why_not()):
            raise self._missing(why)

    def load(self, required: HubWeights | None = None) -> Any:
        """The network with these weights; the hub is asked once, and only where no earlier download is at hand."""
        timm, file = import_timm(), self.file
        if file is not None:
            # Named as a file, nobody asks the hub whether there is a newer one.
            overlay = {"file": str(file)}
            return timm.create_model(self.name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
        if required != self:
            self.require()
        try:
            return timm.create_model(self.name, pretrained=True, num_classes=0)
        except Exception as error:
            raise self._missing(f"the download failed: {str(error).splitlines()[0][:200]}") from error

    def _why_not(self) -> str:
        if not self.url:
            return "timm publishes none"
        return "`FEATX_OFFLINE` forbids downloads" if offline() else probe_url(self.url, timeout=PATIENCE)

    def _missing(self, why: str) -> FeatxError:
        where = f"on a machine with internet download {self.url}, copy that file here" if self.url else "bring a file"
        instead = fallback_backbone()
        return FeatxError(
            "weights-missing",
            f"the weights of `{PREFIX}{self.name}` are not on this machine, and {why}",
            f"{where}, then add `--weights FILE`\nor try without a download now: `--backbone {instead}`",
            {"backbone": f"{PREFIX}{self.name}", "url": self.url, "instead": instead},
        )


def _hub() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def list_timm(pattern: str = "") -> list[dict[str, Any]]:
    """The networks for which timm publishes weights, as rows of `featx backbones`, by text or pattern."""
    timm = import_timm()
    names = timm.list_pretrained(pattern if "*" in pattern else f"*{pattern}*")
    return [_row(name, timm.get_pretrained_cfg(name)) for name in names]


def _row(name: str, config: Any) -> dict[str, Any]:
    weights = HubWeights.of(name)
    facts = {"input": config.input_size[-1], "licence": config.license or "–", "url": weights.url}
    return {**_plain_row(name, config.tag), **facts, "here": weights.file is not None}


def _plain_row(name: str, tag: str | None) -> dict[str, Any]:
    # Only the network itself knows its size, and building a thousand of them takes minutes.
    unknown = dict.fromkeys(("width", "parameters", "gflops", "top1", "input", "url"))
    weights = tag or "pretrained"
    return {"name": f"{PREFIX}{name}", **unknown, "weights": [weights], "default": weights, "licence": "–"}


def cached_rows() -> list[dict[str, Any]]:
    """The networks that earlier downloads left in the cache of timm's hub, as rows; timm itself is not imported."""
    if find_spec("timm") is None or find_spec("huggingface_hub") is None:
        return []
    from huggingface_hub import constants

    folders = sorted(Path(constants.HF_HUB_CACHE).glob(f"{_CACHED}*/snapshots/*/{HUB_FILE}"))
    names = dict.fromkeys(folder.parents[2].name.removeprefix(_CACHED) for folder in folders)
    return [_plain_row(name, name.partition(".")[2]) for name in names]


def _side_in(words: str | None, config: dict[str, Any]) -> int | None:
    """The size in the words of a preprocessing, where it is not the network's own."""
    sides = re.search(r"CenterCrop\(size=\((\d+), (\d+)\)\)", words or "")
    return int(sides[1]) if sides is not None and int(sides[1]) != config["input_size"][-1] else None


def _resized(network: Any, config: dict[str, Any], side: int) -> dict[str, Any]:
    """What photos of another size want; a network with positions for each patch gets them anew from its own."""
    if hasattr(network, "set_input_size"):
        network.set_input_size(img_size=(side, side))
    # Nothing of a square picture is cut off.
    return {**config, "input_size": (3, side, side), "crop_pct": 1.0}


def _require_fit(network: Any, config: dict[str, Any], request: BackboneRequest) -> None:
    """Refuse a size that the network cannot take."""
    torch, _ = import_torch()
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, *config["input_size"]))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise too_small(request, error) from error


def _split_at_maps(network: Any, size: tuple[int, int, int]) -> tuple[Any, Any] | None:
    """timm's own halves of a network; None where the first one gives tokens, or maps with their channels last."""
    torch, _ = import_torch()
    from featx.backbones.layers import Calling

    example = torch.zeros(1, *size, device=next(network.parameters()).device)
    with torch.inference_mode():
        maps = network.forward_features(example)
    if maps.ndim != 4 or maps.shape[1] != network.num_features:
        return None
    return Calling(network, "forward_features"), Calling(network, "forward_head", pre_logits=True)


def _has_weights(name: str) -> bool:
    short = name.removeprefix(PREFIX)
    try:
        return (HubWeights.listed(short) or HubWeights.of(short)).file is not None
    except FeatxError:  # timm is not installed
        return False


FAMILY = BackboneFamily(
    "timm",
    owns=lambda name: name.startswith(PREFIX),
    open=open_timm,
    rows=cached_rows,
    catalogue=list_timm,
    has_weights=_has_weights,
    takes_size=True,
)
