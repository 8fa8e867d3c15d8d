"""Forests as flat arrays: scikit-learn grows them, NumPy evaluates them."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.utils.validation import check_is_fitted, validate_data

from featx.classifiers.solvers.base import numbered

LEAF = -1
# Rows at a time, and rows times trees at a time: so few trees stay in the processor's cache.
BLOCK, PATHS = 4096, 2**15


class Forest(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """scikit-learn's random forest, or with `extra` its extremely randomised trees, with identical probabilities.

    The trees are stored one after another in plain arrays. scikit-learn's own code follows any index in a tree, so a
    forged one can lead it outside its memory. NumPy's indexing stays inside these arrays: a forest from a file can be
    checked in a few lines, needs none of scikit-learn's private types, and keeps its form across scikit-learn versions.

    Node i tests column `feature_[i]` (-1 in a leaf) against `threshold_[i]`; its children are `left_[i]` and
    `right_[i]`. A leaf's categories and their shares are `category_[start_[i]:start_[i + 1]]` and `share_[…]`. Tree t
    consists of the nodes `root_[t]` to `root_[t + 1] - 1`.
    """

    def __init__(
        self,
        n_estimators: int = 300,
        extra: bool = False,
        max_features: Any = "sqrt",
        max_depth: int | None = None,
        min_samples_leaf: int = 1,
        class_weight: Any = None,
        random_state: int = 0,
        n_jobs: int = -1,
    ) -> None:
        self.n_estimators = n_estimators
        self.extra = extra
        self.max_features = max_features
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.class_weight = class_weight
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any) -> Self:
        """Grow the trees."""
        x, self.classes_, truth = numbered(self, X, y)
        growth = {name: value for name, value in self.get_params().items() if name != "extra"}
        kind = ExtraTreesClassifier if self.extra else RandomForestClassifier
        self._flatten([tree.tree_ for tree in kind(**growth).fit(x, truth).estimators_])
        return self

    def _flatten(self, trees: list[Any]) -> None:
        counts = [tree.node_count for tree in trees]
        self.root_ = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        leaf = np.concatenate([tree.children_left for tree in trees]) == LEAF
        offsets = np.repeat(self.root_[:-1], counts)

        def below(children: str) -> np.ndarray:
            nodes = np.concatenate([getattr(tree, children) for tree in trees])
            return np.where(leaf, LEAF, nodes + offsets).astype(np.int32)

        self.left_, self.right_ = below("children_left"), below("children_right")
        self.feature_ = np.where(leaf, LEAF, np.concatenate([tree.feature for tree in trees])).astype(np.int32)
        self.threshold_ = np.where(leaf, 0.0, np.concatenate([tree.threshold for tree in trees]))
        # Most leaves hold a single category, so zero shares are not stored.
        shares = np.where(leaf[:, None], np.concatenate([tree.value[:, 0] for tree in trees]), 0.0)
        nodes, categories = np.nonzero(shares)
        self.category_, self.share_ = categories.astype(np.int32), shares[nodes, categories]
        self.start_ = np.concatenate([[0], np.cumsum(np.count_nonzero(shares, axis=1))]).astype(np.int64)

    def predict_proba(self, X: Any) -> np.ndarray:
        """The share of each category in the leaf a row reaches, averaged over the trees."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        trees = len(self.root_) - 1
        shares = csr_matrix((self.share_, self.category_, self.start_), (len(self.feature_), len(self.classes_)))
        # Values up to a threshold go to the first child, others to the second; a leaf leads to itself.
        leaf = self.feature_ == LEAF
        children = np.where(leaf, np.arange(len(leaf)), np.stack([self.left_, self.right_])).T.ravel()
        parts = []
        for start in range(0, len(x), BLOCK):
            rows = x[start : start + BLOCK]
            at_once = max(1, PATHS // len(rows))
            roots = [self.root_[t : min(t + at_once, trees)] for t in range(0, trees, at_once)]
            leaves = np.concatenate([self._leaves(rows, part, leaf, children) for part in roots])
            # A row for each photo with a 1 for each leaf it reaches: the product sums in the order of the trees.
            ends = np.arange(0, len(rows) * trees + 1, trees)
            reached = csr_matrix((np.ones(leaves.size), leaves.T.ravel(), ends), (len(rows), len(leaf)))
            parts.append((reached @ shares).toarray())
        return np.concatenate(parts) / trees

    def _leaves(self, x: np.ndarray, roots: np.ndarray, leaf: np.ndarray, children: np.ndarray) -> np.ndarray:
        """The leaf that each row reaches in each of several trees."""
        values, first = x.ravel(), np.tile(np.arange(len(x)) * x.shape[1], len(roots))
        ends = node = np.repeat(roots, len(x))
        active = np.flatnonzero(~leaf[node])
        node, first = node[active], first[active]
        while len(active):
            right = values.take(first + self.feature_.take(node)) > self.threshold_.take(node)
            node = children.take(2 * node + right)
            ends[active] = node
            inner = np.flatnonzero(~leaf.take(node))
            active, node, first = active.take(inner), node.take(inner), first.take(inner)
        return ends.reshape(len(roots), len(x))

    def predict(self, X: Any) -> np.ndarray:
        """The category with the largest share."""
        labels: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels


def fault(forest: Forest, width: int) -> str | None:
    """What is wrong with the trees of a forest; None if every path ends in a leaf."""
    root, feature, start = forest.root_, forest.feature_, forest.start_
    nodes = np.arange(len(feature))
    if len(root) < 2 or not _divides(root, len(feature)) or (np.diff(root) < 1).any():
        return "the sizes of the trees in its forest do not add up"
    if len(start) != len(feature) + 1 or not _divides(start, len(forest.share_)):
        return "the sizes of the leaves in its forest do not add up"
    if ((forest.category_ < 0) | (forest.category_ >= len(forest.classes_))).any():
        return "a leaf of its forest names an unknown category"
    inner = feature != LEAF
    ends = np.repeat(root[1:], np.diff(root))[inner]
    for children in (forest.left_[inner], forest.right_[inner]):
        # A child comes after its parent, so every path ends.
        if ((children <= nodes[inner]) | (children >= ends)).any():
            return "a tree of its forest points outside itself, or back"
    if ((feature[inner] < 0) | (feature[inner] >= width)).any():
        return "a tree of its forest tests features that do not exist"
    return None


def _divides(offsets: np.ndarray, length: int) -> bool:
    """Whether offsets divide this length into consecutive parts."""
    inside = ((offsets >= 0) & (offsets <= length)).all()
    return bool(inside and offsets[0] == 0 and offsets[-1] == length and (np.diff(offsets) >= 0).all())
