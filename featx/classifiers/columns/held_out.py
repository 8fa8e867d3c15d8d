"""Do columns help on held-out photos? Where there are enough of them, they decide, and not the folds.

In folds of one shop the photo alone may seem perfect: photos come in bursts of one shelf. What a text adds shows only
on photos from elsewhere. What is chosen on one half of the products is scored on the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from featx.classifiers.calibration import CALIBRATING, fit_temperature, probabilities
from featx.classifiers.columns.fusion import Fusion, Way, certain, doubtful, says_anything
from featx.classifiers.columns.of_store import columns_of
from featx.classifiers.columns.trials import WEIGHTS
from featx.classifiers.pipelines import scores_of
from featx.labels.training_set import HeldOut
from featx.metrics.significance import clearly_best

# With fewer photos whose columns say anything, weight and temperature stay as the folds chose them.
FEWEST = 30


@dataclass(frozen=True)
class HeldPhotos:
    """Held-out photos with their scores by the photo alone; a truth of -1 is a category that was not learned."""

    scores: np.ndarray
    features: np.ndarray
    truth: np.ndarray
    groups: np.ndarray
    held: HeldOut
    classes: Sequence[str]

    @classmethod
    def of(cls, held: HeldOut, pipeline: object, classes: Sequence[str]) -> HeldPhotos:
        """The held-out photos of a training set, answered by the photo alone."""
        columns = {label: i for i, label in enumerate(classes)}
        truth = np.array([columns.get(label, -1) for label in held.truth], dtype=int)
        return cls(scores_of(pipeline, held.features, classes), held.features, truth, held.groups, held, classes)

    @property
    def enough(self) -> bool:
        """Whether there are enough of them to decide on."""
        return int((self.truth >= 0).sum()) >= CALIBRATING

    def right(self, scores: np.ndarray) -> np.ndarray:
        """Which photos these scores answer correctly."""
        return np.asarray(scores.argmax(axis=1) == self.truth)


@dataclass(frozen=True)
class HeldTrial:
    """One way on held-out photos: its fusion, suited to all of them, and scores that the other half was chosen on."""

    fusion: Fusion
    scores: np.ndarray
    right: np.ndarray


def held_trial(fusion: Fusion, photos: HeldPhotos) -> HeldTrial:
    """Suit a fusion to held-out photos; each half of the products is scored by one suited to the other half."""
    columns = columns_of(photos.held.store, photos.held.rows, fusion.names)
    encoded = fusion.encoder.encode(columns)
    half = np.random.default_rng(0).integers(0, 2, int(photos.groups.max()) + 1)[photos.groups].astype(bool)
    scores = np.zeros(photos.scores.shape)
    for mine in (half, ~half):
        suited = _suited(fusion, photos, encoded, ~mine)
        values = {name: [values[i] for i in np.flatnonzero(mine)] for name, values in columns.items()}
        scores[mine] = suited.scores(photos.scores[mine], photos.features[mine], values, photos.classes)[0]
    everything = np.ones(len(photos.truth), dtype=bool)
    return HeldTrial(_suited(fusion, photos, encoded, everything), scores, photos.right(scores))


def columns_alone(fusion: Fusion, photos: HeldPhotos) -> np.ndarray:
    """Which held-out photos the columns of an averaged fusion answer correctly without the photo."""
    encoded = fusion.encoder.encode(columns_of(photos.held.store, photos.held.rows, fusion.names))
    right = photos.right(scores_of(fusion.columns.pipeline, encoded, photos.classes))
    return np.asarray(right & says_anything(encoded))


def best_on_held_out(trials: Sequence[HeldTrial], photos: HeldPhotos) -> tuple[HeldTrial | None, list[float]]:
    """The trial that is clearly better than the photo alone, if there is one; the p-value of each."""
    right = [photos.right(photos.scores), *(trial.right for trial in trials)]
    index, p_values = clearly_best(right, photos.groups)
    return trials[index - 1] if index else None, p_values


def _suited(fusion: Fusion, photos: HeldPhotos, encoded: np.ndarray, on: np.ndarray) -> Fusion:
    """A fusion with the temperatures, and the weight of the columns, that suit some held-out photos."""
    known = on & (photos.truth >= 0)
    rows = known & says_anything(encoded)
    if int(rows.sum()) < FEWEST:
        return fusion
    truth, raw = photos.truth[rows], photos.scores[rows]
    if fusion.way is not Way.STACKED:  # which was learned from answers of another temperature
        fusion = replace(fusion, photo_temperature=fit_temperature(photos.scores[known], photos.truth[known]))
    by_photo = certain(raw, fusion.photo_temperature)
    if fusion.way is Way.AVERAGED:
        by_columns = scores_of(fusion.columns.pipeline, encoded[rows], photos.classes)
        part = replace(fusion.columns, temperature=fit_temperature(by_columns, truth))
        logs = doubtful(by_columns, part.temperature)
        fusion = replace(fusion, columns=part, weight=min(WEIGHTS, key=lambda w: _loss(by_photo + w * logs, truth)))
    fused = fusion.fused(by_photo, photos.features[rows], encoded[rows], photos.classes)
    return replace(fusion, temperature=fit_temperature(fused, truth))


def _loss(scores: np.ndarray, truth: np.ndarray) -> float:
    """The log loss at the temperature that suits the scores."""
    shares = probabilities(scores, fit_temperature(scores, truth))
    return -float(np.log(np.clip(shares[np.arange(len(truth)), truth], 1e-12, 1)).mean())
