"""`timm:NAME`: timm's networks with timm's own preprocessing, features before the classifier."""

from __future__ import annotations

from pathlib import Path

from featx.backbones.devices import choose_device, import_torch
from featx.backbones.fingerprint import Fingerprint
from featx.backbones.torchvision_networks import WEIGHTS_SUFFIXES, FrozenNetwork
from featx.backbones.weights import file_sha256, load_state_dict
from featx.errors import FeatxError, did_you_mean


def open_timm(
    name: str,
    *,
    weights: str | Path | None = None,
    layer: str | None = None,
    pool: str = "avg",
    device: str = "auto",
    precision: str = "auto",
) -> FrozenNetwork:
    """Load one of timm's networks."""
    torch, _ = import_torch()
    try:
        import timm
    except ImportError as error:
        raise FeatxError("extra-missing", f"`{name}` needs one more package", 'pip install "featx[timm]"') from error
    short = name.removeprefix("timm:")
    known = timm.list_models() + timm.list_pretrained()
    if short not in known:
        raise FeatxError(
            "unknown-backbone",
            f"timm has no network called `{short}`",
            did_you_mean(short, known, "see timm's own list"),
        )
    if layer is not None or pool != "avg":
        raise FeatxError(
            "bad-flag", "timm networks give their pre-logits features only", "leave --layer and --pool out"
        )
    place, reason = choose_device(device)
    given = str(weights) if weights is not None else None
    is_file = given is not None and given.lower().endswith(WEIGHTS_SUFFIXES)
    sha256 = "random"
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
    if is_file:
        file = Path(str(given))
        theirs = load_state_dict(file)
        own = network.state_dict()
        missing = [key for key in own if key not in theirs]
        wrong = [key for key in own if key in theirs and own[key].shape != theirs[key].shape]
        if missing or wrong:
            raise FeatxError(
                "weights-misfit",
                f"{file} does not hold weights of {name}\n{len(missing)} missing, {len(wrong)} of another shape: "
                + ", ".join([*missing, *wrong][:3]),
                "name the network the file was made for",
                {"missing": missing, "of_another_shape": wrong},
            )
        network.load_state_dict({key: theirs[key] for key in own})
        sha256 = file_sha256(file)
    elif given not in (None, "random"):
        raise FeatxError("bad-flag", f"`{name}` has no weights `{given}`", "give a file, or a timm name with its tag")
    elif given is None:
        sha256 = (
            f"timm {timm.__version__} {network.pretrained_cfg.get('hf_hub_id') or network.pretrained_cfg.get('url')}"
        )
    transforms = timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)
    return FrozenNetwork(
        network,
        transforms,
        Fingerprint(
            backbone=name,
            weights=f"file {Path(str(given)).name}" if is_file else given or "pretrained",
            weights_sha256=sha256,
            layer="penultimate",
            pool=pool,
            preprocessing=" ".join(str(transforms).split()),
            precision="fp32" if precision == "auto" else precision,
            width=int(network.num_features if not hasattr(network, "head_hidden_size") else network.head_hidden_size),
        ),
        read=lambda x: x,
        device=place,
        device_reason=reason,
        weights_file=str(Path(str(given)).resolve()) if is_file else "",
    )
