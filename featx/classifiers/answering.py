"""Saved linear classifiers answer with NumPy alone: importing scikit-learn takes longer than a photo.

The numbers are those of scikit-learn's pipeline, to the last bit; that pipeline is built as soon as somebody asks for
more than answers.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from featx.classifiers.projections import linear_scores, projected, shortened
from featx.classifiers.spec import ClassifierSettings

# The classifiers that are a row of weights for each category, and the name of their step in a pipeline.
LINEAR = {"svm": "linearsvm", "logreg": "logistic", "lda": "shrinkagelda"}


class Step:
    """A step of a pipeline; its arrays are set by whoever reads them."""

    n_features_in_: int

    def checked(self, rows: Any) -> np.ndarray:
        """Rows in single precision; ValueError where they are not finite or of another width, as in scikit-learn."""
        x = np.asarray(rows, dtype=np.float32)
        if x.ndim != 2 or x.shape[1] != self.n_features_in_:
            raise ValueError(f"rows of {self.n_features_in_} numbers are wanted, not an array of the shape {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError("not every number is finite")
        return x

    def transform(self, rows: Any) -> np.ndarray:
        """What the next step gets."""
        raise NotImplementedError


class UnitLength(Step):
    """scikit-learn's `Normalizer`."""

    def transform(self, rows: Any) -> np.ndarray:
        """Each row at length 1."""
        x = self.checked(rows)
        lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
        lengths[lengths < 10 * np.finfo(np.float32).eps] = 1
        unit: np.ndarray = x / lengths[:, None]
        return unit


class StandardScale(Step):
    """scikit-learn's `StandardScaler`."""

    mean_: np.ndarray
    scale_: np.ndarray

    def transform(self, rows: Any) -> np.ndarray:
        """Each column with mean 0 and deviation 1."""
        scaled: np.ndarray = (self.checked(rows) - self.mean_.astype(np.float32)) / self.scale_.astype(np.float32)
        return scaled


class Projection(Step):
    """`LDAProjection` of the solvers."""

    mean_: np.ndarray
    directions_: np.ndarray
    size_: float

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def transform(self, rows: Any) -> np.ndarray:
        """Rows along the directions."""
        return shortened(projected(self.checked(rows), self.mean_, self.directions_), self.bound, self.size_)


class LinearScores(Step):
    """A row of weights for each category, or a single one for two."""

    coef_: np.ndarray
    intercept_: np.ndarray
    classes_: np.ndarray

    def decision_function(self, rows: Any) -> np.ndarray:
        """A score for every category; for two categories one number, positive for the second."""
        return linear_scores(self.checked(rows), self.coef_, self.intercept_)


class AnsweringPipeline:
    """The steps of a saved classifier; anything but an answer comes from scikit-learn's pipeline of the same steps."""

    def __init__(self, settings: ClassifierSettings) -> None:
        self.settings = settings
        self.steps: list[tuple[str, Any]] = [*_scaling(settings), *_reduction(settings)]
        self.steps.append((LINEAR[settings.name], LinearScores()))

    @property
    def classes_(self) -> np.ndarray:
        """The categories."""
        classes: np.ndarray = self.steps[-1][1].classes_
        return classes

    def decision_function(self, rows: Any) -> np.ndarray:
        """The scores of rows as the network gives them."""
        for _, step in self.steps[:-1]:
            rows = step.transform(rows)
        scores: np.ndarray = self.steps[-1][1].decision_function(rows)
        return scores

    def __getitem__(self, index: Any) -> Any:
        return self.steps[index][1] if isinstance(index, int) else self.whole[index]

    def __len__(self) -> int:
        return len(self.steps)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "steps" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.whole, name)

    @cached_property
    def whole(self) -> Any:
        """scikit-learn's pipeline with the same arrays."""
        from featx.classifiers.pipelines import build, saved_steps

        pipeline, own = build(self.settings), dict(self.steps)
        for name, step, arrays in saved_steps(pipeline, self.settings):
            for attribute in (*arrays, "n_features_in_"):
                setattr(step, attribute, getattr(own[name], attribute))
        pipeline[-1].classes_ = self.classes_
        return pipeline


def answers_alone(settings: ClassifierSettings) -> bool:
    """Whether a classifier of these settings answers without scikit-learn."""
    return settings.name in LINEAR and settings.reduction in ("lda", "none")


def _scaling(settings: ClassifierSettings) -> list[tuple[str, Step]]:
    scaling, reduction = settings.scaling, settings.reduction
    if scaling == "standard" and reduction != "lda":
        return [("standardscaler", StandardScale())]
    return [] if scaling == "none" and reduction == "none" else [("normalizer", UnitLength())]


def _reduction(settings: ClassifierSettings) -> list[tuple[str, Step]]:
    return [("ldaprojection", Projection(settings.spec.soft_bound))] if settings.reduction == "lda" else []
