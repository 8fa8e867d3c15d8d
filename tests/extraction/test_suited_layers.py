"""`--layer auto` adds the nodes that help, says why, and leaves a store as it is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import featx
from featx.backbones.nodes import candidates_among
from featx.catalogue.items import Item
from featx.catalogue.reading import read_catalogue
from featx.compute.left_out import centred_cosines
from featx.errors import FeatxError
from featx.extraction import ExtractionOptions, run_extraction, suited_layers
from featx.extraction.suited_layers import choose_nodes, sample_of
from featx.labels.seen import Seen
from featx.store import open_store


def test_a_node_that_helps_is_added_and_noise_is_not():
    random = np.random.default_rng(0)
    kinds, n = np.arange(300) % 4, 300
    weak = np.eye(4)[kinds] + random.normal(scale=1.2, size=(n, 4))
    strong = np.eye(4)[kinds] + random.normal(scale=0.5, size=(n, 4))
    cosines = {
        name: centred_cosines(rows.astype(np.float32))
        for name, rows in {"net": weak, "net/noise": random.normal(size=(n, 50)), "net/maps:middle": strong}.items()
    }
    choice = choose_nodes(cosines, ["net"], [f"kind{kind}" for kind in kinds], np.arange(n))
    assert choice.blocks == ("net", "net/maps:middle") and choice.n == n
    usual, better = choice.shares.values()
    assert list(choice.shares) == ["net", "with maps:middle"] and better > usual


def test_a_node_that_only_remembers_what_a_tuned_network_saw_is_not_added():
    random = np.random.default_rng(0)
    kinds, n = np.arange(400) % 4, 400
    seen = np.arange(n) % 2 == 0
    weak = np.eye(4)[kinds] + random.normal(scale=1.0, size=(n, 4))
    remembers = np.where(seen[:, None], 4 * np.eye(4)[kinds], 0) + random.normal(size=(n, 4))
    cosines = {
        name: centred_cosines(rows.astype(np.float32)) for name, rows in {"net": weak, "net/maps": remembers}.items()
    }
    labels, products = [f"kind{kind}" for kind in kinds], np.arange(n)
    assert choose_nodes(cosines, ["net"], labels, products).blocks == ("net", "net/maps")
    choice = choose_nodes(cosines, ["net"], labels, products, ~seen)
    assert choice.blocks == ("net",) and choice.n == n // 2


def test_half_of_the_sample_are_photos_that_a_tuned_network_never_saw(tmp_path):
    items = []
    for i in range(40):
        (tmp_path / f"{i}.jpg").write_bytes(b"\xff\xd8\xff" + bytes([i]))
        items.append(Item(f"i{i}", str(tmp_path / f"{i}.jpg"), "mugs", f"p{i}"))
    digests = [hashlib.sha256(Path(item.path).read_bytes()).hexdigest() for item in items]
    seen = Seen(("tuned:shop",), frozenset(digests[:30]))
    sample = suited_layers.with_unseen(items, seen, 10)
    assert len(sample) == 10 and seen.rows([item.digest for item in sample]).sum() == 5


def test_candidates_are_the_last_maps_and_the_ends_of_the_last_stages():
    shapes = {
        "conv1": (64, 112, 112), "layer1.0.relu": (64, 56, 56), "layer1.1.relu": (64, 56, 56),
        "layer2.1.relu": (128, 28, 28), "layer3.1.relu": (256, 14, 14), "layer4.1.relu": (512, 7, 7),
        "avgpool": (512, 1, 1), "flatten": (512,),
    }  # fmt: skip
    names = [str(node) for node in candidates_among(shapes)]
    assert names[:5] == ["maps:middle", "maps:spread", "layer3", "layer3:middle", "layer3:spread"]
    assert not any(name.startswith("layer4") for name in names) and len(names) <= 11
    assert candidates_among({"layers.0.add": (197, 768), "head": (1000,)}) == ()


def test_the_sample_takes_whole_products_and_leaves_held_out_photos_alone():
    items = [
        Item(f"i{i}", f"{i}.jpg", "mugs" if i % 9 else None, f"p{i // 3}", "val" if i > 80 else "train")
        for i in range(90)
    ]
    sample = sample_of(items, 30)
    assert all(item.label and item.split == "train" for item in sample) and len(sample) == 30
    products = [item.product for item in sample]
    assert products == [
        products[i] for i in np.argsort([products.index(product) for product in products], kind="stable")
    ]


def test_the_choice_is_recorded_and_a_later_run_keeps_the_layers(workplace, folder, monkeypatch):
    monkeypatch.setattr(suited_layers, "FEWEST", 8)
    options = ExtractionOptions("colour+squeezenet1_1", weights="random", layer="auto", device="cpu")
    report = run_extraction(read_catalogue(folder), options)
    assert report.layer_choice is not None and report.to_dict()["layer_choice"]["n"] == 12
    made = open_store(report.store)
    assert made.provenance["layer_choice"] == report.layer_choice.to_dict()
    assert made.fingerprint.backbone == "colour+squeezenet1_1" and len(made.blocks) == len(report.layer_choice.blocks)
    again = run_extraction(read_catalogue(folder), options)
    assert again.unchanged == 12 and open_store(report.store).provenance["layer_choice"]


def test_too_few_labelled_photos_keep_the_usual_layer_and_say_so(workplace, folder):
    suited = suited_layers.suited_layers(
        read_catalogue(folder), "squeezenet1_1", ExtractionOptions(layer="auto"), lambda done: None
    )
    assert (suited.name, suited.choice) == ("squeezenet1_1", None)
    assert "12 photos have a category, 200 are needed" in suited.reason


@pytest.mark.parametrize(("backbone", "pool"), [("colour", None), ("resnet18", "max")])
def test_auto_where_there_is_nothing_to_choose_is_refused(workplace, folder, backbone, pool):
    with pytest.raises(FeatxError) as caught:
        featx.extract(folder, backbone=backbone, layer="auto", pool=pool)
    assert caught.value.code == "bad-flag" and caught.value.hint
