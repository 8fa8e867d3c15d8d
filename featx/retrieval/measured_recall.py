"""How many of the true ten nearest an engine proposes, on the catalogue itself: without a condition, and under two.

Conditions that people use follow the clusters of the features: "only shoes" keeps one corner of the catalogue. An
engine can be perfect without a condition and nearly blind under one that leads away from the query: both are measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.compute.centres import centres_of
from featx.retrieval.condition_tree import Column, Comparison, Literal, Node
from featx.retrieval.engines.base import FEW, CandidateSource, Keys, VectorEngine
from featx.retrieval.rows import IndexRows

BLOCK = 20_000
NEAREST = 10
# How many photos are looked up, and how many of them under conditions too.
SAMPLE, FILTERED = 200, 50
# About a twentieth of the catalogue each, as a category is.
GROUPS, LEARNED_FROM, ROUNDS = 20, 4000, 5
# The column that says in which group a row is, for engines that take conditions.
GROUP = "featx_group"
ENOUGH = 0.99


@dataclass(frozen=True)
class Groups:
    """Groups of rows that look alike: the code of each row, and the centre of each group."""

    codes: NDArray[np.int32]
    centres: NDArray[np.float32]

    @classmethod
    def of(cls, index: IndexRows, centres: NDArray[np.float32] | None = None) -> Groups:
        """The rows in groups around centres: given ones, or those of the rows themselves."""
        centres = _centres(index) if centres is None else centres
        codes = np.empty(len(index), dtype=np.int32)
        for start in range(0, len(index), BLOCK):
            codes[start : start + BLOCK] = (index.unit_rows(slice(start, start + BLOCK)) @ centres.T).argmax(axis=1)
        return cls(codes, centres)


def _centres(index: IndexRows) -> NDArray[np.float32]:
    """Centres by a few rounds of k-means on some rows; always the same for the same rows."""
    random = np.random.default_rng(0)
    some = np.sort(random.choice(len(index), min(LEARNED_FROM, len(index)), replace=False))
    return centres_of(index.unit_rows(some), GROUPS, ROUNDS, random)


@dataclass(frozen=True)
class _Filter:
    """Only the rows of one group, or all but these."""

    group: int
    excluded: bool = False

    def may(self, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which rows may answer, by their groups."""
        may: NDArray[np.bool_] = codes != self.group if self.excluded else codes == self.group
        return may

    @property
    def condition(self) -> Node:
        """The same for an engine."""
        return Comparison("!=" if self.excluded else "=", Column(GROUP, 0), Literal(self.group, 0))


@dataclass(frozen=True)
class _Question:
    """A direction, the rows that may answer it, and the similarity of its tenth nearest among them."""

    direction: NDArray[np.float32]
    filter: _Filter | None
    tenth: float
    true: int


def tuned(
    engine: VectorEngine, index: IndexRows, keys: Keys, rows: NDArray[np.int64], groups: Groups
) -> CandidateSource:
    """The engine with the least effort that finds nearly all of the true nearest, and the shares it finds."""
    plain, towards, away = _questions(index, rows, groups)
    source = CandidateSource(engine, keys, rows, 0.0, engine.efforts[0])
    for effort in engine.efforts:
        source = CandidateSource(engine, keys, rows, 0.0, effort)
        shares = [_recall(source, index, groups, questions) for questions in (plain, towards, away)]
        source = replace(source, recall=shares[0], towards=shares[1], away=shares[2])
        if min(shares) >= ENOUGH:
            break
    return source


def _questions(index: IndexRows, rows: NDArray[np.int64], groups: Groups) -> tuple[list[_Question], ...]:
    """Some photos of the catalogue: looked up among all, in their own group, and away from it.

    Away is in turn the group least like the photo, which keeps little, and all but its own, which keeps nearly all.
    """
    picked = np.sort(np.random.default_rng(0).choice(len(rows), min(SAMPLE, len(rows)), replace=False))
    directions = index.unit_rows(rows[picked])
    own = groups.codes[rows[picked]].tolist()
    here = np.unique(groups.codes[rows])
    far = here[(directions @ groups.centres[here].T).argmin(axis=1)].tolist()
    some = slice(0, len(picked), max(1, len(picked) // FILTERED))
    asked: list[list[tuple[int, _Filter | None]]] = [
        [(i, None) for i in range(len(picked))],
        [(i, _Filter(own[i])) for i in range(len(picked))[some]],
        [(i, _Filter(own[i], excluded=True) if turn % 2 else _Filter(far[i]))
         for turn, i in enumerate(range(len(picked))[some])],
    ]  # fmt: skip
    best = _nearest(index, directions, [pair for pairs in asked for pair in pairs], groups)
    return tuple([_Question(directions[i], only, *next(best)) for i, only in pairs] for pairs in asked)


def _nearest(
    index: IndexRows, directions: NDArray[np.float32], asked: list[tuple[int, _Filter | None]], groups: Groups
) -> Iterator[tuple[float, int]]:
    """The similarity of the tenth true nearest of each question, and how many there are up to ten."""
    best = np.full((len(asked), NEAREST), -2, dtype=np.float32)
    for start in range(0, len(index), BLOCK):
        cosines = directions @ index.unit_rows(slice(start, start + BLOCK)).T
        codes = groups.codes[start : start + BLOCK]
        for number, (i, only) in enumerate(asked):
            near = cosines[i] if only is None else cosines[i][only.may(codes)]
            near = near if len(near) <= NEAREST else np.partition(near, -NEAREST)[-NEAREST:]
            best[number] = np.sort(np.concatenate([best[number], near]))[-NEAREST:]
    for row in best:
        there = row[row > -2]
        yield (float(there[0]) if len(there) else 2.0), len(there)


def _recall(source: CandidateSource, index: IndexRows, groups: Groups, questions: list[_Question]) -> float:
    shares = [_share(source, index, groups, question) for question in questions if question.true]
    return float(np.mean(shares)) if shares else 1.0


def _share(source: CandidateSource, index: IndexRows, groups: Groups, question: _Question) -> float:
    """The share of the true nearest among the candidates; all of them where a search would compare every row."""
    if question.filter is not None and np.count_nonzero(question.filter.may(groups.codes)) <= FEW:
        return 1.0
    only = None if question.filter is None else source.engine.understood(question.filter.condition)
    for rows in source.growing(question.direction[None], 0, only):
        may = rows if question.filter is None else rows[question.filter.may(groups.codes[rows])]
        if len(may) >= question.true:
            # Rows as similar as the last true neighbour are equally correct.
            right = index.unit_rows(may) @ question.direction >= question.tenth - 1e-6
            return min(1.0, float(right.sum()) / question.true)
    return 1.0
