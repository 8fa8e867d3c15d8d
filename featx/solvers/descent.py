"""Minimise a loss plus half the squared length of the weights: L-BFGS steps for all classes in the same matrix products.

Two things make it quick. The step length is found on scores that are already there, so a step costs two matrix products
however hard its search is. And the features are turned onto their principal axes, on which the curvature of each class
is nearly diagonal, so that it can be divided out. Turning leaves lengths, and so the objective, as they are; the axes
need not be those of exactly these rows, and folds share them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

from featx.solvers.losses import Loss, dots

MEMORY = 10
SEARCHES = 8
SAMPLE = 4096

Pairing = Callable[[np.ndarray, np.ndarray], np.ndarray]


def axes_of(rows: np.ndarray) -> np.ndarray:
    """An orthonormal column for each principal axis; with fewer rows than columns, only for what the rows span."""
    if len(rows) >= rows.shape[1]:
        return np.ascontiguousarray(eigh(rows.T @ rows, driver="evd", overwrite_a=True, check_finite=False)[1])
    return np.ascontiguousarray(np.linalg.svd(rows, full_matrices=False)[2].T)


def turned(rows: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Rows on other axes, with a last column of ones, whose weight is the intercept."""
    result = np.ones((len(rows), axes.shape[1] + 1), dtype=np.float32)
    np.matmul(rows, axes, out=result[:, :-1])
    return result


def minimise(
    rows: np.ndarray, loss: Loss, strength: float, start: np.ndarray, tol: float, max_iter: int
) -> tuple[np.ndarray, int]:
    """The weights, a row for each class with the intercept last, and how many steps it took.

    `rows` lie on (nearly) principal axes, with a last column of ones. The objective is the mean loss plus
    `|weights|^2 / (2 strength n)`. A class is finished when what a further step can be expected to gain is below `tol`
    times its objective.
    """
    n = len(rows)
    penalty = 1.0 / (strength * n)
    shrink = np.full(rows.shape[1], penalty, dtype=np.float32)
    shrink[-1] *= loss.intercept_penalty
    every = -(-n // SAMPLE)
    squares = rows[::every] ** 2
    answer = start.astype(np.float32).copy()
    weights, live = answer.copy(), np.arange(len(answer))
    scores = weights @ rows.T
    state = loss.at(scores)
    slope = loss.slopes(state) @ rows / np.float32(n) + shrink * weights
    moves: list[np.ndarray] = []
    turns: list[np.ndarray] = []
    bends = np.ascontiguousarray(loss.curves(state)[:, ::every]) @ squares / np.float32(len(squares))
    even = 1 / (bends + np.float32(penalty))
    taken = 0

    def total(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        each = dots(a, b)
        return each if loss.separate else each.sum(keepdims=True)

    for taken in range(1, max_iter + 1):
        direction = -_two_loops(slope, moves, turns, even, total)
        descent = total(direction, slope)
        objective = loss.value(state) / n + 0.5 * total(shrink * weights, weights)
        going = -0.5 * descent > tol * np.maximum(objective, 1e-12)
        if not going.any():
            taken -= 1
            break
        if loss.separate and going.sum() <= 0.8 * len(going):
            answer[live[~going]] = weights[~going]
            live, weights, scores, slope = live[going], weights[going], scores[going], slope[going]
            direction, even, descent, loss = direction[going], even[going], descent[going], loss.only(going)
            moves, turns = [m[going] for m in moves], [t[going] for t in turns]
        reach = direction @ rows.T
        linear, square = total(shrink * weights, direction), total(shrink * direction, direction)
        step, scores, state = _step(loss, scores, reach, n, descent, linear, square)
        move = step[:, None] * direction
        weights = weights + move
        before, slope = slope, loss.slopes(state) @ rows / np.float32(n) + shrink * weights
        moves.append(move)
        turns.append(slope - before)
        del moves[:-MEMORY], turns[:-MEMORY]
    answer[live] = weights
    return answer, taken


def _step(
    loss: Loss,
    scores: np.ndarray,
    reach: np.ndarray,
    n: int,
    descent: np.ndarray,
    linear: np.ndarray,
    square: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far to go, and the scores and state there: the slope falls to a fifth of what it was, by safeguarded Newton."""
    step = np.ones(len(linear))
    low, high = np.zeros(len(linear)), np.full(len(linear), np.inf)
    for search in range(SEARCHES):
        short = step.astype(np.float32)
        there = scores + short[:, None] * reach
        state = loss.at(there)
        first, second = loss.along(state, reach)
        first, second = first / n + linear + step * square, second / n + square
        if search == SEARCHES - 1 or (np.abs(first) <= 0.2 * np.abs(descent)).all():
            break
        low, high = np.where(first < 0, step, low), np.where(first > 0, step, high)
        wanted = step - first / np.maximum(second, 1e-30)
        halved = np.where(np.isfinite(high), (low + np.minimum(high, 1e30)) / 2, 2 * step)
        step = np.where((wanted > low) & (wanted < high), wanted, halved)
    return short, there, state


def _two_loops(
    slope: np.ndarray, moves: list[np.ndarray], turns: list[np.ndarray], even: np.ndarray, total: Pairing
) -> np.ndarray:
    """The L-BFGS product of the inverse curvature and a slope."""
    kept = []
    result = slope
    for move, turn in zip(reversed(moves), reversed(turns), strict=True):
        bend = total(move, turn)
        inverse = np.where(bend > 1e-30, 1 / np.maximum(bend, 1e-30), 0)
        share = inverse * total(move, result)
        kept.append((move, turn, inverse, share))
        result = result - share.astype(np.float32)[:, None] * turn
    result = even * result
    for move, turn, inverse, share in reversed(kept):
        back = inverse * total(turn, result)
        result = result + (share - back).astype(np.float32)[:, None] * move
    return result
