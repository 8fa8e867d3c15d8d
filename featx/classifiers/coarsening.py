"""Coarse categories answered by a classifier of finer ones: their probabilities are summed.

Each finer category is simpler to draw a border around than the mixture they form, so this is often the better answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featx.classifiers.calibration import fit_temperature, probabilities

# Nothing is less probable, so that every logarithm is a number.
LEAST = 1e-12


@dataclass(frozen=True)
class Coarsening:
    """The finer categories, the coarse ones, which of these each finer one belongs to, and the temperature between."""

    finer: list[str]
    coarse: list[str]
    parents: np.ndarray
    temperature: float = 1.0

    @classmethod
    def of(cls, finer: Sequence[str], coarse: Sequence[str]) -> Coarsening:
        """The parents of finer categories, from the two labels of every row."""
        parent = dict(zip(finer, coarse, strict=True))
        names, classes = sorted(parent), sorted(set(coarse))
        return cls(names, classes, np.array([classes.index(parent[name]) for name in names]))

    def scores(self, finer_scores: np.ndarray) -> np.ndarray:
        """Scores of the coarse categories: logarithms of their summed probabilities."""
        shares = probabilities(finer_scores, self.temperature)
        sums = shares @ np.eye(len(self.coarse))[self.parents]
        scores: np.ndarray = np.log(np.maximum(sums, LEAST))
        return scores

    def calibrated(self, finer_scores: np.ndarray, truth: np.ndarray) -> Coarsening:
        """The same, with the temperature that suits scores of rows whose finer category was held out."""
        return Coarsening(self.finer, self.coarse, self.parents, fit_temperature(finer_scores, truth))


class CoarsePipeline:
    """A pipeline of finer categories that answers with coarse ones."""

    def __init__(self, pipeline: Any, coarsening: Coarsening) -> None:
        self.pipeline, self.coarsening = pipeline, coarsening
        self.classes_ = np.array(coarsening.coarse)

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """The steps of the pipeline inside."""
        steps: list[tuple[str, Any]] = self.pipeline.steps
        return steps

    def __getitem__(self, index: int) -> Any:
        return self.pipeline[index]

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        """Scores of the coarse categories."""
        from featx.classifiers.pipelines import scores_of

        return self.coarsening.scores(scores_of(self.pipeline, features, self.coarsening.finer))
