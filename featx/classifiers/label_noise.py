"""Which labels are wrong, from out-of-sample scores: how often labels are, how mistakes fall, and each label's odds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from featx.classifiers.calibration import probabilities

Numbers = npt.NDArray[np.float64]
# Three numbers are fitted; more rows than this fit them no better.
MOST_ROWS = 5_000
# Where the search begins: a temperature, a share of wrong labels, and a half of them at random.
BEGIN = (0.7, 0.03, 0.5)
TINY = 1e-12


@dataclass(frozen=True)
class LabelNoise:
    """The share of wrong labels, how many of these fall on any category alike, and the temperature of the scores.

    The other wrong labels fall on categories that the classifier confuses with the true one. The three are fitted
    together, so that the labels there are become as likely as possible.
    """

    share: float
    anywhere: float
    temperature: float


def fit_label_noise(scores: Numbers, labels: npt.NDArray[np.intp]) -> LabelNoise:
    """The noise under which these labels are most likely; `scores` are out of sample, a column for each category."""
    from scipy.optimize import minimize

    rows = np.linspace(0, len(labels) - 1, min(len(labels), MOST_ROWS)).astype(int)
    confused = _confused_with(scores, labels)
    part = scores[rows], labels[rows], confused

    def surprise(point: Numbers) -> float:
        noise = _at(point)
        right, mistaken = _shares(*part, noise)
        return -float(np.log((1 - noise.share) * right + noise.share * mistaken + TINY).mean())

    begin = np.array([np.log(BEGIN[0]), _logit(BEGIN[1]), _logit(BEGIN[2])])
    limits = [(-4.0, 3.0), (-12.0, 2.0), (-6.0, 6.0)]
    return _at(minimize(surprise, begin, method="L-BFGS-B", bounds=limits).x)


def log_odds_of_error(scores: Numbers, labels: npt.NDArray[np.intp], noise: LabelNoise) -> tuple[Numbers, Numbers]:
    """For each label the margin, the log odds that it is right were half of all labels wrong, and the probability that
    it is wrong given how many are.

    The margin orders labels however few are wrong.
    """
    right, mistaken = _shares(scores, labels, _confused_with(scores, labels), noise)
    margin = np.log(right + TINY) - np.log(mistaken + TINY)
    wrong = 1 / (1 + np.exp(np.clip(margin - _logit(noise.share), -500, 500)))
    return margin, wrong


def _shares(
    scores: Numbers, labels: npt.NDArray[np.intp], confused: Numbers, noise: LabelNoise
) -> tuple[Numbers, Numbers]:
    """How likely each label is as the truth, and as a mistake."""
    shares = probabilities(scores, noise.temperature)
    right: Numbers = shares[np.arange(len(labels)), labels]
    anywhere = (1 - right) / max(1, shares.shape[1] - 1)
    nearby = (shares * confused[:, labels].T).sum(axis=1)
    return right, noise.anywhere * anywhere + (1 - noise.anywhere) * nearby


def _confused_with(scores: Numbers, labels: npt.NDArray[np.intp]) -> Numbers:
    """For each category (row), how its photos' other probability is spread over the other categories."""
    spread = np.zeros((scores.shape[1], scores.shape[1]))
    np.add.at(spread, labels, probabilities(scores, 1.0))
    spread += TINY
    np.fill_diagonal(spread, 0)
    return np.asarray(spread / np.maximum(spread.sum(axis=1, keepdims=True), TINY))


def _at(point: Numbers) -> LabelNoise:
    return LabelNoise(float(_inverse(point[1])), float(_inverse(point[2])), float(np.exp(point[0])))


def _logit(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


def _inverse(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
