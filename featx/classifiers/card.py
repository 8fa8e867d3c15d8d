"""The card of a classifier: how good it is and where it came from, sealed with a digest.

The records are the schema: a card that does not fit them is refused, in the words of msgspec.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, ValidationError, convert, to_builtins

from featx.classifiers.kinds import CLASSIFIERS
from featx.files.markdown import escape_markdown, inline_code
from featx.files.regular import parse_json
from featx.metrics.block_choice import BlockChoice
from featx.metrics.selective import format_threshold
from featx.views.block_choices import describe_blocks
from featx.views.quantities import percent, percent_range

NO_DIGEST = "0" * 64

# Larger numbers are neither counts nor shares; nor are NaN and infinity.
Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
Count = Annotated[int, Meta(ge=0, le=10**15)]


class Score(Struct, kw_only=True):
    """The share of correct answers, with its 95 % interval."""

    accuracy: Number
    ci95: tuple[Number, Number]
    n: Count


class CrossValidation(Score, kw_only=True):
    """The score over folds that never split a product."""

    folds: Count
    grouped_by: str
    groups: Count


class Yield(Struct, kw_only=True):
    """How many of n photos a threshold answers, and how many of those answers are correct."""

    n: Count
    answered: Count
    right: Number


class AutomationRecord(Struct, kw_only=True):
    """How much can be filed without a person; no coverage where there are too few products to tell."""

    target: Number
    coverage: Number | None
    threshold: Number | None
    measured_on: str
    n: Count
    needed: Count = 0
    held_out: Yield | None = None


class CoverageRow(Struct, kw_only=True):
    """The precision of answering only the most confident share of photos."""

    coverage: Number
    threshold: Number
    precision: Number
    low: Number
    high: Number


class ThresholdRow(Struct, kw_only=True):
    """The threshold of each category for one target, and their precision on other products."""

    target: Number
    everywhere: Number | None
    answered: Number
    precision: Number
    low: Number
    high: Number
    n: Count
    categories: dict[str, Number | None]
    measured_on: str
    held_out: Yield | UnsetType = UNSET


class RecallRow(Struct, kw_only=True):
    """From which probability photos are flagged as a category that must not be missed, so that `target` is caught.

    `recall` is the share of n of its products that was caught, chosen on others; `false_alarms` the share of `others`,
    products of other categories, that is flagged too.
    """

    category: str
    target: Number
    threshold: Number
    recall: Number
    low: Number
    high: Number
    n: Count
    false_alarms: Number
    false_alarms_low: Number
    false_alarms_high: Number
    others: Count
    measured_on: str


class Novelty(Struct, kw_only=True):
    """The similarity below which a photo counts as unlike anything in training, and how often a known photo does."""

    threshold: Number
    false_alarms: Number


class WeakCategory(Struct, kw_only=True):
    """A category that is often missed, and the one it is usually taken for."""

    label: str
    recall: Number
    n: Count
    taken_for: str
    times: Count
    misses: Count


class TriedClassifier(Struct, kw_only=True):
    """A classifier that was tried in the same folds: how many of n photos it got right, and a test with the first."""

    name: str
    correct: Count
    n: Count
    p: Number | None = None
    chosen: bool = False


class ColumnRecord(Struct, kw_only=True):
    """A column beside the photo: what it is, and the share of photos in which it has a value.

    `named` is the share of its texts with the name of their category; `stands` says that it stands for the category.
    """

    name: str
    kind: str
    given: Number
    named: Number = 0.0
    stands: bool = False


class DecidedRecord(Struct, kw_only=True):
    """A photo to which the columns gave another category than the photo alone did, and what its texts say."""

    id: str
    truth: str
    photo: str
    both: str
    text: str = ""


class CategoryWordRecord(Struct, kw_only=True):
    """A word that speaks for a category: on how many `of` its products it stands, and on how many `others`."""

    word: str
    here: Count
    of: Count
    elsewhere: Count
    others: Count


class Difference(Struct, kw_only=True):
    """The accuracy with columns and without, on the same photos, and the paired difference with its interval."""

    photo: Number
    both: Number
    difference: Number
    ci95: tuple[Number, Number]
    p: Number
    n: Count


class ColumnsRecord(Struct, kw_only=True):
    """The columns that were tried beside the photo, in the same folds, and the way that was chosen.

    `way` is `photo` where no way of counting them is clearly better.
    """

    way: str
    reads: bool
    columns: list[ColumnRecord]
    tried: list[TriedClassifier]
    # The same on held-out photos, where there were enough of them to decide.
    tried_on_held_out: list[TriedClassifier] = []
    cv: Difference | None = None
    test: Difference | None = None
    # The score in the folds without the words of the categories' names.
    without_names: TriedClassifier | None = None
    decided: list[DecidedRecord] = []
    # The words of texts that speak for each category, the clearest first.
    words: dict[str, list[CategoryWordRecord]] = {}


class SampleRecord(Struct, kw_only=True):
    """How many products it learned from where these are some of all, and what that costs in the folds.

    `guess` is the accuracy that all of them may give, from half of these and these; None where more did not help.
    """

    products: Count
    of: Count
    photos_of: Count
    with_half: Number
    with_all: Number
    guess: Number | None


class Check(Struct, kw_only=True):
    """A finding about the data that affects the scores."""

    code: str
    level: str
    share: Number


class Card(Struct, kw_only=True, frozen=True):
    """The card beside a classifier. The field names are the keys of its JSON."""

    version: Count
    clf: str
    backbone: str
    store: str
    n: Count
    classes: Count
    labels: list[str]
    test: Score | None
    cv: CrossValidation
    baseline: Number
    automation: AutomationRecord
    coverage: list[CoverageRow]
    coverage_on: str
    thresholds: list[ThresholdRow]
    unlike: Novelty
    weakest: list[WeakCategory]
    small: dict[str, Count]
    checks: list[Check]
    settings: dict[str, str | int | float | bool | None]
    fingerprint: dict[str, Any]
    written: str
    level: str | None
    held_out_categories: Count
    held_out: list[str]
    test_store: str | None
    learned_in_test: Count
    # What is in no score because a tuned network learned from it; empty where nothing is.
    seen: str = ""
    calibrated_on: str
    asked_folds: Count
    tuned: bool
    seconds: Number
    # Where the classifier was chosen among several: all of them, in the order in which they were tried.
    tried: list[TriedClassifier] = []
    # Identifies the training set; empty on older cards.
    lessons_sha256: str = ""
    # The parts of a joined backbone it was trained on, empty for all, and what chose them.
    blocks: list[str] = []
    block_choice: dict[str, Any] | None = None
    # The columns that were tried beside the photo.
    columns: ColumnsRecord | None = None
    # The categories that must not be missed.
    min_recall: list[RecallRow] = []
    # Where it learned from some of the products only: how many were asked for, and what that costs.
    asked_products: Count | None = None
    sample: SampleRecord | None = None
    # The path of its backbone's weights, if they came from `--weights FILE`.
    weights_file: str = ""
    # Known after saving.
    model: str = ""
    sha256: str = ""
    bytes: Count = 0

    @property
    def best(self) -> Score:
        """The score to quote: on held-out photos where there are any, else the cross-validated one."""
        return self.test or self.cv

    @property
    def wants(self) -> list[str]:
        """The columns that count beside the photo."""
        counted = self.columns is not None and self.columns.way != "photo"
        return [column.name for column in self.columns.columns] if self.columns is not None and counted else []

    @property
    def reads_meanings(self) -> bool:
        """Whether its texts count by their meaning too."""
        return self.columns is not None and any(column.kind == "meaning" for column in self.columns.columns)

    @property
    def words(self) -> dict[str, list[str]]:
        """The words that speak for each category, where texts count beside the photo."""
        if self.columns is None or not self.wants:
            return {}
        return {label: [word.word for word in words] for label, words in self.columns.words.items()}

    def to_dict(self) -> dict[str, Any]:
        """The card as a JSON object."""
        return dict(to_builtins(self))


def read_card(data: bytes) -> Card:
    """The card in these bytes; ValueError if they were changed, or are not a card of featx."""
    record = parse_json(data)
    digest = record.get("card_sha256") if isinstance(record, dict) else None
    if not isinstance(digest, str) or len(digest) != len(NO_DIGEST):
        raise ValueError("its card has no digest")
    before = data.replace(digest.encode("utf-8", "replace"), NO_DIGEST.encode(), 1)
    if hashlib.sha256(before).hexdigest() != digest:
        raise ValueError("its card is not what was written")
    try:
        return convert(record, Card)
    except ValidationError as error:
        raise ValueError(f"its card is damaged: {error}") from error


def card_bytes(card: Card) -> bytes:
    """A card as bytes."""
    return seal(card.to_dict())


def seal(record: Mapping[str, object]) -> bytes:
    """A record as JSON that begins with the digest of its other fields."""
    sealed = {"card_sha256": NO_DIGEST, **{key: value for key, value in record.items() if key != "card_sha256"}}
    data = (json.dumps(sealed, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "backslashreplace")
    return data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


def training_command(card: Card) -> str:
    """The command that trains this classifier again."""
    settings, spec = card.settings, CLASSIFIERS.get(card.clf)
    reduce, splits = settings.get("reduce"), ",".join(card.held_out)
    options = {
        "--folds": card.asked_folds if card.asked_folds != 5 else None,
        "--class-weight": settings.get("class_weight"),
        "--reduce": reduce if spec is None or reduce != spec.reduction else None,
        "--level": card.level,
        "--products": card.asked_products,
        "--test": card.test_store or (splits if splits != "test,val" else None),
        "--seed": settings.get("seed") or None,
        "--blocks": ",".join(card.blocks) or None,
        "--with": None if card.columns is None else ",".join(column.name for column in card.columns.columns),
    }
    words = ["featx", "fit", "--clf", card.clf, "--store", card.store]
    words += [str(word) for option in options.items() if option[1] is not None for word in option]
    words += [word for row in card.min_recall for word in ("--min-recall", f"{row.category}={row.target:g}")]
    words += ["--sentences"] * card.reads_meanings
    words += ["--tune"] * card.tuned + ["--resample"] * bool(settings.get("resample"))
    return shlex.join(words)


def page(card: Card) -> str:
    """The card for people, in Markdown."""

    def row(name: str, score: Score | None) -> str:
        if score is None:
            return f"| {name} | – | – | 0 |"
        low, high = score.ci95
        return f"| {name} | {percent(score.accuracy)} | {percent_range(low, high)} | {score.n:,} |"

    lines = [
        f"# {escape_markdown(card.clf)} on {escape_markdown(card.backbone)} features",
        "",
        f"{card.classes:,} categories, {card.n:,} photos, written {card.written}.",
        "",
        "| right | share | 95 % interval | photos |",
        "|---|---|---|---|",
        row("held-out photos", card.test),
        row(f"cross-validation, {card.cv.folds} grouped folds", card.cv),
        "",
        *_thresholds(card),
        *_min_recall(card),
        f"Store: {inline_code(card.store)}. Settings: {inline_code(json.dumps(card.settings))}.",
        *_block_choice(card),
        *_columns(card),
        f"Fingerprint: {inline_code(json.dumps(card.fingerprint, ensure_ascii=False))}.",
        f"SHA-256 of the classifier: `{card.sha256}`.",
    ]
    return "\n".join(lines) + "\n"


def _block_choice(card: Card) -> list[str]:
    """Which parts of a joined backbone were used, and why."""
    if card.block_choice is None:
        return []
    return [f"Parts of the backbone: {inline_code(describe_blocks(BlockChoice.from_dict(card.block_choice)))}."]


def _columns(card: Card) -> list[str]:
    """The columns that were tried beside the photo, and what each way of counting them was worth."""
    record = card.columns
    if record is None:
        return []
    names = ", ".join(inline_code(column.name) for column in record.columns)
    tried = ", ".join(f"{trial.name} {percent(trial.correct / max(trial.n, 1))}" for trial in record.tried)
    wants = "by the photo alone" if record.way == "photo" else f"with {names} ({record.way})"
    return [f"Answers {wants}. Tried with {names} in the same folds: {tried}."]


def _thresholds(card: Card) -> list[str]:
    """The thresholds of each category, and their precision."""
    if not card.thresholds:
        return []
    lines = [
        "Thresholds by category (`featx predict --min-precision`), measured on products they were not chosen on:",
        "",
        "| target | answered | right | 95 % interval | chosen on |",
        "|---|---|---|---|---|",
    ]
    for row in card.thresholds:
        correct = f"{percent(row.precision)} | {percent_range(row.low, row.high)}" if row.n else "– | –"
        shares = f"{percent(row.target, 0)} | {percent(row.answered, 0)} | {correct}"
        lines.append(f"| {shares} | {escape_markdown(row.measured_on)} |")
    targets = " | ".join(percent(row.target, 0) for row in card.thresholds)
    lines += ["", f"| category | {targets} |", "|---" * (len(card.thresholds) + 1) + "|"]

    def cell(threshold: float | None) -> str:
        return "never" if threshold is None else format_threshold(threshold)

    rows = [("all others", [row.everywhere for row in card.thresholds])]
    rows += [(label, [row.categories.get(label) for row in card.thresholds]) for label in card.labels]
    for label, thresholds in rows:
        lines.append(f"| {escape_markdown(label)} | " + " | ".join(map(cell, thresholds)) + " |")
    return [*lines, ""]


def _min_recall(card: Card) -> list[str]:
    """The categories that must not be missed, what is caught of them, and how many others are flagged."""
    if not card.min_recall:
        return []
    lines = [
        "Categories that must not be missed (`featx fit --min-recall`), counted by products:",
        "",
        "| category | flagged from | wanted | caught | 95 % interval | products "
        "| false alarms | 95 % interval | others | measured on |",
        "|---" * 10 + "|",
    ]
    for row in card.min_recall:
        caught = f"{percent(row.recall)} | {percent_range(row.low, row.high)} | {row.n:,}"
        alarms = percent_range(row.false_alarms_low, row.false_alarms_high)
        lines.append(
            f"| {escape_markdown(row.category)} | {row.threshold:.2g} | {100 * row.target:g}% | {caught} "
            f"| {percent(row.false_alarms)} | {alarms} | {row.others:,} | {escape_markdown(row.measured_on)} |"
        )
    return [*lines, ""]
