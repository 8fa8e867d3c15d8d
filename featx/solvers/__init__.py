"""Classifiers trained for all categories, strengths and folds at once: scikit-learn's objectives in less time.

Estimators, drop-in for a scikit-learn pipeline (plain attributes only; `C`, `class_weight`, `max_iter`, `tol`):

- `LinearSVM`: the objective of `LinearSVC` (one against the rest, squared hinge, penalised intercept)
- `Logistic`: the objective of `LogisticRegression` (multinomial; one column for two categories)

both with `fit(X, y, start=None)` (`start` is an earlier solution to begin from), `decision_function`, `predict`,
`coef_`, `intercept_`, `classes_`, `n_iter_`, and for `Logistic` `predict_proba`.

`Discriminant(shrinkage)` is `LinearDiscriminantAnalysis("lsqr", shrinkage)` with one matrix product for all categories.
`Directions(shrinkage, bound)` keeps the directions that tell categories apart, for any classifier to learn in.

`KernelSVM(C, width)` is a curved `LinearSVM`: an RBF kernel made explicit by landmarks. `Neighbours(k)` lets the
nearest rows vote by how near they are.

Out-of-fold scores of a whole grid:

- `path_scores(kind, features, labels, folds, strengths) -> scores[strength, row, class]`
- `fold_paths(kind, features, labels, folds, strengths)` yields `scores[strength, scored row, class]` fold by fold,
  for repeated folds, in which a row is scored more than once

`kind` is "svm", "logreg" or "rbf" (`SVC` with its defaults, one Gram matrix a fold); classes are `np.unique(labels)`.
`quick_forest(seed, n_jobs)` is an unfitted `ExtraTreesClassifier`, for where a random forest is wanted.

Features are standardised inside every fold, by what the fold learns from.
"""

from featx.solvers.discriminant import Directions, Discriminant
from featx.solvers.estimators import LinearSVM, Logistic
from featx.solvers.forest import quick_forest
from featx.solvers.kernel import KernelSVM
from featx.solvers.neighbours import Neighbours
from featx.solvers.paths import fold_paths, path_scores

__all__ = [
    "Directions",
    "Discriminant",
    "KernelSVM",
    "LinearSVM",
    "Logistic",
    "Neighbours",
    "fold_paths",
    "path_scores",
    "quick_forest",
]
