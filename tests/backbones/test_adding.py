"""Weights from a file, a folder or a package: recognised, checked, copied, and no code of theirs run."""

from __future__ import annotations

import importlib
import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest

from featx.backbones import adding, architectures, open_backbone, weights
from featx.backbones.adding import add_from
from featx.backbones.registry import local_backbones
from featx.backbones.torchvision_networks import build
from featx.errors import FeatxError
from tests.conftest import Run

NETWORK = "squeezenet1_1"


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch) -> Path:
    """The weights folder of this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("featx.backbones.weights.importing.published_weights", list)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    file = tmp_path_factory.mktemp("downloads") / "mine.pth"
    torch.manual_seed(1)
    torch.save(build(NETWORK).state_dict(), file)
    return file


class Hostile:
    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def hostile(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({"features.0.weight": Hostile()}, protocol=2))
    return path


@pytest.fixture
def package(tmp_path, monkeypatch, weights_file) -> Path:
    """An installed package with weights, whose code must never run and whose list of files is not to be trusted."""
    home = tmp_path / "site-packages"
    data, info = home / "shop_weights" / "data", home / "shop_weights-1.2.dist-info"
    data.mkdir(parents=True)
    info.mkdir()
    (home / "shop_weights" / "__init__.py").write_text("raise SystemExit('the code of the package ran')\n")
    shutil.copy(weights_file, data / "model.pth")
    (home / "paths.pth").write_text("import os; raise SystemExit('a path file ran')\n")
    hostile(tmp_path / "outside" / "evil.pth")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-weights\nVersion: 1.2\n")
    listed = ["shop_weights/__init__.py", "shop_weights/data/model.pth", "paths.pth", "../outside/evil.pth"]
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in listed))
    monkeypatch.setattr(sys, "path", [*sys.path, str(home)])
    importlib.invalidate_caches()
    return home


def test_a_package_brings_its_weights_and_none_of_its_code_runs(package, kept):
    (added,) = add_from("shop-weights")
    assert (added.backbone, added.origin) == (NETWORK, "package shop-weights 1.2")
    assert added.file == kept / f"{NETWORK}-{added.sha256[:8]}.pth"
    assert added.file.read_bytes() == (package / "shop_weights" / "data" / "model.pth").read_bytes()
    assert "shop_weights" not in sys.modules
    assert weights.added_weights() == [added]


def test_a_file_keeps_its_name_with_the_beginning_of_its_digest(weights_file, kept):
    (added,) = add_from(str(weights_file))
    assert added.file == kept / f"mine-{added.sha256[:8]}.pth"
    assert add_from(str(added.file)) == [weights.AddedWeights(NETWORK, added.file, added.sha256, str(added.file))]
    assert weights.locate_weights(added.sha256, "another name", [kept]) == added.file
    assert weights.verify_weights(added.file) == added.sha256


def test_a_folder_brings_what_fits_a_network(weights_file, tmp_path):
    import torch

    folder = tmp_path / "checkpoints"
    (folder / "last").mkdir(parents=True)
    shutil.copy(weights_file, folder / "last" / "model.pth")
    torch.save({"a.weight": torch.zeros(2, 2)}, folder / "other.pth")
    (folder / "notes.txt").write_text("nothing")
    (added,) = add_from(str(folder))
    assert (added.backbone, added.origin) == (NETWORK, str(folder))


def test_a_hostile_file_is_refused_and_nothing_beside_it_is_copied(weights_file, tmp_path, kept, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoints"
    hostile(folder / "z.pth")
    shutil.copy(weights_file, folder / "a.pth")
    for source in (folder, folder / "z.pth"):
        with pytest.raises(FeatxError) as refused:
            add_from(str(source))
        assert refused.value.code == "weights-broken"
    assert not (tmp_path / "ran").exists() and weights.added_weights() == [] and not kept.exists()


def test_a_file_of_an_unknown_network_needs_a_checksum_in_its_name(tmp_path, kept):
    import torch

    file = tmp_path / "own.pth"
    torch.save({"a.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(FeatxError, match="fit no network that featx knows"):
        add_from(str(file))
    named = file.rename(tmp_path / f"own-{weights.file_sha256(file)[:8]}.pth")
    assert [(added.backbone, added.file) for added in add_from(str(named))] == [("", kept / named.name)]
    assert weights.added_weights() == []


def test_tensors_that_fit_several_networks_need_a_name(weights_file, monkeypatch):
    monkeypatch.setattr(architectures, "networks_with", lambda shapes: ["timm:twin", "timm:other_twin"])
    with pytest.raises(FeatxError, match="fit several networks: timm:twin, timm:other_twin"):
        add_from(str(weights_file))
    assert add_from(str(weights_file), "timm:other_twin")[0].backbone == "timm:other_twin"
    with pytest.raises(FeatxError, match="do not fit `resnet18`"):
        add_from(str(weights_file), "resnet18")


@pytest.mark.parametrize(
    ("named", "code", "says"),
    [
        ("no-such-package-here", "no-such-file", "neither a file or folder here nor an installed package"),
        ("none.pth", "no-such-file", "there is no weights file `none.pth`"),
        ("empty", "no-such-file", "`empty` has no weights file"),
        ("many", "bad-flag", "`many` has 21 weights files"),
        ("numpy", "no-such-file", "`numpy` has no weights file"),
    ],
)
def test_what_holds_no_weights_or_too_many_is_refused_in_words(tmp_path, monkeypatch, named, code, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "many").mkdir()
    for number in range(adding.MOST_FILES + 1):
        (tmp_path / "many" / f"{number}.pth").touch()
    with pytest.raises(FeatxError, match=says) as refused:
        add_from(named)
    assert refused.value.code == code


def test_added_weights_open_their_backbone_where_the_usual_ones_are_not_here(weights_file, tmp_path):
    import torch

    assert NETWORK not in local_backbones()
    (added,) = add_from(str(weights_file))
    assert NETWORK in local_backbones()
    assert open_backbone(NETWORK).fingerprint.weights_sha256 == added.sha256
    other = tmp_path / "other.pth"
    torch.save({key: value + 1 for key, value in torch.load(weights_file, weights_only=True).items()}, other)
    (second,) = add_from(str(other))
    with pytest.raises(FeatxError, match=f"several weights were added for `{NETWORK}`"):
        open_backbone(NETWORK)
    assert open_backbone(NETWORK, weights=second.file.name).fingerprint.weights_sha256 == second.sha256


def test_what_was_added_is_listed_and_extracts_without_its_source(featx: Run, folder, package, kept):
    ran = featx("weights", "add", "shop-weights", "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    name = Path(document["path"]).name
    assert document["backbone"] == NETWORK and [file["path"] for file in document["files"]] == [document["path"]]
    shutil.rmtree(package)
    row = next(json.loads(line) for line in featx("backbones", "--json", NETWORK).stdout.splitlines())
    assert row["here"] is True and row["added"] == [name]
    listed = [json.loads(line) for line in featx("weights", "list", "--json").stdout.splitlines()]
    assert any((record["name"], record["weights"]) == (NETWORK, name) for record in listed)
    for words in (("--weights", name), ("-b", NETWORK)):
        ran = featx("extract", "photos", *words, "--json")
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["backbone"] == NETWORK
