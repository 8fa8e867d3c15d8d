"""`featx list`: every photo of a source into one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, VerboseFlag
from featx.cli.output import Output, pluralise


def list(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A folder, a table, s3://bucket/folder, a .tar, or a .parquet with photos."
        ),
    ],
    table: Annotated[Path, typer.Argument(metavar="TABLE.parquet", help="The table to write.")],
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List every photo of a folder, bucket or archive in a table, once.

    Example: featx list s3://shop/photos photos.parquet
    """
    from featx.catalogue.listing import list_photos

    out = Output(json=json, quiet=quiet, verbose=verbose)
    listed = list_photos(source, table)
    out.ok(f"{pluralise(listed.n, 'photo')} in {listed.table}")
    out.document({"version": 1, "table": str(listed.table), "n": listed.n, "columns": [*listed.columns]})
    out.next(f"featx extract {table}")
