from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from featx.store import Store, open_store
from tests.conftest import made_once
from tests.text.readers import WORDS, shaded


@pytest.fixture(scope="session")
def shades_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(root: Path) -> None:
        from featx.extraction import extract

        for i, shade in enumerate(WORDS):
            shaded(root / "photos" / ("milk" if i % 2 else "oats") / f"item{i}.png", shade)
        shutil.copy(root / "photos" / "oats" / "item0.png", root / "photos" / "milk" / "copy0.png")
        extract(root / "photos", backbone="colour", store=root / "store.h5")

    return made_once(tmp_path_factory, "shades", make)


@pytest.fixture
def shades(shades_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Five photos of different shades and a copy of the first, in a store that no photo was read for."""
    monkeypatch.chdir(tmp_path)
    for name in ("store.h5", "store.json"):
        shutil.copy(shades_made / name, tmp_path / name)
    return open_store(tmp_path / "store.h5")
