"""report.json as records: the types are what a file must contain to be read as a report."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from featx.classifiers.card import CategoryWordRecord, ColumnsRecord, RecallRow
from featx.comparison.document import (
    Check,
    CoveragePoint,
    Doubling,
    LearningPoint,
    Name,
    PairTest,
    ReliabilityBin,
    Score,
    SearchQuality,
)
from featx.comparison.json_values import to_plain

SCHEMA = "featx-report/1"


class About(msgspec.Struct):
    """The recommended store, and how much is in it."""

    store: str
    backbone: str | None = None
    n: int | None = None
    n_labelled: int | None = None
    n_products: int | None = None
    n_categories: int | None = None


class Recommended(msgspec.Struct):
    """The recommended entry, and the reason in a sentence."""

    store: str
    clf: str
    why: str | None = None


class EntryRow(msgspec.Struct, kw_only=True):
    """An entry of the comparison: its standing against the recommended one, its scores, its speed and its size.

    `tied` does not differ significantly from the recommended one, `alike` is as good, `below` is below a baseline,
    `unbeaten` is beaten by no other in accuracy, speed and size at once. `images_per_second` is from photo to answer.
    """

    store: str
    clf: str
    backbone: str
    baseline: bool
    best: bool
    tied: bool
    alike: bool = False
    below: bool = False
    measured_on: str | None = None
    accuracy: Score | None = None
    macro_f1: Score | None = None
    images_per_second: float | None = None
    hours_per_million: float | None = None
    cost_per_million: float | None = None
    fit_seconds: float | None = None
    predict_seconds: float | None = None
    bytes: int | None = None
    unbeaten: bool


class Which(msgspec.Struct, kw_only=True):
    """Which entry to use: all of them, best first, and the tests between them (the better one is `a`)."""

    best: Recommended
    ties: list[Name]
    alike: list[Name] = []
    rows: list[EntryRow]
    tests: list[PairTest]
    tests_on: str | None = None
    price_per_hour: float | None = None


class MetricScore(msgspec.Struct):
    """One metric with its 95 % interval."""

    metric: str
    value: float
    low: float | None = None
    high: float | None = None


class Baseline(msgspec.Struct):
    """What a baseline reaches."""

    store: str
    clf: str
    accuracy: Score | None = None


class PublishedResult(msgspec.Struct):
    """A published accuracy: data, method, fine and coarse categories, and the source."""

    data: str
    method: str
    accuracy: float
    coarse: float | None = None
    source: str = ""


class PublishedSplit(msgspec.Struct):
    """Which photos the published results are of, and whether as many were held out here."""

    data: str | None = None
    n_test: int = 0
    same_photos: bool = False


class Honest(msgspec.Struct, kw_only=True):
    """How good the recommended entry is: `test` on held-out photos, `cv` over folds, `naive` over random folds."""

    measured_on: Literal["test", "cv"]
    n_test: int | None = None
    grouped_by: str | None = None
    folds: int | None = None
    repeats: int | None = None
    test: list[MetricScore]
    cv: list[MetricScore]
    naive: Score | None = None
    baselines: list[Baseline]
    published: list[PublishedResult]
    published_on: PublishedSplit | None = None
    checks: list[Check]
    learning_curve: list[LearningPoint] | None = None
    doubling: Doubling | None = None


class Photo(msgspec.Struct):
    """A photo: its id, its category, the file of its thumbnail."""

    id: str
    label: str | None = None
    thumbnail: str | None = None


class DecidedPhoto(msgspec.Struct):
    """A photo to which the columns gave another category than the photo alone did, and what its texts say."""

    photo: Photo
    by_photo: str
    by_both: str
    right: bool
    text: str = ""


class BesideRow(msgspec.Struct, kw_only=True):
    """A way of answering, by the photo, its columns or both: how often it is right in folds and on held-out photos."""

    name: str
    in_folds: float | None = None
    on_held_out: float | None = None
    chosen: bool = False


class CategoryWords(msgspec.Struct):
    """The words that speak for a category."""

    label: str
    words: list[CategoryWordRecord]


class BesidePhoto(msgspec.Struct, kw_only=True):
    """What columns of the table, or read text, are worth beside the photo."""

    tried: ColumnsRecord
    rows: list[BesideRow] = []
    decided: list[DecidedPhoto] = []
    words: list[CategoryWords] = []


class CategoryRow(msgspec.Struct, kw_only=True):
    """A category: its photos, how many were scored, the scores (a Wilson interval), the usual mistake."""

    label: str
    photos: int | None = None
    n: int
    precision: float | None = None
    recall: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None
    f1: float | None = None
    taken_for: str | None = None
    times: int | None = None


class MixUp(msgspec.Struct):
    """A category taken for another, how often, the mistakes, and photos of both that were recognised."""

    truth: str
    says: str
    n: int
    examples: list[Photo]
    typical: list[Photo]


class Confusion(msgspec.Struct):
    """The confusion matrix: `cells` are `[truth, says, n]`, `order` puts mixed-up categories side by side."""

    classes: list[str]
    order: list[int]
    cells: list[tuple[int, int, int]]
    blocks: list[list[int]]
    mistakes: int


class RareCategory(msgspec.Struct):
    """A category with few photos."""

    label: str
    photos: int | None = None
    n: int | None = None
    recall: float | None = None


class CoarseScore(msgspec.Struct):
    """Accuracy when only the coarser category counts."""

    value: float
    low: float | None = None
    high: float | None = None
    level: str | int | None = None
    classes: int | None = None


class Outcomes(msgspec.Struct):
    """Which photos were right, a bit each in the order of their ids, and the SHA-256 of the ids."""

    ids: str
    n: int
    right: str


class ExplainedMistake(msgspec.Struct, kw_only=True):
    """A mistake of the saved classifier: the photo, with the regions over it, the answer, and what spoke for it."""

    photo: Photo
    says: str
    sentence: str
    has_regions: bool = False


class ExplainedMistakes(msgspec.Struct, kw_only=True):
    """What spoke for the surest mistakes, or why that is not known.

    Of the surest, `n_other` get another answer from the saved classifier, and `n_unreadable` could not be read again.
    """

    rows: list[ExplainedMistake] = []
    n_other: int = 0
    n_unreadable: int = 0
    why_none: str = ""


class Fails(msgspec.Struct, kw_only=True):
    """Where the recommended entry fails, worst category first."""

    measured_on: str | None = None
    per_class: list[CategoryRow]
    n_unscored: int | None = None
    pairs: list[MixUp]
    confusion: Confusion | None = None
    rare: list[RareCategory]
    coarse: CoarseScore | None = None
    outcomes: Outcomes | None = None
    explained: ExplainedMistakes | None = None


class Threshold(msgspec.Struct):
    """From which confidence on so many are right, and how much that files; measured on `n` of the `needed` products."""

    target: float
    coverage: float
    threshold: float | None = None
    precision: float | None = None
    measured_on: str | None = None
    n: int | None = None
    needed: int | None = None


class Trust(msgspec.Struct, kw_only=True):
    """How far the probabilities can be trusted; the thresholds are those that the comparison decided on."""

    measured_on: str | None = None
    n: int
    enough: bool
    products: int | None = None
    needed: int | None = None
    accuracy: float | None = None
    confidence: float | None = None
    ece: Score | None = None
    reliability: list[ReliabilityBin]
    coverage: list[CoveragePoint]
    thresholds: list[Threshold]


class MustNotMiss(RecallRow, kw_only=True):
    """What a saved classifier flags of a category that must not be missed, counted by products.

    From `threshold` on photos are flagged, so that `target` of its products are caught; `recall` of `n` were, and of
    `others`, products of other categories, `false_alarms` were flagged too.
    """

    classifier: str


class SuspectedLabel(msgspec.Struct):
    """A label that is probably wrong, and the category the photo looks like."""

    id: str
    says: str
    looks_like: str
    sure: float | None = None
    thumbnail: str | None = None


class SuspectedLabels(msgspec.Struct):
    """How many labels look wrong, and the first of them."""

    n: int
    rows: list[SuspectedLabel]


class CopiedPhoto(Photo):
    """A photo of a group of copies, and its split."""

    split: str | None = None


class CopyGroup(msgspec.Struct, kw_only=True):
    """Photos that are copies of each other."""

    kind: str
    similarity: float | None = None
    across_labels: bool
    across_splits: bool
    photos: list[CopiedPhoto]


class Copies(msgspec.Struct, kw_only=True):
    """How many groups of copies there are, how many are on both sides of the split, and the first of them."""

    n: int
    n_leaks: int
    n_across_labels: int | None = None
    groups: list[CopyGroup]


class SkippedFile(msgspec.Struct):
    """A file that could not be used."""

    path: str
    reason: str


class SkippedFiles(msgspec.Struct):
    """How many files could not be used, and the first of them."""

    n: int
    rows: list[SkippedFile]


class DataFindings(msgspec.Struct):
    """Faults of the data; null for checks that were not run."""

    issues: SuspectedLabels | None
    duplicates: Copies | None
    skipped: SkippedFiles | None


class Neighbour(Photo, kw_only=True):
    """An answer of the search: how alike it is, and whether it is of the query's category."""

    similarity: float
    right: bool


