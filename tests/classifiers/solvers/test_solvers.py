"""The quick solvers find what scikit-learn finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from featx.classifiers.solvers import KernelSVM, LDAProjection, LinearSVM, Logistic, ShrinkageLDA, SoftKNN
from featx.classifiers.solvers.kernel_svm import space_of

PLAIN = {
    "svm": lambda c: LinearSVC(C=c, tol=1e-8, max_iter=20_000, dual=False),
    "logreg": lambda c: LogisticRegression(C=c, tol=1e-8, max_iter=5_000),
}


def problem(seed: int, rows: int = 90, width: int = 12, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Unequal classes that overlap, with a constant feature and some rows twice."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate(
        [np.arange(classes).repeat(4), rng.integers(0, classes, rows - 4 * classes) ** 2 // classes]
    )
    x = rng.standard_normal((classes, width))[labels] + rng.standard_normal((rows, width))
    x = np.maximum(x, 0) ** 1.5
    x[:, 0] = 3.7
    x[rows // 2 : rows // 2 + 5] = x[:5]
    return x.astype(np.float32), labels


def objective(kind: str, x: np.ndarray, y: np.ndarray, c: float, coef: np.ndarray, intercept: np.ndarray) -> float:
    """Written down from scikit-learn's documentation, in double precision."""
    scores = x.astype(np.float64) @ coef.astype(np.float64).T + intercept
    classes = np.unique(y)
    if kind == "svm":
        wanted = classes if len(classes) > 2 else classes[1:]
        signs = np.where(y[:, None] == wanted[None, :], 1, -1)
        return float(c * (np.maximum(0, 1 - signs * scores) ** 2).sum() + ((coef**2).sum() + (intercept**2).sum()) / 2)
    if len(classes) == 2:
        scores = np.hstack([np.zeros_like(scores), scores])
    own = scores[np.arange(len(y)), np.searchsorted(classes, y)]
    return float(c * (np.logaddexp.reduce(scores, axis=1) - own).sum() + (coef**2).sum() / 2)


@pytest.mark.parametrize("kind", ["svm", "logreg"])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 6),
    width=st.sampled_from([3, 12, 150]),
    strength=st.sampled_from([1e-3, 1e-2, 1e-1, 1.0]),
)
def test_the_objective_is_scikit_learns_and_as_low(
    kind: str, seed: int, classes: int, width: int, strength: float
) -> None:
    x, y = problem(seed, width=width, classes=classes)
    x = StandardScaler().fit_transform(x)
    ours = (LinearSVM if kind == "svm" else Logistic)(C=strength, tol=1e-6, max_iter=2000).fit(x, y)
    plain = PLAIN[kind](strength).fit(x, y)
    best = objective(kind, x, y, strength, plain.coef_, plain.intercept_)
    loss = objective(kind, x, y, strength, ours.coef_, ours.intercept_)
    assert loss <= best * (1 + 1e-4) + 1e-6
    assert ours.coef_.shape == plain.coef_.shape and ours.intercept_.shape == plain.intercept_.shape
    # Two answers this near the best objective can be this far apart and no further: it is strongly convex.
    distance = np.linalg.norm(ours.coef_ - plain.coef_)
    assert distance <= 0.02 * np.linalg.norm(plain.coef_) + np.sqrt(2e-4 * best)
    assert (ours.predict(x) == plain.predict(x)).mean() >= 0.97


@pytest.mark.parametrize(("ours", "plain"), [(LinearSVM, LinearSVC), (Logistic, LogisticRegression)])
@pytest.mark.parametrize("classes", [2, 4])
def test_balanced_classes_weigh_as_in_scikit_learn(ours: type, plain: type, classes: int) -> None:
    x, y = problem(5, classes=classes)
    x = StandardScaler().fit_transform(x)
    a = ours(C=0.1, class_weight="balanced", tol=1e-7, max_iter=2000).fit(x, y)
    b = plain(C=0.1, class_weight="balanced", tol=1e-8, max_iter=20_000).fit(x, y)
    np.testing.assert_allclose(a.coef_, b.coef_, atol=0.02 * np.abs(b.coef_).max())
    np.testing.assert_allclose(a.decision_function(x), b.decision_function(x), atol=0.03)


