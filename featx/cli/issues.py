"""`featx issues`: labels that are probably wrong, and decisions about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.large_stores import ISSUES, say_cost_of_pairs
from featx.cli.options import (
    BlocksOption,
    ColumnsOption,
    HtmlOption,
    JsonFlag,
    QuietFlag,
    SeedOption,
    StoreOption,
    VerboseFlag,
    block_names,
)
from featx.cli.output import Output, in_percent, percent, pluralise
from featx.cli.stores import store_in_use
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.audit import Issues
    from featx.store import Store

MOST = 20
TABLE = ("id", "product", "path", "says", "looks_like", "sure", "agree", "why", "decision", "new_label", "digest")


def issues(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a .csv file with an empty column for decisions.")
    ] = None,
    columns: ColumnsOption = None,
    html: HtmlOption = None,
    apply: Annotated[
        Path | None, typer.Option("--apply", metavar="CSV", help="Apply decisions: keep, change or exclude.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("-n", min=1, metavar="N", help="List the N labels that are most likely wrong."),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=50, help="Folds of the cross-validation.")] = 5,
    fail_over: Annotated[
        int | None, typer.Option("--fail-over", min=0, metavar="N", help="Exit with code 7 above N wrong labels.")
    ] = None,
    products: Annotated[
        int | None,
        typer.Option("--products", metavar="N", min=100, help="Look at about N of the products, drawn at random."),
    ] = None,
    seed: SeedOption = 0,
    blocks: BlocksOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List photos whose category is probably wrong; apply decisions.

    Example: featx issues -o fixes.csv
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.store import open_store

    if output is not None and output.suffix.lower() != ".csv":
        raise FeatxError(
            "bad-flag", f"cannot write `{output.suffix or output}` files", "end the name in .csv, or use --json"
        )
    opened = open_store(store_in_use(store, out), block_names(blocks))
    out.detail(f"store: {opened.path}")
    if apply is not None:
        if output is not None or html is not None or fail_over is not None or n is not None or products is not None:
            raise FeatxError(
                "bad-flag",
                "`--apply` cannot be combined with other flags",
                "list what is left afterwards: `featx issues`",
            )
        _apply(apply, opened, out)
        return
    from featx.audit import find_issues
    from featx.cli.own_columns import requested_columns

    requested = requested_columns(columns, opened.own_columns)
    say_cost_of_pairs(opened, ISSUES, "look at some of the products: `featx issues --products 10000`", products, out)
    with out.progress(100, "issues", "percent") as advance:
        result = find_issues(opened, n=n, folds=folds, seed=seed, products=products, progress=in_percent(advance))
    if output is not None:
        _write(result, list(opened.own_columns), output, out)
    if html is not None:
        from featx.audit.sheets import issues_sheet
        from featx.cli.sheets import write_sheet
        from featx.views.sheet import MOST as ON_A_SHEET

        write_sheet(html, issues_sheet(result, opened, n or ON_A_SHEET), out)
    if output is None and html is None:
        _show(result, out, requested, everything=n is not None)
    _remarks(result, out)
    if output is None and html is None and len(result):
        out.next("featx issues --html issues.html   ·   featx issues -o fixes.csv")
    if fail_over is not None and result.suspected > fail_over:
        wrong = pluralise(result.suspected, "label looks", "labels look")
        raise FeatxError("below-limit", f"{wrong} wrong, more than {fail_over}", "")


def _apply(table: Path, store: Store, out: Output) -> None:
    from featx.labels.decisions import record, where

    counts = record(table, store)
    changed, excluded, kept, left = (counts[name] for name in ("change", "exclude", "keep", "open"))
    document = {"changed": changed, "excluded": excluded, "kept": kept, "undecided": left, "fixes": str(where())}
    out.document(document)
    if not changed + excluded + kept:
        out.warn(f"{table} contains no decision: write keep, change or exclude into column `decision`")
        return
    rest = f", {left:,} left open" if left else ""
    out.ok(f"{changed:,} relabelled, {excluded:,} excluded, {kept:,} kept{rest} ({where()})")
    out.say("  photos were not touched; to undo, delete lines from that file")
    out.next("featx fit")


def _write(result: Issues, own: list[str], output: Path, out: Output) -> None:
    from featx.catalogue.own_columns import written_names
    from featx.files.spreadsheet import write_table

    rows = [
        (
            issue.item_id,
            issue.product,
            issue.path,
            issue.label,
            issue.looks_like,
            issue.probability,
            f"{issue.agree} of {issue.neighbours}",
            issue.why,
            "",
            issue.looks_like,
            issue.digest,
            *(issue.columns.get(heading) for heading in own),
        )
        for issue in result
    ]
    write_table(output, [*TABLE, *written_names(own, TABLE).values()], rows)
    out.ok(f"wrote {pluralise(len(rows), 'row')} to {output}")
    if rows:
        out.say("  write keep, change or exclude into column `decision`; `change` uses the category in `new_label`")
        out.next(f"featx issues --apply {output}")


def _in_short(result: Issues, shown: int) -> str:
    """How many labels look wrong, the share of these that is expected to be, and how many are listed."""
    share = percent(result.suspected / result.n)
    expected = "" if result.precision is None else f"; expected precision {percent(result.precision, 0)}"
    first = f"; the likeliest {shown:,}:" if shown != result.suspected else ""
    return f"{result.suspected:,} of {result.n:,} labels look wrong ({share}){expected}{first}"


def _show(result: Issues, out: Output, requested: list[str] | None, *, everything: bool) -> None:
    from featx.cli.own_columns import OwnColumns

    shown = result.labels if everything or not out.for_people else result.labels[:MOST]
    out.headline(_in_short(result, len(shown)))
    # A photo that is its own product is named by its file already.
    product = not out.for_people or any(issue.product != issue.item_id for issue in shown)
    rows = [
        (
            rank,
            *((issue.product,) if product else ()),
            issue.label,
            issue.looks_like,
            f"{issue.probability:.2f}",
            f"{issue.agree} of {issue.neighbours}",
            issue.path,
        )
        for rank, issue in enumerate(shown, start=1)
    ]
    named = ("product",) if product else ()
    columns = ("#", *named, "says", "looks like", "sure", "look-alikes\nthat agree", "file")
    listed = result.to_dict()
    kinds = (
        ("label", "labels"),
        ("leak", "leaks"),
        ("product", "products"),
        ("twins", "twins"),
        ("outlier", "outliers"),
    )
    records = [{"issue": kind, **issue} for kind, name in kinds for issue in listed[name]]
    own = OwnColumns([issue.columns for issue in shown], requested)
    if rows or out.json:
        out.records(columns, rows, records, right=["#", "sure"], paths=[*named, "file"], own=own)


def _remarks(result: Issues, out: Output) -> None:
    for pair in result.twins[:5]:
        shares = f"{percent(pair.a_as_b, 0)} and {percent(pair.b_as_a, 0)}"
        out.warn(f"{pair.a} and {pair.b} behave as one category: {shares} are confused")
    if result.products:
        names = ", ".join(mixed.product for mixed in result.products[:5])
        out.warn(f"{pluralise(len(result.products), 'product has', 'products have')} photos in two categories: {names}")
    if result.leaks:
        out.warn(
            f"{pluralise(len(result.leaks), 'photo is', 'photos are')} in two splits: the test score is too good: "
            "`featx duplicates --across split`"
        )
    if result.outliers:
        names = ", ".join(outlier.path for outlier in result.outliers[:3])
        photos = pluralise(len(result.outliers), "photo is", "photos are")
        out.say(f"  {photos} unlike anything else: {names}" + (", …" if len(result.outliers) > 3 else ""))
    if result.seen:
        out.warn(result.seen)
    if result.not_judged:
        names = ", ".join(f"{name} ({n})" for name, n in list(result.not_judged.items())[:5])
        out.say(f"  too few photos to judge: {names}" + (", …" if len(result.not_judged) > 5 else ""))
