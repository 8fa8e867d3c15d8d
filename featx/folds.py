"""Which items must stay together in cross-validation, and folds that keep them so."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

NEAR_CERTAIN = 0.98
TWIN = 0.95
BLOCK = 1024

Fold = tuple[np.ndarray, np.ndarray]


def groups_of(products: Sequence[str], digests: Sequence[str], features: np.ndarray) -> np.ndarray:
    """A number for each item; items of one product, with the same bytes or nearly the same features share theirs.

    Only near-certain copies are joined: looser chains run whole categories together.
    """
    parent = np.arange(len(products))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def join(i: int, j: int) -> None:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)

    for names in (products, digests):
        first: dict[str, int] = {}
        for i, name in enumerate(names):
            join(i, first.setdefault(name, i))
    unit = unit_rows(features)
    for start in range(0, len(unit), BLOCK):
        alike = unit[start : start + BLOCK] @ unit.T
        for i, j in np.argwhere(alike >= NEAR_CERTAIN):
            if start + i < j:
                join(start + int(i), int(j))
    return np.array([root(i) for i in range(len(parent))])


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Rows of length one; a row of zeros stays one."""
    rows = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def grouped_folds(labels: Sequence[str], groups: np.ndarray, folds: int, seed: int) -> list[Fold]:
    """Stratified folds in which no group is split: (rows to learn from, rows to score) each."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Categories with fewer members than folds are named to the person by whoever asked.
        warnings.simplefilter("ignore", UserWarning)
        return [(learn, score) for learn, score in splitter.split(np.zeros(len(groups)), list(labels), groups)]


def twin_share(features: np.ndarray, learned_from: np.ndarray) -> float:
    """The share of rows that look nearly like (cosine 0.95 or more) a row that was learned from."""
    if not len(features) or not len(learned_from):
        return 0.0
    unit, others = unit_rows(features), unit_rows(learned_from)
    twins = 0
    for start in range(0, len(unit), BLOCK):
        twins += int(((unit[start : start + BLOCK] @ others.T).max(axis=1) >= TWIN).sum())
    return twins / len(unit)
