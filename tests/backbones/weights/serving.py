"""A server on this machine that sends weights, well or badly, and the file that it sends."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import threading
import time
from pathlib import Path

BODY = bytes(range(256)) * 4000  # a megabyte
SHA = hashlib.sha256(BODY).hexdigest()
NAME = f"net-{SHA[:8]}.pth"


class Behaviour:
    """What the loopback server does, and what it was asked."""

    def __init__(self) -> None:
        self.body = BODY
        self.status = 200
        self.cut_after: list[int] = []  # bytes to send before hanging up, one entry a request
        self.stall_after: list[int] = []  # bytes to send before falling silent, one entry a request
        self.chunk, self.pause = 1 << 16, 0.0
        self.wait = 0.0  # seconds before an answer begins
        self.ranges, self.etag = True, '"one"'
        self.redirect = ""
        self.range_status, self.range_shift, self.tells_length = 206, 0, True
        self.requests: list[tuple[str, str | None]] = []
        self.released = threading.Event()
        self.hung_up = False  # whether a stall ended before the test did


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        does: Behaviour = self.server.does  # type: ignore[attr-defined]
        wanted = self.headers.get("Range")
        does.requests.append((self.path, wanted))
        time.sleep(does.wait)
        if does.redirect and self.path.startswith("/models/"):
            self.send_response(302)
            self.send_header("Location", does.redirect)
            self.end_headers()
            return
        if does.status != 200:
            self.send_error(does.status)
            return
        data, start = does.body, 0
        if wanted and does.ranges and self.headers.get("If-Range") == does.etag:
            if does.range_status != 206:
                self.send_error(does.range_status)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) + does.range_shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        if does.tells_length:
            self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", does.etag)
        self.end_headers()
        if not body:
            return
        stall = does.stall_after.pop(0) if does.stall_after else len(data) + 1
        end = start + does.cut_after.pop(0) if does.cut_after else len(data)
        with contextlib.suppress(OSError):
            for at in range(start, min(end, len(data)), does.chunk):
                if at - start >= stall:
                    self.wfile.flush()
                    does.hung_up = not does.released.wait(300)
                    return
                self.wfile.write(data[at : min(at + does.chunk, end)])
                time.sleep(does.pause)


def put(folder: Path, name: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != NAME)
