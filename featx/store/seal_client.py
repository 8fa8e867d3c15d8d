"""Start and control the sealing process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class SealClient:
    """A process that writes a store and its journal into a new file, started ahead of time and given the name later.

    It ends when this process does, since nobody can name the file any more.
    """

    def __init__(self, store: Path) -> None:
        home = str(Path(__file__).resolve().parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "featx.store.seal_process", str(store)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C in the terminal must stop this process, not the one that is writing.
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))},
        )

    def write(self, target: Path) -> tuple[int, str]:
        """Write the new file; returns the exit status and the last line of stderr."""
        try:
            _, errors = self._process.communicate(os.fsencode(target.absolute()))
        except BaseException:
            self.drop()
            raise
        return self._process.returncode, (errors.decode("utf-8", "replace").strip().splitlines() or [""])[-1]

    def drop(self) -> None:
        """Stop the process without writing."""
        self._process.kill()
        self._process.communicate()
