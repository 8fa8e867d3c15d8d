"""`featx report`: render the last comparison again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, pluralise, size
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.report import Changes, Written
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
    from featx.report import changes, newest, read_document, write_files, write_report
    from featx.workspace import Workspace

    workspace = Workspace.here()
    root = workspace.root / "reports"
    chosen = source or _last(root, newest(root))
    document = read_document(chosen)
    old = None if against is None else _old_report(against)
    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    beside = chosen if chosen.is_dir() else chosen.parent
    if document["schema"].startswith("featx-comparison/"):
        opened = _store_of(document, workspace, store, out)
        out.say("reading photos and drawing the map …")
        written = write_report(
            document,
            opened,
            root=root,
            folder=output,
            skipped=skipped_of(workspace),
            price_per_hour=price,
            formats=wanted,
            audit=True,
            against=old,
        )
    else:
        if price is not None:
            for row in document["which"]["rows"]:
                hours = row["hours_per_million"]
                row["cost_per_million"] = None if hours is None else hours * price
            document["which"]["price_per_hour"] = price
        if old is not None:
            document["changes"] = changes(old, document).to_dict()
        written = write_files(document, output or beside, wanted, pictures=beside)
    compared = None if old is None else changes(old, written.document)
    told = written.to_dict() | ({} if compared is None else {"changes": compared.to_dict()})
    out.document(told)
    if written.page is not None:
        say_page(written, out)
    else:
        out.ok(f"written: {', '.join(str(path) for path in written.files[:4])}")
    if compared is not None:
        _tell(compared, out)
    if open_it and written.page is not None:
        typer.launch(written.page.resolve().as_uri())
    elif written.page is not None:
        out.next("featx report --open")
    if compared is not None and compared.fell:
        worse = ", ".join(change.metric for change in compared.fell)
        raise FeatxError("below-limit", f"fell by more than chance since {against}: {worse}", "see what changed above")


def say_page(written: Written, out: Output) -> None:
    """Print where the page is, its size, and what it leaves out."""
    out.ok(f"report: {written.page} ({size(written.bytes)})")
    missing = (written.document.get("pictures") or {}).get("n_missing") or 0
    if missing:
        out.warn(
            f"{pluralise(missing, 'photo')} could not be read again, and {'is' if missing == 1 else 'are'} not shown"
        )
    if written.left_out:
        out.say(f"  left out to keep it small: {'; '.join(written.left_out)}")


def _last(root: Path, report: Path | None) -> Path:
    comparison = root / "comparison.json"
    if comparison.exists() and (report is None or comparison.stat().st_mtime > report.stat().st_mtime):
        return comparison
    if report is None:
        raise FeatxError("no-such-file", f"no comparison under `{root}` yet", "make one: `featx compare`")
    return report


def _old_report(path: Path) -> dict[str, Any]:
    from featx.report import read_document

    found = read_document(path)
    if not found["schema"].startswith("featx-report/"):
        raise FeatxError("bad-manifest", f"`{path}` is not a report", "name the report.json of an earlier report")
    return found


def _store_of(comparison: dict[str, Any], workspace: Workspace, given: Path | None, out: Output) -> Store | None:
    from featx.store import open_store

    name = comparison["best"]["store"]
    noted = next((one.get("path") for one in comparison["stores"] if one["name"] == name), None)
    if given is not None:
        return open_store(workspace.current_store(given))
    if noted and Path(noted).exists():
        return open_store(Path(noted))
    out.warn(f"the store {noted or name} is not here: the report goes without photos and map (name it with `--store`)")
    return None


def skipped_of(workspace: Workspace) -> list[dict[str, str]] | None:
    """The photos the last extraction could not use; None where that is unknown."""
    import csv

    try:
        with workspace.skipped_list.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        # An extraction that could use every photo leaves no list.
        return None if workspace.noted() is None else []
    except OSError:
        return None


def _tell(compared: Changes, out: Output) -> None:
    for note in compared.notes:
        out.warn(note)
    rows = [
        (
            change.metric,
            f"{change.old:.3f}",
            f"{change.new:.3f}",
            f"{change.difference:+.3f}",
            "fell" if change.fell else "rose" if change.rose else "by chance" if change.p is not None else "not known",
        )
        for change in [*compared.metrics, *compared.categories]
    ]
    if not out.json:
        out.records(("metric", "old", "new", "change", "verdict"), rows, right=("old", "new", "change"))
