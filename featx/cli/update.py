"""`featx update`: the nightly work in one command."""

from __future__ import annotations

from typing import Annotated

import typer

from featx.cli.completion import backbone_names
from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag, WeightsOption
from featx.cli.output import Output, duration, pluralise

# Not an error: photos are waiting for a person.
NEEDS_A_LOOK = 8


def update(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="A folder or table of photos.", show_default="that of the store"),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            "-b",
            help="The network: chooses its store.",
            show_default="current",
            autocompletion=backbone_names,
        ),
    ] = None,
    weights: WeightsOption = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove photos that are gone.")] = False,
    most: Annotated[int, typer.Option("-n", "--number", min=1, help="Maximum number of photos on the page.")] = 200,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Extract, train again, predict what is new: the nightly run.

    Exits with 8 where new photos need a look.

    Example: featx update data/train
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.cli.extract_progress import narrator
    from featx.prediction.update import update as run

    report = run(
        source,
        store=store,
        backbone=backbone,
        weights=weights,
        prune=prune,
        most=most,
        listener=narrator(out),
        on_stage=lambda stage: out.detail(f"{stage} …"),
    )
    out.document(report.to_dict())
    first, *rest = report.lines()
    out.ok(f"{first} ({duration(report.seconds)})")
    for line in rest:
        out.say(f"  {line}")
    if report.gone:
        gone, them = pluralise(report.gone, "photo has", "photos have"), "it" if report.gone == 1 else "them"
        out.warn(f"{gone} left the disk or the table, but not the store: `featx update --prune` removes {them}")
    if report.skipped:
        out.warn(f"{pluralise(report.skipped, 'file')} could not be read (list: artifacts/skipped.csv)")
    if report.review:
        raise typer.Exit(NEEDS_A_LOOK)
