"""HTTP for weights: requests with a strict time limit, downloads that resume where they stopped."""

from __future__ import annotations

import errno
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
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from io import BufferedRandom
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from featx.backbones.weights.cache import BLOCK
from featx.errors import FeatxError
from featx.files.atomic import replace_durably, write_atomic
from featx.files.locks import wait_for_lock
from featx.files.regular import read_json

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)$")
# A stalled body gets more time than a silent server: the bytes so far are worth waiting for.
_STALL = 3.0
_TRIES = 100
# Seconds until a server, or the proxy before it, must be connected: a host that is cut off from here never is.
_REACH = 1.0
_LONGEST = 600

Progress = Callable[[int, int], None]


class NoAnswer(Exception):
    """The server could not be reached, or did not begin to answer in time."""


class Refused(Exception):
    """The server answered, but not with the file."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class CutOff(Exception):
    """The body ended, or stood still, before it was complete."""


class WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to the web, and never from an encrypted page to a plain one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request to follow with, or an error for a target that is none of ours."""
        if urlsplit(newurl).scheme not in (("https",) if req.type == "https" else ("http", "https")):
            raise urllib.error.HTTPError(req.full_url, code, "a redirect to another kind of address", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def reach_seconds() -> float:
    """How long a server may take to be connected: `FEATX_PATIENCE` for slow lines, else a second."""
    given = os.environ.get("FEATX_PATIENCE", "").strip()
    try:
        seconds = float(given or _REACH)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        raise FeatxError(
            "bad-config", f"`FEATX_PATIENCE={given}` is not a number of seconds", f"use 1 to {_LONGEST}, such as 10"
        )
    return seconds


class _Connections(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections that note when the first one stands, encryption and proxies included."""

    def __init__(self) -> None:
        super().__init__()
        self.stands = threading.Event()

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._noting(HTTPConnection), req)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._noting(HTTPSConnection), req)

    def _noting(self, kind: type[HTTPConnection]) -> Any:
        stands = self.stands

        class Noting(kind):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                stands.set()

        return Noting


def open_url(request: urllib.request.Request, timeout: float) -> HTTPResponse:
    """Ask once: a connection must stand within `reach_seconds()`, and an answer begin within `timeout` seconds in all.

    It does not matter how long the name is looked up, how many addresses it has, or which proxy is silent.
    """
    connections = _Connections()
    opener = urllib.request.build_opener(WebOnly, connections)
    reach = reach_seconds()
    timeout = max(timeout, reach) if reach > _REACH else timeout
    request.add_header("User-Agent", "featx")
    request.add_header("Accept-Encoding", "identity")
    outcome: list[HTTPResponse | BaseException] = []
    lock, given_up = threading.Lock(), threading.Event()

    def ask() -> None:
        result: HTTPResponse | BaseException
        try:
            result = cast("HTTPResponse", opener.open(request, timeout=timeout * _STALL))
        except BaseException as error:  # handed to the waiting thread  # noqa: BLE001
            result = error
        with lock:
            if given_up.is_set():
                _close(result)
            else:
                outcome.append(result)

    # Looking up a name and trying its addresses one by one cannot be bounded from within; waiting for it can.
    thread = threading.Thread(target=ask, name="featx-weights", daemon=True)
    thread.start()
    waited = min(reach, timeout)
    thread.join(waited)
    if thread.is_alive() and connections.stands.is_set():
        thread.join(timeout - waited)
        waited = timeout
    with lock:
        if not outcome:
            given_up.set()
            longer = "; `FEATX_PATIENCE=10` waits longer" if waited == reach else ""
            raise NoAnswer(f"did not answer ({waited:g} s{longer})")
    answer = outcome[0]
    if isinstance(answer, HTTPResponse):
        return answer
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        raise Refused(answer.code, f"{answer.code} ({answer.reason})") from answer
    if isinstance(answer, urllib.error.URLError):
        if isinstance(answer.reason, TimeoutError):
            raise NoAnswer(f"did not answer ({timeout:g} s)") from answer
        raise NoAnswer(f"cannot be reached ({_reason(answer.reason)})") from answer
    if isinstance(answer, OSError | HTTPException | ValueError):
        raise NoAnswer(f"gave an invalid answer ({_reason(answer)})") from answer
    raise answer


def _close(result: Any) -> None:
    if hasattr(result, "close"):
        result.close()


def _reason(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason) or type(reason).__name__


@contextmanager
def partial_download(target: Path, source: str) -> Iterator[PartialFile]:
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
    part = PartialFile(path, file)
    try:
        yield part
    finally:
        part.tidy()
        file.close()


def _wait_for_turn(file: BufferedRandom) -> None:
    """Wait as long as another process's download makes progress."""
    # Some network file systems have no locks; the download is checked before it counts anyway.
    with suppress(OSError):
        wait_for_lock(file.fileno(), progress=lambda: os.fstat(file.fileno()).st_size)


class PartialFile:
    """The bytes of a download so far, and a note of which version of the remote file they belong to."""

    def __init__(self, path: Path, file: BufferedRandom) -> None:
        self.path = path
        self.file = file
        self.note = path.with_name(path.name + ".json")
        self.resumed = False
        self.finished = False

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return self.file.seek(0, os.SEEK_END)

    def fill(self, source: str, timeout: float, progress: Progress | None) -> None:
        """Bring the file to its full length, resuming after each failure as long as every try adds bytes."""
        for attempt in range(_TRIES):
            before = self.size
            try:
                self._try(source, timeout, progress)
                return
            except CutOff:
                if self.size <= before or attempt == _TRIES - 1:
                    raise
            except Refused as error:
                if error.status not in (206, 416) or not before:
                    raise
                self.drop()  # the remote file has changed since: start over
            except NoAnswer as error:
                if not before:
                    raise
                raise CutOff(str(error)) from error

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
                else "nothing was kept; try again, or on another network: something on the way changes files",
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
        with open_url(request, timeout) as response:
            total = self._begin(source, response, noted)
            if progress:
                progress(self.size, total or 0)
            self._pour(response, total, progress)
        self.file.flush()
        if total is not None and self.size != total:
            raise CutOff(f"{self.size:,} of {total:,} bytes")

    def _begin(self, source: str, response: HTTPResponse, noted: Mapping[str, object]) -> int | None:
        """Align the file with what the server is about to send; the total length, if the server gives it."""
        length = response.headers.get("Content-Length", "")
        body = int(length) if length.isdigit() else None
        if response.status == 206:
            span = _RANGE.match(response.headers.get("Content-Range", ""))
            if span and int(span[1]) == self.size and (span[3] == "*" or int(span[3]) == noted.get("length")):
                self.resumed = True
                return cast("int | None", noted.get("length"))
            self.drop()
            raise Refused(206, "206 with another part than requested")
        if response.status != 200:
            raise Refused(response.status, f"{response.status} ({response.reason})")
        self.drop()
        if body is not None and shutil.disk_usage(self.path.parent).free < body:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # A weak tag promises the same meaning, not the same bytes.
        tag = response.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        if validator and body is not None:
            record = json.dumps({"url": source, "validator": validator, "length": body}) + "\n"
            write_atomic(self.note, record.encode())
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
        # Whatever has arrived, not a full block: a slow line shows progress and keeps its bytes.
        return response.read1(BLOCK)
    except TimeoutError as error:
        raise CutOff("it stood still") from error
    except (HTTPException, OSError) as error:
        raise CutOff(_reason(error)) from error
