"""Minimise a loss plus half the squared length of the weights: L-BFGS for all classes in the same matrix products.

Two things make it fast. The line search works on scores that are already computed, so a step costs two matrix products
however long the search. And the features are rotated onto their principal axes, where the curvature of each class is
nearly diagonal and can be divided out. A rotation keeps lengths, and so the objective; the axes need not be those of
exactly these rows, so folds share them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

from featx.classifiers.solvers.losses import Loss, dots
from featx.compute.threads import threads_for

MEMORY = 10
SEARCHES = 8
SAMPLE = 4096

Pairing = Callable[[np.ndarray, np.ndarray], np.ndarray]


class LBFGSHistory:
    """The last steps and the change of gradient on each: what L-BFGS knows of the curvature."""

    def __init__(self) -> None:
        self.moves: list[np.ndarray] = []
        self.turns: list[np.ndarray] = []

    def add(self, move: np.ndarray, turn: np.ndarray) -> None:
        """Add a step, and forget the oldest."""
        self.moves.append(move)
        self.turns.append(turn)
        del self.moves[:-MEMORY], self.turns[:-MEMORY]

    def keep(self, going: np.ndarray) -> None:
        """Forget the classes that are finished."""
        self.moves = [move[going] for move in self.moves]
        self.turns = [turn[going] for turn in self.turns]

    def direction(self, slope: np.ndarray, preconditioner: DiagonalPreconditioner, total: Pairing) -> np.ndarray:
        """The direction of descent: minus the L-BFGS product of inverse curvature and gradient."""
        kept = []
        result = slope
        for move, turn in zip(reversed(self.moves), reversed(self.turns), strict=True):
            bend = total(move, turn)
            inverse = np.where(bend > 1e-30, 1 / np.maximum(bend, 1e-30), 0)
            share = inverse * total(move, result)
            kept.append((move, turn, inverse, share))
            result = result - share.astype(np.float32)[:, None] * turn
        result = preconditioner.out(result)
        for move, turn, inverse, share in reversed(kept):
            back = inverse * total(turn, result)
            result = result + (share - back).astype(np.float32)[:, None] * move
        return np.asarray(-result)


class DiagonalPreconditioner:
    """The approximate inverse curvature of each class: diagonal on the axes, plus a rank-one term for the mean row."""

    def __init__(self, flat: np.ndarray, means: np.ndarray, mass: np.ndarray, balanced: bool) -> None:
        self.flat = flat
        self.along = flat * means
        self.scale = (1 / mass + dots(self.along, means)).astype(np.float32)
        self.means = means
        self.mass = mass
        self.balanced = balanced

    @classmethod
    def of(cls, rows: np.ndarray, loss: Loss, state: np.ndarray, penalty: float) -> DiagonalPreconditioner:
        """At the current weights, from a sample of the rows."""
        every = -(-len(rows) // SAMPLE)
        sample = rows[::every]
        curves = np.ascontiguousarray(loss.curves(state)[:, ::every])
        weight = curves.sum(axis=1, dtype=np.float64) + 1e-12
        means = curves @ sample / weight.astype(np.float32)[:, None]
        mass = weight / len(sample)
        around = curves @ (sample * sample) / np.float32(len(sample)) - mass.astype(np.float32)[:, None] * means**2
        return cls(1 / (np.maximum(around, 0) + np.float32(penalty)), means, mass, loss.balanced)

    def keep(self, going: np.ndarray) -> DiagonalPreconditioner:
        """The same for some of the classes."""
        return DiagonalPreconditioner(self.flat[going], self.means[going], self.mass[going], self.balanced)

    def out(self, slope: np.ndarray) -> np.ndarray:
        """The slope with the curvature divided out."""
        result = self.flat * slope
        result -= (dots(self.along, slope).astype(np.float32) / self.scale)[:, None] * self.along
        if self.balanced:
            # Adding the same to all classes changes no probability, so the best weights sum to zero.
            result -= result.mean(axis=0)
        return np.asarray(result)


def axes_of(rows: np.ndarray) -> np.ndarray:
    """The principal axes as orthonormal columns; with few rows, only those that the rows span."""
    # Down to half as many rows as columns, this takes half the time of a singular value decomposition.
    if 2 * len(rows) >= rows.shape[1]:
        # Twice as many rows as columns determine the axes well enough.
        some = rows[:: max(1, len(rows) // (2 * rows.shape[1]))]
        return np.ascontiguousarray(eigh(some.T @ some, driver="evd", overwrite_a=True, check_finite=False)[1])
    return np.ascontiguousarray(np.linalg.svd(rows, full_matrices=False)[2].T)


def turned(rows: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Rows in the coordinates of other axes, with a last column of ones, whose weight is the intercept."""
    result = np.ones((len(rows), axes.shape[1] + 1), dtype=np.float32)
    np.matmul(rows, axes, out=result[:, :-1])
    return result


