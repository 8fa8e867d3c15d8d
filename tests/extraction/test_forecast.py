"""Forecasts of very large extractions: the arithmetic is right, and trouble costs what it must."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from featx.errors import FeatxError
from featx.extraction.forecast import Fleet, Workload, fleet_within, forecast
from tests.conftest import Run

CALM = Fleet(10, slow=0, deaths=0)
LARGE = Workload(photos=1_000_000, pace=100, photo_bytes=1e5, width=512)


def test_without_trouble_a_run_takes_the_photos_divided_by_the_pace() -> None:
    taken = forecast(LARGE, CALM)
    assert taken.hours_without_trouble == pytest.approx(1e6 / 100 / 10 / 3600)
    assert taken.hours_without_trouble <= taken.hours <= 1.1 * taken.hours_without_trouble
    assert taken.deaths == 0 and taken.read_bytes == 1e11 and taken.features_bytes == 1e6 * 512 * 4
    assert forecast(LARGE, CALM) == taken, "the same seed gives the same runs"


def test_slow_machines_and_deaths_cost_hours_but_no_shard_is_done_twice() -> None:
    calm = forecast(LARGE, CALM)
    slow = forecast(LARGE, Fleet(10, slow=0.3, deaths=0))
    dying = forecast(LARGE, Fleet(10, slow=0, deaths=1000))
    assert slow.hours > calm.hours and dying.hours > calm.hours
    # Ten machines for a third of an hour, a death an hour each: the pauses are all that is lost.
    assert 1 <= dying.deaths <= 10
    assert dying.hours <= calm.hours + dying.deaths * (600 + LARGE.shard_seconds) / 3600


def test_the_fewest_machines_that_are_done_in_time_are_found() -> None:
    fleet = fleet_within(LARGE, Fleet(1, price=0.5), 0.5)
    taken = forecast(LARGE, fleet)
    assert taken.hours <= 0.5 and taken.price == pytest.approx(0.5 * taken.hours * fleet.machines)
    fewer = forecast(LARGE, Fleet(fleet.machines - 1))
    assert fewer.hours > 0.5
    with pytest.raises(FeatxError, match="alone takes"):
        fleet_within(LARGE, CALM, 0.01)


def test_the_command_says_what_a_hundred_million_photos_take(featx: Run, tmp_path: Path) -> None:
    words = (
        "plan",
        "--photos",
        "100e6",
        "--pace",
        "76",
        "--width",
        "512",
        "--half",
        "--within",
        "48",
        "--price",
        "0.4",
    )
    ran = featx(*words, "--json")
    assert ran.returncode == 0, ran.stderr
    taken = json.loads(ran.stdout)
    assert taken["shards"] == 10_000 and taken["hours"] <= 48 and taken["features_bytes"] == 1.024e11
    assert 8 <= taken["machines"] <= 10 and taken["stores"] == 9
    ran = featx(*words)
    assert "keep 9 stores" in ran.stdout and "102 GB, 512 numbers in half precision" in ran.stdout
    for wrong, says in (
        (("--photos", "1.5"), "no number of photos"),
        (("--photos", "1e9", "--in-a-shard", "10"), "shards of 10, and 100,000"),
        (("--photos", "10", "--machines", "2", "--within", "3"), "leave out one"),
        (("--photos", "10", "--slow", "nan"), "is not between 0 and 1"),
    ):
        ran = featx("plan", "--pace", "5", "--width", "5", *wrong)
        assert ran.returncode == 2 and says in ran.stderr, ran.stderr
    ran = featx("plan", "--photos", "10")
    assert ran.returncode == 4 and "no store" in ran.stderr
