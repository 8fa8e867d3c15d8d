"""`featx compare`: which classifier and which backbone, and whether the difference is real."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.cli.columns import column_lines, leak_warnings
from featx.cli.completion import backbone_names, classifier_names
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
from featx.cli.output import Advance, Cell, Output, duration, percent, percent_range, pluralise, size
from featx.cli.stores import store_in_use
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.comparison import Comparison
    from featx.comparison.document import ComparedStore, ComparisonDocument, LearningPoint
    from featx.extraction import ExtractionEvents
    from featx.reporting import ReportDocument
    from featx.reporting.records import EntryRow
    from featx.store import Store
    from featx.workspace import Workspace


BAR = 10


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
    stores, clf, notes = _stores_to_compare(
        photos, _each_named(backbone or []), weights, store or [], minutes, test, clf, workspace, out
    )
    stores = _each_with(blocks or ["all"], stores)
    splits, others = held_out(test, stores)
    from featx.comparison import compare as run
    from featx.files.locks import one_writer

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
        _print(comparison, price, out)
        if comparison.document.columns is not None:
            out.result("")
            for line in column_lines(comparison.document.columns):
                out.result(line)
    if comparison.document.columns is not None:
        for warning in leak_warnings(comparison.document.columns):
            out.warn(warning)
    _print_summary(comparison.document, out)
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

    page = write_report(
        comparison,
        _best_store(comparison, stores),
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


def _each_named(backbones: list[str]) -> list[str]:
    """Backbones one by one; a comma after `@` is between the layers of one."""
    each = [name for names in backbones for name in ([names] if "@" in names else names.split(","))]
    return [name.strip() for name in each if name.strip()]


def _stores_to_compare(
    photos: str | None,
    backbones: list[str],
    weights: str | None,
    paths: list[Path],
    minutes: float | None,
    test: str,
    clf: list[str] | None,
    workspace: Workspace,
    out: Output,
) -> tuple[list[Store], list[str], list[str]]:
    """The stores, the classifiers to try on them, and notes on what was left out."""
    from featx.classifiers.kinds import COMPARED
    from featx.comparison.local_backbones import ALL_LOCAL, CLASSIFIER

    if ALL_LOCAL not in backbones:
        if minutes is not None:
            raise FeatxError(
                "bad-flag", f"`--minutes` works only with `-b {ALL_LOCAL}`", "add that, or leave `--minutes` out"
            )
        return _stores(photos, backbones, weights, paths, workspace, out), clf or list(COMPARED), []
    if photos is None or paths or weights is not None or len(backbones) > 1:
        raise FeatxError(
            "bad-flag",
            f"`-b {ALL_LOCAL}` needs photos to extract, and takes no other backbone, store or weights",
            f"run it alone: `featx compare data/train -b {ALL_LOCAL}`",
        )
    stores, notes = _local_stores(photos, minutes, test, workspace, out)
    return stores, clf or [CLASSIFIER], notes


def _local_stores(
    photos: str, minutes: float | None, test: str, workspace: Workspace, out: Output
) -> tuple[list[Store], list[str]]:
    from featx.catalogue.reading import read_catalogue
    from featx.cli.heldout import splits_and_stores
    from featx.comparison.local_backbones import cheap_first, extract_local

    catalogue, names = read_catalogue(photos), cheap_first()
    out.say(catalogue.describe())
    out.say(f"{pluralise(len(names), 'backbone')} whose weights are here: {', '.join(names)}")
    extracted = extract_local(
        catalogue,
        minutes=minutes,
        test=splits_and_stores(test)[0],
        workspace=workspace,
        listener=lambda name: _progress_of(name, out),
    )
    for store in extracted.stores:
        out.ok(f"features of {pluralise(len(store), 'photo')} in {store.path}")
    if extracted.stopped:
        out.warn("stopped: what was computed is kept")
        out.next("run the same command again to continue")
        raise typer.Exit(130)
    return extracted.stores, extracted.notes


def _progress_of(name: str, out: Output) -> ExtractionEvents:
    """Shows how far the extraction with a backbone is."""
    from featx.extraction import ExtractionEvents as Events

    class Narrator(Events):
        """A bar with the name of the backbone."""

        @contextmanager
        def progress(self, total: int) -> Iterator[Advance]:
            with out.progress(total, name) as advance:
                yield advance

    return Narrator()


def _stores(
    photos: str | None,
    backbones: list[str],
    weights: str | None,
    paths: list[Path],
    workspace: Workspace,
    out: Output,
) -> list[Store]:
    from featx.store import open_store

    if weights is not None and len(backbones) > 1:
        raise FeatxError(
            "bad-flag", "`--weights` belongs to one backbone, and several are named", "extract that one first"
        )
    if photos is None:
        if backbones or weights is not None:
            flag = "--backbone" if backbones else "--weights"
            raise FeatxError(
                "bad-flag", f"`{flag}` needs photos to extract", "name them: `featx compare data/train -b colour`"
            )
        return [open_store(store_in_use(path, out)) for path in (paths or (None,))]
    if paths:
        raise FeatxError("bad-flag", "photos and `--store` cannot be combined", "leave one of them out")
    from featx.extraction import extract

    stores = []
    for name in backbones or (None,):
        out.say(f"extracting {photos}" + (f" with {name}" if name else "") + " …")
        # Several cannot share the one file that FEATX_STORE may name.
        own = workspace.store_path(name) if name is not None and len(backbones or ()) > 1 else None
        stores.append(extract(photos, backbone=name, weights=weights, store=own))
        out.ok(f"features of {pluralise(len(stores[-1]), 'photo')} in {stores[-1].path}")
    return stores


def _each_with(blocks: list[str], stores: list[Store]) -> list[Store]:
    """Each store with each choice of its blocks."""
    return [store.with_blocks(block_names([names])) for store in stores for names in blocks]


def _print(comparison: Comparison, price: float | None, out: Output) -> None:
    document, rows = comparison.document, comparison.rows()
    out.headline(document.best.why)
    if not out.for_people:
        out.records(list(rows[0]), [_plain_cells(row) for row in rows])
    else:
        if len(document.stores) > 1:
            print_backbones(document, price, out)
        _print_tables(document, rows, out)
    if document.learning_curve:
        _print_curve(document.learning_curve, out)


def _print_summary(document: ComparisonDocument, out: Output) -> None:
    """Warnings to read before believing the table, on a terminal or not."""
    settings = document.settings
    if document.doubling:
        out.say(f"  {document.doubling.why}")
    for store in document.stores:
        _print_checks(store, document, out)
    if settings["left_out_of_folds"]:
        names = settings["left_out_of_folds"]
        few = pluralise(len(names), "category has", "categories have")
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        out.warn(f"{few} fewer than {settings['folds']} products: learned, but left out of the folds: {listed}")
    for note in document.notes:
        out.say(f"  {note}")


def print_backbones(document: ComparisonDocument, price: float | None, out: Output) -> None:
    """One row for each store: its best classifier, its look-alike search, its pace and cost."""
    from featx.reporting.formatting import NUMBER_FORMATS
    from featx.reporting.recommendation import which_of

    widths = {store.name: store.width for store in document.stores}
    alike = {name: quality.recall_at_1 for name, quality in (document.retrieval or {}).items()}
    best = {row.store: row for row in reversed(which_of(document, price).rows) if not row.baseline}
    table: list[list[Cell]] = []
    for row in sorted(best.values(), key=lambda row: -row.accuracy.value if row.accuracy else 0.0):
        recall = alike.get(row.store)
        table.append(
            [
                row.store,
                f"{widths[row.store]:,}",
                percent(row.accuracy.value if row.accuracy else None),
                percent(recall.value if recall else None),
                "–" if row.images_per_second is None else f"{row.images_per_second:,.0f}",
                "–" if row.hours_per_million is None else NUMBER_FORMATS["hours"](row.hours_per_million),
                *(
                    ["–" if row.cost_per_million is None else f"{row.cost_per_million:,.2f}"]
                    if price is not None
                    else []
                ),
                _standing_of(row),
            ]
        )
    costs = ["cost per million"] if price is not None else []
    columns = ["backbone", "numbers", "right", "first look-alike", "photos/s", "time per million", *costs, ""]
    out.result("")
    out.records(columns, table, right=columns[1:-1])
    out.result("")


def _standing_of(row: EntryRow) -> str:
    from featx.comparison.result import standing

    flags = {"best": row.best, "as_good": row.alike, "not_told_apart": row.tied, "below_baseline": row.below}
    return standing({**flags, "baseline": row.baseline})


def _print_tables(document: ComparisonDocument, rows: list[dict[str, Any]], out: Output) -> None:
    from featx.comparison.result import standing

    settings, several = document.settings, len(document.stores) > 1
    groups = f"{settings['groups']:,} groups of one product or near-certain copies, never split"
    repeated = f" × {settings['repeats']}" if settings["repeats"] > 1 else ""
    categories = len(document.stores[0].categories)
    out.result(
        f"{pluralise(settings['n_learn'], 'photo')} · {pluralise(categories, 'category', 'categories')}"
        f" · {settings['folds']} folds{repeated} · {groups}"
    )
    out.result("")
    held = settings["n_test"] > 0
    pairs = [
        (row["plain_accuracy"], row["cv_accuracy"]) for row in rows if row["plain_accuracy"] and row["cv_accuracy"]
    ]
    flattered = any(random > grouped + 0.005 for random, grouped in pairs)
    # Plain folds are worth a column where they promise too much, which the note below the table says.
    plain = flattered and any(row["plain_accuracy"] is not None for row in rows)
    coarse = any(row["coarse_accuracy"] is not None for row in rows)
    columns = [
        "classifier",
        *(["backbone"] if several else []),
        *(["held-out"] if held else ["folds"]),
        "95 % interval",
        *(["folds"] if held else []),
        *(["plain*"] if plain else []),
        *(["coarse"] if coarse else []),
        "macro F1",
        "",
    ]
    table: list[list[Cell]] = []
    for row in rows:
        side = "test" if held else "cv"
        table.append(
            [
                _shown_name(row),
                *([row["store"]] if several else []),
                percent(row[f"{side}_accuracy"]),
                percent_range(row[f"{side}_low"], row[f"{side}_high"]),
                *([percent(row["cv_accuracy"])] if held else []),
                *([percent(row["plain_accuracy"])] if plain else []),
                *([percent(row["coarse_accuracy"])] if coarse else []),
                percent(row["macro_f1"]),
                standing(row),
            ]
        )
    shares = [row[f"{'test' if held else 'cv'}_accuracy"] for row in rows]
    with_bars(columns, table, shares)
    out.records(columns, table, right=[name for name in columns if name not in ("classifier", "backbone", "")])
    if plain:
        out.result("* plain folds split the photos of one product: often reported, and too good to be true")
    out.result("")
    costs: list[list[Cell]] = [
        [
            row["clf"],
            *([row["store"]] if several else []),
            duration(row["fit_seconds"]),
            f"{1000 * row['predict_seconds']:.2f} ms",
            size(row["bytes"]),
        ]
        for row in rows
        if not row["baseline"]
    ]
    names = ["classifier", *(["backbone"] if several else []), "training", "per photo", "size"]
    out.records(names, costs, right=names[-3:])
    _print_verdicts(document, several, out)


def _shown_name(row: dict[str, Any]) -> str:
    """A classifier's name; the one that sees colours alone, and no other baseline of its store, is called so."""
    from featx.backbones.registry import baseline_name
    from featx.comparison.candidates import MOST_FREQUENT

    colours = row["baseline"] and row["store"] == baseline_name() and row["clf"] != MOST_FREQUENT
    return "colour only" if colours else str(row["clf"])


