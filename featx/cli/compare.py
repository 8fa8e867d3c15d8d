"""`featx compare`: which classifier and which backbone, and whether the difference is real."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.columns import column_lines, leak_warnings
from featx.cli.compared_stores import each_with, stores_to_compare
from featx.cli.comparison_tables import print_comparison, print_warnings
from featx.cli.completion import backbone_names, classifier_names
from featx.cli.large_stores import COMPARE, REPORT, say_cost_of_pairs
from featx.cli.options import (
    JsonFlag,
    QuietFlag,
    SeedOption,
    SentencesFlag,
    VerboseFlag,
    WeightsOption,
    WithOption,
    block_names,
)
from featx.cli.output import Output
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.comparison import Comparison
    from featx.reporting import ReportDocument
    from featx.store import Store
    from featx.workspace import Workspace


def compare(
    photos: Annotated[
        str | None, typer.Argument(metavar="[PHOTOS]", help="A folder or table of photos, extracted first.")
    ] = None,
    clf: Annotated[
        list[str] | None,
        typer.Option(
            "--clf",
            help="Classifiers, separated by commas; repeatable.",
            show_default="svm,logreg,lda,rf,knn",
            autocompletion=classifier_names,
        ),
    ] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option("--store", "-s", metavar="PATH", help="Stores to compare; repeatable.", show_default="current"),
    ] = None,
    backbone: Annotated[
        list[str] | None,
        typer.Option(
            "--backbone",
            "--backbones",
            "-b",
            help="With PHOTOS: backbones, separated by commas; repeatable. all-local: every one whose weights are "
            "here, and the joined sets that pay.",
            autocompletion=backbone_names,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0, help="With all-local: how long to extract; run it again to continue."),
    ] = None,
    price: Annotated[
        float | None,
        typer.Option("--price-per-hour", min=0, help="The price of an hour of this machine: adds costs per million."),
    ] = None,
    weights: WeightsOption = None,
    blocks: Annotated[
        list[str] | None,
        typer.Option(
            "--blocks",
            metavar="NAME,...|all",
            help="Parts of a joined backbone to compare; repeatable, each is a backbone of its own.",
            show_default="all",
        ),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=50, help="Folds of the cross-validation.")] = 5,
    repeats: Annotated[int, typer.Option("--repeats", min=1, max=20, help="Repetitions with new folds.")] = 1,
    group_col: Annotated[
        str | None, typer.Option("--group-col", metavar="COLUMN", help="Keep photos with the same value together.")
    ] = None,
    with_columns: WithOption = None,
    sentences: SentencesFlag = False,
    level: Annotated[
        str | None,
        typer.Option("--level", metavar="COLUMN|N", help="Compare on other categories: a column, or N path parts."),
    ] = None,
    coarse: Annotated[
        str | None, typer.Option("--coarse", metavar="COLUMN|N", help="Also score the answers at this coarser level.")
    ] = None,
    test: Annotated[
        str, typer.Option("--test", metavar="SPLIT|STORE", help="Hold out: splits, or another store.")
    ] = "test,val",
    products: Annotated[
        int | None,
        typer.Option("--products", metavar="N", min=100, help="Compare on about N of the products, drawn at random."),
    ] = None,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Measure accuracy against photos per category.")
    ] = False,
    colour: Annotated[
        bool, typer.Option("--colour/--no-colour", help="Include the baseline that sees colours alone.")
    ] = True,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write a .json or .csv file.")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Skip the report page, its map and its checks of labels and copies.")
    ] = False,
    seed: SeedOption = 0,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Compare classifiers and backbones, and say whether the difference is real.

    Example: featx compare --clf svm,logreg --folds 5
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.cli.heldout import held_out
    from featx.workspace import Workspace

    if output is not None and output.suffix.lower() not in (".json", ".csv"):
        raise FeatxError("bad-flag", f"cannot write `{output.suffix or output}` files", "end the name in .json or .csv")
    workspace = Workspace.here()
    stores, clf, notes = stores_to_compare(
        photos, backbone or [], weights, store or [], minutes, test, clf, workspace, out
    )
    stores = each_with(blocks or ["all"], stores)
    splits, others = held_out(test, stores)
    from featx.comparison import compare as run
    from featx.files.locks import one_writer

    advice = "compare on some of the products: `featx compare --products 20000`"
    say_cost_of_pairs(max(stores, key=len), COMPARE if fast else COMPARE + REPORT, advice, products, out)
    out.say(f"comparing on {', '.join(str(store.path) for store in stores)} · {folds} folds …")
    with out.progress(100, "compare", "percent") as advance:
        comparison = run(
            stores,
            clf,
            folds=folds,
            repeats=repeats,
            seed=seed,
            group=group_col,
            level=level,
            coarse=coarse,
            test=splits,
            test_stores=others,
            curve=learning_curve,
            colour=colour,
            columns=block_names(with_columns),
            sentences=sentences,
            products=products,
            cache=workspace.root / "cache" / "colour.npz",
            notes=notes,
            command=["featx", *sys.argv[1:]],
            progress=lambda done, total, note: advance(done * 100 // total, note),
        )
    workspace.make()
    reports = workspace.root / "reports"
    with one_writer(reports, "a comparison"):
        report = comparison.save(reports / "comparison.json")
    if output is not None:
        comparison.save(output)
    out.document(comparison.to_dict())
    if not json:
        print_comparison(comparison, price, out)
        if comparison.document.columns is not None:
            out.result("")
            for line in column_lines(comparison.document.columns):
                out.result(line)
    if comparison.document.columns is not None:
        for warning in leak_warnings(comparison.document.columns):
            out.warn(warning)
    print_warnings(comparison.document, out)
    out.ok(f"comparison saved: {report}" + (f" and {output}" if output is not None else ""))
    page = None if fast else _write_page(comparison, stores, workspace, price, out)
    if out.for_people:
        _print_answers(comparison, page, out)
    flag = workspace.flag_for(_best_store(comparison, stores).path)
    steps = [f"featx fit --clf {comparison.best.clf}{flag}", "featx report --open"]
    out.next("   ·   ".join([*steps, *_evaluation(_best_store(comparison, stores), others, flag)]))


def _evaluation(best: Store, others: Sequence[Store], flag: str) -> list[str]:
    """The command that scores a classifier on the held-out photos, if there are any."""
    from featx.labels.training_set import held_out_of

    alike = (other for other in others if not best.fingerprint.difference(other.fingerprint, "classify"))
    if scored := next(alike, None):
        return [f"featx evaluate --store {shlex.quote(str(scored.path))}"]
    return [f"featx evaluate{flag}"] if len(held_out_of(best)) else []


def _best_store(comparison: Comparison, stores: list[Store]) -> Store:
    pairs = zip(stores, comparison.document.stores, strict=True)
    return next(store for store, compared in pairs if compared.name == comparison.best.store)


def _write_page(
    comparison: Comparison, stores: list[Store], workspace: Workspace, price: float | None, out: Output
) -> ReportDocument:
    from featx.cli.report import print_page
    from featx.reporting import skipped_photos, write_report
    from featx.reporting.sources import as_compared

    page = write_report(
        comparison,
        as_compared(_best_store(comparison, stores), comparison.document),
        root=workspace.root / "reports",
        skipped=skipped_photos(workspace),
        price_per_hour=price,
        audit=True,
        models=workspace.models,
    )
    print_page(page, out)
    return page.document


def _print_answers(comparison: Comparison, page: ReportDocument | None, out: Output) -> None:
    """What the report says under its other headings, in a sentence each."""
    from featx.cli.sparklines import curve
    from featx.reporting import build_document, in_short

    # Without a page there are no photos to look at, and nothing was checked.
    document = page or build_document(comparison, Path())
    answers = in_short(document)
    out.result("")
    for section in ("fails", "trust", *(("data",) if page else ()), "similar"):
        if getattr(document, section):
            out.result(answers[section])
        if section == "trust" and document.trust:
            steps = [step for step in document.trust.reliability if step.n]
            bins = round(1 / (steps[0].high - steps[0].low)) if steps else 1
            right = {round(step.low * bins): step.accuracy for step in steps}
            out.result(f"  how often right, from 0 to 100% sure: |{curve([right.get(i) for i in range(bins)])}|")
