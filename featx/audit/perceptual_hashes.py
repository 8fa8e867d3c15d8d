"""Are two photos the same image? Perceptual hashes that survive re-encoding, resizing and a small crop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from featx.compute.threads import cores
from featx.files.caches import read_arrays, write_arrays
from featx.images import UnreadablePhoto, read_photo
from featx.store import Store

# This much is cut from each side of a photo: a cropped copy agrees with one of these crops.
CROPS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12)
SIDE = 16
BYTES = SIDE * SIDE // 8
# Copies saved again or cropped differ in up to a tenth of their bits, other photos hardly ever in less than a third.
SAME = 0.10
# Hardly any copies differ this much; the number of pairs here estimates the accidents among the agreeing pairs.
NEARLY = 0.14
# How two photos compare; UNREAD where one of them cannot be read.
DIFFER, AGREE, NEARLY_AGREE, UNREAD = range(4)


def hash_of(path: str, digest: str) -> np.ndarray | None:
    """Which of two neighbouring patches is brighter, 256 times, for the photo and six crops of it.

    None where the file cannot be read any more, or is no longer the photo that was extracted.
    """
    try:
        photo = read_photo(path, draft_size=(128, 128))
    except UnreadablePhoto:
        return None
    if photo.digest != digest:
        return None
    grey = photo.image.convert("L")
    grey.thumbnail((256, 256))
    width, height = grey.size
    hashes = []
    for crop in CROPS:
        box = (width * crop, height * crop, width * (1 - crop), height * (1 - crop))
        small = np.asarray(grey.resize((SIDE + 1, SIDE), box=box), dtype=np.int16)
        hashes.append(np.packbits(np.diff(small, axis=1) > 0))
    return np.array(hashes, dtype=np.uint8)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The share of bits two hashes differ in, at the crop where they agree best; arrays of hashes, pair by pair."""
    best = np.full(len(a), 1.0)
    for crop in range(len(CROPS)):
        for ours, theirs in ((a[:, 0], b[:, crop]), (a[:, crop], b[:, 0])):
            bits = np.bitwise_count(ours ^ theirs).sum(axis=1) / (BYTES * 8)
            best = np.minimum(best, bits)
    return best


class HashCache:
    """The hashes of a store's photos: read when they are asked for, kept beside the store by digest."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.unreadable: set[int] = set()
        self.path = store.path.with_name(store.path.name + ".hashes")
        self._known: dict[str, np.ndarray] = dict(read_hashes(self.path))
        self._fresh = 0

    def verdicts(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """For each pair of rows: AGREE, NEARLY_AGREE, DIFFER or UNREAD."""
        if not len(i):
            return np.zeros(0, dtype=np.int8)
        wanted = np.unique(np.concatenate([i, j]))
        self._read(wanted.tolist())
        digests = self.store.digests
        readable = np.array([digests[row] in self._known for row in wanted])
        nothing = np.zeros((len(CROPS), BYTES), dtype=np.uint8)
        hashes = np.array([self._known.get(digests[row], nothing) for row in wanted])
        left, right = np.searchsorted(wanted, i), np.searchsorted(wanted, j)
        verdicts = np.empty(len(i), dtype=np.int8)
        for start in range(0, len(i), 100_000):
            part = slice(start, start + 100_000)
            differing = difference(hashes[left[part]], hashes[right[part]])
            verdicts[part] = np.select([differing <= SAME, differing <= NEARLY], [AGREE, NEARLY_AGREE], DIFFER)
        verdicts[~(readable[left] & readable[right])] = UNREAD
        return verdicts

    def _read(self, rows: Iterable[int]) -> None:
        paths, digests = self.store.paths, self.store.digests
        todo = {digests[row]: row for row in rows if digests[row] not in self._known and row not in self.unreadable}
        with ThreadPoolExecutor(min(4, cores())) as pool:
            computed = pool.map(lambda row: hash_of(paths[row], digests[row]), todo.values())
            for (digest, row), hashes in zip(todo.items(), computed, strict=True):
                if hashes is None:
                    self.unreadable.add(row)
                else:
                    self._known[digest] = hashes
                    self._fresh += 1

    def keep(self) -> None:
        """Write the hashes beside the store; where that is not allowed they are computed again next time."""
        if not self._fresh:
            return
        here = set(self.store.digests)
        known = {digest: hashes for digest, hashes in self._known.items() if digest in here}
        with suppress(OSError):
            write_hashes(self.path, known)
        self._fresh = 0


def write_hashes(path: Path, known: Mapping[str, np.ndarray]) -> None:
    """Keep hashes in a file, by digest."""
    write_arrays(path, {"digests": np.array(list(known), dtype="S64"), "hashes": np.array(list(known.values()))})


def read_hashes(path: Path) -> Mapping[str, np.ndarray]:
    """The hashes kept in a file, by digest; none where there is no sound file."""
    arrays = read_arrays(path, "digests", "hashes")
    if arrays is None:
        return {}
    digests, hashes = arrays["digests"], arrays["hashes"]
    if digests.dtype != "S64" or hashes.dtype != np.uint8 or hashes.shape != (len(digests), len(CROPS), BYTES):
        return {}
    return {digest.decode("ascii", "replace"): crops for digest, crops in zip(digests, hashes, strict=True)}
