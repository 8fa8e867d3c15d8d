"""Do columns help? The photo alone, the columns alone and each way of joining them answer in the same grouped folds.

A way replaces the photo alone only if a paired test over products says that it is better.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from featx.classifiers.calibration import fit_temperature
from featx.classifiers.columns.fusion import Fusion, Part, Way, certain, doubtful, join_rows, says_anything, stack_rows
from featx.classifiers.columns.learning import learn_columns
from featx.classifiers.columns.values import Columns, Kind, rows_of
from featx.classifiers.cross_validation import FoldResults
from featx.classifiers.pipelines import parallel_fits, scores_of, train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.classifiers.tuning import best, default_grid
from featx.compute.threads import side_by_side
from featx.labels.folds import INNER, Fold, grouped_folds
from featx.labels.training_set import TrainingSet
from featx.metrics.significance import clearly_best

# How much the columns may count beside the photo; of equals the first is taken.
WEIGHTS = (1.0, 0.75, 1.5, 0.5, 2.0, 0.25, 3.0, 0.125)
# Stacking learns a weight for each pair of categories: too many for more than these.
MOST_STACKED = 150
# The classifier of columns alone, and of stacked answers. The directions of texts keep their lengths: those in which
# texts hardly differ are mostly chance.
BY_COLUMNS = ClassifierSettings("logreg", reduce="none", scaled="none")
STRENGTHS = (3.0, 10.0, 30.0, 100.0)
STACKING = ClassifierSettings("logreg", reduce="none")


@dataclass(frozen=True)
class FoldAnswers:
    """Scores of every row by models that did not know its product: by the photo, by the columns, by both joined.

    `says` tells in which rows the columns say anything.
    """

    photo: np.ndarray
    columns: np.ndarray
    joined: np.ndarray
    says: np.ndarray


PHOTO, COLUMNS = "photo", "columns"


@dataclass(frozen=True)
class WayTrial:
    """The scores of one way for every row, as logarithms of probabilities; which of the scored rows it got right."""

    name: str
    scores: np.ndarray
    right: np.ndarray


class Trials:
    """Photo and columns of one training set, tried in the folds in which its classifier was chosen."""

    def __init__(
        self, training: TrainingSet, results: FoldResults, kinds: Mapping[str, Kind], scored: np.ndarray
    ) -> None:
        self.training, self.results, self.kinds, self.scored = training, results, kinds, scored
        self.x = np.asarray(training.store.features[training.learn])
        self.y, self.classes = training.labels[training.learn], training.classes
        self.truth = np.searchsorted(self.classes, self.y)
        self.photo_temperature = self._temperature(results.scores, scored)

    # --- answers in folds ---------------------------------------------------------------------------------------------

    def answers(self, columns: Columns) -> FoldAnswers:
        """In each fold, learn the columns of its rows, and train a classifier of columns and one of both joined."""
        n, k = len(self.y), len(self.classes)
        alone, joined, says = np.zeros((n, k)), np.zeros((n, k)), np.zeros(n, dtype=bool)
        folds = self.results.folds
        at_once = parallel_fits(self.results.settings, self.x)
        for (_, score), answers in zip(
            folds, side_by_side(lambda fold: self._in_fold(columns, fold), folds, at_once), strict=True
        ):
            alone[score], joined[score], says[score] = answers
        return FoldAnswers(self.results.scores, alone, joined, says)

    def _in_fold(self, columns: Columns, fold: Fold) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        learn, score = fold
        encoded = learn_columns(rows_of(columns, learn), self.kinds).encode(columns)
        says = says_anything(encoded)
        alone = self._scores(BY_COLUMNS, encoded, learn[says[learn]], score)
        joined = self._scores(self.results.settings, join_rows(self.x, encoded, 1.0), learn, score)
        return alone, joined, says[score]

    def _scores(self, settings: ClassifierSettings, x: np.ndarray, learn: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Scores of some rows by a classifier trained on others; all equal where these show only one category."""
        if not self._can_learn(x, learn):
            return np.zeros((len(score), len(self.classes)))
        return scores_of(self._trained(settings, x, learn)[1], x[score], self.classes)

    def _can_learn(self, x: np.ndarray, learn: np.ndarray) -> bool:
        return x.shape[1] > 0 and len(set(self.y[learn].tolist())) > 1

    def _trained(
        self, settings: ClassifierSettings, x: np.ndarray, learn: np.ndarray
    ) -> tuple[ClassifierSettings, Any]:
        """A classifier trained on some rows; its strength is chosen on a fold of them."""
        labels = self.y[learn]
        inner = grouped_folds(labels.tolist(), self.training.groups[learn], INNER, settings.seed)[:1]
        chosen = best(_grid(settings), x[learn], labels, inner)
        return chosen, train_classifier(chosen, x[learn], labels)

    def _temperature(self, scores: np.ndarray, rows: np.ndarray) -> float:
        return fit_temperature(scores[rows], self.truth[rows]) if rows.any() else 1.0

    # --- ways of joining ----------------------------------------------------------------------------------------------

    def ways(self, answers: FoldAnswers) -> list[WayTrial]:
        """The photo alone, the columns alone, and every way of joining them."""
        by_photo = certain(answers.photo, self.photo_temperature)
        by_columns = doubtful(answers.columns, self._temperature(answers.columns, self.scored & answers.says))
        fused = {Way.AVERAGED: self._averaged(by_photo, by_columns, answers.says), Way.JOINED: answers.joined}
        if len(self.classes) <= MOST_STACKED:
            fused[Way.STACKED] = self._stacked(by_photo, by_columns, answers.says)
        trials = [self._trial(PHOTO, by_photo), self._trial(COLUMNS, by_columns)]
        for way, scores in fused.items():
            calibrated = certain(scores, self._temperature(scores, self.scored & answers.says))
            # Without a word about it, a photo is answered as if there were no columns.
            trials.append(self._trial(way, np.where(answers.says[:, None], calibrated, by_photo)))
        return trials

    def _trial(self, name: str, scores: np.ndarray) -> WayTrial:
        return WayTrial(name, scores, self._right(scores))

    def _right(self, scores: np.ndarray) -> np.ndarray:
        right: np.ndarray = (scores.argmax(axis=1) == self.truth)[self.scored]
        return right

    def _averaged(self, by_photo: np.ndarray, by_columns: np.ndarray, says: np.ndarray) -> np.ndarray:
        """In each fold with the weight that does best in the others."""
        scores = by_photo.copy()
        for learn, score in self.results.folds:
            weight = self.weight(by_photo, by_columns, learn[(says & self.scored)[learn]])
            scores[score] += weight * by_columns[score]
        return scores

    def weight(self, by_photo: np.ndarray, by_columns: np.ndarray, rows: np.ndarray) -> float:
        """How much the columns should count beside the photo, by how often both together are right."""
        return max(
            WEIGHTS,
            key=lambda w: int(((by_photo[rows] + w * by_columns[rows]).argmax(axis=1) == self.truth[rows]).sum()),
        )

    def _stacked(self, by_photo: np.ndarray, by_columns: np.ndarray, says: np.ndarray) -> np.ndarray:
        """In each fold by a classifier of the two answers to the photos of the others."""
        rows, scores = stack_rows(by_photo, by_columns), by_photo.copy()
        for learn, score in self.results.folds:
            scores[score] = self._scores(STACKING, rows, learn[says[learn]], score)
        return scores

    # --- the one to keep ----------------------------------------------------------------------------------------------

    def chosen(self, trials: list[WayTrial]) -> tuple[WayTrial, list[float]]:
        """The way that is right most often if it is clearly better than the photo alone, else that; each way's p."""
        ways = [trial for trial in trials if trial.name != COLUMNS]
        index, p_values = clearly_best([trial.right for trial in ways], self.training.groups[self.scored])
        return ways[index], p_values

    def fusion(self, way: Way, columns: Columns, answers: FoldAnswers) -> Fusion:
        """The fusion to use, trained on every row; what joins the two answers is learned from those in the folds."""
        by_photo = certain(answers.photo, self.photo_temperature)
        columns_temperature = self._temperature(answers.columns, self.scored & answers.says)
        by_columns = doubtful(answers.columns, columns_temperature)
        encoder = learn_columns(columns, self.kinds)
        encoded = encoder.encode(columns)
        everything = np.arange(len(self.y))
        says = everything[says_anything(encoded)]
        counted = np.flatnonzero(self.scored & answers.says)
        if way is Way.JOINED:
            part = Part(*self._trained(self.results.settings, join_rows(self.x, encoded, 1.0), everything), 1.0)
            return Fusion(way, encoder, part, self.photo_temperature, self._of(answers.joined, counted))
        part = Part(*self._trained(BY_COLUMNS, encoded, says), columns_temperature)
        if way is Way.AVERAGED:
            weight = self.weight(by_photo, by_columns, counted)
            temperature = self._of(by_photo + weight * by_columns, counted)
            return Fusion(way, encoder, part, self.photo_temperature, temperature, weight)
        rows = stack_rows(by_photo, by_columns)
        stack = Part(*self._trained(STACKING, rows, np.flatnonzero(answers.says)), 1.0)
        temperature = self._of(self._stacked(by_photo, by_columns, answers.says), counted)
        return Fusion(way, encoder, part, self.photo_temperature, temperature, stack=stack)

    def _of(self, scores: np.ndarray, rows: np.ndarray) -> float:
        return fit_temperature(scores[rows], self.truth[rows]) if len(rows) else 1.0


def _grid(settings: ClassifierSettings) -> list[ClassifierSettings]:
    """The strengths to try: those that suit rows as they are, or the usual ones."""
    if settings.scaled == "none":
        return [replace(settings, strength=strength) for strength in STRENGTHS]
    return default_grid(replace(settings, strength=None))
