"""The default backbone is the best measured one that is ready on this machine, and the choice is explained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from featx.backbones import default
from featx.backbones.default import Quality

RANKED = ["builtin+efficientnet_lite2", "efficientnet_lite2", "efficientnet_lite0", "builtin"]


@pytest.fixture
def ready(monkeypatch):
    """What is ready on this machine; the test fills it."""
    monkeypatch.setattr("featx.backbones.weights.fallback_backbone", lambda: "colour")
    names: set[str] = set()
    monkeypatch.setattr(default, "is_ready", names.__contains__)
    shares = [0.9, 0.8, 0.7, 0.6]
    qualities = [Quality(name, *[share] * 3) for name, share in zip(RANKED, shares, strict=True)]
    monkeypatch.setattr(default, "measured_qualities", lambda: qualities)
    return names


@pytest.mark.parametrize(
    ("here", "taken"),
    [(RANKED, RANKED[0]), (["efficientnet_lite2"], "efficientnet_lite2"), (["builtin", "efficientnet_lite0"],
     "efficientnet_lite0"), (["builtin"], "builtin"), ([], "colour")],
)  # fmt: skip
def test_the_best_that_is_ready_is_taken(ready, here, taken):
    ready.update(here)
    assert default.choose_backbone()[0] == taken


def test_the_best_of_all_says_what_it_reached(ready):
    ready.update(RANKED)
    _, reason = default.choose_backbone()
    assert reason.startswith("builtin+efficientnet_lite2: ") and "90%" in reason and "pip" not in reason


def test_another_one_says_how_to_get_the_best(ready):
    ready.add("builtin")
    _, reason = default.choose_backbone()
    assert "60%" in reason and "90%" in reason and 'pip install "featx[imagenet]"' in reason and "\n" not in reason


def test_the_measured_table_ranks_what_can_be_opened():
    names = [quality.backbone for quality in default.measured_qualities()]
    assert names == RANKED
    assert all(0.3 < quality.mean < 1 for quality in default.measured_qualities())


def test_weights_that_are_missing_are_not_ready(monkeypatch):
    monkeypatch.setattr("featx.backbones.weights.builtin_weights", lambda: None)
    assert not default.is_ready("builtin") and default.is_ready("colour")
    monkeypatch.setattr(default, "backbone_rows", lambda: [{"name": "efficientnet_lite2", "here": False}])
    assert not default.is_ready("efficientnet_lite2")


def test_choosing_imports_no_torch():
    script = (
        "import sys; from featx.backbones.default import choose_backbone as c; c(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).resolve().parents[2])