@pytest.mark.parametrize("estimator", [LinearSVM(), Logistic()])
def test_features_that_were_not_centred_make_no_difference_to_the_answer(estimator) -> None:  # type: ignore[no-untyped-def]
    x, y = problem(2)
    x = x + 5
    kind = "svm" if isinstance(estimator, LinearSVM) else "logreg"
    ours = clone(estimator).set_params(tol=1e-7, max_iter=3000).fit(x, y)
    plain = PLAIN[kind](1.0).fit(x, y)
    best = objective(kind, x, y, 1.0, plain.coef_, plain.intercept_)
    assert objective(kind, x, y, 1.0, ours.coef_, ours.intercept_) <= best * (1 + 1e-3)


def test_a_start_that_is_the_solution_needs_no_steps() -> None:
    x, y = problem(8)
    x = StandardScaler().fit_transform(x)
    for made in (LinearSVM, Logistic):
        first = made(C=0.1, tol=1e-6, max_iter=2000).fit(x, y)
        again = made(C=0.1, tol=1e-4).fit(x, y, start=first)
        assert again.n_iter_ <= 1 < first.n_iter_


@pytest.mark.parametrize("rows", [20, 60, 200])  # fewer than half as many as columns, more than that, more than columns
@pytest.mark.parametrize("kind", [Logistic, LinearSVM])
def test_axes_found_once_serve_every_strength_and_change_no_answer(kind: type, rows: int) -> None:
    random = np.random.default_rng(rows)
    x, y = random.normal(size=(rows, 100)).astype(np.float32) + 1, np.arange(rows) % 3
    axes = kind().axes_for(x)
    assert np.allclose(axes.T @ axes, np.eye(axes.shape[1]), atol=1e-5)
    assert np.allclose((x - x.mean(axis=0)) @ axes @ axes.T, x - x.mean(axis=0), atol=1e-4) or kind is LinearSVM
    for strength in (0.01, 1.0):
        assert (kind(C=strength).fit(x, y, axes=axes).coef_ == kind(C=strength).fit(x, y).coef_).all()


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        LinearSVM().fit(np.ones((4, 2)), ["a"] * 4)


