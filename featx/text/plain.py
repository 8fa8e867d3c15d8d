"""Text from strangers made harmless, and folded for comparing.

Whatever stands on a photo may be read: control sequences for a terminal, marks that turn the direction of writing.
None of them passes here. What a table or a page could take for its own is escaped where it is written.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST_LINE = 200
# Letters that no decomposition folds.
_FOLDED = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
# Longer words are not remembered: hardly any comes twice.
ORDINARY = 40
_WORD = re.compile(r"\w+")


def plain_line(raw: str) -> str:
    """One line of visible characters: no control, format, private or unassigned ones, and single spaces."""
    seen = raw[: 8 * LONGEST_LINE]
    visible = (" " if letter.isspace() else letter for letter in seen if letter.isspace() or _is_visible(letter))
    return " ".join(unicodedata.normalize("NFC", "".join(visible)).split())[:LONGEST_LINE].rstrip()


def _is_visible(letter: str) -> bool:
    return unicodedata.category(letter)[0] != "C"


def folded(text: str) -> str:
    """Text without accents and capitals: `Gräddfil` becomes `graddfil`."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text).casefold().translate(_FOLDED)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def words_of(text: str) -> list[str]:
    """The folded words of a text, in order."""
    return [word for token in text.split() for word in (_ordinary if len(token) <= ORDINARY else _words_of)(token)]


def _words_of(token: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(folded(token).replace("_", " ")))


# The same words come again and again.
_ordinary = lru_cache(maxsize=1 << 15)(_words_of)
