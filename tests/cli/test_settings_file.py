"""The settings file: what it sets, what wins over it, and what is said of a wrong key."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from featx.cli.settings_file import Flag, read_settings
from featx.errors import FeatxError
from tests.conftest import Run
from tests.counting import counted_calls

FLAGS = {
    "extract": {"backbone": Flag("backbone"), "batch-size": Flag("batch_size"), "quiet": Flag("quiet")},
    "similar": {"where": Flag("where", several=True), "quiet": Flag("quiet")},
    "weights": {"fetch": {"quiet": Flag("quiet")}},
}


def settings(folder: Path, text: str, name: str = "featx.toml") -> dict[str, object]:
    """What a settings file with that text asks for."""
    (folder / name).write_text(text, encoding="utf-8")
    return read_settings(folder, lambda: FLAGS)


def test_no_file_asks_for_nothing(tmp_path: Path) -> None:
    """Without a settings file nothing changes."""
    assert read_settings(tmp_path, lambda: FLAGS) == {}


def test_a_table_sets_its_own_command_and_featx_sets_every_command_with_that_flag(tmp_path: Path) -> None:
    """`[featx]` reaches each command that has the flag, a command's own table only that one, and wins there."""
    flags = settings(tmp_path, "[featx]\nquiet = true\n[extract]\nbatch-size = 8\nquiet = false\n")
    assert flags == {"extract": {"quiet": False, "batch_size": 8}, "similar": {"quiet": True}}


def test_pyproject_is_read_when_there_is_no_featx_toml(tmp_path: Path) -> None:
    """`[tool.featx.extract]` in pyproject.toml does the same; other tools' tables are none of our business."""
    text = '[tool.other]\nx = 1\n[tool.featx.extract]\nbackbone = "colour"\n'
    assert settings(tmp_path, text, "pyproject.toml") == {"extract": {"backbone": "colour"}}


def test_one_value_for_a_flag_that_takes_several_is_a_list_of_one(tmp_path: Path) -> None:
    """A single text is not taken apart into letters."""
    assert settings(tmp_path, "[similar]\nwhere = 'price < 3'\n") == {"similar": {"where": ["price < 3"]}}


def test_a_command_of_a_group_has_a_table_of_its_own(tmp_path: Path) -> None:
    """`[weights.fetch]` sets the flags of `featx weights fetch`."""
    assert settings(tmp_path, "[weights.fetch]\nquiet = true\n") == {"weights": {"fetch": {"quiet": True}}}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[extract]\nbackbon = 'colour'\n", 2, "did you mean `backbone`"),
        ("\n[extrct]\nbackbone = 'colour'\n", 2, "did you mean `extract`"),
        ("[featx]\nquite = true\n", 2, "did you mean `quiet`"),
        ("backbone = 'colour'\n", 1, "[featx]"),
        ("[weights]\nfetch = 3\n", 2, "[weights.fetch]"),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_the_nearest_right_one(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    """The error names file and line, and what was probably meant."""
    with pytest.raises(FeatxError) as caught:
        settings(tmp_path, text)
    assert caught.value.code == "bad-config"
    assert f"featx.toml:{line}: " in caught.value.message
    assert says in caught.value.hint or says in caught.value.message


def test_broken_toml_is_said_to_be_broken_and_where(tmp_path: Path) -> None:
    """What the parser found reaches the person, without a trace."""
    with pytest.raises(FeatxError, match="line 1"):
        settings(tmp_path, "[extract\n")


def test_flag_wins_over_variable_wins_over_file(featx: Run, folder: Path, tmp_path: Path) -> None:
    """The order in which a choice is taken, through the real command line."""
    (tmp_path / "featx.toml").write_text('[featx]\nstore = "from-file.h5"\n[extract]\nbackbone = "colour"\n')
    assert featx("extract", str(folder)).returncode == 0
    assert (tmp_path / "from-file.h5").exists()
    assert featx("extract", str(folder), FEATX_STORE="from-variable.h5").returncode == 0
    assert (tmp_path / "from-variable.h5").exists()
    assert featx("extract", str(folder), "--store", "from-flag.h5", FEATX_STORE="x.h5").returncode == 0
    assert (tmp_path / "from-flag.h5").exists()
    facts = json.loads(featx("info", "--json").stdout)
    assert facts["fingerprint"]["backbone"] == "colour"


def test_a_value_of_the_wrong_kind_is_an_error_not_a_trace(featx: Run, folder: Path, tmp_path: Path) -> None:
    """A word where a number belongs ends with the code of a wrong command."""
    (tmp_path / "featx.toml").write_text('[extract]\nbatch-size = "many"\n')
    ended = featx("extract", str(folder))
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "--batch-size" in ended.stderr


@pytest.mark.parametrize(
    "value",
    [
        "nan", "inf", "1e400", "[1, 2]", "{a = 1}", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", '"a\\u0000b"',
        "9" * 5000,
    ],
    ids=lambda value: value[:12],
)  # fmt: skip
@pytest.mark.parametrize("table", ["featx", "extract"])
def test_a_value_that_nobody_could_type_is_told_with_its_line(tmp_path: Path, value: str, table: str) -> None:
    """A list, a table, a date or no number at all is a sentence, not a surprise in the command."""
    with pytest.raises(FeatxError, match=r"featx\.toml") as caught:
        settings(tmp_path, f"[{table}]\nbatch-size = {value}\n")
    assert caught.value.code == "bad-config" and len(caught.value.message) < 300
    with pytest.raises(FeatxError) as caught:
        settings(tmp_path, f"[similar]\nwhere = ['a', {value}]\n")
    assert caught.value.code == "bad-config"


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 100_000, "x = " + "{a = " * 50_000, ".".join("a" * 100_000) + " = 1", "\0", "a = 1\n" * 100_000,
        "[extract]\n" + "\n".join(f"k{i} = 1" for i in range(300_000)),
    ],
    ids=lambda text: text[:9],
)  # fmt: skip
@pytest.mark.parametrize("name", ["featx.toml", "pyproject.toml"])
def test_garbage_is_a_sentence_and_takes_no_time(tmp_path: Path, text: str, name: str) -> None:
    """Deep, long or broken settings are refused before they cost anything."""
    with counted_calls() as calls, pytest.raises(FeatxError) as caught:
        settings(tmp_path, f"# [tool.featx]\n{text}", name)
    # Reading honest settings of the largest size that is read takes as many.
    assert caught.value.code == "bad-config" and calls.made < 2_000_000


@pytest.mark.parametrize("name", ["featx.toml", "pyproject.toml"])
def test_a_settings_file_that_is_no_plain_file_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
    """A pipe under that name is told; whose pyproject.toml it is not is passed over."""
    os.mkfifo(tmp_path / name)
    if name == "pyproject.toml":
        assert read_settings(tmp_path, lambda: FLAGS) == {}
        return
    with pytest.raises(FeatxError, match="cannot read"):
        read_settings(tmp_path, lambda: FLAGS)


def test_a_pyproject_whose_tool_is_no_table_asks_for_nothing(tmp_path: Path) -> None:
    """Broken for others, and nothing of ours."""
    assert settings(tmp_path, "tool = 3 # tool.featx\n", "pyproject.toml") == {}