def test_probabilities_of_logistic_regression_add_up_to_one() -> None:
    x, y = problem(9)
    assert Logistic().fit(x, y).predict_proba(x).sum(axis=1) == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 6),
    width=st.sampled_from([3, 12, 150]),
    shrinkage=st.sampled_from([0.02, 0.1, 0.6, 1.0]),
)
def test_the_discriminant_is_scikit_learns(seed: int, classes: int, width: int, shrinkage: float) -> None:
    x, y = problem(seed, width=width, classes=classes)
    mine = ShrinkageLDA(shrinkage).fit(x, y)
    plain = LinearDiscriminantAnalysis("lsqr", shrinkage=shrinkage).fit(x.astype(np.float64), y)
    scores = plain.decision_function(x)
    np.testing.assert_allclose(mine.decision_function(x), scores, atol=2e-3 * np.abs(scores).max())
    assert (mine.predict(x) == plain.predict(x)).mean() > 0.98
    np.testing.assert_allclose(mine.predict_proba(x).sum(axis=1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match="at least two"):
        ShrinkageLDA().fit(x, np.zeros(len(x)))


@pytest.mark.parametrize(("classes", "shrinkage"), [(2, 0.1), (5, 0.1), (5, 0.9)])
def test_few_rows_of_many_features_are_told_apart_as_with_the_whole_covariance(classes, shrinkage):
    """The work is done in the space of the rows; the formula over all the features gives the same."""
    x, truth = problem(0, rows=60, width=200, classes=classes)
    mine, projection = ShrinkageLDA(shrinkage).fit(x, truth), LDAProjection(shrinkage).fit(x, truth)
    means = np.stack([x[truth == k].mean(axis=0, dtype=np.float64) for k in range(classes)])
    spread = np.cov((x - means[truth]).T.astype(np.float64), bias=True)
    shrunk = (1 - shrinkage) * spread + shrinkage * np.trace(spread) / 200 * np.eye(200)
    coefficients = np.linalg.solve(shrunk, means.T).T
    offset = np.log(np.bincount(truth) / len(x)) - 0.5 * (means * coefficients).sum(axis=1)
    scores = x @ coefficients.T + offset
    scores = scores[:, 1] - scores[:, 0] if classes == 2 else scores
    np.testing.assert_allclose(mine.decision_function(x), scores, atol=1e-3 * np.abs(scores).max())
    turned = projection.directions_.T @ shrunk @ projection.directions_
    np.testing.assert_allclose(turned, np.eye(classes - 1), atol=1e-3)
    # Along the directions, categories lie as far from each other as they do by the covariance.
    along = (means @ projection.directions_).astype(np.float64)
    distances = ((along[:, None] - along[None]) ** 2).sum(axis=2)
    gaps = means[:, None] - means[None]
    whole = np.einsum("abi,abi->ab", gaps, np.linalg.solve(shrunk, gaps.reshape(-1, 200).T).T.reshape(gaps.shape))
    np.testing.assert_allclose(distances, whole, rtol=1e-3)


def test_directions_of_more_categories_than_features_keep_their_distances():
    random = np.random.default_rng(0)
    truth = np.arange(300) % 40
    x = (random.normal(size=(40, 6))[truth] + random.normal(size=(300, 6))).astype(np.float32)
    directions = LDAProjection(0.1).fit(x, truth).directions_
    means = np.stack([x[truth == k].mean(axis=0, dtype=np.float64) for k in range(40)])
    spread = np.cov((x - means[truth]).T.astype(np.float64), bias=True)
    shrunk = 0.9 * spread + 0.1 * np.trace(spread) / 6 * np.eye(6)
    np.testing.assert_allclose(directions.T @ shrunk @ directions, np.eye(6), atol=1e-4)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("shrinkage", [0.1, 0.9])
def test_directions_are_scikit_learns_and_as_many_as_tell_categories_apart(classes, shrinkage):
    random = np.random.default_rng(classes)
    truth = random.integers(0, classes, 200)
    x = (random.normal(size=(classes, 30))[truth] + random.normal(size=(200, 30))).astype(np.float32)
    mine = LDAProjection(shrinkage).fit(x, truth)
    within = x - np.stack([x[truth == k].mean(axis=0) for k in range(classes)])[truth]
    spread = within.T @ within / len(x)
    shrunk = (1 - shrinkage) * spread + shrinkage * np.trace(spread) / 30 * np.eye(30)
    np.testing.assert_allclose(mine.directions_.T @ shrunk @ mine.directions_, np.eye(classes - 1), atol=1e-4)
    assert list(mine.get_feature_names_out()) == [f"ldaprojection{i}" for i in range(classes - 1)]
    # scikit-learn shrinks numbers that it has scaled, and does not centre; unshrunk and centred both are the same.
    free = LDAProjection(1e-9).fit(x, truth).transform(x)
    plain = LinearDiscriminantAnalysis("eigen").fit_transform(x.astype(np.float64), truth)[:, : classes - 1]
    np.testing.assert_allclose(np.abs(free), np.abs(plain - plain.mean(axis=0)), atol=1e-3)


def test_rows_drawn_in_keep_their_direction_and_none_lies_far_out():
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 100)
    x = (3 * np.eye(4, 10)[truth] + random.normal(size=(100, 10))).astype(np.float32)
    free, drawn = LDAProjection(), LDAProjection(bound=0.3)
    far = np.concatenate([x, 1000 * x[:1]])
    a, b = free.fit(x, truth).transform(far), drawn.fit(x, truth).transform(far)
    lengths = [np.linalg.norm(part, axis=1) for part in (a, b)]
    np.testing.assert_allclose(a / lengths[0][:, None], b / lengths[1][:, None], atol=1e-5)
    assert 0.99 < lengths[1].max() <= 1.001, "none is as long as one, however far out"
    order = np.argsort(lengths[0])
    assert (np.diff(lengths[1][order]) > -1e-4).all(), "what lies farther out still does"


