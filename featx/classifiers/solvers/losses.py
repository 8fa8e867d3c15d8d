"""The two losses with value, gradient and curvature of all categories at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Loss(Protocol):
    """A loss over scores of shape (classes, rows).

    `separate`: each class can be solved by itself; `balanced`: adding the same score to all classes changes nothing.
    """

    separate: bool
    balanced: bool
    intercept_penalty: float

    def only(self, classes: np.ndarray) -> Loss:
        """The same loss for some of the classes."""

    def begin(self, columns: int) -> np.ndarray:
        """Where to start: zero weights, and the best intercepts for them."""

    def state_at(self, scores: np.ndarray) -> np.ndarray:
        """The state at these scores, from which value, slopes and curvature are computed."""

    def value(self, state: np.ndarray) -> np.ndarray:
        """The loss: a number for each class where they are separate, else one for all."""

    def slopes(self, state: np.ndarray) -> np.ndarray:
        """The derivative by each score."""

    def curves(self, state: np.ndarray) -> np.ndarray:
        """The second derivative by each score."""

    def along(self, state: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative by the step, along a direction of scores."""


class SquaredHinge:
    """One-vs-rest: `weight * max(0, 1 - sign * score) ** 2`. Its state is the gap to the margin."""

    separate = True
    balanced = False
    intercept_penalty = 1.0

    def __init__(self, signs: np.ndarray, weights: np.ndarray | None) -> None:
        self.signs = signs
        self.weights = weights

    @classmethod
    def of(cls, truth: np.ndarray, classes: int, class_weight: np.ndarray | None) -> SquaredHinge:
        """For class numbers; as in LIBLINEAR a class's weight counts for its own rows, not for the rest against it."""
        wanted = np.arange(classes) if classes > 2 else np.array([1])
        mine = truth[None, :] == wanted[:, None]
        signs = np.where(mine, np.float32(1), np.float32(-1))
        if class_weight is None:
            return cls(signs, None)
        rest = class_weight[0] if classes == 2 else 1.0
        return cls(signs, np.where(mine, class_weight[wanted][:, None], rest).astype(np.float32))

    def only(self, classes: np.ndarray) -> SquaredHinge:
        """The same loss for some of the classes."""
        return SquaredHinge(self.signs[classes], None if self.weights is None else self.weights[classes])

    def begin(self, columns: int) -> np.ndarray:
        """Where to start: the first step finds the intercepts as well."""
        return np.zeros((len(self.signs), columns), dtype=np.float32)

    def state_at(self, scores: np.ndarray) -> np.ndarray:
        """How far each score is from the margin."""
        gap: np.ndarray = self.signs * scores
        np.subtract(1, gap, out=gap)
        np.maximum(gap, 0, out=gap)
        return gap

    def _weighted(self, array: np.ndarray) -> np.ndarray:
        return array if self.weights is None else array * self.weights

    def value(self, state: np.ndarray) -> np.ndarray:
        """The loss of each class."""
        return dots(self._weighted(state), state)

    def slopes(self, state: np.ndarray) -> np.ndarray:
        """The derivative by each score."""
        slopes: np.ndarray = self._weighted(state) * self.signs
        slopes *= -2
        return slopes

    def curves(self, state: np.ndarray) -> np.ndarray:
        """The second derivative by each score."""
        return self._weighted((state > 0).astype(np.float32) * np.float32(2))

    def along(self, state: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative by the step, along a direction of scores."""
        moved = self.signs * direction
        first = -2 * dots(self._weighted(state), moved)
        moved *= state > 0
        return first, 2 * dots(self._weighted(moved), moved)


class Softmax:
    """The negative log probability of the true class; two classes share one score. Its state is the probabilities."""

    separate = False
    intercept_penalty = 0.0

    def __init__(self, truth: np.ndarray, classes: int, class_weight: np.ndarray | None) -> None:
        self.truth = truth
        self.rows = np.arange(len(truth))
        self.classes = classes
        self.single = classes == 2
        self.balanced = not self.single
        self.weights = None if class_weight is None else class_weight[truth].astype(np.float32)

    def only(self, classes: np.ndarray) -> Softmax:
        """The same loss: classes depend on each other."""
        return self

    def _full(self, scores: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros_like(scores), scores]) if self.single else scores

    def begin(self, columns: int) -> np.ndarray:
        """Where to start: every row has the classes' overall frequencies."""
        level = np.log(np.bincount(self.truth, self.weights, minlength=self.classes))
        start = np.zeros((1 if self.single else self.classes, columns), dtype=np.float32)
        start[:, -1] = level[1] - level[0] if self.single else level - level.mean()
        return start

    def state_at(self, scores: np.ndarray) -> np.ndarray:
        """The probability of each class in each row."""
        full = self._full(scores)
        probabilities: np.ndarray = full - full.max(axis=0)
        np.exp(probabilities, out=probabilities)
        probabilities /= probabilities.sum(axis=0)
        return probabilities

    def value(self, state: np.ndarray) -> np.ndarray:
        """The loss, a single number."""
        losses = -np.log(np.maximum(state[self.truth, self.rows].astype(np.float64), 1e-45))
        return np.array([float(losses.sum() if self.weights is None else losses @ self.weights)])

    def slopes(self, state: np.ndarray) -> np.ndarray:
        """The derivative by each score."""
        slopes: np.ndarray = state.copy()
        slopes[self.truth, self.rows] -= 1
        if self.weights is not None:
            slopes *= self.weights
        return slopes[1:] if self.single else slopes

    def curves(self, state: np.ndarray) -> np.ndarray:
        """The second derivative by each score."""
        curves: np.ndarray = state - state * state
        if self.weights is not None:
            curves *= self.weights
        return curves[1:] if self.single else curves

    def along(self, state: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First and second derivative by the step, along a direction of scores."""
        moved = self._full(direction)
        weighted = state * moved
        middle = weighted.sum(axis=0)
        first = middle - moved[self.truth, self.rows]
        second = np.einsum("kn,kn->n", weighted, moved) - middle * middle
        if self.weights is not None:
            first, second = first * self.weights, second * self.weights
        return np.array([first.sum(dtype=np.float64)]), np.array([second.sum(dtype=np.float64)])


def dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The dot product of each pair of rows."""
    return np.asarray(np.vecdot(a, b), dtype=np.float64)