def with_bars(columns: list[str], table: list[list[Cell]], shares: list[float | None]) -> None:
    """A bar behind the score that rows are ordered by, where the terminal is wide enough for one."""
    from shutil import get_terminal_size

    from featx.cli.sparklines import bar

    widths = [max(len(str(row[i] or "–")) for row in table) for i in range(len(columns))]
    widths = [max(width, len(name)) for width, name in zip(widths, columns, strict=True)]
    room = get_terminal_size().columns - sum(widths) - 2 * len(columns)
    if room < BAR + 2:
        return
    position = columns.index("95 % interval")
    columns.insert(position, "")
    for row, share in zip(table, shares, strict=True):
        row.insert(position, bar(share, BAR))


def _print_verdicts(document: ComparisonDocument, several: bool, out: Output) -> None:
    best, held = document.best.name, bool(document.held_out_tests)
    lines = []
    for test in document.held_out_tests or document.tests:
        if best not in (test.a, test.b) or test.verdict == "tie":
            continue
        winner, loser = (test.a, test.b) if test.verdict == "a" else (test.b, test.a)
        low, high = sorted((abs(test.low or 0.0), abs(test.high or 0.0)))
        names = [f"{clf} on {store}" if several else clf for store, clf in (winner, loser)]
        chance = "< 0.001" if (test.p_holm or 0.0) < 0.001 else f"= {test.p_holm:.3f}"
        points = f"{100 * abs(test.difference):.1f} points ({100 * low:.1f} – {100 * high:.1f})"
        lines.append(f"{names[0]} is better than {names[1]} by {points}, p {chance}")
    if lines:
        out.result("")
    shown = lines if out.verbose else lines[:3]
    for line in shown:
        out.result(line)
    if len(lines) > len(shown):
        out.result(f"and better than {len(lines) - len(shown)} more (-v shows them)")
    where = "the same held-out photos" if held else "the same folds, corrected for their overlap"
    if lines:
        out.result(f"(paired tests on {where}; p is corrected for the number of tests)")


