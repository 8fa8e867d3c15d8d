"""Which stores `featx compare` compares: those named, or those it extracts first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from featx.cli.options import block_names
from featx.cli.output import Advance, Output, pluralise
from featx.cli.stores import store_in_use
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.extraction import ExtractionEvents
    from featx.store import Store
    from featx.workspace import Workspace


def stores_to_compare(
    photos: str | None,
    backbones: list[str],
    weights: str | None,
    paths: list[Path],
    minutes: float | None,
    test: str,
    clf: list[str] | None,
    workspace: Workspace,
    out: Output,
) -> tuple[list[Store], list[str], list[str]]:
    """The stores, the classifiers to try on them, and notes on what was left out."""
    from featx.classifiers.kinds import COMPARED
    from featx.comparison.local_backbones import ALL_LOCAL, CLASSIFIER

    backbones = _each_named(backbones)
    if ALL_LOCAL not in backbones:
        if minutes is not None:
            raise FeatxError(
                "bad-flag", f"`--minutes` works only with `-b {ALL_LOCAL}`", "add that, or leave `--minutes` out"
            )
        return _stores(photos, backbones, weights, paths, workspace, out), clf or list(COMPARED), []
    if photos is None or paths or weights is not None or len(backbones) > 1:
        raise FeatxError(
            "bad-flag",
            f"`-b {ALL_LOCAL}` needs photos to extract, and takes no other backbone, store or weights",
            f"run it alone: `featx compare data/train -b {ALL_LOCAL}`",
        )
    stores, notes = _local_stores(photos, minutes, test, workspace, out)
    return stores, clf or [CLASSIFIER], notes


def _local_stores(
    photos: str, minutes: float | None, test: str, workspace: Workspace, out: Output
) -> tuple[list[Store], list[str]]:
    from featx.catalogue.reading import read_catalogue
    from featx.cli.heldout import splits_and_stores
    from featx.comparison.local_backbones import cheap_first, extract_local

    catalogue, names = read_catalogue(photos), cheap_first()
    out.say(catalogue.describe())
    out.say(f"{pluralise(len(names), 'backbone')} whose weights are here: {', '.join(names)}")
    extracted = extract_local(
        catalogue,
        minutes=minutes,
        test=splits_and_stores(test)[0],
        workspace=workspace,
        listener=lambda name: _progress_of(name, out),
    )
    for store in extracted.stores:
        out.ok(f"features of {pluralise(len(store), 'photo')} in {store.path}")
    if extracted.stopped:
        out.warn("stopped: what was computed is kept")
        out.next("run the same command again to continue")
        raise typer.Exit(130)
    return extracted.stores, extracted.notes


def _progress_of(name: str, out: Output) -> ExtractionEvents:
    """Shows how far the extraction with a backbone is."""
    from featx.extraction import ExtractionEvents as Events

    class Narrator(Events):
        """A bar with the name of the backbone."""

        @contextmanager
        def progress(self, total: int) -> Iterator[Advance]:
            with out.progress(total, name) as advance:
                yield advance

    return Narrator()


def _stores(
    photos: str | None,
    backbones: list[str],
    weights: str | None,
    paths: list[Path],
    workspace: Workspace,
    out: Output,
) -> list[Store]:
    from featx.store import open_store

    if weights is not None and len(backbones) > 1:
        raise FeatxError(
            "bad-flag", "`--weights` belongs to one backbone, and several are named", "extract that one first"
        )
    if photos is None:
        if backbones or weights is not None:
            flag = "--backbone" if backbones else "--weights"
            raise FeatxError(
                "bad-flag", f"`{flag}` needs photos to extract", "name them: `featx compare data/train -b colour`"
            )
        return [open_store(store_in_use(path, out)) for path in (paths or (None,))]
    if paths:
        raise FeatxError("bad-flag", "photos and `--store` cannot be combined", "leave one of them out")
    from featx.extraction import extract

    stores = []
    for name in backbones or (None,):
        out.say(f"extracting {photos}" + (f" with {name}" if name else "") + " …")
        # Several cannot share the one file that FEATX_STORE may name.
        own = workspace.store_path(name) if name is not None and len(backbones or ()) > 1 else None
        stores.append(extract(photos, backbone=name, weights=weights, store=own))
        out.ok(f"features of {pluralise(len(stores[-1]), 'photo')} in {stores[-1].path}")
    return stores


def each_with(blocks: list[str], stores: list[Store]) -> list[Store]:
    """Each store with each choice of its blocks."""
    return [store.with_blocks(block_names([names])) for store in stores for names in blocks]


def _each_named(backbones: list[str]) -> list[str]:
    """Backbones one by one; a comma after `@` is between the layers of one."""
    each = [name for names in backbones for name in ([names] if "@" in names else names.split(","))]
    return [name.strip() for name in each if name.strip()]
