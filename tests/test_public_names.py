"""The public names: documented, typed, and the same wherever they are listed."""

from __future__ import annotations

import re

import pytest

import featx
from tests.conftest import ROOT

NAMES = [name for name in featx.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_docstring(name):
    assert (getattr(featx, name).__doc__ or "").strip()


def test_the_python_page_lists_every_public_name_and_no_other():
    table = [line for line in (ROOT / "docs/python.md").read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    listed = [name for line in table for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(listed) == sorted(NAMES)


def test_type_checkers_see_every_public_name():
    text = (ROOT / "featx/__init__.py").read_text(encoding="utf-8")
    seen = re.findall(r"^    from .* import (\w+) as \1", text, re.MULTILINE)
    for names in re.findall(r"^    ([\w, ]+) = [\w, ]+$", text, re.MULTILINE):
        seen += names.split(", ")
    assert sorted(seen) == sorted(NAMES)
    sample = (ROOT / "tests/typed_sample.py").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"featx.{name}" not in sample] == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'simlar'"):
        featx.simlar  # noqa: B018