class SearchExample(msgspec.Struct, kw_only=True):
    """A query, its neighbours, and how many of them are right."""

    query: Photo
    right: int | None = None
    neighbours: list[Neighbour]


class Similar(msgspec.Struct):
    """How well look-alike search works, and the queries where it works best and worst."""

    measured: SearchQuality | None
    best: list[SearchExample]
    worst: list[SearchExample]


class CatalogueMap(msgspec.Struct, kw_only=True):
    """The map of the catalogue; `points` are four little-endian 16-bit numbers a photo in base64.

    They are x, y, category and tile, 65535 for none. `ids` are of the points or of the tiles, as `ids_of` says.
    """

    n: int
    method: str
    seconds: float | None = None
    same_category: float | None = None
    classes: list[str]
    points: str
    sheet: str | None = None
    tile: int
    columns: int
    n_pictures: int | None = None
    ids: list[str]
    ids_of: str


class Made(msgspec.Struct, kw_only=True):
    """Settings and cost of the report; `commands` reproduce it."""

    command: list[str]
    commands: list[str] = []
    machine: dict[str, Any]
    settings: dict[str, Any]
    seconds: float | None = None
    peak_memory: int | None = None
    stores: list[dict[str, Any]]


class Change(msgspec.Struct, kw_only=True):
    """One metric or category then and now; `p` is how likely such a difference is by chance."""

    metric: str
    old: float
    new: float
    p: float | None = None
    fell: bool
    rose: bool
    difference: float = 0.0


