"""`featx evaluate`: a saved classifier on photos it never learned from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Cell, Output, percent, percent_range, pluralise
from featx.cli.stores import store_in_use
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.comparison.evaluate import Evaluation

SHOWN = 5
NAMES = {
    "accuracy": "right",
    "balanced_accuracy": "right, categories equal",
    "macro_f1": "macro F1",
    "top3": "right within the first 3",
    "top5": "right within the first 5",
    "log_loss": "log loss",
    "ece": "calibration error",
}


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", "--clf", metavar="FILE|NAME", help="The saved classifier to score.", show_default="newest"
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option("--split", metavar="SPLIT", help="The splits to score.", show_default="test and val"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the confusion matrix as a .csv file.")
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Score a saved classifier on photos it never learned from.

    Example: featx evaluate --split test
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.classifiers.registry import find_classifier
    from featx.comparison.evaluate import evaluate as score
    from featx.store import open_store
    from featx.workspace import Workspace

    if output is not None and output.suffix.lower() != ".csv":
        raise FeatxError("bad-flag", f"cannot write `{output.suffix or output}` files", "end the name in .csv")
    workspace = Workspace.here()
    opened = open_store(store_in_use(store, out))
    path = find_classifier(model, workspace.models, opened.path)
    splits = [part.strip() for names in split or [] for part in names.split(",") if part.strip()]
    evaluation = score(path, opened, splits or None)
    out.document({"model": str(path), **evaluation.to_dict()})
    if not json:
        _print(evaluation, path, out)
    if evaluation.left_out:
        out.warn(f"{pluralise(evaluation.left_out, 'photo')} with the same bytes as a training photo left out")
    if evaluation.unknown:
        names = ", ".join(list(evaluation.unknown)[:5])
        unknown = pluralise(sum(evaluation.unknown.values()), "photo")
        out.warn(f"{unknown} of categories it never learned, always wrong: {names}")
    if sum(bool(row.n) for row in evaluation.details.per_class) == 1:
        out.warn("all these photos are of one category: with nothing to confuse, the score says little")
    if evaluation.unscored:
        names = ", ".join(evaluation.unscored[:5]) + (", …" if len(evaluation.unscored) > 5 else "")
        few = pluralise(len(evaluation.unscored), "category has", "categories have")
        out.say(f"  {few} no photo here, and no part in the scores that weight categories equally: {names}")
    if output is not None:
        _write(evaluation, output)
        out.ok(f"wrote the confusion matrix to {output}")


def _print(evaluation: Evaluation, path: Path, out: Output) -> None:
    from featx.cli.automation import automation_lines
    from featx.comparison.json_values import to_plain

    classes, confusions = evaluation.details.per_class, evaluation.details.confusions
    where = " and ".join(evaluation.splits) or "all photos"
    out.headline(f"{path} on {pluralise(evaluation.n, 'photo')} of {evaluation.store} ({where})")
    out.headline("")
    for name, shown in NAMES.items():
        score = evaluation.scores[name]
        if name in ("log_loss", "ece"):
            out.headline(f"{shown:<28} {score.value:6.3f}    ({score.low:.3f} – {score.high:.3f})")
        else:
            out.headline(f"{shown:<28} {percent(score.value):>6}    ({percent_range(score.low, score.high)})")
    for line in automation_lines(to_plain(evaluation.details.automation)):
        out.headline(line)
    out.headline("")
    if not out.for_people:
        rows: list[list[Cell]] = [
            [round(cell, 4) if isinstance(cell, float) else cell for cell in to_plain(row).values()] for row in classes
        ]
        out.records(["label", "n", "precision", "recall", "f1"], rows)
        return
    worst = sorted((row for row in classes if row.n), key=lambda row: (row.recall or 0.0, -row.n))
    shown_rows = worst if out.verbose else worst[:SHOWN]
    table: list[list[Cell]] = [
        [row.label, row.n, percent(row.precision, 0), percent(row.recall, 0), percent(row.f1, 0)] for row in shown_rows
    ]
    columns = ["weakest categories", "photos", "precision", "recall", "F1"]
    out.records(columns, table, right=columns[1:])
    if len(worst) > len(shown_rows):
        out.result(f"{len(worst) - len(shown_rows)} more (-v shows every category)")
    if confusions:
        out.result("")
        pairs: list[list[Cell]] = [[pair.truth, pair.says, pair.n, pair.examples[0]] for pair in confusions[:SHOWN]]
        out.records(["is", "taken for", "times", "for example"], pairs, right=["times"], paths=["for example"])


def _write(evaluation: Evaluation, output: Path) -> None:
    from featx.files.atomic import atomic_text_writer
    from featx.files.spreadsheet import TableWriter

    classes = evaluation.details.classes
    with atomic_text_writer(output) as file:
        table = TableWriter(file)
        table.row(["is \\ says", *classes])
        table.rows([label, *row] for label, row in zip(classes, evaluation.matrix.tolist(), strict=True))
