"""The backbone that made a store, once more."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from featx.backbones import Encoder, Fingerprint, open_backbone
from featx.backbones.fingerprint import COMMA, PLUS
from featx.backbones.joined import JoinedEncoder
from featx.backbones.nodes import AT, PENULTIMATE, split_name
from featx.backbones.registry import family_of
from featx.backbones.tuned import WEIGHTS as TUNED
from featx.backbones.weights import is_cached, is_digest, locate_weights, search_places, weights_not_found
from featx.errors import FeatxError
from featx.store import Store


def reopen_backbone(store: Store, device: str = "auto", near: Sequence[Path] = ()) -> Encoder:
    """The backbone that made a store, opened again; other weights than then are refused.

    A weights file is found by its SHA-256, beside the store or in one of the folders `near` too.
    """
    backbone = open_from_fingerprint(store.fingerprint, store.provenance, device, [*near, store.path.parent])
    field = store.fingerprint.difference(backbone.fingerprint, "search")
    if field:
        raise other_backbone(store.path, field, store.fingerprint, backbone.fingerprint, rebuild_command(store))
    return backbone


def open_from_fingerprint(
    fingerprint: Fingerprint,
    provenance: Mapping[str, object] = MappingProxyType({}),
    device: str = "auto",
    near: Sequence[Path] = (),
) -> Encoder:
    """The backbone a fingerprint names, opened; the caller compares the fingerprints."""
    encoder = open_backbone(
        requested_name(fingerprint),
        weights=located_weights(fingerprint, provenance, near),
        pool=requested_pool(fingerprint),
        device=device,
        precision=requested_precision(fingerprint),
    )
    # One block of a joined row has length 1, as it has there.
    is_block = bool(fingerprint.length) and not fingerprint.parts
    return JoinedEncoder([encoder]) if is_block else encoder


def located_weights(stored: Fingerprint, provenance: Mapping[str, object], near: Sequence[Path] = ()) -> str | None:
    """The weights a store was made with, in the form `open_backbone` takes, wherever their file is now."""
    if len(stored.networks) > 1:
        return joined_weights([located_weights(nodes[0], provenance, near) for nodes in stored.networks])
    named, digest = same_weights(stored, provenance), stored.weights_sha256
    if named is None or not is_digest(digest):
        return named
    is_own = stored.weights.startswith("file ")
    if not is_own and is_cached(digest):
        return named
    name = Path(stored.weights.removeprefix("file ")).name
    recorded = [Path(named)] if is_own else []
    places = [*recorded, *search_places(near)]
    file = locate_weights(digest, name, places)
    if file is not None:
        return str(file)
    # A file of that name with other content is refused where the fingerprints are compared.
    if is_own and not Path(named).is_file():
        raise weights_not_found(stored.backbone, name, digest, places)
    return named


def same_weights(stored: Fingerprint, provenance: Mapping[str, object]) -> str | None:
    """The weights a store was made with, as `open_backbone` wants them named."""
    files = provenance.get("weights_files")
    files = files if isinstance(files, Mapping) else {}
    if len(stored.networks) > 1:
        return joined_weights([same_weights(nodes[0], provenance) for nodes in stored.networks])
    weights = stored.weights
    if weights.startswith("file "):
        return str(files.get(stored.backbone) or provenance.get("weights_file") or weights.removeprefix("file "))
    return None if weights in ("", "none", "built-in", TUNED) else weights


def joined_weights(each: Sequence[str | None]) -> str | None:
    """The weights of the parts of a joined backbone as `open_backbone` wants them named; None for the usual ones."""
    return PLUS.join(weights or "" for weights in each) if any(each) else None


def requested_name(stored: Fingerprint) -> str:
    """The backbone a store was made with and its nodes, as `open_backbone` takes them: `builtin+resnet50@layer3`."""
    return PLUS.join(_name_with_nodes(nodes) for nodes in stored.networks)


def _name_with_nodes(nodes: Sequence[Fingerprint]) -> str:
    name = nodes[0].backbone
    usual = len(nodes) == 1 and nodes[0].layer in ("", PENULTIMATE)
    return name if usual or not family_of(name).has_layers else f"{name}{AT}{COMMA.join(node.node for node in nodes)}"


def requested_layer(stored: Fingerprint) -> str | None:
    """The layers a network's store was made with, as `--layer` takes them; None for the default."""
    return split_name(requested_name(stored))[1] if len(stored.networks) == 1 else None


def requested_pool(stored: Fingerprint | None) -> str:
    """The pooling a store was made with, as `open_backbone` wants it named; the pooling of a layer is in its name."""
    usual = stored is not None and not stored.parts and stored.layer in ("", PENULTIMATE)
    return stored.pool or "avg" if stored is not None and usual else "avg"


def requested_precision(stored: Fingerprint) -> str:
    """The precision a store was made with; that of its networks where a part without one is joined to them."""
    parts = stored.parts or (stored,)
    return next((part.precision for part in parts if part.precision != "fp32"), parts[0].precision)


def rebuild_command(store: Store) -> str:
    """The `featx extract` command that builds a store again from its photos, the way it was made."""
    made, how = store.whole.fingerprint, store.provenance
    weights, layer = same_weights(made, how), requested_layer(made)
    backbone = made.backbone if layer else requested_name(made)
    words = ["featx", "extract", _source_of_all(store) or "IMAGES", "--backbone", backbone]
    words += ["--weights", weights] if weights else []
    words += ["--layer", layer] if layer else []
    words += ["--views", str(made.views)] if made.views != 1 else []
    precision = requested_precision(made)
    words += ["--precision", precision] if precision != "fp32" else []
    words += ["--seed", str(how["seed"])] if how.get("seed") else []
    # Nothing else in a store tells these.
    command = str(how.get("command")).split()
    words += [flag for flag in ("--allow-outside", "--exact-decode", "--half") if flag in command]
    return shlex.join([*words, "--store", str(store.path), "--replace", "--yes"])


def _source_of_all(store: Store) -> str:
    """The folder or table that holds every photo of a store; empty where several runs filled it from several."""
    source = str(store.provenance.get("source") or "")
    is_table = bool(Path(source).suffix)
    return source if is_table or all(Path(path).is_relative_to(source) for path in store.paths) else ""


def decodes_exactly(provenance: Mapping[str, object]) -> bool:
    """Whether the photos of a store were decoded at full size, however large."""
    return provenance.get("decoding") == "exact"


def other_backbone(
    path: Path, field: str, stored: Fingerprint, wanted: Fingerprint, rebuild: str = "--replace --yes"
) -> FeatxError:
    """The error for a store made differently from what this run requests: the field that differs, and both values."""
    has, wants = stored.values_of(field, wanted)
    fresh = path.with_name(f"{path.stem}-2.h5")
    details = {"stored": str(getattr(stored, field)), "wanted": str(getattr(wanted, field))}
    return FeatxError(
        "other-backbone",
        f"{path} holds features of {has}, but this run asks for {wants}",
        f"extract into another file: `--store {shlex.quote(str(fresh))}`\nor rebuild this one: `{rebuild}`",
        {"store": str(path), "what": field.replace("_", " "), **details},
    )
