"""A look at every row: the cosine of each with a query, and those that matter compared again in double precision."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import BLOCK, HALVES, Halves, runs

if TYPE_CHECKING:
    from featx.retrieval.rows import IndexRows

Pool = Literal["best", "mean"]


def similarities(
    index: IndexRows, query: NDArray[Any], pool: Pool = "best", rows: NDArray[np.intp] | None = None
) -> NDArray[np.float32]:
    """The cosine of every row, or of some `rows`, with a query of one photo or several; 0 where it has no direction."""
    wanted = index.unit_queries(query).T
    if index.stretch is not None:
        wanted = wanted * index.stretch[:, None]
    if pool == "mean":
        wanted = wanted.mean(axis=1, keepdims=True)
    wanted = np.ascontiguousarray(wanted[:, 0] if wanted.shape[1] == 1 else wanted, dtype=np.float32)
    if rows is not None:
        return _some(index, wanted, rows)
    cosines = np.empty(len(index), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        # One product of the whole map where nothing is copied for it; else block by block, in little memory.
        halves = Halves(wanted) if index.features.dtype == np.float16 else None
        step = HALVES if halves else len(cosines) if index.features.dtype == np.float32 and wanted.ndim == 1 else BLOCK
        for start in range(0, len(cosines), max(step, 1)):
            block = index.features[start : start + step]
            part = halves.products(block) if halves else np.asarray(block, dtype=np.float32) @ wanted
            cosines[start : start + step] = part if part.ndim == 1 else part.max(axis=1)
        cosines *= index.scale
    cosines[index.no_direction] = 0
    return np.clip(cosines, -1, 1, out=cosines)


def _some(index: IndexRows, wanted: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
    cosines = np.empty(len(rows), dtype=np.float32)
    # A mapped file as a plain array, which gives its rows sooner. `take` would copy all of one with several blocks.
    features = np.asarray(index.features)
    with np.errstate(invalid="ignore", over="ignore"):
        halves = Halves(wanted) if features.dtype == np.float16 else None
        step = HALVES if halves else BLOCK
        for start in range(0, len(rows), step):
            block = features[rows[start : start + step]]
            part = halves.products(block) if halves else np.asarray(block, dtype=np.float32) @ wanted
            cosines[start : start + step] = part if part.ndim == 1 else part.max(axis=1)
        cosines *= index.scale[rows]
    cosines[index.scale[rows] == 0] = 0
    return np.clip(cosines, -1, 1, out=cosines)


class ExactRescorer:
    """Candidates compared again in float64, row by row: the same numbers in any order of the rows."""

    def __init__(self, index: IndexRows, query: NDArray[Any], pool: Pool, may: NDArray[np.bool_]) -> None:
        self.index, self.pool, self.may = index, pool, may
        wanted = index.unit_queries(query).astype(np.float64)
        self.wanted = wanted.mean(axis=0, keepdims=True) if pool == "mean" else wanted

    def product(self, code: int) -> tuple[int, float]:
        """The row to show for a product, and the similarity of the product, to six decimals."""
        return self.products([code])[0]

    def products(self, codes: Sequence[int]) -> list[tuple[int, float]]:
        """The same for several products, whose rows are read at once."""
        index, pooled = self.index, np.asarray(codes, dtype=np.intp)
        if not len(pooled):
            return []
        starts, ends = index.starts[pooled], index.starts[pooled + 1]
        rows = np.asarray(index.order[runs(starts, ends)])
        allowed = self.may[rows]
        rows = rows[allowed]
        values = self._similarities(rows)
        if len(rows) == len(pooled):  # a photo each, as in many catalogues
            return list(zip(rows.tolist(), values.tolist(), strict=True))
        whose = np.repeat(np.arange(len(pooled)), ends - starts)[allowed]
        bounds = np.searchsorted(whose, np.arange(len(pooled) + 1)).tolist()
        return [self._best(rows[start:end], values[start:end]) for start, end in pairwise(bounds)]

    def _similarities(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The similarity of each row with the query, to six decimals."""
        index = self.index
        data = np.asarray(index.features[rows], dtype=np.float64)
        data = data if index.stretch is None else data * index.stretch
        with np.errstate(all="ignore"):
            lengths = np.sqrt((data * data).sum(axis=1))
            values = np.stack([(data * query).sum(axis=1) / lengths for query in self.wanted], axis=1).max(axis=1)
        values[index.scale[rows] == 0] = 0
        return np.asarray(np.round(np.clip(values, -1, 1), 6) + 0.0)

    def _best(self, rows: NDArray[np.intp], values: NDArray[np.float64]) -> tuple[int, float]:
        """The row to show of those of one product, and the similarity of the product."""
        best = 0 if len(rows) == 1 else min(range(len(rows)), key=lambda i: (-values[i], self.index.ids[int(rows[i])]))
        similarity = values.max() if self.pool == "best" else np.round(np.sort(values).mean(), 6)
        return int(rows[best]), float(similarity)
