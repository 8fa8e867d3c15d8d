"""The backbone that made a store, once more."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from featx.backbones import Backbone, open_backbone
from featx.errors import FeatxError
from featx.store import Store


def reopen_backbone(store: Store, device: str = "auto") -> Backbone:
    """The backbone that made a store, opened again; other weights than then are refused."""
    fingerprint = store.fingerprint
    backbone = open_from_fingerprint(fingerprint, store.provenance, device=device)
    has, wants = fingerprint.get("weights_sha256"), backbone.fingerprint.weights_sha256
    if has != wants:
        raise other_backbone(store.path, "weights with SHA-256", has, wants)
    return backbone


def open_from_fingerprint(
    fingerprint: Mapping[str, object], provenance: Mapping[str, object] = MappingProxyType({}), device: str = "auto"
) -> Backbone:
    """The backbone a fingerprint names, opened; the caller compares what was opened with what was meant."""
    return open_backbone(
        str(fingerprint["backbone"]),
        weights=same_weights(fingerprint, provenance),
        layer=asked_layer(fingerprint),
        pool=str(fingerprint.get("pool") or "avg"),
        device=device,
        precision=str(fingerprint.get("precision") or "auto"),
    )


def same_weights(stored: Mapping[str, object], provenance: Mapping[str, object]) -> str | None:
    """The weights a store was made with, as `open_backbone` wants them named."""
    weights = str(stored.get("weights") or "")
    if weights.startswith("file "):
        return str(provenance.get("weights_file") or weights.removeprefix("file "))
    return None if weights in ("", "none", "built-in") else weights


def asked_layer(stored: Mapping[str, object]) -> str | None:
    """The layer a store was made with, as `open_backbone` wants it named; None for the usual one."""
    layer = stored.get("layer")
    fixed = stored.get("backbone") in ("builtin", "colour") or layer in (None, "", "penultimate")
    return None if fixed else str(layer)


def rebuild_command(store: Store) -> str:
    """The `featx extract` command that builds a store again from its photos, the way it was made."""
    made, how = store.fingerprint, store.provenance
    weights, layer = same_weights(made, how), asked_layer(made)
    words = ["featx", "extract", str(how.get("source") or "IMAGES"), "--backbone", str(made["backbone"])]
    words += ["--weights", weights] if weights else []
    words += ["--layer", layer, "--pool", str(made.get("pool"))] if layer else []
    words += ["--views", str(made["views"])] if made.get("views", 1) != 1 else []
    words += ["--precision", str(made["precision"])] if made.get("precision") not in (None, "fp32") else []
    words += ["--allow-outside"] if "--allow-outside" in str(how.get("command")) else []
    return shlex.join([*words, "--store", str(store.path), "--replace", "--yes"])


def other_backbone(path: Path, what: str, stored: object, wanted: object) -> FeatxError:
    """The error for a store made in another way than this run asks for."""
    fresh = path.with_name(f"{path.stem}-2.h5")
    return FeatxError(
        "other-backbone",
        f"{path} holds features of {what} {stored}, but this run asks for {what} {wanted}",
        f"extract into another file: `--store {shlex.quote(str(fresh))}`\nor make this one again: `--replace --yes`",
        {"store": str(path), "what": what, "stored": str(stored), "wanted": str(wanted)},
    )
