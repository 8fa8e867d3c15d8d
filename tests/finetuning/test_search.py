"""The search for a recipe: what it tries, what it keeps, and what it repeats after an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from featx.backbones import open_backbone
from featx.backbones.cuts import CutNetwork
from featx.backbones.tuned_card import Epoch
from featx.errors import FeatxError
from featx.finetuning import TuneOptions
from featx.finetuning.cut.tail import Tail
from featx.finetuning.training.schedules import trained
from featx.finetuning.training.search import drawn, searched
from tests.finetuning.conftest import SIDE, Small
from tests.finetuning.test_run import tuned_network

OPTIONS = TuneOptions(search=12)


class Shop:
    """Trainings that do the better the nearer their rate is to 1e-3; those above 2e-3 diverge."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def __call__(self, options: TuneOptions) -> Epoch | None:
        self.epochs.append(options.epochs)
        rate = options.lr
        return None if rate > 2e-3 else Epoch(options.epochs, 1.0, round(1 - abs(rate - 1e-3) * 100, 6), 0.5)


def test_the_best_third_is_trained_longer_and_the_best_recipe_is_found(tmp_path):
    train = Shop()
    found = searched(OPTIONS, 2, train, tmp_path, "key")
    assert train.epochs == [1] * 12 + [3] * 4
    near = min((abs(recipe.lr - 1e-3), recipe.lr) for recipe in drawn(OPTIONS, 2))
    assert found.options.lr == near[1]
    assert found.options.epochs == OPTIONS.epochs and found.options.search == 0
    assert len(found.trials) == 16


def test_twelve_recipes_take_no_more_than_three_times_the_epochs_of_one_run(tmp_path):
    train = Shop()
    searched(OPTIONS, 2, train, tmp_path, "key")
    one_run = 3 + 10  # three rates for an epoch each, then the training
    assert sum(train.epochs) + 10 <= 3 * one_run


def test_the_recipes_follow_from_the_seed_and_the_usual_one_is_the_first():
    recipes = drawn(OPTIONS, 3)
    assert recipes == drawn(OPTIONS, 3) and len(recipes) == 12
    assert (recipes[0].lr, recipes[0].weight_decay) == (OPTIONS.rate, OPTIONS.weight_decay)
    assert {recipe.last for recipe in recipes[1:]} <= {1, 2, 3}
    assert recipes[1:] != drawn(TuneOptions(search=12, seed=1), 3)[1:]


def test_an_interrupted_search_repeats_no_trial_and_another_one_all(tmp_path):
    whole = searched(OPTIONS, 2, Shop(), tmp_path, "key")
    again = Shop()
    assert searched(OPTIONS, 2, again, tmp_path, "key") == whole
    assert again.epochs == []
    searched(OPTIONS, 2, again, tmp_path, "another")
    assert len(again.epochs) == 16


def test_a_search_in_which_everything_diverges_says_so(tmp_path):
    with pytest.raises(FeatxError, match="all 12 recipes diverged"):
        searched(OPTIONS, 2, lambda options: None, tmp_path, "key")


def test_one_trial_is_no_search():
    with pytest.raises(FeatxError, match="`--search 1` tries nothing"):
        TuneOptions(search=1)


@pytest.mark.long
def test_a_search_ends_with_a_network_whose_card_has_every_trial(shop, small, workplace):
    tuned = tuned_network(shop, small, search=3, lr=None, depth=2, size=40)
    assert [trial.epochs for trial in tuned.card.search] == [1, 1, 1]
    best = max(tuned.card.search, key=lambda trial: trial.judged)
    assert tuned.card.recipe["lr"] in [trial.lr for trial in tuned.card.search if trial.judged == best.judged]
    assert "| epochs | rate |" in Path(tuned.file).with_suffix(".md").read_text()
    assert len(tuned.to_dict()["search"]) == 3
    assert "crop_size=[40]" in tuned.card.parent.preprocessing
    assert open_backbone("tuned:shop").fingerprint.preprocessing == tuned.card.parent.preprocessing


def test_fewer_blocks_than_lie_behind_the_cut_may_be_trained():

    network = Small().eval()
    parts = CutNetwork(network, torch.zeros(1, 3, SIDE, SIDE), "small")
    tail = Tail(network, lambda output: output, 3, 10)
    names = {name for name, _ in trained(tail, "all", parts, 1)}
    assert names == {"back.fc.weight", "back.fc.bias", "head.weight", "head.bias"}
