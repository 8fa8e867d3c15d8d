"""The families of backbones, each a record in its own file; a name belongs to the first family that owns it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from featx.backbones import builtin, colour, custom, efficientnet_lite, timm_networks, torchvision_networks
from featx.backbones.base import BackboneFamily, BackboneRequest, Encoder
from featx.backbones.fingerprint import PLUS
from featx.backbones.joined import JoinedEncoder, requests_of
from featx.errors import FeatxError

POOLS = ("avg", "max", "gem", "avgmax", "flatten")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def _open_joined(request: BackboneRequest) -> Encoder:
    parts = requests_of(request)
    # `random` is for those that have weights at all.
    given = [part.weights if part.weights != "random" or family_of(part.name).takes_weights else None for part in parts]
    return JoinedEncoder(
        [open_backbone(replace(part, weights=weights)) for part, weights in zip(parts, given, strict=True)]
    )


FAMILIES = (
    BackboneFamily("joined", owns=lambda name: PLUS in name, open=_open_joined),
    colour.FAMILY,
    builtin.FAMILY,
    efficientnet_lite.FAMILY,
    timm_networks.FAMILY,
    custom.FAMILY,
    torchvision_networks.FAMILY,
)


def family_of(name: str) -> BackboneFamily:
    """The family of a backbone by its name; whether the backbone exists shows when it is opened."""
    return next(family for family in FAMILIES if family.owns(name))


def baseline_name() -> str:
    """The backbone that every score must beat."""
    return next(family.name for family in FAMILIES if family.is_baseline)


def backbone_rows() -> list[dict[str, Any]]:
    """Every backbone by name: how wide, how large, how good; read from tables, so no network is loaded."""
    return [row for family in FAMILIES for row in family.rows()]


def open_backbone(request: BackboneRequest) -> Encoder:
    """Open the requested backbone, after refusing options that its family does not have."""
    request = _checked(request)
    family = family_of(request.name)
    refused = {"weights": not family.takes_weights, "layer": not family.has_layers}
    for flag, is_refused in refused.items():
        if is_refused and getattr(request, flag) is not None:
            raise FeatxError("bad-flag", f"the `{request.name}` backbone takes no `--{flag}`", f"leave `--{flag}` out")
    if family is torchvision_networks.FAMILY:
        torchvision_networks.require_known(request.name, [row["name"] for row in backbone_rows()])
    return family.open(request)


def _checked(request: BackboneRequest) -> BackboneRequest:
    for what, value, known in (("pooling", request.pool, POOLS), ("precision", request.precision, PRECISIONS)):
        if value not in known:
            raise FeatxError("bad-flag", f"no {what} called `{value}`", f"choose one of {', '.join(known)}")
    if request.precision != "int8":
        return request
    if request.device not in ("auto", "cpu"):
        raise FeatxError("bad-flag", f"int8 runs on the CPU, not on {request.device}", "leave `--device` out")
    return replace(request, device="cpu")
