"""Does the border of a photo decide? Asked of the photo itself, with its border blurred and with its middle blurred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from featx.explanation.fine import blurred_where, sharp_and_blurred

# The border is one cell wide on a grid of SIDE x SIDE: somewhat more than half of the photo.
SIDE = 6

# The probabilities of every category, for some photos.
Shares = Callable[[Sequence[Image]], NDArray[np.float64]]


@dataclass(frozen=True)
class Answer:
    """A category and its probability."""

    category: str
    sure: float

    def to_dict(self) -> dict[str, Any]:
        """The answer in a JSON record."""
        return {"category": self.category, "sure": round(self.sure, 4)}


@dataclass(frozen=True)
class Border:
    """The answer to a photo, to the photo with its border blurred, and to the photo with its middle blurred."""

    category: str
    border_blurred: Answer
    middle_blurred: Answer

    @property
    def decides(self) -> bool:
        """Whether the border is needed for the answer and suffices for it, as a background that gives it away does."""
        return self.middle_blurred.category == self.category != self.border_blurred.category

    def to_dict(self) -> dict[str, Any]:
        """The border in a JSON record."""
        return {
            "decides": self.decides,
            "border_blurred": self.border_blurred.to_dict(),
            "middle_blurred": self.middle_blurred.to_dict(),
        }


def ask_border(image: Image, shares_of: Shares, classes: Sequence[str], winner: int) -> Border:
    """Ask the classifier about the photo with its border blurred, and with its middle blurred."""
    border = np.ones((SIDE, SIDE), dtype=bool)
    border[1:-1, 1:-1] = False
    sharp, blurred = sharp_and_blurred(image)
    shares = shares_of([blurred_where(sharp, blurred, cells) for cells in (border, ~border)])
    answers = [Answer(classes[int(row.argmax())], float(row.max())) for row in shares]
    return Border(classes[winner], *answers)
