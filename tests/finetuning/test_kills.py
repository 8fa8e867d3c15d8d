"""Killed at any moment, a tuning goes on and ends with the same bytes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

KILLS = int(os.environ.get("FEATX_TEST_KILLS", "50"))
PROGRAM = """
import sys
from featx.backbones import registry
from featx.finetuning import TuneOptions, tune
from tests.finetuning.conftest import small_network
small = registry.BackboneFamily("small", owns=lambda name: name == "small", open=small_network)
registry.FAMILIES = (*registry.FAMILIES[:-3], small, *registry.FAMILIES[-3:])
options = TuneOptions(depth=1, views=2, epochs=12, batch=4, keep=True, patience=99, average="ema")
tune(sys.argv[1], backbone="small", name="shop", options=options)
"""


def started(shop: Path, where: Path) -> subprocess.Popen[bytes]:
    where.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(where / "cache"), "FEATX_OFFLINE": "1"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(shop)], cwd=where, env=environment)


def finished(shop: Path, where: Path) -> bytes:
    assert started(shop, where).wait() == 0
    return (where / "artifacts/tuned/shop.safetensors").read_bytes()


def killed_and_finished(shop: Path, where: Path, moments: list[float]) -> bytes:
    for moment in moments:
        process = started(shop, where)
        time.sleep(moment)
        process.kill()
        process.wait()
    return finished(shop, where)


@pytest.mark.long
def test_killed_at_random_moments_it_ends_with_the_bytes_of_an_undisturbed_one(shop, tmp_path):
    begun = time.monotonic()
    whole = finished(shop, tmp_path / "whole")
    lasted, chance = time.monotonic() - begun, random.Random(0)
    for run in range(max(1, KILLS // 5)):
        moments = [chance.uniform(0.2, 1.1) * lasted for _ in range(5)]
        assert killed_and_finished(shop, tmp_path / f"run{run}", moments) == whole
