"""How long this machine takes to compare photos with each other, by a few that are compared now."""

from __future__ import annotations

import time

from featx.compute.vectors import Matrix, unit_rows

ROWS, OTHERS = 512, 8192


def seconds_of_pairs(features: Matrix) -> float:
    """The seconds that comparing every row with every row would take."""
    unit = unit_rows(features[:OTHERS])
    # The first product starts the threads.
    unit[:8] @ unit.T
    begun = time.perf_counter()
    # In featx looking through the cosines takes less time than making them.
    found = unit[:ROWS] @ unit.T >= 1
    took = time.perf_counter() - begun
    return took * len(features) ** 2 / max(1, found.size)
