"""`timm:NAME`: timm's networks with timm's own preprocessing, features before the classifier."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from featx.backbones.base import BackboneFamily, BackboneRequest
from featx.backbones.devices import choose_device, import_torch
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.torchvision_networks import FrozenNetwork
from featx.backbones.weights import file_sha256, load_state_dict, weights_file
from featx.errors import FeatxError, did_you_mean

PREFIX = "timm:"


def open_timm(request: BackboneRequest) -> FrozenNetwork:
    """Load one of timm's networks."""
    torch, _ = import_torch()
    try:
        import timm
    except ImportError as error:
        raise FeatxError(
            "extra-missing", f"`{request.name}` needs one more package", 'pip install "featx[timm]"'
        ) from error
    short = request.name.removeprefix(PREFIX)
    known = timm.list_models() + timm.list_pretrained()
    if short not in known:
        raise FeatxError(
            "unknown-backbone",
            f"timm has no network called `{short}`",
            did_you_mean(short, known, "see timm's own list"),
        )
    if request.pool != "avg":
        raise FeatxError("bad-flag", "timm networks give their pre-logits features only", "leave --pool out")
    device, device_reason = choose_device(request.device)
    given = request.weights
    file = weights_file(given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            network = timm.create_model(short, pretrained=given is None, num_classes=0)
        except Exception as error:
            if given is not None:
                raise
            raise FeatxError(
                "weights-missing",
                f"timm could not get the weights of `{short}`: {str(error).splitlines()[0][:200]}",
                "give a file: `--weights FILE.safetensors`",
            ) from error
    sha256 = "random"
    if file is not None:
        _put_weights(network, file, request.name)
        sha256 = file_sha256(file)
    elif given not in (None, "random"):
        raise FeatxError(
            "bad-flag", f"`{request.name}` has no weights `{given}`", "give a file, or a timm name with its tag"
        )
    elif given is None:
        origin = network.pretrained_cfg.get("hf_hub_id") or network.pretrained_cfg.get("url")
        sha256 = f"timm {timm.__version__} {origin}"
    config = timm.data.resolve_model_data_config(network)
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


def _put_weights(network: Any, file: Path, name: str) -> None:
    """Load tensors into a network; what does not fit is named."""
    tensors, own = load_state_dict(file), network.state_dict()
    missing = [key for key in own if key not in tensors]
    misshapen = [key for key in own if key in tensors and own[key].shape != tensors[key].shape]
    if missing or misshapen:
        raise FeatxError(
            "weights-misfit",
            f"{file} does not hold weights of {name}\n{len(missing)} missing, {len(misshapen)} of another shape: "
            + ", ".join([*missing, *misshapen][:3]),
            "name the network the file was made for",
            {"missing": missing, "of_another_shape": misshapen},
        )
    network.load_state_dict({key: tensors[key] for key in own})


FAMILY = BackboneFamily("timm", owns=lambda name: name.startswith(PREFIX), open=open_timm)
