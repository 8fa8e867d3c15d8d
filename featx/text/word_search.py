"""Words looked for in texts: accents and capitals do not count, misread letters count a little.

A reader takes `0` for `o`, `rn` for `m` and loses a letter now and then, and packs join words: `havre` is found in
`HAVREDRYCK`, `HAURE` and `hávre`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from featx.errors import FeatxError
from featx.text.plain import words_of
from featx.text.text_file import TextFile, texts_beside

# How much a word counts that is not the wanted one letter by letter.
WITHIN, MISREAD, ONE_OFF, TWO_OFF = 0.9, 0.85, 0.75, 0.6
# Shorter words are found only whole; one letter may differ from `ONE_FROM` letters on, two from `TWO_FROM`.
WITHIN_FROM, ONE_FROM, TWO_FROM = 3, 4, 8
# Letters that readers take for each other.
_SAME_SHAPE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "8": "b", "6": "g", "q": "g", "2": "z"})
# More words than people type; each is compared with the whole vocabulary.
MOST_WORDS = 20


@dataclass(frozen=True)
class WordHit:
    """A photo that answers: how well, from 0 to 1, and the words on it that did."""

    digest: str
    score: float
    words: tuple[str, ...]


def wanted_words(query: str) -> list[str]:
    """The words that a query looks for; a FeatxError where there is none."""
    words = list(dict.fromkeys(words_of(query)))[:MOST_WORDS]
    if not words:
        raise FeatxError("bad-flag", "no word to look for", "write letters or digits: `featx similar --text havre`")
    return words


def likeness(wanted: str, word: str) -> float:
    """How well a folded word answers a wanted one, from 0 to 1."""
    if wanted == word:
        return 1.0
    if len(wanted) >= WITHIN_FROM and wanted in word:
        return WITHIN
    if len(wanted) < ONE_FROM or abs(len(wanted) - len(word)) > 2:
        return 0.0
    wanted_shape, shape = _shape(wanted), _shape(word)
    if wanted_shape == shape:
        return MISREAD
    allowed = 2 if len(wanted) >= TWO_FROM else 1
    edits = _edits(wanted_shape, shape, allowed)
    return (ONE_OFF, TWO_OFF)[edits - 1] if edits <= allowed else 0.0


@lru_cache(maxsize=1 << 16)
def _shape(word: str) -> str:
    return word.replace("rn", "m").replace("vv", "w").translate(_SAME_SHAPE)


def _edits(word: str, other: str, most: int) -> int:
    """How many letters must change, come or go; `most` + 1 where more than `most` must."""
    if abs(len(word) - len(other)) > most:
        return most + 1
    before = list(range(len(other) + 1))
    for i, letter in enumerate(word, start=1):
        row = [i]
        for j, there in enumerate(other, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != there)))
        if min(row) > most:
            return most + 1
        before = row
    return before[-1]


class Words:
    """The words of a query, to be compared with many texts."""

    def __init__(self, query: str) -> None:
        self.wanted = wanted_words(query)
        self._known: dict[str, tuple[float, ...]] = {}

    def stand_in(self, text: str) -> bool:
        """Whether a text has every wanted word, or one like it."""
        here = [self._likenesses(word) for word in words_of(text)]
        return all(any(likenesses[i] for likenesses in here) for i in range(len(self.wanted)))

    def excerpt(self, text: str, room: int) -> str:
        """As much of a text as has room, from its beginning if a wanted word stands there, else from the first one."""
        found = next((piece for piece in re.finditer(r"\S+", text) if self._answers(piece[0])), None)
        if found is None or found.end() < room or len(text) <= room:
            return beginning(text, room)
        return beginning(f"…{text[found.start() :]}", room)

    def _answers(self, piece: str) -> bool:
        return any(any(self._likenesses(word)) for word in words_of(piece))

    def _likenesses(self, word: str) -> tuple[float, ...]:
        if word not in self._known:
            self._known[word] = tuple(likeness(wanted, word) for wanted in self.wanted)
        return self._known[word]


def beginning(text: str, room: int) -> str:
    """As much of a text as has room."""
    return text if len(text) <= room else f"{text[: room - 1]}…"


def find_words(store: Path, query: str) -> list[WordHit]:
    """The photos of a store with words of a query on them, best first: those with every word before the others."""
    wanted = wanted_words(query)
    file = TextFile.open(texts_beside(store))
    if file is None:
        raise nothing_read(store)
    with file:
        vocabulary = file.vocabulary()
        alike = [{word: sure for word in vocabulary if (sure := likeness(sought, word))} for sought in wanted]
        numbers = {vocabulary[word]: word for words in alike for word in words}
        digests = file.photos_with(numbers)
    places = {word: digests[number] for number, word in numbers.items()}
    return sorted(_hits(alike, places), key=lambda hit: (-hit.score, hit.digest))


def _hits(alike: list[dict[str, float]], places: Mapping[str, list[str]]) -> list[WordHit]:
    best: dict[str, list[tuple[float, str]]] = {}
    for i, words in enumerate(alike):
        for word, sure in words.items():
            for digest in places[word]:
                answers = best.setdefault(digest, [(0.0, "")] * len(alike))
                answers[i] = max(answers[i], (sure, word))
    return [
        WordHit(
            digest,
            sum(sure for sure, _ in answers) / len(alike),
            tuple(dict.fromkeys(word for _, word in answers if word)),
        )
        for digest, answers in best.items()
    ]


def nothing_read(store: Path) -> FeatxError:
    """The error for a store whose photos were never read."""
    return FeatxError(
        "no-text", f"the text on the photos of {store} was not read yet", f"read it: `featx read --store {store}`"
    )
