"""Rows of features as vectors: unit rows, runs of rows, cosines block by block, the nearest, pairs above a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[Any]
Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]

BLOCK = 16_384
# Rows whose lengths are taken at a time: what is made on the way stays in a cache of the processor.
AT_ONCE = 256
# This many rows in half precision stay in the fastest cache while they are converted.
HALVES = 128
SHORTEST, LONGEST = 1e-30, 1e30
# How many cosines are held at a time (128 MB), and of how many queries at most.
COSINES, QUERIES = 32_000_000, 1024
TILE, WIDE = 2048, 8192
# So many numbers are parted at a time: the column of each takes twice the memory of the number.
PARTED = 4_000_000
# A row of so many numbers for each that is wanted is parted in two steps.
WIDE_FOR = 64
# How many cosines are looked through at a time: where nearly all are alike, pairs take many times the room of theirs.
PAIRS = 250_000
# The cosine of a pair that does not count is below all that do.
HIDDEN = -2.0


# --- lengths ----------------------------------------------------------------------------------------------------------


def unit_rows(features: Matrix, chosen: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
    """Rows at length 1; a row of zeros, or one that is not finite, has no direction and becomes zeros.

    Of `chosen` rows, where these are named, without a copy of them as they were.
    """
    unit = np.empty((len(features) if chosen is None else len(chosen), *np.shape(features)[1:]), dtype=np.float32)
    for start in range(0, len(unit), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        rows = np.asarray(features[part if chosen is None else chosen[part]])
        rows = rows.astype(np.promote_types(rows.dtype, np.float32), copy=False)
        with np.errstate(all="ignore"):
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            np.divide(rows, np.where(lengths > 0, lengths, 1), out=unit[part], casting="same_kind")
        extreme = np.flatnonzero(~((lengths[:, 0] > 1e-12) & (lengths[:, 0] < 1e15)))
        if len(extreme):
            unit[start + extreme] = _unit_extremes(rows[extreme])
    return unit


def _unit_extremes(rows: Matrix) -> NDArray[np.float64]:
    """Unit rows where squares would overflow or vanish in single precision."""
    rows = rows.astype(np.float64)
    rows[~np.isfinite(rows).all(axis=1)] = 0
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    rows /= np.where(largest > 0, largest, 1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def inverse_lengths(features: Matrix, stretch: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """The factor that brings each row, its numbers multiplied by `stretch`, to length 1; 0 if it has no direction."""
    inverse = np.zeros(len(features), dtype=np.float32)
    for start in range(0, len(inverse), BLOCK):
        rows = np.asarray(features[start : start + BLOCK], dtype=np.float64)
        with np.errstate(all="ignore"):
            rows = rows if stretch is None else rows * stretch
            lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            good = (lengths > SHORTEST) & (lengths < LONGEST)
            inverse[start : start + BLOCK] = np.where(good, 1 / lengths, 0)
    return inverse


def unit_queries(query: NDArray[Any]) -> NDArray[np.float32]:
    """The photos of a query at length 1, one in each row; zeros for a photo without a direction."""
    wanted = np.atleast_2d(np.asarray(query, dtype=np.float64))
    with np.errstate(all="ignore"):
        lengths = np.sqrt((wanted * wanted).sum(axis=1, keepdims=True))
        good = (lengths > SHORTEST) & (lengths < LONGEST)
        return np.where(good, wanted / lengths, 0).astype(np.float32)


class Halves:
    """Directions that rows in half precision are multiplied by, in a third of the time that NumPy takes to convert one.

    Exponent and fraction of a half are shifted to their positions in single precision; a factor that corrects the bias
    is in the directions already. Two neighbours are taken from one number of 32 bits. Infinite numbers and NaN come out
    wrong, but a row with one has no direction, and its inverse length is 0.
    """

    # The bits of sign, exponent and fraction; a shift with its sign leaves others.
    MASK = np.int32(0x8FFFE000 - (1 << 32))
    BIAS = np.float32(2.0**112)

    def __init__(self, wanted: NDArray[np.float32]) -> None:
        """`wanted` has a row for each column of the rows."""
        # What is too long to be multiplied by the factor is shortened, and the products are not.
        self._length = max(1.0, float(np.abs(wanted).max(initial=0)))
        wanted = wanted / np.float32(self._length) * self.BIAS
        self._first, self._second = np.ascontiguousarray(wanted[0::2]), np.ascontiguousarray(wanted[1::2])

    def products(self, rows: NDArray[np.float16]) -> NDArray[np.float32]:
        """What `rows @ wanted` would be."""
        if rows.shape[1] % 2:
            rows = np.pad(rows, ((0, 0), (0, 1)))
        pairs = np.ascontiguousarray(rows).view("<i4")
        first, second = pairs << 16, pairs >> 3
        first >>= 3
        first &= self.MASK
        second &= self.MASK
        ends = second[:, : len(self._second)].view(np.float32) @ self._second
        products: NDArray[np.float32] = first.view(np.float32) @ self._first
        products += ends
        return products if self._length == 1 else products * np.float32(self._length)


def side_by_side(features: Matrix, parts: Sequence[tuple[int, int]]) -> Matrix:
    """Some columns of rows, from one number to another each: a view where these lie side by side, else a copy."""
    if all(left[1] == right[0] for left, right in pairwise(parts)):
        return features[..., parts[0][0] : parts[-1][1]]
    return np.concatenate([features[..., start:stop] for start, stop in parts], axis=-1)


def runs(starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """The numbers from each start to its end, one run after the other."""
    lengths = ends - starts
    begins = np.cumsum(lengths) - lengths
    return np.repeat(starts - begins, lengths) + np.arange(lengths.sum())


# --- cosines ----------------------------------------------------------------------------------------------------------


def cosine_blocks(
    queries: NDArray[np.float32], rows: NDArray[np.float32], most: int = QUERIES
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The cosines of unit queries with all unit rows, some queries at a time: their slice, and a row for each."""
    step = max(1, min(most, COSINES // max(len(rows), 1)))
    for start in range(0, len(queries), step):
        part = slice(start, min(start + step, len(queries)))
        yield part, queries[part] @ rows.T


def max_cosines(queries: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine of each unit query with its nearest unit row; there must be at least one."""
    best = np.empty(len(queries), dtype=np.float32)
    for part, cosines in cosine_blocks(queries, rows):
        best[part] = cosines.max(axis=1)
    return best


def nearest(
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    k: int,
    groups: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The k nearest rows of each query, nearest first, and their cosines; ties go to the earlier row.

    `groups` are those of the queries and of the rows: no row answers a query of its own group. Where there are fewer
    than k answers, the index is -1 and the cosine `HIDDEN`.
    """
    return nearest_of_each(queries, rows, [(k, groups)])[0]


def nearest_of_each(
    queries: NDArray[np.float32],
    rows: NDArray[np.float32],
    asked: Sequence[tuple[int, tuple[NDArray[Any], NDArray[Any]] | None]],
) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Several such answers from the same cosines; what may not answer one question may not answer those after it."""
    answers = [
        (np.empty((len(queries), min(k, len(rows))), np.intp), np.empty((len(queries), min(k, len(rows))), np.float32))
        for k, _ in asked
    ]
    for part, cosines in cosine_blocks(queries, rows):
        for (k, groups), (indices, similar) in zip(asked, answers, strict=True):
            if groups is not None:
                cosines[groups[0][part][:, None] == groups[1][None, :]] = HIDDEN
            indices[part] = top_k(cosines, k)
            similar[part] = np.take_along_axis(cosines, indices[part], axis=1)
    for indices, similar in answers:
        indices[similar <= HIDDEN] = -1
    return answers


def top_k(numbers: Matrix, k: int) -> NDArray[np.intp]:
    """The columns of the k largest numbers of each row, largest first; ties go to the earlier column."""
    width = numbers.shape[1]
    k = min(k, width)
    if k < 1:
        return np.empty((len(numbers), 0), dtype=np.intp)
    if width >= WIDE_FOR * k:
        return _top_k_of_wide(numbers, k)
    step = max(1, PARTED // width)
    if len(numbers) > step:
        return np.concatenate([top_k(numbers[start : start + step], k) for start in range(0, len(numbers), step)])
    columns = np.sort(np.argpartition(numbers, width - k, axis=1)[:, width - k :], axis=1)
    values = np.take_along_axis(numbers, columns, axis=1)
    # Where several tie for the last rank, the partition takes any of them.
    for row in np.flatnonzero((numbers >= values.min(axis=1)[:, None]).sum(axis=1) > k):
        columns[row] = np.sort(np.argsort(-numbers[row], kind="stable")[:k])
    values = np.take_along_axis(numbers, columns, axis=1)
    return np.take_along_axis(columns, np.argsort(-values, axis=1, kind="stable"), axis=1)


def _top_k_of_wide(numbers: Matrix, k: int) -> NDArray[np.intp]:
    """The same where rows are far longer than k: parting the largest of some columns each is a fraction of the work.

    The k-th largest of these is no larger than the k-th largest number, so the k largest lie where the k largest of
    these come from.
    """
    # A row is so many layers of equal length, and less than one that is left over.
    layers = int(np.sqrt(numbers.shape[1] / (4 * k)))
    depth = numbers.shape[1] // layers
    left_over = np.arange(layers * depth, numbers.shape[1])
    best = np.empty((len(numbers), k), dtype=np.intp)
    for start in range(0, len(numbers), step := max(1, PARTED // depth)):
        part = numbers[start : start + step]
        largest = part[:, : layers * depth].reshape(len(part), layers, depth).max(axis=1)
        chosen = np.argpartition(largest, depth - k, axis=1)[:, depth - k :]
        least = np.take_along_axis(largest, chosen, axis=1).min(axis=1)
        columns = (chosen[:, None, :] + depth * np.arange(layers)[:, None]).reshape(len(part), -1)
        columns = np.hstack([columns, np.broadcast_to(left_over, (len(part), len(left_over)))])
        columns.sort(axis=1)
        first = np.argsort(-np.take_along_axis(part, columns, axis=1), axis=1, kind="stable")[:, :k]
        best[start : start + step] = np.take_along_axis(columns, first, axis=1)
        # Where several tie for the last place, any of them was chosen.
        for row in np.flatnonzero((largest >= least[:, None]).sum(axis=1) > k):
            best[start + row] = np.argsort(-part[row], kind="stable")[:k]
    return best


def pairs_above(
    unit: NDArray[np.float32], least: float, progress: Callable[[int], object] = lambda done: None
) -> Iterator[Pairs]:
    """Pairs of unit rows (i before j) with a float32 cosine of at least `least`, some at a time."""
    for top in range(0, len(unit), TILE):
        rows = unit[top : top + TILE]
        for left in range(top, len(unit), WIDE):
            cosines = rows @ unit[left : left + WIDE].T
            step = max(1, PAIRS // cosines.shape[1])
            for start in range(0, len(rows), step):
                i, j = np.divmod(np.flatnonzero(cosines[start : start + step] >= least), cosines.shape[1])
                i, j = i + top + start, j + left
                later = i < j
                if later.any():
                    yield i[later], j[later]
        progress(min(top + TILE, len(unit)))
