"""Bytes that carry their own SHA-256: damage is noticed before anything of them is parsed."""

from __future__ import annotations

import hashlib

LENGTH = 64


def with_digest(body: bytes) -> bytes:
    """The bytes of a file: the SHA-256 of its body in hexadecimal, then the body."""
    return hashlib.sha256(body).hexdigest().encode() + body


def checked_body(data: bytes) -> bytes:
    """The body of such a file; ValueError where it is not what was written."""
    digest, body = data[:LENGTH], data[LENGTH:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its SHA-256 is not the one at its start")
    return body
