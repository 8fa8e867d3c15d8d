"""`fit` and `similar` choose the parts of a joined backbone, each by its own measure, and record the choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import featx
from featx.backbones.fingerprint import Fingerprint, join
from featx.classifiers.card import training_command
from featx.classifiers.suited_blocks import suited_blocks as suited_to_categories
from featx.compute.vectors import unit_rows
from featx.labels.training_set import training_set_of
from featx.retrieval import index_of
from featx.retrieval.suited_blocks import suited_blocks as suited_to_look_alikes
from featx.store import Row, Store, StoreWriter, open_store

GOOD = 8


def store_of(path: Path, n: int = 240, products: int | None = None, noise: int = 300) -> Store:
    """Photos of four categories that one part tells apart; the other is so much noise."""
    random = np.random.default_rng(0)
    kinds = np.arange(n) % 4
    good = np.eye(GOOD)[kinds] + random.normal(scale=0.5, size=(n, GOOD))
    features = np.concatenate([unit_rows(good), unit_rows(random.normal(size=(n, noise)))], axis=1)
    widths = {"good": GOOD, "noise": noise}
    parts = [
        Fingerprint.from_dict({"backbone": name, "width": width, "length": "unit"}) for name, width in widths.items()
    ]
    with StoreWriter.open(path, join(parts)) as writer:
        writer.append([
            Row(f"i{i}", f"{i}.jpg", f"{i:064x}", f"kind{kinds[i]}", f"p{i % products}" if products else None, None, {},
                features[i])
            for i in range(n)
        ])  # fmt: skip
        writer.seal()
    return open_store(path)


def test_a_part_that_only_adds_noise_is_left_out_of_look_alikes(tmp_path):
    store = store_of(tmp_path / "a.h5", 1200, noise=8)
    choice = suited_to_look_alikes(store)
    assert choice is not None and choice.blocks == ("good",) and "category" in choice.measure
    index = index_of(store.path)
    assert index.rows.blocks == ("good",) and index.rows.features.shape == (1200, GOOD)
    cached = index_of(store.path)
    assert cached.rows.blocks == ("good",) and cached.block_choice == choice
    np.testing.assert_allclose(cached.rows.features, index.rows.features)
    assert index_of(store.path, ["all"]).rows.features.shape == (1200, GOOD + 8)
    assert index_of(store.path, ["noise"]).rows.blocks == ("noise",)


def test_products_with_several_photos_measure_look_alikes_first(tmp_path):
    choice = suited_to_look_alikes(store_of(tmp_path / "a.h5", 400, products=100))
    assert choice is not None and "product" in choice.measure


def test_fit_chooses_by_its_own_folds_and_records_it(tmp_path):
    store = store_of(tmp_path / "a.h5", 400)
    model = featx.fit(store, "lda", folds=2)
    assert model.fingerprint.backbone == "good" and model.card.blocks == ["good"]
    assert model.card.block_choice is not None and model.card.block_choice["shares"].keys() == {
        "good+noise",
        "good",
        "noise",
    }
    assert "--blocks good" in training_command(model.card)
    everything = featx.fit(store, "lda", folds=2, choose_blocks=False)
    assert everything.fingerprint == store.fingerprint and everything.card.block_choice is None
    chosen = featx.fit(store.with_blocks(["noise"]), "lda", folds=2)
    assert chosen.fingerprint.backbone == "noise" and chosen.card.block_choice is None


@pytest.mark.parametrize("n", [40, 160])
def test_nothing_is_chosen_where_there_is_too_little_to_measure(tmp_path, n):
    store = store_of(tmp_path / "a.h5", n)
    assert suited_to_categories(training_set_of(store)) is None and suited_to_look_alikes(store) is None
    assert index_of(store.path).rows.blocks == ()
