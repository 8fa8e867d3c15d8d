"""The sealing process: `python -m featx.store.seal_process STORE` writes store and journal together into a new file.

The name of that file is read from standard input; an empty input means that nobody is waiting any more.
It is a separate process because libhdf5 kills the one it runs in when a disk fills up; the file in use is not touched.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from featx.errors import FeatxError
from featx.store import sealed_file_writer
from featx.store.snapshot import load_snapshot

FULL, BROKEN = 6, 5


def main(store: str, target: str) -> int:
    """Write the new file; returns the exit status for the parent."""
    try:
        contents = load_snapshot(Path(store))
        if contents is None:
            return BROKEN
        sealed_file_writer.write(
            Path(target),
            contents.spec,
            contents.provenance,
            list(contents.rows.values()),
            contents.blocks(),
            [contents.skipped[path] for path in sorted(contents.skipped)],
            contents.journal_id,
        )
    except FeatxError as error:
        sys.stderr.write(error.message)
        return BROKEN
    except OSError as error:
        sys.stderr.write(str(error))
        return FULL if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "errno = 28" in str(error) else 1
    return 0


if __name__ == "__main__":
    target = sys.stdin.buffer.read()
    sys.exit(main(sys.argv[1], os.fsdecode(target)) if target else 0)
