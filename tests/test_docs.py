"""The documentation is true: generated pages are current, links lead somewhere, examples run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_pages_are_current():
    def words(page: str) -> list[str]:
        return page.replace("│", " ").split()  # older versions of rich draw their tables a column wider

    assert words((ROOT / "docs/cli.md").read_text(encoding="utf-8")) == words(generator().cli_page()), "run `make docs`"


def test_the_error_table_is_current():
    assert (ROOT / "docs/errors.md").read_text(encoding="utf-8") == generator().errors_page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands_of(page: Path, fence: str) -> list[str]:
    """The lines of the fenced blocks that are meant to be run as they stand."""
    blocks = re.findall(rf"```{fence}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


def test_the_quickstart_runs_as_written(featx, tmp_path):
    shutil.copytree(ROOT / "data", tmp_path / "data")
    lines = commands_of(ROOT / "docs/quickstart.md", "sh")
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "featx", line
        ran = featx(*words[1:], cwd=tmp_path)
        assert ran.returncode == 0, f"{line}\n{ran.stderr}"


def test_the_python_example_runs_as_written(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/quickstart.md").read_text(encoding="utf-8"), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "quickstart", "exec"), {})
