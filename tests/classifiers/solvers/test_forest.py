"""Flat forests answer as scikit-learn's do, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from featx.classifiers.solvers import Forest
from featx.classifiers.solvers.forest import BLOCK


def problem(n: int = 200, width: int = 6, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points around a few centres, names for them, and other points."""
    random = np.random.default_rng(0)
    truth = random.integers(0, classes, n)
    x = (random.normal(size=(classes, width))[truth] + random.normal(size=(n, width))).astype(np.float32)
    return x, np.array(["tea", "oat", "rice", "pasta"])[truth], random.normal(size=(50, width)).astype(np.float32)


GROWTH = [{}, {"max_depth": 3}, {"min_samples_leaf": 5}, {"class_weight": "balanced"}]


@pytest.mark.parametrize("growth", GROWTH, ids=str)
@pytest.mark.parametrize(("extra", "kind"), [(False, RandomForestClassifier), (True, ExtraTreesClassifier)])
def test_probabilities_are_those_of_scikit_learn(extra: bool, kind: Any, growth: dict[str, Any]) -> None:
    x, y, others = problem()
    flat = Forest(20, extra=extra, n_jobs=1, **growth).fit(x, y)
    plain = kind(20, random_state=0, n_jobs=1, **growth).fit(x, y)
    assert np.array_equal(flat.predict_proba(others), plain.predict_proba(others))
    assert np.array_equal(flat.predict(others), plain.predict(others))


def test_many_rows_and_many_trees_are_asked_in_blocks_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, others = problem()
    forest = Forest(7, n_jobs=1).fit(x, y)
    whole = forest.predict_proba(others)
    assert len(others) < BLOCK
    monkeypatch.setattr("featx.classifiers.solvers.forest.BLOCK", 3)
    monkeypatch.setattr("featx.classifiers.solvers.forest.PATHS", 6)
    assert np.array_equal(forest.predict_proba(others), whole)
