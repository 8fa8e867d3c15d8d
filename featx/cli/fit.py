"""`featx fit`: train a category classifier and score it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from featx.classifiers.kinds import CLASSIFIERS
from featx.cli.columns import column_lines, leak_warnings
from featx.cli.completion import classifier_names
from featx.cli.large_stores import FIT, say_cost_of_pairs
from featx.cli.options import (
    BlocksOption,
    JsonFlag,
    QuietFlag,
    SeedOption,
    SentencesFlag,
    StoreOption,
    VerboseFlag,
    WithOption,
    block_names,
)
from featx.cli.output import Output, in_percent, percent, percent_range, pluralise, size
from featx.cli.stores import store_in_use
from featx.errors import FeatxError, did_you_mean
from featx.metrics.block_choice import BlockChoice
from featx.views.block_choices import describe_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from featx.classifiers.card import Card, RecallRow, SampleRecord, Score
    from featx.classifiers.model import Classifier
    from featx.store import Store


def fit(
    clf: Annotated[
        str | None,
        typer.Option(
            "--clf",
            help=f"{', '.join(CLASSIFIERS)}; several, separated by commas; or all. Without it, the best of a few.",
            autocompletion=classifier_names,
        ),
    ] = None,
    kernel: Annotated[
        str, typer.Option("--kernel", metavar="linear|rbf", help="For svm: linear or curved boundaries.")
    ] = "linear",
    folds: Annotated[int, typer.Option("--folds", min=2, max=50, help="Folds of the cross-validation.")] = 5,
    tune: Annotated[bool, typer.Option("--tune", help="Search hyperparameters: C, gamma, depth, reduction.")] = False,
    class_weight: Annotated[
        str | None, typer.Option("--class-weight", metavar="balanced", help="Weight categories equally.")
    ] = None,
    reduce: Annotated[
        str | None,
        typer.Option(
            "--reduce", metavar="lda|N|none", help="Project features with LDA, onto N principal components, or not."
        ),
    ] = None,
    resample: Annotated[
        bool, typer.Option("--resample", help="Repeat photos of rare categories until all are equally frequent.")
    ] = False,
    with_columns: WithOption = None,
    sentences: SentencesFlag = False,
    level: Annotated[
        str | None,
        typer.Option("--level", metavar="COLUMN|N", help="Train on other categories: a column, or N path parts."),
    ] = None,
    test: Annotated[
        str, typer.Option("--test", metavar="SPLIT|STORE", help="Hold out: splits, or another store.")
    ] = "test,val",
    min_recall: Annotated[
        list[str] | None,
        typer.Option(
            "--min-recall",
            metavar="CATEGORY=SHARE",
            help="A category that must not be missed, and the share of its products to catch; may be repeated.",
        ),
    ] = None,
    products: Annotated[
        int | None,
        typer.Option(
            "--products", metavar="N", min=100, help="Learn from about N of the products, and say what that costs."
        ),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Replace the saved classifier only if the new one is not worse.")
    ] = False,
    min_accuracy: Annotated[
        float | None, typer.Option("--min-accuracy", min=0, max=1, help="Exit with code 7 below this accuracy.")
    ] = None,
    threads: Annotated[
        int, typer.Option("--threads", min=-1, help="Folds trained in parallel; threads of a forest.")
    ] = -1,
    seed: SeedOption = 0,
    blocks: BlocksOption = None,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Train a category classifier and measure how good it is.

    Example: featx fit --clf svm
    """
    out = Output(json=json, quiet=quiet, verbose=verbose)
    from featx.classifiers.kinds import names_of
    from featx.classifiers.recall_thresholds import parse_min_recall
    from featx.classifiers.selection import BEST
    from featx.classifiers.spec import known_reduction
    from featx.cli.heldout import held_out
    from featx.store import open_store
    from featx.workspace import Workspace

    if class_weight not in (None, "balanced"):
        raise FeatxError("bad-flag", f"there is no class weight `{class_weight}`", "use `--class-weight balanced`")
    known_reduction(reduce)
    must_catch = parse_min_recall(min_recall or [])
    if clf is None and kernel == "rbf":
        clf = "svm"
    names = [BEST] if clf in (None, BEST) else names_of(clf)
    if kernel not in ("linear", "rbf"):
        raise FeatxError(
            "bad-flag",
            f"there is no kernel `{kernel}`",
            did_you_mean(kernel, ["linear", "rbf"], "choose linear or rbf"),
        )
    if kernel == "rbf":
        if "svm" not in names:
            raise FeatxError("bad-flag", "`--kernel` works only with `--clf svm`", "leave it out")
        names = ["svm-rbf" if name == "svm" else name for name in names]
    workspace = Workspace.here()
    opened = open_store(store_in_use(store, out), block_names(blocks))
    splits, others = held_out(test, [opened])
    if len(others) > 1:
        raise FeatxError("bad-flag", "`featx fit --test` takes one store", "name one of them")
    backbone = opened.fingerprint.backbone
    reached: list[float] = []
    paths: list[Path] = []
    say_cost_of_pairs(opened, FIT, "learn from some of the products: `featx fit --products 20000`", products, out)
    for name in names:
        what = "a choice of classifiers" if name == BEST else name
        out.say(f"{what} on {pluralise(len(opened), 'photo')} ({backbone}) · training and {folds} folds …")
        from featx.classifiers.fit import fit as train
        from featx.classifiers.persistence import SUFFIX

        with out.progress(100, "fit", "percent") as advance:
            model = train(
                opened,
                name,
                folds=folds,
                seed=seed,
                tune=tune,
                class_weight=class_weight,
                reduce=reduce,
                resample=resample,
                level=level,
                test=splits,
                test_store=others[0] if others else None,
                threads=threads,
                choose_blocks=blocks is None,
                columns=block_names(with_columns),
                sentences=sentences,
                min_recall=must_catch,
                products=products,
                progress=in_percent(advance),
            )
        path = workspace.models / f"{model.name if level is None else f'{model.name}-{_safe(level)}'}{SUFFIX}"
        elsewhere = others[0] if others else None
        last = name == names[-1]
        reached.append(_keep(model, path, opened, elsewhere, out, update=update, several=len(names) > 1, last=last))
        paths.append(path)
    if len(names) > 1:
        # `featx predict` takes the newest one, which should not be a baseline that happened to come last.
        first = reached.index(max(reached))
        os.utime(paths[first])
        out.say(f"most accurate: {names[first]}, {percent(reached[first])}; `featx predict` now uses it")
    flag = workspace.flag_for(opened.path)
    out.next(f"featx predict <photo>   ·   featx similar <photo>{flag}   ·   featx info{flag}")
    if min_accuracy is not None and min(reached) < min_accuracy:
        raise FeatxError(
            "below-limit", f"the accuracy of {percent(min(reached))} is below the limit of {percent(min_accuracy)}", ""
        )


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name)


