"""One small shop with a classifier for it, made once a run, and forests of a few trees."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from featx.classifiers.card import CrossValidation
from featx.classifiers.fit import fit
from featx.classifiers.model import Classifier
from featx.store import Store


@pytest.fixture(autouse=True, scope="module")
def forests_of_few_trees(few_trees: None) -> None:
    """No test of this room needs hundreds of trees."""


@pytest.fixture(scope="session")
def store(colour_shop: Store) -> Store:
    return colour_shop


@pytest.fixture(scope="session")
def model(store: Store) -> Classifier:
    return fit(store, "svm", folds=3)


def cross_validated(value: float, low: float, high: float) -> CrossValidation:
    """A score on eighteen photos."""
    return CrossValidation(accuracy=value, ci95=(low, high), n=18, folds=2, grouped_by="none", groups=18)


def with_card(model: Classifier, **changes: object) -> Classifier:
    """The same classifier with another card."""
    return replace(model, card=structs.replace(model.card, **changes))
