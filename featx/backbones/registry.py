"""The families of backbones, each a record in its own file; a name belongs to the first family that owns it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from featx.backbones import (
    builtin,
    colour,
    custom,
    efficientnet_lite,
    open_clip_networks,
    timm_networks,
    torchvision_networks,
    tuned,
)
from featx.backbones.base import BackboneFamily, BackboneRequest, Encoder, Shapes
from featx.backbones.fingerprint import PLUS
from featx.backbones.joined import JoinedEncoder, requests_of
from featx.backbones.network_encoder import NetworkEncoder
from featx.backbones.nodes import nodes_of, split_name
from featx.backbones.weights import added_for, added_weights
from featx.errors import FeatxError

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def _open_joined(request: BackboneRequest) -> Encoder:
    parts = requests_of(request)
    # `random` is for those that have weights at all.
    given = [part.weights if part.weights != "random" or family_of(part.name).takes_weights else None for part in parts]
    return JoinedEncoder(
        [open_backbone(replace(part, weights=weights)) for part, weights in zip(parts, given, strict=True)]
    )


def _open_tuned(request: BackboneRequest) -> Encoder:
    found = tuned.find_tuned(request.name)
    parent = found.request(request)
    encoder = family_of(parent.name).open(parent)
    if not isinstance(encoder, NetworkEncoder):
        raise FeatxError("weights-broken", f"`{found.file}` is of a backbone without a network", "tune another one")
    return encoder.known_as(request.name, tuned.WEIGHTS)


def _layers_of_tuned(name: str) -> Shapes:
    parent = tuned.find_tuned(name).card.parent.backbone
    layer_shapes = family_of(parent).layer_shapes
    return {} if layer_shapes is None else layer_shapes(parent)


FAMILIES = (
    BackboneFamily("joined", owns=lambda name: PLUS in name, open=_open_joined),
    BackboneFamily(
        "tuned",
        owns=tuned.is_tuned,
        open=_open_tuned,
        rows=tuned.tuned_rows,
        has_weights=tuned.is_here,
        layer_shapes=_layers_of_tuned,
        takes_size=True,
        takes_weights=False,
    ),
    colour.FAMILY,
    builtin.FAMILY,
    efficientnet_lite.FAMILY,
    timm_networks.FAMILY,
    open_clip_networks.FAMILY,
    custom.FAMILY,
    torchvision_networks.FAMILY,
)


def family_of(name: str) -> BackboneFamily:
    """The family of a backbone by its name; whether the backbone exists shows when it is opened."""
    network = name if PLUS in name else split_name(name)[0]
    return next(family for family in FAMILIES if family.owns(network))


def baseline_name() -> str:
    """The backbone that every score must beat."""
    return next(family.name for family in FAMILIES if family.is_baseline)


def backbone_rows() -> list[dict[str, Any]]:
    """Every backbone by name: how wide, how large, how good; read from tables, so no network is loaded.

    Those that no table lists are here because weights were added for them.
    """
    rows = [row for family in FAMILIES for row in family.rows()]
    listed = {row["name"] for row in rows}
    return [*rows, *(_unlisted(name) for name in sorted({added.backbone for added in added_weights()} - listed))]


def _unlisted(name: str) -> dict[str, Any]:
    facts = ("width", "parameters", "gflops", "top1", "input", "default", "url")
    return {"name": name, **dict.fromkeys(facts), "weights": [], "licence": "–"}


def local_backbones() -> list[str]:
    """The backbones that need no download: their usual weights are here, or others were added for them."""
    added = {weights.backbone for weights in added_weights()}
    names = (str(row["name"]) for row in backbone_rows())
    return [name for name in names if name in added or family_of(name).has_weights(name)]


def _with_added(request: BackboneRequest, family: BackboneFamily) -> BackboneRequest:
    """Weights that somebody added stand in for the usual ones where these are not here."""
    if request.weights is not None or not family.takes_weights:
        return request
    added = added_for(request.name)
    if added is None or family.has_weights(request.name):
        return request
    return replace(request, weights=str(added.file))


def open_backbone(request: BackboneRequest) -> Encoder:
    """Open the requested backbone, after refusing options that its family does not have."""
    request = _with_nodes(_checked(request))
    family = family_of(request.name)
    request = _with_added(request, family)
    refused = {
        "weights": not family.takes_weights,
        "layer": not family.has_layers,
        "size": not family.takes_size,
    }
    for flag, is_refused in refused.items():
        if is_refused and getattr(request, flag) is not None:
            raise FeatxError("bad-flag", f"the `{request.name}` backbone takes no `--{flag}`", f"leave `--{flag}` out")
    if family is torchvision_networks.FAMILY:
        torchvision_networks.require_known(request.name, [row["name"] for row in backbone_rows()])
    return family.open(request)


def _with_nodes(request: BackboneRequest) -> BackboneRequest:
    """`NETWORK@NODES` as a network and its `--layer`."""
    name, nodes = (request.name, None) if PLUS in request.name else split_name(request.name)
    if nodes is not None and request.layer is not None:
        raise FeatxError(
            "bad-flag",
            f"`{request.name}` names its layers, and so does `--layer {request.layer}`",
            "leave `--layer` out",
        )
    return replace(request, name=name, layer=request.layer if nodes is None else nodes)


def _checked(request: BackboneRequest) -> BackboneRequest:
    nodes_of(None, request.pool)
    if request.precision not in PRECISIONS:
        raise FeatxError(
            "bad-flag", f"no precision called `{request.precision}`", f"choose one of {', '.join(PRECISIONS)}"
        )
    if request.precision != "int8":
        return request
    if request.device not in ("auto", "cpu"):
        raise FeatxError("bad-flag", f"int8 runs on the CPU, not on {request.device}", "leave `--device` out")
    return replace(request, device="cpu")
