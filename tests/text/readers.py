"""A reader for tests: it reads the colour of a photo's first pixel in a table, and counts what it read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from featx.text.records import Pixels, TextLine


@dataclass
class ListReader:
    """Reads what `say` says of a photo's pixels."""

    say: Callable[[Pixels], Sequence[str]]
    fingerprint: str = "list/1"
    name: str = "a list"
    seen: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, images: Sequence[Pixels]) -> list[tuple[TextLine, ...]]:
        with self.lock:
            self.seen += [int(image[0, 0, 0]) for image in images]
        return [tuple(TextLine(text, 0.9, (1, 2, 30, 14)) for text in self.say(image)) for image in images]


WORDS = {10: ["Havre Dryck", "1 L"], 60: ["GRÄDDFIL"], 110: [], 160: ["VANILJ yoghurt"], 210: []}


def by_shade(image: Pixels) -> Sequence[str]:
    """The words of the nearest shade in `WORDS`."""
    return WORDS[min(WORDS, key=lambda shade: abs(shade - int(image[0, 0, 0])))]


def shaded(path: Path, shade: int) -> Path:
    """A photo of one shade; lossless, so that its first pixel is what the reader sees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 48, 3), shade, dtype=np.uint8)).save(path)
    return path
