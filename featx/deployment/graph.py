"""The arrays of a classifier as nodes of an ONNX graph: features in, scores of the categories out.

Every step of a pipeline has its function here; the numbers are those of the pipeline within single precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from featx.classifiers.coarsening import LEAST, CoarsePipeline
from featx.classifiers.model import Classifier
from featx.classifiers.pipelines import ABSENT
from featx.classifiers.solvers.forest import LEAF
from featx.classifiers.solvers.knn import DECAY, FLOOR
from featx.deployment.nodes import Nodes
from featx.errors import FeatxError

# Lengths below this count as zero, as in scikit-learn.
SHORTEST = float(10 * np.finfo(np.float32).eps)


def add_similarity(nodes: Nodes, model: Classifier, features: str) -> str:
    """The cosine with the most similar photo of the training set."""
    rows = nodes.constant(np.ascontiguousarray(model.novelty.rows.T))
    known = nodes.add("Cast", rows, to=nodes.FLOAT)
    cosines = nodes.add("MatMul", add_unit_length(nodes, features), known)
    return nodes.add("ReduceMax", cosines, nodes.whole_numbers(1), keepdims=0)


def add_unit_length(nodes: Nodes, rows: str) -> str:
    """Rows at length 1."""
    return _unit_length(nodes, None, rows)


def add_scores(nodes: Nodes, pipeline: Any, classes: Sequence[str], rows: str) -> str:
    """A score for each category in the order of `classes`, from the rows that a pipeline takes."""
    if isinstance(pipeline, CoarsePipeline):
        coarsening = pipeline.coarsening
        finer = add_scores(nodes, pipeline.pipeline, coarsening.finer, rows)
        parents = np.eye(len(coarsening.coarse), dtype=np.float32)[coarsening.parents]
        sums = nodes.add("MatMul", add_softmax(nodes, finer, coarsening.temperature), nodes.constant(parents))
        return nodes.add("Log", nodes.add("Max", sums, nodes.number(LEAST)))
    *before, (name, classifier) = pipeline.steps
    for step_name, step in before:
        rows = STEPS[step_name](nodes, step, rows)
    if name not in CLASSIFIERS:
        raise FeatxError(
            "bad-flag",
            f"a `{name}` classifier cannot be deployed",
            "train another, such as `featx fit --clf svm`",
        )
    scores = CLASSIFIERS[name](nodes, classifier, rows)
    return _in_order(nodes, scores, [str(label) for label in classifier.classes_], classes)


def _in_order(nodes: Nodes, scores: str, own: list[str], classes: Sequence[str]) -> str:
    """Scores of a classifier's own categories as those of `classes`; what it did not learn lies below its others."""
    if own == list(classes):
        return scores
    number = {label: i for i, label in enumerate(own)}
    if len(own) < len(classes):
        least = nodes.add("ReduceMin", scores, nodes.whole_numbers(1), keepdims=1)
        scores = nodes.add("Concat", scores, nodes.add("Sub", least, nodes.number(ABSENT)), axis=1)
    return nodes.add("Gather", scores, nodes.whole_numbers(*(number.get(name, len(own)) for name in classes)), axis=1)


def add_softmax(nodes: Nodes, scores: str, temperature: float) -> str:
    """Probabilities from scores."""
    return nodes.add("Softmax", nodes.add("Div", scores, nodes.number(temperature)), axis=1)


def _unit_length(nodes: Nodes, step: Any, rows: str) -> str:
    length = nodes.add("ReduceL2", rows, nodes.whole_numbers(1), keepdims=1)
    short = nodes.add("Less", length, nodes.number(SHORTEST))
    return nodes.add("Div", rows, nodes.add("Where", short, nodes.number(1), length))


def _standard_scale(nodes: Nodes, step: Any, rows: str) -> str:
    return nodes.add("Div", nodes.add("Sub", rows, nodes.constant(step.mean_)), nodes.constant(step.scale_))


def _projection(nodes: Nodes, step: Any, rows: str) -> str:
    """`LDAProjection`, with the soft length that its bound asks for."""
    mean = np.asarray(step.mean_, dtype=np.float64) @ np.asarray(step.directions_, dtype=np.float64)
    rows = nodes.add("Sub", nodes.add("MatMul", rows, nodes.constant(step.directions_)), nodes.constant(mean))
    if not step.bound:
        return rows
    squares = nodes.add("ReduceSumSquare", rows, nodes.whole_numbers(1), keepdims=1)
    longer = nodes.add("Add", squares, nodes.number(step.bound * step.size_ + 1e-30))
    return nodes.add("Div", rows, nodes.add("Sqrt", longer))


def _principal_directions(nodes: Nodes, step: Any, rows: str) -> str:
    centred = nodes.add("Sub", rows, nodes.constant(step.mean_))
    return nodes.add("MatMul", centred, nodes.constant(step.components_.T))


def _both_signs(nodes: Nodes, lead: str) -> str:
    """The scores of two categories from the lead of the second, a column."""
    return nodes.add("Concat", nodes.add("Neg", lead), lead, axis=1)


def _linear(nodes: Nodes, step: Any, rows: str) -> str:
    return _weighted(nodes, rows, step.coef_.T, step.intercept_)


def _weighted(nodes: Nodes, rows: str, weights: np.ndarray, intercept: np.ndarray) -> str:
    scores = nodes.add("Add", nodes.add("MatMul", rows, nodes.constant(weights)), nodes.constant(intercept))
    return _both_signs(nodes, scores) if weights.shape[1] == 1 else scores


