"""Weights in torch's cache are found, and checked at every load."""

from __future__ import annotations

import json

import pytest

from featx.backbones import weights
from featx.errors import FeatxError
from tests.backbones.weights.serving import BODY, NAME, SHA, put


def test_the_folder_is_torchs_own(monkeypatch, tmp_path):
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.weights_folder() == tmp_path / "torch" / "hub" / "checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "ana"))
    assert weights.weights_folder() == tmp_path / "ana" / ".cache" / "torch" / "hub" / "checkpoints"


def test_a_flipped_bit_is_noticed_at_every_load(folder):
    path = put(folder, f"net-{SHA[:8]}.pth", BODY)
    weights.verify_weights(path)
    data = bytearray(BODY)
    data[500_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(FeatxError, match="damaged"):
        weights.verify_weights(path)
    with pytest.raises(FeatxError, match="damaged"):
        weights.load_state_dict(path)


def test_a_forgery_that_fits_the_published_checksum_is_noticed_once_the_whole_was_seen(folder, tmp_path):
    path = put(folder, NAME, BODY)
    weights.verify_weights(path)
    note = tmp_path / "state" / "featx" / "weights" / f"{NAME}.json"
    assert json.loads(note.read_text())["sha256"] == SHA
    # Finding a real forgery of 32 bits takes hours; noting another digest with the same beginning is the same event.
    note.write_text(json.dumps({"sha256": SHA[:8] + "0" * 56}))
    with pytest.raises(FeatxError, match="has changed since") as caught:
        weights.verify_weights(path)
    assert str(note) in caught.value.hint


def test_a_state_folder_that_cannot_be_written_stops_nobody(folder, tmp_path):
    (tmp_path / "state").write_text("in the way")
    assert weights.verify_weights(put(folder, NAME, BODY)) == SHA