def _print_curve(curve: Sequence[LearningPoint], out: Output) -> None:
    if out.for_people:
        out.result("")
        from featx.cli.sparklines import bar

        rows: list[list[Cell]] = [
            [point.per_class, point.n, percent(point.accuracy.mean), bar(point.accuracy.mean, BAR)]
            for point in curve
            if point.accuracy
        ]
        columns = ["photos per category (at most)", "in all", "right", ""]
        out.records(columns, rows, right=columns[:-1])


def _print_checks(store: ComparedStore, document: ComparisonDocument, out: Output) -> None:
    lead = f"{store.name}: " if len(document.stores) > 1 else ""
    seen = "in training" if document.settings["n_test"] else "in the other folds"
    for check in store.checks:
        bad, share = check.level == "warning", check.share or 0.0
        if check.code == "FX101":
            out.say(f"  {lead}{percent(share, 0)} of the scored photos have a near-duplicate {seen} (cosine ≥ 0.95)")
            if bad:
                out.warn(
                    f"FX101: {lead}with so many near-duplicates the score is too good; trust photos from elsewhere"
                )
        elif check.code == "FX105" and bad:
            out.warn(f"FX105: {lead}no classifier is better than colours alone ({percent(share)})")
        elif check.code == "FX106" and bad:
            out.warn(f"FX106: {lead}the folds promise {100 * share:.0f} points more than held-out photos show")


def _plain_cells(row: dict[str, Any]) -> list[Cell]:
    return [str(value).lower() if isinstance(value, bool) else value for value in row.values()]
