"""The features of one photo, by the backbone that made the store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.backbones.names import OPEN_CLIP
from featx.errors import FeatxError

if TYPE_CHECKING:
    from featx.backbones import Encoder
    from featx.embedding.stream import Source
    from featx.images.crop import Crop
    from featx.images.photos import PhotoLike
    from featx.store import Store

# How an answer and an error call a photo that has no file of its own.
NAMELESS = "the photo"


class Embedder:
    """Turns new photos into features with the backbone of a store, which is opened for the first of them."""

    def __init__(self, store: Path, blocks: Sequence[str] = (), near: Sequence[Path] = ()) -> None:
        """Features of the backbone that made a store, or of only these parts of a joined one.

        Its weights file is looked for in the places `near` too.
        """
        self.store, self.blocks, self.near = store, tuple(blocks), tuple(near)

    def __call__(self, photo: PhotoLike, crop: Crop | None = None) -> NDArray[np.float32]:
        """The features of a photo in any form, made exactly as those of the store."""
        from featx.embedding.stream import embed

        # A batch of one, unpadded: a query has no neighbours that its numbers could depend on.
        with embed([photo], lambda: self._encoder, read=partial(self._read, crop=crop), workers=1, batch=1) as stream:
            result = next(stream)
        if result.unreadable is not None:
            raise unreadable_query(result.unreadable) from result.unreadable
        assert result.features is not None
        return result.features

    @property
    def text_network(self) -> str:
        """The backbone of the store, if it puts texts into the space of the photos; else ""."""
        networks = self._store.fingerprint.networks
        name = networks[0][0].backbone
        return name if len(networks) == 1 and name.startswith(OPEN_CLIP) else ""

    def of_text(self, text: str) -> NDArray[np.float32]:
        """The features of a text: one row of length 1."""
        row: NDArray[np.float32] = self._encoder.networks()[0].text_features([text])
        return row

    @cached_property
    def _store(self) -> Store:
        from featx.store import open_store

        return open_store(self.store, self.blocks)

    @cached_property
    def _encoder(self) -> Encoder:
        from featx.embedding.reopen import reopen_backbone

        return reopen_backbone(self._store, near=self.near)

    def _read(self, photo: PhotoLike, crop: Crop | None) -> Source:
        from featx.embedding.reopen import decodes_exactly
        from featx.embedding.stream import Source, read_source
        from featx.images.photos import name_of

        if crop is None:
            return read_source(photo, exact=decodes_exactly(self._store.provenance), name=NAMELESS)
        whole = read_source(photo, exact=True, name=NAMELESS)  # a crop counts the pixels of the whole photo
        name = name_of(photo, NAMELESS)
        return Source(whole.digest, lambda _: [crop.cut(image, name) for image in whole.decode(None)])


def unreadable_query(error: Exception) -> FeatxError:
    """The error for a query photo that cannot be read."""
    return FeatxError("photo-unreadable", f"cannot read {error}", "name another photo, or fix this one")
