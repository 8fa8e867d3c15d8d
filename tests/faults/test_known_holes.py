"""`make audit` finds known holes where it is answered, and never calls it clean where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.conftest import ROOT

HOLE = {
    "id": "GHSA-made-up", "modified": "2026-01-01T00:00:00Z", "schema_version": "1.0.0", "summary": "made up",
    "affected": [
        {"package": {"name": "numpy", "ecosystem": "PyPI"},
         "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999.1"}]}]}
    ],
}  # fmt: skip


@contextmanager
def source_of_holes(holes: dict[str, dict], status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that answers as OSV does; its address, and the packages it was asked about."""
    questions: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = question["package"]["name"]
            questions.append(f"{name} {question['version']}")
            data = json.dumps({"vulns": [holes[name]]} if name in holes else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query", questions
    finally:
        server.shutdown()
        server.server_close()


def audited(url: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("pip_audit", reason="pip-audit asks about known holes and is not installed")
    return subprocess.run(
        [sys.executable, str(ROOT / ".ci/audit")], capture_output=True, text=True, check=False, timeout=280,
        env={**os.environ, "PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": url, "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip


@pytest.mark.long
def test_an_audit_is_clean_only_when_every_package_was_answered_for_and_has_no_hole():
    with source_of_holes({}) as (url, questions):
        ran = audited(url)
    assert ran.returncode == 0, ran.stderr
    assert "0 with known holes, 0 unanswered" in ran.stderr and not ran.stdout
    assert {"torch", "numpy", "pillow", "jinja2", "h5py"} <= {question.split()[0] for question in questions}
    assert not any("+" in question for question in questions) and not any(
        question.startswith("featx ") for question in questions
    )


def test_an_audit_names_the_package_with_a_hole_and_the_version_that_mends_it():
    with source_of_holes({"numpy": HOLE}) as (url, questions):
        ran = audited(url)
    assert ran.returncode == 1
    assert ran.stdout.startswith("numpy ") and "GHSA-made-up, mended in 999.1" in ran.stdout, ran.stdout
    assert "1 with known holes, 0 unanswered" in ran.stderr
    assert {"torch", "numpy", "pillow", "jinja2", "h5py"} <= {question.split()[0] for question in questions}


def no_clean_result(ran: subprocess.CompletedProcess[str]) -> bool:
    message = ran.stderr
    return (
        ran.returncode == 1 and not ran.stdout and "this is no clean result" in message and "Traceback" not in message
    )


def test_an_audit_that_reached_nobody_is_not_clean_and_says_so():
    ran = audited("http://127.0.0.1:9/v1/query")
    assert no_clean_result(ran), ran.stderr


@pytest.mark.long
def test_an_audit_that_got_no_answer_is_not_clean_and_says_so():
    with source_of_holes({}, status=500) as (url, _):
        ran = audited(url)
    assert no_clean_result(ran), ran.stderr
