"""What counts as agreement with featx, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from featx.deployment.agreement import Agreement, agreement_sentence, require_agreement
from featx.deployment.folder import RUNNER
from featx.errors import FeatxError

GOOD = Agreement(
    photos=500,
    same_category=0.992,
    same_decision=0.984,
    n_labelled=250,
    right_before=189,
    right=188,
    neighbours=0.96,
)


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        ({"same_category": 0.94}, "94.0% keep their category"),
        ({"neighbours": 0.89}, "89.0% of their nearest"),
        ({"right": 186}, "3 of 189 right answers are lost"),
    ],
)
def test_a_graph_of_integers_below_a_limit_is_refused_with_its_figure(worse: dict[str, float], words: str) -> None:
    require_agreement(GOOD, "model-int8.onnx")
    with pytest.raises(FeatxError, match=words) as error:
        require_agreement(replace(GOOD, **worse), "model-int8.onnx")  # type: ignore[arg-type]
    assert error.value.code == "answers-differ"


def test_one_photo_of_few_is_no_reason_to_refuse() -> None:
    few = replace(GOOD, photos=12, same_category=11 / 12, n_labelled=6, right_before=6, right=5)
    require_agreement(few, "model-int8.onnx")
    with pytest.raises(FeatxError):
        require_agreement(replace(few, same_category=10 / 12), "model-int8.onnx")


def test_the_agreement_names_the_photos_it_was_measured_on() -> None:
    words = agreement_sentence(GOOD)
    assert "99.2% keep their category" in words and "(before: 75.6%, 250 photos)" in words
    assert "right" not in agreement_sentence(replace(GOOD, n_labelled=0))


def test_an_answer_on_the_edge_of_a_limit_may_fall_on_either_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RUNNER))
    monkeypatch.delitem(sys.modules, "check", raising=False)
    import check  # type: ignore[import-not-found]

    answers = {
        "probabilities": np.array([[0.8, 0.2], [0.8001, 0.1999], [0.50004, 0.49996], [0.9, 0.1], [0.9, 0.1]]),
        "label": np.zeros(5, dtype=int),
        "similarity": np.array([0.9, 0.9, 0.9, 0.70001, 0.9]),
    }
    ties = check._ties(answers, {"limits": [0.80005, 0.5], "similarity": 0.7})
    assert ties.tolist() == [True, True, True, True, False]
    sys.modules.pop("check")
