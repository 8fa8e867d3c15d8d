"""comparison.json as records: the types are what a file must contain to be read as a comparison."""

from __future__ import annotations

from typing import Any

import msgspec

from featx.classifiers.card import ColumnsRecord
from featx.comparison.json_values import as_record, impossible_number, rounded, to_plain

SCHEMA = "featx-comparison/1"

Name = tuple[str, str]
"""A store and a classifier on it."""


class Score(msgspec.Struct, frozen=True):
    """A score of held-out photos with its 95 % interval."""

    value: float
    low: float | None = None
    high: float | None = None


class FoldScore(msgspec.Struct, frozen=True):
    """A score over folds: its mean with the 95 % interval, and each fold's."""

    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    folds: list[float] = []

    @property
    def value(self) -> float:
        """The mean, under the name that a score of held-out photos has."""
        return self.mean


class HeldOutScores(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every metric on the held-out photos, and how many there are."""

    accuracy: Score | None = None
    balanced_accuracy: Score | None = None
    macro_f1: Score | None = None
    weighted_f1: Score | None = None
    macro_precision: Score | None = None
    macro_recall: Score | None = None
    weighted_precision: Score | None = None
    weighted_recall: Score | None = None
    top3: Score | None = None
    top5: Score | None = None
    log_loss: Score | None = None
    ece: Score | None = None
    n: int | None = None


class FoldScores(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every metric over the folds; none where no fold could be scored."""

    accuracy: FoldScore | None = None
    balanced_accuracy: FoldScore | None = None
    macro_f1: FoldScore | None = None
    weighted_f1: FoldScore | None = None
    macro_precision: FoldScore | None = None
    macro_recall: FoldScore | None = None
    weighted_precision: FoldScore | None = None
    weighted_recall: FoldScore | None = None
    top3: FoldScore | None = None
    top5: FoldScore | None = None
    log_loss: FoldScore | None = None
    ece: FoldScore | None = None


class PlainScores(msgspec.Struct, frozen=True):
    """What folds that split products would claim."""

    accuracy: FoldScore | None = None


class CoarseScores(msgspec.Struct, frozen=True):
    """How often an answer is in the right coarser category."""

    level: str | int | None = None
    classes: int | None = None
    test: Score | None = None
    cv: FoldScore | None = None


class Entry(msgspec.Struct, frozen=True):
    """A classifier on a store: its scores, and what it costs."""

    store: str
    clf: str
    baseline: bool = False
    settings: dict[str, Any] = {}
    test: HeldOutScores | None = None
    cv: FoldScores = FoldScores()
    naive: PlainScores | None = None
    coarse: CoarseScores | None = None
    fit_seconds: float | None = None
    predict_seconds: float | None = None
    bytes: int | None = None

    @property
    def name(self) -> Name:
        """What tells it from the others."""
        return self.store, self.clf

    @property
    def scores(self) -> HeldOutScores | FoldScores:
        """The scores that count: those of held-out photos where there are any."""
        return self.test or self.cv

    @property
    def accuracy(self) -> Score | FoldScore:
        """The accuracy that counts."""
        accuracy = self.scores.accuracy
        assert accuracy is not None
        return accuracy


class PairTest(msgspec.Struct, frozen=True, kw_only=True):
    """Two entries on the same photos: the difference with its interval, and who wins (`a`, `b` or `tie`)."""

    a: Name
    b: Name
    metric: str = "accuracy"
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    level: float | None = None
    verdict: str


class Best(msgspec.Struct, frozen=True):
    """The recommended entry, how the others compare with it, and the reason in a sentence."""

    store: str
    clf: str
    ties: list[Name] = []
    alike: list[Name] = []
    below: list[Name] = []
    why: str = ""

    @property
    def name(self) -> Name:
        """Which entry it is."""
        return self.store, self.clf


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something a reader should know before believing a score: `passed` or `warning`."""

    code: str
    level: str
    share: float | None = None
    n: int | None = None


class ComparedStore(msgspec.Struct, frozen=True):
    """A store as it was compared; `relabelled` holds the labels that people had corrected, photo by photo."""

    name: str
    path: str | None = None
    fingerprint: dict[str, Any] = {}
    backbone: str | None = None
    width: int | None = None
    n: int | None = None
    n_labelled: int | None = None
    n_products: int | None = None
    categories: list[str] = []
    relabelled: dict[str, str | None] = {}
    bytes: int | None = None
    images_per_second: float | None = None
    extracted: dict[str, Any] = {}
    checks: list[Check] = []


class CategoryScores(msgspec.Struct, frozen=True):
    """One category: how many photos were scored, precision, recall and F1."""

    label: str
    n: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


class Confusion(msgspec.Struct, frozen=True):
    """A category that was taken for another, how often, and the most confident mistakes."""

    truth: str
    says: str
    n: int
    examples: list[str] = []


class ReliabilityBin(msgspec.Struct, frozen=True):
    """A step of confidence: its edges, the mean confidence, the accuracy, how many photos."""

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


class CoveragePoint(msgspec.Struct, frozen=True):
    """The share that is filed above a threshold, and how much of it is correct."""

    coverage: float
    threshold: float | None = None
    precision: float | None = None


class AutomationShare(msgspec.Struct, frozen=True):
    """How much can be filed at a target precision, measured on so many products."""

    target: float
    coverage: float
    threshold: float | None
    precision: float | None
    measured_on: str
    n: int
    needed: int


class Automation(msgspec.Struct, frozen=True):
    """How much can be filed without a person, and the outcome on held-out photos too few to choose thresholds on."""

    target: float
    coverage: float | None
    threshold: float | None
    measured_on: str
    n: int
    needed: int
    held_out: dict[str, float] | None = None


class Details(msgspec.Struct, frozen=True):
    """The answer for every scored photo, and the figures that follow from it."""

    measured_on: str | None = None
    ids: list[str] = []
    truth: list[int] = []
    says: list[int] = []
    confidence: list[float] | None = None
    classes: list[str] = []
    per_class: list[CategoryScores] = []
    confusions: list[Confusion] = []
    reliability: list[ReliabilityBin] = []
    coverage: list[CoveragePoint] = []
    automation: Automation | None = None
    thresholds: list[AutomationShare] = []


class MeanAndSpread(msgspec.Struct, frozen=True):
    """An accuracy over several draws."""

    mean: float
    sd: float | None = None


class LearningPoint(msgspec.Struct, frozen=True):
    """The accuracy after learning from so many photos of each category, at most."""

    per_class: int
    accuracy: MeanAndSpread | None = None
    n: int | None = None


class Doubling(msgspec.Struct, frozen=True):
    """The accuracy that twice the photos would bring, or why it cannot be estimated."""

    accuracy: float | None = None
    why: str | None = None


class SearchCategory(msgspec.Struct, frozen=True):
    """How well look-alike search finds the photos of one category."""

    label: str
    n: int | None = None
    recall_at_1: float | None = None
    recall_at_5: float | None = None
    recall_at_10: float | None = None
    precision_at_10: float | None = None
    map: float | None = None


class SearchQuality(msgspec.Struct, frozen=True):
    """The quality of look-alike search on a store; figures without an interval had nothing to find."""

    n: int | None = None
    recall_at_1: Score | None = None
    recall_at_5: Score | None = None
    recall_at_10: Score | None = None
    precision_at_10: Score | None = None
    map: Score | None = None
    categories: list[SearchCategory] = []
    products: dict[str, Any] | None = None
    hubness: dict[str, float] | None = None


class ComparisonDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in comparison.json."""

    schema: str = SCHEMA
    written: str | None = None
    featx: str
    command: list[str] = []
    machine: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    notes: list[str] = []
    stores: list[ComparedStore]
    entries: list[Entry]
    tests: list[PairTest] = []
    held_out_tests: list[PairTest] = []
    best: Best
    details: dict[str, Details] = {}
    learning_curve: list[LearningPoint] | None = None
    doubling: Doubling | None = None
    retrieval: dict[str, SearchQuality] | None = None
    # What columns are worth beside the photo, for the recommended classifier.
    columns: ColumnsRecord | None = None
    seconds: float | None = None
    peak_memory: int | None = None


def read_comparison(plain: Any) -> ComparisonDocument:
    """The comparison in a JSON file; ValueError explains what is wrong with it, and where."""
    if place := impossible_number(plain):
        raise ValueError(f"`{place}` is not a number that can be")
    try:
        document = as_record(plain, ComparisonDocument)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    for name, details in document.details.items():
        _require_one_answer_each(name, details)
    return document


def _require_one_answer_each(name: str, details: Details) -> None:
    """Lists about the same photos must have one length, and name known categories."""
    n, confidence = len(details.ids), details.confidence
    if not n == len(details.truth) == len(details.says) or (confidence is not None and len(confidence) != n):
        raise ValueError(f"`details.{name}` has not one answer for each photo")
    if any(not 0 <= number < len(details.classes) for number in (*details.truth, *details.says)):
        raise ValueError(f"`details.{name}` names categories that are not there")


def rounded_document(document: ComparisonDocument) -> ComparisonDocument:
    """The same with every number in the decimals that it is kept in."""
    plain = to_plain(document)
    details = plain.pop("details")
    return as_record({**rounded(plain), "details": details}, ComparisonDocument)
