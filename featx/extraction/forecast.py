"""The hours, machines, price, memory and network of a very large extraction, from a pace that was measured.

The hours come from a simulated run: shards are handed to machines of which some are slow and some die now and then, as
`extract --shards` hands them out. A shard whose machine dies goes on where its journal ends.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from heapq import heappop, heappush
from math import ceil, isfinite
from statistics import median
from typing import Any

import numpy as np

from featx.errors import FeatxError

SHARD = 10_000
MOST_SHARDS = 100_000
# A slow machine has this share of the usual pace; a dead one is back, or replaced, after some minutes.
SLOW_PACE, BACK_AFTER = 1 / 3, 600.0
# Shards of the same machine differ so much, as a share of their time.
SPREAD = 0.1
RUNS = 9
# Measured: what is known of a row in memory while a store is written or opened, and rows joined in a second.
MEMORY_OF_A_ROW, JOINED_IN_A_SECOND = 1_300, 18_700
# More than this in memory, and several stores are the better choice.
LARGE_MEMORY = 16e9


@dataclass(frozen=True)
class Workload:
    """The photos, and what one machine does with them."""

    photos: int
    pace: float
    photo_bytes: float
    width: int
    half: bool = False
    in_a_shard: int = SHARD

    def __post_init__(self) -> None:
        _require("photos", self.photos, 1, 1e12)
        _require("pace", self.pace, 1e-3, 1e7)
        _require("photo-kb", self.photo_bytes / 1000, 0.1, 1e6)
        _require("width", self.width, 1, 1e6)
        if self.shards > MOST_SHARDS:
            raise FeatxError(
                "bad-flag",
                f"{self.photos:,} photos are {self.shards:,} shards of {self.in_a_shard:,}, "
                f"and {MOST_SHARDS:,} are the most",
                f"take shards of more photos: `--in-a-shard {ceil(self.photos / MOST_SHARDS)}`",
            )

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return ceil(self.photos / self.in_a_shard)

    @property
    def shard_seconds(self) -> float:
        """How long a usual machine takes for one."""
        return min(self.photos, self.in_a_shard) / self.pace


@dataclass(frozen=True)
class Fleet:
    """The machines: how many, which share is slow, how often one dies, and the price of each for an hour."""

    machines: int
    slow: float = 0.05
    deaths: float = 2.0
    price: float | None = None

    def __post_init__(self) -> None:
        _require("machines", self.machines, 1, 100_000)
        _require("slow", self.slow, 0, 1)
        _require("deaths", self.deaths, 0, 1000)
        _require("price", self.price or 0.0, 0, 1e6)


@dataclass(frozen=True)
class Forecast:
    """What a very large extraction takes; hours and deaths are the median of the simulated runs."""

    photos: int
    machines: int
    shards: int
    shard_seconds: float
    hours: float
    shortest_hours: float
    longest_hours: float
    hours_without_trouble: float
    deaths: int
    machine_hours: float
    price: float | None
    read_bytes: float
    read_bytes_a_second: float
    features_bytes: float
    join_hours: float
    join_memory_bytes: float
    stores: int

    def to_dict(self) -> dict[str, Any]:
        """The record of `featx plan --json`."""
        return asdict(self)


def forecast(workload: Workload, fleet: Fleet, *, runs: int = RUNS, seed: int = 0) -> Forecast:
    """Simulate some runs, and work out the rest."""
    done = sorted(_simulated(workload, fleet, np.random.default_rng([seed, run])) for run in range(runs))
    seconds = [run.seconds for run in done]
    hours = median(seconds) / 3600
    memory = workload.photos * MEMORY_OF_A_ROW
    read = workload.photos * workload.photo_bytes
    return Forecast(
        photos=workload.photos, machines=fleet.machines, shards=workload.shards,
        shard_seconds=workload.shard_seconds, hours=hours, shortest_hours=seconds[0] / 3600,
        longest_hours=seconds[-1] / 3600,
        hours_without_trouble=workload.photos / workload.pace / fleet.machines / 3600,
        deaths=int(median(run.deaths for run in done)), machine_hours=hours * fleet.machines,
        price=None if fleet.price is None else fleet.price * hours * fleet.machines, read_bytes=read,
        read_bytes_a_second=read / median(seconds),
        features_bytes=workload.photos * workload.width * (2.0 if workload.half else 4.0),
        join_hours=workload.photos / JOINED_IN_A_SECOND / 3600, join_memory_bytes=memory,
        stores=ceil(memory / LARGE_MEMORY),
    )  # fmt: skip


def fleet_within(workload: Workload, fleet: Fleet, hours: float, *, seed: int = 0) -> Fleet:
    """The fewest machines of this kind that are done within so many hours in the median run."""
    _require("within", hours, 1e-3, 1e6)
    if workload.shard_seconds > 3600 * hours:
        raise FeatxError(
            "bad-flag",
            f"one shard of {workload.in_a_shard:,} photos alone takes {workload.shard_seconds / 3600:.1f} hours",
            "take smaller shards, or more time",
        )
    few, many = 0, 1
    while not _done_within(workload, replace(fleet, machines=many), hours, seed):
        if many >= workload.shards:
            raise FeatxError(
                "bad-flag",
                f"with a machine for each of the {workload.shards:,} shards the run still takes over {hours:g} hours",
                "take smaller shards, or more time",
            )
        few, many = many, min(2 * many, workload.shards)
    while many - few > 1:
        between = (few + many) // 2
        if _done_within(workload, replace(fleet, machines=between), hours, seed):
            many = between
        else:
            few = between
    return replace(fleet, machines=many)


def _done_within(workload: Workload, fleet: Fleet, hours: float, seed: int) -> bool:
    # No run is faster than all machines at work without a pause: most counts of machines need no simulation.
    if workload.photos / workload.pace / fleet.machines > 3600 * hours:
        return False
    return forecast(workload, fleet, seed=seed).hours <= hours


@dataclass(frozen=True, order=True)
class _Run:
    seconds: float
    deaths: int


def _simulated(workload: Workload, fleet: Fleet, random: np.random.Generator) -> _Run:
    """One run: a free machine takes the next shard, or what a dead one left of its own."""
    n = min(fleet.machines, workload.shards)
    paces = np.where(random.random(n) < fleet.slow, SLOW_PACE, 1.0)
    spread = random.lognormal(0, SPREAD, workload.shards)
    waiting = (workload.shard_seconds * spread / spread.mean()).tolist()
    # A rate of deaths for 1,000 hours of one machine, as the seconds that one lives.
    lives = 3.6e6 / fleet.deaths if fleet.deaths else float("inf")
    free = [(0.0, machine) for machine in range(n)]
    ends, deaths = 0.0, 0
    while waiting:
        now, machine = heappop(free)
        work = waiting.pop()
        takes = work / paces[machine]
        death = random.exponential(lives) if isfinite(lives) else lives
        if death < takes:
            deaths += 1
            waiting.append(work - death * paces[machine])
            heappush(free, (now + death + BACK_AFTER, machine))
        else:
            ends = max(ends, now + takes)
            heappush(free, (now + takes, machine))
    return _Run(ends, deaths)


def _require(flag: str, value: float, least: float, most: float) -> None:
    if not (isfinite(value) and least <= value <= most):
        raise FeatxError(
            "bad-flag", f"`--{flag} {value:g}` is not between {least:g} and {most:g}", "choose one between"
        )
