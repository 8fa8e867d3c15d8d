"""`featx duplicates`: photos that are identical or nearly so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.large_stores import DUPLICATES, say_cost_of_pairs
from featx.cli.options import (
    BlocksOption,
    ColumnsOption,
    HtmlOption,
    JsonFlag,
    QuietFlag,
    StoreOption,
    VerboseFlag,
    block_names,
)
from featx.cli.output import Cell, Output, percent, pluralise
from featx.cli.stores import store_in_use
from featx.errors import FeatxError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from featx.audit import Duplicates
    from featx.catalogue.own_columns import Value
    from featx.store import Store

MOST = 20
# Files of one group that a table names.
EACH = 5
ENOUGH = 30


def duplicates(
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score", metavar="0–1", help="The lowest similarity of near copies.", show_default="from the data"
        ),
    ] = None,
    across: Annotated[
        str | None, typer.Option("--across", metavar="label|split", help="Only groups with two labels or two splits.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all groups to a .csv file.")] = None,
    columns: ColumnsOption = None,
    html: HtmlOption = None,
    most: Annotated[
        int, typer.Option("-n", "--number", min=1, help="With --html: maximum number of photos on the page.")
    ] = 200,
    fail_over: Annotated[
        int | None, typer.Option("--fail-over", min=0, metavar="N", help="Exit with code 7 above N groups.")
    ] = None,
    blocks: BlocksOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List photos that are identical or nearly so.

    Example: featx duplicates --across split
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.audit import find_duplicates
    from featx.audit.duplicates import COLUMNS
    from featx.cli.decisions import decided_labels
    from featx.cli.own_columns import requested_columns
    from featx.files.spreadsheet import write_table
    from featx.store import open_store

    if output is not None and output.suffix.lower() != ".csv":
        raise FeatxError(
            "bad-flag", f"cannot write `{output.suffix or output}` files", "end the name in .csv, or use --json"
        )
    opened = open_store(store_in_use(store, out), block_names(blocks))
    out.detail(f"store: {opened.path}")
    requested = requested_columns(columns, opened.own_columns)
    decided_labels(opened, out)
    say_cost_of_pairs(opened, DUPLICATES, "a store of one department is sooner done", None, out)
    with out.progress(len(opened), "duplicates") as advance:
        result = find_duplicates(
            opened,
            min_score=min_score,
            across=across,
            choose_blocks=blocks is None,
            progress=lambda done, _: advance(done),
        )
    if output is not None:
        write_table(output, COLUMNS, result.rows())
        out.ok(f"wrote {pluralise(result.pictures, 'row')} to {output}")
    if html is not None:
        from featx.audit.sheets import duplicates_sheet
        from featx.cli.sheets import write_sheet

        write_sheet(html, duplicates_sheet(result, opened, most), out)
    if output is None and html is None:
        _show(result, across, opened, requested, out)
    _remarks(result, out)
    if result.left_out:
        out.say(f"  {_within(result.left_out, across)}; without `--across` they are listed")
    if fail_over is not None and len(result) > fail_over:
        raise FeatxError(
            "below-limit", f"{pluralise(len(result), 'group')} of copies, more than the limit of {fail_over}", ""
        )


def _within(groups: int, across: str | None) -> str:
    """The groups that `--across` leaves out, in words."""
    kind = "category" if across == "label" else "split"
    return f"{pluralise(groups, 'group of copies lies', 'groups of copies lie')} within one {kind}"


def _show(result: Duplicates, across: str | None, store: Store, requested: list[str] | None, out: Output) -> None:
    from featx.cli.own_columns import OwnColumns

    same = sum(len(group.pictures) for group in result if group.kind == "same file")
    groups, pictures = pluralise(len(result), "group"), pluralise(result.pictures, "photo")
    kinds = f": {same:,} are the same file, {result.pictures - same:,} nearly the same"
    none = {"label": "no copies in two categories", "split": "no copies in two splits"}
    out.headline(f"{groups}, {pictures}{kinds}" if len(result) else none.get(across or "", "no duplicates"))
    shown = result.groups[:MOST] if out.for_people else result.groups
    rows: list[list[Cell]] = []
    own: list[Mapping[str, Value]] = []
    row_of = {item_id: row for row, item_id in enumerate(store.ids)}
    for number, group in enumerate(shown, start=1):
        about: list[Cell] = [number, group.kind, f"{group.score:.3f}", len(group.pictures), ", ".join(group.labels)]
        files = [photo.path for photo in group.pictures]
        if not out.for_people:
            rows.append([*about, *files])
            own.append(store.own_row(row_of[group.pictures[0].item_id]))
            continue
        more = [f"… {len(files) - EACH:,} more"] if len(files) > EACH else []
        rows.append([*about, files[0]])
        rows += [["", "", "", "", "", file] for file in [*files[1:EACH], *more]]
        own += [store.own_row(row_of[photo.item_id]) for photo in group.pictures[:EACH]]
        own += [{} for _ in more]
    if rows:
        columns = ("group", "kind", "score", "photos", "categories", "file" if out.for_people else "files")
        records = [{"group": number, **group.to_dict()} for number, group in enumerate(shown, start=1)]
        out.records(
            columns,
            rows,
            records,
            right=["group", "score", "photos"],
            paths=columns[-1:],
            own=OwnColumns(own, requested),
        )
    if len(result) > len(shown):
        out.say(f"  … {len(result) - len(shown):,} more (-o dupes.csv writes all)")


def _remarks(result: Duplicates, out: Output) -> None:
    trust = result.trust
    pairs = pluralise(trust.alike, "pair")
    agree = f"{trust.agreed:,} {'agrees' if trust.agreed == 1 else 'agree'}"
    share = ""
    if trust.precision is not None:
        # With so few pairs the estimate says all of them are copies whenever none happens to just miss the limit.
        few = "; too few to estimate how many are copies"
        share = few if trust.agreed < ENOUGH else f", and by estimate {percent(trust.precision, 0)} of those are copies"
    if trust.alike:
        out.say(f"  cosine ≥ {result.min_score:g}: {pairs}, of which {agree} in a comparison of the pixels{share}")
    else:
        out.say(f"  cosine ≥ {result.min_score:g}: no two different files are this similar")
    if result.unreadable:
        gone = pluralise(result.unreadable, "photo")
        out.warn(f"{gone} could not be read again; there a cosine of 0.99 or more counts as a copy")
    labels, splits = (sum(len(names) > 1 for names in listed) for listed in _labels_and_splits(result))
    if labels:
        out.warn(f"{pluralise(labels, 'group has', 'groups have')} two different categories: one of them is wrong")
    if splits:
        out.warn(f"{pluralise(splits, 'group is', 'groups are')} in two splits: the test score is too good")
    products = sum(len(group.products) > 1 for group in result)
    if products:
        out.say(f"  {pluralise(products, 'group shows', 'groups show')} one photo under two product ids")


def _labels_and_splits(result: Duplicates) -> tuple[list[list[str]], list[list[str]]]:
    return [group.labels for group in result], [group.splits for group in result]
