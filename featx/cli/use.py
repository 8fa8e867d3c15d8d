"""`featx use`: which store commands use."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.completion import store_names
from featx.cli.options import JsonFlag, QuietFlag, VerboseFlag
from featx.cli.output import Cell, Output, pluralise
from featx.errors import FeatxError

if TYPE_CHECKING:
    from pathlib import Path

    from featx.workspace import Workspace


def use(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A store in the artifacts folder, such as `resnet50`, or a path; without it, list the stores.",
            autocompletion=store_names,
        ),
    ] = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Choose the store that commands use when none is named, or list the stores.

    Example: featx use resnet50
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.workspace import Workspace

    workspace = Workspace.here()
    if name is None:
        _list(workspace, out)
        return
    path = workspace.use(name)
    out.document({"version": 1, "store": str(path)})
    out.ok(f"commands without `--store` use {path}")
    if (wins := os.environ.get("FEATX_STORE")) and wins != str(path):
        out.warn(f"in this terminal `FEATX_STORE` names {wins}, which wins: `unset FEATX_STORE`")


def _list(workspace: Workspace, out: Output) -> None:
    current = workspace.noted()
    records = [{**_facts(path), "current": path == current} for path in workspace.stores()]
    rows: list[list[Cell]] = [
        [
            str(record["store"]),
            "–" if record["photos"] is None else str(record["photos"]),
            str(record["backbone"]),
            "← current" if record["current"] else None,
        ]
        for record in records
    ]
    if not records:
        raise workspace.no_store_yet()
    out.records(["store", "photos", "backbone", ""], rows, records, right=["photos"], paths=["store"])
    if current is None:
        out.say(f"  no store was chosen; commands use the newest of {pluralise(len(records), 'store')}")
    out.next("featx use NAME")


def _facts(path: Path) -> dict[str, object]:
    """What is in a store, without its features; a damaged one is listed too."""
    from featx.store import open_store

    try:
        store = open_store(path)
    except FeatxError:
        return {"store": str(path), "photos": None, "backbone": "cannot be read: `featx info --store` says why"}
    return {"store": str(path), "photos": len(store), "backbone": store.fingerprint.backbone}
