"""`open_clip:NAME`: the networks of CLIP and SigLIP, which put photos and texts into one space.

open_clip builds them and knows how their weights want a photo; featx reads the weights file, as plain numbers.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.backbones.base import BackboneFamily, BackboneRequest
from featx.backbones.devices import choose_device, import_torch, import_torch_alone
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.frozen_network import FrozenNetwork
from featx.backbones.names import OPEN_CLIP
from featx.backbones.preprocessing import Preset, Squeezed
from featx.backbones.text_tokenizers import ITS_CONFIG, TOKENIZER, FileTokenizer, TextForm
from featx.backbones.weights import (
    SUFFIXES,
    file_sha256,
    load_state_dict,
    put_tensors,
    require_tensors,
    search_places,
    weights_file,
)
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError, did_you_mean

EXTRA = 'pip install "featx[clip]"'
# What its hub calls the weights of a network.
HUB_FILES = ("open_clip_model.safetensors", "model.safetensors")
# Published beside such a file: how its weights want a photo.
CONFIG = "open_clip_config.json"
# Tensors for training alone, which neither photos nor texts meet.
LOSS = ("logit_scale", "logit_bias")
RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


class ClipNetwork(FrozenNetwork):
    """The image network as every other backbone, and the text network beside it."""

    whole: Any
    known: KnownNetwork

    def text_features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A unit row for each text, in the space of the photos."""
        torch = import_torch_alone()
        tokens = self._tokens(list(texts)).to(self._device)
        with torch.inference_mode():
            rows: NDArray[np.float32] = self.whole.encode_text(tokens).float().cpu().numpy()
        return unit_rows(rows)

    @cached_property
    def _tokens(self) -> Callable[[Sequence[str]], Any]:
        file = self.spec.weights_file
        return self.known.tokenizer(Path(file) if file else None)


def open_open_clip(request: BackboneRequest) -> ClipNetwork:
    """Load one of open_clip's networks with a weights file, or random numbers."""
    if request.pool != "avg":
        raise FeatxError(
            "bad-flag", "open_clip networks take no `--pool`: they give what photos and texts share", "leave it out"
        )
    torch, _ = import_torch()
    known = KnownNetwork.of(request.name)
    device, device_reason = choose_device(request.device)
    file = None if request.weights == "random" else known.weights_file(request.weights)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        whole = known.build().eval().requires_grad_(False).to(device)
    if file is not None:
        _put_weights(whole, file, request.name)
    form = known.photo_form(file)
    network = ClipNetwork(
        whole.visual,
        form,
        Fingerprint(
            backbone=request.name,
            weights="random" if file is None else f"file {file.name}",
            weights_sha256="random" if file is None else file_sha256(file),
            layer="penultimate",
            pool=request.pool,
            preprocessing=str(form),
            precision=request.exact_precision,
            width=known.config["embed_dim"],
        ),
        read=_shared_row,
        device=device,
        device_reason=device_reason,
        # Not resolved: the cache of the hub keeps files under names without a suffix.
        weights_file="" if file is None else str(file.absolute()),
        reopen=partial(open_open_clip, request),
    )
    network.whole, network.known = whole, known
    return network


def _shared_row(output: Any) -> Any:
    """What photos share with texts; networks that write captions give the tokens of the photo too."""
    return output[0] if isinstance(output, tuple) else output


def import_open_clip() -> Any:
    """The library, or the command that installs it."""
    try:
        import open_clip
    except ImportError as error:
        raise FeatxError("extra-missing", "open_clip's networks need one more package", EXTRA) from error
    return open_clip


