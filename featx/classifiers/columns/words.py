"""A text as its words and pieces of words, in any language: what a shop writes, or what was read off a pack."""

from __future__ import annotations

from collections.abc import Iterator

from featx.text.plain import words_of as folded_words

# Of a longer text the beginning has to do.
LONGEST = 4000
# Short pieces forgive misreadings and endings; a whole word counts as one more piece.
PIECES = (2, 3, 4, 5)
# From here on, scripts write whole words with one to three letters and without spaces.
DENSE, DENSE_PIECES = 0x2E80, (1, 2, 3)


def words_of(text: str) -> list[str]:
    """The words of a text without accents and capitals."""
    return folded_words(text[:LONGEST])


def pieces_of(text: str) -> Iterator[str]:
    """Every word of a text, and every piece of a word."""
    for word in words_of(text):
        yield from pieces_of_word(word)


def pieces_of_word(word: str) -> tuple[str, ...]:
    """A word and its pieces; a space marks where it begins or ends."""
    marked = f" {word} "
    sizes = DENSE_PIECES if ord(word[0]) >= DENSE else PIECES
    cuts = (marked[start : start + size] for size in sizes for start in range(len(marked) - size + 1))
    return (marked, *(piece for piece in cuts if piece not in (marked, " ")))
