"""Losses for look-alikes, and training of a part of the parameters alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from featx.backbones import open_backbone
from featx.errors import FeatxError
from featx.finetuning import TuneOptions
from featx.finetuning.cut.tail import Tail
from featx.finetuning.judgement.lookalikes import look_alikes
from featx.finetuning.training.losses import LOSSES, Objective, Targets, partners_together
from featx.finetuning.training.schedules import trained
from tests.finetuning.conftest import Small
from tests.finetuning.test_run import tuned_network


def objective(kind: str) -> Objective:
    head = nn.Linear(2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.eye(2))
        head.bias.zero_()
    return Objective(kind, head)


def at(*degrees: float) -> torch.Tensor:
    angles = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_is_less_where_categories_are_further_from_each_other(kind):
    truth = torch.tensor([0, 0, 1, 1])
    near, far = at(40, 20, 50, 70), at(5, 10, 85, 80)
    assert objective(kind)(far, Targets(truth)) < objective(kind)(near, Targets(truth))


@pytest.mark.parametrize("kind", LOSSES)
def test_a_step_down_each_loss_brings_a_category_together(kind):
    rows = at(40, 10, 50, 80).requires_grad_()
    truth = torch.tensor([0, 0, 1, 1])
    objective(kind)(functional.normalize(rows), Targets(truth)).backward()
    moved = functional.normalize((rows - 0.01 * rows.grad).detach())
    assert moved[0] @ moved[2] < at(40)[0] @ at(50)[0]


@pytest.mark.parametrize("kind", ["supcon", "triplet"])
@pytest.mark.parametrize("truth", [[0, 1], [0, 0]])
def test_a_batch_without_pairs_or_without_others_has_a_finite_loss(kind, truth):
    rows = at(10, 30).requires_grad_()
    loss = objective(kind)(rows, Targets(torch.tensor(truth)))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(rows.grad).all()


def test_photos_of_a_category_stay_together_and_none_is_lost():
    truth = np.arange(40) % 5
    order = partners_together(np.random.default_rng(0).permutation(40), truth)
    assert sorted(order.tolist()) == list(range(40))
    assert all(len(set(truth[order[i : i + 4]])) == 1 for i in range(0, 40, 4))


def test_a_look_alike_of_the_own_product_does_not_count():
    rows = at(0, 1, 20, 40).numpy()
    labels, products = np.array(["a", "a", "b", "a"]), np.array([0, 0, 1, 2])
    found = look_alikes(rows, labels, products, np.array([0, 3]), np.arange(4))
    assert found.right.tolist() == [False, False]
    assert look_alikes(rows, labels, np.arange(4), np.array([0]), np.arange(4)).right.tolist() == [True]


@pytest.mark.parametrize(
    "loss",
    ["supcon", pytest.param("arcface", marks=pytest.mark.long), pytest.param("triplet", marks=pytest.mark.long)],
)
def test_a_loss_for_look_alikes_is_judged_by_look_alikes_with_categories_beside(shop, small, workplace, loss):
    tuned = tuned_network(shop, small, loss=loss, train="norms")
    before = open_backbone(small).tunable().weights()
    after = load_file(str(tuned.file))
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "features.3.1.weight",
        "features.3.1.bias",
    }
    assert {tuned.before.classifier, tuned.after.classifier} == {"nearest photo"}
    assert tuned.card.beside is not None and tuned.card.beside[1].classifier == "lda"
    assert "| before, beside |" in tuned.file.with_suffix(".md").read_text()
    assert tuned.to_dict()["beside"][0]["n"] == tuned.before.n


def a_tail() -> Tail:
    return Tail(Small(), lambda output: output, 3, 10)


@pytest.mark.parametrize(
    ("part", "own"), [("norms", {"0.1.weight", "0.1.bias"}), ("biases", {"0.1.bias"}), ("all", {"0.0.weight"})]
)
def test_only_the_part_that_is_named_is_trained_and_the_head(part, own):
    tail = a_tail()
    names = {name for name, _ in trained(tail, part)}
    assert {f"back.features.{name}" for name in own} <= names
    assert {"head.weight", "head.bias"} <= names
    assert ("back.features.0.0.weight" in names) == (part == "all")
    assert names == {name for name, parameter in tail.named_parameters() if parameter.requires_grad}


def test_a_network_without_norms_cannot_train_them():
    tail = Tail(nn.Conv2d(3, 4, 3), lambda output: output, 3, 4)
    with pytest.raises(FeatxError, match="the part that is tuned has no norms"):
        trained(tail, "norms")


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [({"loss": "arcfase"}, "there is no loss `arcfase`"), ({"loss": "triplet", "mix": "maps"}, "a mixed pair has two")],
)
def test_a_loss_that_cannot_be_is_refused_before_anything_is_computed(flags, wanted):
    with pytest.raises(FeatxError, match=wanted):
        TuneOptions(**flags)
