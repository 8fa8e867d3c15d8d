"""`featx evaluate`: a saved classifier on pictures it never learned from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Cell, Output, pluralise
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.comparison.evaluate import Evaluation

SHOWN = 5
NAMES = {
    "accuracy": "right",
    "balanced_accuracy": "right, every category alike",
    "macro_f1": "macro F1",
    "top3": "right among its first 3",
    "top5": "right among its first 5",
    "log_loss": "log loss",
    "ece": "calibration error",
}


def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", "--clf", metavar="FILE|NAME", help="Which trained classifier.", show_default="newest"
        ),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", metavar="SPLIT", help="Which splits.", show_default="test and val")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the confusion matrix as a .csv file.")
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Score a saved classifier on pictures it never learned from.

    Example: featx evaluate --split test
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.cli.predict import model_path
    from featx.comparison.evaluate import evaluate as score
    from featx.store import open_store
    from featx.workspace import Workspace

    if output is not None and output.suffix.lower() != ".csv":
        raise FeatxError("bad-flag", f"cannot write `{output.suffix or output}` files", "end the name in .csv")
    workspace = Workspace.here()
    opened = open_store(workspace.current_store(store))
    path = model_path(model, workspace.models, opened.path)
    splits = [part.strip() for one in split or [] for part in one.split(",") if part.strip()]
    found = score(path, opened, splits or None)
    out.document({"model": str(path), **found.to_dict()})
    if not json:
        _print(found, path, out)
    if found.left_out:
        out.warn(f"{pluralise(found.left_out, 'picture')} it had learned from left out (same bytes)")
    if found.unknown:
        names = ", ".join(list(found.unknown)[:5])
        out.warn(
            f"{pluralise(sum(found.unknown.values()), 'picture')} of categories it never learned, always wrong: {names}"
        )
    if sum(bool(one["n"]) for one in found.details["per_class"]) == 1:
        out.warn("all these pictures are of one category: nothing is told apart in them, whatever the score")
    if found.unscored:
        names = ", ".join(found.unscored[:5]) + (", …" if len(found.unscored) > 5 else "")
        few = pluralise(len(found.unscored), "category has", "categories have")
        out.say(f"  {few} no picture here, and no part in what counts every category alike: {names}")
    if output is not None:
        _write(found, output)
        out.ok(f"wrote the confusion matrix to {output}")


def _print(found: Evaluation, path: Path, out: Output) -> None:
    classes = found.details["per_class"]
    where = " and ".join(found.splits) or "all pictures"
    out.headline(f"{path} on {pluralise(found.n, 'picture')} of {found.store} ({where})")
    out.headline("")
    for name, shown in NAMES.items():
        one = found.scores[name]
        if name in ("log_loss", "ece"):
            out.headline(f"{shown:<28} {one.value:6.3f}    ({one.low:.3f} – {one.high:.3f})")
        else:
            out.headline(f"{shown:<28} {one.value:6.1%}    ({one.low:.1%} – {one.high:.1%})")
    out.headline("")
    if not out.for_people:
        rows: list[list[Cell]] = [
            [round(cell, 4) if isinstance(cell, float) else cell for cell in one.values()] for one in classes
        ]
        out.records(["label", "n", "precision", "recall", "f1"], rows)
        return
    worst = sorted((one for one in classes if one["n"]), key=lambda one: (one["recall"], -one["n"]))
    shown_rows = worst if out.verbose else worst[:SHOWN]
    table: list[list[Cell]] = [
        [one["label"], one["n"], f"{one['precision']:.0%}", f"{one['recall']:.0%}", f"{one['f1']:.0%}"]
        for one in shown_rows
    ]
    columns = ["weakest categories", "pictures", "precision", "recall", "F1"]
    out.records(columns, table, right=columns[1:])
    if len(worst) > len(shown_rows):
        out.result(f"{len(worst) - len(shown_rows)} more (-v shows every category)")
    if found.details["confusions"]:
        out.result("")
        pairs: list[list[Cell]] = [
            [one["truth"], one["says"], one["n"], one["examples"][0]] for one in found.details["confusions"][:SHOWN]
        ]
        out.records(["is", "taken for", "times", "for example"], pairs, right=["times"], paths=["for example"])


def _write(found: Evaluation, output: Path) -> None:
    from featx.files.atomic import atomic_text_writer
    from featx.files.spreadsheet import TableWriter

    classes = found.details["classes"]
    with atomic_text_writer(output) as file:
        table = TableWriter(file)
        table.row(["is \\ says", *classes])
        table.rows([label, *row] for label, row in zip(classes, found.matrix.tolist(), strict=True))
