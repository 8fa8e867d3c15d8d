"""Vet a classifier's file: before it is unfolded what it is made of, and before anybody asks it that it can answer.

The types are of a fixed list (featx/models.py), but the numbers inside are the file's. scikit-learn trusts those: where
a tree points outside itself, it reads there.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

# How the parts of featx's own classifiers are written; of these the objects and trees must be of the trusted types.
PLAIN = {"DictNode", "ListNode", "TupleNode", "JsonNode", "TypeNode", "NdArrayNode"}
OBJECTS = {"ObjectNode", "TreeNode"}
# More trees than that have no use, and more threads no machine.
MOST_JOBS = 4096
LEAF = -1
STEPS = {
    "StandardScaler", "Normalizer", "LDAProjection", "PCA", "LinearDiscriminantAnalysis", "ShrinkageLDA", "LinearSVM",
    "Logistic", "KernelSVM", "NearestCentroid", "Centroid", "SoftKNN",
}  # fmt: skip
FORESTS = {"RandomForestClassifier", "ExtraTreesClassifier"}
USED = (
    "mean_", "scale_", "directions_", "components_", "coef_", "intercept_", "landmarks_", "rows_", "sizes_",
    "centroids_", "class_prior_", "scalings_", "xbar_",
)  # fmt: skip


class UntrustedClassifier(ValueError):
    """What a classifier's file holds is not what featx writes."""


def verify_archive(data: bytes, trusted: Iterable[str]) -> None:
    """Raise UntrustedClassifier where the archive claims to expand beyond its size, or holds untrusted types."""
    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        sizes = {part.filename: part.file_size for part in parts.infolist()}
        # What featx saves is never squeezed, so a classifier unfolds to no more than its file.
        if sum(sizes.values()) > len(data) or any(part.compress_type for part in parts.infolist()):
            raise UntrustedClassifier("it says that it unfolds to more than it holds")
        parsed = json.loads(parts.read("schema.json"))
    schema = _Schema(set(trusted), sizes)
    told_apart = schema.cost(parsed)
    if schema.strange:
        raise UntrustedClassifier(f"it holds types no classifier of featx has: {', '.join(sorted(schema.strange)[:3])}")
    # A part told once and used twice, again and again, would be many.
    if told_apart > 2 * schema.parts + 100 or schema.unfolded > len(data):
        raise UntrustedClassifier("it says that it unfolds to more than it holds")


class _Schema:
    """Walks through what a file says of its parts, without making any of them."""

    def __init__(self, trusted: set[str], sizes: Mapping[str, int]) -> None:
        self.trusted, self.sizes = trusted, sizes
        self.known: dict[object, int] = {}
        self.strange: set[str] = set()
        self.parts = self.unfolded = 0

    def cost(self, told: Any) -> int:
        """How many parts this is, where every use of one counts."""
        if isinstance(told, list):
            return sum(map(self.cost, told))
        if not isinstance(told, dict):
            return 0
        if "__loader__" not in told:
            return sum(map(self.cost, told.values()))
        loader, key, name = told["__loader__"], told.get("__id__"), f"{told['__module__']}.{told['__class__']}"
        if loader not in PLAIN and not (loader in OBJECTS and name in self.trusted):
            self.strange.add(name)
        self.parts += 1
        if key and key in self.known:
            return self.known[key]
        if key:
            self.known[key] = 0
        if "file" in told:
            self.unfolded += self.sizes.get(told["file"], 0)
        total = 1 + sum(map(self.cost, told.values()))
        if key:
            self.known[key] = total
        return total


def verify_classifier(held: Mapping[str, Any], width: object) -> None:
    """Nothing; Unfit unless what a file held can answer for rows of so many numbers."""
    from sklearn.pipeline import Pipeline

    pipeline, familiar, temperature = held["pipeline"], held["familiar"], held["temperature"]
    if type(pipeline) is not Pipeline or not isinstance(pipeline.steps, list):
        raise UntrustedClassifier("it holds no pipeline")
    if not isinstance(width, int) or pipeline.n_features_in_ != width:
        raise UntrustedClassifier(f"it does not answer for the {width} numbers of a photo")
    for _, step in pipeline.steps:
        kind = type(step).__name__
        if kind not in STEPS | FORESTS:
            raise UntrustedClassifier(f"a {kind} is no step of a classifier")
        _arrays(step)
        if kind in FORESTS:
            _forest(step)
        if kind == "SoftKNN":
            _neighbours(step)
    if type(temperature) not in (int, float) or not (math.isfinite(temperature) and temperature > 0):
        raise UntrustedClassifier("its temperature is no number above zero")
    known = isinstance(familiar, np.ndarray) and familiar.dtype.kind == "f" and familiar.ndim == 2
    if not known or (len(familiar) and familiar.shape[1] != width) or not np.isfinite(familiar).all():
        raise UntrustedClassifier("what it learned from is not told as features are")
    _tried(pipeline, width)


