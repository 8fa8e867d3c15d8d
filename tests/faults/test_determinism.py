"""The same photos give the same features bit for bit, whatever the order, the workers and the neighbours."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conftest import photo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx import extraction
from featx.catalogue import read_catalogue
from featx.store import open_store


def features_by_path(photos: list[str], store: Path, backbone: str, **asked: object) -> dict[str, bytes]:
    for old in store.parent.glob(f"{store.name}*"):
        old.unlink()
    request = extraction.Request(backbone=backbone, weights="random" if backbone != "colour" else None, **asked)  # type: ignore[arg-type]
    extraction.run_extraction(read_catalogue(photos), request, store=store)
    opened = open_store(store)
    return {path: opened.features[i].tobytes() for i, path in enumerate(opened.paths)}


@pytest.fixture
def photos(workplace) -> list[str]:
    return [str(photo(Path("photos") / f"p{i}.jpg", seed=i, size=(40 + 7 * i, 64))) for i in range(14)]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(order=st.permutations(range(14)), workers=st.integers(1, 6), among=st.integers(1, 14))
def test_order_workers_and_neighbours_change_no_bit(photos, order, workers, among):
    whole = features_by_path(photos, Path("whole.h5"), "colour", batch_size=4)
    some = [photos[i] for i in order[:among]]
    part = features_by_path(some, Path("part.h5"), "colour", batch_size=4, workers=workers)
    assert part == {path: whole[path] for path in some}


def test_a_network_gives_the_same_bits_in_any_order_and_company(photos):
    whole = features_by_path(photos, Path("whole.h5"), "squeezenet1_1", batch_size=4, engine="torch")
    random.Random(1).shuffle(photos)
    part = features_by_path(photos[:5], Path("part.h5"), "squeezenet1_1", batch_size=4, workers=3, engine="torch")
    assert part == {path: whole[path] for path in photos[:5]}
