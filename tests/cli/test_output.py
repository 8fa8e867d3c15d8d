"""What is printed: plain in pipes, safe in terminals, in words a person would use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featx.cli.output import Output, error_text
from tests.conftest import ROOT


def test_a_list_in_a_pipe_is_one_record_a_line_with_nothing_cut(capsys):
    Output().records(["id", "path"], [["a", "x" * 300], ["b\tc\nd", None]])
    assert capsys.readouterr().out == "a\t" + "x" * 300 + "\nb c d\t\n"


def test_a_list_under_json_is_one_object_a_line(capsys):
    Output(json=True).records(["id", "score"], [["a", 0.5], ["b", 1.0]])
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"id": "a", "score": 0.5},
        {"id": "b", "score": 1.0},
    ]


def test_messages_never_reach_stdout(capsys):
    out = Output()
    for write in (out.say, out.ok, out.warn, out.next):
        write("words")
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("words") == 4


def test_quiet_says_nothing_but_the_result(capsys):
    out = Output(quiet=True)
    for write in (out.say, out.ok, out.warn, out.next, out.result):
        write("words")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("words\n", "")


@given(st.text())
def test_names_cannot_steer_the_terminal(name):
    shown = error_text(f"cannot read {name}", "")
    assert not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 for c in shown.replace("\t", ""))


def test_progress_without_a_terminal_prints_no_control_codes(capsys):
    with Output().progress(10, "extract") as advance:
        for done in range(11):
            advance(done)
    assert "\x1b" not in capsys.readouterr().err


def test_images_a_second_are_counted_from_the_first_and_not_from_the_start(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("featx.cli.output.time.monotonic", lambda: now[0])
    with Output().progress(320, "predict") as advance:
        for done, at in ((0, 0), (32, 60), (64, 62), (160, 68)):
            now[0] = at
            advance(done)
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "predict 32/320"
    assert others and all("16 photos/s" in line for line in others) and "0:10 left" in others[-1]


@pytest.mark.parametrize("variable", ["NO_COLOR", None])
def test_without_colours_a_terminal_gets_no_escape_sequence(variable, tmp_path):
    pty = pytest.importorskip("pty", reason="there are no terminals to pretend to here")
    terminal, end = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm-256color"}
    script = "from featx.cli.output import Output; o = Output(); o.records(['a'], [['b']], [{'a': 'b'}]); o.ok('well')"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=end,
        stderr=end,
        env={**environment, **({variable: "1"} if variable else {}), "PYTHONPATH": str(ROOT)},
    ) as ran:
        ran.wait(60)
    os.close(end)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "well" in shown and ("\x1b" in shown) == (variable is None)


def on_a_terminal(script: str, columns: int = 80) -> list[str]:
    """The lines a script prints to a terminal of that width."""
    pty = pytest.importorskip("pty", reason="there are no terminals to pretend to here")
    terminal, end = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm", "COLUMNS": str(columns), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=end, stderr=end, env=environment) as ran:
        ran.wait(60)
    os.close(end)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    return shown.splitlines()


def test_a_path_too_long_for_the_terminal_keeps_its_name_on_one_line():
    rows = [["1", "a category of many words", f"/some/where/far/away/in/folders/Röcke/Größe {i}.jpg"] for i in range(3)]
    rows.append(["2", "b", "日本/写真.jpg"])
    script = f"from featx.cli.output import Output; Output().records(['#', 'says', 'file'], {rows!r}, paths=['file'])"
    lines = on_a_terminal(script, 60)[1:]
    assert all(len(line) <= 60 for line in lines)
    assert [line.split("…")[1].strip() for line in lines[:3]] == [f"/in/folders/Röcke/Größe {i}.jpg" for i in range(3)]
    assert lines[3].split()[-1] == "日本/写真.jpg"
    assert all(row[2] in line for row, line in zip(rows, on_a_terminal(script, 120)[1:], strict=True))


def test_a_list_in_a_pipe_says_on_the_side_what_it_comes_to_and_what_its_columns_are(capsys):
    out = Output()
    out.headline("2 of 3")
    for _ in range(2):
        out.records(["a", ""], [["x", "y"]])
    output = capsys.readouterr()
    assert output.out == "x\ty\nx\ty\n"
    assert output.err == "2 of 3\n  columns: a, remark\n"
    quiet = Output(quiet=True)
    quiet.headline("2 of 3")
    quiet.records(["a"], [["x"]])
    assert capsys.readouterr().err == ""


def test_a_command_in_a_hint_is_never_broken_into_lines_and_the_rest_is(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command = "`featx extract 'a b.csv' --store " + "x" * 60 + " --replace --yes`"
    hint = f"make it again from the photos, which are the original: {command}, then look again"
    paragraph = error_text("damaged", hint).split("\n\n")[1]
    assert (
        command in paragraph
        and paragraph.splitlines()[0].startswith("hint: make it")
        and len(paragraph.splitlines()) == 3
    )
