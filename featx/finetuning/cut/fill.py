"""Views of photos through an encoder, once: what comes out is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.backbones import Encoder
from featx.embedding.stream import Source, embed, read_source
from featx.errors import FeatxError
from featx.finetuning.cut.activations import Activations
from featx.finetuning.events import Advance
from featx.images.views import AUGMENTATIONS, Augmentation

# Photos whose activations are written together.
WRITTEN_AT_ONCE = 16


@dataclass(frozen=True)
class Views:
    """How views of photos differ: number 0 is the photo as it is, the others follow from the seed."""

    policy: Augmentation | None
    seed: int

    @classmethod
    def of(cls, augment: str, seed: int) -> Views:
        """The views of a policy by its name; of an unknown name there are none."""
        return cls(AUGMENTATIONS.get(augment), seed)

    def source(self, path: str, numbers: Sequence[int]) -> Source:
        """Some views of a photo."""
        plain = read_source(path)

        def decode(smallest: tuple[int, int] | None) -> list[Image.Image]:
            return [self._view(plain.decode(smallest)[0], plain.digest, number) for number in numbers]

        return Source(plain.digest, decode)

    def _view(self, image: Image.Image, digest: str, number: int) -> Image.Image:
        if number == 0 or self.policy is None:
            return image
        return self.policy.view(image, digest, number, self.seed)


@dataclass(frozen=True)
class Missing:
    """The views that a cache lacks: their numbers, and the path of each photo, by its digest."""

    numbers: Mapping[str, list[int]]
    paths: Mapping[str, str]

    @classmethod
    def of(cls, activations: Activations, wanted: Mapping[str, int], paths: Mapping[str, str]) -> Missing:
        """Of so many views of each photo beside the plain one, by digest, those that are not there."""
        numbers = {
            digest: [number for number in range(views + 1) if (digest, number) not in activations]
            for digest, views in wanted.items()
        }
        return cls({digest: missing for digest, missing in numbers.items() if missing}, paths)

    @property
    def count(self) -> int:
        """How many views are to be computed."""
        return sum(map(len, self.numbers.values()))


def fill(activations: Activations, encoder: Encoder, missing: Missing, views: Views, advance: Advance) -> None:
    """Compute what is missing, and keep it."""
    of_path = {missing.paths[digest]: digest for digest in missing.numbers}
    waiting: list[tuple[str, int]] = []
    maps: list[NDArray[np.float32]] = []

    def write() -> None:
        if waiting:
            activations.append(waiting, np.stack(maps))
            waiting.clear()
            maps.clear()

    def read(path: str) -> Source:
        return views.source(path, missing.numbers[of_path[path]])

    with embed(list(of_path), lambda: encoder, read=read) as stream:
        for done, result in enumerate(stream, start=1):
            if result.features is None:
                raise FeatxError(
                    "photo-unreadable", f"`{result.photo}` changed while it was being tuned on", "run it again"
                )
            numbers = missing.numbers[of_path[result.photo]]
            waiting += [(of_path[result.photo], number) for number in numbers]
            maps += list(result.features.reshape(len(numbers), -1))
            if len(waiting) >= WRITTEN_AT_ONCE:
                write()
            advance(done)
        write()
