"""Every option of every command with values nobody means: an exit code from the table and a sentence, never a trace."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
import typer.main
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import featx
from featx.cli import app as command_line
from featx.cli.typer_app import build
from featx.errors import EXIT_CODES
from tests.conftest import photo

EXAMPLES = int(os.environ.get("FEATX_TEST_EXAMPLES", "6"))
CODES = {0, 130, *EXIT_CODES.values()}
# What starts a browser or a server, or asks the network, is tried in tests of its own.
LEFT_OUT = {"open", "serve", "browser", "host", "port", "install_completion", "show_completion", "version"}
NONSENSE = [
    "",
    " ",
    "-1",
    "0",
    "1",
    "-0.5",
    "nan",
    "inf",
    "1e999",
    "9" * 25,
    "0x10",
    "١٢",
    "None",
    "[]",
    "{}",
    "%s%n",
    "*",
    "'\"",
    "\x1b[31mred",
    "=1+1",
    "Stövel 靴",
    "a" * 3000,
    "\udcff",
    "no/such/file.bin",
    "no-such-name",
    "-",
    "--",
    "a\nb",
    "<b>",
    "boots",
    "file:///etc/passwd",
    "(?P<x",
    "{label}",
    "(a+)+$",
    ".",
    "photos",
    "a.h5",
    "true",
    "cuda:99",
    "auto,auto",
    ",",
    "1,2",
]
BASE = {
    "extract": ["photos", "-b", "colour", "--quiet"],
    "tune": ["photos", "-b", "colour"],
    "predict": ["photos/boots/boots0.jpg"],
    "similar": ["boots0"],
    "demo": ["made", "--no-run"],
    # It would really listen.
    "serve": ["--openapi", "api.json"],
}


def every_option() -> list[tuple[tuple[str, ...], str, bool]]:
    """(command, option, whether it takes a value) for all there is."""
    options = []

    def walk(command: object, words: tuple[str, ...]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            walk(inner, (*words, name))
        if not words or hasattr(command, "commands"):
            return
        for parameter in command.params:  # type: ignore[attr-defined]
            long = [word for word in parameter.opts if word.startswith("--")]
            if long and long[0].removeprefix("--").replace("-", "_") not in LEFT_OUT:
                options.append((words, long[0], not getattr(parameter, "is_flag", False)))

    walk(typer.main.get_command(build()), ())
    return options


OPTIONS = every_option()
COMMANDS = sorted({words for words, _, _ in OPTIONS})
CHOICE = st.tuples(st.sampled_from(OPTIONS), st.sampled_from(NONSENSE))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    where = tmp_path_factory.mktemp("nonsense")
    for i, category in enumerate(["boots", "hats"]):
        for shot in range(3):
            photo(where / "photos" / category / f"{category}{shot}.jpg", seed=10 * i + shot)
    before, environment = Path.cwd(), os.environ.copy()
    os.chdir(where)
    os.environ |= {"FEATX_OFFLINE": "1", "NO_COLOR": "1", "BROWSER": "true"}
    featx.extract("photos", backbone="colour")
    yield where
    os.chdir(before)
    os.environ.clear()
    os.environ.update(environment)


def spoken(words: list[str]) -> tuple[int, str, str]:
    """Run the real `main` in this process; what it prints, and how it ends."""
    streams = sys.argv, sys.stdin, sys.stdout, sys.stderr
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    sys.argv, sys.stdin, sys.stdout, sys.stderr = ["featx", *words], io.TextIOWrapper(io.BytesIO()), out, err
    code: object = 0
    try:
        command_line.main()
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = streams
    output, complaints = (stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err))
    return int(str(code)), output, complaints


def try_out(words: list[str]) -> None:
    code, _, complaints = spoken(words)
    assert code in CODES, (words, code)
    # `--verbose` is asked for to see the trace of an error, too.
    spoke_freely = any(word in ("-v", "--verbose") for word in words)
    assert spoke_freely or "Traceback" not in complaints, (words, complaints)
    assert "featx broke" not in complaints, (words, complaints)
    assert "\x1b" not in complaints, words
    assert code in (0, 130) or complaints.strip(), (words, "ended without a word")


def words_of(chosen: list[tuple[tuple[tuple[str, ...], str, bool], str]]) -> list[str]:
    """A command line of the first option's command, with those of the options that it has."""
    command = chosen[0][0][0]
    words = [*command, *BASE.get(command[0], [])]
    for (owner, option, takes_value), value in chosen:
        if owner == command:
            words += [option, value] if takes_value else [option]
    return words


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CHOICE, min_size=1, max_size=2))
def test_nonsense_in_any_option_is_answered_in_words(workshop, chosen):
    try_out(words_of(chosen))


# A slash could lead out of the folder the test may write into; a zero byte ends a word before the program sees it.
MADE_UP = st.one_of(
    st.sampled_from(NONSENSE),
    st.text(st.characters(exclude_characters="/\0"), max_size=40),
    st.integers().map(str),
    st.floats().map(str),
)


@st.composite
def several_options(draw: st.DrawFn) -> list[str]:
    """A command with one to four of its own options, each with a value of any kind."""
    command = draw(st.sampled_from(COMMANDS))
    own = [option for option in OPTIONS if option[0] == command]
    return words_of(draw(st.lists(st.tuples(st.sampled_from(own), MADE_UP), min_size=1, max_size=4)))


@pytest.mark.long
@settings(max_examples=int(os.environ.get("FEATX_TEST_EXAMPLES", "1500")), suppress_health_check=list(HealthCheck))
@given(several_options())
def test_made_up_values_in_several_options_are_answered_in_words(workshop, words):
    try_out(words)


LONG_NAME = "a" * 3000
ONCE_BROKEN = [
    ["extract", "photos", "-b", LONG_NAME],
    ["extract", LONG_NAME],
    ["similar", "boots0", "--store", LONG_NAME],
    ["similar", "boots0", "--like", LONG_NAME],
    ["predict", "photos", "--clf", LONG_NAME],
    ["report", "--from", LONG_NAME],
    ["fit", "--reduce", "9" * 25],
    ["fit", "--seed", "9" * 25],
    ["issues", "--seed", str(2**32)],
    ["duplicates", "--html", ""],
    ["weights", "list", "--all", "--json"],
    ["duplicates", "--store", "\x1b[31mred", "--verbose"],
    ["predict", "photos/boots/boots0.jpg", "--sort-into", "photos/boots/boots1.jpg"],
]


@pytest.mark.parametrize("words", ONCE_BROKEN, ids=lambda words: " ".join(words)[:40])
def test_what_once_broke_is_answered_in_words(workshop, words):
    try_out(words)


@pytest.mark.long
@pytest.mark.parametrize(("command", "option", "takes_value"), OPTIONS)
def test_every_nonsense_in_every_option_is_answered_in_words(workshop, command, option, takes_value):
    for value in NONSENSE if takes_value else [""]:
        try_out([*command, *BASE.get(command[0], []), option, *([value] if takes_value else [])])


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(COMMANDS), st.sampled_from(NONSENSE), st.booleans())
def test_nonsense_as_an_argument_is_answered_in_words(workshop, command, value, twice):
    # The demo would really run, in a folder of that name, and take minutes.
    harmless = ["--no-run"] if command == ("demo",) else []
    try_out([*command, value, *([value] if twice else []), *harmless])
