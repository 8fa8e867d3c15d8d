"""What tests give to other processes; it needs little, so that these start soon."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from featx.errors import FeatxError

Progress = Callable[[int, int], object]


def sum_of(*numbers: int, progress: Progress) -> tuple[int, int]:
    for done, number in enumerate(numbers, start=1):
        if number < 0:
            raise FeatxError("bad-flag", f"{number} is negative", "give others")
        progress(done, len(numbers))
    return os.getpid(), sum(numbers)


def endless(*, progress: Progress) -> None:
    progress(0, 1)
    while True:
        time.sleep(0.05)
