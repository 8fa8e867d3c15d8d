"""`featx plan`: what a very large extraction will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli.options import JsonFlag, QuietFlag, SeedOption, StoreOption, VerboseFlag
from featx.cli.output import Output, duration, pluralise, size

if TYPE_CHECKING:
    from featx.extraction.forecast import Forecast


def plan(
    photos: Annotated[float, typer.Option("--photos", metavar="N", help="How many photos, such as 100e6.")],
    machines: Annotated[
        int | None, typer.Option("--machines", min=1, max=100_000, help="How many machines.", show_default="1")
    ] = None,
    within: Annotated[
        float | None, typer.Option("--within", metavar="HOURS", help="The fewest machines that are done by then.")
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option("--pace", help="Photos a second on one machine.", show_default="as measured for the store"),
    ] = None,
    photo_kb: Annotated[float, typer.Option("--photo-kb", help="The usual size of a photo, in kB.")] = 100.0,
    width: Annotated[
        int | None, typer.Option("--width", help="Numbers of each photo.", show_default="as in the store")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Features in half precision.")] = False,
    in_a_shard: Annotated[int, typer.Option("--in-a-shard", min=1, max=10_000_000, help="Photos of a shard.")] = 10_000,
    price: Annotated[float | None, typer.Option("--price", help="What a machine costs in an hour.")] = None,
    slow: Annotated[float, typer.Option("--slow", help="The share of machines at a third of the pace.")] = 0.05,
    deaths: Annotated[float, typer.Option("--deaths", help="How often a machine dies in 1,000 hours.")] = 2.0,
    seed: SeedOption = 0,
    store: StoreOption = None,
    json: JsonFlag = False,
    quiet: QuietFlag = False,
    verbose: VerboseFlag = False,
) -> None:
    """Work out the hours, machines, price, memory and network of a very large extraction.

    Example: featx plan --photos 100e6 --pace 76 --width 2048 --within 24
    """
    from featx.extraction.forecast import Fleet, Workload, fleet_within, forecast

    out = Output(json=json, quiet=quiet, verbose=verbose)
    _require_whole(photos, machines, within)
    pace, width, whence = _measured(pace, width, store)
    workload = Workload(int(photos), pace, 1000 * photo_kb, width, half, in_a_shard)
    fleet = Fleet(machines or 1, slow, deaths, price)
    if within is not None:
        fleet = fleet_within(workload, fleet, within, seed=seed)
    taken = forecast(workload, fleet, seed=seed)
    out.say(f"{pluralise(taken.photos, 'photo')} at {pace:g} photos/s on each machine{whence}")
    for name, text in _lines(taken, width, half):
        out.result(f"{name:10}{text}")
    out.document({"version": 1, "pace": pace, "width": width, **taken.to_dict()})
    out.next(f"featx extract photos.parquet --shards {taken.shards} --on ray --store shop.h5")


def _require_whole(photos: float, machines: int | None, within: float | None) -> None:
    from featx.errors import FeatxError

    if not 1 <= photos <= 1e12 or photos != int(photos):
        raise FeatxError("bad-flag", f"`--photos {photos:g}` is no number of photos", "write 250000 or 100e6")
    if machines is not None and within is not None:
        what = "`--machines` says how many there are, `--within` asks for it"
        raise FeatxError("bad-flag", what, "leave out one of the two")


def _measured(pace: float | None, width: int | None, store: Path | None) -> tuple[float, int, str]:
    """The pace and the width that were named, or those of the store, and where they are from."""
    if pace is not None and width is not None:
        return pace, width, ""
    from featx.errors import FeatxError
    from featx.store import open_store

    opened = open_store(store)
    measured = opened.provenance.get("images_per_second")
    if pace is None and not isinstance(measured, int | float):
        raise FeatxError(
            "bad-flag", f"`{opened.path}` does not say at which pace it was made", "name it: `--pace 76`, in photos/s"
        )
    whence = "" if pace is not None else f", as measured for {opened.path}"
    return pace if pace is not None else float(str(measured)), width or opened.width, whence


def _lines(taken: Forecast, width: int, half: bool) -> list[tuple[str, str]]:
    """What is printed: a word, and what it takes."""
    span = f"{taken.shortest_hours:,.1f} – {taken.longest_hours:,.1f}"
    kind = "half precision" if half else "float32"
    lines = [
        ("shards", f"{taken.shards:,}, {duration(taken.shard_seconds)} each"),
        ("machines", f"{taken.machines:,}"),
        ("hours", f"{taken.hours:,.1f} ({span} simulated; {taken.hours_without_trouble:,.1f} without a pause)"),
        ("deaths", f"{taken.deaths:,} of machines, whose shards go on elsewhere"),
        ("network", f"{size(taken.read_bytes)}, {size(taken.read_bytes_a_second)}/s in all; "
                    f"{taken.photos:,} requests where each photo is an object"),
        ("features", f"{size(taken.features_bytes)}, {width:,} numbers in {kind}"),
        ("joining", f"{taken.join_hours:,.1f} hours and {size(taken.join_memory_bytes)} of memory for one store"),
    ]  # fmt: skip
    if taken.price is not None:
        lines.insert(3, ("price", f"{taken.price:,.2f} for {taken.machine_hours:,.0f} machine-hours"))
    if taken.stores > 1:
        lines.append(("", f"that is much for one machine: keep {taken.stores:,} stores, by department or season"))
    return lines
