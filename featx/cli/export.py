"""`featx export`: the features of a store for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import BlocksOption, JsonFlag, QuietFlag, StoreOption, VerboseFlag, block_names
from featx.cli.output import Output, pluralise, size
from featx.cli.stores import store_in_use


def export(
    to: Annotated[
        str | None,
        typer.Option("--to", "-t", metavar="FORMAT", help="npz, npy, csv, parquet, jsonl or safetensors."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write; named like the store by default."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    blocks: BlocksOption = None,
    store: StoreOption = None,
    as_json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Write features, labels and columns for other tools.

    Example: featx export --to parquet -o features.parquet
    """
    from featx.exporting.features import export_store, format_of

    out = Output(as_json, quiet, verbose)
    to = format_of(to, output)
    from featx.cli.decisions import decided_labels
    from featx.store import open_store

    opened = open_store(store_in_use(store, out), block_names(blocks))
    labels = decided_labels(opened, out)
    with out.progress(len(opened), "export", "rows") as advance:
        files = export_store(opened, to, output, labels=labels, force=force, progress=advance)
    for file in files:
        out.ok(f"wrote {pluralise(len(opened), 'row')} to {file} ({size(file.stat().st_size)})")
    out.document({"rows": len(opened), "format": to, "files": [str(file) for file in files]})
