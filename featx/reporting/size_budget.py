"""What a page leaves out to stay within its limit: the least useful first, and nothing that saves nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from featx.images.thumbnails import data_uri, webp
from featx.reporting.records import CatalogueMap
from featx.reporting.thumbnails import SIDE, TILE, TILE_QUALITY, inline, read_kept

SMALL_SIDE, SMALL_QUALITY, SMALL_TILE = 64, 45, 24
# A step that saves less than this share of the page is not worth its loss.
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


@dataclass(frozen=True)
class Step:
    """A part that a page can omit: its name, its effect, and the later step that makes it unnecessary."""

    name: str
    words: str
    change: Callable[[PageBudget], PageBudget]
    replaced_by: str = ""


def _without(*kinds: str) -> Callable[[PageBudget], PageBudget]:
    return lambda budget: replace(budget, without=budget.without | set(kinds))


def _with(**limits: Any) -> Callable[[PageBudget], PageBudget]:
    return lambda budget: replace(budget, **limits)


STEPS = (
    Step("many_points", "all but 50,000 photos of the map", _with(points=50_000), replaced_by="points"),
    Step("names", "names of photos without a thumbnail on the map", _with(named_points=False), replaced_by="map"),
    Step("smaller", "large thumbnails", _with(side=SMALL_SIDE)),
    Step("smaller_map", "large thumbnails on the map", _with(tile=SMALL_TILE), replaced_by="map_pictures"),
    Step("typical", "typical photos beside the mix-ups", _without("typical")),
    Step("copies", "photos of the copies", _without("copies")),
    Step("best", "photos where look-alike search works best", _without("best")),
    Step("many_categories", "categories after the 1,000 weakest", _with(categories=1_000), replaced_by="categories"),
    Step("suspected", "photos whose label is suspected", _without("suspected")),
    Step("map_pictures", "thumbnails on the map", _without("map_pictures"), replaced_by="map"),
    Step("explained", "regions of the mistakes", _without("explained")),
    Step("worst", "photos where look-alike search works worst", _without("worst")),
    Step("mistakes", "photos of the mistakes", _without("mistakes")),
    Step("points", "all but 10,000 photos of the map", _with(points=10_000), replaced_by="map"),
    Step("categories", "categories after the 200 weakest", _with(categories=200), replaced_by="few_categories"),
    Step("map", "the map", _without("map")),
    Step("few_categories", "categories after the 50 weakest", _with(categories=50)),
)


def left_out(budget: PageBudget) -> list[str]:
    """What a page leaves out to stay small, in words; of two limits on one thing, only the tighter."""
    steps = [step for step in STEPS if step.name in budget.steps]
    return [step.words for step in steps if step.replaced_by not in budget.steps]


def fit_page(render: Callable[[PageBudget], str], limit: int) -> tuple[str, PageBudget]:
    """The page, omitting no more than it takes to fit into `limit` bytes, and a list of the omissions."""
    budget, page = PageBudget(), render(PageBudget())
    size = _size(page)
    for step in STEPS:
        if size <= limit:
            break
        tighter = replace(step.change(budget), steps=(*budget.steps, step.name))
        smaller = render(tighter)
        if _size(smaller) < size * (1 - WORTH):
            budget, page, size = tighter, smaller, _size(smaller)
    return page, budget


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
    return data_uri(webp(image, SMALL_QUALITY), "webp")


def sheet(folder: Path, drawn: CatalogueMap, budget: PageBudget) -> str | None:
    """The map's squares as an address that needs no file."""
    if budget.without & {"map", "map_pictures"}:
        return None
    if budget.tile >= drawn.tile:
        return inline(folder, drawn.sheet)
    image = read_kept(folder, drawn.sheet)
    if image is None:
        return None
    share = budget.tile / drawn.tile
    smaller = image.resize((round(image.width * share), round(image.height * share)))
    return data_uri(webp(smaller, TILE_QUALITY), "webp")


def map_data(drawn: CatalogueMap | None, budget: PageBudget) -> dict[str, Any]:
    """The data that the page's script needs to draw the map; empty if there is no map."""
    if drawn is None or "map" in budget.without:
        return {}
    points = np.frombuffer(base64.b64decode(drawn.points), dtype="<u2").reshape(-1, 4)
    ids, ids_of = drawn.ids, drawn.ids_of
    if not budget.named_points and ids_of == "points":
        in_sheet = sorted((int(tile), i) for i, tile in enumerate(points[:, 3]) if tile != 65535)
        ids, ids_of = [ids[i] for _, i in in_sheet], "tiles"
    if budget.points is not None and len(points) > budget.points:
        kept = np.unique(np.linspace(0, len(points) - 1, budget.points).round().astype(int))
        points = points[kept]
        if ids_of == "points":
            ids = [ids[i] for i in kept]
    return {
        "points": base64.b64encode(points.tobytes()).decode(),
        "classes": drawn.classes,
        "columns": drawn.columns,
        "ids": ids,
        "ids_of": ids_of,
        "tile": min(drawn.tile, budget.tile),
    }
