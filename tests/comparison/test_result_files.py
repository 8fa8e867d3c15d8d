"""The files of a comparison stay whole and agree with each other, whoever else compares."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from featx.reporting import read_document
from featx.store import Store
from tests.conftest import command_environment


@pytest.mark.long
def test_two_comparisons_at_once_leave_a_report_each_and_one_of_them_as_the_last(colour_shop: Store, tmp_path: Path):
    shutil.copy(colour_shop.path, tmp_path / "store.h5")
    words = ("compare", "-s", "store.h5", "--folds", "2", "-q", "--clf")
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "featx", *words, clf],
            cwd=tmp_path,
            env=command_environment({}),
            stderr=-1,
            text=True,
        )
        for clf in ("centroid", "knn")
    ]
    for process in running:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    reports = tmp_path / "artifacts" / "reports"
    last = json.loads((reports / "comparison.json").read_text("utf-8"))
    assert last["entries"][0]["clf"] in ("centroid", "knn")
    pages = [path for path in reports.glob("*/report.json") if path.parent.name != "latest"]
    assert len(pages) == 2 and {read_document(page).which.rows[0].clf for page in pages} == {"centroid", "knn"}
    assert (reports / "latest" / "report.html").exists()
