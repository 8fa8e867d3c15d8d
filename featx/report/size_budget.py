"""What a page leaves out to stay within its limit: the least useful first, and nothing that saves nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featx.report.thumbnails import SIDE, TILE, TILE_QUALITY, inline, read_kept, webp

SMALL_SIDE, SMALL_QUALITY, SMALL_TILE = 64, 45, 24
# A step that saves less than this share of the page is not worth what it takes away.
WORTH = 0.005


@dataclass(frozen=True)
class PageBudget:
    """What a page shows: how large its pictures are, which kinds are left out, how much of the long lists."""

    side: int = SIDE
    tile: int = TILE
    without: frozenset[str] = frozenset()
    named_points: bool = True
    points: int | None = None
    categories: int | None = None
    steps: tuple[str, ...] = ()


Step = tuple[str, Callable[[PageBudget], PageBudget]]


def _without(*kinds: str) -> Callable[[PageBudget], PageBudget]:
    return lambda slim: replace(slim, without=slim.without | set(kinds))


STEPS: tuple[Step, ...] = (
    ("many_points", lambda slim: replace(slim, points=50_000)),
    ("names", lambda slim: replace(slim, named_points=False)),
    ("smaller", lambda slim: replace(slim, side=SMALL_SIDE)),
    ("smaller_map", lambda slim: replace(slim, tile=SMALL_TILE)),
    ("typical", _without("typical")),
    ("copies", _without("copies")),
    ("best", _without("best")),
    ("many_categories", lambda slim: replace(slim, categories=1_000)),
    ("suspected", _without("suspected")),
    ("map_pictures", _without("map_pictures")),
    ("worst", _without("worst")),
    ("mistakes", _without("mistakes")),
    ("points", lambda slim: replace(slim, points=10_000)),
    ("categories", lambda slim: replace(slim, categories=200)),
    ("map", _without("map")),
    ("few_categories", lambda slim: replace(slim, categories=50)),
)

# Steps that another one makes needless to tell.
TIGHTER = {
    "many_points": "points",
    "points": "map",
    "map_pictures": "map",
    "smaller_map": "map_pictures",
    "names": "map",
    "many_categories": "categories",
    "categories": "few_categories",
}


def slimmed(render: Callable[[PageBudget], str], limit: int) -> tuple[str, PageBudget]:
    """The page, with as little left out as makes it fit into `limit` bytes, and what that was."""
    slim, page = PageBudget(), render(PageBudget())
    size = _size(page)
    for name, change in STEPS:
        if size <= limit:
            break
        tried = replace(change(slim), steps=(*slim.steps, name))
        smaller = render(tried)
        if _size(smaller) < size * (1 - WORTH):
            slim, page, size = tried, smaller, _size(smaller)
    return page, slim


def _size(page: str) -> int:
    return len(page.encode("utf-8", "replace"))


def picture(folder: Path, name: str | None, side: int) -> str | None:
    """A thumbnail as an address that needs no file, at the size the page has room for."""
    if side >= SIDE:
        return inline(folder, name)
    image = read_kept(folder, name)
    if image is None:
        return None
    image.thumbnail((side, side))
    return _address(webp(image, SMALL_QUALITY))


def sheet(folder: Path, drawn: Mapping[str, Any], slim: PageBudget) -> str | None:
    """The map's squares as an address that needs no file."""
    if slim.without & {"map", "map_pictures"}:
        return None
    if slim.tile >= drawn["tile"]:
        return inline(folder, drawn["sheet"])
    image = read_kept(folder, drawn["sheet"])
    if image is None:
        return None
    share = slim.tile / int(drawn["tile"])
    return _address(webp(image.resize((round(image.width * share), round(image.height * share))), TILE_QUALITY))


def _address(data: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(data).decode()


def map_data(drawn: Mapping[str, Any] | None, slim: PageBudget) -> dict[str, Any]:
    """What the page's script needs to draw the map; empty where there is none."""
    if not drawn or "map" in slim.without:
        return {}
    told = {key: drawn[key] for key in ("points", "classes", "columns", "ids", "ids_of")}
    told["tile"] = min(int(drawn["tile"]), slim.tile)
    points = np.frombuffer(base64.b64decode(drawn["points"]), dtype="<u2").reshape(-1, 4)
    if not slim.named_points and told["ids_of"] == "points":
        held = sorted((int(tile), i) for i, tile in enumerate(points[:, 3]) if tile != 65535)
        told |= {"ids": [drawn["ids"][i] for _, i in held], "ids_of": "tiles"}
    if slim.points is not None and len(points) > slim.points:
        kept = np.unique(np.linspace(0, len(points) - 1, slim.points).round().astype(int))
        told["points"] = base64.b64encode(points[kept].tobytes()).decode()
        if told["ids_of"] == "points":
            told["ids"] = [told["ids"][i] for i in kept]
    return told
