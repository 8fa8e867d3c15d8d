"""The fast linear classifiers reach the solutions of scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from featx.solvers import LinearSVM, Logistic


def problem(seed: int, rows: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clouds, one constant and one repeated feature among them, unbalanced."""
    random = np.random.default_rng(seed)
    y = np.sort(random.choice(classes, rows, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2)))
    y[:classes] = np.arange(classes)
    x = random.normal(size=(classes, width))[y] + random.normal(size=(rows, width)) * 1.5
    x[:, 0] = 0
    x[:, 1] = x[:, 2]
    return x.astype(np.float32), np.array([f"class {i}" for i in range(classes)])[y]


def svm_objective(x: np.ndarray, y: np.ndarray, model: LinearSVM | LinearSVC, strength: float) -> float:
    """What both minimise, written out."""
    w, b = model.coef_.astype(float), np.ravel(model.intercept_).astype(float)
    scores = x.astype(float) @ w.T + b
    if len(model.classes_) == 2:
        signs = np.where(y == model.classes_[1], 1.0, -1.0)[:, None]
    else:
        signs = np.where(y[:, None] == model.classes_[None], 1.0, -1.0)
    return 0.5 * ((w**2).sum() + (b**2).sum()) + strength * (np.maximum(0, 1 - signs * scores) ** 2).sum()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([1e-3, 1e-2, 1.0]))
def test_the_svm_is_as_good_as_linear_svc_by_their_common_objective(seed, classes, strength):
    x, y = problem(seed, 120, 9, classes)
    ours = LinearSVM(C=strength).fit(x, y)
    theirs = LinearSVC(C=strength, max_iter=50_000, tol=1e-6).fit(x, y)
    assert svm_objective(x, y, ours, strength) <= svm_objective(x, y, theirs, strength) * 1.001
    assert (ours.predict(x) == theirs.predict(x)).mean() >= 0.97


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([1e-2, 1e-1, 1.0]))
def test_logistic_regression_gives_the_probabilities_of_scikit_learn(seed, classes, strength):
    x, y = problem(seed, 120, 9, classes)
    ours = Logistic(C=strength).fit(x, y)
    theirs = LogisticRegression(C=strength, max_iter=5000, tol=1e-8).fit(x, y)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=0.02)
    assert list(ours.classes_) == list(theirs.classes_)


@pytest.mark.parametrize("kind", [LinearSVM, Logistic])
def test_balanced_weights_are_those_of_scikit_learn(kind):
    x, y = problem(3, 200, 6, 3)
    theirs = (LinearSVC if kind is LinearSVM else LogisticRegression)(C=0.1, class_weight="balanced", max_iter=50_000)
    agree = kind(C=0.1, class_weight="balanced").fit(x, y).predict(x) == theirs.fit(x, y).predict(x)
    assert agree.mean() >= 0.97


@pytest.mark.parametrize("kind", [LinearSVM, Logistic])
def test_a_solution_to_start_from_changes_nothing_but_the_time(kind):
    x, y = problem(5, 300, 12, 4)
    cold = kind(C=0.1).fit(x, y)
    warm = kind(C=0.1).fit(x, y, start=kind(C=0.01).fit(x, y))
    np.testing.assert_allclose(warm.decision_function(x), cold.decision_function(x), atol=0.05)
    again = kind(C=0.1).fit(x, y, start=cold)
    assert again.n_iter_ <= cold.n_iter_


def test_they_are_estimators_that_can_be_cloned_and_refuse_what_scikit_learn_refuses():
    x, y = problem(1, 50, 4, 2)
    assert clone(LinearSVM(C=3)).get_params() == {"C": 3, "class_weight": None, "max_iter": 300, "tol": 1e-7}
    with pytest.raises(ValueError, match="NaN"):
        Logistic().fit(np.full_like(x, np.nan), y)
    with pytest.raises(ValueError, match="two classes"):
        Logistic().fit(x, np.zeros(len(x)))
    assert Logistic().fit(x, y).decision_function(x).ndim == 1


def test_more_features_than_rows_is_no_trouble():
    x, y = problem(2, 40, 300, 3)
    assert LinearSVM(C=0.01).fit(x, y).score(x, y) == 1
