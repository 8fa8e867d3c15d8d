"""Classifiers trained for all categories at once: scikit-learn's objectives in less time.

Estimators, drop-in for a scikit-learn pipeline (plain attributes only; `C`, `class_weight`, `max_iter`, `tol`):

- `LinearSVM`: the objective of `LinearSVC` (one-vs-rest, squared hinge, penalised intercept)
- `Logistic`: the objective of `LogisticRegression` (multinomial; one column for two categories)

both with `fit(X, y, start=None)` (`start` is an earlier solution to begin from), `decision_function`, `predict`,
`coef_`, `intercept_`, `classes_`, `n_iter_`, and for `Logistic` `predict_proba`.

`ShrinkageLDA(shrinkage)` is `LinearDiscriminantAnalysis("lsqr", shrinkage)` with one matrix product for all categories.
`LDAProjection(shrinkage, bound)` keeps the directions that separate the categories, for any classifier to learn in.

`KernelSVM(C, width)` is a curved `LinearSVM`: an RBF kernel made explicit by landmarks. `SoftKNN(k)` lets the nearest
rows vote by how near they are. `Forest` is scikit-learn's forest in flat arrays, `Centroid` its `NearestCentroid`.
"""

from featx.classifiers.solvers.centroid import Centroid
from featx.classifiers.solvers.forest import Forest
from featx.classifiers.solvers.kernel_svm import KernelSVM
from featx.classifiers.solvers.knn import SoftKNN
from featx.classifiers.solvers.lda import LDAProjection, ShrinkageLDA
from featx.classifiers.solvers.linear_models import LinearSVM, Logistic

__all__ = [
    "Centroid",
    "Forest",
    "KernelSVM",
    "LDAProjection",
    "LinearSVM",
    "Logistic",
    "ShrinkageLDA",
    "SoftKNN",
]