@dataclass(frozen=True)
class KnownNetwork:
    """A network by its name in open_clip, with open_clip's description of it."""

    short: str
    config: Mapping[str, Any]

    @classmethod
    def of(cls, name: str) -> KnownNetwork:
        """The network of a backbone's name; one that open_clip cannot build by itself is refused."""
        short, library = name.removeprefix(OPEN_CLIP), import_open_clip()
        config = library.get_model_config(short) if short in library.list_models() else None
        if config is None:
            names = [known.short for known in known_networks()]
            raise FeatxError(
                "unknown-backbone",
                f"open_clip has no network called `{short}`",
                did_you_mean(short, names, "`featx backbones open_clip` lists them"),
            )
        if (other := config["text_cfg"].get("hf_model_name")) is not None:
            raise FeatxError(
                "unknown-backbone",
                f"the text network of `{short}` is `{other}` of the library transformers, which would have to fetch it",
                "choose one that open_clip builds itself: `featx backbones open_clip` lists them",
            )
        return cls(short, config)

    def build(self) -> Any:
        """Both networks, with random numbers; nothing is fetched.

        open_clip's own function warns of random numbers although a file comes next, and sets up the program's logging.
        """
        library, config = import_open_clip(), copy.deepcopy(dict(self.config))
        config["vision_cfg"]["timm_model_pretrained"] = False
        if not config.pop("custom_text", False):
            return library.CLIP(**config)
        return (library.CoCa if "multimodal_cfg" in config else library.CustomTextCLIP)(**config)

    def tokenizer(self, weights: Path | None = None) -> Callable[[Sequence[str]], Any]:
        """What splits texts into the numbers of the text network: open_clip's own, or a file beside the weights."""
        texts = self.config["text_cfg"]
        settings = {"context_length": texts.get("context_length", 77), **texts.get("tokenizer_kwargs", {})}
        if "hf_tokenizer_name" not in texts:
            splits: Callable[[Sequence[str]], Any] = import_open_clip().SimpleTokenizer(**settings)
            return splits
        from open_clip.tokenizer import get_clean_fn

        form = TextForm(
            settings["context_length"],
            texts["vocab_size"],
            get_clean_fn(settings.get("clean", "whitespace")),
            settings.get("strip_sep_token", False),
        )
        tokenizer = FileTokenizer(self._tokenizer_file(weights), form)
        return lambda given: import_torch_alone().from_numpy(tokenizer.numbers(given))

    def _tokenizer_file(self, weights: Path | None) -> Path:
        """The tokenizer of this network: beside its weights, in a folder of its name, or in the cache of the hub."""
        from huggingface_hub import constants, try_to_load_from_cache

        published = self.config["text_cfg"]["hf_tokenizer_name"]
        beside = [] if weights is None else [weights.parent, weights.with_suffix("")]
        folders = [*beside, *(place / self.short for place in search_places())]
        cached = try_to_load_from_cache(published, TOKENIZER, cache_dir=constants.HF_HUB_CACHE)
        files = [*(folder / TOKENIZER for folder in folders), *([Path(cached)] if isinstance(cached, str) else [])]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            raise FeatxError(
                "weights-missing",
                f"`{OPEN_CLIP}{self.short}` splits texts with a tokenizer that is not on this machine, and featx does "
                f"not fetch it\nlooked for {TOKENIZER} in {', '.join(map(str, folders))}",
                f"download {TOKENIZER} and {ITS_CONFIG} of {published} from its hub into {folders[0]}",
                {"backbone": f"{OPEN_CLIP}{self.short}", "looked_in": [str(folder) for folder in folders]},
            )
        return found

    @property
    def tags(self) -> dict[str, Mapping[str, Any]]:
        """The published weights, by their names in open_clip: where they are, and how they want a photo.

        Some are on the list that were trained with the other activation, whose answers would be silently wrong.
        """
        pretrained = import_open_clip().pretrained
        names = pretrained.list_pretrained_tags_by_model(self.short)
        configs = ((tag, pretrained.get_pretrained_cfg(self.short, tag)) for tag in names)
        quick = bool(self.config.get("quick_gelu"))
        return {tag: config for tag, config in configs if bool(config.get("quick_gelu")) == quick}

    def weights_file(self, given: str | None) -> Path:
        """The file that is given, else the one that is here."""
        file = self.file_here if given is None else weights_file(given)
        if file is not None:
            return file
        if given is None:
            raise self._missing()
        raise FeatxError(
            "bad-flag",
            f"`{given}` is no weights file for `{OPEN_CLIP}{self.short}`",
            f"give a file that ends in {', '.join(SUFFIXES)}",
        )

    @property
    def file_here(self) -> Path | None:
        """A weights file named as the network, or as an earlier download left it in the cache of the hub."""
        named = (place / f"{self.short}{suffix}" for place in search_places() for suffix in SUFFIXES)
        found = next((file for file in named if file.is_file()), None)
        return found or next((Path(file) for file in self._cached()), None)

    def _cached(self) -> list[str]:
        from huggingface_hub import constants, try_to_load_from_cache

        files = [
            try_to_load_from_cache(repository, name, cache_dir=constants.HF_HUB_CACHE)
            for repository in self._repositories()
            for name in HUB_FILES
        ]
        return [file for file in files if isinstance(file, str)]

    def _repositories(self) -> list[str]:
        hubs = (str(config.get("hf_hub") or "").strip("/") for config in self.tags.values())
        # Two slashes: the file has a name of its own, mostly in a form that is no state dict.
        return list(dict.fromkeys(hub for hub in hubs if hub.count("/") == 1))

    def _missing(self) -> FeatxError:
        from huggingface_hub import constants

        folders = ", ".join(map(str, search_places()))
        published = next(iter(self._repositories()), "")
        source = f"download {HUB_FILES[0]} of {published} from its hub" if published else "bring a file"
        return FeatxError(
            "weights-missing",
            f"the weights of `{OPEN_CLIP}{self.short}` are not on this machine, and featx does not fetch them\n"
            f"looked for {self.short}{SUFFIXES[-1]} in {folders}; for {' and '.join(HUB_FILES)} in "
            f"{constants.HF_HUB_CACHE}",
            f"{source}, then add `--weights FILE`",
            {"backbone": f"{OPEN_CLIP}{self.short}", "looked_in": [*map(str, search_places()), constants.HF_HUB_CACHE]},
        )

    def photo_form(self, file: Path | None) -> Preset | Squeezed:
        """How the weights want a photo: as the file beside them says, else as open_clip says of this network."""
        wanted = _config_beside(file) or self._published_form(file)
        size = wanted.get("size") or self.config["vision_cfg"].get("image_size", 224)
        side = size if isinstance(size, int) else size[0]
        way = RESAMPLING.get(wanted["interpolation"])
        if way is None or wanted["resize_mode"] not in ("shortest", "squash") or size not in (side, [side] * 2):
            raise FeatxError(
                "weights-misfit",
                f"`{OPEN_CLIP}{self.short}` wants photos in a form that featx does not make: {wanted}",
                "choose another network: `featx backbones open_clip` lists them",
            )
        scales = tuple(wanted["mean"]), tuple(wanted["std"])
        return Squeezed(side, way, *scales) if wanted["resize_mode"] == "squash" else Preset(side, side, way, *scales)

    def _published_form(self, file: Path | None) -> Mapping[str, Any]:
        """Nearly always all published weights of a network want the same; else those that the file's path names."""
        tags, path = self.tags, _plain(str(file or ""))
        named = (config for tag, config in tags.items() if _plain(tag) in path or _in_hub(config, path))
        usual = Counter(json.dumps(_form(config)) for config in tags.values()).most_common(1)
        own = next(named, None)
        return _form(own) if own is not None else json.loads(usual[0][0]) if usual else _form({})


