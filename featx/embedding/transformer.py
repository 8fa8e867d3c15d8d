"""Features as a scikit-learn step: `ImageEmbedder` takes photos and gives float32 features.

pipeline = make_pipeline(ImageEmbedder(cache="artifacts/cache"), Normalizer(), SVC())
cross_val_score(pipeline, paths, labels, groups=products, cv=StratifiedGroupKFold(5))
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from featx.embedding.stream import Source, embed, nothing_known, read_source
from featx.errors import FeatxError
from featx.files.atomic import write_atomic
from featx.images import PhotoLike, UnreadablePhoto, holds_a_photo

if TYPE_CHECKING:
    from featx.backbones import Encoder, Fingerprint

Features = npt.NDArray[np.float32]


class ImageEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turn photos into features, as a step of a scikit-learn pipeline.

    Photos are paths, PIL images, uint8 arrays (height × width, or with 1, 3 or 4 channels), bytes or open files, in a
    list, an array, a Series or a DataFrame of one column. Nothing is learned: `transform` works without `fit`. Pickles
    and clones carry names, and after `fit` the fingerprint of the backbone, never its weights.

    Parameters
    ----------
    backbone : the network's name, as `featx backbones` lists it; None for the best that needs no download.
    weights : "default" or None for the network's default ones, the name of others, or a file.
    layer : the layer to read; None for the one before the classifying layer.
    device : "auto", "cpu", "cuda" or "mps".
    batch_size : how many photos the network sees at once; None for as many as `featx extract` shows it, whose
        features these then are to the last digit.
    cache : a folder that keeps the features of every photo by its content, or None.

    """

    fingerprint_: Fingerprint

    def __init__(
        self,
        backbone: str | None = None,
        *,
        weights: str | Path | None = None,
        layer: str | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.layer = layer
        self.device = device
        self.batch_size = batch_size
        self.cache = cache

    def fit(self, X: object, y: object = None) -> ImageEmbedder:
        """Open the backbone and remember which it is; the photos are not looked at."""
        self._checked_batch_size()
        _listed(X)
        self.fingerprint_ = self._opened().fingerprint
        return self

    def transform(self, X: object) -> Features:
        """The features of the photos, a row each in the order given; an unreadable photo stops it by name."""
        size = self._checked_batch_size()
        photos = list(enumerate(_listed(X)))
        opened = self._opened()
        self._refuse_another(opened)
        backbone = opened.backbone
        kept = (
            None
            if self.cache is None
            else FeatureFolder(Path(self.cache) / opened.fingerprint.digest(), backbone.spec.width)
        )
        known = nothing_known if kept is None else kept.read
        rows = np.empty((len(photos), backbone.spec.width), dtype=np.float32)
        # Clones share the backbone, and it computes for one of them at a time.
        with opened.lock, embed(photos, lambda: backbone, read=_read, known=known, batch=size) as stream:
            for result in stream:
                position, _ = result.photo
                if result.features is None:
                    raise _unreadable(result.unreadable, position)
                rows[position] = result.features
                if kept is not None and not result.reused:
                    kept.write(result.digest, result.features)
        return rows

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """One name per column: the backbone's, and a number."""
        spec = self._opened().backbone.spec
        name = re.sub(r"\W+", "_", self.backbone or spec.name).strip("_")
        return np.array([f"{name}_{column}" for column in range(spec.width)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        tags.requires_fit = False
        return tags

    def _checked_batch_size(self) -> int | None:
        size = self.batch_size
        if size is None:
            return None
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise FeatxError(
                "bad-flag", f"batch_size must be a whole number from 1, not {size!r}", "leave it out for the default"
            )
        return int(size)

    def _opened(self) -> _Opened:
        weights = None if self.weights in (None, "default") else os.fspath(self.weights)
        return open_once(self.backbone or _default_backbone(), weights, _stamp(weights), self.layer, self.device)

    def _refuse_another(self, opened: _Opened) -> None:
        fitted = getattr(self, "fingerprint_", opened.fingerprint)
        field = fitted.difference(opened.fingerprint, "classify")
        if field:
            had, has = fitted.values_of(field, opened.fingerprint)
            details = {"fitted": str(getattr(fitted, field)), "opened": str(getattr(opened.fingerprint, field))}
            name = opened.backbone.spec.name
            raise FeatxError(
                "other-backbone",
                f"this embedder was fitted on {had}, but `{name}` now has {has}",
                "restore the weights it was fitted with, or call fit again and retrain the steps after it",
                {"what": field, **details},
            )


# --- the backbone, shared by the clones that cross-validation makes -------------------------------------------------


@dataclass
class _Opened:
    backbone: Encoder
    fingerprint: Fingerprint
    lock: threading.Lock = field(default_factory=threading.Lock)


@lru_cache(maxsize=2)
def open_once(name: str, weights: str | None, stamp: tuple[int, int] | None, layer: str | None, device: str) -> _Opened:
    """A backbone, opened once for the same arguments and the same weights file."""
    backbone = open_encoder(name, weights, layer, device)
    return _Opened(backbone, backbone.fingerprint)


def _default_backbone() -> str:
    from featx.backbones import choose_backbone

    return choose_backbone()[0]


def open_encoder(name: str, weights: str | None, layer: str | None, device: str) -> Encoder:
    """A backbone by name, loaded from disk."""
    from featx.backbones import open_backbone

    return open_backbone(name, weights=weights, layer=layer, device=device)


def _stamp(weights: str | None) -> tuple[int, int] | None:
    """Changes when a weights file is replaced, so that an opened backbone is not reused for another file."""
    try:
        status = os.stat(weights) if weights else None
    except (OSError, ValueError):
        return None
    return (status.st_mtime_ns, status.st_size) if status else None


# --- photos in ------------------------------------------------------------------------------------------------------


def _listed(photos: Any) -> list[Any]:
    if isinstance(photos, str | os.PathLike) or (holds_a_photo(photos) and not isinstance(photos, np.ndarray)):
        raise FeatxError("bad-flag", "this is one photo, not a list of photos", "put it in a list: transform([photo])")
    if hasattr(photos, "columns"):
        if len(photos.columns) != 1:
            raise FeatxError(
                "bad-column",
                f"photos come as one column, but this table has {len(photos.columns)}",
                "give the column of paths: table[['image']], or use a ColumnTransformer",
            )
        photos = photos[photos.columns[0]]
    if isinstance(photos, np.ndarray) and photos.ndim == 2 and photos.shape[1] == 1:
        photos = photos[:, 0]
    if not isinstance(photos, Iterable) or (isinstance(photos, np.ndarray) and photos.ndim == 0):
        raise FeatxError(
            "bad-flag", f"photos come in a list, not as {type(photos).__name__}", "give a list of paths or photos"
        )
    return list(photos)


def paths_of(photos: object) -> list[str]:
    """Photos that are files, in a list, an array, a Series or a table of one column."""
    paths = _listed(photos)
    for i, path in enumerate(paths):
        if not isinstance(path, str | os.PathLike):
            raise FeatxError(
                "bad-flag",
                f"photo {i} is of the type {type(path).__name__}, and the path of a file is wanted",
                "save the photos first, or use ImageEmbedder, which takes them in memory too",
            )
    return [os.fspath(path) for path in paths]


def _read(numbered: tuple[int, PhotoLike]) -> Source:
    position, photo = numbered
    return read_source(photo, name=f"photo {position}")


def _unreadable(refused: UnreadablePhoto | None, position: int) -> FeatxError:
    assert refused is not None
    named = UnreadablePhoto(refused.path or f"photo {position}", refused.reason, refused.detail)
    return FeatxError(
        "photo-unreadable",
        f"cannot read {named}",
        "leave it out, or put the photo back; `featx extract` goes on without such photos and lists them",
        {"path": named.path, "reason": named.reason, "detail": named.detail},
    )


# --- features kept on disk ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FeatureFolder:
    """A folder of features, a file per photo: the SHA-256 of the numbers, then the numbers (little-endian float32)."""

    folder: Path
    width: int

    def path_of(self, digest: str) -> Path:
        """Where the features of a photo are kept."""
        return self.folder / digest[:2] / f"{digest}.f32"

    def read(self, digest: str) -> Features | None:
        """The cached features of a photo; None if missing or damaged."""
        try:
            content = self.path_of(digest).read_bytes()
        except FileNotFoundError:
            return None
        if len(content) != 32 + 4 * self.width or hashlib.sha256(content[32:]).digest() != content[:32]:
            return None  # computed and written anew
        return np.frombuffer(content, dtype="<f4", offset=32).astype(np.float32)

    def write(self, digest: str, features: Features) -> None:
        """Keep the features of a photo."""
        path = self.path_of(digest)
        numbers = features.astype("<f4").tobytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not synced, a photo at a time as they are: what a power cut spoils is not what its digest says.
        write_atomic(path, hashlib.sha256(numbers).digest() + numbers, synced=False, swept=False)
