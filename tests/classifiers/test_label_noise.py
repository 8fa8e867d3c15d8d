"""The probability that a label is wrong is the share that is wrong; mistakes at random and between look-alikes."""

from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.label_noise import fit_label_noise, log_odds_of_error

CLASSES = 12


def scored(noise: float, nearby: bool, n: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores as an honest classifier gives them, labels of which a share is wrong, and which these are.

    Each category is confused with the next one.
    """
    random = np.random.default_rng(0)
    kinds = random.integers(0, CLASSES, n)
    scores = random.normal(0, 1, (n, CLASSES))
    scores[np.arange(n), kinds] += 3
    scores[np.arange(n), (kinds + 1) % CLASSES] += 1.5
    # The truth is drawn from the scores, so that they are calibrated.
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    wrong = random.random(n) < noise
    elsewhere = (truth + (1 if nearby else random.integers(1, CLASSES, n))) % CLASSES
    return scores, np.where(wrong, elsewhere, truth), wrong


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_of_labels_that_are_probably_wrong_as_many_are_wrong_as_said(share):
    scores, labels, wrong = scored(share, nearby=False)
    noise = fit_label_noise(scores, labels)
    _, probability = log_odds_of_error(scores, labels, noise)
    assert noise.share == pytest.approx(share, abs=0.05)
    assert probability.sum() == pytest.approx(wrong.sum(), rel=0.25)
    listed = probability >= 0.2
    assert wrong[listed].mean() == pytest.approx(probability[listed].mean(), abs=0.12)


def test_mistakes_between_look_alikes_are_recognised_and_never_overstated():
    scores, labels, wrong = scored(0.2, nearby=True)
    noise = fit_label_noise(scores, labels)
    margin, probability = log_odds_of_error(scores, labels, noise)
    assert noise.anywhere < 0.2
    listed = probability >= 0.2
    assert wrong[listed].mean() >= probability[listed].mean() - 0.05
    assert wrong[np.argsort(margin)[:100]].mean() > 0.7


def test_where_every_label_is_right_none_is_called_wrong():
    scores, labels, _ = scored(0, nearby=False)
    noise = fit_label_noise(scores, labels)
    _, probability = log_odds_of_error(scores, labels, noise)
    assert noise.share < 0.01
    assert (probability >= 0.5).sum() <= 5


def test_labels_are_ranked_even_where_none_is_wrong():
    scores, labels, wrong = scored(0.05, nearby=False)
    noise = fit_label_noise(scores, labels)
    margin, probability = log_odds_of_error(scores, labels, noise)
    assert (np.argsort(margin, kind="stable")[:50] == np.argsort(-probability, kind="stable")[:50]).all()
    assert len(np.unique(margin)) == len(margin)
    assert wrong[np.argsort(margin)[:30]].mean() > 10 * wrong.mean()


def test_two_categories_are_enough():
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 400)
    scores = np.where(np.eye(2)[truth] > 0, 3.0, 0.0) + random.normal(0, 0.5, (400, 2))
    labels = np.where(np.arange(400) < 20, 1 - truth, truth)
    _, probability = log_odds_of_error(scores, labels, fit_label_noise(scores, labels))
    assert set(np.argsort(-probability)[:20]) == set(range(20))
