"""A weights file is read as plain numbers: no code in it runs, no damage passes for weights."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featx.backbones import weights
from featx.errors import FeatxError
from tests.backbones.weights.serving import put

SQUEEZENET = Path(__file__).resolve().parents[3] / "../shared/weights/squeezenet1_0_imagenet_dc-46c89ed6.pth"

torch = pytest.importorskip("torch")


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


TENSORS = {"features.0.weight": torch.arange(6.0).reshape(2, 3), "features.0.bias": torch.ones(2)}


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".PTH", ".safetensors"])
def test_tensors_come_back_as_they_were_saved(tmp_path, suffix):
    from safetensors.torch import save

    path = tmp_path / f"mine{suffix}"
    path.write_bytes(save(TENSORS) if suffix == ".safetensors" else saved(TENSORS))
    assert same(weights.load_state_dict(path), TENSORS)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_training_checkpoint_gives_its_weights(tmp_path, key):
    path = put(tmp_path, "mine.pth", saved({"epoch": 3, key: {f"module.{name}": t for name, t in TENSORS.items()}}))
    assert same(weights.load_state_dict(path), TENSORS)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_bomb_is_refused_and_does_not_run(tmp_path, monkeypatch, legacy):
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1), "b": Bomb()}, buffer, _use_new_zipfile_serialization=not legacy)
    path = put(tmp_path, "bomb.pth", buffer.getvalue())
    with pytest.raises(FeatxError, match=r"more than weights.*system.*none of it was run") as caught:
        weights.load_state_dict(path)
    assert caught.value.code == "weights-broken"
    assert "\n" not in caught.value.message
    assert not (tmp_path / "exploded").exists()
    torch.load(path, weights_only=False)  # the bomb is live: only the way it is read kept it from going off
    assert (tmp_path / "exploded").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_bomb_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path, "bomb.pt", pickle.dumps(Bomb()))
    with pytest.raises(FeatxError) as caught:
        weights.load_state_dict(path)
    assert caught.value.code == "weights-broken"
    assert not (tmp_path / "exploded").exists()


def test_a_bomb_under_a_published_name_is_not_even_parsed(folder, monkeypatch):
    path = put(folder, "resnet50-0676ba61.pth", saved(Bomb()))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("parsed before it was checked"))
    with pytest.raises(FeatxError, match="begins with"):
        weights.load_state_dict(path)


def test_the_digest_a_caller_knows_is_checked_too(tmp_path):
    data = saved(TENSORS)
    path = put(tmp_path, "mine.pth", data)
    assert weights.load_state_dict(path, sha256_prefix=hashlib.sha256(data).hexdigest())
    with pytest.raises(FeatxError, match="damaged"):
        weights.load_state_dict(path, sha256_prefix="00" * 32)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.pth", b""),
        ("text.pth", b"<html>not found</html>"),
        ("cut.pth", saved(TENSORS)[:-200]),
        ("list.pth", saved([torch.ones(2)])),
        ("words.pth", saved({"a": "word"})),
        ("none.pth", saved({})),
        ("numbers.pth", saved({1: torch.ones(2)})),
        ("empty.safetensors", b""),
        ("huge.safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
        ("text.safetensors", b"<html>not found</html>"),
    ],
)
def test_what_is_no_state_dict_is_refused_in_words(tmp_path, name, data):
    with pytest.raises(FeatxError, match="cannot be read as weights") as caught:
        weights.load_state_dict(put(tmp_path, name, data))
    assert caught.value.code == "weights-broken"


@pytest.mark.parametrize(
    ("name", "code"), [("none.pth", "no-such-file"), ("a.pkl", "bad-flag"), ("dir.pth", "weights-broken")]
)
def test_what_is_no_weights_file_is_named(tmp_path, name, code):
    (tmp_path / "dir.pth").mkdir()
    with pytest.raises(FeatxError) as caught:
        weights.load_state_dict(tmp_path / name)
    assert caught.value.code == code


@pytest.mark.parametrize("given", [None, "random", "IMAGENET1K_V1"])
def test_a_weights_name_is_not_taken_for_a_file(given):
    assert weights.weights_file(given) is None


def test_a_weights_file_is_told_by_its_suffix_or_by_being_there(tmp_path):
    present = put(tmp_path, "mine", b"")
    assert weights.weights_file("absent.PTH") == Path("absent.PTH")
    assert weights.weights_file(str(present)) == present


@pytest.mark.reality
def test_real_weights_are_read_and_checked():
    if not SQUEEZENET.is_file():
        pytest.skip("the shared squeezenet weights are not here")
    tensors = weights.load_state_dict(SQUEEZENET)
    assert sum(tensor.numel() for tensor in tensors.values()) == 1_248_424


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_no_damage_ends_in_anything_but_tensors_or_a_refusal(tmp_path, suffix):
    from safetensors.torch import save

    whole = save(TENSORS) if suffix == ".safetensors" else saved(TENSORS)
    path = tmp_path / f"mine{suffix}"

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(1, 255)), max_size=4), st.integers(0, 64))
    def damaged(flips, cut):
        data = bytearray(whole)
        for at, change in flips:
            data[at] ^= change
        path.write_bytes(data[: len(data) - cut])
        try:
            tensors = weights.load_state_dict(path)
        except FeatxError as error:
            assert error.code == "weights-broken"
        else:
            assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())

    damaged()


def test_a_torchscript_file_is_called_a_program_with_the_way_to_a_state_dict(tmp_path):
    path = tmp_path / "clip.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("clip/data.pkl", b"")
        file.writestr("clip/code/__torch__.py", "class Network(Module):\n" * 9)
    with pytest.raises(FeatxError, match=r"a TorchScript program\); none of it was run") as caught:
        weights.load_state_dict(path)
    assert caught.value.code == "weights-broken" and "state dict alone" in caught.value.hint
