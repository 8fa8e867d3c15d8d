"""A saved classifier scored on photos it never learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.model import Classifier, require_same_features
from featx.classifiers.registry import open_classifier
from featx.comparison.document import Details
from featx.comparison.json_values import rounded, to_plain
from featx.comparison.mistakes import collect_mistakes
from featx.errors import FeatxError
from featx.files.regular import same_place
from featx.labels.seen import seen_rows
from featx.labels.training_set import HELD_OUT, labels_for, require_splits
from featx.metrics.assessment import assess
from featx.metrics.confusion import confusion_counts
from featx.metrics.scores import Interval, ScoredAnswers
from featx.store import Store, as_store, open_store
from featx.views.frames import columns_of_records, pandas_frame
from featx.views.notebook import notebook_table
from featx.views.quantities import percent, percent_range
from featx.workspace import Workspace

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]


@dataclass(frozen=True)
class Evaluation:
    """Scores with intervals, each category, the worst confusions; `left_out` counts photos it had learned from."""

    classifier: Classifier
    store: Path
    splits: list[str]
    n: int
    n_products: int
    left_out: int
    unknown: dict[str, int]
    unscored: list[str]
    scores: dict[str, Interval]
    details: Details

    @property
    def matrix(self) -> np.ndarray:
        """How often each category (row) was taken for each (column)."""
        return confusion_counts(self.details.truth, self.details.says, len(self.details.classes))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        plain: dict[str, Any] = rounded(
            {
                "schema": "featx-evaluation/1",
                "clf": self.classifier.name,
                "store": str(self.store),
                "splits": self.splits,
                "n": self.n,
                "n_products": self.n_products,
                "left_out": self.left_out,
                "unknown_categories": self.unknown,
                "categories_without_a_picture": self.unscored,
                "scores": {name: vars(score) for name, score in self.scores.items()},
            }
        )
        return plain | {"details": to_plain(self.details)}

    def to_pandas(self) -> pandas.DataFrame:
        """A DataFrame with a row for each category."""
        return pandas_frame(columns_of_records(to_plain(self.details.per_class)))

    def __repr__(self) -> str:
        right = self.scores["accuracy"]
        return f"Evaluation({percent(right.value)} right ({percent_range(right.low, right.high)}) on {self.n:,} photos)"

    def _repr_html_(self) -> str:
        rows = [
            (name, f"{score.value:.3f}", f"{score.low:.3f} – {score.high:.3f}") for name, score in self.scores.items()
        ]
        return notebook_table(repr(self), ("score", "value", "95 % interval"), rows)


def evaluate(
    classifier: Classifier | str | Path | None = None,
    store: Store | str | Path | None = None,
    splits: Sequence[str] | None = None,
) -> Evaluation:
    """Score a classifier on held-out rows: the named splits, else `test` and `val`, else a store it never saw.

    The classifier is one in memory, a file, a name such as `lda`, or the one trained last. Photos that it learned from,
    by the digest of their bytes, are left out and counted.
    """
    loaded = open_classifier(classifier, Workspace.here())
    opened = as_store(store).suited_to(loaded.fingerprint)
    require_same_features(loaded, opened.fingerprint, opened.path)
    labels = labels_for(opened, loaded.card.level)
    trained_on = Path(loaded.card.store)
    same = same_place(str(trained_on), opened.path) and opened.path.exists()
    requested = _held_out_splits(opened, splits, trained_here=same)
    chosen = [
        i for i, label in enumerate(labels) if label is not None and (not requested or opened.splits[i] in requested)
    ]
    rows = _unlearned(opened, chosen, _learned(opened if same else _open(trained_on)))
    truths = [str(labels[i]) for i in rows]
    answers = _answers(loaded, opened, rows, truths)
    assessment = assess(answers, loaded.classes)
    known = set(loaded.classes)
    return Evaluation(
        loaded,
        opened.path,
        requested,
        len(rows),
        answers.n_products,
        len(chosen) - len(rows),
        {label: truths.count(label) for label in sorted(set(truths) - known)},
        sorted(known - set(truths)),
        {name: Interval(**rounded(vars(score))) for name, score in assessment.scores.items()},
        collect_mistakes(assessment, [opened.ids[i] for i in rows], truths, " and ".join(requested) or "all photos"),
    )


def _held_out_splits(store: Store, splits: Sequence[str] | None, *, trained_here: bool) -> list[str]:
    """The splits to score; none means all photos, which only a store that was not trained on can give."""
    require_splits(splits or (), [store])
    requested = list(splits or [split for split in HELD_OUT if split in store.splits])
    if not requested and trained_here:
        raise FeatxError(
            "bad-flag",
            f"every photo of {store.path} was used for training; none is held out",
            "name a store made from other photos: `featx evaluate --store OTHER.h5`; or see `featx compare`",
        )
    return requested


def _unlearned(store: Store, rows: Sequence[int], learned: set[str]) -> list[int]:
    """The rows whose photos neither the classifier nor a tuned network behind the features learned from."""
    seen = seen_rows(store)
    left = [i for i in rows if store.digests[i] not in learned and not seen[i]]
    if left:
        return left
    used = "a tuned network has seen them all" if rows and seen[rows].all() else ""
    raise FeatxError(
        "class-too-small",
        f"no labelled photo of {store.path} is left to score"
        + (f": {used or f'all {len(rows):,} were used for training'}" if rows else ""),
        "name another split or store",
    )


def _answers(classifier: Classifier, store: Store, rows: Sequence[int], truths: Sequence[str]) -> ScoredAnswers:
    classes = classifier.classes
    number_of = {label: i for i, label in enumerate(classes)}
    if not number_of.keys() & set(truths):
        raise FeatxError(
            "class-too-small",
            f"no photo of {store.path} has a category that {classifier.name} knows",
            f"it knows {', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}: name another store",
        )
    return ScoredAnswers(
        np.array([number_of.get(label, -1) for label in truths]),
        classifier.predict_proba(store.features[rows], columns_of(store, rows, classifier.wants)),
        np.unique([store.product_of(i) for i in rows], return_inverse=True)[1],
        "held-out photos",
    )


def _open(path: Path) -> Store | None:
    """The store a classifier was trained on, when it is still there."""
    try:
        return open_store(path) if path.is_file() else None
    except (FeatxError, OSError):
        return None


def _learned(store: Store | None) -> set[str]:
    """Digests of the photos that were used for training; also of those that were excluded since."""
    if store is None:
        return set()
    return {
        digest
        for digest, label, split in zip(store.digests, store.labels, store.splits, strict=True)
        if label is not None and split not in HELD_OUT
    }
