"""Tiny grey pictures: the example with scikit-learn's digits does what its page says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from featx.catalogue.reading import read_catalogue
from featx.finetuning import TuneOptions, tune
from tests.conftest import ROOT


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tune_digits", ROOT / "benchmarks" / "tune_digits.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_draws_grey_digits_of_eight_pixels_with_their_categories(example, workplace):
    catalogue = read_catalogue(example.draw_digits(Path("drawn"), 30))
    assert len(catalogue.items) == 30 and len(catalogue.labels) == 10
    assert {item.split for item in catalogue.items} == {"train", "val", "test"}
    with Image.open(catalogue.items[0].path) as picture:
        assert (picture.size, picture.mode) == ((8, 8), "L")


@pytest.mark.long
def test_mobilenet_v2_is_tuned_on_digits_of_eight_pixels(example, workplace):
    listed = example.draw_digits(Path("drawn"), 200)
    options = TuneOptions(depth=1, views=1, epochs=2, val="val", augment="light", size=32, keep=True)
    tuned = tune(str(listed), backbone="mobilenet_v2", weights="random", name="digits", options=options)
    assert "crop_size=[32]" in tuned.card.parent.preprocessing
    assert tuned.card.tested is not None and tuned.card.tested[1].n == 40
    assert tuned.before.accuracy > 0.5  # ten categories; even random kernels tell digits apart