def _centroids(nodes: Nodes, step: Any, rows: str) -> str:
    """The squared distances from the centres, less what they all share: the length of the row itself."""
    spread = np.where(step.within_class_std_dev_ != 0, step.within_class_std_dev_, 1)
    middle = step.centroids_.mean(axis=0)
    centres = (step.centroids_ - middle) / spread
    lead = 2 * np.log(step.class_prior_) - np.einsum("ij,ij->i", centres, centres)
    weights = 2 * centres.T / spread[:, None]
    if len(lead) == 2:
        weights, lead = weights[:, 1:] - weights[:, :1], lead[1:] - lead[:1]
    return _weighted(nodes, nodes.add("Sub", rows, nodes.constant(middle)), weights, lead)


def _kernel(nodes: Nodes, step: Any, rows: str) -> str:
    """An RBF kernel with the landmarks, then a linear classifier."""
    landmarks = np.asarray(step.landmarks_, dtype=np.float32)
    squares = np.einsum("ij,ij->i", landmarks, landmarks, dtype=np.float64)
    exponent = nodes.add("Sub", nodes.add("MatMul", rows, nodes.constant(2 * landmarks.T)), nodes.constant(squares))
    exponent = nodes.add("Sub", exponent, nodes.add("ReduceSumSquare", rows, nodes.whole_numbers(1), keepdims=1))
    similar = nodes.add("Exp", nodes.add("Mul", nodes.add("Min", exponent, nodes.number(0)), nodes.number(step.gamma_)))
    return _weighted(nodes, similar, step.coef_, step.intercept_)


def _neighbours(nodes: Nodes, step: Any, rows: str) -> str:
    """The votes of the nearest training rows, as logarithms."""
    known, count = np.asarray(step.rows_, dtype=np.float32), min(step.n_neighbors, len(step.rows_))
    own = nodes.add("ReduceSumSquare", rows, nodes.whole_numbers(1), keepdims=1)
    both = nodes.add("MatMul", rows, nodes.constant(2 * known.T))
    squared = nodes.add("Sub", nodes.add("Add", own, nodes.constant(step.sizes_)), both)
    nearest, which = nodes.add_all("TopK", squared, nodes.whole_numbers(count), outputs=2, axis=1, largest=0, sorted=1)
    distances = nodes.add("Max", nearest, nodes.number(1e-9))
    farthest = nodes.add("Gather", distances, nodes.whole_numbers(count - 1), axis=1)
    weights = nodes.add("Exp", nodes.add("Mul", nodes.add("Div", distances, farthest), nodes.number(-DECAY)))
    votes = nodes.constant(np.eye(len(step.classes_), dtype=np.float32)[step.truth_])
    shares = nodes.add("Unsqueeze", weights, nodes.whole_numbers(2))
    cast = nodes.add("Mul", nodes.add("Gather", votes, which, axis=0), shares)
    sums = nodes.add("ReduceSum", cast, nodes.whole_numbers(1), keepdims=0)
    least = nodes.add("Mul", nodes.add("Gather", weights, nodes.whole_numbers(count - 1), axis=1), nodes.number(FLOOR))
    scores = nodes.add("Log", nodes.add("Add", sums, least))
    if len(step.classes_) > 2:
        return scores
    first, second = (nodes.add("Gather", scores, nodes.whole_numbers(i), axis=1) for i in range(2))
    return _both_signs(nodes, nodes.add("Sub", second, first))


def _forest(nodes: Nodes, step: Any, rows: str) -> str:
    """The trees as ONNX has them; shares of the leaves are averaged."""
    trees, inner = len(step.root_) - 1, step.feature_ != LEAF
    sizes = np.diff(step.root_)
    tree = np.repeat(np.arange(trees), sizes)
    node = np.arange(len(tree)) - np.repeat(step.root_[:-1], sizes)
    start = np.repeat(step.root_[:-1], sizes)
    leaf_of = np.repeat(np.arange(len(tree)), np.diff(step.start_))
    shares = nodes.add(
        "TreeEnsembleRegressor",
        rows,
        domain="ai.onnx.ml",
        n_targets=len(step.classes_),
        aggregate_function="SUM",
        nodes_treeids=tree.tolist(),
        nodes_nodeids=node.tolist(),
        nodes_featureids=np.where(inner, step.feature_, 0).tolist(),
        # A single-precision value is at most a threshold exactly if it is at most the next lower single-precision one.
        nodes_values=_next_lower(step.threshold_).tolist(),
        nodes_modes=np.where(inner, "BRANCH_LEQ", "LEAF").tolist(),
        nodes_truenodeids=np.where(inner, step.left_ - start, 0).tolist(),
        nodes_falsenodeids=np.where(inner, step.right_ - start, 0).tolist(),
        target_treeids=tree[leaf_of].tolist(),
        target_nodeids=node[leaf_of].tolist(),
        target_ids=step.category_.tolist(),
        target_weights=(step.share_ / trees).astype(np.float32).tolist(),
    )
    return nodes.add("Log", nodes.add("Clip", shares, nodes.number(1e-6), nodes.number(1)))


def _next_lower(thresholds: np.ndarray) -> np.ndarray:
    """Thresholds in single precision, rounded down."""
    rounded = thresholds.astype(np.float32)
    lower: np.ndarray = np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return lower


Step = Callable[[Nodes, Any, str], str]
# By the names that steps have in a pipeline.
STEPS: Mapping[str, Step] = {
    "normalizer": _unit_length,
    "standardscaler": _standard_scale,
    "ldaprojection": _projection,
    "pca": _principal_directions,
}
CLASSIFIERS: Mapping[str, Step] = {
    "linearsvm": _linear,
    "logistic": _linear,
    "shrinkagelda": _linear,
    "centroid": _centroids,
    "kernelsvm": _kernel,
    "softknn": _neighbours,
    "forest": _forest,
}
