"""Texts as rows of numbers by meaning, each text once: kept by its digest in a file of the shop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.backbones.sentences import FINGERPRINT, WIDTH, open_sentences
from featx.errors import FeatxError
from featx.files.caches import read_arrays, write_arrays
from featx.workspace import Workspace

Rows = dict[bytes, NDArray[np.float16]]
# Bytes of a digest: two texts of a shop never share one.
DIGEST = 16


def meaning_rows(texts: Sequence[str]) -> NDArray[np.float32]:
    """A unit row for each text; those that were never seen are computed, and kept where there is a shop."""
    digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:DIGEST] for text in texts]
    path = _file()
    known = _known(path)
    new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
    if new:
        # Half the precision, kept or not: an answer never depends on what was computed before.
        rows = open_sentences().embed(list(new.values())).astype(np.float16)
        known |= dict(zip(new, rows, strict=True))
        _keep(path, known)
    return np.array([known[digest] for digest in digests], dtype=np.float32).reshape(len(texts), WIDTH)


def _file() -> Path | None:
    root = Workspace.here().root
    return root.absolute() / "sentences.npz" if root.is_dir() else None


@cache
def _known(path: Path | None) -> Rows:
    """The rows of a file, read once in a process, and what this process adds to them."""
    arrays = read_arrays(path, "fingerprint", "digests", "rows")
    if arrays is None or str(arrays["fingerprint"]) != FINGERPRINT:
        return {}
    digests, rows = arrays["digests"], arrays["rows"]
    if digests.shape != (len(rows), DIGEST) or rows.shape != (len(digests), WIDTH) or rows.dtype != np.float16:
        return {}
    return {digest.tobytes(): row for digest, row in zip(digests, rows, strict=True)}


def _keep(path: Path | None, known: Rows) -> None:
    if path is None:
        return
    digests = np.frombuffer(b"".join(known), dtype=np.uint8).reshape(-1, DIGEST)
    with suppress(OSError, FeatxError):  # a folder that cannot be written only costs time
        write_arrays(path, {"fingerprint": FINGERPRINT, "digests": digests, "rows": np.array(list(known.values()))})
