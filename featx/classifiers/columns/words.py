"""A text as its words and pieces of words, in any language: what a shop writes, or what was read off a pack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Self

from featx.text.plain import words_of as folded_words

# Of a longer text the beginning has to do.
LONGEST = 4000
# Short pieces forgive misreadings and endings; a whole word counts as one more piece.
PIECES = (2, 3, 4, 5)
# The pieces of longer words are not remembered: hardly any comes twice.
ORDINARY = 40
# From here on, scripts write whole words with one to three letters and without spaces.
DENSE, DENSE_PIECES = 0x2E80, (1, 2, 3)


class WeighedText(str):
    """A text whose parts count unequally, such as the lines that were read off a photo."""

    parts: tuple[tuple[str, float], ...]

    def __new__(cls, parts: Iterable[tuple[str, float]]) -> Self:
        """The parts in order, and how much each counts."""
        kept = tuple(parts)
        text = super().__new__(cls, " ".join(part for part, _ in kept))
        text.parts = kept
        return text

    def __getnewargs__(self) -> tuple[tuple[tuple[str, float], ...]]:  # type: ignore[override]
        return (self.parts,)


def weighed_words(text: str) -> list[tuple[str, float]]:
    """The words of a text, and how much each counts: 1 where its parts are alike."""
    parts = text.parts if isinstance(text, WeighedText) else ((text, 1.0),)
    return [(word, weight) for part, weight in parts for word in words_of(part)]


def words_of(text: str) -> list[str]:
    """The words of a text without accents and capitals."""
    return folded_words(text[:LONGEST])


def pieces_of(text: str) -> Iterator[str]:
    """Every word of a text, and every piece of a word."""
    for word in words_of(text):
        yield from pieces_of_word(word)


def pieces_of_word(word: str) -> tuple[str, ...]:
    """A word and its pieces; a space marks where it begins or ends."""
    return _ordinary(word) if len(word) <= ORDINARY else _cut(word)


def _cut(word: str) -> tuple[str, ...]:
    marked, dense = f" {word} ", ord(word[0]) >= DENSE
    whole = len(marked)
    sizes = DENSE_PIECES if dense else PIECES
    pieces = [marked[at : at + size] for size in sizes if size < whole for at in range(whole - size + 1)]
    return (marked, *(piece for piece in pieces if piece != " ")) if dense else (marked, *pieces)


# A shop's texts are made of the same few words again and again.
_ordinary = lru_cache(maxsize=1 << 15)(_cut)
