"""What `featx compare` shows a person: the answers in short, a few bars; in a pipe nothing of the kind."""

from __future__ import annotations

import io
import os
import re
import select
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.cli.sparklines import EIGHTHS, STEPS, bar, curve
from tests.conftest import ROOT, photo, run_here

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("shop")
    for c, category in enumerate(["boots", "hats", "mugs"]):
        for i in range(8):
            split = "test" if i > 5 else "train"
            photo(root / "data" / split / category / f"{category}{i}.jpg", seed=100 * c + i)
    assert run_here(("extract", "data", "-b", "colour", "-q"), root, "", environment()).returncode == 0
    return root


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    return {**clean, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1", "FEATX_NO_PROGRESS": "1", **more}


def on_a_terminal(folder, *words: str, **more: str) -> str:
    """What a command prints to stdout when that is a terminal 100 columns wide."""
    ours, theirs = pty.openpty()
    env = environment(COLUMNS="100", LINES="50", TERM="xterm-256color", **more)
    command = [sys.executable, "-m", "featx", *words]
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=theirs, stderr=subprocess.PIPE, stdin=theirs)
    os.close(theirs)
    shown, until = b"", time.monotonic() + 240
    while time.monotonic() < until:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        elif process.poll() is not None:
            break
    _, complaints = process.communicate()
    os.close(ours)
    assert process.returncode == 0, complaints.decode()
    return shown.decode("utf-8").replace("\r\n", "\n")


COMPARE = ("compare", "--clf", "svm,centroid", "--folds", "3", "--fast", "--learning-curve")


@pytest.fixture(scope="module")
def shown(shop):
    return on_a_terminal(shop, *COMPARE, NO_COLOR="1")


def test_a_terminal_gets_a_bar_per_row_and_the_answers_in_short(shown):
    rows = re.findall(r"^(?:svm|centroid|most-frequent) +([\d.]+)% +([█▉-▏]*) +[\d.]+% – ", shown, flags=re.M)
    assert len(rows) == 3, shown
    for share, drawn in rows:
        assert drawn == bar(float(share) / 100)
    assert "scored photos" in shown
    assert "sure: |" in shown
    assert "most similar product is of the right category" in shown
    # Colour was not wanted, and no mark of HTML or Markdown belongs on a terminal.
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)
    assert "**" not in shown
    assert "<b>" not in shown


def test_evaluate_is_suggested_only_where_it_finds_something_to_score(featx, shop, tmp_path):
    words = ("compare", "--clf", "centroid", "--folds", "3", "--fast", "--no-colour")
    artifacts = str(shop / "artifacts")
    assert "featx evaluate" in featx(*words, FEATX_ARTIFACTS=artifacts, cwd=shop).stderr
    assert featx("extract", "data/train", "-b", "colour", cwd=shop, FEATX_ARTIFACTS=str(tmp_path / "a")).returncode == 0
    without = featx(*words, cwd=shop, FEATX_ARTIFACTS=str(tmp_path / "a"))
    assert without.returncode == 0 and "featx fit" in without.stderr and "featx evaluate" not in without.stderr


def test_every_mark_on_a_column_has_its_note(shown):
    assert ("plain*" in shown) == ("* plain folds" in shown)
    assert "for their number" not in shown


def test_a_pipe_gets_one_plain_record_a_line(shop):
    ran = run_here(COMPARE, shop, "", environment())
    assert ran.returncode == 0, ran.stderr
    assert {line.count("\t") for line in ran.stdout.splitlines()} == {23}
    assert not set(ran.stdout) & set(STEPS + EIGHTHS[1:] + "\x1b")


def test_a_narrow_terminal_goes_without_the_bars(monkeypatch):
    from featx.cli.comparison_tables import with_bars

    table: list[list[object]] = [["svm", "90.0%", "80.0% – 95.0%", ""]]
    columns = ["classifier", "held-out", "95 % interval", ""]
    monkeypatch.setenv("COLUMNS", "40")
    with_bars(columns, table, [0.9])
    assert len(columns) == len(table[0]) == 4
    monkeypatch.setenv("COLUMNS", "120")
    with_bars(columns, table, [0.9])
    assert columns[2] == ""
    assert table[0][2] == bar(0.9)


def test_where_blocks_cannot_be_sent_plain_signs_stand_in(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert bar(0.5, 10) == "#####"
    assert curve([0.0, 0.5, None, 1.0]).isascii()


@given(st.floats(0, 1), st.integers(1, 40))
def test_a_bar_is_as_long_as_its_share(share, width):
    drawn = bar(share, width)
    assert len(drawn) <= width
    eighths = sum(EIGHTHS.index(sign) for sign in drawn)
    assert abs(eighths / 8 - share * width) <= 0.0626


@given(st.lists(st.one_of(st.none(), st.floats(-1, 2)), max_size=30))
def test_a_curve_has_a_sign_for_each_value_and_never_falls_where_the_values_rise(values):
    drawn = curve(values)
    assert len(drawn) == len(values)
    steps = sorted((value, STEPS.index(sign)) for value, sign in zip(values, drawn, strict=True) if value is not None)
    assert [step for _, step in steps] == sorted(step for _, step in steps)
