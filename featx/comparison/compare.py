"""Every classifier on every store: the same photos, the same folds, the same held-out photos."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from featx.backbones.registry import baseline_name
from featx.classifiers.calibration import probabilities
from featx.classifiers.card import ColumnsRecord
from featx.classifiers.columns.of_store import require_columns
from featx.classifiers.columns.use import try_columns
from featx.classifiers.kinds import COMPARED, names_of
from featx.classifiers.spec import ClassifierSettings
from featx.comparison.alignment import AlignedStores, align
from featx.comparison.baselines import colour_features
from featx.comparison.candidates import (
    MOST_FREQUENT,
    Candidate,
    CandidateResult,
    EvaluationPlan,
    make_plan,
    run_candidate,
)
from featx.comparison.document import (
    Best,
    Check,
    ComparedStore,
    ComparisonDocument,
    Details,
    Entry,
    LearningPoint,
    PairTest,
    SearchQuality,
    rounded_document,
)
from featx.comparison.json_values import as_record, rounded
from featx.comparison.learning_curve import doubling, learning_curve
from featx.comparison.mistakes import collect_mistakes
from featx.comparison.result import Comparison
from featx.comparison.scoring import Scoring, checks_of, recommend, score_candidate, scored_folds, tests_between
from featx.compute.machine import machine_description, peak_memory
from featx.errors import FeatxError
from featx.labels.decisions import labels_after_decisions
from featx.labels.seen import seen_rows
from featx.labels.some_products import some_products
from featx.labels.training_set import HELD_OUT, TrainingSet, training_set_of
from featx.metrics.assessment import assess
from featx.metrics.scores import ScoredAnswers
from featx.store import Store, as_store
from featx.version import __version__

COLOUR = baseline_name()
MOST_SEARCHED = 20_000


class Listener(Protocol):
    """Called after each fold: how many are done of how many, and which candidate it was."""

    def __call__(self, done: int, total: int, note: str) -> object:
        """Show it."""


def compare(
    stores: Store | str | Path | Sequence[Store | str | Path] | None = None,
    classifiers: str | Sequence[str] = COMPARED,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    group: str | None = None,
    level: str | None = None,
    coarse: str | None = None,
    test: Sequence[str] = HELD_OUT,
    test_stores: Sequence[Store | str | Path] = (),
    curve: bool = False,
    colour: bool = True,
    retrieval: bool = True,
    columns: Sequence[str] = (),
    sentences: bool = False,
    products: int | None = None,
    cache: Path | None = None,
    notes: Sequence[str] = (),
    command: Sequence[str] = (),
    progress: Listener = lambda done, total, note: None,
) -> Comparison:
    """Compare classifiers and backbones on the same folds; held-out splits are scored once and come first.

    `group` names a column whose photos stay together, `coarse` a column (or a number of path parts) to score too.
    With `test_stores`, one for each backbone, all their labelled photos are held out. `retrieval` also measures the
    look-alike search of each store. `columns` of the table, and `text` that was read off the photos, are tried beside
    the photo with the recommended classifier; with `sentences`, texts by their meaning too. `products` draws about so
    many of them, whole and of each category in proportion: for catalogues of hundreds of thousands.
    """
    begun = time.monotonic()
    given = list(stores) if isinstance(stores, Sequence) and not isinstance(stores, str) else [stores]
    opened = [as_store(store) for store in given]
    if products is not None:
        known = len(opened[0])
        opened = [some_products(store, products, level, seed) for store in opened]
        if len(opened[0]) < known:
            notes = [*notes, f"{len(opened[0]):,} of {known:,} photos were drawn, of about {products:,} products"]
    names = names_of(classifiers)
    elsewhere = [as_store(store) for store in test_stores]
    aligned = align(opened, level, coarse, test, group, elsewhere)
    notes = [*notes, *aligned.notes]
    plan = plan_for(aligned, folds, repeats, seed)
    features = {name: aligned.features(i) for i, name in enumerate(aligned.names)}
    candidates = _candidates(aligned, names, seed)
    if colour and COLOUR not in [store.fingerprint.backbone for store in opened]:
        colours, why = colour_features(aligned.paths, aligned.digests, cache)
        if colours is None:
            notes.append(f"the colour baseline was left out: {why}")
        else:
            features[COLOUR] = colours
            candidates.append(Candidate(COLOUR, "logreg", True, ClassifierSettings("logreg", seed=seed)))
    answers = _all_answers(candidates, plan, features, aligned.n_learn, progress)
    ranking = _ranked(answers, Scoring(aligned, plan, scored_folds(plan), seed))
    winner = ranking.winner
    points = _curve(winner, features[winner.candidate.store], aligned, plan) if curve else None
    beside: ColumnsRecord | None = None
    if columns:
        chosen = opened[aligned.names.index(winner.candidate.store)]
        training = _set_with_columns(chosen, elsewhere, columns, level, test)
        record = try_columns(training, columns, ranking.best.clf, folds, seed, sentences=sentences)
        beside = as_record(rounded(record), ColumnsRecord)
    settings = {
        "folds": folds,
        "repeats": repeats,
        "seed": seed,
        "level": level,
        "products": products,
        "test": [str(store.path) for store in elsewhere] or list(test),
    }
    searches = _retrieval(opened, aligned.names, notes) if retrieval else None
    document = ComparisonDocument(
        written=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        featx=__version__,
        command=list(command),
        machine=machine_description(),
        settings=settings | _facts_of(ranking.scoring),
        notes=notes,
        stores=_stores(opened, features, ranking),
        entries=ranking.entries,
        tests=ranking.tests,
        held_out_tests=ranking.held_out_tests,
        best=ranking.best,
        details={winner.candidate.name: _details(winner, ranking.scoring)},
        learning_curve=points,
        doubling=None if points is None else doubling(points),
        retrieval=searches,
        columns=beside,
        seconds=round(time.monotonic() - begun, 1),
        peak_memory=peak_memory(),
    )
    return Comparison(rounded_document(document))


def plan_for(aligned: AlignedStores, folds: int, repeats: int, seed: int) -> EvaluationPlan:
    """The folds and the held-out photos on which every candidate is scored; refused where neither gives a score."""
    plan = make_plan(aligned.learned_labels, aligned.groups, folds, repeats, seed)
    number_of = {label: i for i, label in enumerate(plan.classes)}
    truth = np.array([number_of.get(label, -1) for label in aligned.labels[aligned.n_learn :]], dtype=int)
    groups = np.unique(aligned.products[aligned.n_learn :], return_inverse=True)[1]
    plan = replace(plan, held_truth=truth, held_groups=groups, seen=aligned.seen)
    if not scored_folds(plan) and aligned.n_learn == len(aligned.ids):
        raise _all_seen(aligned) if aligned.seen.all() else _nothing_to_score(aligned, folds)
    return plan


@dataclass(frozen=True)
class Ranking:
    """The scores of all candidates, the tests between them, and the one to use."""

    scoring: Scoring
    entries: list[Entry]
    tests: list[PairTest]
    held_out_tests: list[PairTest]
    best: Best
    winner: CandidateResult


def _ranked(answers: Sequence[CandidateResult], scoring: Scoring) -> Ranking:
    entries = [score_candidate(result, scoring) for result in answers]
    serious = [i for i, result in enumerate(answers) if not result.candidate.baseline]
    tests, held_out_tests = tests_between(answers, entries, serious, scoring)
    best = recommend(entries, serious, held_out_tests or tests, scoring)
    winner = next(result for result, entry in zip(answers, entries, strict=True) if entry.name == best.name)
    return Ranking(scoring, entries, tests, held_out_tests, best, winner)


def _facts_of(scoring: Scoring) -> dict[str, Any]:
    """What was grouped, held out and left out, beside the settings that were asked for."""
    aligned = scoring.aligned
    return {
        "grouped_by": aligned.grouped_by,
        "groups": len(set(aligned.groups.tolist())),
        "coarse": aligned.coarse_name,
        "n_learn": aligned.n_learn,
        "n_test": len(aligned.ids) - aligned.n_learn,
        "left_out_of_folds": sorted(set(scoring.plan.classes) - scoring.foldable),
    }


def _stores(stores: Sequence[Store], features: Mapping[str, np.ndarray], ranking: Ranking) -> list[ComparedStore]:
    aligned, paces = ranking.scoring.aligned, _paces(stores)
    return [
        _store(store, name, aligned, checks_of(i, features[name], ranking.entries, ranking.scoring), paces[i])
        for i, (store, name) in enumerate(zip(stores, aligned.names, strict=True))
    ]


def _set_with_columns(
    store: Store, elsewhere: Sequence[Store], columns: Sequence[str], level: str | None, test: Sequence[str]
) -> TrainingSet:
    """The training set of a store that has these columns, scored on the held-out photos of the comparison."""
    alike = (other for other in elsewhere if not store.fingerprint.difference(other.fingerprint, "classify"))
    require_columns(store, columns, level)
    return training_set_of(store, level, test, next(alike, None))


def _candidates(aligned: AlignedStores, names: Sequence[str], seed: int) -> list[Candidate]:
    candidates = [
        Candidate(store, name, False, ClassifierSettings(name, seed=seed)) for store in aligned.names for name in names
    ]
    candidates.append(Candidate(aligned.names[0], MOST_FREQUENT, True, None))
    if "centroid" not in names:
        candidates += [
            Candidate(store, "centroid", True, ClassifierSettings("centroid", seed=seed)) for store in aligned.names
        ]
    return candidates


def _all_answers(
    candidates: Sequence[Candidate],
    plan: EvaluationPlan,
    features: dict[str, np.ndarray],
    n_learn: int,
    progress: Listener,
) -> list[CandidateResult]:
    total, done = len(candidates) * (len(plan.folds) + 1), 0
    answers = []
    for candidate in candidates:

        def step(name: str = candidate.name) -> None:
            nonlocal done
            done += 1
            progress(done, total, name)

        rows, plain = features[candidate.store], not candidate.baseline
        answers.append(run_candidate(candidate, plan, rows[:n_learn], rows[n_learn:], plain=plain, progress=step))
    return answers


def _curve(
    winner: CandidateResult, rows: np.ndarray, aligned: AlignedStores, plan: EvaluationPlan
) -> list[LearningPoint]:
    """On the held-out photos if there are any, else over the folds."""
    recipe = winner.candidate.recipe
    assert recipe is not None
    n, everything = aligned.n_learn, np.arange(len(rows))
    folds = [(learn, score[plan.unseen(score)]) for learn, score in plan.repeats[0]] if plan.repeats else []
    parts = [(everything[:n], everything[n:])] if len(rows) > n else [fold for fold in folds if len(fold[1])]
    return learning_curve(recipe, winner.strength, rows, aligned.labels, parts, plan.seed)


def _details(winner: CandidateResult, scoring: Scoring) -> Details:
    aligned, plan = scoring.aligned, scoring.plan
    folded, rows = _fold_answers(winner, scoring)
    where, assessment = "cv", assess(folded, plan.classes)
    if winner.held is not None:
        rows = np.arange(aligned.n_learn, len(aligned.ids))
        shares = probabilities(winner.held, winner.temperature)
        held_out = ScoredAnswers(scoring.held_truth, shares, scoring.held_groups, "held-out photos")
        where, assessment = "test", assess(held_out, plan.classes, [folded])
    truths = aligned.labels[rows].tolist()
    return collect_mistakes(assessment, [aligned.ids[i] for i in rows], truths, where)


def _fold_answers(winner: CandidateResult, scoring: Scoring) -> tuple[ScoredAnswers, np.ndarray]:
    """The answers of the first folds as a saved classifier would give them, and their rows."""
    plan, parts = scoring.plan, []
    for (_, score), raw, keep in zip(plan.repeats[0] if plan.repeats else (), winner.folds, scoring.kept, strict=False):
        parts.append((score[keep], raw[keep]))
    rows = np.concatenate([score for score, _ in parts]) if parts else np.zeros(0, dtype=int)
    raw = np.concatenate([raw for _, raw in parts]) if parts else np.zeros((0, len(plan.classes)))
    shares = probabilities(raw, winner.temperature)
    return ScoredAnswers(plan.truth[rows], shares, plan.groups[rows], "cross-validation"), rows


def _retrieval(stores: Sequence[Store], names: Sequence[str], notes: list[str]) -> dict[str, SearchQuality]:
    """The quality of look-alike search on each store; a note if one is too large to measure."""
    from featx.retrieval.quality import measure

    measured: dict[str, SearchQuality] = {}
    for name, store in zip(names, stores, strict=True):
        labels = labels_after_decisions(store).labels
        rows = [i for i, label in enumerate(labels) if label is not None]
        if len(rows) > MOST_SEARCHED:
            notes.append(f"look-alike search was not measured on {name}: more than {MOST_SEARCHED:,} photos")
            continue
        quality = measure(
            store.features[rows],
            [labels[i] for i in rows],
            [store.product_of(i) for i in rows],
            [store.ids[i] for i in rows],
        )
        measured[name] = as_record(rounded(quality), SearchQuality)
        if seen_rows(store)[rows].any():
            notes.append(f"look-alike search on {name} is measured on photos that it learned from too: too good")
    return measured


def _all_seen(aligned: AlignedStores) -> FeatxError:
    return FeatxError(
        "class-too-small",
        f"nothing is left to score: a tuned network has seen all {aligned.n_learn:,} photos",
        "compare on photos from elsewhere: `featx compare --test OTHER.h5`",
    )


def _nothing_to_score(aligned: AlignedStores, folds: int) -> FeatxError:
    sizes = sorted(len({*aligned.groups[aligned.learned_labels == label].tolist()}) for label in aligned.classes)
    # At least two categories must be scored: a single one cannot be confused.
    most = sizes[-2]
    if most < 2:
        return FeatxError(
            "class-too-small",
            "all categories but one have a single product: nothing is left to score, as its photos stay together"
            if sizes[-1] > 1
            else "each category has a single product: nothing is left to score, as its photos stay together",
            "add photos of other products to every category, or hold some out in a `test` folder",
            {"products_per_category": most},
        )
    return FeatxError(
        "class-too-small",
        f"fewer than two categories have {folds} products, one for each of the {folds} folds; "
        f"the largest two have {most} or more",
        f"use fewer folds: `featx compare --folds {most}`",
        {"products_per_category": most},
    )


def _paces(stores: Sequence[Store]) -> list[float | None]:
    """Photos a second of each store's extraction; that of copied blocks is as slow as its parts one after the other."""
    measured = {store.fingerprint.backbone: _measured_pace(store) for store in stores if not store.is_part}
    return [_measured_pace(store) or _one_after_the_other(store, measured) for store in stores]


