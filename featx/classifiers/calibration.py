"""Scores to probabilities: one temperature, fitted on held-out answers."""

from __future__ import annotations

import numpy as np


def fit_temperature(scores: np.ndarray, truth: np.ndarray) -> float:
    """The temperature that calibrates confidence: it divides the scores, minimising log loss on held-out rows.

    `CalibratedClassifierCV(method="temperature")` finds the same number, but would train every fold again.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return -float(np.log(np.clip(probabilities(scores, np.exp(log_temperature))[rows, truth], 1e-12, 1)).mean())

    rows = np.arange(len(truth))
    return float(np.exp(minimize_scalar(loss, bounds=(-6, 6), method="bounded").x))


# A single number is fitted: a hundred photos from where the classifier will be used serve it better than thousands
# that look like the training photos.
CALIBRATING = 100


def held_out_temperature(scores: np.ndarray, truth: np.ndarray, otherwise: float) -> float:
    """The temperature for held-out photos, if there are enough of them; rows with a truth of -1 do not count."""
    known = truth >= 0
    return fit_temperature(scores[known], truth[known]) if int(known.sum()) >= CALIBRATING else otherwise


def cross_calibrate(scores: np.ndarray, truth: np.ndarray, groups: np.ndarray, otherwise: float) -> np.ndarray:
    """Probabilities of held-out photos; each half of the products gets the temperature fitted on the other half."""
    known = truth >= 0
    if int(known.sum()) < 2 * CALIBRATING:
        return probabilities(scores, otherwise)
    half = np.random.default_rng(0).integers(0, 2, int(groups.max()) + 1)[groups].astype(bool)
    shares = np.zeros(scores.shape)
    for mine in (half, ~half):
        temperature = held_out_temperature(scores[~mine], truth[~mine], otherwise)
        shares[mine] = probabilities(scores[mine], temperature)
    return shares


def probabilities(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Scores as probabilities that sum to 1 in every row; uniform where scores are not finite."""
    scaled = np.where(np.isfinite(scores).all(axis=1, keepdims=True), scores, 0) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: np.ndarray = scaled / scaled.sum(axis=1, keepdims=True)
    return shares
