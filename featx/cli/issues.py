"""`featx issues`: labels that are probably wrong, and decisions about them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, SeedOption, StoreOption, VerboseFlag
from featx.cli.output import Output, pluralise
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.audit import Issues
    from featx.store import Store

MOST = 20
TABLE = ("id", "product", "file", "says", "looks_like", "sure", "agree", "why", "decision", "new_label", "digest")


def issues(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a .csv file with an empty column for decisions.")
    ] = None,
    apply: Annotated[
        Path | None, typer.Option("--apply", metavar="CSV", help="Apply decisions: keep, change or exclude.")
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=50, help="Folds of the cross-validation.")] = 5,
    fail_over: Annotated[
        int | None, typer.Option("--fail-over", min=0, metavar="N", help="Exit with code 7 above N wrong labels.")
    ] = None,
    seed: SeedOption = 0,
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
    from featx.workspace import Workspace

    if output is not None and output.suffix.lower() != ".csv":
        raise FeatxError("bad-flag", f"cannot write `{output.suffix}` files", "end the name in .csv, or use --json")
    opened = open_store(Workspace.here().current_store(store))
    out.detail(f"store: {opened.path}")
    if apply is not None:
        if output is not None or fail_over is not None:
            raise FeatxError(
                "bad-flag",
                "`--apply` cannot be combined with other flags",
                "list what is left afterwards: `featx issues`",
            )
        _apply(apply, opened, out)
        return
    from featx.audit import find_issues

    with out.progress(folds, "issues", "folds") as advance:
        found = find_issues(opened, folds=folds, seed=seed, progress=advance)
    if output is not None:
        _write(found, output, out)
    else:
        _show(found, out)
    _remarks(found, out)
    if output is None and len(found):
        out.next("featx issues -o fixes.csv")
    if fail_over is not None and len(found) > fail_over:
        raise FeatxError(
            "below-limit", f"{pluralise(len(found), 'label looks', 'labels look')} wrong, more than {fail_over}", ""
        )


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


def _write(found: Issues, output: Path, out: Output) -> None:
    from featx.files.spreadsheet import write_table

    rows = [
        (
            one.item_id,
            one.product,
            one.path,
            one.says,
            one.looks_like,
            one.sure,
            f"{one.agree} of {one.neighbours}",
            one.why,
            "",
            one.looks_like,
            one.digest,
        )
        for one in found
    ]
    write_table(output, TABLE, rows)
    out.ok(f"wrote {pluralise(len(rows), 'row')} to {output}")
    if rows:
        out.say("  write keep, change or exclude into column `decision`; `change` uses the category in `new_label`")
        out.next(f"featx issues --apply {output}")


def _show(found: Issues, out: Output) -> None:
    shown = found.labels[:MOST] if out.for_people else found.labels
    share = f"{len(found) / found.n:.1%}"
    first = f"; the most certain {len(shown):,} of {len(found):,}:" if len(shown) < len(found) else ""
    out.headline(f"{len(found):,} of {found.n:,} labels look wrong ({share}){first}")
    # A photo that is its own product is named by its file already.
    product = not out.for_people or any(one.product != one.item_id for one in shown)
    rows = [
        (
            at,
            *((one.product,) if product else ()),
            one.says,
            one.looks_like,
            f"{one.sure:.2f}",
            f"{one.agree} of {one.neighbours}",
            one.path,
        )
        for at, one in enumerate(shown, start=1)
    ]
    named = ("product",) if product else ()
    columns = ("#", *named, "says", "looks like", "sure", "look-alikes\nthat agree", "file")
    everything = found.to_dict()
    kinds = (
        ("label", "labels"),
        ("leak", "leaks"),
        ("product", "products"),
        ("twins", "twins"),
        ("outlier", "outliers"),
    )
    records = [{"issue": kind, **one} for kind, name in kinds for one in everything[name]]
    if rows or out.json:
        out.records(columns, rows, records, right=["#", "sure"], paths=[*named, "file"])


def _remarks(found: Issues, out: Output) -> None:
    for one in found.twins[:5]:
        out.warn(f"{one.a} and {one.b} behave as one category: {one.a_as_b:.0%} and {one.b_as_a:.0%} are confused")
    if found.products:
        names = ", ".join(one.product for one in found.products[:5])
        out.warn(f"{pluralise(len(found.products), 'product has', 'products have')} photos in two categories: {names}")
    if found.leaks:
        out.warn(
            f"{pluralise(len(found.leaks), 'photo is', 'photos are')} in two splits: the test score is too good: "
            "`featx duplicates --across split`"
        )
    if found.outliers:
        names = ", ".join(one.path for one in found.outliers[:3])
        alike = pluralise(len(found.outliers), "photo is", "photos are")
        out.say(f"  {alike} unlike anything else: {names}" + (", …" if len(found.outliers) > 3 else ""))
    if found.not_judged:
        names = ", ".join(f"{name} ({n})" for name, n in list(found.not_judged.items())[:5])
        out.say(f"  too few photos to judge: {names}" + (", …" if len(found.not_judged) > 5 else ""))
