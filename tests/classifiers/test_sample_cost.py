"""Learning from some of the products: drawn as whole products, in proportion, and the card says what that costs."""

from __future__ import annotations

import numpy as np
import pytest

from featx.classifiers.fit import fit, fit_again
from featx.classifiers.freshness import why_stale
from featx.classifiers.sample_cost import _guess
from featx.labels.training_set import drawn_products, training_set_of
from featx.store import Row, Store, StoreWriter, open_store
from tests.conftest import toy_fingerprint

CATEGORIES, PRODUCTS = 3, 40


def test_products_are_drawn_whole_and_in_proportion() -> None:
    owners = np.array([f"p{i // 2}" for i in range(2000)], dtype=object)
    labels = np.array(["boots" if i < 1500 else "hats" if i < 1980 else "rings" for i in range(2000)])
    drawn = drawn_products(owners, labels, 200, seed=0)
    assert (drawn[::2] == drawn[1::2]).all(), "both photos of a product, or none"
    counts = {label: int(drawn[labels == label].sum()) // 2 for label in ("boots", "hats", "rings")}
    assert counts == {"boots": 150, "hats": 48, "rings": 10}, "a small category keeps a few"
    assert (drawn == drawn_products(owners, labels, 200, seed=0)).all()
    assert (drawn != drawn_products(owners, labels, 200, seed=1)).any()


def shop(tmp_path) -> Store:
    """Products of two photos each, in categories that overlap."""
    random = np.random.default_rng(0)
    rows = [
        Row(f"i{i}", f"{i:04d}.jpg", f"{i:064x}", f"c{i % CATEGORIES}", f"p{i % (CATEGORIES * PRODUCTS)}", None, {},
            (np.eye(CATEGORIES, 6)[i % CATEGORIES] + 0.7 * random.normal(size=6)).astype(np.float32))
        for i in range(2 * CATEGORIES * PRODUCTS)
    ]  # fmt: skip
    with StoreWriter.open(tmp_path / "shop.h5", toy_fingerprint(6)) as writer:
        writer.append(rows)
        writer.seal()
    return open_store(tmp_path / "shop.h5")


def test_a_classifier_of_some_products_says_what_that_costs_and_is_trained_again_so(tmp_path) -> None:
    store = shop(tmp_path)
    model = fit(store, "centroid", folds=3, products=60)
    sample = model.card.sample
    assert sample is not None and sample.of == 120 and 55 <= sample.products <= 65
    assert model.card.n == 2 * sample.products and sample.photos_of == 240
    assert 0.4 < sample.with_half <= 1 and abs(sample.with_all - model.card.cv.accuracy) < 0.01
    assert why_stale(model.card, store) == "", "what was not drawn is not missing"
    again = fit_again(model.card, store)
    assert again.card.sample == sample and again.card.lessons_sha256 == model.card.lessons_sha256
    assert fit(store, "centroid", folds=3, products=500).card.sample is None, "all of them are no sample"
    assert len(training_set_of(store).learn) == 240


def test_features_of_products_that_were_not_drawn_are_not_kept_in_memory(tmp_path) -> None:
    store = shop(tmp_path)
    training = training_set_of(store, products=60)
    assert len(training.store) == len(training.learn) < 140 and training.known_products == 120
    assert "all_views" not in vars(store), "the store itself was read block by block"
    names = [training.store.ids[i] for i in training.learn]
    there = [store.ids.index(name) for name in names]
    assert (training.store.features[training.learn] == store.features[there]).all()
    assert training.labels[training.learn].tolist() == [store.labels[i] for i in there]


def test_held_out_photos_are_scored_whichever_products_are_drawn(tmp_path) -> None:
    rows = [(item.item_id, item) for item in shop(tmp_path).known().values()]
    with StoreWriter.open(tmp_path / "split.h5", toy_fingerprint(6)) as writer:
        features = open_store(tmp_path / "shop.h5").features
        writer.append(
            [Row(name, item.path, item.digest, item.label, item.product, "test" if i % 120 < 30 else "train", {},
                 features[i]) for i, (name, item) in enumerate(rows)]
        )  # fmt: skip
        writer.seal()
    store = open_store(tmp_path / "split.h5")
    whole, some = training_set_of(store), training_set_of(store, products=30)
    assert len(some.store) == len(some.learn) + 60 < len(whole.learn)
    for name in ("features", "truth", "groups"):
        assert (getattr(some.held, name) == getattr(whole.held, name)).all()


def test_a_guess_goes_on_as_the_last_doubling_did_and_promises_nothing_where_that_did_not_help() -> None:
    assert _guess(0.8, 0.9, 4) == pytest.approx(1 - 0.1 * 0.5**2)
    assert _guess(0.9, 0.9, 4) is None and _guess(0.91, 0.9, 4) is None
