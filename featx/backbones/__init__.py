"""Frozen networks that turn photos into features, each with its own weights and preprocessing.

base       what a backbone is; light
fingerprint  what made features, and whether others may stand beside them
listing    which there are
default    which one to use when nobody named one
weights    find, fetch and verify weights files
torchvision_networks  torchvision's networks                     (torch's door)
layers     where in a network the features are read
timm_networks, builtin, colour    the other kinds of backbone
engines/   what runs them
builtin_network  the network that travels with featx
devices    CPU or GPU, and torch imported
"""

from __future__ import annotations

from pathlib import Path

from featx.backbones.base import Backbone, OutOfMemory
from featx.backbones.fingerprint import Fingerprint
from featx.errors import FeatxError

__all__ = ["Backbone", "Fingerprint", "OutOfMemory", "choose_backbone", "open_backbone"]

POOLS = ("avg", "max", "gem", "avgmax", "flatten")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def choose_backbone() -> tuple[str, str]:
    """A backbone's name and one line on why, for when nobody named one."""
    from featx.backbones.default import choose_backbone as choose

    return choose()


def open_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    layer: str | None = None,
    pool: str = "avg",
    device: str = "auto",
    precision: str = "auto",
) -> Backbone:
    """Load a backbone, frozen and ready.

    `name` is a torchvision network, `timm:NAME`, `builtin`, `colour`, or `package.module:factory` for one's own.
    `weights` is the name of published weights, a .pth or .safetensors file, or `random` (seeded; for tests).
    """
    if pool not in POOLS:
        raise FeatxError("bad-flag", f"no pooling called `{pool}`", f"choose one of {', '.join(POOLS)}")
    if precision not in PRECISIONS:
        raise FeatxError("bad-flag", f"no precision called `{precision}`", f"choose one of {', '.join(PRECISIONS)}")
    if precision == "int8":
        if device not in ("auto", "cpu"):
            raise FeatxError("bad-flag", f"int8 runs on the CPU, not on {device}", "leave `--device` out")
        device = "cpu"
    if name in ("colour", "builtin"):
        _takes_none(name, weights=weights, layer=layer)
    if name == "colour":
        from featx.backbones.colour import ColourBackbone

        return ColourBackbone()
    if name == "builtin":
        from featx.backbones.builtin import open_builtin

        return open_builtin(device=device, precision=precision)
    if name.startswith("timm:"):
        from featx.backbones.timm_networks import open_timm

        return open_timm(name, weights=weights, layer=layer, pool=pool, device=device, precision=precision)
    if ":" in name:
        return _open_own(name, weights=weights, device=device)
    from featx.backbones.torchvision_networks import open_torchvision

    return open_torchvision(name, weights=weights, layer=layer, pool=pool, device=device, precision=precision)


def _takes_none(name: str, **given: object) -> None:
    for flag, value in given.items():
        if value is not None:
            raise FeatxError("bad-flag", f"the `{name}` backbone has no choice of {flag}", f"leave `--{flag}` out")


def _open_own(name: str, *, weights: str | Path | None, device: str) -> Backbone:
    import importlib
    import sys

    module_name, _, factory_name = name.partition(":")
    try:
        # A module beside the photos is found, as `python -m` would find it.
        if "" not in sys.path:
            sys.path.insert(0, "")
        factory = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FeatxError(
            "unknown-backbone",
            f"cannot load your backbone `{name}`: {error}",
            "name it as package.module:factory, with the package importable from here",
        ) from error
    backbone: Backbone = factory(weights=weights, device=device)
    missing = [
        part
        for part in ("name", "width", "fingerprint", "device", "device_reason", "versions", "prepare", "features")
        if not hasattr(backbone, part)
    ]
    if missing:
        raise FeatxError(
            "unknown-backbone",
            f"`{name}` gives an object without {', '.join(missing)}",
            "a backbone of one's own has the parts told in docs/backbones.md",
        )
    return backbone
