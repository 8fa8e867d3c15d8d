"""A shard whose process dies; apart from the tests, since each such process would import all of theirs."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from featx.extraction.shard_task import Task


@dataclass(frozen=True)
class Deadly(Task):
    """A shard whose process dies: the second one when it is first tried, or any, always."""

    always: bool = False

    def run(self) -> bool:
        mark = self.store.with_name(f"{self.shard.name}.died")
        if self.always or (self.shard.number == 2 and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run()