def _arrays(step: Any) -> None:
    for name, value in vars(step).items():
        if not isinstance(value, np.ndarray):
            continue
        if value.dtype.kind not in "biufUO" or not value.dtype.itemsize:
            raise UntrustedClassifier(f"`{name}` of its {type(step).__name__} holds no numbers or words")
        if name in USED and not (value.dtype.kind in "iuf" and np.isfinite(value).all()):
            raise UntrustedClassifier(f"`{name}` of its {type(step).__name__} holds what is no number")


def _neighbours(step: Any) -> None:
    rows, truth, categories = step.rows_, step.truth_, len(step.classes_)
    if type(step.n_neighbors) is not int or step.n_neighbors < 1 or rows.ndim != 2 or not len(rows):
        raise UntrustedClassifier("it has no neighbours to ask")
    fits = truth.shape == step.sizes_.shape == (len(rows),) and truth.dtype.kind == "i"
    if not fits or truth.min() < 0 or truth.max() >= categories:
        raise UntrustedClassifier("the categories of its neighbours are none of its own")


def _forest(forest: Any) -> None:
    from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

    trees, width, categories = forest.estimators_, forest.n_features_in_, len(forest.classes_)
    jobs = forest.n_jobs
    if not (jobs is None or (type(jobs) is int and -MOST_JOBS <= jobs <= MOST_JOBS)) or forest.verbose:
        raise UntrustedClassifier(f"its forest asks for {jobs} threads" if not forest.verbose else "its forest talks")
    if not isinstance(trees, list) or not trees or forest.n_estimators != len(trees):
        raise UntrustedClassifier("its forest has not the trees it says")
    for one in (forest, *trees):
        if one.n_outputs_ != 1 or one.n_classes_ != categories or one.n_features_in_ != width:
            raise UntrustedClassifier("its trees are not made for its categories and numbers")
    for one in trees:
        if type(one) not in (DecisionTreeClassifier, ExtraTreeClassifier):
            raise UntrustedClassifier("its forest holds what is no tree")
        _tree(one.tree_, width, categories)


def _tree(tree: Any, width: int, categories: int) -> None:
    # In this order: scikit-learn reads as many nodes as a tree says it has, wherever its own end.
    if not 0 < tree.node_count == tree.capacity:
        raise UntrustedClassifier("a tree of its forest says that it is larger than it is")
    if tree.n_features != width or tree.n_outputs != 1 or tree.n_classes.tolist() != [categories]:
        raise UntrustedClassifier("a tree of its forest is not made for its categories and numbers")
    inner = np.flatnonzero(tree.children_left != LEAF)
    nodes, feature = np.arange(tree.node_count)[inner], tree.feature[inner]
    for children in (tree.children_left[inner], tree.children_right[inner]):
        # A child comes after its parent, so the way down has an end.
        if ((children <= nodes) | (children >= tree.node_count)).any():
            raise UntrustedClassifier("a tree of its forest points outside itself, or back")
    if ((feature < 0) | (feature >= width)).any() or not np.isfinite(tree.value).all():
        raise UntrustedClassifier("a tree of its forest asks for numbers that no photo has")


def _tried(pipeline: Any, width: int) -> None:
    """It answers for a few rows: nothing at all, something usual, and something large."""
    import warnings

    from featx.classifiers.pipelines import scores_of

    rows = np.random.default_rng(0).standard_normal((3, width)).astype(np.float32)
    rows *= np.array([[0], [1], [1e4]], dtype=np.float32)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            names = pipeline.classes_.tolist()
            scores = scores_of(pipeline, rows, names)
    except Exception as error:
        raise UntrustedClassifier(f"it gives no answer ({type(error).__name__})") from error
    if scores.shape != (3, len(set(names))) or not np.isfinite(scores).all():
        raise UntrustedClassifier("its answers are no numbers")
