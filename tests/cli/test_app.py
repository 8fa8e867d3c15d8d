"""The command line: light, plain in pipes, and never a traceback for a person's mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from featx.cli.help_page import COMMANDS, GROUPS, WIDEST
from featx.errors import EXIT_CODES, FeatxError, closest
from tests.conftest import ROOT

HEAVY = ("torch", "torchvision", "sklearn", "h5py", "scipy", "pandas", "PIL", "timm", "matplotlib", "pyarrow")
NAMES = [name for name, _, _ in (*COMMANDS, *GROUPS)]


def test_help_loads_nothing_heavy():
    """Of any command, one after the other in one process: the first that loads something is named."""
    code = (
        "import sys\nfrom featx.cli.app import main\n"
        f"for name in {['', *NAMES]!r}:\n"
        "    sys.argv = ['featx', *filter(None, [name]), '--help']\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code, name\n"
        f"    loaded = [library for library in {HEAVY!r} if library in sys.modules]\n"
        "    if loaded: sys.exit(f'featx {name} --help loads {loaded}')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")


def test_importing_featx_loads_nothing_heavy():
    code = f"import sys, featx; print([h for h in {(*HEAVY, 'typer', 'numpy')!r} if h in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_help_fits_80_columns_and_has_an_example(featx, name):
    ran = featx(name, "--help", COLUMNS="80", NO_COLOR="1", TERM="dumb")
    assert ran.returncode == 0, ran.stderr
    assert max(len(line) for line in ran.stdout.splitlines()) <= 80
    assert "Example" in ran.stdout


def test_the_front_page_lists_every_command_as_its_own_help_says_it(featx):
    for columns in ("40", "80", "300"):
        ran = featx("--help", COLUMNS=columns, TERM="dumb")
        assert ran.returncode == 0 and "\x1b" not in ran.stdout
        assert max(len(line) for line in ran.stdout.splitlines()) <= min(int(columns), WIDEST)
        front = " ".join(" ".join(line.strip(" │") for line in ran.stdout.splitlines()).split())
        for name, _, summary in (*COMMANDS, *GROUPS):
            assert f" {name} {summary}" in front
    for name, _, summary in (*COMMANDS, *GROUPS):
        own = featx(name, "--help", COLUMNS="300", TERM="dumb").stdout
        assert summary in " ".join(own.split()), name


def test_the_front_page_needs_no_typer(tmp_path):
    code = (
        "import sys, atexit\nsys.argv = ['featx', '--help']\n"
        "atexit.register(lambda: sys.stderr.write(str('typer' in sys.modules)))\n"
        "from featx.cli.app import main\nmain()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (ran.returncode, ran.stderr) == (0, "False")


def test_a_mistyped_command_gets_the_right_one(featx):
    ran = featx("simlar", "x.jpg")
    assert ran.returncode == 2
    assert "similar" in ran.stderr


def test_errors_are_sentences_with_a_hint_and_leave_stdout_empty(featx, tmp_path):
    (tmp_path / "empty").mkdir()
    ran = featx("extract", "empty", "-b", "colour")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("error: ") and "\n\nhint: " in ran.stderr
    assert "Traceback" not in ran.stderr
    assert all(len(line) <= 80 for line in ran.stderr.splitlines())


def test_errors_are_one_json_line_under_json(featx, tmp_path):
    ran = featx("extract", "nowhere", "-b", "colour", "--json")
    assert ran.stdout == ""
    error = json.loads(ran.stderr)["error"]
    assert error["exit"] == ran.returncode != 0
    assert set(error) == {"code", "message", "hint", "exit", "details"}


def test_no_store_says_what_to_run(featx):
    ran = featx("info")
    assert ran.returncode == 4
    assert "featx extract" in ran.stderr


def test_an_unexpected_error_keeps_its_trace_in_the_log(featx, monkeypatch, tmp_path, folder):
    def boom(*_: object, **__: object) -> None:
        raise KeyError("label")

    monkeypatch.setattr("featx.catalogue.reading.read_catalogue", boom)
    ran = featx("extract", "photos")
    assert ran.returncode == 1
    assert "featx broke in `extract` (KeyError" in ran.stderr and "Traceback" not in ran.stderr
    assert "Traceback" in (tmp_path / "artifacts/featx.log").read_text()


def test_odd_terminals_get_plain_readable_text(featx_process, folder):
    for odd in (
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"TERM": "dumb"},
        {"COLUMNS": "40"},
    ):
        ran = featx_process("extract", "photos", "-b", "colour", **odd)
        assert ran.returncode == 0, ran.stderr
        assert "\x1b" not in ran.stdout + ran.stderr


def test_every_error_name_has_a_documented_exit_code():
    for code, exit_code in EXIT_CODES.items():
        error = FeatxError(code, "a", "b")
        assert error.exit_code == exit_code and 1 <= exit_code <= 7
    with pytest.raises(KeyError):
        FeatxError("no-such-code", "a").exit_code  # noqa: B018


def test_near_names_are_offered_best_first():
    assert closest("resnet5", ["resnet50", "vgg16", "resnet18"])[0] == "resnet50"
    assert closest("zzz", ["resnet50"]) == []


def test_completion_can_be_shown(featx_process):
    ran = featx_process("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_FEATX_COMPLETE" in ran.stdout or "complete" in ran.stdout, ran.stderr


def press_tab(featx, *words: str) -> list[str]:
    """What bash would offer after these words."""
    line = " ".join(["featx", *words])
    ran = featx(_FEATX_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words)))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_tab_offers_the_names_a_flag_takes(featx, tmp_path):
    assert press_tab(featx, "extract", "--backbone", "resnet5") == ["resnet50"]
    assert press_tab(featx, "fit", "--clf", "lo") == ["logreg"]
    assert press_tab(featx, "simil") == ["similar"]


def test_tab_after_label_offers_the_categories_of_the_store(featx, tmp_path):
    assert press_tab(featx, "similar", "--label", "m") == []
    folder = tmp_path / "artifacts" / "embeddings"
    folder.mkdir(parents=True)
    (folder / "colour.h5").touch()
    (folder / "colour.json").write_text('{"categories": {"boots": 3, "mats": 1, "mugs": 4}}')
    assert press_tab(featx, "similar", "--label", "m") == ["mats", "mugs"]


def test_tab_finds_no_category_in_a_damaged_card_and_says_nothing(featx, tmp_path):
    folder = tmp_path / "artifacts" / "embeddings"
    folder.mkdir(parents=True)
    (folder / "colour.h5").touch()
    (folder / "colour.json").write_text('{"categories": ')
    assert press_tab(featx, "similar", "--label", "m") == []
