"""`featx predict`: the category of new photos."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.cli.completion import classifier_names
from featx.cli.options import DeviceOption, JsonFlag, QuietFlag, StoreOption, VerboseFlag
from featx.cli.output import Output, pluralise
from featx.compute.threads import cores
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.backbones import Encoder
    from featx.catalogue.items import Catalogue
    from featx.classifiers.model import Classifier
    from featx.classifiers.thresholds import Thresholds
    from featx.prediction.predict import DecisionRule, Prediction, Predictor
    from featx.store import Store
    from featx.workspace import Workspace

MANY = 1000


def predict(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Photos, a folder, a table, or - for paths on stdin.")
    ],
    clf: Annotated[
        str | None,
        typer.Option(
            "--clf",
            help="A trained classifier, or a .safetensors file.",
            show_default="newest",
            autocompletion=classifier_names,
        ),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="How many categories to list.")] = 1,
    sure: Annotated[
        float | None,
        typer.Option("--sure", "--min-confidence", min=0, max=1, help="Mark answers below this confidence."),
    ] = None,
    coverage: Annotated[
        float | None, typer.Option("--coverage", min=0.1, max=1, help="Answer the most confident share; mark the rest.")
    ] = None,
    min_precision: Annotated[
        float | None,
        typer.Option("--min-precision", min=0.5, max=0.99, help="Answer where this share is right, per category."),
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
    from featx.cli.output_files import check_suffix, write_records
    from featx.prediction.predict import DecisionRule, limit_for

    if output is not None:
        check_suffix(output)
    catalogue = _asked(images)
    predictor = _predictor(clf, store, device, top, out)
    if sort_into is not None:
        from featx.prediction.sort_folders import require_distinct_folders

        require_distinct_folders(predictor.model.classes, sort_into)
    if coverage is not None:
        from featx.metrics.selective import format_threshold

        sure, bought = limit_for(predictor.model, coverage)
        where = predictor.model.card.get("coverage_on") or predictor.model.card["automation"]["measured_on"]
        out.say(
            f"answers with confidence ≥ {format_threshold(sure)}: {bought['precision']:.1%} right "
            f"({bought['low']:.1%} – {bought['high']:.1%}) on {where}"
        )
    thresholds = _promised(predictor.model, min_precision, out) if min_precision is not None else None
    limits = DecisionRule(sure or 0.0, not any_photo, thresholds)
    seen = _Seen()
    found = seen.watch(_run(predictor, catalogue, limits, out))
    if sort_into is not None:
        _sort(found, sort_into, out, link=link, dry_run=dry_run)
    elif output is not None:
        count = write_records(output, list(_cells(None, top)), (_cells(one, top) for one in found))
        out.ok(f"wrote {pluralise(count, 'row')} to {output}")
    else:
        _show(found, out, top)
    seen.report(out, predictor)


def _promised(model: Classifier, precision: float, out: Output) -> Thresholds:
    from featx.classifiers.thresholds import thresholds_for

    found, bought = thresholds_for(model.card, precision)
    never = sum(one is None for one in found.categories.values())
    where = bought.get("measured_on") or model.card["automation"]["measured_on"]
    out.say(
        f"a threshold for each category, chosen for {found.target:.0%} right; on other products ({where}): "
        + (
            f"{bought['precision']:.1%} right ({bought['low']:.1%} – {bought['high']:.1%}) "
            f"of the {bought['answered']:.0%} answered"
            if bought["n"]
            else "none was answered"
        )
    )
    if bought["n"] and bought["precision"] < precision - 1e-9:
        out.warn(f"that is below the {precision:.0%} you asked for; a higher `--min-precision` is stricter")
    held = bought.get("held_out")
    if held:
        right = f", {held['right']:.1%} of them right" if held["answered"] else ""
        out.say(
            f"  {pluralise(held['n'], 'held-out photo')} are too few to choose on; "
            f"{held['answered']:,} would be answered{right}"
        )
    if never:
        out.say(
            f"  {pluralise(never, 'category is', 'categories are')} never confident enough, and always left to a person"
        )
    return found


class _Seen:
    """Counts the answers."""

    def __init__(self) -> None:
        self.n, self.doubts, self.unreadable = 0, 0, list[str]()

    def watch(self, found: Iterator[Prediction]) -> Iterator[Prediction]:
        for one in found:
            self.n += 1
            self.doubts += bool(one.doubt)
            if one.unreadable:
                self.unreadable.append(f"{one.item.path} ({one.unreadable})")
            yield one

    def report(self, out: Output, predictor: Predictor) -> None:
        out.detail(f"{predictor.from_store:,} of {self.n:,} photos were in the store")
        if self.doubts:
            out.say(f"  {pluralise(self.doubts, 'photo needs', 'photos need')} a look")
        for name in self.unreadable[:5]:
            out.warn(f"skipped {name}")
        if len(self.unreadable) > 5:
            out.warn(f"and {len(self.unreadable) - 5:,} more that could not be read")
        if self.n and len(self.unreadable) == self.n:
            raise FeatxError(
                "all-corrupt",
                f"none of the {pluralise(self.n, 'photo')} could be read",
                "look at the files named above",
            )


def _asked(images: list[str]) -> Catalogue:
    from featx.catalogue.reading import read_catalogue
    from featx.cli.extract import source_of

    catalogue = read_catalogue(
        source_of(images, "give one folder that holds the others, or ask for one after the other"), allow_outside=True
    )
    if len(catalogue.items) + len(catalogue.skipped) == 1 and catalogue.skipped:
        one = catalogue.skipped[0]
        code = "no-such-file" if one.reason == "missing" else "photo-unreadable"
        raise FeatxError(code, f"cannot read `{one.path}`: {one.reason}", "check the name, or name a folder")
    return catalogue


def _predictor(clf: str | None, store: Path | None, device: str, top: int, out: Output) -> Predictor:
    from featx.classifiers.model import require_same_features
    from featx.classifiers.persistence import load_classifier
    from featx.prediction.predict import Predictor
    from featx.store import open_store
    from featx.workspace import Workspace

    workspace = Workspace.here()
    path = model_path(clf, workspace.models, store)
    model = load_classifier(path)
    opened: Store | None = None
    try:
        opened = open_store(workspace.current_store(store))
        require_same_features(model, opened.fingerprint, opened.path)
    except FeatxError as error:
        if store is not None or error.code not in ("no-store", "other-backbone"):
            raise
        out.detail(f"no store with known features: {error.message}")
        opened = None
    out.say(f"{model!r} from {path}{_elsewhere(model, workspace, store)}")

    def open_it() -> Encoder:
        from featx.embedding.reopen import open_from_fingerprint, reopen_backbone

        if opened is not None:
            return reopen_backbone(opened, device)
        backbone = open_from_fingerprint(model.fingerprint, device=device)
        require_same_features(model, backbone.fingerprint, Path(backbone.spec.name))
        return backbone

    return Predictor(model, opened, open_it, top=top)


def _elsewhere(model: Classifier, workspace: Workspace, store: Path | None) -> str:
    """The store it was trained on, if that is not the one in use."""
    from featx.files.regular import same_place

    said = str(model.card.get("store") or "")
    try:
        here = same_place(said, workspace.current_store(store))
    except FeatxError:
        here = True
    return "" if here or not said else f", trained on {said}"


def model_path(clf: str | None, models: Path, store: Path | None = None) -> Path:
    """The requested classifier: a file, a name, or the one trained last (on `store` if one is given)."""
    from featx.classifiers.registry import classifier_files, latest_for_store, newest_classifier
    from featx.errors import did_you_mean

    if clf is not None and (clf.endswith((".safetensors", ".skops")) or os.sep in clf):
        return Path(clf)
    trained = sorted(classifier_files(models), key=lambda path: path.stat().st_mtime)
    if clf is not None:
        from featx.classifiers.kinds import aliases

        path = models / f"{aliases().get(clf, clf)}.safetensors"
        if not path.exists() and trained:
            hint = did_you_mean(clf, [one.stem for one in trained], f"train it: `featx fit --clf {clf}`")
            raise FeatxError("no-model", f"no classifier `{clf}` in {models}", hint)
        return path
    return newest_classifier(models) if store is None else latest_for_store(models, store)


def _run(predictor: Predictor, catalogue: Catalogue, limits: DecisionRule, out: Output) -> Iterator[Prediction]:
    from featx.prediction.predict import Prediction

    workers = min(8, cores())
    with out.progress(len(catalogue.items), "predict") as advance:
        for done, one in enumerate(predictor.stream(catalogue.items, limits, workers=workers), start=1):
            if done % 32 == 0 or done == len(catalogue.items):
                advance(done)
            yield one
    from featx.catalogue.items import Item

    for skip in catalogue.skipped:
        yield Prediction(Item(skip.path, skip.path), unreadable=skip.reason)


def _record(one: Prediction | None, top: int) -> dict[str, Any]:
    keys = ["file", "category", "sure", "review", "doubt", "similarity", *(("top",) if top > 1 else ()), "error"]
    if one is None:
        return dict.fromkeys(keys)
    record: dict[str, Any] = {
        "file": one.item.path,
        "category": one.label or None,
        "sure": round(one.sure, 4) if one.top else None,
        "review": bool(one.doubt),
        "doubt": one.doubt or None,
        "similarity": round(one.similarity, 4) if one.top else None,
        "error": one.unreadable or None,
    }
    if top > 1:
        record["top"] = [{"category": label, "sure": round(share, 4)} for label, share in one.top]
    return record


def _cells(one: Prediction | None, top: int) -> dict[str, Any]:
    """The same for a table: one column per category instead of a list in a cell."""
    record = _record(one, top)
    others = record.pop("top", None) or []
    for place in range(1, top):
        mine = others[place] if place < len(others) else {}
        record |= {f"category_{place + 1}": mine.get("category"), f"sure_{place + 1}": mine.get("sure")}
    return record


def _show(found: Iterator[Prediction], out: Output, top: int) -> None:
    from featx.prediction.predict import shown_sure

    def row(one: Prediction) -> list[str | int | float | None]:
        others = ", ".join(f"{label} {shown_sure(share)}" for label, share in one.top[1:])
        doubt = {"unsure": "needs a look", "": ""}.get(one.doubt, f"needs a look: {one.doubt}")
        if one.unreadable:
            return [one.item.path, None, None, f"skipped: {one.unreadable}"]
        return [one.item.path, one.label, shown_sure(one.sure), " · ".join(filter(None, [doubt, others]))]

    columns = ["file", "category", "sure", ""]
    if out.json or not sys.stdout.isatty():
        # Thousands of photos go through as they come; nothing is kept.
        for one in found:
            out.records(columns, [row(one)], [_record(one, top)])
        return
    out.records(columns, [row(one) for one in islice(found, MANY)], right=["sure"], paths=["file"])
    more = sum(1 for _ in found)
    if more:
        out.say(f"  {more:,} more: `-o predictions.csv` writes all")


def _sort(found: Iterator[Prediction], root: Path, out: Output, *, link: bool, dry_run: bool) -> None:
    from collections import Counter

    from featx.prediction.sort_folders import apply_move, plan_moves

    counts: Counter[str] = Counter()
    there = 0
    for move in plan_moves(found, root):
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
