"""Numbers for texts: the same on every machine and in every process."""

from __future__ import annotations

import hashlib


def number_for(text: str) -> int:
    """A number of 64 bits that hardly another text has."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
