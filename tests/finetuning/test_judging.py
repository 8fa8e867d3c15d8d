"""How the photos that judge a tuning do so."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from featx.finetuning.cut.tail import answers_again
from featx.finetuning.judgement.judge import suited_shrinkage


def photos(rows: np.ndarray, truth: np.ndarray) -> SimpleNamespace:
    everything = np.arange(len(rows))
    store = SimpleNamespace(features=rows.astype(np.float32))
    return SimpleNamespace(store=store, learn=everything, labels=truth.astype(str), kept_together=everything)


def test_covariances_are_shrunk_further_where_features_are_many_for_the_photos():
    random, truth = np.random.default_rng(0), np.arange(120) % 3
    rows = random.normal(size=(120, 80)) + 0.25 * np.random.default_rng(1).normal(size=(3, 80))[truth]
    assert suited_shrinkage(photos(rows, truth), 0) == 0.4


def test_covariances_are_hardly_shrunk_where_they_are_known_well():
    random, truth = np.random.default_rng(0), np.arange(300) % 3
    common = 5 * random.normal(size=300)
    rows = 0.3 * random.normal(size=(300, 6)) + 3
    rows[:, 0] += common + truth - 3
    rows[:, 1] += common - 3
    assert suited_shrinkage(photos(rows, truth), 0) == 0.1


def test_no_doubt_at_all_is_written_as_nought():
    rows, truth = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0), np.arange(12) // 4
    rows += 1e-3 * np.random.default_rng(0).normal(size=rows.shape).astype(np.float32)
    answers = answers_again(rows, truth, rows, truth, 0.1)
    assert answers.accuracy == 1 and f"{round(answers.log_loss, 6)}" == "0.0"
