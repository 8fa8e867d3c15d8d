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
from featx.metrics.block_choice import BlockChoice
from featx.retrieval import SimilarityIndex, index_of
from featx.retrieval.cache import open_cached, write_cache
from featx.retrieval.engines.exact import ExactRescorer, similarities
from featx.retrieval.rows import IndexRows
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


def test_a_block_that_finds_look_alikes_better_counts_more_and_not_in_an_index_of_named_blocks(tmp_path):
    store = store_of(tmp_path / "a.h5", 60, noise=8)
    plain, heavy = IndexRows.of_store(store), IndexRows.of_store(store, (4.0, 1.0))
    rows = slice(0, 60)
    good, noise = unit_rows(store.features[:, :GOOD]), unit_rows(store.features[:, GOOD:])
    wanted = (4 * good @ good.T + noise @ noise.T) / 5
    np.testing.assert_allclose(heavy.unit_rows(rows) @ heavy.unit_rows(rows).T, wanted, atol=1e-5)
    np.testing.assert_allclose(similarities(heavy, store.features[3]), wanted[3], atol=1e-5)
    _, similarity = ExactRescorer(heavy, store.features[3], "best", np.ones(60, dtype=bool)).product(
        int(heavy.codes[5])
    )
    assert similarity == pytest.approx(wanted[3, 5], abs=1e-5) and plain.stretch is None
    index = SimilarityIndex(heavy, block_choice=BlockChoice(("good", "noise"), "m", 300, {}, (4.0, 1.0)))
    assert write_cache(store, index)
    cached = open_cached(store.path)
    assert cached is not None and cached.rows.weights == (4.0, 1.0) and cached.rows.stretch is not None
    np.testing.assert_allclose(cached.similarities(store.features[3]), wanted[3], atol=1e-5)
    assert index_of(store.path, ["all"]).rows.weights == ()