class Changes(msgspec.Struct, kw_only=True):
    """Every metric that both reports know, the categories that moved most, and the metrics that fell.

    `paired` says whether the reports were compared photo by photo, `notes` why they may not be of the same thing.
    """

    schema: str = "featx-report-changes/1"
    since: str | None = None
    paired: bool = False
    notes: list[str]
    metrics: list[Change]
    categories: list[Change]
    fell: list[str] = []

    def to_dict(self) -> dict[str, Any]:
        """The changes as plain values, as `featx report --against` prints them."""
        plain: dict[str, Any] = to_plain(self)
        return plain


class Pictures(msgspec.Struct):
    """How many thumbnails were made and left out, and which photos could not be read again (the first 50)."""

    made: int
    left_out: int
    missing: list[str] = []
    n_missing: int = 0


class TunedEpoch(msgspec.Struct):
    """One pass of a tuning over the photos: the mean loss, and the share of judging photos that were right after it."""

    number: int
    loss: float
    judged: float


class TunedCategory(msgspec.Struct):
    """A category whose judging photos came out otherwise: how many there are, and how many were right."""

    label: str
    n: int
    before: int
    after: int


class TunedMixUp(msgspec.Struct):
    """How often a judging photo of one category was taken for another."""

    truth: str
    says: str
    before: int
    after: int


class TunedPhoto(msgspec.Struct):
    """A judging photo that became right or wrong, and what was said of it."""

    photo: Photo
    before: str
    after: str


class TunedNetwork(msgspec.Struct, kw_only=True):
    """What tuning changed: the network it began from, its passes, and the judging photos before and after.

    `gain` is the difference that decided; the photos judged chose the epoch and the blend too.
    """

    name: str
    parent: str
    cut: str
    tuned_on: int
    judged_on: int
    before: Score
    after: Score
    before_by: str
    after_by: str
    gain: Score
    p: float
    best_epoch: int
    epochs: list[TunedEpoch]
    categories: list[TunedCategory]
    pairs: list[TunedMixUp]
    n_gained: int
    n_lost: int
    gained: list[TunedPhoto]
    lost: list[TunedPhoto]


class ReportDocument(msgspec.Struct, kw_only=True):
    """Everything in report.json."""

    schema: str = SCHEMA
    written: str | None = None
    featx: str
    about: About
    which: Which
    honest: Honest
    fails: Fails | None
    tuned: TunedNetwork | None = None
    trust: Trust | None
    must_not_miss: list[MustNotMiss] = []
    data: DataFindings
    similar: Similar | None
    beside: BesidePhoto | None = None
    map: CatalogueMap | None
    made: Made
    changes: Changes | None = None
    pictures: Pictures | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, as report.json holds it."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @property
    def best(self) -> EntryRow:
        """The recommended entry as in the table."""
        return next((row for row in self.which.rows if row.best), self.which.rows[0])
