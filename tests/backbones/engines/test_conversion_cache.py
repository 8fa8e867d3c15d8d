"""Converted networks are kept between runs; a kept one never changes an answer."""

from __future__ import annotations

import hashlib
import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from featx.backbones import open_backbone
from featx.backbones.engines import conversion_cache, openvino_engine
from featx.backbones.network_encoder import NetworkEncoder
from tests.conftest import made_once

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")


def pictures(count=5):
    random = np.random.default_rng(1)
    return [Image.fromarray(random.integers(0, 256, (240, 250, 3), dtype=np.uint8)) for _ in range(count)]


def opened(name="squeezenet1_1", engine="openvino", **options):
    backbone = open_backbone(name, weights=None if name == "builtin" else "random", device="cpu", **options)
    backbone.use_engine(engine, photos=options.pop("photos", 1), batch_size=4)
    return backbone


def features(backbone):
    return backbone.features([backbone.prepare(picture) for picture in pictures()])


CONVERTED = {}


def converted_once(module, example, convert=openvino_engine.converted):
    """Converting takes seconds: the same network is converted once for all tests of a process."""
    tensors = [tensor.numpy().tobytes() for tensor in module.state_dict().values()]
    key = hashlib.sha256(b"".join([repr((module, example.shape)).encode(), *tensors])).digest()
    if key not in CONVERTED:
        CONVERTED[key] = convert(module, example)
    return CONVERTED[key]


@pytest.fixture
def conversions(monkeypatch):
    done = []
    monkeypatch.setattr(openvino_engine, "converted", lambda *words: done.append(1) or converted_once(*words))
    return done


@pytest.fixture
def kept_before(tmp_path_factory, no_network_kept, monkeypatch):
    """The network of `opened()`, as an earlier run kept it."""

    def make(folder):
        with monkeypatch.context() as patch:
            patch.setattr(conversion_cache, "conversions_folder", lambda: folder)
            patch.setattr(openvino_engine, "converted", converted_once)
            opened()

    shutil.copytree(made_once(tmp_path_factory, "one-network", make), no_network_kept)


@pytest.mark.parametrize("name", ["squeezenet1_1", pytest.param("builtin", marks=pytest.mark.long)])
def test_a_kept_network_gives_the_same_bytes_without_converting_again(conversions, name):
    first, again = features(opened(name)), features(opened(name))
    assert first.tobytes() == again.tobytes() and len(conversions) == 1


@pytest.mark.long
def test_each_set_of_weights_keeps_a_network_of_its_own(kept_before, conversions, no_network_kept):
    changed = open_backbone("squeezenet1_1", weights="random", device="cpu")
    with torch.no_grad():
        next(changed.network.parameters()).add_(1)
    changed.use_engine("openvino", photos=1, batch_size=4)
    assert len(conversions) == 1 and len(list(no_network_kept.iterdir())) == 2


@pytest.mark.long
def test_each_precision_and_layer_keeps_a_network_of_its_own(kept_before, conversions, no_network_kept):
    opened(), opened(precision="bf16"), opened(layer="features.3")
    assert len(conversions) == 2 and len(list(no_network_kept.iterdir())) == 3


@pytest.mark.parametrize(
    "harm",
    ["flipped", *(pytest.param(harm, marks=pytest.mark.long) for harm in ("folder", "cut", "empty", "foreign"))],
)
def test_a_damaged_or_foreign_entry_is_made_anew(kept_before, conversions, no_network_kept, harm):
    whole = features(opened())
    (path,) = no_network_kept.iterdir()
    data = bytearray(path.read_bytes())
    if harm == "flipped":
        data[-7] ^= 1
    elif harm == "cut":
        del data[len(data) // 2 :]
    elif harm == "empty":
        data.clear()
    elif harm == "foreign":
        other = conversion_cache.ConvertedNetwork(b"<net/>", b"")
        conversion_cache.store_conversion({"made": "otherwise"}, other)
        data = bytearray(conversion_cache.path_of({"made": "otherwise"}).read_bytes())
    path.unlink() if harm == "folder" else path.write_bytes(data)
    if harm == "folder":
        path.mkdir()
    assert features(opened()).tobytes() == whole.tobytes() and len(conversions) == 1
    assert features(opened()).tobytes() == whole.tobytes() and len(conversions) == (2 if harm == "folder" else 1)


def test_a_kept_network_that_answers_otherwise_than_it_did_is_made_anew(kept_before, conversions, monkeypatch):
    whole = features(opened())
    real = openvino_engine.OpenVinoEngine.__call__
    turns = iter([True])
    monkeypatch.setattr(
        openvino_engine.OpenVinoEngine,
        "__call__",
        lambda self, batch: real(self, batch)[:, ::-1].copy() if next(turns, False) else real(self, batch),
    )
    assert features(opened()).tobytes() == whole.tobytes() and len(conversions) == 1


@pytest.mark.long
def test_a_cache_that_cannot_be_written_only_costs_time(conversions, no_network_kept):
    no_network_kept.write_text("in the way")
    assert features(opened()).tobytes() == features(opened()).tobytes() and len(conversions) == 2


def test_networks_unused_for_longest_go_when_there_are_too_many(monkeypatch, no_network_kept):
    monkeypatch.setattr(conversion_cache, "MOST_BYTES", 5000)
    for number in range(4):
        conversion_cache.store_conversion({"number": number}, conversion_cache.ConvertedNetwork(b"text", bytes(2000)))
        os.utime(conversion_cache.path_of({"number": number}), (number, number))
        if number == 2:
            assert conversion_cache.read_conversion({"number": 1}) is not None  # which counts as used just now
    here = [number for number in range(4) if conversion_cache.read_conversion({"number": number}) is not None]
    assert here == [1, 3]


def test_auto_takes_a_kept_network_for_fewer_photos(kept_before, conversions, no_network_kept):
    few = NetworkEncoder.worth_reading
    assert [chosen_engine(few - 1), chosen_engine(few)] == ["torch", "openvino"] and not conversions
    shutil.rmtree(no_network_kept)
    assert chosen_engine(few) == "torch"


def chosen_engine(photos):
    backbone = open_backbone("squeezenet1_1", weights="random", device="cpu")
    backbone.use_engine("auto", photos=photos, batch_size=4)
    return backbone.spec.engine


def test_a_photos_numbers_are_the_same_in_batches_of_every_size(kept_before):
    backbone = opened()
    prepared = [backbone.prepare(picture) for picture in pictures(9)]
    whole = backbone.features(prepared)
    for size in (1, 3, 4, 8):
        parts = [backbone.features(prepared[at : at + size]) for at in range(0, 9, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
