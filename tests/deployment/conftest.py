"""A shop with a deployment, made once for all tests that look at it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import command_environment, made_once, run_here


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, sample_shop: Path) -> Path:
    """A copy of the sample shop with a classifier and its deployment in `out`."""

    def make(folder: Path) -> None:
        shutil.copytree(sample_shop, folder, dirs_exist_ok=True)
        for words in (["fit", "--clf", "lda"], ["deploy", "out", "--compare-on", "12", "--json"]):
            ran = run_here(tuple(words), folder, "", command_environment({}))
            assert ran.returncode == 0, ran.stderr
        (folder / "deploy.json").write_text(ran.stdout)

    return made_once(tmp_path_factory, "deployed-shop", make)
