"""Out-of-fold tails: networks that each leave some products out, so that one that never saw a photo answers for it.

They learn from the activations that are kept, so each costs the training of a tail and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.backbones.tuned_card import Reached
from featx.classifiers.pipelines import train_classifier
from featx.classifiers.spec import ClassifierSettings
from featx.errors import FeatxError
from featx.finetuning.cut.tail import LEAST_CHANCE
from featx.finetuning.judgement.division import Photos
from featx.finetuning.judgement.judge import LDA, reached_by
from featx.labels.folds import Fold, grouped_folds

# The features of all photos by a network that learned from these rows only.
RowsOf = Callable[[NDArray[np.intp]], NDArray[np.float32]]


@dataclass(frozen=True)
class OutOfFold:
    """The answers of networks that never saw the photo: log probabilities of the categories, by the photo's digest."""

    folds: int
    digests: list[str]
    log_chances: NDArray[np.float32]
    right: NDArray[np.bool_]
    groups: NDArray[np.intp]

    @property
    def reached(self) -> Reached:
        """The share that is right, with its interval."""
        return reached_by(LDA, self.right, self.groups)


def out_of_fold(photos: Photos, folds: int, seed: int, rows_of: RowsOf) -> OutOfFold:
    """Train a tail for each fold, and let a discriminant analysis of its features answer for what it never saw."""
    labels, groups = photos.labels[photos.learn], photos.kept_together
    cut = grouped_folds(labels.tolist(), groups, folds, seed)
    if len(cut) < 2:
        raise FeatxError(
            "class-too-small",
            f"photos of one product, or copies of one, cannot be divided into {folds} folds",
            "leave `--folds` out",
        )
    log_chances = np.full((len(labels), len(photos.categories)), np.log(LEAST_CHANCE), dtype=np.float32)
    for fold in cut:
        _answer(photos, fold, rows_of(photos.learn[fold[0]]), log_chances)
    right = log_chances.argmax(axis=1) == photos.truth(photos.learn)
    digests = [photos.digests[i] for i in photos.learn]
    return OutOfFold(len(cut), digests, log_chances, right, photos.groups[photos.learn])


def _answer(photos: Photos, fold: Fold, rows: NDArray[np.float32], log_chances: NDArray[np.float32]) -> None:
    learn, score = (photos.learn[part] for part in fold)
    lda = train_classifier(ClassifierSettings(LDA, photos.shrinkage), rows[learn], photos.truth(learn))
    chances = np.maximum(lda.predict_proba(rows[score]), LEAST_CHANCE)
    log_chances[np.ix_(fold[1], lda.classes_)] = np.log(chances)
