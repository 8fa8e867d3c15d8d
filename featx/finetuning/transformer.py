"""Tuned features as a scikit-learn step: `FineTunedFeatures` learns from photos and their categories.

pipeline = make_pipeline(FineTunedFeatures("efficientnet_lite0", depth=1), Normalizer(), LogisticRegression())
pipeline.fit(paths, labels, finetunedfeatures__groups=products)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from featx.catalogue.items import Catalogue
from featx.catalogue.reading import read_catalogue
from featx.embedding.transformer import Features, ImageEmbedder, paths_of
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.finetuning.options import TuneOptions
    from featx.finetuning.outcome import Tuned


class FineTunedFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Tune a network on the photos that `fit` is given, and turn photos into its features.

    Photos are paths here, in a list, an array, a Series or a DataFrame of one column. Within cross-validation every
    fold tunes a network of its own, so that its score is fair; what the folds share at the cut is computed once. Where
    tuning does not pay, the features are those of the frozen network. Pickles and clones carry names, never weights:
    the tuned network lies in `artifacts/tuned`, under a name that follows from what it was tuned on.

    Parameters
    ----------
    backbone : the network to begin from; None for the best here that can be tuned.
    weights : "default" or None for the network's default ones, the name of others, or a file.
    depth : what is trained: "auto", the last so many blocks, from a block on, or "all".
    minutes : no pass over the photos begins that would end later.
    val : the share of the products that judges.
    keep : use the tuned network even where the frozen one is as good.
    seed : of every random choice.
    options : a `featx.finetuning.TuneOptions` with every setting there is; it stands for the four before it.
    name : what to call the network, as `tuned:NAME`; None for a name by its content.
    cache : a folder that keeps the features of every photo by its content, or None.

    """

    tuned_: Tuned
    backbone_: str | None
    embedder_: ImageEmbedder

    def __init__(
        self,
        backbone: str | None = None,
        *,
        weights: str | Path | None = None,
        depth: str | int = "auto",
        minutes: float = 10.0,
        val: float = 0.2,
        keep: bool = False,
        seed: int = 0,
        options: TuneOptions | None = None,
        name: str | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.depth = depth
        self.minutes = minutes
        self.val = val
        self.keep = keep
        self.seed = seed
        self.options = options
        self.name = name
        self.cache = cache

    def fit(self, X: object, y: object = None, groups: object = None) -> FineTunedFeatures:
        """Tune on photos and their categories; `groups` are their products, which are never divided."""
        from featx.finetuning.frozen import tunable_backbone
        from featx.finetuning.run import tune

        catalogue = _labelled(paths_of(X), y, groups)
        backbone = self.backbone or tunable_backbone()
        weights = None if self.weights in (None, "default") else os.fspath(self.weights)
        options = self._options()
        name = self.name or _name_of(catalogue, [backbone, weights, sorted(options.recipe().items(), key=str)])
        self.tuned_ = tune(catalogue, backbone=backbone, weights=weights, name=name, options=options)
        kept = self.tuned_.file is not None
        self.backbone_ = self.tuned_.backbone if kept else backbone
        self.embedder_ = ImageEmbedder(self.backbone_, weights=None if kept else weights, cache=self.cache)
        self.embedder_.fit(X)
        return self

    def transform(self, X: object) -> Features:
        """The features of the photos, a row each in the order given; an unreadable photo stops it by name."""
        check_is_fitted(self)
        return self.embedder_.transform(X)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[Any]:
        """One name per column: the network's, and a number."""
        check_is_fitted(self)
        return self.embedder_.get_feature_names_out(input_features)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "embedder_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _options(self) -> TuneOptions:
        from featx.finetuning.options import TuneOptions

        if self.options is not None:
            return self.options
        return TuneOptions(self.depth, minutes=self.minutes, val=str(self.val), keep=self.keep, seed=self.seed)


def _labelled(paths: Sequence[str], labels: object, groups: object) -> Catalogue:
    """The photos as a catalogue with these categories and products."""
    named = dict(zip(paths, _column(labels, len(paths), "categories"), strict=True))
    catalogue = read_catalogue(named)
    products = None if groups is None else dict(zip(paths, _column(groups, len(paths), "groups"), strict=True))
    items = [
        replace(
            item, label=named[item.path], split=None, product=item.product if products is None else products[item.path]
        )
        for item in catalogue.items
    ]
    source = catalogue.product_source if products is None else "groups"
    return replace(catalogue, items=items, label_source="y", product_source=source)


def _column(values: object, n: int, what: str) -> list[str]:
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise FeatxError(
            "bad-flag", f"tuning needs the {what} of the photos, one for each", "call it as fit(paths, labels)"
        )
    column = [str(value) for value in values]
    if len(column) != n:
        raise FeatxError("bad-flag", f"there are {n:,} photos and {len(column):,} {what}", "give one for each photo")
    return column


def _name_of(catalogue: Catalogue, settings: object) -> str:
    """A name that is the same for the same photos, categories, products and settings."""
    photos = sorted((item.path, item.label, item.product) for item in catalogue.items)
    return f"fitted-{hashlib.sha256(repr((photos, settings)).encode()).hexdigest()[:12]}"
