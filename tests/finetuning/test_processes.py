"""Two processes that `torchrun` starts train the same network as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from featx.finetuning.cut.processes import ALONE, Processes, place_of
from tests.conftest import ROOT

PROGRAM = """
import sys
from featx.backbones import registry
from featx.finetuning import TuneOptions, tune
from tests.finetuning.conftest import small_network
small = registry.BackboneFamily("small", owns=lambda name: name == "small", open=small_network)
registry.FAMILIES = (*registry.FAMILIES[:-3], small, *registry.FAMILIES[-3:])
options = TuneOptions(depth=1, views=1, epochs=3, batch=7, lr=0.01, keep=True, patience=99)
print(tune(sys.argv[1], backbone="small", name="shop", options=options).file)
"""


@pytest.mark.parametrize("photos", [0, 1, 2, 7, 64])
def test_every_photo_of_a_batch_belongs_to_one_process(photos):
    shares = [Processes(rank, 3).share(photos) for rank in range(3)]
    assert [i for share in shares for i in share] == list(range(photos))
    assert list(ALONE.share(photos)) == list(range(photos))


def test_a_process_that_follows_leaves_nothing_behind(tmp_path):
    with place_of(Processes(1, 2), tmp_path) as place:
        place.mkdir()
    assert place != tmp_path and not list(tmp_path.iterdir())


def tuned(shop: Path, where: Path, *start: str) -> dict[str, torch.Tensor]:
    where.mkdir()
    (where / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(where / "cache"), "FEATX_OFFLINE": "1"}
    command = [sys.executable, *start, "program.py", str(shop)]
    ran = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.split()) == {"artifacts/tuned/shop.safetensors"}
    assert not list((where / "artifacts/tuned").glob(".process*"))
    return load_file(where / "artifacts/tuned/shop.safetensors")


@pytest.mark.long
def test_two_processes_write_the_network_that_one_writes(shop, tmp_path):
    one = tuned(shop, tmp_path / "one")
    two = tuned(shop, tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-5)
