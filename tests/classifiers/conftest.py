"""Forests of a few trees: what the tests promise of a forest holds for any number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def few_trees() -> Iterator[None]:
    """Growing hundreds of trees would take most of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.classifiers.kinds.forests.TREES", 20)
        patch.setattr("featx.classifiers.kinds.forests.SEARCH_TREES", 10)
        yield
