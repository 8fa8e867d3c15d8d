"""The backbone nobody named is chosen within seconds, and the choice is explained."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from featx.backbones import default, weights


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("FEATX_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FEATX_OFFLINE", raising=False)
    default.network_trouble.cache_clear()
    monkeypatch.setattr(default, "PATIENCE", 0.3)
    monkeypatch.setattr(weights, "fallback_backbone", lambda: "colour")
    yield
    default.network_trouble.cache_clear()


@pytest.fixture
def silent(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("FEATX_WEIGHTS_MIRROR", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield server


def fail(*_: object, **__: object) -> str:
    pytest.fail("asked the network")


def test_weights_that_are_here_decide(monkeypatch):
    monkeypatch.setattr(weights, "probe_url", fail)
    path = weights.weights_folder() / "resnet50-0676ba61.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    assert default.choose_backbone() == ("resnet50", "resnet50: its weights are on this machine")


def test_weights_that_can_be_fetched_decide_and_a_way_without_is_named(monkeypatch):
    monkeypatch.setattr(weights, "probe_url", lambda *_, **__: "")
    name, reason = default.choose_backbone()
    assert name == "resnet50"
    assert "103 MB" in reason
    assert "--backbone colour" in reason


@pytest.mark.parametrize("spare", ["builtin", "colour"])
def test_with_no_network_the_choice_needs_none_and_says_how_to_get_the_other(monkeypatch, spare):
    monkeypatch.setattr(weights, "probe_url", lambda *_, **__: "the host did not answer (3 s)")
    monkeypatch.setattr(weights, "fallback_backbone", lambda: spare)
    name, reason = default.choose_backbone()
    assert name == spare
    assert reason.startswith(f"{name}: ")
    assert "the host did not answer (3 s)" in reason
    assert "featx weights get resnet50" in reason
    assert "\n" not in reason


def test_offline_asks_nobody(monkeypatch):
    monkeypatch.setenv("FEATX_OFFLINE", "1")
    monkeypatch.setattr(weights, "probe_url", fail)
    name, reason = default.choose_backbone()
    assert name == "colour"
    assert "FEATX_OFFLINE" in reason


def test_a_silent_network_costs_its_seconds_once(silent, monkeypatch):
    first = default.choose_backbone()
    assert first[0] == "colour" and "did not answer (0.3 s)" in first[1]
    silent.setblocking(False)
    silent.accept()[0].close()
    with pytest.raises(BlockingIOError):  # asked once, and waited for once
        silent.accept()
    monkeypatch.setattr(weights, "probe_url", fail)
    assert default.choose_backbone() == first
    default.network_trouble.cache_clear()  # another process, the same artifacts
    assert default.choose_backbone() == first


def test_a_failure_is_believed_for_a_day(silent, monkeypatch, tmp_path):
    default.choose_backbone()
    stamp = tmp_path / "artifacts" / ".no-network.json"
    noted = json.loads(stamp.read_text())
    stamp.write_text(json.dumps(noted | {"at": time.time() - 25 * 3600}))
    default.network_trouble.cache_clear()
    monkeypatch.setattr(weights, "probe_url", lambda *_, **__: "")
    assert default.choose_backbone()[0] == "resnet50"


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"url": 1, "at": "x"}'])
def test_a_damaged_note_is_as_good_as_none(monkeypatch, tmp_path, damage):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / ".no-network.json").write_text(damage)
    monkeypatch.setattr(weights, "probe_url", lambda *_, **__: "")
    assert default.choose_backbone()[0] == "resnet50"


def test_a_folder_that_cannot_be_written_stops_no_choice(silent, tmp_path):
    (tmp_path / "artifacts").write_text("in the way")
    assert default.choose_backbone()[0] == "colour"


def test_choosing_imports_no_torch():
    script = "import sys, featx.backbones.default; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).resolve().parents[2])
