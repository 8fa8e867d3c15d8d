"""The features of one photo, by the backbone that made the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.errors import FeatxError
from featx.images.crop import Crop

if TYPE_CHECKING:
    from featx.backbones import Backbone


class Embedder:
    """New photos made into features with the backbone of a store, which is opened for the first of them."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._backbone: Backbone | None = None

    def __call__(self, path: Path, crop: Crop | None = None) -> NDArray[np.float32]:
        """The features of a photo, made exactly as those of the store."""
        from featx.embedding.reopen import reopen_backbone
        from featx.images import UnreadablePhoto, read_photo
        from featx.store import open_store

        try:
            image = read_photo(path).image
        except UnreadablePhoto as error:
            raise unreadable_query(error) from error
        if crop is not None:
            image = crop.cut(image, str(path))
        if self._backbone is None:
            self._backbone = reopen_backbone(open_store(self.store))
        features: NDArray[np.float32] = self._backbone.features([self._backbone.prepare(image)])[0]
        return features


def unreadable_query(error: Exception) -> FeatxError:
    """The error for a query photo that cannot be read."""
    return FeatxError("photo-unreadable", f"cannot read {error}", "name another photo, or mend this one")
