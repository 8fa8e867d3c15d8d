"""Weights fetched from the web: continued where they broke off, checked, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from http.client import HTTPException, HTTPMessage, HTTPResponse
from io import BufferedRandom
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from featx.backbones.weights.cache import (
    cannot_write,
    find_weights,
    pin_digest,
    weights_folder,
    weights_missing,
)
from featx.backbones.weights.published import PUBLISHER, file_name, hash_prefix
from featx.errors import FeatxError
from featx.files.atomic import replace_durably, write_atomic
from featx.files.locks import LockHeld, wait_for_lock
from featx.files.regular import read_json

_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)$")
# A body that stops moving is given longer than a server that never says a word: the bytes so far are worth waiting for.
_STALL = 3.0
_TRIES = 100

Progress = Callable[[int, int], None]


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
    """Whether the person asked for no network at all, with `FEATX_OFFLINE=1`."""
    return os.environ.get("FEATX_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


class _NoAnswer(Exception):
    """The server could not be reached, or did not begin to answer in time."""


class _Refused(Exception):
    """The server answered, but not with the file."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _CutOff(Exception):
    """The body ended, or stood still, before it was complete."""


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

    `timeout` is how long the server may take to begin its answer, in seconds; it is asked once.
    An interrupted download is continued by the next call, in this process or another.
    """
    name = file_name(url)
    target = weights_folder() / name
    progress = progress or _watcher.get()
    broken: FeatxError | None = None
    try:
        found = find_weights(url)
    except FeatxError as error:
        if error.code != "weights-broken":
            raise
        broken = error
    else:
        if found is not None:
            return found
    if offline():
        raise broken or weights_missing(url, "`FEATX_OFFLINE` forbids downloads", backbone=backbone)
    source = source_url(url)
    host = urlsplit(source).hostname or source
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(target, source) as part:
            # Another process may have finished the download while this one waited for its turn.
            if broken is None and (found := find_weights(url)) is not None:
                part.drop()
                return found
            part.fill(source, timeout, progress)
            digest = part.check(hash_prefix(name), source, timeout, progress)
            pin_digest(target, digest)
            part.finish(target)
    except _NoAnswer as error:
        raise broken or weights_missing(
            url, f"{host} did not answer ({timeout:g} s)" if not str(error) else f"{host} {error}", backbone=backbone
        ) from error
    except _Refused as error:
        raise broken or weights_missing(url, f"{host} answered {error}", backbone=backbone) from error
    except _CutOff as error:
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
    host = urlsplit(source).hostname or source
    try:
        _open(urllib.request.Request(source, method="HEAD"), timeout).close()
    except _NoAnswer as error:
        return f"{host} {error}" if str(error) else f"{host} did not answer ({timeout:g} s)"
    except _Refused as error:
        return f"{host} answered {error}"
    return ""


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to the web, and never from an encrypted page to a plain one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request to follow with, or an error for a target that is none of ours."""
        if urlsplit(newurl).scheme not in (("https",) if req.type == "https" else ("http", "https")):
            raise urllib.error.HTTPError(req.full_url, code, "a redirect to another kind of address", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(request: urllib.request.Request, timeout: float) -> HTTPResponse:
    """Ask once; an answer must begin within `timeout` seconds in all, however many addresses the name has."""
    opener = urllib.request.build_opener(_WebOnly)
    request.add_header("User-Agent", "featx")
    request.add_header("Accept-Encoding", "identity")
    outcome: list[HTTPResponse | BaseException] = []
    lock, given_up = threading.Lock(), threading.Event()

    def ask() -> None:
        result: HTTPResponse | BaseException
        try:
            result = cast("HTTPResponse", opener.open(request, timeout=timeout * _STALL))
        except BaseException as error:  # told to the thread that waits  # noqa: BLE001
            result = error
        with lock:
            if given_up.is_set():
                _close(result)
            else:
                outcome.append(result)

    # Looking up a name and trying its addresses one by one cannot be bounded from within; waiting for it can.
    thread = threading.Thread(target=ask, name="featx-weights", daemon=True)
    thread.start()
    thread.join(timeout)
    with lock:
        if not outcome:
            given_up.set()
            raise _NoAnswer
    answer = outcome[0]
    if isinstance(answer, HTTPResponse):
        return answer
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        raise _Refused(answer.code, f"{answer.code} ({answer.reason})") from answer
    if isinstance(answer, urllib.error.URLError):
        if isinstance(answer.reason, TimeoutError):
            raise _NoAnswer from answer
        raise _NoAnswer(f"cannot be reached ({_reason(answer.reason)})") from answer
    if isinstance(answer, OSError | HTTPException | ValueError):
        raise _NoAnswer(f"gave an invalid answer ({_reason(answer)})") from answer
    raise answer


def _close(result: Any) -> None:
    if hasattr(result, "close"):
        result.close()


def _reason(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason) or type(reason).__name__


@contextmanager
def _part_of(target: Path, source: str) -> Iterator[_Part]:
    """The unfinished download of this address, held by this process alone while it is open."""
    key = hashlib.sha256(source.encode()).hexdigest()[:8]
    path = target.with_name(f".{target.name}.{key}.part")
    while True:
        file = path.open("a+b")
        _wait_for_turn(file)
        try:
            # Whoever held it before may have finished and renamed it: then this is a name for another file.
            current = path.stat()
        except FileNotFoundError:
            current = None
        held = os.fstat(file.fileno())
        if current is not None and (current.st_ino, current.st_dev) == (held.st_ino, held.st_dev):
            break
        file.close()
    part = _Part(path, file)
    try:
        yield part
    finally:
        part.tidy()
        file.close()


def _wait_for_turn(file: BufferedRandom) -> None:
    """Wait as long as the download that another process is at goes on."""
    # Some network file systems have no locks; the download is checked before it counts anyway.
    with suppress(OSError):
        wait_for_lock(file.fileno(), progress=lambda: os.fstat(file.fileno()).st_size)


class _Part:
    """The bytes of a download so far, and a note of which version of the remote file they belong to."""

    def __init__(self, path: Path, file: BufferedRandom) -> None:
        self.path = path
        self.file = file
        self.note = path.with_name(path.name + ".json")
        self.resumed = False
        self.finished = False

    @property
    def size(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def fill(self, source: str, timeout: float, progress: Progress | None) -> None:
        """Bring the file to its full length, going on where a line broke as long as each try brings something new."""
        for attempt in range(_TRIES):
            before = self.size
            try:
                self._try(source, timeout, progress)
                return
            except _CutOff:
                if self.size <= before or attempt == _TRIES - 1:
                    raise
            except _Refused as error:
                if error.status not in (206, 416) or not before:
                    raise
                self.drop()  # the remote file is no longer the one these bytes came from: begin anew
            except _NoAnswer as error:
                if not before:
                    raise
                raise _CutOff(str(error) or f"no answer for {timeout:g} s") from error

    def check(self, prefix: str | None, source: str, timeout: float, progress: Progress | None) -> str:
        """The digest of the whole file; a wrong one that grew in pieces gets one fresh try."""
        digest = self._digest()
        if prefix and not digest.startswith(prefix) and self.resumed:
            self.drop()
            self.fill(source, timeout, progress)
            digest = self._digest()
        if prefix and not digest.startswith(prefix):
            self.drop()
            raise FeatxError(
                "weights-broken",
                f"the file from {source} is not the published file: "
                f"its SHA-256 begins with {digest[: len(prefix)]}, not {prefix}",
                "nothing was kept; try again later, or check the mirror in `FEATX_WEIGHTS_MIRROR`"
                if os.environ.get("FEATX_WEIGHTS_MIRROR")
                else "nothing was kept; try again, or on another network: something in between changes files",
                {"url": source, "sha256": digest, "wanted": prefix},
            )
        return digest

    def _digest(self) -> str:
        # Through the file that holds the lock: Windows keeps every other reader out.
        self.file.seek(0)
        return hashlib.file_digest(self.file, "sha256").hexdigest()

    def finish(self, target: Path) -> None:
        """Give the complete file its name, so that it survives a power loss whole or not at all."""
        os.fsync(self.file.fileno())
        if os.name == "nt":  # where an open file cannot be renamed
            self.file.close()
        replace_durably(self.path, target)
        self.finished = True
        self.note.unlink(missing_ok=True)

    def drop(self) -> None:
        """Forget the bytes so far."""
        self.note.unlink(missing_ok=True)
        self.file.truncate(0)
        self.resumed = False

    def tidy(self) -> None:
        """Leave nothing behind that the next try could not use."""
        if self.finished:
            return
        with suppress(OSError):
            if self.size == 0:
                self.path.unlink()
                self.note.unlink(missing_ok=True)

    def _try(self, source: str, timeout: float, progress: Progress | None) -> None:
        request = urllib.request.Request(source)
        noted = self._noted(source)
        if self.size and noted.get("validator"):
            request.add_header("Range", f"bytes={self.size}-")
            request.add_header("If-Range", str(noted["validator"]))
            if self.size == noted.get("length"):
                return
        with _open(request, timeout) as response:
            total = self._begin(source, response, noted)
            if progress:
                progress(self.size, total or 0)
            self._pour(response, total, progress)
        self.file.flush()
        if total is not None and self.size != total:
            raise _CutOff(f"{self.size:,} of {total:,} bytes")

    def _begin(self, source: str, response: HTTPResponse, noted: Mapping[str, object]) -> int | None:
        """Line the file up with what the server is about to send; how long the whole will be, if it says so."""
        length = response.headers.get("Content-Length", "")
        body = int(length) if length.isdigit() else None
        if response.status == 206:
            span = _RANGE.match(response.headers.get("Content-Range", ""))
            if span and int(span[1]) == self.size and (span[3] == "*" or int(span[3]) == noted.get("length")):
                self.resumed = True
                return cast("int | None", noted.get("length"))
            self.drop()
            raise _Refused(206, "206 with another part than requested")
        if response.status != 200:
            raise _Refused(response.status, f"{response.status} ({response.reason})")
        self.drop()
        if body is not None and shutil.disk_usage(self.path.parent).free < body:
            import errno

            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # A weak tag promises the same meaning, not the same bytes.
        tag = response.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        if validator and body is not None:
            told = json.dumps({"url": source, "validator": validator, "length": body}) + "\n"
            write_atomic(self.note, told.encode())
        return body

    def _pour(self, response: HTTPResponse, total: int | None, progress: Progress | None) -> None:
        done = self.size
        try:
            while block := _arrived(response):
                self.file.write(block)
                done += len(block)
                if progress:
                    progress(done, total or done)
        finally:
            self.file.flush()

    def _noted(self, source: str) -> Mapping[str, object]:
        try:
            noted = read_json(self.note)
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) and noted.get("url") == source else {}


def _arrived(response: HTTPResponse) -> bytes:
    try:
        # What has arrived, not a full block: so a slow line shows its progress and keeps what it brought.
        return response.read1(_BLOCK)
    except TimeoutError as error:
        raise _CutOff("it stood still") from error
    except (HTTPException, OSError) as error:
        raise _CutOff(_reason(error)) from error
