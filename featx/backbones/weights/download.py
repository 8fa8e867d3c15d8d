"""Weights from the web: from torch's cache, else downloaded into it, checked and whole or not at all."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import urlsplit

from featx.backbones.weights.cache import cannot_write, find_weights, pin_digest, weights_folder, weights_missing
from featx.backbones.weights.http import CutOff, NoAnswer, Progress, Refused, open_url, partial_download, reach_seconds
from featx.backbones.weights.published import PUBLISHER, file_name, hash_prefix
from featx.errors import FeatxError
from featx.files.locks import LockHeld


def source_url(url: str) -> str:
    """The address to fetch from: the publisher's, or the mirror's if `FEATX_WEIGHTS_MIRROR` names one."""
    mirror = os.environ.get("FEATX_WEIGHTS_MIRROR", "").strip()
    if mirror and url.startswith(PUBLISHER):
        url = mirror.rstrip("/") + "/" + url.removeprefix(PUBLISHER)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise FeatxError(
            "bad-config" if mirror else "bad-flag",
            f"`{url}` is not a web address",
            "`FEATX_WEIGHTS_MIRROR` must begin with https:// or http://" if mirror else "it must begin with https://",
        )
    return url


def offline() -> bool:
    """Whether `FEATX_OFFLINE=1` forbids the network."""
    return os.environ.get("FEATX_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


_watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_downloads(progress: Progress) -> Iterator[None]:
    """Tell `progress` of every download that opening a backbone begins meanwhile."""
    before = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(before)


def fetch_weights(
    url: str, *, progress: Progress | None = None, timeout: float = 5.0, backbone: str | None = None
) -> Path:
    """The file of this address: from torch's cache, else downloaded into it, checked and whole or not at all.

    `timeout` is the number of seconds the server may take to begin its answer, a second of it to be connected; there is
    one try.
    An interrupted download is continued by the next call, in this process or another.
    """
    name = file_name(url)
    target = weights_folder() / name
    progress = progress or _watcher.get()
    broken: FeatxError | None = None
    try:
        cached = find_weights(url)
    except FeatxError as error:
        if error.code != "weights-broken":
            raise
        broken = error
    else:
        if cached is not None:
            return cached
    if offline():
        raise broken or weights_missing(url, "`FEATX_OFFLINE` forbids downloads", backbone=backbone)
    source = source_url(url)
    host = urlsplit(source).hostname or source
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial_download(target, source) as part:
            # Another process may have finished the download while this one waited for its turn.
            if broken is None and (cached := find_weights(url)) is not None:
                part.drop()
                return cached
            part.fill(source, timeout, progress)
            digest = part.check(hash_prefix(name), source, timeout, progress)
            pin_digest(target, digest)
            part.finish(target)
    except NoAnswer as error:
        raise broken or weights_missing(url, f"{host} {error}", backbone=backbone) from error
    except Refused as error:
        raise broken or weights_missing(url, f"{host} answered {error}", backbone=backbone) from error
    except CutOff as error:
        raise broken or weights_missing(
            url,
            f"the download from {host} was interrupted ({error}); the next try resumes it",
            backbone=backbone,
        ) from error
    except LockHeld as error:
        raise broken or weights_missing(
            url, "another featx is downloading them, and has received nothing for a minute", backbone=backbone
        ) from error
    except OSError as error:
        raise cannot_write(target, error) from error
    return target


def probe_url(url: str, *, timeout: float = 3.0) -> str:
    """Whether the file of this address could be fetched now: "" if so, else why not, within `timeout` seconds."""
    source = source_url(url)
    # Without encryption it is a mirror nearby, or none: a connection alone proves nothing.
    timeout = timeout if urlsplit(source).scheme == "https" else reach_seconds()
    host = urlsplit(source).hostname or source
    try:
        open_url(urllib.request.Request(source, method="HEAD"), timeout).close()
    except NoAnswer as error:
        return f"{host} {error}"
    except Refused as error:
        return f"{host} answered {error}"
    return ""
