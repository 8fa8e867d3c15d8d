"""The content of the report as one document: from a comparison, a store, and the findings of the audit."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from featx.classifiers.card import ColumnsRecord, TriedClassifier
from featx.classifiers.registry import cards_of_store
from featx.comparison.document import SCHEMA as COMPARISON
from featx.comparison.document import ComparedStore, ComparisonDocument, Details, Entry, read_comparison
from featx.comparison.json_values import to_plain
from featx.comparison.result import Comparison
from featx.errors import FeatxError
from featx.metrics.scores import METRICS as ALL_METRICS
from featx.reporting.catalogue_map import map_of
from featx.reporting.data_findings import findings_of
from featx.reporting.explained import explained_mistakes
from featx.reporting.failures import failures_of
from featx.reporting.published_results import published_for
from featx.reporting.recommendation import measured_on, score_of, which_of
from featx.reporting.records import (
    About,
    Baseline,
    BesidePhoto,
    BesideRow,
    CategoryWords,
    DecidedPhoto,
    Honest,
    Made,
    MetricScore,
    MustNotMiss,
    Photo,
    Pictures,
    ReportDocument,
    Threshold,
    Trust,
)
from featx.reporting.retrieval_examples import lookalikes_of
from featx.reporting.thumbnails import ThumbnailCache
from featx.reporting.tuned import tuned_network

if TYPE_CHECKING:
    from featx.store import Store

# The page has no room for two that say nearly what the others say.
METRICS = tuple(name for name in ALL_METRICS if name not in ("weighted_precision", "weighted_recall"))
MISSING = 50


def build_document(
    comparison: Comparison | ComparisonDocument | Mapping[str, Any],
    folder: Path,
    *,
    store: Store | None = None,
    issues: Mapping[str, Any] | None = None,
    duplicates: Mapping[str, Any] | None = None,
    skipped: Sequence[Mapping[str, str]] | None = None,
    price_per_hour: float | None = None,
    cache: Path | None = None,
    base: Path | None = None,
    models: Path | None = None,
) -> ReportDocument:
    """The report document of a comparison; thumbnails go into `folder`, the map is kept in `cache`.

    With `models`, the folder of saved classifiers, it says what spoke for the surest mistakes.
    """
    compared = comparison_of(comparison)
    entry, details = _best(compared)
    of_entry = next((store for store in compared.stores if store.name == entry.store), ComparedStore(entry.store))
    labels = [] if store is None else _labels(compared, of_entry, store)
    paths = {} if store is None else dict(zip(store.ids, store.paths, strict=True))
    label_of = {} if store is None else dict(zip(store.ids, labels, strict=True))
    thumbnails = ThumbnailCache(folder, paths, base or Path())
    document = ReportDocument(
        written=compared.written,
        featx=compared.featx,
        about=_about(of_entry, store, entry),
        which=which_of(compared, price_per_hour),
        honest=_honest(compared, entry, of_entry, label_of),
        fails=failures_of(details, entry, label_of, thumbnails, len(of_entry.categories)),
        tuned=None if store is None else tuned_network(store, thumbnails),
        trust=_trust(details, entry),
        data=findings_of(issues, duplicates, skipped, thumbnails),
        similar=lookalikes_of((compared.retrieval or {}).get(entry.store), store, labels, thumbnails),
        beside=_beside(compared, label_of, thumbnails),
        map=None if store is None else map_of(store, labels, thumbnails, cache),
        made=_made(compared),
    )
    if document.fails is not None and store is not None and models is not None:
        level = compared.settings.get("level")
        document.fails.explained = explained_mistakes(details, entry, level, store, models, thumbnails)
    if store is not None and models is not None:
        document.must_not_miss = _must_not_miss(models, store.path, compared.settings.get("level"))
    document.pictures = Pictures(
        made=sum(name is not None for name in thumbnails.made.values()),
        left_out=thumbnails.left_out,
        missing=sorted(thumbnails.missing)[:MISSING],
        n_missing=len(thumbnails.missing),
    )
    try:
        return msgspec.convert(_plain_numbers(to_plain(document)), ReportDocument)
    except msgspec.ValidationError as error:
        raise _damaged(error) from error


def comparison_of(comparison: Comparison | ComparisonDocument | Mapping[str, Any]) -> ComparisonDocument:
    """A comparison as a record; damaged ones and other documents are refused."""
    if isinstance(comparison, Comparison):
        return comparison.document
    if isinstance(comparison, ComparisonDocument):
        return comparison
    if comparison.get("schema") != COMPARISON:
        raise FeatxError(
            "bad-manifest",
            f"this is not a comparison: its schema is `{comparison.get('schema')}`, not `{COMPARISON}`",
            "make one: `featx compare`",
        )
    try:
        return read_comparison(comparison)
    except ValueError as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> FeatxError:
    return FeatxError("bad-manifest", f"the comparison is damaged: {error}", "run `featx compare` again")


def _plain_numbers(value: Any) -> Any:
    """The same with null for NaN and infinity, as JSON requires."""
    if isinstance(value, dict):
        return {str(key): _plain_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _best(comparison: ComparisonDocument) -> tuple[Entry, Details]:
    for entry in comparison.entries:
        if entry.name == comparison.best.name:
            return entry, comparison.details.get(f"{entry.store}/{entry.clf}") or Details()
    raise FeatxError("bad-manifest", "this comparison does not say which entry is best", "run `featx compare` again")


def _labels(comparison: ComparisonDocument, compared: ComparedStore, store: Store) -> Sequence[str | None]:
    """The labels that were compared: those people had decided on by then, at the level of the comparison."""
    from featx.labels.training_set import labels_at_level

    relabelled = compared.relabelled
    labels = [relabelled.get(item_id, label) for item_id, label in zip(store.ids, store.labels, strict=True)]
    return labels_at_level(store, labels, comparison.settings.get("level"))


def _about(compared: ComparedStore, store: Store | None, entry: Entry) -> About:
    return About(
        store=entry.store,
        backbone=compared.backbone,
        n=compared.n if store is None else len(store),
        n_labelled=compared.n_labelled,
        n_products=compared.n_products,
        n_categories=len(compared.categories),
    )


def _honest(
    comparison: ComparisonDocument, entry: Entry, compared: ComparedStore, label_of: Mapping[str, str | None]
) -> Honest:
    categories = compared.categories or sorted({label for label in label_of.values() if label})
    n_test = entry.test.n if entry.test else None
    published, published_on = published_for(categories, n_test)
    return Honest(
        measured_on=measured_on(entry),
        n_test=n_test,
        grouped_by=comparison.settings.get("grouped_by"),
        folds=comparison.settings.get("folds"),
        repeats=comparison.settings.get("repeats"),
        test=_metrics(entry.test),
        cv=_metrics(entry.cv),
        naive=score_of(entry.naive.accuracy) if entry.naive else None,
        baselines=[
            Baseline(store=row.store, clf=row.clf, accuracy=score_of(row.scores.accuracy))
            for row in comparison.entries
            if row.baseline
        ],
        published=published,
        published_on=published_on,
        checks=list(compared.checks),
        learning_curve=comparison.learning_curve,
        doubling=comparison.doubling,
    )


def _beside(
    comparison: ComparisonDocument, label_of: Mapping[str, str | None], thumbnails: ThumbnailCache
) -> BesidePhoto | None:
    tried = comparison.columns
    if tried is None:
        return None
    decided = [
        DecidedPhoto(
            Photo(answer.id, label_of.get(answer.id, answer.truth), thumbnails.name(answer.id)),
            answer.photo,
            answer.both,
            answer.both == answer.truth,
            answer.text,
        )
        for answer in tried.decided
    ]
    words = [CategoryWords(label, words) for label, words in tried.words.items()]
    return BesidePhoto(tried=tried, rows=_beside_rows(tried), decided=decided, words=words)


def _beside_rows(tried: ColumnsRecord) -> list[BesideRow]:
    """Each way with the share that is right in the folds and on held-out photos; None where it was not scored."""
    held = {trial.name: trial for trial in tried.tried_on_held_out}
    return [
        BesideRow(
            name=trial.name,
            in_folds=_share(trial),
            on_held_out=_share(held.get(trial.name)),
            chosen=trial.name == tried.way,
        )
        for trial in tried.tried
    ]


def _share(trial: TriedClassifier | None) -> float | None:
    return trial.correct / trial.n if trial is not None and trial.n else None


def _metrics(scores: object) -> list[MetricScore]:
    measured = {metric: score_of(getattr(scores, metric, None)) for metric in METRICS}
    return [
        MetricScore(metric, score.value, score.low, score.high)
        for metric, score in measured.items()
        if score is not None
    ]


def _trust(details: Details, entry: Entry) -> Trust | None:
    """How far the probabilities can be trusted; the thresholds are those that the comparison decided on."""
    if not details.reliability and not details.confidence:
        return None
    correct = [truth == predicted for truth, predicted in zip(details.truth, details.says, strict=True)]
    confidence, automation = details.confidence or [], details.automation
    n = len(confidence)
    return Trust(
        measured_on=details.measured_on,
        n=n,
        enough=automation is not None and automation.coverage is not None,
        products=automation.n if automation else None,
        needed=automation.needed if automation else None,
        accuracy=sum(correct) / n if n else None,
        confidence=sum(confidence) / n if n else None,
        ece=score_of(entry.scores.ece),
        reliability=list(details.reliability),
        coverage=list(details.coverage),
        thresholds=[msgspec.convert(row, Threshold, from_attributes=True) for row in details.thresholds],
    )


def _must_not_miss(models: Path, store: Path, level: str | None) -> list[MustNotMiss]:
    """What the saved classifiers flag: the comparison trains others, which flag nothing."""
    return [
        MustNotMiss(classifier=name, **to_plain(row))
        for name, card in cards_of_store(models, store, level).items()
        for row in card.min_recall
    ]


def _made(comparison: ComparisonDocument) -> Made:
    stores = [to_plain(store) for store in comparison.stores]
    hidden = ("categories", "checks", "relabelled")
    return Made(
        command=list(comparison.command),
        commands=_commands(comparison),
        machine=dict(comparison.machine),
        settings=dict(comparison.settings),
        seconds=comparison.seconds,
        peak_memory=comparison.peak_memory,
        stores=[{key: value for key, value in store.items() if key not in hidden} for store in stores],
    )


def _commands(comparison: ComparisonDocument) -> list[str]:
    """What to type to make it again: the extraction of each store where it is known, then the comparison."""
    extracted = [store.extracted.get("command") for store in comparison.stores]
    commands = [*extracted, shlex.join(comparison.command)]
    return [" ".join(str(command).split()) for command in dict.fromkeys(commands) if command]