def _measured_pace(store: Store) -> float | None:
    speed = store.provenance.get("images_per_second")
    return float(speed) if isinstance(speed, int | float) and speed > 0 and not store.is_part else None


def _one_after_the_other(store: Store, measured: Mapping[str, float | None]) -> float | None:
    paces = [measured.get(block.name) for block in store.blocks]
    return None if not paces or None in paces else 1 / sum(1 / pace for pace in paces if pace)


def _store(
    store: Store, name: str, aligned: AlignedStores, checks: list[Check], images_per_second: float | None
) -> ComparedStore:
    path = Path(store.path)
    return ComparedStore(
        name=name,
        path=str(path),
        fingerprint=store.fingerprint.to_dict(),
        backbone=store.fingerprint.backbone,
        width=store.width,
        n=len(store),
        n_labelled=len(aligned.ids),
        n_products=len(set(aligned.products)),
        categories=aligned.classes,
        relabelled=_relabelled(store),
        bytes=path.stat().st_size if path.exists() else 0,
        images_per_second=images_per_second,
        extracted={
            key: store.provenance[key]
            for key in ("command", "written", "device", "batch_size", "versions")
            if store.provenance.get(key) is not None
        },
        checks=checks,
    )


def _relabelled(store: Store) -> dict[str, str | None]:
    """What people decided, photo by photo: a report that is written later counts the same labels."""
    decided = labels_after_decisions(store).labels
    triples = zip(store.ids, store.labels, decided, strict=True)
    return {item_id: label for item_id, before, label in triples if label != before}
