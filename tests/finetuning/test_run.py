"""`featx tune`: what it keeps, what it leaves alone, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import featx
from featx.backbones import open_backbone
from featx.backbones.cuts import CutNetwork
from featx.backbones.engines.base import min_cosine
from featx.backbones.tuned import find_tuned
from featx.catalogue.reading import read_catalogue
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.files.digested import checked_body, with_digest
from featx.finetuning import TuneOptions, tune
from featx.finetuning.cut.front import FrontEncoder, suited_engine
from featx.finetuning.events import TuneEvents
from featx.finetuning.frozen import tunable_backbone
from featx.finetuning.judgement.judge import Judgement
from featx.finetuning.ladder import Rung, lowest_as_good
from featx.finetuning.nodes import frozen_nodes
from featx.images import read_photo
from tests.conftest import photo

QUICK = {"epochs": 2, "views": 1, "batch": 8, "lr": 0.01, "keep": True, "depth": 1}


def listed(shop: Path) -> str:
    """A table of the photos: of six products of each category the third judges, the fifth only tests."""
    shutil.copytree(shop, "shop")
    lines = ["image,label,split"]
    for i, path in enumerate(sorted(Path("shop").rglob("*.jpg"))):
        lines.append(f"{path},{path.parent.name},{['train', 'train', 'val', 'train', 'test', 'train'][i // 2 % 6]}")
    Path("list.csv").write_text("\n".join(lines) + "\n")
    return "list.csv"


def tuned_network(shop: Path, small: str, **changed):
    return tune(shop, backbone=small, name="shop", options=TuneOptions(**{**QUICK, **changed}))


def test_a_tuned_network_is_a_backbone_like_any_other(shop, small, workplace):
    tuned = tuned_network(shop, small)
    assert tuned.backbone == "tuned:shop"
    store = featx.extract(shop, backbone="tuned:shop", store="a.h5")
    frozen = featx.extract(shop, backbone=small, store="b.h5")
    assert store.fingerprint.backbone == "tuned:shop"
    assert store.fingerprint.difference(frozen.fingerprint, "search") == "backbone"
    assert not np.allclose(store.features, frozen.features)
    joined = featx.extract(shop, backbone="tuned:shop+colour", store="c.h5")
    assert [block.name for block in joined.blocks] == ["tuned:shop", "colour"]
    assert featx.similar(next(shop.rglob("*.jpg")), store=Path("a.h5"))


def test_a_name_that_ends_like_a_checksum_is_not_taken_for_one(shop, small, workplace):
    for seed in (0, 1):  # the second one under the same name has other bytes
        tune(shop, backbone=small, name="shop-952eddca", options=TuneOptions(**{**QUICK, "views": 0, "seed": seed}))
        assert open_backbone("tuned:shop-952eddca").fingerprint.backbone == "tuned:shop-952eddca"


def test_the_frozen_part_keeps_every_bit_and_no_statistics_move(shop, small, workplace):
    before = open_backbone(small).tunable().weights()
    after = load_file(str(tuned_network(shop, small).file))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert {name.rpartition(".")[0] for name in changed} <= {"features.3.0", "features.3.1"}
    assert not {name for name in changed if "running" in name or "num_batches" in name}


def test_all_layers_may_be_trained_and_statistics_still_do_not_move(shop, small, workplace):
    before = open_backbone(small).tunable().weights()
    after = load_file(str(tuned_network(shop, small, depth="all").file))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "features.0.0.weight" in changed
    assert not {name for name in changed if "running" in name or "num_batches" in name}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(shop, small, workplace):
    first = tuned_network(shop, small).file.read_bytes()
    assert tuned_network(shop, small).file.read_bytes() == first
    assert tuned_network(shop, small, seed=1).file.read_bytes() != first


class Stopped(Exception):
    pass


@pytest.mark.parametrize("killed_after", [2, *(pytest.param(epoch, marks=pytest.mark.long) for epoch in (1, 3))])
def test_an_interrupted_training_ends_with_the_bytes_of_an_undisturbed_one(shop, small, workplace, killed_after):
    options = TuneOptions(**{**QUICK, "epochs": 4, "average": "ema", "mix": "maps"})
    whole = tune(shop, backbone=small, name="shop", options=options).file.read_bytes()
    shutil.rmtree("artifacts")
    went_on = []

    class Killed(TuneEvents):
        def epoch(self, epoch, epochs, *, best):
            if epoch.number == killed_after:
                raise Stopped

    class Watched(TuneEvents):
        def going_on(self, epoch, epochs):
            went_on.append(epoch)

    with pytest.raises(Stopped):
        tune(shop, backbone=small, name="shop", options=options, events=Killed())
    assert tune(shop, backbone=small, name="shop", options=options, events=Watched()).file.read_bytes() == whole
    assert went_on == [killed_after + 1]
    assert not list(Path("artifacts/tuned").glob("*.unfinished"))


def test_what_does_not_pay_is_not_written(shop, small, workplace):
    tuned = tuned_network(shop, small, keep=False, lr=1e-9)
    assert not tuned.pays and tuned.file is None
    assert [file.suffix for file in Path("artifacts/tuned").iterdir()] == [".jsonl"]
    with pytest.raises(FeatxError, match="the frozen network is as good"):
        _ = tuned.backbone


def test_judging_photos_are_whole_products_the_training_never_sees(shop, small, workplace):
    card = tuned_network(shop, small).card
    assert set(card.tuned_on).isdisjoint(card.judged_on)
    assert {answer.digest for answer in card.answers} == set(card.judged_on)
    assert np.mean([answer.before == answer.truth for answer in card.answers]) == pytest.approx(card.before.accuracy)
    assert np.mean([answer.after == answer.truth for answer in card.answers]) == pytest.approx(card.after.accuracy)
    assert len(card.tuned_on) + len(card.judged_on) == 36
    store = featx.extract(shop, backbone="colour", store="c.h5")
    judged = {store.product_of(i) for i, digest in enumerate(store.digests) if digest in card.judged_on}
    learned = {store.product_of(i) for i, digest in enumerate(store.digests) if digest in card.tuned_on}
    assert judged and judged.isdisjoint(learned)


def test_a_val_split_judges_and_a_test_split_chooses_nothing(shop, small, workplace):
    tuned = tune(listed(shop), backbone=small, options=TuneOptions(**QUICK))
    assert len(tuned.card.judged_on) == 6 and len(tuned.card.tuned_on) == 24
    assert tuned.card.tested is not None and tuned.card.tested[1].n == 6


def test_fewer_than_five_photos_a_category_are_refused_with_the_reason(folder, small, workplace):
    with pytest.raises(FeatxError, match="4 photos or fewer: a network would learn the photos themselves"):
        tune(folder, backbone=small)


def test_an_unreadable_photo_is_named_and_left_out(shop, small, workplace):
    shutil.copytree(shop, "shop")
    broken = Path("shop/hats/broken.jpg")
    broken.write_bytes(photo(Path("whole.jpg")).read_bytes()[:200])
    tuned = tune("shop", backbone=small, options=TuneOptions(**QUICK))
    assert [skip.path for skip in tuned.skipped] == [str(broken)]


def test_a_loss_that_is_no_number_halves_the_rate_once(shop, small, workplace, monkeypatch):
    from featx.finetuning.training.training import Training

    rates, whole = [], Training._pass

    def broken_once(self, number, optimizer, *rest, **named):
        rates.append(optimizer.groups[0]["rate"])
        return float("nan") if len(rates) == 1 else whole(self, number, optimizer, *rest, **named)

    monkeypatch.setattr(Training, "_pass", broken_once)
    assert len(tuned_network(shop, small).history) == 2
    assert rates[1] == rates[0] / 2
    monkeypatch.setattr(Training, "_pass", lambda *_, **__: float("nan"))
    with pytest.raises(FeatxError, match="no number any more"):
        tuned_network(shop, small, seed=5)


def test_a_second_run_computes_no_activation_again(shop, small, workplace):
    missing = []

    class Watched(TuneEvents):
        def cut(self, kept):
            missing.append(kept.missing)

    for rate in (0.01, 0.02):
        tune(shop, backbone=small, options=TuneOptions(**{**QUICK, "lr": rate}), events=Watched())
    assert missing[0] > 36 and missing[1] == 0


def test_the_network_itself_cannot_be_told_from_its_file(shop, small, workplace):
    """What was judged is what is extracted later."""
    tuned = tuned_network(shop, small)
    found = find_tuned("tuned:shop")
    assert found.card == tuned.card
    opened = open_backbone("tuned:shop").tunable().weights()
    for name, tensor in load_file(str(tuned.file)).items():
        assert torch.equal(opened[name], tensor)


@pytest.mark.parametrize(
    "what",
    [
        "a flipped byte",
        "a pickle",
        *(pytest.param(what, marks=pytest.mark.long) for what in ("another shape", "no card", "a foreign card")),
    ],
)
def test_a_damaged_or_hostile_file_is_refused_in_words(shop, small, workplace, what):
    file = tuned_network(shop, small).file
    card = file.with_suffix(".json")
    data = bytearray(file.read_bytes())
    if what == "a flipped byte":
        data[-5] ^= 1
        file.write_bytes(data)
        wanted = "damaged or not the one its card describes"
    elif what == "another shape":
        tensors = load_file(str(file))
        tensors["features.3.0.weight"] = torch.zeros(24, 16, 5, 5)
        save_file(tensors, str(file))
        record = json.loads(card.read_text())
        card.write_text(json.dumps({**record, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}))
        wanted = "does not hold weights of small"
    elif what == "a pickle":
        torch.save({"a": torch.zeros(3)}, file)
        wanted = "damaged or not the one its card describes"
    elif what == "no card":
        card.unlink()
        wanted = "the card of a tuned network is not at"
    else:
        card.write_text('{"version": 1}')
        wanted = "is not the card of a tuned network"
    with pytest.raises(FeatxError, match=wanted):
        open_backbone("tuned:shop")


def test_the_command_tells_before_and_after_and_how_to_go_on(shop, featx, workplace):
    """A real network with random weights: nothing is gained, and that is said."""
    words = ("tune", listed(shop), "-b", "squeezenet1_1", "--weights", "random", "--name", "odd", "--depth", "1")
    few = ("--views", "0", "--epochs", "1", "--lr", "1e-6", "--average", "none", "--cache", "10MB")
    ran = featx(*words, *few, "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["name"] == "tuned:odd" and document["before"]["n"] == document["after"]["n"]
    assert "cut       features.12.squeeze_activation" in ran.stderr
    ran = featx(*words, *few, "--min-gain", "50")
    assert ran.returncode == 7
    assert "before    frozen" in ran.stdout and "after     tuned, lda" in ran.stdout


def test_features_that_a_store_has_are_not_computed_again(shop, small, workplace, monkeypatch):
    from featx.backbones.frozen_network import FrozenNetwork

    featx.extract(shop, backbone=small)
    first = tuned_network(shop, small)
    computed = []
    features = FrozenNetwork.features
    monkeypatch.setattr(
        FrozenNetwork, "features", lambda self, batch: computed.append(len(batch)) or features(self, batch)
    )
    assert tuned_network(shop, small).before == first.before
    assert computed == []


def test_a_tuned_network_may_be_tuned_again_and_the_same_photos_judge(shop, small, workplace):
    first = tuned_network(shop, small)
    again = tune(shop, backbone=first.backbone, name="again", options=TuneOptions(**QUICK))
    assert again.card.judged_on == first.card.judged_on
    assert again.card.tuned_on == first.card.tuned_on
    assert again.card.parent.backbone == "tuned:shop"
    assert open_backbone("tuned:again").fingerprint.backbone == "tuned:again"


@pytest.mark.parametrize(
    "what",
    [
        "a pickle",
        *(pytest.param(what, marks=pytest.mark.long) for what in ("a flipped byte", "another shape", "a pipe")),
    ],
)
def test_a_damaged_or_hostile_checkpoint_of_a_tuned_network_begins_again(shop, small, workplace, what):
    from featx.finetuning.training import checkpoints

    def tuned(events: TuneEvents | None = None) -> bytes:
        options = TuneOptions(**{**QUICK, "views": 0, "average": "none"})
        return tune(shop, backbone=small, name="shop", options=options, events=events).file.read_bytes()

    class Killed(TuneEvents):
        def epoch(self, epoch, epochs, *, best):
            raise Stopped

    whole = tuned()
    with pytest.raises(Stopped):
        tuned(Killed())
    (file,) = Path("artifacts/tuned/shop.unfinished").rglob(checkpoints.FILE)
    data = bytearray(file.read_bytes())
    if what == "a flipped byte":
        data[-9] ^= 1
    elif what == "another shape":
        tensors = checkpoints.load(checked_body(bytes(data)))
        data = bytearray(with_digest(checkpoints.save(tensors | {"now.head.weight": torch.zeros(2, 2)})))
    elif what == "a pickle":
        torch.save({"a": torch.zeros(3)}, file)
        data = bytearray(file.read_bytes())
    file.unlink()
    os.mkfifo(file) if what == "a pipe" else file.write_bytes(data)
    assert tuned() == whole


def test_an_updated_tuned_network_learns_from_new_photos_and_the_same_ones_judge(shop, small, workplace):
    shutil.copytree(shop, "shop")
    first = tune("shop", backbone=small, name="shop", options=TuneOptions(**{**QUICK, "views": 0}))
    missing = []

    class Watched(TuneEvents):
        def cut(self, kept):
            missing.append(kept.missing)

    options = TuneOptions(**{**QUICK, "views": 0, "update": True})
    with pytest.raises(FeatxError, match="`tuned:shop` has seen all of these photos"):
        tune("shop", name="shop", options=options)
    new = photo(Path("shop/hats/hats9_0.jpg"), seed=7, noise=7)
    again = tune("shop", name="shop", options=options, events=Watched())
    digest = hashlib.sha256(new.read_bytes()).hexdigest()
    assert set(again.card.tuned_on) == {*first.card.tuned_on, digest}
    assert again.card.judged_on == first.card.judged_on
    assert again.card.parent == first.card.parent  # the file of the first one is no more
    assert open_backbone("tuned:shop").fingerprint.weights_sha256 == again.card.sha256
    assert missing == [1]  # the front is the same, and so are the activations of the photos before
    with pytest.raises(FeatxError, match="`--update` goes on from `tuned:shop`, not from `small`"):
        tune("shop", backbone=small, name="shop", options=options)


def test_a_network_may_be_tuned_again_under_its_own_name(shop, small, workplace):
    first = tuned_network(shop, small, views=0)
    again = tune(shop, backbone="tuned:shop", name="shop", options=TuneOptions(**{**QUICK, "views": 0}))
    assert again.card.parent == first.card.parent
    assert open_backbone("tuned:shop").fingerprint.weights_sha256 == again.card.sha256 != first.card.sha256


def test_a_full_disk_is_a_sentence_and_what_was_kept_stays_usable(shop, small, workplace, monkeypatch):
    import errno

    from featx.finetuning.cut import activations
    from featx.finetuning.training import checkpoints

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(activations.os, "fdatasync", full)
        with pytest.raises(FeatxError, match="No space left") as raised:
            tuned_network(shop, small)
        assert raised.value.code == "disk-full"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_atomic", full)
        with pytest.raises(FeatxError, match="No space left"):
            tuned_network(shop, small)
    assert tuned_network(shop, small).file.exists()


def test_a_damaged_activation_is_computed_again(shop, small, workplace):
    from featx.finetuning.cut.activations import RECORDS, activations_folder

    whole = tuned_network(shop, small).file.read_bytes()
    (kept,) = activations_folder().glob(f"*/{RECORDS}")
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 255
    kept.write_bytes(data[:-7])  # and the last record is torn
    assert tuned_network(shop, small, fresh=True).file.read_bytes() == whole


def test_photos_of_one_category_cannot_judge(shop, small, workplace):
    lines = Path(listed(shop)).read_text().replace(",val", ",train").splitlines()
    one = [line.replace(",train", ",val") if ",boots,train" in line and "boots2" in line else line for line in lines]
    Path("list.csv").write_text("\n".join(one) + "\n")
    with pytest.raises(FeatxError, match="fewer than two categories"):
        tune("list.csv", backbone=small, options=TuneOptions(**QUICK))


SETTINGS = [
    pytest.param({"optimizer": "sgd"}, marks=pytest.mark.long),
    {"optimizer": "adam", "schedule": "onecycle"},
    {"schedule": "step", "class_weight": "balanced"},
    pytest.param({"schedule": "plateau"}, marks=pytest.mark.long),
    {"augment": "strong", "average": "none"},
    {"augment": "none", "schedule": "constant"},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_every_setting_trains(shop, small, workplace, setting):
    tuned = tuned_network(shop, small, **setting)
    assert len(tuned.history) == 2 and np.isfinite([epoch.loss for epoch in tuned.history]).all()


def test_half_precision_trains_and_the_network_that_is_written_is_whole(shop, small, workplace):
    tuned = tuned_network(shop, small, precision="bf16", device="cpu")
    assert np.isfinite([epoch.loss for epoch in tuned.history]).all()
    assert {tensor.dtype for tensor in load_file(str(tuned.file)).values()} <= {torch.float32, torch.int64}
    with pytest.raises(FeatxError, match="there is no precision `fp16`"):
        TuneOptions(precision="fp16")


def test_a_device_that_is_not_there_is_named_before_anything_is_computed(shop, small, workplace):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(FeatxError, match="torch sees no GPU for `--device cuda`"):
        tuned_network(shop, small, device="cuda")


@pytest.mark.parametrize("setting", ["optimizer", "schedule", "mix", "average", "augment"])
def test_an_unknown_setting_is_refused_with_the_known_ones(setting):
    with pytest.raises(FeatxError, match=f"there is no {setting} `nonsense`"):
        TuneOptions(**{setting: "nonsense"})


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.long)])
def test_other_engines_run_a_tuned_network(shop, small, workplace, engine):
    pytest.importorskip(engine)
    tuned_network(shop, small)
    photos = sorted(map(str, shop.rglob("*.jpg")))[:4]
    plain = featx.extract(photos, backbone="tuned:shop", engine="torch", store="a.h5")
    other = featx.extract(photos, backbone="tuned:shop", engine=engine, store="b.h5")
    assert other.provenance["engine"] == engine
    np.testing.assert_allclose(other.features, plain.features, rtol=0, atol=1e-3 * float(np.abs(plain.features).max()))


@pytest.mark.long
def test_a_classifier_of_a_tuned_network_can_be_deployed(shop, small, workplace):
    pytest.importorskip("onnxruntime")
    tuned_network(shop, small)
    store = featx.extract(shop, backbone="tuned:shop", store="a.h5")
    featx.fit(store, "knn", folds=2).save("artifacts/models/knn.safetensors")
    featx.deploy("deployed", "knn", store=Path("a.h5"), compared=4)
    assert any(b"tuned:shop" in file.read_bytes() for file in Path("deployed").rglob("*") if file.is_file())


def test_what_cannot_be_tuned_says_so(shop, workplace, monkeypatch):
    with pytest.raises(FeatxError, match="the `colour` backbone has no network to tune"):
        tune(shop, backbone="colour")
    monkeypatch.setattr("featx.finetuning.frozen.choose_backbone", lambda: ("colour", ""))
    with pytest.raises(FeatxError, match="`colour`, the best backbone here, cannot be tuned"):
        tune(shop)


@pytest.mark.long
def test_the_built_in_network_is_tuned_and_its_colours_stay(shop, workplace):
    tuned = tune(listed(shop), backbone="builtin", name="shop", options=TuneOptions(**{**QUICK, "epochs": 1}))
    photos = sorted(map(str, shop.rglob("*.jpg")))[:6]
    plain = featx.extract(photos, backbone="builtin", store="a.h5").features
    store = featx.extract(photos, backbone="tuned:shop", store="b.h5")
    shape, colour = (open_backbone("tuned:shop").aspects()[name] for name in ("shape", "colour"))
    assert np.abs(store.features[:, shape] - plain[:, shape]).max() > 1e-3
    np.testing.assert_allclose(store.features[:, colour], plain[:, colour], atol=1e-6)
    before, after = open_backbone("builtin").tunable().weights(), load_file(str(tuned.file))
    assert before.keys() == after.keys()
    assert torch.equal(before["stages.0.0.conv.weight"], after["stages.0.0.conv.weight"])
    assert not torch.equal(before["head.conv.weight"], after["head.conv.weight"])


@pytest.mark.long
def test_the_built_in_network_in_parts_gives_its_own_features(shop, workplace):
    encoder = open_backbone("builtin")
    photos = [encoder.prepare(read_photo(path).image) for path in sorted(shop.rglob("*.jpg"))[:4]]
    network, whole = encoder.tunable(), encoder.features(photos)
    with torch.inference_mode():
        rows = network.read(network.network(network.enter(torch.from_numpy(np.stack(photos))))).numpy()
    np.testing.assert_allclose(network.completed(rows, whole), whole, atol=1e-5)


def test_without_a_name_the_part_of_the_usual_backbone_that_can_be_tuned_is(monkeypatch):
    for chosen in ("builtin+efficientnet_lite2", "builtin+efficientnet_lite2@penultimate,maps:max"):
        monkeypatch.setattr("featx.finetuning.frozen.choose_backbone", lambda chosen=chosen: (chosen, ""))
        assert tunable_backbone() == "efficientnet_lite2"
    monkeypatch.setattr("featx.finetuning.frozen.choose_backbone", lambda: ("builtin", ""))
    assert tunable_backbone() == "builtin"


def test_the_ladder_judges_every_way_on_the_same_photos_and_the_cheapest_good_one_wins(shop, small, workplace):
    steps = []

    class Watched(TuneEvents):
        def rung(self, step):
            steps.append(step)

    options = TuneOptions(epochs=2, views=1, batch=8, lr=1e-9, average="none", minutes=10)
    tuned = tune(shop, backbone=small, name="shop", options=options, events=Watched())
    names = ["several layers", "layers and views", "last blocks", "joined", "all layers"]
    assert [step.name for step in steps] == names
    assert [step.name for step in tuned.ladder] == ["frozen", *names]
    assert len({step.reached.n for step in tuned.ladder}) == 1
    # At this rate nothing is learned, so no tuned network can win.
    assert tuned.best.name in ("frozen", "several layers", "layers and views") and tuned.file is None
    assert tuned.to_dict()["best"] == tuned.best.name


def test_several_layers_are_those_that_extract_reads(shop, small, workplace):
    """What the ladder promises of layers is what the command it names gives."""
    tuned = tune(shop, backbone=small, options=TuneOptions(depth="head", views=1, batch=8))
    assert tuned.file is None and [step.name for step in tuned.ladder] == [
        "frozen",
        "several layers",
        "layers and views",
    ]
    layers = tuned.ladder[1].extract.partition("--layer ")[2]
    assert layers == "penultimate,maps:middle,features.2,features.2:middle"
    store = featx.extract(shop, backbone=small, layer=layers, store="a.h5")
    encoder = open_backbone(small, device="cpu")
    network = encoder.tunable()
    photos = torch.from_numpy(np.stack([encoder.prepare(read_photo(path).image) for path in store.paths]))
    parts = CutNetwork(network.network, network.enter(photos[:1]), small)
    cut = parts.at_depth(2)
    nodes = frozen_nodes(small, None, parts, cut)
    maps = parts.halves(cut)[0](network.enter(photos)).detach().numpy()
    np.testing.assert_allclose(nodes.rows(iter([maps])), store.features, atol=1e-5)


@pytest.mark.long
def test_many_views_pass_the_front_by_a_quicker_engine_with_the_maps_of_plain_torch():
    pytest.importorskip("openvino")
    encoder = open_backbone("squeezenet1_0", weights="random", device="cpu", size=64)
    noise = np.random.default_rng(0).integers(0, 256, (6, 9, 9, 3), dtype=np.uint8)
    photos = [encoder.prepare(Image.fromarray(pixels).resize((64, 64))) for pixels in noise]
    network = encoder.tunable()
    parts = CutNetwork(network.network, network.enter(torch.from_numpy(np.stack(photos[:1]))), "squeezenet1_0")
    front, _ = parts.halves(parts.at_depth(2))
    engines = [suited_engine(encoder, network, front, views) for views in (10, 5000)]
    assert engines == ["torch", "openvino"]
    plain, quick = (FrontEncoder.up_to(encoder, network, front, engine) for engine in engines)
    assert quick.spec.engine == "openvino"
    assert min_cosine(plain.features(photos), quick.features(photos)) > 0.9999


def test_the_command_that_a_rung_names_gives_what_was_judged(shop, small, workplace):
    options = TuneOptions(epochs=1, views=1, batch=8, lr=0.01, keep=True, average="none")
    tuned = tune(shop, backbone=small, name="shop", options=options)
    (joined,) = [step.extract for step in tuned.ladder if step.name == "joined"]
    backbone = joined.removeprefix("-b ")
    assert backbone == "tuned:shop+small@penultimate,maps:middle,features.2,features.2:middle"
    store = featx.extract(shop, backbone=backbone, store="a.h5")
    assert store.width == 24 + 2 * (24 + 16) and len(store.blocks) == 5


def test_the_lowest_rung_within_a_standard_error_wins():
    photos = SimpleNamespace(groups=np.arange(100), judge=np.arange(100))

    def rung(name: str, first: int, last: int) -> Rung:
        right = (np.arange(100) >= first) & (np.arange(100) < last)
        return Rung(name, Judgement("lda", right, np.zeros(0, dtype=bool)), 0.0)

    frozen, layers, blocks = rung("frozen", 0, 70), rung("several layers", 11, 100), rung("last blocks", 0, 90)
    assert lowest_as_good(photos, [frozen, layers, blocks]).name == "several layers"
    assert lowest_as_good(photos, [frozen, blocks]).name == "last blocks"
    assert lowest_as_good(photos, [frozen, rung("last blocks", 0, 70)]).name == "frozen"


@pytest.mark.parametrize(("won", "lost", "is_written"), [(1, 0, False), (4, 1, False), (3, 0, True), (7, 2, True)])
def test_a_few_photos_that_chance_may_have_won_write_no_network(won, lost, is_written):
    photos = SimpleNamespace(groups=np.arange(200), judge=np.arange(200))
    before, after = np.arange(200) < 100, np.arange(200) < 100 + won
    after[:lost] = False
    frozen, blocks = (
        Rung(name, Judgement("nearest photo", right, right[:0]), 0.0)
        for name, right in (("frozen", before), ("last blocks", after))
    )
    assert lowest_as_good(photos, [frozen, blocks]).is_trained == is_written


def test_folds_give_fair_answers_where_the_network_has_seen_everything(shop, small, workplace):
    tuned = tuned_network(shop, small, folds=3)
    folds = tuned.card.folds
    assert folds.folds == 3 and folds.reached.n == len(tuned.card.tuned_on)
    assert json.dumps(tuned.to_dict()["folds"])
    learned = [path for path in shop.rglob("*.jpg") if sha(path) in tuned.card.tuned_on]
    Path("learned.csv").write_text("\n".join(["image,label", *(f"{path},{path.parent.name}" for path in learned)]))
    catalogue = read_catalogue("learned.csv", allow_outside=True)
    store = featx.extract(catalogue, backbone="tuned:shop", store="a.h5")
    n = len(learned)
    assert f"learned from all {n} photos; in 3 trainings without them" in featx.fit(store, "knn", folds=2).card.seen
    card = featx.fit(store).card
    assert card.clf == "lda" and card.cv.n == n and card.cv.accuracy == pytest.approx(folds.reached.accuracy, abs=1e-4)
    assert f"learned from {n} of {n} photos: these are scored by trainings that left them out" in card.seen
    judged = featx.find_issues(store)
    assert judged.seen == "" and sum(judged.not_judged.values()) < len(learned) / 2
    answers = find_tuned("tuned:shop").file.with_suffix(".folds")
    answers.write_bytes(answers.read_bytes()[:-1])
    with pytest.raises(FeatxError, match="damaged or not the one its card describes"):
        featx.find_issues(store)


def test_a_fold_has_seen_none_of_the_photos_it_answers_for(shop, small, workplace, monkeypatch):
    from featx.finetuning.training.training import Training

    learned, run_for = [], Training.run_for
    monkeypatch.setattr(
        Training, "run_for", lambda self, *rest: learned.append(set(self.lessons.digests)) or run_for(self, *rest)
    )
    card = tuned_network(shop, small, folds=3).card
    left_out = [set(card.tuned_on) - some for some in learned]
    assert sorted(digest for part in left_out for digest in part) == card.tuned_on


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.long
def test_a_tuned_network_runs_in_int8(shop, small, workplace):
    pytest.importorskip("nncf")
    tuned_network(shop, small)
    photos = sorted(map(str, shop.rglob("*.jpg")))[:8]
    plain = featx.extract(photos, backbone="tuned:shop", store="a.h5")
    small_numbers = featx.extract(photos, backbone="tuned:shop", precision="int8", store="b.h5")
    assert small_numbers.fingerprint.precision == "int8"
    cosines = (unit_rows(plain.features) * unit_rows(small_numbers.features)).sum(axis=1)
    assert cosines.min() > 0.97


@pytest.mark.long
@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "timm:test_resnet.r160_in1k"])
def test_packaged_and_timm_networks_are_tuned_from_end_to_end(shop, workplace, backbone):
    pytest.importorskip("timm" if "timm" in backbone else "torch")
    weights = "random" if "timm" in backbone else None
    options = TuneOptions(epochs=1, views=1, lr=1e-4, keep=True)
    tuned = tune(shop, backbone=backbone, weights=weights, name="shop", options=options)
    assert tuned.file is not None and tuned.ladder[0].name == "frozen"
    store = featx.extract(shop, backbone="tuned:shop", store="a.h5")
    assert store.fingerprint.backbone == "tuned:shop" and len(store) == 36


def test_threads_are_set_for_the_tuning_alone(shop, small, workplace):
    before, during = torch.get_num_threads(), []

    class Watched(TuneEvents):
        def epoch(self, epoch, epochs, *, best):
            during.append(torch.get_num_threads())

    tune(shop, backbone=small, name="shop", options=TuneOptions(**{**QUICK, "threads": before + 1}), events=Watched())
    assert set(during) == {before + 1} and torch.get_num_threads() == before


def test_the_largest_rate_that_leaves_no_more_doubt_is_taken():
    from featx.finetuning.training.training import Training

    def chosen(*doubts: float) -> float:
        left = iter(doubts)
        training = SimpleNamespace(options=TuneOptions(), _doubt_after_an_epoch=lambda rate: next(left))
        return Training._chosen_rate(training)[0]

    assert chosen(1.0, 1.005, 1.2) == 5e-4
    assert chosen(1.0, 0.9, 0.8) == pytest.approx(1.5e-3)
    assert chosen(1.0, float("inf"), float("inf")) == pytest.approx(5e-4 / 3)


def test_a_batch_in_parts_teaches_what_the_whole_batch_does(shop, small, workplace, monkeypatch):
    whole = load_file(str(tuned_network(shop, small, epochs=1).file))
    monkeypatch.setattr("featx.finetuning.training.training.AT_ONCE", 3)
    parts = load_file(str(tuned_network(shop, small, epochs=1, fresh=True).file))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=0, atol=1e-3)
