"""How long this machine takes to compare photos with each other, by a few that are compared now."""

from __future__ import annotations

import time

from featx.compute.vectors import Matrix, unit_rows

ROWS, OTHERS, TIMES = 512, 8192, 5


def seconds_of_pairs(features: Matrix) -> float:
    """The seconds that comparing every row with every row would take."""
    unit = unit_rows(features[:OTHERS])
    # The shortest of some times: the first product starts the threads, and others disturb some of the rest.
    took = min(_seconds(unit) for _ in range(TIMES))
    return took * len(features) ** 2 / max(1, len(unit[:ROWS]) * len(unit))


def _seconds(unit: Matrix) -> float:
    """The seconds that comparing some rows with others takes, and looking through the cosines once."""
    begun = time.perf_counter()
    (unit[:ROWS] @ unit.T >= 1).any()
    return time.perf_counter() - begun
