"""Texts as numbers of word pieces, as BERT's uncased vocabulary splits them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache

# A longer word is unknown as a whole.
LONGEST_WORD = 100
# Control, format and private characters.
UNSEEN = ("Cc", "Cf", "Co")
UNKNOWN, FIRST, LAST = "[UNK]", "[CLS]", "[SEP]"
# The blocks of Chinese characters: each is a word.
IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPieces:
    """Splits texts with a vocabulary."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._numbers: Mapping[str, int] = {piece: i for i, piece in enumerate(vocabulary)}
        self._unknown = self._numbers[UNKNOWN]
        self._of_word = lru_cache(maxsize=1 << 16)(self._split)

    def numbers(self, text: str, most: int) -> list[int]:
        """The numbers of a text's pieces between a first and a last mark, at most so many in all."""
        pieces: list[int] = []
        for word in words_of(text):
            pieces += self._of_word(word)
            if len(pieces) >= most - 2:
                break
        return [self._numbers[FIRST], *pieces[: most - 2], self._numbers[LAST]]

    def _split(self, word: str) -> tuple[int, ...]:
        """The longest known piece first, then the longest of the rest; a word that does not come out is unknown."""
        pieces, start = [], 0
        while start < len(word):
            parts = (self._piece(word, start, end) for end in range(len(word), start, -1))
            found = next((part for part in parts if part is not None), None)
            if found is None or len(word) > LONGEST_WORD:
                return (self._unknown,)
            number, start = found
            pieces.append(number)
        return tuple(pieces)

    def _piece(self, word: str, start: int, end: int) -> tuple[int, int] | None:
        number = self._numbers.get(("##" if start else "") + word[start:end])
        return None if number is None else (number, end)


def words_of(text: str) -> list[str]:
    """Words and marks in lower case without accents; marks and Chinese characters stand alone."""
    return "".join(map(_apart, unicodedata.normalize("NFD", text.lower()))).split()


def _apart(letter: str) -> str:
    """A letter with spaces around it where it stands alone; nothing for an accent and what cannot be seen."""
    kind = unicodedata.category(letter)
    if kind == "Mn" or letter == "\ufffd" or (kind in UNSEEN and not letter.isspace()):
        return ""
    return f" {letter} " if _is_mark(letter, kind) or _is_ideograph(letter) else letter


def _is_mark(letter: str, kind: str) -> bool:
    """Whether a letter parts words: punctuation, and what ASCII has beside letters and digits."""
    return kind[0] == "P" or (letter < "\x80" and not letter.isalnum())


def _is_ideograph(letter: str) -> bool:
    return letter >= "\u3400" and any(low <= ord(letter) <= high for low, high in IDEOGRAPHS)
