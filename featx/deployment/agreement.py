"""How well a graph of integers agrees with featx on real photos, and the limits below which it is not deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.compute.vectors import nearest, unit_rows
from featx.deployment.comparison import rows_of
from featx.errors import FeatxError
from featx.labels.training_set import HELD_OUT, labels_for
from featx.metrics.scores import Proportion, wilson
from featx.prediction.predict import Predictor
from featx.views.quantities import percent

# The least share of photos that keep their category, the least share of the nearest rows that stay, and the most that
# accuracy may fall.
LEAST_SAME, LEAST_NEIGHBOURS, MOST_LOST = 0.95, 0.9, 0.01
NEIGHBOURS = 10
# Rows among which the nearest are looked for; more take memory and tell no more.
AMONG = 20_000


@dataclass
class Agreement:
    """Shares of photos, or of neighbours, that are the same by a graph of integers.

    `right_before` and `right` count right answers to the `n_labelled` photos with a category, those that were held out
    where there are such; `neighbours` is None without a store.
    """

    photos: int
    same_category: float
    same_decision: float
    n_labelled: int
    right_before: int
    right: int
    neighbours: float | None

    @property
    def lost(self) -> int:
        """How many right answers it costs."""
        return self.right_before - self.right


def agreement_of(predictor: Predictor, paths: Sequence[str], before: Path, after: Path) -> Agreement:
    """Compare the answers of featx to photos with those of a graph, both as files of arrays."""
    with np.load(before, allow_pickle=False) as file:
        wanted = {name: file[name] for name in ("label", "sure", "embedding")}
    with np.load(after, allow_pickle=False) as file:
        own = {name: file[name] for name in wanted}
    rows = rows_of(predictor, paths)
    truth = _truth(predictor, rows)
    labelled = truth >= 0
    return Agreement(
        photos=len(paths),
        same_category=float((own["label"] == wanted["label"]).mean()),
        same_decision=float((own["sure"] == wanted["sure"]).mean()),
        n_labelled=int(labelled.sum()),
        right_before=int((wanted["label"] == truth)[labelled].sum()),
        right=int((own["label"] == truth)[labelled].sum()),
        neighbours=_same_neighbours(predictor, rows, wanted["embedding"], own["embedding"]),
    )


def require_agreement(agreement: Agreement, graph: str) -> None:
    """Refuse a graph that agrees less than the limits."""
    faults = []
    # One photo more or less is no finding.
    if round((1 - agreement.same_category) * agreement.photos) > max(1, (1 - LEAST_SAME) * agreement.photos):
        faults.append(f"only {percent(agreement.same_category)} keep their category ({percent(LEAST_SAME, 0)} needed)")
    if agreement.neighbours is not None and agreement.neighbours < LEAST_NEIGHBOURS:
        least = percent(LEAST_NEIGHBOURS, 0)
        faults.append(f"only {percent(agreement.neighbours)} of their nearest photos stay ({least} needed)")
    if agreement.lost > max(1, MOST_LOST * agreement.n_labelled):
        faults.append(f"{agreement.lost:,} of {agreement.right_before:,} right answers are lost")
    if faults:
        raise FeatxError(
            "answers-differ",
            f"{graph} disagrees with featx on {agreement.photos:,} photos: {'; '.join(faults)}",
            "nothing was written; leave `--int8` out",
        )


def agreement_sentence(agreement: Agreement) -> str:
    """The agreement in words."""
    parts = [f"{percent(agreement.same_category)} keep their category, {percent(agreement.same_decision)} the decision"]
    if agreement.n_labelled:
        before, after = (_right(n, agreement) for n in (agreement.right_before, agreement.right))
        parts.append(f"{percent(after.value)} are right (before: {percent(before.value)}, {after.n:,} photos)")
    if agreement.neighbours is not None:
        parts.append(f"{percent(agreement.neighbours)} of their {NEIGHBOURS} nearest photos are the same")
    return ", ".join(parts)


def _right(n: int, agreement: Agreement) -> Proportion:
    return wilson(n, agreement.n_labelled)


def _truth(predictor: Predictor, rows: np.ndarray) -> np.ndarray:
    """The number of each photo's category, -1 where it has none; of held-out photos alone, where there are any."""
    store, model = predictor.store, predictor.model
    if store is None:
        return np.full(len(rows), -1)
    number = {label: i for i, label in enumerate(model.classes)}
    labels = labels_for(store, model.card.level)
    truth = np.array([number.get(labels[row] or "", -1) if row >= 0 else -1 for row in rows])
    held_out = np.array([row >= 0 and store.splits[row] in HELD_OUT for row in rows]) & (truth >= 0)
    return np.where(held_out, truth, -1) if held_out.any() else truth


def _same_neighbours(predictor: Predictor, rows: np.ndarray, before: np.ndarray, after: np.ndarray) -> float | None:
    """The mean share of each photo's nearest rows in the store that both kinds of features agree on."""
    store = predictor.store
    if store is None:
        return None
    among = np.unique(np.linspace(0, len(store) - 1, min(AMONG, len(store))).round().astype(int))
    known, groups = unit_rows(store.features_map()[among]), (rows, among)
    one, other = (nearest(unit_rows(features), known, NEIGHBOURS, groups)[0] for features in (before, after))
    return float(np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(one, other, strict=True)]))
