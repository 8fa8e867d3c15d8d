"""Weights files are found by what they are, not by where they were."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from featx.backbones.torchvision_networks import build
from featx.backbones.weights import file_sha256, locate_weights
from tests.conftest import Run, photo


def test_a_file_is_found_by_its_digest_and_none_is_read_whose_name_contradicts_it(tmp_path, monkeypatch):
    (tmp_path / "renamed.pth").write_bytes(b"weights")
    (tmp_path / "other-0123456789.pth").write_bytes(b"others")
    digest = file_sha256(tmp_path / "renamed.pth")
    read = []
    monkeypatch.setattr(
        "featx.backbones.weights.locating.file_sha256", lambda path: read.append(path.name) or file_sha256(path)
    )
    assert locate_weights(digest, "mine.pth", [tmp_path / "nowhere", tmp_path]) == tmp_path / "renamed.pth"
    assert read == ["renamed.pth"]
    assert locate_weights(digest, "mine.pth", [tmp_path / "renamed.pth"]) == tmp_path / "renamed.pth"
    assert locate_weights("0" * 64, "renamed.pth", [tmp_path]) is None


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store and a classifier made with a weights file that lay elsewhere."""
    import torch

    from featx.classifiers.fit import fit
    from featx.classifiers.model import save
    from featx.extraction import extract

    root = tmp_path_factory.mktemp("first machine")
    weights = tmp_path_factory.mktemp("downloads") / "mine.pth"
    torch.manual_seed(1)
    torch.save(build("squeezenet1_1").state_dict(), weights)
    for c, category in enumerate(["boots", "hats"]):
        for shot in range(3):
            photo(root / "photos" / category / f"{shot}.jpg", seed=10 * c + shot)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        store = extract("photos", backbone="squeezenet1_1", weights=str(weights))
        save(fit(store, "centroid", folds=2), Path("artifacts/models/centroid.safetensors"))
        photo(root / "new.jpg", seed=77)
    shutil.move(weights, root / "weights.pth")
    return root


def answer(ran: object) -> tuple[str, float]:
    assert ran.returncode == 0, ran.stderr  # type: ignore[attr-defined]
    record = json.loads(ran.stdout)  # type: ignore[attr-defined]
    return record["category"], record["sure"]


def copied(shop: Path, to: Path, beside: str) -> Path:
    shutil.copytree(shop / "artifacts", to / "artifacts")
    shutil.copy(shop / "new.jpg", to)
    (to / beside).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(shop / "weights.pth", to / beside)
    return to


@pytest.mark.long
def test_a_copied_folder_answers_the_same_on_another_machine(shop, featx: Run, tmp_path):
    here = answer(featx("predict", "new.jpg", "--any", "--json", cwd=shop, FEATX_WEIGHTS_PATH=str(shop)))
    there = copied(shop, tmp_path / "second", "artifacts/embeddings/renamed.pth")
    assert answer(featx("predict", "new.jpg", "--any", "--json", cwd=there, TORCH_HOME=str(tmp_path / "home"))) == here
    # Without the store the weights are found beside the classifier, and on the path.
    alone = copied(shop, tmp_path / "third", "artifacts/models/w.pth")
    shutil.rmtree(alone / "artifacts/embeddings")
    assert answer(featx("predict", "new.jpg", "--any", "--json", cwd=alone)) == here
    (alone / "artifacts/models/w.pth").rename(tmp_path / "w.pth")
    path = os.pathsep.join([str(tmp_path / "nothing"), str(tmp_path / "w.pth")])
    assert answer(featx("predict", "new.jpg", "--any", "--json", cwd=alone, FEATX_WEIGHTS_PATH=path)) == here


def test_a_file_that_moved_is_named_where_a_backbone_is_opened(shop, featx: Run, tmp_path):
    """`predict`, `similar` and `explain` find the file or its folder, and nothing that is not the very file."""
    there = copied(shop, tmp_path / "second", "weights/w.pth")
    here = answer(featx("predict", "new.jpg", "--any", "--json", cwd=shop, FEATX_WEIGHTS_PATH=str(shop)))
    assert answer(featx("predict", "new.jpg", "--any", "--json", "--weights", "weights", cwd=there)) == here
    ran = featx("similar", "new.jpg", "--weights", "weights/w.pth", cwd=there)
    assert ran.returncode == 0, ran.stderr
    ran = featx("explain", "new.jpg", "--weights", "weights/w.pth", "--json", cwd=there)
    assert ran.returncode == 0, ran.stderr
    for command in ("predict", "similar", "explain"):
        ran = featx(command, "new.jpg", "--weights", "nowhere.pth", cwd=there)
        assert ran.returncode == 2 and "no weights file or folder at `nowhere.pth`" in ran.stderr
        ran = featx(command, "new.jpg", "--weights", "new.jpg", cwd=there)
        assert ran.returncode == 4 and ", new.jpg, " in " ".join(ran.stderr.split()), ran.stderr


def test_a_store_of_a_weights_file_is_checked_wherever_the_file_is_now(shop, featx: Run, tmp_path):
    there = copied(shop, tmp_path / "second", "weights/w.pth")
    shutil.copytree(shop / "photos", there / "photos")
    ran = featx("info", "--check", cwd=there)
    assert ran.returncode == 4 and "`--weights FILE`" in ran.stderr, ran.stderr
    for words in (("--weights", "weights"), ("--weights", "weights/w.pth")):
        ran = featx("info", "--check", *words, cwd=there)
        assert ran.returncode == 0 and "every checksum holds" in ran.stderr, ran.stderr
    assert featx("info", "--check", cwd=there, FEATX_WEIGHTS_PATH=str(there / "weights")).returncode == 0
    ran = featx("info", "--weights", "weights", cwd=there)
    assert ran.returncode == 2 and "`--check`" in ran.stderr


def test_compare_passes_weights_on_to_the_one_backbone_it_extracts_with(shop, featx: Run, tmp_path):
    ran = featx("compare", "photos", "-b", "colour", "--weights", "x.pth", cwd=shop)
    assert ran.returncode == 2 and "weights" in ran.stderr, ran.stderr
    ran = featx("compare", "photos", "-b", "colour", "-b", "builtin", "--weights", "x.pth", cwd=shop)
    assert ran.returncode == 2 and "belongs to one backbone" in ran.stderr
    ran = featx("compare", "--weights", "x.pth", cwd=shop)
    assert ran.returncode == 2 and "`--weights` needs photos to extract" in ran.stderr


def test_a_missing_file_is_named_with_its_digest_and_every_place(shop, featx: Run, tmp_path):
    there = copied(shop, tmp_path / "second", "artifacts/embeddings/renamed.pth")
    (there / "artifacts/embeddings/renamed.pth").unlink()
    ran = featx("predict", "new.jpg", "--json", cwd=there, FEATX_WEIGHTS_PATH=str(tmp_path / "elsewhere"))
    error = json.loads(ran.stderr.splitlines()[-1])["error"]
    assert (error["code"], error["exit"]) == ("weights-missing", 4)
    assert file_sha256(shop / "weights.pth") in error["message"] and "`mine.pth`" in error["message"]
    for folder in ("artifacts/embeddings", "artifacts/models", str(tmp_path / "elsewhere"), "hub/checkpoints"):
        assert folder in error["message"], folder
    assert "FEATX_WEIGHTS_PATH" in error["hint"]
    ran = featx("similar", "new.jpg", cwd=there)
    assert ran.returncode == 4 and "SHA-256" in ran.stderr
