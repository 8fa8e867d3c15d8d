"""Where the recommended entry fails: every category, the mix-ups with their photos, the confusion matrix."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping

import numpy as np

from featx.comparison.document import Confusion as Confused
from featx.comparison.document import Details, Entry
from featx.metrics.confusion import confusion_counts, most_frequent_mistakes
from featx.metrics.scores import wilson
from featx.reporting.confusion import confusion_of
from featx.reporting.recommendation import score_of
from featx.reporting.records import CategoryRow, CoarseScore, Fails, MixUp, Outcomes, Photo, RareCategory
from featx.reporting.thumbnails import ThumbnailCache

PAIRS = 10
EXAMPLES = 4
RAREST = 8
# So many mix-ups are shown even where each happened once.
ALWAYS = 4

Labels = Mapping[str, str | None]


def failures_of(
    details: Details, entry: Entry, label_of: Labels, thumbnails: ThumbnailCache, n_categories: int
) -> Fails | None:
    """The mistakes with thumbnails; None where they were not kept."""
    if not details.per_class:
        return None
    rows = _categories(details, Counter(label for label in label_of.values() if label))
    rare = sorted((row for row in rows if row.n), key=lambda row: (row.photos or 0, row.label))[:RAREST]
    return Fails(
        measured_on=details.measured_on,
        per_class=rows,
        n_unscored=max(0, n_categories - sum(row.n > 0 for row in rows)),
        pairs=[_mix_up(confused, details, label_of, thumbnails) for confused in _worst(details.confusions)],
        confusion=confusion_of(details.truth, details.says, details.classes) if details.truth else None,
        rare=[RareCategory(row.label, row.photos, row.n, row.recall) for row in rare],
        coarse=_coarse(entry),
        outcomes=_outcomes(details),
    )


def _categories(details: Details, photos: Counter[str]) -> list[CategoryRow]:
    """A row for each category, worst first."""
    taken: Mapping[str, tuple[int, int] | None] = {}
    if details.truth:
        counts = confusion_counts(details.truth, details.says, len(details.classes))
        taken = dict(zip(details.classes, most_frequent_mistakes(counts), strict=True))
    rows = []
    for scores in details.per_class:
        mistake = taken.get(scores.label)
        # A category without a scored photo has no recall.
        recall = scores.recall if scores.n else None
        interval = wilson(round((recall or 0) * scores.n), scores.n)
        rows.append(
            CategoryRow(
                label=scores.label,
                photos=photos.get(scores.label, scores.n) if photos else scores.n,
                n=scores.n,
                precision=scores.precision,
                recall=recall,
                recall_low=interval.low,
                recall_high=interval.high,
                f1=scores.f1 if scores.n else None,
                taken_for=details.classes[mistake[0]] if mistake else None,
                times=mistake[1] if mistake else 0,
            )
        )
    return sorted(rows, key=lambda row: (row.n == 0, 1 if row.recall is None else row.recall, row.label))


def _worst(confusions: list[Confused]) -> list[Confused]:
    worst = sorted(confusions, key=lambda confused: -confused.n)
    return [confused for i, confused in enumerate(worst) if i < ALWAYS or confused.n > 1][:PAIRS]


def _mix_up(confused: Confused, details: Details, label_of: Labels, thumbnails: ThumbnailCache) -> MixUp:
    typical: dict[str | None, str] = {}
    for item_id, truth, predicted in zip(details.ids, details.truth, details.says, strict=True):
        label = label_of.get(item_id)
        if truth == predicted and label in (confused.truth, confused.says):
            typical.setdefault(label, item_id)
    both = [typical[label] for label in (confused.truth, confused.says) if label in typical]
    return MixUp(
        truth=confused.truth,
        says=confused.says,
        n=confused.n,
        examples=[photo(item_id, label_of, thumbnails) for item_id in confused.examples[:EXAMPLES]],
        typical=[photo(item_id, label_of, thumbnails) for item_id in both],
    )


def photo(item_id: str, label_of: Labels, thumbnails: ThumbnailCache) -> Photo:
    """A photo as the report names it: id, category, thumbnail."""
    return Photo(item_id, label_of.get(item_id), thumbnails.name(item_id))


def _coarse(entry: Entry) -> CoarseScore | None:
    coarse = entry.coarse
    score = score_of(coarse.test or coarse.cv) if coarse else None
    if coarse is None or score is None:
        return None
    return CoarseScore(score.value, score.low, score.high, coarse.level, coarse.classes)


def _outcomes(details: Details) -> Outcomes | None:
    """Which photos were right, in one bit each, so that a later report can compare photo by photo."""
    if not details.ids:
        return None
    order = sorted(range(len(details.ids)), key=lambda i: details.ids[i])
    correct = [details.truth[i] == details.says[i] for i in order]
    names = "\n".join(details.ids[i] for i in order)
    return Outcomes(
        ids=hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest(),
        n=len(order),
        right=base64.b64encode(np.packbits(correct).tobytes()).decode(),
    )
