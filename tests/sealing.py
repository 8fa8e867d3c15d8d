"""Sealing in the test's own process: to start another takes longer than to write a small store."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from featx.store import seal_process
from featx.store.seal_client import SealClient


class SealHere:
    """Answers as `SealClient` does, and writes the same bytes."""

    def __init__(self, store: Path) -> None:
        self.store = str(store)

    def write(self, target: Path) -> tuple[int, str]:
        with redirect_stderr(io.StringIO()) as errors:
            status = seal_process.main(self.store, str(target.absolute()))
        return status, (errors.getvalue().strip().splitlines() or [""])[-1]

    def drop(self) -> None:
        pass


@pytest.fixture(autouse=True, scope="session")
def seal_in_this_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.store.writer.SealClient", SealHere)
        yield


@pytest.fixture
def sealing_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sealing process of every command, for promises about kills, full disks and open files."""
    monkeypatch.setattr("featx.store.writer.SealClient", SealClient)
