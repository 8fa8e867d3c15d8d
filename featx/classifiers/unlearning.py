"""A saved classifier as it would be without some products: it says why a mistake of the folds was made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from featx.classifiers.coarsening import CoarsePipeline
from featx.classifiers.model import Classifier
from featx.classifiers.pipelines import train_on_views
from featx.labels.training_set import training_set_of
from featx.store import Store


def without_products(model: Classifier, store: Store, ids: Collection[str]) -> Classifier | None:
    """The classifier trained again without the products of these photos; itself where it learned from none of them.

    None where that takes more than its pipeline: it counts columns, sums finer categories, or would lose a category.
    """
    own = store.suited_to(model.fingerprint)
    training = training_set_of(own, model.card.level, model.card.held_out)
    mistaken = np.isin([store.ids[i] for i in training.learn], list(ids))
    if not mistaken.any():
        return model
    keep = ~np.isin(training.groups, training.groups[mistaken])
    labels = training.labels[training.learn[keep]]
    is_plain = model.fusion is None and not isinstance(model.pipeline, CoarsePipeline)
    if not is_plain or set(labels) != set(model.classes):
        return None
    return replace(model, pipeline=train_on_views(model.settings, own.all_views[training.learn[keep]], labels))
