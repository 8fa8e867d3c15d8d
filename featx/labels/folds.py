"""Which items must stay together in cross-validation, and folds that keep them so."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from featx.compute.graphs import connected_groups
from featx.compute.vectors import max_cosines, pairs_above, unit_rows

NEAR_CERTAIN = 0.98
TWIN = 0.95
# Folds of the rows to learn from in one fold: settings are chosen on them.
INNER = 5
# Pairs that are kept before they are joined, so that memory stays small.
MOST_WAITING = 250_000

Fold = tuple[np.ndarray, np.ndarray]


def groups_of(products: Sequence[str], digests: Sequence[str], features: np.ndarray) -> np.ndarray:
    """A group number for each item, shared by items of one product, the same bytes or nearly the same features.

    Only near-certain copies are joined: looser limits chain whole categories together.
    """
    n = len(products)
    if not n:
        return np.zeros(0, dtype=int)
    _, by_product = np.unique(np.asarray(products, dtype=object).astype(str), return_inverse=True)
    _, first_of, by_digest = np.unique(
        np.asarray(digests, dtype=object).astype(str), return_index=True, return_inverse=True
    )
    groups = union_groups(by_product, by_digest)
    # The same bytes have the same features: one row represents all copies.
    unit = unit_rows(np.asarray(features), first_of)
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    pairs = 0
    for i, j in pairs_above(unit, NEAR_CERTAIN):
        left, right = first_of[i], first_of[j]
        differ = groups[left] != groups[right]
        waiting.append((left[differ], right[differ]))
        pairs += len(waiting[-1][0])
        if pairs > MOST_WAITING:
            groups = _linked_all(groups, waiting)
            waiting, pairs = [], 0
    return _linked_all(groups, waiting)


def _linked_all(groups: np.ndarray, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Groups with many blocks of pairs joined."""
    if not pairs:
        return groups
    left, right = zip(*pairs, strict=True)
    return _linked(groups, np.concatenate(left), np.concatenate(right))


def union_groups(groups: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The finest grouping in which items that share a group in either of two groupings share one."""
    groups, others = np.asarray(groups), np.asarray(others)
    order = np.argsort(others, kind="stable")
    same = others[order][1:] == others[order][:-1]
    return _linked(groups, order[:-1][same], order[1:][same])


def _linked(groups: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Groups with the pairs of rows joined; a group is named by the first of its rows."""
    _, place = np.unique(groups, return_inverse=True)
    component = connected_groups(int(place.max()) + 1, place[left], place[right])
    _, first, member = np.unique(component[place], return_index=True, return_inverse=True)
    return np.asarray(first[member])


def grouped_folds(labels: Sequence[str] | np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[Fold]:
    """Stratified folds in which no group is split: (rows to learn from, rows to score) each.

    There are no more folds than groups, nor than the biggest category has items; a single group cannot be split.
    """
    folds = min(folds, len(np.unique(groups)), max(Counter(labels).values(), default=0))
    if folds < 2:
        return []
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # The caller names the categories that have fewer members than folds.
        warnings.simplefilter("ignore", UserWarning)
        # Numbers give the same folds as names, in two thirds of the time.
        cut = splitter.split(np.zeros(len(groups)), np.unique(np.asarray(labels), return_inverse=True)[1], groups)
        # One group may be larger than a fold should be, and leave another fold empty.
        return [(learn, score) for learn, score in cut if len(learn) and len(score)]


class NestedFolds:
    """Grouped folds, and folds within what each leaves to learn from; each is cut once, when it is first needed."""

    def __init__(self, labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> None:
        self._labels, self._groups, self._seed = labels, groups, seed
        self.cut = grouped_folds(labels, groups, folds, seed)
        self._inner: dict[int, list[Fold]] = {}

    def inner(self, number: int) -> list[Fold]:
        """The folds within one fold's rows to learn from."""
        if number not in self._inner:
            learn, _ = self.cut[number]
            self._inner[number] = grouped_folds(self._labels[learn], self._groups[learn], INNER, self._seed)
        return self._inner[number]


def foldable_categories(labels: np.ndarray, groups: np.ndarray, folds: int) -> list[str]:
    """The categories with a product for every fold, which alone are scored; none where fewer than two are."""
    sizes = {str(label): len(np.unique(groups[labels == label])) for label in np.unique(labels)}
    categories = [label for label, n in sizes.items() if n >= folds]
    # Among photos of one category nothing can be mistaken.
    return categories if len(categories) > 1 else []


def plain_folds(labels: Sequence[str], folds: int, seed: int) -> list[Fold]:
    """Stratified folds that ignore products, as most papers cut them: they show how much that flatters."""
    folds = min(folds, max(Counter(labels).values(), default=0))
    if folds < 2:
        return []
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        cut = StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(labels)), list(labels))
        return [(learn, score) for learn, score in cut if len(learn) and len(score)]


def near_duplicate_rate(features: np.ndarray, learned_from: np.ndarray) -> float:
    """The share of rows that look nearly like (cosine 0.95 or more) a row that was learned from."""
    return _twins(unit_rows(features), unit_rows(learned_from))


def near_duplicates_in(folds: Sequence[Fold], features: np.ndarray) -> float:
    """The same of rows that are scored in folds, by those that are learned from in each."""
    unit = unit_rows(features)
    return sum(len(score) * _twins(unit[score], unit[learn]) for learn, score in folds) / max(len(features), 1)


def _twins(unit: np.ndarray, learned_from: np.ndarray) -> float:
    if not len(unit) or not len(learned_from):
        return 0.0
    return float((max_cosines(unit, learned_from) >= TWIN).mean())
