"""What a training may have beside its labels, and what may be judged beside categories."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from featx.backbones import open_backbone
from featx.errors import FeatxError
from featx.finetuning import TuneOptions, tune
from featx.finetuning.judgement.unlabelled import Extra, guessed
from featx.finetuning.norms import adapt_norms
from featx.finetuning.robustness import CHANGES
from featx.finetuning.training.levels import Level
from featx.finetuning.training.losses import Objective, Targets, distilled
from featx.finetuning.training.scratch import forget
from tests.conftest import photo
from tests.finetuning.conftest import Small
from tests.finetuning.test_run import QUICK


def table(shop: Path) -> str:
    """The photos with a second column: whether they are worn or not."""
    shutil.copytree(shop, "shop")
    lines = ["image,label,split,kind"]
    for i, path in enumerate(sorted(Path("shop").rglob("*.jpg"))):
        kind = {"boots": "worn", "hats": "worn"}.get(path.parent.name, "kitchen")
        split = ["train", "train", "val", "train", "test", "train"][i // 2 % 6]
        lines.append(f"{path},{path.parent.name},{split},{kind}")
    Path("list.csv").write_text("\n".join(lines) + "\n")
    return "list.csv"


def test_everything_beside_is_judged_and_stands_on_the_card(shop, small, workplace):
    """A second level, a teacher, photos without labels, a start from nothing and worse photos in one run."""
    for i in range(3):
        photo(Path(f"more/{i}.jpg"), seed=100 * i, noise=77 + i)
    listed = table(shop)
    shutil.copy(next(Path("shop").rglob("boots2_0.jpg")), "more/judging.jpg")
    options = TuneOptions(
        **QUICK, also="kind=kind", teacher="colour", unlabelled="more", from_scratch=True, robustness=True
    )
    tuned = tune(listed, backbone=small, name="shop", options=options)
    card, document = tuned.card, tuned.to_dict()
    assert card.also is not None and card.also[1].n == 6
    assert card.scratch is not None and card.scratch.n == 6
    assert [row.change for row in card.robustness] == [*CHANGES, "FGSM 1/255", "FGSM 2/255"]
    assert all(0 <= share <= 1 for row in card.robustness for share in (row.before, row.after))
    # The photo that also judges is no lesson.
    assert card.unlabelled is not None and 1 <= card.unlabelled.photos == card.unlabelled.used <= 3
    assert len(card.tuned_on) == 24 + card.unlabelled.photos * card.unlabelled.kept
    page = tuned.file.with_suffix(".md").read_text()
    for wanted in ("| JPEG 30 |", "From random numbers", "without categories", "kind before"):
        assert wanted in page
    assert document["scratch"]["n"] == 6 and document["robustness"][0]["change"] == "as it is"
    assert not list(Path("artifacts/tuned").glob("*.unfinished"))
    before = open_backbone(small).tunable().weights()
    changed = {name for name, tensor in load_file(str(tuned.file)).items() if not torch.equal(before[name], tensor)}
    assert {name.rpartition(".")[0] for name in changed} <= {"features.3.0", "features.3.1"}


@pytest.mark.long
def test_adapted_norms_are_a_way_of_their_own_and_come_back_with_the_network(shop, small, workplace):
    shutil.copytree(shop, "target")
    options = TuneOptions(**{**QUICK, "epochs": 1, "views": 0}, adapt_norms="target")
    tuned = tune(shop, backbone=small, name="shop", options=options)
    assert [step.name for step in tuned.ladder][:2] == ["frozen", "norms adapted"]
    assert tuned.card.parent.weights_sha256 == "random"
    before, after = open_backbone(small).tunable().weights(), load_file(str(tuned.file))
    assert not torch.equal(before["features.0.1.running_mean"], after["features.0.1.running_mean"])
    assert torch.equal(before["features.0.0.weight"], after["features.0.0.weight"])
    assert open_backbone("tuned:shop").fingerprint.backbone == "tuned:shop"


def test_adapted_statistics_are_those_of_the_photos(small, tmp_path):
    encoder = open_backbone(small)
    network = encoder.tunable()
    paths = [str(photo(tmp_path / f"{i}.jpg", seed=i)) for i in range(32)]
    assert adapt_norms(encoder, network, paths) == 32
    prepared = torch.from_numpy(np.stack([encoder.prepare(Image.open(path).convert("RGB")) for path in paths]))
    with torch.inference_mode():
        maps = network.network.features[0][0](network.enter(prepared))
    norm = network.network.features[0][1]
    assert torch.allclose(norm.running_mean, maps.mean(dim=(0, 2, 3)), atol=1e-2)
    assert not norm.training
    with pytest.raises(FeatxError, match="statistics need 32"):
        adapt_norms(encoder, network, paths[:5])


def test_a_network_without_batch_normalisation_cannot_adapt_it(tmp_path):
    encoder = open_backbone("squeezenet1_1", weights="random", device="cpu")
    with pytest.raises(FeatxError, match="`squeezenet1_1` has no batch normalisation to adapt"):
        adapt_norms(encoder, encoder.tunable(), [])


def test_a_photo_without_a_category_counts_only_by_its_teacher():
    head = nn.Linear(4, 3)
    rows = torch.eye(4)[:2]
    alone, nothing = Objective("ce", head), torch.tensor([-1, -1])
    taught = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert alone(rows, Targets(torch.tensor([1, -1]))) == alone(rows[:1], Targets(torch.tensor([1])))
        assert float(alone(rows, Targets(nothing))) == 0
        assert float(alone(rows, Targets(nothing, taught=taught))) > 0


def test_a_pupil_that_answers_as_its_teacher_has_nothing_to_learn():
    scores = torch.tensor([[1.0, 2.0, 0.0]])
    assert float(distilled(scores, scores + 5)) == pytest.approx(0, abs=1e-6)
    assert float(distilled(scores, -scores)) > 0.1


def test_a_second_level_counts_three_tenths():
    head, second = nn.Linear(4, 3), nn.Linear(4, 2)
    rows, truth = torch.eye(4), torch.tensor([0, 1, 2, 0])
    values = torch.tensor([0, 1, -1, -1])
    with torch.no_grad():
        both = Objective("ce", head, second=second)(rows, Targets(truth, values))
        own = nn.functional.cross_entropy(second(rows[:2]), values[:2])
        assert float(both) == pytest.approx(float(Objective("ce", head)(rows, Targets(truth)) + 0.3 * own), rel=1e-5)


def test_a_column_of_one_value_or_of_no_photo_is_refused(shop, small, workplace):
    with pytest.raises(FeatxError, match="fewer than two values"):
        Level("kind", np.array(["a", "a", ""])).numbers(np.arange(3))
    with pytest.raises(FeatxError, match="no photo has the column `colour` of `--also tone=colour`"):
        tune(shop, backbone=small, options=TuneOptions(**QUICK, also="tone=colour"))


def test_a_forgotten_network_has_no_number_left_and_the_seed_decides():
    def forgotten(seed: int) -> dict[str, torch.Tensor]:
        network = Small()
        with torch.no_grad():
            for tensor in network.state_dict().values():
                tensor.fill_(7)
        forget(network, seed)
        return {name: tensor.clone() for name, tensor in network.state_dict().items()}

    first, again, other = forgotten(0), forgotten(0), forgotten(1)
    assert not any(bool((tensor == 7).any()) for tensor in first.values())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


@pytest.mark.parametrize("change", [name for name in CHANGES if name != "as it is"])
def test_a_worse_photo_is_changed_the_same_way_each_time(change):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    first, again = (CHANGES[change](image, "ab" * 32) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != image.tobytes()


class Judged:
    """Photos of two categories, one after the other; the last ten judge."""

    shrinkage = 0.1
    learn, judge = np.arange(20), np.arange(20, 30)

    def truth(self, rows):
        return (rows % 2).astype(np.intp)


class Misjudged(Judged):
    """The same, but those that judge have the other category."""

    def truth(self, rows):
        return ((rows + (rows >= 20)) % 2).astype(np.intp)


def test_a_network_labels_photos_only_where_the_judging_ones_come_out_right():
    random = np.random.default_rng(0)
    rows = np.where(np.arange(30)[:, None] % 2, [[0, 1, 0]], [[1, 0, 0]]) + random.normal(0, 0.05, (30, 3))
    extra, of_extra = Extra({f"{i:064x}": "photo" for i in (100, 101)}), np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    found = guessed(Judged(), rows.astype(np.float32), extra, of_extra)
    assert found.digests == extra.digests and found.truth.tolist() == [0, 1]
    assert 0.5 < found.threshold <= 1
    assert guessed(Misjudged(), rows.astype(np.float32), extra, of_extra).digests == []


@pytest.mark.parametrize("flag", ["teacher", "unlabelled"])
def test_a_teacher_cannot_teach_look_alikes(flag):
    with pytest.raises(FeatxError, match=f"`--{flag}` is about categories"):
        TuneOptions(loss="supcon", **{flag: "colour"})
