"""The layout of the map: features in, two coordinates for each photo out; deterministic."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.compute.vectors import unit_rows
from featx.files.caches import read_arrays, write_arrays

# t-SNE's time grows faster than the number of points: above this many, the rest are placed among these.
LANDMARKS = 5_000
WHOLE = 10_000
DIRECTIONS = 50
NEAREST = 5
BLOCK = 2_048
VERSION = b"featx-map/2"


@dataclass(frozen=True)
class Layout:
    """The map of a store: (n, 2) coordinates between 0 and 1, the method, and the time it took."""

    places: np.ndarray
    method: str
    seconds: float


def lay_out(features: np.ndarray, *, cache: Path | None = None, seed: int = 0) -> Layout:
    """Lay out the rows of `features` so that similar ones are close; cached by content in `cache`."""
    rows = np.ascontiguousarray(features, dtype=np.float32)
    cached = None if cache is None else cache / f"map-{_digest(rows, seed)}.npz"
    if (layout := read_layout(cached, len(rows))) is not None:
        return layout
    begun = time.perf_counter()
    # Only libraries that are loaded already are limited to one thread.
    import sklearn.decomposition
    import sklearn.manifold  # noqa: F401
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]

    # With another number of threads the sums come in another order, and t-SNE makes a whole new picture of that.
    with threadpool_limits(limits=1):
        places, method = _placed(rows, seed)
    layout = Layout(_between_0_and_1(places), method, time.perf_counter() - begun)
    if cached is not None:
        write_layout(cached, layout)
    return layout


def _placed(rows: np.ndarray, seed: int) -> tuple[np.ndarray, str]:
    unit = unit_rows(rows)
    # Photos that all look the same have no map, and t-SNE's tree does not end on them.
    if len(rows) < 5 or not np.isfinite(rows).all() or float(np.ptp(unit, axis=0).max()) < 1e-6:
        return _line(len(rows)), "a row"
    directions = _directions(unit, seed)
    if len(rows) <= WHOLE:
        return _tsne(directions, seed), "t-SNE"
    return _among_landmarks(directions, seed), f"t-SNE of {LANDMARKS:,} photos, the others placed among them"


def _directions(rows: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    n = min(DIRECTIONS, rows.shape[1], len(rows))
    if n < 2:
        return np.pad(rows, ((0, 0), (0, max(0, 2 - rows.shape[1]))))
    learn = rows if len(rows) <= 20_000 else rows[np.random.default_rng(seed).choice(len(rows), 20_000, replace=False)]
    return np.asarray(PCA(n, random_state=seed, svd_solver="covariance_eigh").fit(learn).transform(rows))


def _tsne(rows: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(2.0, (len(rows) - 1) / 3))
    embedding = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=750, n_jobs=1)
    return np.asarray(embedding.fit_transform(rows.astype(np.float32)), dtype=np.float64)


def _among_landmarks(rows: np.ndarray, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    marks = np.sort(random.choice(len(rows), LANDMARKS, replace=False))
    placed = _tsne(rows[marks], seed)
    places = np.empty((len(rows), 2))
    squares = (rows[marks] ** 2).sum(axis=1)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        far = np.maximum((part**2).sum(axis=1)[:, None] + squares - 2 * part @ rows[marks].T, 0)
        near = np.argpartition(far, NEAREST, axis=1)[:, :NEAREST]
        weights = 1 / (np.take_along_axis(far, near, axis=1) + 1e-9)
        weights /= weights.sum(axis=1, keepdims=True)
        # The mean of distant points lies where nothing belongs; the median stays with the majority.
        middle = np.median(placed[near], axis=1)
        away = np.linalg.norm(placed[near] - middle[:, None], axis=2)
        weights = weights * (away <= np.median(away, axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        places[start : start + len(part)] = (placed[near] * weights[..., None]).sum(axis=1)
    places[marks] = placed
    return places


def _line(n: int) -> np.ndarray:
    return np.stack([np.linspace(0, 1, max(n, 1))[:n], np.full(n, 0.5)], axis=1)


def _between_0_and_1(places: np.ndarray) -> np.ndarray:
    if not len(places):
        return places.reshape(0, 2)
    low, high = places.min(axis=0), places.max(axis=0)
    scale = max(float((high - low).max()), 1e-12)
    return np.asarray(0.5 + (places - (low + high) / 2) / scale)


def _digest(rows: np.ndarray, seed: int) -> str:
    known = hashlib.sha256(VERSION + f"{rows.shape}{seed}{LANDMARKS}".encode())
    known.update(rows.data)
    return known.hexdigest()[:16]


def read_layout(path: Path | None, n: int) -> Layout | None:
    """The cached layout of this many photos; None if there is no valid one."""
    arrays = read_arrays(path, "places", "method", "seconds")
    if arrays is None or arrays["places"].shape != (n, 2) or arrays["method"].ndim or arrays["seconds"].ndim:
        return None
    return Layout(arrays["places"], str(arrays["method"]), float(arrays["seconds"]))


def write_layout(path: Path, layout: Layout) -> None:
    """Keep a layout in a file."""
    write_arrays(path, {"places": layout.places, "method": layout.method, "seconds": layout.seconds})
