"""Rows are committed by a thread of their own, a batch at a time, while the next batch is computed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from featx.store import Row, StoreWriter


class Commits:
    """Commits rows in a thread of its own, a batch at a time, while the next batch is computed."""

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self._rows: list[Row] = []
        self._committing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")

    def __enter__(self) -> Commits:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                self._wait()
        finally:
            self._thread.shutdown()

    def add(self, row: Row, batch: int) -> None:
        """Commit a row with others, so many at a time."""
        self._rows.append(row)
        if len(self._rows) >= batch:
            self._flush()

    def _flush(self) -> None:
        self._wait()
        if self._rows:
            self._committing = self._thread.submit(self._writer.append, self._rows)
            self._rows = []

    def _wait(self) -> None:
        if self._committing is not None:
            self._committing.result()
