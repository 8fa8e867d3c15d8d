"""Which blocks of joined features are used: all, unless others are clearly better."""

from __future__ import annotations

import numpy as np
import pytest

from featx.metrics.block_choice import Blend, BlockChoice, blends_of, choices_of, choose_blocks
from featx.views.block_choices import describe_blocks

ALL, A, B = Blend(("a", "b")), Blend(("a",)), Blend(("b",))
EACH = np.arange(1000)


def answers(share: float, n: int = 1000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < share


def test_every_choice_is_tried_all_blocks_first():
    assert choices_of(["a", "b"]) == [("a", "b"), ("a",), ("b",)]
    assert len(choices_of(["a", "b", "c"])) == 7


def test_a_clearly_better_choice_is_taken_and_says_why():
    right = {ALL: answers(0.6), A: answers(0.6) | answers(0.3, seed=1), B: answers(0.3, seed=2)}
    choice = choose_blocks(right, EACH, "folds")
    assert choice is not None and choice.blend == A and choice.n == 1000
    assert choice.shares["a"] > choice.shares["a+b"] > choice.shares["b"]
    assert describe_blocks(choice).startswith("a (folds: a+b ")
    assert BlockChoice.from_dict(choice.to_dict()) == choice


def test_of_many_choices_the_best_are_named_and_a_network_stands_for_all_of_its_layers():
    shares = {"a+b/x+b/y": 0.8, "a+b/x": 0.7, "b/x+b/y": 0.9, "a": 0.5, "b/y": 0.6, "a+4×b/x+b/y": 0.4}
    named = describe_blocks(BlockChoice(("b/x", "b/y"), "folds", 1000, shares))
    assert named == "b (folds: a+b 80.0% · b 90.0% · a+b/x 70.0% · b/y 60.0% · and 2 more)"
    few = BlockChoice(("a", "b/x", "b/y"), "folds", 1000, {"a+b/x+b/y": 0.8, "a+4×b/x+b/y": 0.4}, (1.0, 4.0, 1.0))
    assert describe_blocks(few) == "a+4×b/x+b/y (folds: a+b 80.0% · a+4×b/x+b/y 40.0%)"


@pytest.mark.parametrize("gain", [0.0, 0.003])
def test_a_difference_within_chance_leaves_all_blocks(gain):
    choice = choose_blocks({ALL: answers(0.8), A: answers(0.8) | answers(gain, seed=1), B: answers(0.2)}, EACH, "folds")
    assert choice is not None and choice.blend == ALL


def test_many_photos_of_few_products_are_not_many_answers():
    correct = {ALL: EACH >= 100, A: EACH >= 50}
    of_its_own = choose_blocks(correct, EACH, "folds")
    assert of_its_own is not None and of_its_own.blend == A
    of_twenty_products = choose_blocks(correct, EACH // 50, "folds")
    assert of_twenty_products is not None and of_twenty_products.blend == ALL


def test_too_few_answers_choose_nothing():
    assert choose_blocks({ALL: answers(0.5, 199), A: answers(1, 199)}, EACH[:199], "folds") is None


def test_one_block_may_count_more_and_the_choice_says_how_much():
    heavy = Blend(("a", "b"), (1.0, 4.0))
    assert heavy in blends_of(["a", "b"], (2.0, 4.0)) and len(blends_of(["a", "b"], (2.0, 4.0))) == 7
    choice = choose_blocks({ALL: answers(0.6), heavy: answers(0.6) | answers(0.3, seed=1)}, EACH, "folds")
    assert choice is not None and choice.blend == heavy and "a+4×b" in choice.shares
    assert describe_blocks(choice).startswith("a+4×b (") and BlockChoice.from_dict(choice.to_dict()) == choice
    cosines = {"a": np.ones((1, 1), np.float32), "b": np.zeros((1, 1), np.float32)}
    assert heavy.mean(cosines)[0, 0] == pytest.approx(0.2)


def test_of_many_blocks_not_every_choice_is_tried():
    names = [f"n{i}" for i in range(8)]
    assert len(choices_of(names)) == 17 and choices_of(names)[0] == tuple(names)
