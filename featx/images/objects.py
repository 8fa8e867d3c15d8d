"""Photos in clouds and on web servers, read by obstore (an extra) with the credentials that each cloud's tools use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from featx.errors import FeatxError
from featx.images.reading import MAX_BYTES, UnreadablePhoto, too_many_bytes

SCHEMES = ("s3://", "gs://", "az://", "https://", "http://")
# A bucket that hiccups is asked again, for so long.
RETRIES, RETRIED_FOR, TIMEOUT = 8, timedelta(seconds=120), timedelta(seconds=60)
LISTED_AT_ONCE = 1000


# Size and time.
Mark = tuple[int, int]


@dataclass(frozen=True)
class ListedObject:
    """An object of a bucket: its URL and its size."""

    url: str
    size: int


def read_object(url: str) -> tuple[bytes, Mark]:
    """All bytes of an object, and their mark, by one request; refused before they are read where they are too many."""
    store, key = _located(url)
    try:
        found = store.get(key)
        if found.meta["size"] > MAX_BYTES:
            raise too_many_bytes(url, found.meta["size"])
        return bytes(found.bytes()), _mark(found.meta)
    except FileNotFoundError as error:
        raise UnreadablePhoto(url, "missing", "no such object") from error
    except _errors() as error:
        raise UnreadablePhoto(url, "unreadable", _reason(error)) from error


def mark_of_object(url: str) -> Mark | None:
    """Size and time of an object; None if they cannot be read."""
    store, key = _located(url)
    try:
        return _mark(store.head(key))
    except _errors():
        return None


def _mark(meta: Any) -> Mark:
    return meta["size"], int(meta["last_modified"].timestamp() * 1e9)


def list_objects(url: str) -> Iterator[ListedObject]:
    """Every object under a prefix, a page at a time."""
    obstore = _library()
    root, prefix = _parts(url)
    try:
        for page in obstore.list(_bucket(root), prefix or None, chunk_size=LISTED_AT_ONCE):
            for meta in page:
                yield ListedObject(f"{root}/{meta['path']}", meta["size"])
    except _errors() as error:
        raise FeatxError(
            "no-server",
            f"cannot list `{url}`: {_reason(error)}",
            "check the address, and the credentials of that cloud",
        ) from error


def _located(url: str) -> tuple[Any, str]:
    root, key = _parts(url)
    return _bucket(root), key


def _parts(url: str) -> tuple[str, str]:
    """The bucket and the key; Azure's buckets are containers of an account."""
    scheme, _, rest = url.partition("://")
    levels = 2 if scheme == "az" else 1
    pieces = rest.split("/", levels)
    root = "/".join(pieces[:levels])
    return f"{scheme}://{root}", pieces[levels] if len(pieces) > levels else ""


@cache
def _bucket(root: str) -> Any:
    _library()
    from obstore.store import from_url

    # A server on this machine, such as one for tests, has no certificate.
    plain = root.startswith("http://") or os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    try:
        return from_url(
            root,
            client_options={"timeout": TIMEOUT, "allow_http": plain},
            retry_config={"max_retries": RETRIES, "retry_timeout": RETRIED_FOR},
        )
    except _errors() as error:
        raise FeatxError("bad-flag", f"`{root}` is no bucket: {_reason(error)}", "write s3://bucket/folder") from error


def _reason(error: BaseException) -> str:
    """The first line of what a cloud says, which names no credentials."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]


def _errors() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return (BaseError, ValueError, OSError)


def _library() -> Any:
    try:
        import obstore
    except ImportError as error:
        raise FeatxError(
            "extra-missing", "photos in clouds need obstore, which is not installed", "`pip install 'featx[cloud]'`"
        ) from error
    return obstore