def test_directions_of_rows_that_do_not_differ_within_a_category_or_at_all_are_numbers():
    for x in (np.eye(3, 7, dtype=np.float32), np.ones((6, 7), np.float32)):
        truth = np.arange(len(x)) % 3
        for bound in (0.0, 0.3):
            directions = LDAProjection(bound=bound).fit(x, truth).transform(x)
            assert np.isfinite(directions).all()
        assert (Logistic().fit(directions, truth).predict(directions) == truth).mean() >= (1 if len(x) == 3 else 1 / 3)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_curved_borders_are_those_of_a_linear_svm_in_the_kernels_space(classes, weight):
    from sklearn.metrics.pairwise import rbf_kernel

    x, y = problem(3, classes=classes)
    ours = KernelSVM(C=3.0, width=1.4, class_weight=weight, tol=1e-9).fit(x, y)
    gamma = 1 / (x.shape[1] * x.var() * 1.4**2)
    assert ours.gamma_ == pytest.approx(gamma, rel=1e-5)
    values, vectors = np.linalg.eigh(rbf_kernel(x.astype(np.float64), gamma=gamma))
    real = values > 1e-5 * values[-1]
    space = vectors[:, real] / np.sqrt(values[real])
    plain = LinearSVC(C=3.0, class_weight=weight, tol=1e-9, max_iter=50_000, dual=False)
    plain.fit(rbf_kernel(x, gamma=gamma) @ space, y)
    other, _ = problem(4, classes=classes)
    np.testing.assert_allclose(
        ours.decision_function(other), plain.decision_function(rbf_kernel(other, x, gamma=gamma) @ space), atol=5e-3
    )
    np.testing.assert_array_equal(ours.predict(x), plain.predict(rbf_kernel(x, gamma=gamma) @ space))


def test_landmarks_are_enough_where_there_are_more_rows():
    x, y = problem(5, rows=600)
    whole = KernelSVM(C=3.0).fit(x, y)
    some = KernelSVM(C=3.0).fit(x, y, space=space_of(x, 1.0, landmarks=200))
    assert len(some.landmarks_) == 200
    assert (whole.predict(x) == some.predict(x)).mean() > 0.95


def test_a_shared_space_and_a_start_do_not_change_the_answer():
    x, y = problem(6)
    space = space_of(x, 1.0)
    first = KernelSVM(C=1.0, tol=1e-8).fit(x, y, space=space)
    np.testing.assert_allclose(
        KernelSVM(C=10.0, tol=1e-8).fit(x, y, start=first, space=space).decision_function(x),
        KernelSVM(C=10.0, tol=1e-8).fit(x, y).decision_function(x),
        atol=5e-3,
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 30), classes=st.integers(2, 5))
def test_votes_of_neighbours_are_those_counted_one_by_one(seed, k, classes):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(25, 4)).astype(np.float32), np.arange(25) % classes
    queries = random.normal(size=(7, 4)).astype(np.float32)
    voter = SoftKNN(k).fit(x, y)
    shares = voter.predict_proba(queries)
    for row, mine in zip(queries.astype(np.float64), shares, strict=True):
        distances = ((x.astype(np.float64) - row) ** 2).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:k]
        weight = np.exp(-8 * distances[nearest] / distances[nearest].max())
        votes = np.array([weight[y[nearest] == label].sum() for label in range(classes)]) + 0.1 * weight.min()
        np.testing.assert_allclose(mine, votes / votes.sum(), rtol=2e-3)
    np.testing.assert_array_equal(voter.predict(queries), voter.classes_[shares.argmax(axis=1)])
    for several, wanted in zip(voter.scores_of(queries, [1, k]), (1, k), strict=True):
        np.testing.assert_allclose(several, SoftKNN(wanted).fit(x, y).decision_function(queries), rtol=1e-4, atol=1e-4)


def test_identical_rows_vote_alike_and_nothing_divides_by_zero():
    x = np.ones((12, 3), dtype=np.float32)
    voter = SoftKNN(5).fit(x, np.arange(12) % 3)
    assert np.isfinite(voter.decision_function(x)).all() and (voter.predict_proba(x) > 0).all()
    assert np.isfinite(KernelSVM().fit(x, np.arange(12) % 3).decision_function(x)).all()


@pytest.mark.parametrize("made", [KernelSVM(), SoftKNN()])
def test_curved_borders_and_neighbours_fit_into_a_pipeline(made):
    x, y = problem(7)
    assert made_pipeline_answers(clone(made), x, y) > 0.5
    with pytest.raises(ValueError, match="two classes"):
        clone(made).fit(x, np.zeros(len(x)))


def made_pipeline_answers(made, x: np.ndarray, y: np.ndarray) -> float:
    return float((make_pipeline(StandardScaler(), made).fit(x, y).predict(x) == y).mean())
