"""Before an extraction: which backbone, into which store, and whether that store can take its features."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from featx.backbones import choose_backbone
from featx.backbones.architectures import recognise_network
from featx.backbones.nodes import without_nodes
from featx.backbones.registry import family_of
from featx.backbones.weights import weights_file
from featx.embedding.reopen import other_backbone, requested_precision
from featx.errors import FeatxError
from featx.extraction.options import ExtractionOptions
from featx.store import Store, StoreWriter, is_card, open_store
from featx.workspace import Workspace, is_store, journal_beside


def resolve_destination(options: ExtractionOptions, store: Path | None, workspace: Workspace) -> tuple[str, str, Path]:
    """Which backbone, why, and into which file; the first extraction decides, later ones keep to it."""
    if store is None and os.environ.get("FEATX_STORE"):
        store = Path(os.environ["FEATX_STORE"])
    if options.backbone is not None:
        return options.backbone, "", store or workspace.store_path(_file_name(options))
    current = store
    if store is None:
        with suppress(FeatxError):
            current = workspace.current_store()
    if options.weights is not None:
        return _by_weights(options.weights, store, current, workspace)
    store = current
    if store is not None and is_store(store) and not options.replace:
        return open_store(store).fingerprint.backbone, "as before", store
    name, reason = choose_backbone()
    return name, reason, store or workspace.store_path(name)


def _by_weights(weights: str, store: Path | None, current: Path | None, workspace: Workspace) -> tuple[str, str, Path]:
    """The backbone that a weights file was made for; published weights are those of the current store's backbone."""
    stored = open_store(current).fingerprint.backbone if current is not None and is_store(current) else ""
    file = weights_file(weights)
    if file is None:
        if not stored or not family_of(stored).takes_weights:
            raise FeatxError(
                "bad-flag",
                f"`--weights {weights}` names the weights of a network, and no network is named",
                f"name it: `--backbone resnet50 --weights {weights}`",
            )
        assert current is not None
        return stored, "as before", current
    name = recognise_network(file)
    kept = current if stored == name else None
    return name, f"{name}: recognised by the tensors of {file}", store or kept or workspace.store_path(name)


def _file_name(options: ExtractionOptions) -> str:
    """One store for each backbone; another layer of the same network gets a name of its own."""
    parts = [options.backbone or "", options.layer or "", options.pool if options.layer and options.pool else ""]
    return "-".join(part for part in parts if part)


def delete_store(path: Path) -> None:
    """`--replace`: delete the old store and its side files."""
    _must_look_like_a_store(path)
    with StoreWriter.locked(path):
        for suffix in ("", ".journal", ".seen"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        if is_card(path.with_suffix(".json")):
            path.with_suffix(".json").unlink(missing_ok=True)


def _must_look_like_a_store(path: Path) -> None:
    """A damaged store can be replaced, but not a photo or table that was named by mistake."""
    if journal_beside(path).exists() or not path.exists():
        return
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(8)
        if not head.strip(b"\0") or head == b"\x89HDF\r\n\x1a\n" or path.suffix in (".h5", ".hdf5"):
            return
    raise FeatxError(
        "bad-flag", f"`{path}` is not a feature store, so it is not replaced", "name another file: `--store my.h5`"
    )


def require_writable_folder(store: Path) -> None:
    """Refuse a folder that cannot be written into before any work is done."""
    folder = store.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeatxError(
            "no-permission", f"cannot create `{folder}`: {error.strerror}", "choose another `--store`"
        ) from error
    if not os.access(folder, os.W_OK):
        raise FeatxError(
            "no-permission", f"cannot write into `{folder}`", "make it writable or choose another `--store`"
        )


def require_same_fingerprint(known: Store, options: ExtractionOptions, name: str, path: Path) -> None:
    """Refuse early, without loading the network, what cannot go into the store: its features are made in one way."""
    stored = known.fingerprint
    wanted = replace(
        stored,
        backbone=without_nodes(name),
        # Several layers are compared once the network is open.
        layer=stored.layer if stored.parts else options.layer or stored.layer,
        pool=options.pool if options.layer and options.pool and not stored.parts else stored.pool,
        precision=stored.precision if options.precision in ("auto", requested_precision(stored)) else options.precision,
        views=options.views,
    )
    if field := stored.difference(wanted, "append"):
        raise other_backbone(path, field, stored, wanted)
