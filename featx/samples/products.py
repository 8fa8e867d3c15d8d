"""The products of the made-up shop, and how each photo is taken; all from one seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from featx.samples.product_shapes import DRAW, Look
from featx.samples.scene import Shot
from featx.samples.solids import Colour

# The order of the categories; it makes sku123 a mug.
CATEGORIES = tuple(DRAW)
FIRST_NUMBER = 101
# Every fourth round of categories is kept for the test split.
TEST_EVERY = 4

COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "white": (0.93, 0.93, 0.91),
        "cream": (0.92, 0.86, 0.72),
        "grey": (0.55, 0.56, 0.58),
        "black": (0.13, 0.13, 0.15),
        "red": (0.78, 0.16, 0.15),
        "orange": (0.90, 0.47, 0.14),
        "yellow": (0.93, 0.77, 0.20),
        "green": (0.25, 0.55, 0.30),
        "mint": (0.62, 0.83, 0.73),
        "teal": (0.10, 0.48, 0.52),
        "sky": (0.50, 0.72, 0.90),
        "blue": (0.16, 0.33, 0.68),
        "navy": (0.12, 0.17, 0.36),
        "purple": (0.45, 0.28, 0.58),
        "pink": (0.91, 0.60, 0.66),
        "tan": (0.76, 0.58, 0.39),
        "brown": (0.42, 0.27, 0.17),
    }
)


@dataclass(frozen=True)
class _Kind:
    styles: tuple[str, ...]
    patterns: tuple[str, ...]
    materials: tuple[str, ...]
    price: tuple[float, float]
    yaw: float = 0.0
    spin: float = 30.0


_WARE = ("plain", "stripes", "band", "dipped", "dots", "zigzag", "checks")
_CLOTH = ("plain", "stripes", "checks", "band", "columns", "plain")
_KINDS: Mapping[str, _Kind] = MappingProxyType(
    {
        "backpacks": _Kind(("day",), ("plain", "dipped", "band", "plain"), ("fabric", "leather"), (29, 120), 0, 38),
        "boots": _Kind(("leather", "rubber"), ("plain", "plain", "stripes"), ("leather", "fabric"), (49, 180), 0, 40),
        "bottles": _Kind(("bottle",), _WARE, ("glass", "metal", "plastic"), (6, 35), 0, 180),
        "bowls": _Kind(("bowl",), _WARE, ("ceramic", "wood"), (8, 40), 0, 180),
        "chairs": _Kind(
            ("wood", "metal", "painted"), ("plain", "plain", "stripes"), ("fabric", "wood"), (45, 260), 30, 45
        ),
        "clocks": _Kind(("wall", "alarm", "mantel"), ("plain",), ("metal", "wood", "plastic"), (15, 90), 0, 32),
        "handbags": _Kind(
            ("tote",), ("plain", "plain", "stripes", "dipped", "checks"), ("leather", "fabric"), (35, 240), 0, 36
        ),
        "hats": _Kind(("cap", "brim", "knit"), _CLOTH, ("fabric",), (12, 60), 20, 55),
        "mugs": _Kind(("mug",), ("plain", "plain", "dipped", "band"), ("ceramic",), (7, 25), 15, 40),
        "lamps": _Kind(
            ("table", "floor", "desk"), ("plain", "plain", "stripes", "columns"), ("metal", "fabric"), (25, 190), 0, 60
        ),
        "shirts": _Kind(("short", "long"), _CLOTH, ("fabric",), (12, 70), 0, 20),
        "shoes": _Kind(
            ("leather", "sneaker", "sneaker"), ("plain", "stripes", "band"), ("leather", "fabric"), (39, 150), 0, 40
        ),
        "vases": _Kind(("cylinder", "bottle-neck", "urn"), _WARE, ("ceramic", "glass"), (14, 80), 0, 180),
        "watches": _Kind(("round", "square", "metal"), ("plain",), ("leather", "metal"), (49, 480), -20, 32),
    }
)
_GLOSS = MappingProxyType(
    {"ceramic": 0.35, "glass": 0.75, "metal": 0.6, "plastic": 0.25, "leather": 0.18, "wood": 0.12}
)
# fmt: off
_PARTS = (
    "arms", "back", "belly", "brim", "cap", "collar", "curl", "cushion", "dark", "deep", "flap", "foot", "gold",
    "handle", "hour", "laces", "minute", "neck", "pocket", "rim", "shade", "shoulder", "size", "slats", "sole",
    "splay", "tall", "taper", "thick", "toe", "top", "two", "wide",
)
# fmt: on


@dataclass(frozen=True)
class Product:
    """One thing the shop sells, the same in each of its photos."""

    number: int
    category: str
    split: str
    colour: str
    second_colour: str
    pattern: str
    material: str
    price: float
    stock: int
    look: Look

    @property
    def sku(self) -> str:
        """The shop's name for it."""
        return f"sku{self.number}"

    @property
    def title(self) -> str:
        """What a shop page would call it."""
        word = "" if self.pattern == "plain" else f"{self.pattern} "
        thing = {"watches": "watch", "shoes": "shoe", "boots": "boot"}.get(self.category, self.category[:-1])
        return f"{self.colour} {word}{self.material} {thing}"


