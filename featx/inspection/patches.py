"""A photo as patches: what the maps inside a network show at each place, with the places around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.backbones.base import Encoder, EncoderSpec
from featx.embedding.single import NAMELESS
from featx.embedding.stream import embed, read_source
from featx.images import PhotoLike, UnreadablePhoto
from featx.images.photos import name_of

Patches = NDArray[np.float32]


@dataclass(frozen=True)
class PatchedPhoto:
    """A photo with a descriptor for each patch, (height, width, numbers); or the reason why it could not be read."""

    photo: PhotoLike
    digest: str = ""
    image: Image.Image | None = None
    patches: Patches | None = None
    unreadable: UnreadablePhoto | None = None

    @property
    def name(self) -> str:
        """The path of the photo, where it has one."""
        return name_of(self.photo, NAMELESS)


class DetailEncoder(Encoder):
    """An encoder of which only the maps of details are wanted."""

    def __init__(self, inner: Encoder) -> None:
        self.inner, self.fingerprint = inner, inner.fingerprint

    @property
    def spec(self) -> EncoderSpec:
        """The facts that callers need."""
        return replace(self.inner.spec, width=1)

    def prepare(self, source: Any) -> Any:
        """As the encoder itself."""
        return self.inner.prepare(source)

    def features(self, batch: Sequence[Any]) -> np.ndarray:
        """None."""
        return np.zeros((len(batch), 1), dtype=np.float32)

    def maps_of_networks(self, batch: Sequence[Any]) -> list[np.ndarray | None]:
        """The maps of details."""
        return [self.inner.detail_maps(batch)]


def patched_photos(photos: Iterable[PhotoLike], encoder: Encoder) -> Iterator[PatchedPhoto]:
    """Photos with their patches, in their order."""
    with embed(photos, lambda: DetailEncoder(encoder), read=read_source, keep_maps=True) as stream:
        for looked in stream:
            maps = looked.maps[0] if looked.maps else None
            patches = None if maps is None else patches_of(maps)
            yield PatchedPhoto(looked.photo, looked.digest, looked.image, patches, looked.unreadable)


def patches_of(maps: NDArray[np.float32]) -> Patches:
    """The descriptors of maps (channels, height, width): each place averaged with its neighbours."""
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    height, width = maps.shape[1:]
    total = np.zeros_like(maps)
    for y in range(3):
        for x in range(3):
            total += padded[:, y : y + height, x : x + width]
    return np.ascontiguousarray((total / 9).transpose(1, 2, 0))
