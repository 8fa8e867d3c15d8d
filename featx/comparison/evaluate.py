"""A saved classifier scored on pictures it never learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.model import Classifier, require_same_features
from featx.classifiers.persistence import load_classifier
from featx.comparison.mistakes import collect_mistakes
from featx.comparison.result import rounded
from featx.errors import FeatxError, did_you_mean
from featx.files.regular import same_place
from featx.labels.training_set import labels_for
from featx.metrics.confusion import confusion_matrix
from featx.metrics.scores import Interval, ScoredAnswers, bootstrap
from featx.store import Store, open_store


@dataclass(frozen=True)
class Evaluation:
    """Scores with intervals, each category, the worst confusions; `left_out` counts pictures it had learned from."""

    model: Classifier
    store: Path
    splits: list[str]
    n: int
    n_products: int
    left_out: int
    unknown: dict[str, int]
    unscored: list[str]
    scores: dict[str, Interval]
    details: dict[str, Any]

    @property
    def matrix(self) -> np.ndarray:
        """How often each category (row) was taken for each (column)."""
        classes = len(self.details["classes"])
        return confusion_matrix(np.array(self.details["truth"]), np.array(self.details["says"]), classes)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        told: dict[str, Any] = rounded(
            {
                "schema": "featx-evaluation/1",
                "clf": self.model.name,
                "store": str(self.store),
                "splits": self.splits,
                "n": self.n,
                "n_products": self.n_products,
                "left_out": self.left_out,
                "unknown_categories": self.unknown,
                "categories_without_a_picture": self.unscored,
                "scores": {name: vars(score) for name, score in self.scores.items()},
                "details": self.details,
            }
        )
        return told

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each category."""
        import pandas  # type: ignore[import-untyped,unused-ignore]

        return pandas.DataFrame(self.details["per_class"])

    def __repr__(self) -> str:
        right = self.scores["accuracy"]
        return f"<Evaluation: {right.value:.1%} right ({right.low:.1%} – {right.high:.1%}) on {self.n:,} pictures>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{one.value:.3f}</td><td>{one.low:.3f} – {one.high:.3f}</td></tr>"
            for name, one in self.scores.items()
        )
        return f"<table><caption>{escape(repr(self))}</caption>{rows}</table>"


def evaluate(
    model: Classifier | str | Path, store: Store | str | Path | None = None, splits: Sequence[str] | None = None
) -> Evaluation:
    """Score a classifier on held-out rows: the named splits, else `test` and `val`, else a store it never saw.

    Pictures that it learned from, by the digest of their bytes, are left out and counted.
    """
    loaded = model if isinstance(model, Classifier) else load_classifier(model)
    opened = store if isinstance(store, Store) else open_store(store)
    require_same_features(loaded, opened.fingerprint, opened.path)
    labels = labels_for(opened, loaded.card.get("level"))
    trained_on = Path(str(loaded.card.get("store", "")))
    same = same_place(str(trained_on), opened.path) and opened.path.exists()
    there = sorted({split for split in opened.splits if split})
    for split in splits or ():
        if split not in there:
            raise FeatxError(
                "bad-flag",
                f"no picture of {opened.path} is in split `{split}`",
                did_you_mean(split, there, f"there is {', '.join(there) or 'no split at all'}"),
            )
    asked = list(splits or [split for split in ("test", "val") if split in there])
    if not asked and same:
        raise FeatxError(
            "bad-flag",
            f"every picture of {opened.path} was learned from, and nothing is held out",
            "name a store made from other photos: `featx evaluate --store OTHER.h5`; or see `featx compare`",
        )
    chosen = [i for i, label in enumerate(labels) if label is not None and (not asked or opened.splits[i] in asked)]
    learned = _learned(opened if same else _open(trained_on))
    rows = [i for i in chosen if opened.digests[i] not in learned]
    if not rows:
        raise FeatxError(
            "class-too-small",
            f"no labelled picture of {opened.path} is left to score"
            + (f": all {len(chosen):,} were learned from" if chosen else ""),
            "name another split or store",
        )
    place = {label: i for i, label in enumerate(loaded.classes)}
    truths = [str(labels[i]) for i in rows]
    if not set(truths) & set(place):
        raise FeatxError(
            "class-too-small",
            f"no picture of {opened.path} is of a category that {loaded.name} learned",
            f"it learned {', '.join(loaded.classes[:5])}{', …' if len(loaded.classes) > 5 else ''}: name another store",
        )
    judged = ScoredAnswers(
        np.array([place.get(one, -1) for one in truths]), loaded.predict_proba(opened.features[rows])
    )
    products = np.unique([opened.product_of(i) for i in rows], return_inverse=True)[1]
    unknown = {label: truths.count(label) for label in sorted(set(truths) - set(place))}
    where = " and ".join(asked) or "all pictures"
    return Evaluation(
        loaded,
        opened.path,
        asked,
        len(rows),
        len(set(products.tolist())),
        len(chosen) - len(rows),
        unknown,
        sorted(set(place) - set(truths)),
        {
            name: Interval(**rounded(vars(score)))
            for name, score in bootstrap(judged.truth, judged.shares, products).items()
        },
        collect_mistakes(judged, [opened.ids[i] for i in rows], truths, loaded.classes, where),
    )


def _open(path: Path) -> Store | None:
    """The store a classifier was trained on, when it is still there."""
    try:
        return open_store(path) if path.is_file() else None
    except (FeatxError, OSError):
        return None


def _learned(store: Store | None) -> set[str]:
    """Digests of what was learned from; a photo that was excluded since had a part in it all the same."""
    if store is None:
        return set()
    return {
        digest
        for digest, label, split in zip(store.digests, store.labels, store.splits, strict=True)
        if label is not None and split not in ("test", "val")
    }
