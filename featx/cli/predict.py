"""`featx predict`: the category of new photos."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import (
    ClassifierOption,
    ColumnsOption,
    DeviceOption,
    HtmlOption,
    JsonFlag,
    QuietFlag,
    StoreOption,
    VerboseFlag,
    WeightsPlaceOption,
)
from featx.cli.output import Output, percent, percent_range, pluralise
from featx.cli.stores import name_other_store
from featx.compute.threads import cores
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.catalogue.items import Catalogue
    from featx.classifiers.card import Card
    from featx.classifiers.model import Classifier
    from featx.prediction.predict import Prediction, Predictor
    from featx.prediction.review import DecisionRule
    from featx.workspace import Workspace

MANY = 1000


def predict(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Photos, folders, tables, or - for paths on stdin.")
    ],
    clf: ClassifierOption = None,
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="How many categories to list.")] = 1,
    views: Annotated[
        int,
        typer.Option("--views", min=1, max=64, help="Average over this many flips and crops of each photo."),
    ] = 1,
    sure: Annotated[
        float | None,
        typer.Option(
            "--sure",
            "--min-confidence",
            min=0,
            max=1,
            help="Mark answers below this confidence.",
            show_default="as measured by fit",
        ),
    ] = None,
    coverage: Annotated[
        float | None, typer.Option("--coverage", min=0.1, max=1, help="Answer the most confident share; mark the rest.")
    ] = None,
    min_precision: Annotated[
        float | None,
        typer.Option(
            "--min-precision", min=0.5, max=0.99, help="Use thresholds per category that keep this share right."
        ),
    ] = None,
    any_photo: Annotated[
        bool, typer.Option("--any", help="Also answer for photos unlike anything in training.")
    ] = False,
    sort_into: Annotated[
        Path | None, typer.Option("--sort-into", metavar="DIR", help="Copy the photos into category folders.")
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="With --sort-into: hard links instead of copies.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="With --sort-into: only show what would be done.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write a .csv, .tsv, .json or .jsonl file.")
    ] = None,
    columns: ColumnsOption = None,
    html: HtmlOption = None,
    most: Annotated[
        int, typer.Option("--number", min=1, help="With --html: maximum number of photos on the page.")
    ] = 200,
    weights: WeightsPlaceOption = None,
    device: DeviceOption = "auto",
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Predict the category of photos, with confidence.

    Example: featx predict new/*.jpg --sure 0.9
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    given = {"--sure": sure, "--coverage": coverage, "--min-precision": min_precision}
    twice = [f"`{name}`" for name, value in given.items() if value is not None]
    if len(twice) > 1:
        raise FeatxError("bad-flag", f"{' and '.join(twice)} both set the threshold", "use one of them")
    if sort_into is None and (link or dry_run):
        raise FeatxError("bad-flag", "`--link` and `--dry-run` need `--sort-into`", "name a folder to sort into")
    from featx.catalogue.items import Item
    from featx.cli.output_files import check_suffix, write_records
    from featx.cli.own_columns import requested_columns
    from featx.prediction.predict import no_prediction
    from featx.prediction.review import decision_rule
    from featx.prediction.sheets import MostUrgent

    if output is not None:
        check_suffix(output)
    catalogue = _requested(images)
    for note in catalogue.notes:
        out.warn(note)
    requested = requested_columns(columns, catalogue.columns)
    predictor = _predictor(clf, store, device, top, views, weights, out)
    if sort_into is not None:
        from featx.prediction.sort_folders import require_distinct_folders

        require_distinct_folders(predictor.model.classes, sort_into)
    card = predictor.model.card
    rule = decision_rule(card, sure=sure, coverage=coverage, min_precision=min_precision, unlike=not any_photo)
    if coverage is not None:
        _print_coverage(card, coverage, out)
    if min_precision is not None:
        _print_promise(card, min_precision, out)
    seen = _Seen(rule)
    urgent = MostUrgent(most)
    predictions = seen.watch(_run(predictor, catalogue, rule, out))
    if html is not None:
        predictions = urgent.watch(predictions)
    if sort_into is not None:
        _sort(predictions, sort_into, out, link=link, dry_run=dry_run)
    elif output is not None:
        own = dict.fromkeys(catalogue.columns)
        header = no_prediction(rule, Item("", "", extra=own)).to_cells(top)
        count = write_records(output, list(header), (prediction.to_cells(top) for prediction in predictions))
        out.ok(f"wrote {pluralise(count, 'row')} to {output}")
    else:
        _show(predictions, out, top, requested)
    if html is not None:
        from featx.cli.sheets import write_sheet

        write_sheet(html, urgent.sheet(predictor.model.classes), out)
    seen.report(out, predictor)


def _print_coverage(card: Card, coverage: float, out: Output) -> None:
    from featx.metrics.selective import format_threshold
    from featx.prediction.review import limit_for

    limit, bought = limit_for(card, coverage)
    out.say(
        f"answers with confidence ≥ {format_threshold(limit)}: {percent(bought.precision)} right "
        f"({percent_range(bought.low, bought.high)}) on {card.coverage_on}"
    )


def _print_promise(card: Card, precision: float, out: Output) -> None:
    from featx.classifiers.thresholds import thresholds_for

    chosen, bought = thresholds_for(card, precision)
    never = sum(category is None for category in chosen.categories.values())
    where = bought.measured_on
    interval, answered = percent_range(bought.low, bought.high), percent(bought.answered, 0)
    out.say(
        f"a threshold for each category, chosen for {percent(chosen.target, 0)} right; on other products ({where}): "
        + (
            f"{percent(bought.precision)} right ({interval}) of the {answered} answered"
            if bought.n
            else "none was answered"
        )
    )
    if bought.n and bought.precision < precision - 1e-9:
        out.warn(f"that is below the {percent(precision, 0)} you asked for; a higher `--min-precision` is stricter")
    held = bought.held_out
    if held:
        right = f", {percent(held.right)} of them right" if held.answered else ""
        out.say(
            f"  {pluralise(held.n, 'held-out photo')} are too few to choose on; "
            f"{held.answered:,} would be answered{right}"
        )
    if never:
        out.say(
            f"  {pluralise(never, 'category is', 'categories are')} never confident enough, and always left to a person"
        )


class _Seen:
    """Counts the answers."""

    def __init__(self, rule: DecisionRule) -> None:
        from featx.prediction.review import ReviewCounts

        self.rule, self.counts, self.unreadable = rule, ReviewCounts(), list[str]()

    def watch(self, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
        for prediction in predictions:
            self.counts.count(prediction.doubt, prediction.unreadable, prediction.flags)
            if prediction.unreadable:
                self.unreadable.append(f"{prediction.item.path} ({prediction.unreadable})")
            yield prediction

    def report(self, out: Output, predictor: Predictor) -> None:
        out.detail(f"{predictor.from_store:,} of {self.counts.n:,} photos were in the store")
        for note in predictor.columns.notes():
            out.say(note)
        if self.counts.n:
            say = out.warn if self.counts.review else out.say
            say(self.counts.sentence(self.rule))
        for name in self.unreadable[:5]:
            out.warn(f"skipped {name}")
        if len(self.unreadable) > 5:
            out.warn(f"and {len(self.unreadable) - 5:,} more that could not be read")
        if self.counts.n and self.counts.unreadable == self.counts.n:
            raise FeatxError(
                "all-corrupt",
                f"none of the {pluralise(self.counts.n, 'photo')} could be read",
                "look at the files named above",
            )


def _requested(images: list[str]) -> Catalogue:
    from featx.catalogue.reading import read_several
    from featx.cli.sources import paths_on_stdin

    catalogue = read_several(paths_on_stdin() if images == ["-"] else images, allow_outside=True)
    if len(catalogue.items) + len(catalogue.skipped) == 1 and catalogue.skipped:
        skipped = catalogue.skipped[0]
        code = "no-such-file" if skipped.reason == "missing" else "photo-unreadable"
        raise FeatxError(code, f"cannot read `{skipped.path}`: {skipped.reason}", "check the name, or name a folder")
    return catalogue


def _predictor(
    clf: str | None, store: Path | None, device: str, top: int, views: int, weights: str | None, out: Output
) -> Predictor:
    from featx.classifiers.selection import gain_of_views
    from featx.prediction.predict import open_predictor
    from featx.workspace import Workspace

    workspace = Workspace.here()
    predictor = open_predictor(clf, store, device=device, top=top, views=views, weights=weights, workspace=workspace)
    if store is not None:
        name_other_store(store, out, workspace)
    if predictor.without_store:
        out.detail(f"no store with known features: {predictor.without_store}")
    out.say(f"{predictor.model!r} from {predictor.path}{_elsewhere(predictor.model, workspace, store)}")
    if views > 1:
        out.say(f"answers averaged over {views} views of each photo: {gain_of_views(predictor.model.card)}")
    return predictor


def _elsewhere(model: Classifier, workspace: Workspace, store: Path | None) -> str:
    """The store it was trained on, if that is not the one in use."""
    from featx.files.regular import same_place

    store_of_card = model.card.store
    try:
        here = same_place(store_of_card, workspace.current_store(store))
    except FeatxError:
        here = True
    return "" if here or not store_of_card else f", trained on {store_of_card}"


def _run(predictor: Predictor, catalogue: Catalogue, rule: DecisionRule, out: Output) -> Iterator[Prediction]:
    from featx.prediction.predict import skipped_predictions

    workers = min(8, cores())
    with out.progress(len(catalogue.items), "predict") as advance:
        for done, prediction in enumerate(predictor.stream(catalogue.items, rule, workers=workers), start=1):
            if done % 32 == 0 or done == len(catalogue.items):
                advance(done)
            yield prediction
    yield from skipped_predictions(catalogue, rule)


def _show(predictions: Iterator[Prediction], out: Output, top: int, requested: list[str] | None) -> None:
    from featx.cli.own_columns import OwnColumns
    from featx.prediction.predict import shown_sure

    def row(prediction: Prediction) -> list[str | int | float | None]:
        others = ", ".join(f"{label} {shown_sure(share)}" for label, share in prediction.top[1:])
        doubt = {"unsure": "needs a look", "": ""}.get(prediction.doubt, f"needs a look: {prediction.doubt}")
        review = str(prediction.review).lower()
        if prediction.unreadable:
            return [prediction.item.path, None, None, review, f"skipped: {prediction.unreadable}"]
        return [
            prediction.item.path,
            prediction.label,
            shown_sure(prediction.sure),
            review,
            " · ".join(filter(None, [doubt, others])),
        ]

    columns = ["file", "category", "sure", "review", ""]
    if out.json or not sys.stdout.isatty():
        # Thousands of photos go through as they come; nothing is kept.
        for prediction in predictions:
            own = OwnColumns([prediction.item.columns], requested)
            out.records(columns, [row(prediction)], [prediction.to_dict(top)], own=own)
        return
    shown = list(islice(predictions, MANY))
    styles = ["yellow" if prediction.review else "" for prediction in shown]
    own = OwnColumns([prediction.item.columns for prediction in shown], requested)
    rows = [row(prediction) for prediction in shown]
    out.records(columns, rows, right=["sure"], paths=["file"], styles=styles, own=own)
    more = sum(1 for _ in predictions)
    if more:
        out.say(f"  {more:,} more: `-o predictions.csv` writes all")


def _sort(predictions: Iterator[Prediction], root: Path, out: Output, *, link: bool, dry_run: bool) -> None:
    from collections import Counter

    from featx.prediction.sort_folders import apply_move, plan_moves

    counts: Counter[str] = Counter()
    there = 0
    for move in plan_moves(predictions, root):
        if not dry_run:
            apply_move(move, link=link)
        there += move.there
        counts[str(move.target.parent)] += 1
        out.detail(f"{move.source} → {move.target}")
    out.records(
        ["folder", "photos"],
        [[folder, n] for folder, n in sorted(counts.items())],
        [{"folder": folder, "photos": n} for folder, n in sorted(counts.items())],
        right=["photos"],
    )
    total = pluralise(sum(counts.values()), "photo")
    if dry_run:
        out.ok(f"{total} would be sorted into {pluralise(len(counts), 'folder')}; nothing was written")
        out.next("the same command without --dry-run")
    else:
        already = f", {there:,} were already there" if there else ""
        out.ok(
            f"{total} {'linked' if link else 'copied'} into {pluralise(len(counts), 'folder')} under {root}{already}"
        )