def minimise(
    rows: np.ndarray,
    loss: Loss,
    strength: float,
    start: np.ndarray,
    tol: float,
    max_iter: int,
) -> tuple[np.ndarray, int]:
    """The weights, a row for each class with the intercept last, and the number of steps.

    `rows` are in coordinates of (nearly) principal axes, with a last column of ones. The objective is the mean loss
    plus `|weights|^2 / (2 strength n)`. A class is finished when the expected gain of another step is below `tol` times
    the second term, that is, small beside the weights themselves.
    """
    with threads_for(rows.size * len(start)):
        return _minimise(rows, loss, strength, start, tol, max_iter)


def _minimise(
    rows: np.ndarray,
    loss: Loss,
    strength: float,
    start: np.ndarray,
    tol: float,
    max_iter: int,
) -> tuple[np.ndarray, int]:
    n = len(rows)
    penalty = 1.0 / (strength * n)
    shrink = np.full(rows.shape[1], penalty, dtype=np.float32)
    shrink[-1] *= loss.intercept_penalty
    answer = start.astype(np.float32).copy()
    weights, active = answer.copy(), np.arange(len(answer))
    scores = weights @ rows.T
    state = loss.state_at(scores)
    slope = loss.slopes(state) @ rows / np.float32(n) + shrink * weights
    preconditioner = DiagonalPreconditioner.of(rows, loss, state, penalty)
    memory = LBFGSHistory()
    taken = 0

    def total(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        each = dots(a, b)
        return each if loss.separate else each.sum(keepdims=True)

    while taken < max_iter:
        direction = memory.direction(slope, preconditioner, total)
        descent = total(direction, slope)
        size = 0.5 * total(shrink * weights, weights)
        # The last limit: float32 cannot resolve smaller differences of the objective.
        going = -0.5 * descent > np.maximum(tol * size, 1e-9 * (loss.value(state) / n + size))
        if not going.any():
            break
        if loss.separate and going.sum() <= 0.8 * len(going):
            answer[active[~going]] = weights[~going]
            active, weights, scores, slope = active[going], weights[going], scores[going], slope[going]
            direction, descent, preconditioner, loss = (
                direction[going],
                descent[going],
                preconditioner.keep(going),
                loss.only(going),
            )
            memory.keep(going)
        reach = direction @ rows.T
        linear, square = total(shrink * weights, direction), total(shrink * direction, direction)
        step, scores, state = _step(loss, scores, reach, n, descent, linear, square)
        move = step[:, None] * direction
        weights = weights + move
        before, slope = slope, loss.slopes(state) @ rows / np.float32(n) + shrink * weights
        memory.add(move, slope - before)
        taken += 1
    answer[active] = weights
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
    """The step length, and the scores and state there: safeguarded Newton until the slope has fallen to a fifth."""
    step = np.ones(len(linear))
    low, high = np.zeros(len(linear)), np.full(len(linear), np.inf)
    for search in range(SEARCHES):
        short = step.astype(np.float32)
        there = scores + short[:, None] * reach
        state = loss.state_at(there)
        first, second = loss.along(state, reach)
        first, second = first / n + linear + step * square, second / n + square
        if search == SEARCHES - 1 or (np.abs(first) <= 0.2 * np.abs(descent)).all():
            break
        low, high = np.where(first < 0, step, low), np.where(first > 0, step, high)
        wanted = step - first / np.maximum(second, 1e-30)
        halved = np.where(np.isfinite(high), (low + np.minimum(high, 1e30)) / 2, 2 * step)
        step = np.where((wanted > low) & (wanted < high), wanted, halved)
    return short, there, state