def _keep(
    model: Classifier,
    path: Path,
    store: Store,
    elsewhere: Store | None,
    out: Output,
    *,
    update: bool,
    several: bool,
    last: bool,
) -> float:
    """Save it, or keep the old one; returns the accuracy of the one that is kept."""
    from featx.classifiers.promotion import publish

    lost = _flags_lost(path, model.card)
    publication = publish(model, path, store, elsewhere, update=update)
    decision = publication.decision
    card = model.card
    record = {key: value for key, value in card.to_dict().items() if key not in ("labels", "fingerprint", "thresholds")}
    out.document(record | ({"update": decision.to_dict()} if decision is not None else {}))
    if several:
        out.result(f"{path.stem}:")
    if card.block_choice is not None:
        out.result(f"parts of the backbone: {describe_blocks(BlockChoice.from_dict(card.block_choice))}")
    if card.tried:
        trials = [f"{trial.name} {percent(trial.correct / max(trial.n, 1))}" for trial in card.tried]
        chosen = next(trial for trial in card.tried if trial.chosen)
        out.result(f"tried in the same folds: {', '.join(trials)}; chosen: {chosen.name}")
    if card.columns is not None:
        for line in column_lines(card.columns):
            out.result(line)
    if card.sample is not None:
        out.result(_sample_line(card.sample))
    _print(card, out)
    if several and not last:
        out.result("")
    if card.small:
        names = ", ".join(f"{label} ({n})" for label, n in list(card.small.items())[:5])
        few = pluralise(len(card.small), "category has", "categories have")
        out.warn(f"{few} too few products for cross-validation, and are left out of that score: {names}")
        out.say("  the classifier still learns them")
    if card.held_out_categories == 1:
        out.warn("all held-out photos are of one category: with nothing to confuse, the score says little")
    if card.seen:
        out.warn(card.seen)
    if card.learned_in_test:
        out.warn(f"{pluralise(card.learned_in_test, 'photo')} of {card.test_store} left out: also in the training set")
    if card.columns is not None:
        for warning in leak_warnings(card.columns):
            out.warn(warning)
    twins = card.checks[0]
    seen = "in training" if card.test else "in the other folds"
    out.say(f"  near-duplicates: {percent(twins.share, 0)} of the scored photos have one {seen} (cosine ≥ 0.95)")
    if twins.level == "warning":
        out.warn("FX101: with so many near-duplicates the score is too good; trust only held-out photos from elsewhere")
    if decision is not None:
        out.say(f"  {decision.sentence}")
        if not publication.saved:
            out.warn(f"kept the old classifier: {path}")
            return float(decision.before or 0.0)
    if lost:
        out.warn(f"the classifier before flagged what may be {' or '.join(lost)}; this one does not")
        again = " ".join(f"--min-recall {shlex.quote(f'{name}={target:g}')}" for name, target in lost.items())
        out.say(f"  to flag it again: `featx fit {again}`")
    photos = pluralise(card.n, "photo")
    out.ok(f"classifier saved: {path} ({size(card.bytes)}), trained on {photos}; card: {path.with_suffix('.md')}")
    if publication.archived is not None:
        out.say(f"  kept the classifier of that name, trained on another store: {publication.archived}")
    return card.best.accuracy