def _form(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a description that is about photos; CLIP's own where it says nothing."""
    constants = import_open_clip().constants
    return {
        "mean": list(config.get("mean") or constants.OPENAI_DATASET_MEAN),
        "std": list(config.get("std") or constants.OPENAI_DATASET_STD),
        "interpolation": config.get("interpolation") or "bicubic",
        "resize_mode": config.get("resize_mode") or "shortest",
    }


def _config_beside(file: Path | None) -> dict[str, Any] | None:
    folders = [] if file is None else [file.parent, file.with_suffix("")]
    beside = next((folder / CONFIG for folder in folders if (folder / CONFIG).is_file()), None)
    if beside is None:
        return None
    try:
        wanted = json.loads(beside.read_text(encoding="utf-8"))["preprocess_cfg"]
        return {**_form(wanted), "size": wanted.get("size")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FeatxError(
            "weights-broken",
            f"`{beside}` does not say how its weights want a photo",
            "bring it again from where the weights are from, or remove it",
        ) from error


def require_fit(file: Path, name: str) -> None:
    """Refuse a weights file whose tensors are not those of a network, which is built without numbers for that."""
    torch = import_torch_alone()
    with torch.device("meta"):
        whole = KnownNetwork.of(name).build()
    tensors = _renamed(whole, load_state_dict(file))
    require_tensors(whole, tensors, file, name, unused=LOSS)


def files_beside(file: Path) -> list[Path]:
    """What its publisher put beside a weights file: how it wants a photo, and what splits texts."""
    return [beside for name in (CONFIG, TOKENIZER, ITS_CONFIG) if (beside := file.with_name(name)).is_file()]


def _plain(text: str) -> str:
    return text.lower().replace("_", "-")


def _in_hub(config: Mapping[str, Any], path: str) -> bool:
    hub = str(config.get("hf_hub") or "").strip("/")
    return bool(hub) and _plain(hub.replace("/", "--")) in path


def _put_weights(whole: Any, file: Path, name: str) -> None:
    """Load tensors into both networks."""
    put_tensors(whole, _renamed(whole, load_state_dict(file)), file, name, unused=LOSS)


def _renamed(whole: Any, tensors: dict[str, Any]) -> dict[str, Any]:
    """Tensors under the names of the network: open_clip's own renaming of what others publish."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    renamed: dict[str, Any] = convert_state_dict(whole, tensors)
    if "positional_embedding" in renamed and not hasattr(whole, "positional_embedding"):
        renamed = convert_to_custom_text_state_dict(renamed)
    return renamed


def known_networks() -> list[KnownNetwork]:
    """Those that open_clip builds by itself."""
    library = import_open_clip()
    configs = {name: library.get_model_config(name) for name in library.list_models()}
    return [KnownNetwork(name, known) for name, known in configs.items() if "hf_model_name" not in known["text_cfg"]]


def list_open_clip(pattern: str = "") -> list[dict[str, Any]]:
    """The networks as rows of `featx backbones`, by text or pattern."""
    from fnmatch import fnmatchcase

    wanted = pattern.lower() if "*" in pattern else f"*{pattern.lower()}*"
    return [_row(known) for known in known_networks() if fnmatchcase(known.short.lower(), wanted)]


def _row(known: KnownNetwork) -> dict[str, Any]:
    return {
        "name": f"{OPEN_CLIP}{known.short}",
        "width": known.config["embed_dim"],
        **dict.fromkeys(("parameters", "gflops", "top1", "default", "url")),
        "input": known.config["vision_cfg"].get("image_size", 224),
        "weights": list(known.tags),
        "licence": "–",
        "here": known.file_here is not None,
    }


def _has_weights(name: str) -> bool:
    try:
        return KnownNetwork.of(name).file_here is not None
    except FeatxError:  # open_clip is not installed
        return False


FAMILY = BackboneFamily(
    "open_clip",
    owns=lambda name: name.startswith(OPEN_CLIP),
    open=open_open_clip,
    catalogue=list_open_clip,
    has_weights=_has_weights,
)
