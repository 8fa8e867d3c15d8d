"""Text from a photo is harmless before it goes anywhere."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from featx.text.plain import LONGEST_LINE, folded, plain_line, words_of


@given(st.text(max_size=400))
def test_a_line_holds_no_control_and_no_turning_character(raw):
    line = plain_line(raw)
    assert not any(unicodedata.category(letter)[0] == "C" for letter in line)
    assert len(line) <= LONGEST_LINE
    assert plain_line(line) == line


def test_terminal_sequences_and_turned_text_are_only_letters_afterwards():
    assert plain_line("\x1b[31mSALE\x1b[0m\r\n\tnow") == "[31mSALE[0m now"
    assert plain_line("gpj.\u202eexe\u202c\u200b") == "gpj.exe"


def test_accents_and_capitals_do_not_count():
    assert folded("Gräddfil SMØR straße") == "graddfil smor strasse"
    assert words_of("FÄRSK-mjölk 3,0 %") == ["farsk", "mjolk", "3", "0"]
