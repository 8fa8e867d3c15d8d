"""Small files written beside the work: notes, cards, copies of photos and weights, caches checked by digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from featx.backbones.weights import cache, importing
from featx.embedding import transformer
from featx.prediction import sort_folders
from featx.reporting import thumbnails
from featx.store.records import FeatureSpec
from featx.store.store_card import write_card
from featx.workspace import Workspace
from tests.conftest import toy_fingerprint
from tests.faults.test_half_written import MARK, Kept, replay


def content(n: int) -> bytes:
    return np.random.default_rng(n).bytes(9_000)


def version_of(data: bytes) -> int:
    """Which version these bytes are; half of one is none."""
    return next(n for n in MARK if content(n) == data)


def note_of_the_current_store(folder: Path) -> Kept:
    def version_left() -> int | None:
        noted = Workspace(folder).noted()
        return None if noted is None else int(noted.stem)

    for n in MARK:
        (folder.parent / f"{n}.h5").touch()
    return Kept(lambda n: Workspace(folder).note_current(folder.parent / f"{n}.h5"), version_left)


def card_of_a_store(folder: Path) -> Kept:
    def write(n: int) -> None:
        write_card(folder / "a.h5", FeatureSpec(toy_fingerprint(n, backbone="x" * 9_000), n, 1, "float32"), [], 0)

    def version_left() -> int | None:
        path = folder / "a.json"
        return int(json.loads(path.read_text(encoding="utf-8"))["width"]) if path.exists() else None

    return Kept(write, version_left)


def weights_added_from_elsewhere(folder: Path) -> Kept:
    def write(n: int) -> None:
        source = folder.parent / f"{n}.pth"
        source.write_bytes(content(n))
        importing.copy_checked(source, folder / "w.pth", hashlib.sha256(content(n)).hexdigest())

    return Kept(write, lambda: version_of((folder / "w.pth").read_bytes()) if (folder / "w.pth").exists() else None)


def note_of_weights_once_checked(folder: Path) -> Kept:
    """Losing it would let changed weights pass as if they were seen for the first time."""

    def name_of(n: int) -> tuple[Path, str]:
        digest = hashlib.sha256(content(n)).hexdigest()
        return Path(f"net-{digest[:8]}.pth"), digest

    def write(n: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cache, "state_folder", lambda: folder)
            cache.pin_digest(*name_of(n))

    def version_left() -> int | None:
        noted = None
        for n in MARK:
            path, digest = name_of(n)
            if (folder / f"{path.name}.json").exists():
                assert json.loads((folder / f"{path.name}.json").read_text())["sha256"] == digest
                noted = n
        return noted

    return Kept(write, version_left)


def photo_put_into_its_category(folder: Path) -> Kept:
    def write(n: int) -> None:
        source = folder.parent / f"{n}.jpg"
        source.write_bytes(content(n))
        sort_folders.apply_move(sort_folders.Move(source, folder / "a.jpg"), link=False)

    return Kept(write, lambda: version_of((folder / "a.jpg").read_bytes()) if (folder / "a.jpg").exists() else None)


def features_of_the_embedder(folder: Path) -> Kept:
    class Flat(transformer.FeatureFolder):
        def path_of(self, digest: str) -> Path:
            return self.folder / digest

    kept = Flat(folder, 500)

    def version_left() -> int | None:
        features = kept.read("a")
        if features is None:
            return None
        assert len(set(features.tolist())) == 1
        return int(features[0])

    return Kept(lambda n: kept.write("a", np.full(500, n, np.float32)), version_left)


def picture_of_a_report(folder: Path) -> Kept:
    def version_left() -> int | None:
        held = [n for n in MARK if thumbnails.kept_bytes(folder, thumbnails.name_of(content(n))) == content(n)]
        assert all(thumbnails.kept_bytes(folder, thumbnails.name_of(content(n))) in (None, content(n)) for n in MARK)
        return max(held, default=None)

    return Kept(lambda n: thumbnails.write_thumbnail(folder / thumbnails.name_of(content(n)), content(n)), version_left)


SYNCED = [
    note_of_the_current_store, card_of_a_store, weights_added_from_elsewhere, note_of_weights_once_checked,
    photo_put_into_its_category,
]  # fmt: skip
CHECKED_BY_DIGEST = [features_of_the_embedder, picture_of_a_report]


@pytest.fixture(autouse=True)
def pictures_beside_the_report(monkeypatch):
    monkeypatch.setattr(thumbnails, "FOLDER", ".")


@pytest.mark.parametrize("make", SYNCED)
def test_after_a_kill_or_a_power_cut_a_small_file_is_whole(make, tmp_path, monkeypatch):
    assert replay(make, tmp_path, monkeypatch, losses=300) > 4


@pytest.mark.parametrize("make", CHECKED_BY_DIGEST)
def test_a_copy_that_a_power_cut_spoilt_is_never_used(make, tmp_path, monkeypatch):
    assert replay(make, tmp_path, monkeypatch, losses=300, may_go=True) >= 4


@pytest.mark.parametrize("make", SYNCED)
def test_these_tests_would_notice_a_small_file_that_is_not_synced(make, tmp_path, monkeypatch):
    with pytest.raises((AssertionError, ValueError, StopIteration, KeyError)):
        replay(make, tmp_path, monkeypatch, losses=300, deaf_to=("fsync",))
