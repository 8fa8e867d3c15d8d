"""The documentation is true: generated pages are current, links lead somewhere, examples run."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), ROOT / "featx/README.md", *(ROOT / "docs").glob("*.md")])


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_pages_are_current(featx, monkeypatch):
    def words(page: str) -> list[str]:
        return page.replace("│", " ").split()  # older versions of rich draw their tables a column wider

    pages = generator()
    monkeypatch.setattr(pages, "help_of", lambda *words: featx(*words, "--help", **pages.PLAIN).stdout)
    assert words((ROOT / "docs/cli.md").read_text(encoding="utf-8")) == words(pages.cli_page()), "run `make docs`"


def test_the_error_table_is_current():
    assert (ROOT / "docs/errors.md").read_text(encoding="utf-8") == generator().errors_page(), "run `make docs`"


def test_the_schema_of_reports_is_that_of_the_types():
    page = (ROOT / "docs/report-schema.md").read_text(encoding="utf-8")
    assert page == generator().schema_page(), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_project_that_a_page_names_exists(page):
    named = re.findall(
        r"(?<!/)\b((?:tests|featx|benchmarks|docs|training)/[\w/.-]+\.\w+)", page.read_text(encoding="utf-8")
    )
    # Paths in an example are relative to the reader's folder; these are relative to the checkout.
    assert [name for name in named if not (ROOT / name).exists()] == []


def commands_of(page: Path, fence: str) -> list[str]:
    """The lines of the fenced blocks that are meant to be run as they stand."""
    blocks = re.findall(rf"```{fence}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


def test_the_quickstart_runs_as_written(featx, sample_shop, tmp_path):
    shutil.copytree(sample_shop, tmp_path, dirs_exist_ok=True)  # the very command of the page has extracted there
    lines = commands_of(ROOT / "docs/quickstart.md", "sh")
    assert len(lines) >= 6
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "featx", line
        ran = featx(*words[1:], cwd=tmp_path)
        assert ran.returncode == 0, f"{line}\n{ran.stderr}"


FEW = 7


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages name: a part of the sample catalogue, its stores, new photos and a classifier."""
    from featx.classifiers.fit import fit
    from featx.classifiers.model import save
    from featx.extraction import extract
    from featx.workspace import Workspace

    root = tmp_path_factory.mktemp("shop")
    for split, most in (("train", FEW), ("test", 2)):
        for folder in sorted((ROOT / "data" / split).iterdir())[:4]:
            photos = sorted(path for path in folder.iterdir() if path.suffix == ".jpg")
            target = root / "data" / split / folder.name
            target.mkdir(parents=True, exist_ok=True)
            for path in photos[:most]:
                shutil.copy(path, target / path.name)
            # A few without a category, some of them new to the store.
            for name in ("new", "incoming") if split == "train" else ():
                (root / name).mkdir(exist_ok=True)
                shutil.copy(photos[most], root / name / f"{folder.name}.jpg")
    lines = [f"new/{path.name}" for path in sorted((root / "new").iterdir())]
    (root / "list.csv").write_text("path\n" + "\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("FEATX_STORE", raising=False)
        patch.delenv("FEATX_ARTIFACTS", raising=False)
        store = extract("data", backbone="colour", store=Workspace.here().store_path("colour"))
        save(fit(store, "svm"), Workspace.here().models / "svm.safetensors")
        for copy in ("a.h5", "b.h5", "other-shop.h5"):
            shutil.copy(store.path, root / copy)
    return root


def matching(pattern: str) -> list[str]:
    """The files a shell would put in the place of a pattern."""
    return sorted(str(path) for path in Path().glob(pattern))


def run_here(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One command line as a shell would run it; in this process, where everything is imported."""
    import sys
    from io import BytesIO, TextIOWrapper

    from featx.cli.app import main

    words = shlex.split(line, comments=True)
    given = ""
    if "|" in words:
        assert words[:2] == ["find", "new"], line
        given, words = "\n".join(matching("new/*.jpg")), words[words.index("|") + 1 :]
    assert words[0] == "featx", line
    words = [match for word in words for match in (matching(word) if "*" in word else [word])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(given.encode())))
        try:
            main()
            code: object = 0
        except SystemExit as end:
            code = end.code
    output = capsys.readouterr()
    assert not code, f"{line}: {code}\n{output.out}\n{output.err}"
    assert "Traceback" not in output.err


# Comparisons train hundreds of classifiers.
@pytest.mark.parametrize(
    "name", ["fit", "predict", "issues", "suggest", pytest.param("compare", marks=pytest.mark.long)]
)
def test_the_commands_and_the_python_of_a_page_run_as_written(shop, name, tmp_path, monkeypatch, capsys):
    mine = tmp_path / "shop"
    shutil.copytree(shop, mine)
    monkeypatch.chdir(mine)
    monkeypatch.setenv("FEATX_OFFLINE", "1")
    monkeypatch.setenv("FEATX_STORE", str(mine / "artifacts/embeddings/colour.h5"))
    # What a forest says is of no interest here.
    monkeypatch.setattr("featx.classifiers.kinds.forests.TREES", 10)
    page = ROOT / f"docs/{name}.md"
    lines = commands_of(page, "sh")
    assert lines
    for line in lines:
        run_here(line, capsys)
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, name, "exec"), {})
    # What is shown as a command has to be run: indented ones are only for benchmarks, stores and photos not here.
    shown = re.findall(r"^ {4}(featx .*)$", text, re.M)
    assert not [line for line in shown if "grocery" not in line and "clothing" not in line]


def test_the_python_example_runs_as_written(sample_shop, tmp_path, monkeypatch):
    shutil.copytree(sample_shop, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/quickstart.md").read_text(encoding="utf-8"), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "quickstart", "exec"), {})