def product(position: int, seed: int = 0) -> Product:
    """The product at an index of the shop's list."""
    random = np.random.default_rng([seed, position])
    category = CATEGORIES[position % len(CATEGORIES)]
    kind = _KINDS[category]
    names = list(COLOURS)
    first, other = random.choice(len(names), 2, replace=False)
    # Styles take turns, so that a small shop has them all.
    style = kind.styles[(position // len(CATEGORIES)) % len(kind.styles)]
    pattern = kind.patterns[int(random.integers(len(kind.patterns)))]
    material = kind.materials[int(random.integers(len(kind.materials)))]
    shape = MappingProxyType({part: float(random.random()) for part in _PARTS})
    if category == "mugs":
        # About as high as wide: a tall one would look more like a vase than like the others.
        shape = MappingProxyType({**shape, "tall": 0.80 + 0.06 * shape["tall"]})
    low, high = kind.price
    price = math.floor(low * (high / low) ** float(random.random())) + 0.95
    stock = int(random.integers(0, 250)) if random.random() > 0.1 else 0
    look = Look(
        style,
        shape,
        _tinted(COLOURS[names[first]], random),
        _tinted(COLOURS[names[other]], random),
        pattern,
        float(random.integers(4, 9)),
        _GLOSS.get(material, 0.04),
        0.86 if material == "glass" else 1.0,
    )
    tested = (position // len(CATEGORIES)) % TEST_EVERY == TEST_EVERY - 1
    return Product(
        FIRST_NUMBER + position,
        category,
        "test" if tested else "train",
        names[first],
        names[other],
        pattern,
        material,
        price,
        stock,
        look,
    )


def _tinted(colour: Colour, random: np.random.Generator) -> Colour:
    red, green, blue = np.clip(np.array(colour) + random.normal(0, 0.03, 3), 0.05, 0.97).tolist()
    return (red, green, blue)


def shot(item: Product, number: int, seed: int = 0) -> tuple[Shot, np.random.Generator]:
    """How the product's photo of this number (from 1) is taken; the first is the clean one for the shop's page."""
    random = np.random.default_rng([seed, item.number, number, 7])
    kind = _KINDS[item.category]
    clean = number == 1
    ease = 0.45 if clean else 1.0
    side = -1.0 if random.random() < 0.5 else 1.0
    kinds = ("white", "studio") if clean else ("white", "studio", "table", "table", "clutter", "clutter")
    loose = 0.0 if clean else 1.0
    tint = list(COLOURS.values())[int(random.integers(len(COLOURS)))]
    view = Shot(
        yaw=kind.yaw + float(random.uniform(-1, 1)) * kind.spin * ease,
        pitch=float(random.uniform(14, 22) if clean else random.uniform(8, 36)),
        roll=loose * float(random.normal(0, 2.5)),
        light=(
            side * float(random.uniform(0.35, 0.9)),
            float(random.uniform(0.8, 1.3)),
            float(random.uniform(0.5, 1.0)),
        ),
        warmth=loose * float(random.normal(0, 0.035)),
        exposure=1.0 if clean else float(random.uniform(0.82, 1.12)),
        fill=float(random.uniform(0.70, 0.78) if clean else random.uniform(0.5, 0.95)),
        shift=(loose * float(random.uniform(-0.07, 0.07)), 0.02 + loose * float(random.uniform(-0.05, 0.07))),
        background=kinds[int(random.integers(len(kinds)))],
        tint=tint,
        grain=0.0 if clean else float(random.uniform(0.0, 0.02)),
    )
    return view, random