def _sample_line(sample: SampleRecord) -> str:
    """What learning from some of the products costs."""
    lead = f"learned from {sample.products:,} of {sample.of:,} products"
    points = f"{percent(sample.with_half)} right in the folds with half of them, {percent(sample.with_all)} with these"
    guess = "more did not help" if sample.guess is None else f"perhaps {percent(sample.guess)} with all"
    return f"{lead}: {points}; {guess}"


def _flags_lost(path: Path, card: Card) -> dict[str, float]:
    """The categories that must not be missed by the classifier that is about to be replaced, and may be by this one."""
    from featx.classifiers.card import read_card
    from featx.files.regular import read_regular

    try:
        before = read_card(read_regular(path.with_suffix(".json")))
    except (OSError, ValueError):
        return {}  # none, or one that saving judges
    kept = {row.category for row in card.min_recall}
    return {row.category: row.target for row in before.min_recall if row.category not in kept}


def _recall_lines(row: RecallRow) -> list[str]:
    """What is caught of a category that must not be missed, and what that costs."""
    name = f"caught of `{row.category}`"
    caught = f"{percent(row.recall):>6}    ({percent_range(row.low, row.high)})    {pluralise(row.n, 'product')}"
    alarms = percent_range(row.false_alarms_low, row.false_alarms_high)
    return [
        f"{name:<28} {caught}, for {100 * row.target:g}%, on {row.measured_on}; flagged from {row.threshold:.2g}",
        f"{'  false alarms':<28} {percent(row.false_alarms):>6}    ({alarms})    of {row.others:,} other products",
    ]


def _print(card: Card, out: Output) -> None:
    from featx.cli.automation import automation_lines

    def score(name: str, score: Score) -> None:
        if not score.n:
            too_few = f"fewer than two categories have {card.asked_folds} products, one per fold"
            text = f"   –      {'a tuned network has seen these photos' if card.seen else too_few}"
        else:
            low, high = score.ci95
            text = f"{percent(score.accuracy):>6}    ({percent_range(low, high)})    {pluralise(score.n, 'photo')}"
        out.result(f"{name:<28} {text}")

    if card.test is not None:
        score("right, on held-out photos", card.test)
    score("right, in cross-validation", card.cv)
    out.result(f"{'always the largest category':<28} {percent(card.baseline):>6}")
    for line in automation_lines(card.to_dict()["automation"]):
        out.result(line)
    for line in (line for row in card.min_recall for line in _recall_lines(row)):
        out.result(line)
    if card.test is None:
        out.result("no held-out folder: photos from where the classifier will be used would give a truer score")
    if card.weakest:
        out.result("")
        wide = max(len("weakest categories"), *(len(row.label) for row in card.weakest))
        out.result(f"{'weakest categories':<{wide}}  recall  photos  usually taken for")
        for row in card.weakest:
            misses = f"{row.taken_for} ({row.times} of {row.misses})"
            out.result(f"{row.label:<{wide}}  {percent(row.recall, 0):>6}  {row.n:6,}  {misses}")
