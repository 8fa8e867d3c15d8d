"""The log-odds of a linear classifier are a sum over the numbers of a row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from featx.classifiers.coarsening import Coarsening, CoarsePipeline
from featx.classifiers.model import Classifier
from featx.classifiers.spec import ClassifierSettings
from featx.explanation.question import Question
from tests.deployment.test_graph import blobs, classifier


def question(model: Classifier, winner: int, other: int) -> Question:
    return Question(model, winner, other, np.zeros(0, dtype=np.float32))


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
            margin = question(model, a, b).margin(row)
            assert margin is not None
            whole = question(model, a, b).log_odds(row[None])[0]
            assert margin.of(row) == pytest.approx(whole, abs=1e-4 * (1 + abs(whole)))
        assert np.log(shares[winner] / shares[other]) == pytest.approx(
            question(model, winner, other).log_odds(row[None])[0], abs=1e-6
        )


def test_a_classifier_that_is_not_linear_has_no_such_sum() -> None:
    model = classifier(ClassifierSettings("knn"), 3)
    assert question(model, 0, 1).margin(blobs(3)[0][0]) is None


def test_a_coarse_score_that_adds_up_finer_ones_has_no_such_sum() -> None:
    fine = classifier(ClassifierSettings("logreg"), 4)
    coarsening = Coarsening.of(fine.classes, ["a", "a", "b", "b"])
    coarse = replace(fine, pipeline=CoarsePipeline(fine.pipeline, coarsening), classes=["a", "b"])
    row = blobs(4)[0][0]
    assert question(coarse, 0, 1).margin(row) is None
    shares = coarse.predict_proba(row[None])[0]
    assert question(coarse, 0, 1).log_odds(row[None])[0] == pytest.approx(np.log(shares[0] / shares[1]), abs=1e-6)
