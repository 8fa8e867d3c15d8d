"""timm's networks: listed by name, opened without asking the hub twice, and refused in a sentence offline."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from featx.backbones import open_backbone, timm_networks
from featx.backbones.registry import local_backbones
from featx.backbones.timm_networks import HubWeights
from featx.comparison.local_backbones import cheap_first
from featx.errors import FeatxError
from tests.conftest import Run, command_environment

# Timm's own networks for tests: a few hundred kilobytes each.
SMALL = "test_resnet.r160_in1k"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and a hub where nobody listens."""
    pytest.importorskip("timm")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("FEATX_OFFLINE", "0")
    return tmp_path / "hub"


def test_without_the_hub_it_fails_at_once_and_names_the_file_to_bring(hub, monkeypatch):
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("timm would try again and again"))
    with pytest.raises(FeatxError, match="cannot be reached") as refused:
        open_backbone(f"timm:{SMALL}")
    assert refused.value.code == "weights-missing"
    assert f"http://127.0.0.1:9/timm/{SMALL}/resolve/main/model.safetensors" in refused.value.hint
    assert "`--weights FILE`" in refused.value.hint


def test_offline_nobody_is_asked(hub, monkeypatch):
    monkeypatch.setenv("FEATX_OFFLINE", "1")
    monkeypatch.setattr("featx.backbones.timm_networks.probe_url", lambda *_, **__: pytest.fail("asked the network"))
    with pytest.raises(FeatxError, match="`FEATX_OFFLINE` forbids downloads"):
        open_backbone(f"timm:{SMALL}")


@pytest.mark.parametrize("offline", ["0", "1"])
def test_what_cannot_be_had_is_refused_without_importing_torch_or_timm(tmp_path, offline):
    pytest.importorskip("timm")
    program = (
        "import sys; from featx.backbones import open_backbone; from featx.errors import FeatxError\n"
        "try: open_backbone('timm:resnet18')\n"
        "except FeatxError as error: print(error.code, error.hint, {'torch', 'timm'} & sys.modules.keys())"
    )
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "FEATX_OFFLINE": offline}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=command_environment(environment),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.stdout.startswith("weights-missing") and ran.stdout.strip().endswith("set()"), ran.stdout + ran.stderr
    assert "http://127.0.0.1:9/timm/resnet18.a1_in1k/resolve/main/model.safetensors" in ran.stdout


def test_the_list_of_tags_names_what_timm_takes_by_default():
    """Generated with one version of timm; where another takes other weights, timm itself is asked."""
    timm = pytest.importorskip("timm")
    assert HubWeights.listed("no_such_network") is None and HubWeights.listed("resnet18.no_such_tag") is None
    assert HubWeights.listed("resnet18.a1_in1k").repository == "timm/resnet18.a1_in1k"
    record = json.loads(Path(timm_networks.__file__).with_name("timm_tags.json").read_text("utf-8"))
    if timm.__version__ == record["timm"]:
        for name in ("resnet18", "vit_base_patch16_224", "efficientnet_b0", SMALL.partition(".")[0]):
            assert HubWeights.listed(name) == HubWeights.of(name)


def test_what_was_downloaded_before_is_used_without_the_hub(hub):
    import timm
    from safetensors.torch import save_file

    folder = hub / f"models--timm--{SMALL}"
    (folder / "snapshots/a").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("a")
    save_file(timm.create_model(SMALL).state_dict(), folder / "snapshots/a/model.safetensors")
    assert HubWeights.of(SMALL).file == folder / "snapshots/a/model.safetensors"
    assert open_backbone(f"timm:{SMALL}").fingerprint.weights == "pretrained"
    # It is one of the backbones of this machine, for lists and for `compare -b all-local`.
    assert f"timm:{SMALL}" in local_backbones() and cheap_first()[-1] == f"timm:{SMALL}"


def test_an_interrupted_download_is_no_backbone_of_this_machine(hub):
    (hub / f"models--timm--{SMALL}" / "snapshots/a").mkdir(parents=True)
    assert f"timm:{SMALL}" not in local_backbones()


def test_timm_is_listed_by_a_pattern_and_a_mistyped_name_leads_there(featx: Run):
    pytest.importorskip("timm")
    rows = [json.loads(line) for line in featx("backbones", "timm", "resnet18*a1*", "--json").stdout.splitlines()]
    assert "timm:resnet18.a1_in1k" in [row["name"] for row in rows]
    assert all(row["name"].startswith("timm:resnet18") for row in rows)
    clip = featx("backbones", "timm", "vit_base_patch32_clip", "--json").stdout.splitlines()
    assert clip and all("clip" in json.loads(line)["name"] for line in clip)
    none = featx("backbones", "timm", "no such network")
    assert none.returncode == 2 and "no network of timm matches `no such network`" in none.stderr


def test_without_timm_the_command_that_installs_it_is_named(featx: Run, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    ran = featx("backbones", "timm")
    assert (ran.returncode, 'pip install "featx[timm]"' in ran.stderr) == (4, True)
