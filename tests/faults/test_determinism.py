"""The same photos give the same features bit for bit, and the same seed the same classifiers, scores and report."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featx import extraction
from featx.catalogue.reading import read_catalogue
from featx.store import open_store
from tests.conftest import photo


def features_by_path(photos: list[str], store: Path, backbone: str, **options: object) -> dict[str, bytes]:
    for old in store.parent.glob(f"{store.name}*"):
        old.unlink()
    request = extraction.ExtractionOptions(
        backbone=backbone, weights="random" if backbone != "colour" else None, **options
    )  # type: ignore[arg-type]
    extraction.run_extraction(read_catalogue(photos), request, store=store)
    opened = open_store(store)
    return {path: opened.features[i].tobytes() for i, path in enumerate(opened.paths)}


@pytest.fixture
def photos(workplace) -> list[str]:
    return [str(photo(Path("photos") / f"p{i}.jpg", seed=i, size=(40 + 7 * i, 64))) for i in range(14)]


ARRANGED = given(order=st.permutations(range(14)), workers=st.integers(1, 6), among=st.integers(1, 14))


def extract_arranged(photos: list[str], order: list[int], workers: int, among: int) -> None:
    """Some photos in some order have the features that they have among all."""
    whole = features_by_path(photos, Path("whole.h5"), "colour", batch_size=4)
    some = [photos[i] for i in order[:among]]
    part = features_by_path(some, Path("part.h5"), "colour", batch_size=4, workers=workers)
    assert part == {path: whole[path] for path in some}


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@ARRANGED
def test_order_workers_and_neighbours_change_no_bit(photos, order, workers, among):
    extract_arranged(photos, order, workers, among)


@pytest.mark.long
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@ARRANGED
def test_many_orders_workers_and_neighbours_change_no_bit(photos, order, workers, among):
    extract_arranged(photos, order, workers, among)


def test_a_network_gives_the_same_bits_in_any_order_and_company(photos):
    whole = features_by_path(photos, Path("whole.h5"), "squeezenet1_1", batch_size=4, engine="torch")
    random.Random(1).shuffle(photos)
    part = features_by_path(photos[:5], Path("part.h5"), "squeezenet1_1", batch_size=4, workers=3, engine="torch")
    assert part == {path: whole[path] for path in photos[:5]}


# What a clock or a meter says may differ, and what follows from it.
MEASURED = {
    "written", "seconds", "peak_memory", "fit_seconds", "predict_seconds", "images_per_second", "hours_per_million",
    "unbeaten", "card_sha256",
}  # fmt: skip


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(inner) for name, inner in value.items() if name not in MEASURED}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


TRAINED = (["extract", "../photos", "-b", "colour"], ["fit", "--clf", "svm", "--folds", "3"])
REPORTED = (["compare", "--clf", "knn", "--folds", "3", "--fast"], ["report", "-o", "report"])


@pytest.mark.parametrize("commands", [TRAINED, pytest.param((*TRAINED, *REPORTED), marks=pytest.mark.long)])
def test_the_same_seed_gives_the_same_files_in_every_process(featx, featx_commands, tmp_path, commands):
    for i in range(27):
        photo(tmp_path / "photos" / f"c{i % 3}" / f"p{i}.jpg", seed=i % 3 * 50 + i)
    runs = []
    for number in ("here", "elsewhere"):
        shop = tmp_path / number
        shop.mkdir()
        if number == "here":
            answers = [featx(*words, cwd=shop) for words in commands]
        else:
            answers = featx_commands(*commands, cwd=shop, PYTHONHASHSEED="2", OMP_NUM_THREADS="1")
        assert [ran.returncode for ran in answers] == [0] * len(commands), answers[-1].stderr
        documents = [*(shop / "artifacts/models").glob("*.json"), *(shop / "artifacts/reports").glob("comparison.json"),
                     *(shop / "report").glob("report.json")]  # fmt: skip
        contents = {path.name: without_times(json.loads(path.read_text())) for path in documents}
        whole = [*(shop / "artifacts/models").glob("*.safetensors"), *(shop / "report").glob("**/*.png"),
                 *(shop / "report").glob("**/*.csv")]  # fmt: skip
        runs.append(contents | {path.name: path.read_bytes() for path in whole})
    assert runs[0].keys() == runs[1].keys() and len(runs[0]) > (8 if commands[2:] else 1)
    assert [name for name in runs[0] if runs[0][name] != runs[1][name]] == []
