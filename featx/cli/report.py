"""`featx report`: render the last comparison again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.large_stores import REPORT, say_cost_of_pairs
from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, pluralise, size
from featx.cli.stores import store_in_use
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.comparison.document import ComparisonDocument
    from featx.reporting import Changes, Written
    from featx.store import Store
    from featx.workspace import Workspace


def report(
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The report.json or comparison.json to render.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--format", metavar="NAMES", help="The formats to write.")
    ] = "html,md,json,png",
    against: Annotated[
        Path | None, typer.Option("--against", metavar="OLD", help="Show changes; exit with code 7 if a score fell.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write to.")
    ] = None,
    price: Annotated[
        float | None, typer.Option("--price-per-hour", min=0, help="The price of an hour of this machine.")
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Write the report of the last comparison again, without recomputing.

    Example: featx report --open
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.reporting import (
        ReportDocument,
        last,
        read_document,
        read_report,
        skipped_photos,
        write_again,
        write_report,
    )
    from featx.workspace import Workspace

    workspace = Workspace.here()
    source = source or last(workspace)
    document = read_document(source)
    old = None if against is None else read_report(against)
    chosen = [name.strip() for name in formats.split(",") if name.strip()]
    if isinstance(document, ReportDocument):
        written = write_again(source, folder=output, price_per_hour=price, formats=chosen, against=old)
    else:
        opened = _open_store(document, workspace, store, out)
        if opened is not None:
            advice = "compare on some of the products first: `featx compare --products 20000`"
            say_cost_of_pairs(opened, REPORT, advice, document.settings.get("products"), out)
        out.say("reading photos and drawing the map …")
        written = write_report(
            document,
            opened,
            root=workspace.root / "reports",
            folder=output,
            skipped=skipped_photos(workspace),
            price_per_hour=price,
            formats=chosen,
            audit=True,
            against=old,
            models=workspace.models,
        )
    changes = None if old is None else written.document.changes
    out.document(written.to_dict() | ({} if changes is None else {"changes": changes.to_dict()}))
    if written.page is not None:
        print_page(written, out)
    else:
        out.ok(f"written: {', '.join(str(path) for path in written.files[:4])}")
    if changes is not None:
        _show_changes(changes, out)
    if open_it and written.page is not None:
        typer.launch(written.page.resolve().as_uri())
    elif written.page is not None:
        out.next("featx report --open")
    if changes is not None and changes.fell:
        worse = ", ".join(changes.fell)
        raise FeatxError("below-limit", f"fell by more than chance since {against}: {worse}", "see what changed above")


def print_page(written: Written, out: Output) -> None:
    """Print the path of the page, its size, and what it omits."""
    out.ok(f"report: {written.page} ({size(written.bytes)})")
    pictures = written.document.pictures
    if pictures is not None and (missing := pictures.n_missing):
        out.warn(
            f"{pluralise(missing, 'photo')} could not be read again, and {'is' if missing == 1 else 'are'} not shown"
        )
    if written.left_out:
        out.say(f"  left out to keep it small: {'; '.join(written.left_out)}")


def _open_store(comparison: ComparisonDocument, workspace: Workspace, given: Path | None, out: Output) -> Store | None:
    from featx.reporting.sources import as_compared, path_of_store, store_of
    from featx.store import open_store

    if given is not None:
        return as_compared(open_store(store_in_use(given, out)), comparison)
    store = store_of(comparison)
    if store is None:
        name = path_of_store(comparison) or comparison.best.store
        out.warn(f"the store {name} is not here: the report goes without photos and map (name it with `--store`)")
    return store


def _show_changes(changes: Changes, out: Output) -> None:
    for note in changes.notes:
        out.warn(note)
    rows = [
        (
            change.metric,
            f"{change.old:.3f}",
            f"{change.new:.3f}",
            f"{change.difference:+.3f}",
            "fell" if change.fell else "rose" if change.rose else "by chance" if change.p is not None else "not known",
        )
        for change in [*changes.metrics, *changes.categories]
    ]
    if not out.json:
        out.records(("metric", "old", "new", "change", "verdict"), rows, right=("old", "new", "change"))
