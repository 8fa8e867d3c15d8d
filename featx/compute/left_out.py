"""What a regression on the other photos says of each photo, for every fold at once: no classifier is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.compute.vectors import unit_rows

# Blocks of features differ far more than the usual values of this.
RIDGE = 0.03


def centred_cosines(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """The cosines of rows, less what all of them have in common."""
    unit = unit_rows(features)
    centred = unit_rows(unit - unit.mean(axis=0))
    return centred @ centred.T


def targets(labels: Sequence[str] | NDArray[np.str_]) -> NDArray[np.float32]:
    """A column for each category: 1 for its photos and 0 for others, less the mean."""
    _, truth = np.unique(labels, return_inverse=True)
    wanted: NDArray[np.float32] = np.eye(int(truth.max()) + 1, dtype=np.float32)[truth]
    wanted -= wanted.mean(axis=0)
    return wanted


def left_out_answers(
    cosines: NDArray[np.float32], wanted: NDArray[np.float32], folds: Sequence[NDArray[np.intp]]
) -> NDArray[np.float32]:
    """The answer to each photo of a ridge regression without the photos of its fold; rows in no fold are zero.

    One inverse of the photos' inner products gives what leaving a fold out would have said, without leaving it out.
    """
    inverse = np.linalg.inv(cosines + RIDGE * np.eye(len(cosines), dtype=np.float32))
    weights = inverse @ wanted
    answers = np.zeros_like(wanted)
    for fold in folds:
        answers[fold] = wanted[fold] - np.linalg.solve(inverse[np.ix_(fold, fold)], weights[fold])
    return answers
