"""`featx suggest`: which photos to label next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli.options import ClassifierOption, ColumnsOption, HtmlOption, JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, pluralise
from featx.cli.stores import store_in_use


def suggest(
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many photos to list.")] = 50,
    clf: ClassifierOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a .csv, .tsv, .json or .jsonl file.")
    ] = None,
    columns: ColumnsOption = None,
    html: HtmlOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """List the unlabelled photos whose label would teach the classifier most.

    Example: featx suggest -n 50 -o to-label.csv
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.catalogue.own_columns import written_names
    from featx.catalogue.table_columns import SUGGESTED
    from featx.classifiers.model import load_classifier
    from featx.classifiers.registry import find_classifier
    from featx.cli.output_files import check_suffix, write_records
    from featx.cli.own_columns import OwnColumns, requested_columns
    from featx.cli.sheets import write_sheet
    from featx.labels.decisions import categories_of
    from featx.prediction.sheets import suggestions_sheet
    from featx.prediction.suggest import suggest as find
    from featx.prediction.suggest import undecided_rows
    from featx.store import open_store
    from featx.workspace import Workspace

    if output is not None:
        check_suffix(output)
    workspace = Workspace.here()
    opened = open_store(store_in_use(store, out))
    requested = requested_columns(columns, opened.own_columns)
    path = find_classifier(clf, workspace.models, opened.path)
    model = load_classifier(path)
    out.detail(f"{model!r} from {path}")
    suggestions = find(opened, model, n)
    records = [suggestion.to_dict() for suggestion in suggestions]
    if output is not None:
        # The empty column is where the person writes the category; then the file is a table `featx extract` reads.
        ours = ["path", "label", *SUGGESTED]
        header = [*ours, *written_names(suggestions[0].columns if suggestions else (), ours).values()]
        count = write_records(output, header, records)
        out.ok(f"wrote {pluralise(count, 'row')} to {output}")
        here = Path.cwd()
        if output.parent.resolve() != here and any(
            not Path(suggestion.path).is_absolute() for suggestion in suggestions
        ):
            out.warn(f"its paths are relative to {here}: move the table there before `featx extract` reads it")
    if html is not None:
        write_sheet(html, suggestions_sheet(suggestions, categories_of(opened), len(undecided_rows(opened))), out)
    if output is None and html is None:
        out.records(
            ["#", "file", "says", "sure", "or"],
            [
                [i, suggestion.path, suggestion.says, f"{suggestion.sure:.2f}", suggestion.instead]
                for i, suggestion in enumerate(suggestions, start=1)
            ],
            records,
            right=["#", "sure"],
            paths=["file"],
            own=OwnColumns([suggestion.columns for suggestion in suggestions], requested),
        )
    without = len(undecided_rows(opened))
    if without:
        out.say(f"  {len(suggestions):,} of {pluralise(without, 'photo')} without a category")
    else:
        out.say(f"  all {pluralise(len(opened), 'photo')} in {opened.path} have a category")
