"""A weights file says by its tensors which network it was made for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from featx.backbones.architectures import networks_with, recognise_network
from featx.backbones.torchvision_networks import build
from featx.errors import FeatxError
from tests.conftest import Run


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    import torch

    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build(name).state_dict().items()}


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "densenet121", "squeezenet1_0", "squeezenet1_1"])
def test_a_network_is_recognised_whatever_its_last_layer(name):
    shapes = shapes_of(name)
    assert networks_with(shapes)[0] == name
    for key, shape in shapes.items():
        if shape[:1] == (1000,):
            shapes[key] = (7, *shape[1:])
    assert networks_with(shapes)[0] == name
    assert networks_with({**shapes, "another.weight": (1,)}) == []


def test_every_listed_network_of_torchvision_has_a_signature_of_its_own():
    from featx.backbones.architectures import TABLE
    from featx.backbones.registry import backbone_rows

    table = json.loads(TABLE.read_text(encoding="utf-8"))["networks"]
    plain = [[name for name in names if ":" not in name] for names in table.values()]
    assert all(len(names) <= 1 for names in plain)
    listed = {row["name"] for row in backbone_rows() if "+" not in row["name"]} - {"builtin", "colour"}
    assert listed <= {name for names in plain for name in names}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("downloads") / "mine.pth"
    torch.save(build("squeezenet1_1").state_dict(), file)
    return file


def test_extract_takes_the_network_that_a_file_fits_and_dry_runs_look_at_the_file(
    featx: Run, folder, weights, tmp_path
):
    # A store that was current before has no say in it.
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    planned = featx("extract", "photos", "--weights", str(weights), "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "would do: 12 new" in planned.stdout and "artifacts/embeddings/squeezenet1_1.h5" in planned.stdout
    ran = featx("extract", "photos", "--weights", str(weights))
    assert ran.returncode == 0, ran.stderr
    assert f"squeezenet1_1: recognised by the tensors of {weights}" in ran.stderr
    again = featx("extract", "photos", "--weights", str(weights), "--dry-run")
    assert "nothing new; 12 unchanged" in again.stdout
    misfit = featx("extract", "photos", "-b", "resnet18", "--weights", str(weights), "--dry-run")
    assert misfit.returncode == 5 and "its tensors fit `--backbone squeezenet1_1`" in misfit.stderr


def test_dry_run_refuses_other_weights_than_those_of_the_store(featx: Run, folder, weights, tmp_path):
    import torch

    assert featx("extract", "photos", "--weights", str(weights)).returncode == 0
    other = tmp_path / "other.pth"
    torch.save({key: value + 1 for key, value in torch.load(weights, weights_only=True).items()}, other)
    for words in (("--dry-run",), ()):
        ran = featx("extract", "photos", "--weights", str(other), *words)
        assert ran.returncode == 5 and "holds features of weights sha256" in ran.stderr


def test_a_file_of_no_known_network_and_a_name_without_a_network_are_refused(featx: Run, folder, tmp_path):
    import torch

    torch.save({"a.weight": torch.zeros(2, 2)}, tmp_path / "own.pth")
    with pytest.raises(FeatxError, match="fit no network that featx knows"):
        recognise_network(tmp_path / "own.pth")
    ran = featx("extract", "photos", "--weights", "IMAGENET1K_V2")
    assert (ran.returncode, "no network is named" in " ".join(ran.stderr.split())) == (2, True), ran.stderr


def test_a_real_file_is_recognised(tmp_path):
    from tests.conftest import SHARED

    files = sorted((SHARED / "weights").glob("squeezenet1_0*.pth"))
    if not files:
        pytest.skip("no weights of squeezenet1_0 here")
    assert recognise_network(files[0]) == "squeezenet1_0"
