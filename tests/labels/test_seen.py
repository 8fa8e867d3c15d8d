"""What a tuned network learned from is in no score, whoever scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

import featx
from featx.backbones.fingerprint import Fingerprint, join
from featx.backbones.tuned_card import Parent, Reached, TunedCard
from featx.catalogue.items import Item
from featx.comparison.alignment import align
from featx.comparison.candidates import make_plan
from featx.comparison.scoring import scored_folds
from featx.compute.vectors import unit_rows
from featx.errors import FeatxError
from featx.labels.seen import seen_by, seen_rows
from featx.labels.training_set import training_set_of
from featx.retrieval.suited_blocks import suited_blocks
from featx.store import Store
from featx.store.in_memory import store_in_memory

SHA = "a" * 64


def write_card(width: int, learned: list[str]) -> None:
    """The card of `tuned:shop`, which learned from these photos."""
    reached = Reached(0.5, 0.4, 0.6, 10, "lda")
    parent = Parent("colour", "", "", "", width)
    card = TunedCard(
        1, "shop", SHA, parent, "x", {}, 0, {}, ["a", "b"], reached, reached, (0, 0, 0, 1), [], learned, [], "now"
    )
    folder = Path("artifacts/tuned")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "shop.json").write_bytes(msgspec.json.encode(card))
    (folder / "shop.safetensors").write_bytes(b"")


def tuned_store(store: Store, learned: list[str], split: str | None = "train") -> Store:
    """The rows as if a tuned network had made them, which learned from these photos."""
    write_card(store.width, learned)
    items = [item if split is None else replace(item, split=split) for item in store.known().values()]
    made_by = replace(store.fingerprint.known_as("tuned:shop", "tuned"), weights_sha256=SHA)
    return store_in_memory("shop.h5", items, np.array(store.features), made_by, store.provenance)


def halves(store: Store) -> tuple[list[str], list[str]]:
    """The photos of the first product of each two, and the others."""
    first = [d for i, d in enumerate(store.digests) if int(store.product_of(i)[-1]) % 2]
    return first, [digest for digest in store.digests if digest not in first]


def test_an_ordinary_store_has_no_seen_rows(colour_shop):
    assert not seen_rows(colour_shop).any()
    assert seen_by(colour_shop.fingerprint).note(0, 30) == ""


def test_cross_validation_of_fit_counts_only_photos_the_network_never_saw(colour_shop, workplace):
    learned, fair = halves(colour_shop)
    card = featx.fit(tuned_store(colour_shop, learned), "lda", folds=2).card
    assert card.cv.n == len(fair) < len(colour_shop)
    assert card.seen == f"tuned:shop learned from {len(learned)} of 30 photos: these are in no score"
    # It still learns from all of them.
    assert card.n == 30


def test_seen_photos_of_a_test_split_are_not_held_out(colour_shop, workplace):
    test = [d for d, split in zip(colour_shop.digests, colour_shop.splits, strict=True) if split == "test"]
    held = training_set_of(tuned_store(colour_shop, test[:2], split=None)).held
    assert len(held) == len(test) - 2 and held.seen == 2


def test_where_all_were_seen_there_is_no_score(colour_shop, workplace):
    store = tuned_store(colour_shop, colour_shop.digests)
    card = featx.fit(store, "lda").card
    assert card.cv.n == 0 and card.test is None
    assert card.seen == "no fair score: tuned:shop learned from all 30 photos"
    assert card.automation.coverage is None
    with pytest.raises(FeatxError, match="a tuned network has seen all 30 photos"):
        featx.compare(store, ["lda"])


def test_without_its_card_nobody_can_say_so_everything_counts_as_seen(colour_shop, workplace):
    store = tuned_store(colour_shop, [])
    Path("artifacts/tuned/shop.json").unlink()
    assert seen_rows(store).all()
    assert "the card of tuned:shop, which lists what it learned from, is not here" in featx.fit(store, "lda").card.seen


def test_compare_scores_parent_and_child_on_the_same_unseen_photos(colour_shop, workplace):
    learned, fair = halves(colour_shop)
    plain = tuned_store(colour_shop, learned)
    parent = store_in_memory(
        "parent.h5", list(plain.known().values()), np.array(colour_shop.features), colour_shop.fingerprint, {}
    )
    document = featx.compare([parent, plain], ["lda"], folds=2, retrieval=False).document
    assert any("these are in no score" in note for note in document.notes)
    aligned = align([parent, plain])
    plan = replace(make_plan(aligned.learned_labels, aligned.groups, 2, 1, 0), seen=aligned.seen)
    scored = [digest for (_, rows), kept in zip(plan.folds, scored_folds(plan), strict=True) for digest in rows[kept]]
    assert {aligned.digests[i] for i in scored} == set(fair) and len(scored) == len(fair)


def test_a_network_does_not_defend_the_labels_it_learned(colour_shop, workplace):
    items = list(colour_shop.known().values())
    wrong = items[0]
    changed = [replace(wrong, label="mugs"), *items[1:]]
    swapped = store_in_memory("a.h5", changed, np.array(colour_shop.features), colour_shop.fingerprint, {})
    judged = featx.find_issues(tuned_store(swapped, [wrong.digest]))
    assert wrong.item_id not in [issue.item_id for issue in judged if issue.why == "look"]
    copies = colour_shop.digests.count(wrong.digest)
    assert f"tuned:shop learned from {copies} of 30 photos" in judged.seen
    assert json.dumps(judged.to_dict()["seen"])


def test_the_parts_that_find_look_alikes_are_chosen_on_photos_no_network_saw(workplace):
    """A part that remembers what it saw, and knows nothing else, would be taken for the better one."""
    random = np.random.default_rng(0)
    n = 600
    kinds, seen = np.arange(n) % 5, np.arange(n) % 3 > 0
    plain = unit_rows((np.eye(5)[kinds] + random.normal(scale=0.45, size=(n, 5))).astype(np.float32))
    remembers = np.where(seen[:, None], np.eye(5)[kinds], random.normal(size=(n, 5)))
    items = [Item(f"i{i}", f"{i}.jpg", f"kind{kinds[i]}", f"p{i}", digest=f"{i:064x}") for i in range(n)]
    parts = [
        Fingerprint("colour", "", "", "", "", "", "fp32", 5),
        Fingerprint("tuned:shop", "tuned", SHA, "", "", "", "fp32", 5),
    ]
    rows = np.hstack([plain, unit_rows(remembers.astype(np.float32))])
    store = store_in_memory("joined.h5", items, rows, join(parts), {})
    write_card(5, [item.digest for item in np.array(items, dtype=object)[seen]])
    choice = suited_blocks(store)
    assert choice is not None and choice.blocks == ("colour",) and choice.n == n // 3
    write_card(5, [])
    choice = suited_blocks(store)
    assert choice is not None and "tuned:shop" in choice.blocks
