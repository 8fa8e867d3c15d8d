"""The log-odds of a linear classifier are a sum over the numbers of a row."""

from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.spec import ClassifierSettings
from featx.explanation.margin import linear_margin, log_odds
from tests.deployment.test_graph import blobs, classifier


@pytest.mark.parametrize("categories", [2, 5])
@pytest.mark.parametrize(
    ("name", "reduce"), [("svm", None), ("svm", "none"), ("logreg", 5), ("lda", None), ("logreg", "none")]
)
def test_weights_and_rest_add_up_to_the_log_odds(name: str, reduce: int | str | None, categories: int) -> None:
    model = classifier(ClassifierSettings(name, reduce=reduce), categories)
    for row in blobs(categories, seed=3, n=3)[0]:
        shares = model.predict_proba(row[None])[0]
        winner, other = np.argsort(-shares)[:2].tolist()
        for a, b in ((winner, other), (other, winner)):
            margin = linear_margin(model, row, a, b)
            assert margin is not None
            whole = log_odds(model, row[None], a, b)[0]
            assert margin.of(row) == pytest.approx(whole, abs=1e-4 * (1 + abs(whole)))
        assert np.log(shares[winner] / shares[other]) == pytest.approx(
            log_odds(model, row[None], winner, other)[0], abs=1e-6
        )


def test_a_classifier_that_is_not_linear_has_no_such_sum() -> None:
    model = classifier(ClassifierSettings("knn"), 3)
    assert linear_margin(model, blobs(3)[0][0], 0, 1) is None
