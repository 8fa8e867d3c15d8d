"""`featx similar`: the products that look most like one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, counted
from featx.errors import FeatxError, did_you_mean


def similar(
    query: Annotated[
        list[str], typer.Argument(metavar="QUERY...", help="A photo, an item id, a product id or a file name.")
    ],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many products to show.")] = 5,
    label: Annotated[str | None, typer.Option("--label", help="Only products of this category.")] = None,
    copies: Annotated[bool, typer.Option("--copies", help="Show near-copies of the picture too.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a .csv file instead.")] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List the products that look most like this one.

    Example: featx similar sku123.jpg -k 10
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.index import open_index
    from featx.looking import find_query
    from featx.store import open_store
    from featx.workspace import Workspace

    opened = open_store(Workspace.here().current_store(store))
    if label is not None and label not in opened.labels:
        known = sorted({one for one in opened.labels if one is not None})
        raise FeatxError(
            "bad-flag", f"no category `{label}` in {opened.path}", did_you_mean(label, known, "see `featx info`")
        )
    out.detail(f"store: {opened.path}")
    index = open_index(opened)
    rows: list[list[str | int | float | None]] = []
    records: list[dict[str, object]] = []
    hidden = 0
    for name in query:
        asked = find_query(opened, name)
        found = index.query(
            asked.features,
            k if copies else k + 20,
            label=label,
            without_product=asked.product,
            without_digest=None if copies else asked.digest,
        )
        if not copies:
            hidden += sum(one.near_copy for one in found)
            found = [one for one in found if not one.near_copy][:k]
        for rank, one in enumerate(found, start=1):
            lead: list[str | int | float | None] = [asked.name] if len(query) > 1 else []
            rows.append([*lead, rank, f"{one.similarity:.2f}", one.product, one.label, one.path])
            records.append(
                {
                    **({"query": asked.name} if len(query) > 1 else {}),
                    "rank": rank,
                    "score": round(one.similarity, 4),
                    "id": one.item_id,
                    "product": one.product,
                    "label": one.label,
                    "path": one.path,
                }
            )
    columns = [*(["query"] if len(query) > 1 else []), "#", "score", "product", "category", "file"]
    if output is not None:
        _write(output, records)
        out.ok(f"wrote {counted(len(records), 'row')} to {output}")
    else:
        out.records(columns, rows, records, right=["#", "score"])
    if hidden:
        out.say(f"  {counted(hidden, 'near-copy', 'near-copies')} of your picture hidden (--copies shows them)")


def _write(output: Path, records: list[dict[str, object]]) -> None:
    import csv

    from featx.exporting import safe_cell

    if output.suffix.lower() != ".csv":
        raise FeatxError("bad-flag", f"cannot write `{output.suffix}` files", "end the name in .csv, or use --json")
    try:
        with output.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            table = csv.writer(file)
            table.writerow(list(records[0]) if records else ["rank", "score", "id", "product", "label", "path"])
            table.writerows(
                [safe_cell(str(cell)) if cell is not None else "" for cell in one.values()] for one in records
            )
    except OSError as error:
        raise FeatxError(
            "no-permission", f"cannot write `{output}`: {error.strerror}", "choose another place"
        ) from error
