"""Which blocks of joined features are used: all, unless others are clearly better."""

from __future__ import annotations

import numpy as np
import pytest

from featx.metrics.block_choice import BlockChoice, choices_of, choose_blocks
from featx.views.block_choices import describe_blocks

ALL, A, B = ("a", "b"), ("a",), ("b",)
EACH = np.arange(1000)


def answers(share: float, n: int = 1000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < share


def test_every_choice_is_tried_all_blocks_first():
    assert choices_of(["a", "b"]) == [ALL, A, B]
    assert len(choices_of(["a", "b", "c"])) == 7


def test_a_clearly_better_choice_is_taken_and_says_why():
    right = {ALL: answers(0.6), A: answers(0.6) | answers(0.3, seed=1), B: answers(0.3, seed=2)}
    choice = choose_blocks(right, EACH, "folds")
    assert choice is not None and choice.blocks == A and choice.n == 1000
    assert choice.shares["a"] > choice.shares["a+b"] > choice.shares["b"]
    assert describe_blocks(choice).startswith("a (folds: a+b ")
    assert BlockChoice.from_dict(choice.to_dict()) == choice


@pytest.mark.parametrize("gain", [0.0, 0.003])
def test_a_difference_within_chance_leaves_all_blocks(gain):
    choice = choose_blocks({ALL: answers(0.8), A: answers(0.8) | answers(gain, seed=1), B: answers(0.2)}, EACH, "folds")
    assert choice is not None and choice.blocks == ALL


def test_many_photos_of_few_products_are_not_many_answers():
    correct = {ALL: EACH >= 100, A: EACH >= 50}
    of_its_own = choose_blocks(correct, EACH, "folds")
    assert of_its_own is not None and of_its_own.blocks == A
    of_twenty_products = choose_blocks(correct, EACH // 50, "folds")
    assert of_twenty_products is not None and of_twenty_products.blocks == ALL


def test_too_few_answers_choose_nothing():
    assert choose_blocks({ALL: answers(0.5, 199), A: answers(1, 199)}, EACH[:199], "folds") is None
