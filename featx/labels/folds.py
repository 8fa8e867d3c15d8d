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

Fold = tuple[np.ndarray, np.ndarray]


def groups_of(products: Sequence[str], digests: Sequence[str], features: np.ndarray) -> np.ndarray:
    """A number for each item; items of one product, with the same bytes or nearly the same features share theirs.

    Only near-certain copies are joined: looser chains run whole categories together.
    """
    n = len(products)
    if not n:
        return np.zeros(0, dtype=int)
    _, by_product = np.unique(np.asarray(products, dtype=object).astype(str), return_inverse=True)
    _, one_of, by_digest = np.unique(
        np.asarray(digests, dtype=object).astype(str), return_index=True, return_inverse=True
    )
    groups = union_groups(by_product, by_digest)
    # The same bytes have the same features: one row of each speaks for all.
    unit = unit_rows(np.asarray(features)[one_of])
    left: list[np.ndarray] = []
    right: list[np.ndarray] = []
    waiting = 0
    for i, j in pairs_above(unit, NEAR_CERTAIN):
        differ = groups[one_of[i]] != groups[one_of[j]]
        left.append(one_of[i[differ]])
        right.append(one_of[j[differ]])
        waiting += len(left[-1])
        if waiting > 1_000_000:
            groups = _linked(groups, np.concatenate(left), np.concatenate(right))
            left, right, waiting = [], [], 0
    return _linked(groups, np.concatenate(left), np.concatenate(right))


def union_groups(groups: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Groups in which whatever belongs together in either grouping belongs together."""
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


def grouped_folds(labels: Sequence[str], groups: np.ndarray, folds: int, seed: int) -> list[Fold]:
    """Stratified folds in which no group is split: (rows to learn from, rows to score) each.

    There are no more folds than groups, nor than the biggest category has items; a single group cannot be split.
    """
    folds = min(folds, len(np.unique(groups)), max(Counter(labels).values(), default=0))
    if folds < 2:
        return []
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Categories with fewer members than folds are named to the person by whoever asked.
        warnings.simplefilter("ignore", UserWarning)
        # Numbers are cut as names are, and in two thirds of the time.
        cut = splitter.split(np.zeros(len(groups)), np.unique(np.asarray(labels), return_inverse=True)[1], groups)
        # One group may be larger than a fold should be, and leave another fold empty.
        return [(learn, score) for learn, score in cut if len(learn) and len(score)]


def plain_folds(labels: Sequence[str], folds: int, seed: int) -> list[Fold]:
    """Stratified folds as most papers cut them, with no regard to products: for showing what that hides."""
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
    if not len(features) or not len(learned_from):
        return 0.0
    return float((max_cosines(unit_rows(features), unit_rows(learned_from)) >= TWIN).mean())
