"""Store in, classifier out: trained on the training set, scored on photos it never saw, with a card."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from featx.classifiers.calibration import CALIBRATING, fit_temperature, held_out_temperature, probabilities
from featx.classifiers.card import Card
from featx.classifiers.coarsening import CoarsePipeline
from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.columns.use import ColumnUse, column_set, columns_record, use_columns
from featx.classifiers.cross_validation import FoldResults
from featx.classifiers.fair_scores import BY, FairScores, fair_scores
from featx.classifiers.freshness import digest_of_lessons
from featx.classifiers.kinds import CLASSIFIERS, known_name, that_take_class_weights
from featx.classifiers.model import Classifier
from featx.classifiers.novelty import FALSE_ALARMS, NoveltyDetector, fit_novelty
from featx.classifiers.pipelines import scores_of, train_on_views
from featx.classifiers.recall_thresholds import recall_rows, require_products
from featx.classifiers.sample_cost import cost_of_sample
from featx.classifiers.selection import BEST, candidates_for, choose
from featx.classifiers.spec import ClassifierSettings, known_reduction
from featx.classifiers.suited_blocks import suited_blocks
from featx.classifiers.thresholds import table_of, yield_on
from featx.errors import FeatxError
from featx.labels.folds import near_duplicate_rate, near_duplicates_in
from featx.labels.training_set import (
    HELD_OUT,
    HeldOut,
    Lesson,
    TrainingSet,
    lessons_of,
    note_on_seen,
    training_set_of,
)
from featx.metrics.assessment import Assessment, assess, yield_record
from featx.metrics.scores import Proportion, ScoredAnswers
from featx.metrics.selective import coverage_table
from featx.store import Store, as_store

# If more scored photos than this share have a near-duplicate in training, scores are flattered.
MANY_TWINS = 0.2


def fit(
    store: Store | str | Path | None = None,
    classifier: str = BEST,
    *,
    folds: int = 5,
    seed: int = 0,
    tune: bool = False,
    class_weight: str | None = None,
    reduce: int | str | None = None,
    resample: bool = False,
    level: str | None = None,
    test: Sequence[str] = HELD_OUT,
    test_store: Store | str | Path | None = None,
    threads: int = -1,
    choose_blocks: bool = True,
    columns: Sequence[str] = (),
    sentences: bool = False,
    min_recall: Mapping[str, float] | None = None,
    products: int | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Classifier:
    """Train a classifier on a store and score it, on held-out photos and in grouped cross-validation.

    `best`, the default, tries a few quick classifiers in the same folds: the first that none clearly beats wins.
    `tune` searches strengths over a wide range, kernel widths, depths and reductions, again inside each fold, so that
    the score stays honest. `reduce` is `lda` (the directions that separate the categories, the default of most),
    `none`, or a number of principal directions. Of a joined backbone those parts are used that do best in the folds,
    all unless others are clearly better; a store `with_blocks`, or `choose_blocks=False`, says which.
    `columns` of the table, such as a title or a price, and `text`, which was read off the photos, count beside the
    photo where that is clearly better in the folds; with `sentences`, texts count by their meaning too. `resample`
    repeats photos of rare categories. With a `test_store`, all its labelled photos are the held-out ones.
    `min_recall`, such as {"prohibited": 0.99}, names categories that must not be missed: `predict` flags photos that
    may be of them, from the probability at which that share of their products is caught.
    `products` draws about so many of them to learn from, of each category in proportion, and the card says what that
    costs: for catalogues of hundreds of thousands.
    """
    begun = time.monotonic()
    reduce = known_reduction(reduce)
    opened = as_store(store)
    elsewhere = None if test_store is None else as_store(test_store)
    training = training_set_of(opened, level, test, elsewhere, products, seed)
    lessons = lessons_of(opened, level, test)
    opened = training.store
    require_products(training, folds, min_recall or {})
    choice = suited_blocks(training, seed) if choose_blocks and not opened.is_part else None
    if choice is not None:
        training = _with_blocks(training, choice.blocks)
        opened = training.store
    if sentences and not columns:
        raise FeatxError("bad-flag", "sentences need a column of texts", "name one: `--with title --sentences`")
    beside = column_set(training, list(dict.fromkeys(columns)), level, sentences=sentences) if columns else None
    training = training if beside is None else beside.training
    names = _candidates(classifier, len(training.learn), class_weight)
    fair = fair_scores(training, level) if beside is None else None
    if fair is not None and classifier == BEST and BY in names and not training.scored_rows(folds).any():
        names = [BY]  # of no other there is a fair score
    settings = ClassifierSettings(names[0], None, class_weight, reduce, seed, threads, resample=resample)
    results, trials = choose(training, settings, names, folds, tune=tune, progress=progress)
    views = opened.all_views[training.learn]
    x = np.ascontiguousarray(views[:, 0])
    pipeline = _train(training, results, views)
    use = None if beside is None else use_columns(beside, results, training.scored_rows(folds), pipeline)
    fair = fair if results.settings.name == BY else None
    evidence = _evidence(training, results, pipeline, use, folds, fair)
    novelty = fit_novelty(x, results.folds, seed, training.seen)
    card = _card(
        training,
        results,
        evidence,
        novelty,
        level=level,
        held_out=list(test),
        test_store=None if elsewhere is None else str(elsewhere.path),
        asked_folds=folds,
        tuned=tune,
        blocks=[block.name for block in opened.blocks] if opened.is_part else [],
        block_choice=None if choice is None else choice.to_dict(),
        tried=[asdict(trial) for trial in trials] if len(trials) > 1 else [],
        columns=None if beside is None or use is None else columns_record(beside, use),
        min_recall=recall_rows(evidence.best, min_recall or {}),
        asked_products=products,
        sample=_sample(training, results, lessons, seed),
        lessons_sha256=digest_of_lessons(lessons),
        seen=note_on_seen(training, scored=0 if fair is None else int(fair.known.sum())),
        seconds=round(time.monotonic() - begun, 1),
    )
    temperature, fusion = evidence.temperature, None if use is None else use.fusion
    return Classifier(
        results.settings, pipeline, training.classes, temperature, opened.fingerprint, novelty, card, fusion
    )


def _train(training: TrainingSet, results: FoldResults, views: np.ndarray) -> Any:
    """The pipeline of the settings that were chosen, trained on every row; on finer categories where these won."""
    if results.coarsening is None or training.finer is None:
        return train_on_views(results.settings, views, training.labels[training.learn])
    return CoarsePipeline(train_on_views(results.settings, views, training.finer[training.learn]), results.coarsening)


def _candidates(clf: str, n: int, class_weight: str | None) -> list[str]:
    """The classifiers to try: the one that was named, or those that are quick enough."""
    if clf == BEST:
        return candidates_for(n, class_weight=class_weight is not None)
    name = known_name(clf)
    if class_weight is not None and name not in (weighted := that_take_class_weights()):
        raise FeatxError(
            "bad-flag", f"`{clf}` takes no class weights", f"leave them out, or choose one of {', '.join(weighted)}"
        )
    return [name]


def fit_again(card: Card, store: Store) -> Classifier:
    """Train as the classifier of a card was trained, on its store as it is today."""
    settings, spec = card.settings, CLASSIFIERS.get(card.clf)
    reduce, weight = settings.get("reduce"), settings.get("class_weight")
    # Parts that the folds chose are chosen again, parts that somebody named stay.
    return fit(
        store if card.block_choice is not None else store.with_blocks(card.blocks),
        card.clf,
        folds=card.asked_folds,
        seed=int(settings.get("seed") or 0),
        tune=card.tuned,
        class_weight=None if weight is None else str(weight),
        reduce=None if reduce is None or (spec is not None and reduce == spec.reduction) else str(reduce),
        resample=bool(settings.get("resample")),
        level=card.level,
        test=card.held_out,
        test_store=card.test_store,
        columns=[] if card.columns is None else [column.name for column in card.columns.columns],
        sentences=card.reads_meanings,
        min_recall={row.category: row.target for row in card.min_recall},
        products=card.asked_products,
    )


def _sample(training: TrainingSet, results: FoldResults, lessons: Sequence[Lesson], seed: int) -> dict[str, Any] | None:
    """What learning from some of the products costs; None where all were learned from."""
    if len(lessons) == len(training.learn):
        return None
    return msgspec.to_builtins(cost_of_sample(training, results, len(lessons), seed))  # type: ignore[no-any-return]


def _with_blocks(training: TrainingSet, blocks: Sequence[str]) -> TrainingSet:
    """The same photos and groups by only some parts of a joined backbone."""
    store = training.store.with_blocks(blocks)
    held = replace(training.held, store=training.held.store.suited_to(store.fingerprint))
    return replace(training, store=store, held=held)


@dataclass(frozen=True)
class Evidence:
    """How good a classifier is, in cross-validation and on held-out photos, and the temperature of its confidence."""

    temperature: float
    calibrated_on: str
    cross_validated: Assessment
    held_out: Assessment | None

    @property
    def best(self) -> Assessment:
        """Answers of the folds to every photo, unless enough photos are held out."""
        return self.held_out or self.cross_validated


def _evidence(
    training: TrainingSet,
    results: FoldResults,
    pipeline: object,
    use: ColumnUse | None,
    folds: int,
    fair: FairScores | None,
) -> Evidence:
    """Calibrate and assess: the temperature comes from held-out photos if there are enough, else from the folds."""
    classes, held = training.classes, training.held
    labels = training.labels[training.learn]
    columns = {label: i for i, label in enumerate(classes)}
    truth = np.array([columns[label] for label in labels])
    counted = training.scored_rows(folds)
    scores = results.scores if use is None or use.fusion is None else use.chosen.scores
    if fair is not None:
        scores, counted = fair.instead_of(scores, counted)
    temperature = fit_temperature(scores[counted], truth[counted]) if counted.any() else 1.0
    # A category that cannot be learned is always wrong.
    held_truth = np.array([columns.get(label, -1) for label in held.truth], dtype=int)
    held_scores = _held_scores(held, pipeline, use, classes) if len(held) else scores[:0]
    temperature = held_out_temperature(held_scores, held_truth, temperature)
    shares = probabilities(scores[counted], temperature)
    folded = ScoredAnswers(truth[counted], shares, training.groups[counted], "cross-validation")
    held_out = None
    if len(held):
        # With enough held-out photos, nothing is promised from cross-validation.
        answers = ScoredAnswers(held_truth, probabilities(held_scores, temperature), held.groups, "held-out photos")
        held_out = assess(answers, classes, [folded])
    enough = int((held_truth >= 0).sum()) >= CALIBRATING
    return Evidence(temperature, "held-out photos" if enough else "cross-validation", assess(folded, classes), held_out)


def _held_scores(held: HeldOut, pipeline: object, use: ColumnUse | None, classes: list[str]) -> np.ndarray:
    scores = scores_of(pipeline, held.features, classes)
    if use is None or use.fusion is None:
        return scores
    if use.held_scores is not None:
        return use.held_scores
    columns = columns_of(held.store, held.rows, use.fusion.names)
    return use.fusion.scores(scores, held.features, columns, classes)[0]


def _card(
    training: TrainingSet, results: FoldResults, evidence: Evidence, novelty: NoveltyDetector, **requested: Any
) -> Card:
    """The card of a classifier; `requested` are the arguments of `fit`."""
    store, held, assessment = training.store, training.held, evidence.best
    labels, classes = training.labels[training.learn], training.classes
    truth, curve = assessment.answers.truth, assessment.curve_answers
    biggest = Counter(labels.tolist()).most_common(1)[0][0]
    learned, folds = store.features[training.learn], results.folds
    twins = near_duplicate_rate(held.features, learned) if len(held) else near_duplicates_in(folds, learned)
    record = {
        "version": 1,
        "clf": results.settings.name,
        "backbone": store.fingerprint.backbone,
        "store": str(store.path),
        "n": len(training.learn),
        "classes": len(classes),
        "labels": classes,
        "test": None if evidence.held_out is None else _score(evidence.held_out.accuracy),
        "cv": {
            **_score(evidence.cross_validated.accuracy),
            "folds": len(results.folds),
            "grouped_by": store.provenance.get("product_source") or "none",
            "groups": len(set(training.groups.tolist())),
        },
        # For the scored photos; some categories may have none among them.
        "baseline": round(float((truth == classes.index(biggest)).mean()), 4) if len(truth) else 0.0,
        "automation": assessment.automation_record(),
        "coverage": coverage_table(curve.confidence, curve.correct, curve.groups),
        "coverage_on": curve.measured_on,
        "thresholds": _thresholds(assessment, classes),
        "unlike": {"threshold": round(novelty.threshold, 4), "false_alarms": FALSE_ALARMS},
        "weakest": assessment.weakest(),
        "small": _small(labels, training.groups, requested["asked_folds"]),
        "checks": [{"code": "FX101", "level": "warning" if twins > MANY_TWINS else "passed", "share": round(twins, 4)}],
        "settings": {**_settings(results), "temperature": round(evidence.temperature, 6)},
        "fingerprint": store.fingerprint.to_dict(),
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "held_out_categories": len(set(held.truth.tolist())) if len(held) else 0,
        "learned_in_test": held.learned,
        "calibrated_on": evidence.calibrated_on,
        "weights_file": str(store.provenance.get("weights_file") or ""),
    }
    return msgspec.convert(record | requested, Card)


def _settings(results: FoldResults) -> dict[str, Any]:
    finer = results.coarsening
    return results.settings.for_card() | ({} if finer is None else {"finer categories": len(finer.finer)})


def _thresholds(assessment: Assessment, classes: list[str]) -> list[dict[str, Any]]:
    """Thresholds by target; held-out photos too few to choose on still show the outcome."""
    rows: list[dict[str, Any]] = []
    for answers in assessment.candidates:
        table = table_of(answers.confidence, answers.predicted, answers.correct, classes, answers.groups, rows)
        rows += [row | {"measured_on": answers.measured_on} for row in table]
    scored = assessment.answers
    for row in rows:
        if row["measured_on"] != scored.measured_on:
            share = yield_on(row, scored.confidence, scored.predicted, scored.correct, classes)
            row["held_out"] = yield_record(share, len(scored))
    return sorted(rows, key=lambda row: float(row["target"]))


def _small(labels: np.ndarray, groups: np.ndarray, folds: int) -> dict[str, int]:
    """Categories with fewer products than folds: learned, but left out of the cross-validated score."""
    sizes = Counter(labels.tolist())
    return {label: n for label, n in sorted(sizes.items()) if len(np.unique(groups[labels == label])) < folds}


def _score(share: Proportion) -> dict[str, object]:
    return {"accuracy": round(share.value, 4), "ci95": [round(share.low, 4), round(share.high, 4)], "n": share.n}
