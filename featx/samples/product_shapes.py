"""What each category looks like: a product's facts in, coloured surfaces out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from featx.samples.solids import Array, Colour, Paint, Surface, ball, box, disc, lathe, loft, smooth, straight, tube

Shape = Mapping[str, float]


@dataclass(frozen=True)
class Look:
    """What the drawing needs to know about a product."""

    style: str
    shape: Shape
    main: Colour
    second: Colour
    pattern: str
    count: float
    gloss: float
    alpha: float = 1.0

    def paint(self, *, reach: tuple[float, float] = (0.0, 1.0)) -> Paint:
        """The product's own colours and pattern."""
        return Paint(self.main, self.second, self.pattern, self.count, self.gloss, self.alpha, reach=reach)

    def plain(self, darker: float = 1.0, *, gloss: float | None = None, second: bool = False) -> Paint:
        """One of the product's colours alone."""
        colour = self.second if second else self.main
        red, green, blue = (min(1.0, c * darker) for c in colour)
        return Paint((red, green, blue), gloss=self.gloss if gloss is None else gloss, alpha=self.alpha)


METAL = Paint((0.74, 0.74, 0.76), gloss=0.75)
BRASS = Paint((0.78, 0.62, 0.30), gloss=0.7)
STEEL_DARK = Paint((0.20, 0.20, 0.22), gloss=0.5)
RUBBER = Paint((0.93, 0.92, 0.89), gloss=0.08)
WOOD = Paint((0.62, 0.43, 0.27), gloss=0.15)
BLACK = Paint((0.09, 0.09, 0.10), gloss=0.2)


def _vessel(outside: Array, look: Look, n: int, *, wall: float = 0.05) -> list[Surface]:
    """An open vessel: its patterned outside and its plain, darker inside."""
    rim = outside[-1]
    inner = outside[::-1].copy()
    inner[:, 0] = np.maximum(inner[:, 0] - wall, 0.0)
    inner[:, 1] = np.maximum(inner[:, 1], wall)
    bottom = np.array([[0.0, outside[0, 1]]])
    floor = np.array([[0.0, wall]])
    lip = np.array([rim, [rim[0] - wall / 2, rim[1] + wall * 0.35], inner[0]])
    inside = Paint(look.second if look.pattern == "dipped" else look.main, gloss=look.gloss, alpha=look.alpha)
    dark = Paint((inside.main[0] * 0.7, inside.main[1] * 0.7, inside.main[2] * 0.7), gloss=0.1, alpha=look.alpha)
    return [
        lathe(np.vstack([bottom, outside]), look.paint(), n),
        lathe(lip, look.plain(1.04), n),
        lathe(np.vstack([inner, floor]), dark, n),
    ]


def mug(look: Look, n: int) -> list[Surface]:
    """A cup with a handle."""
    s = look.shape
    tall, base, belly = s["tall"], 0.42 * (1 - 0.22 * s["taper"]), 0.42 + 0.06 * s["belly"]
    outside = smooth([(base - 0.03, 0.0), (base, 0.03), (belly, tall * 0.5), (0.42, tall)], max(14, n // 2))
    turn = np.linspace(-1.35, 1.35, max(10, n // 3))
    reach = 0.24 + 0.12 * s["handle"]
    path = np.stack([0.36 + reach * np.cos(turn) * 1.15, tall * 0.5 + tall * 0.33 * np.sin(turn), 0 * turn], axis=1)
    handle = tube(path, 0.055 + 0.02 * s["thick"], look.plain(second=look.pattern == "band"), 10)
    return [*_vessel(outside, look, n), handle]


def bowl(look: Look, n: int) -> list[Surface]:
    """A wide open bowl on a small foot."""
    s = look.shape
    tall = 0.34 + 0.24 * s["deep"]
    foot = 0.26 + 0.1 * s["foot"]
    outside = smooth(
        [(foot, 0.0), (foot + 0.01, 0.05), (0.5 + 0.12 * s["belly"], tall * 0.5), (0.72, tall)], max(14, n // 2)
    )
    return _vessel(outside, look, n, wall=0.04)


def vase(look: Look, n: int) -> list[Surface]:
    """A vase: foot, belly, neck and lip."""
    s = look.shape
    tall = 1.0 + 0.35 * s["tall"]
    if look.style == "cylinder":
        knots = [(0.24, 0.0), (0.27, 0.05), (0.27 + 0.05 * s["belly"], tall * 0.5), (0.29, tall)]
    elif look.style == "bottle-neck":
        knots = [(0.22, 0.0), (0.38 + 0.1 * s["belly"], 0.32), (0.2, 0.68), (0.09, tall * 0.85), (0.13, tall)]
    else:
        knots = [(0.2, 0.0), (0.34 + 0.12 * s["belly"], 0.4), (0.28, 0.75), (0.18, tall * 0.86), (0.25, tall)]
    return _vessel(smooth(knots, max(20, n // 2)), look, n, wall=0.035)


def bottle(look: Look, n: int) -> list[Surface]:
    """A closed bottle with a shoulder, a cap and perhaps a label."""
    s = look.shape
    wide, tall = 0.2 + 0.07 * s["wide"], 0.8 + 0.25 * s["tall"]
    neck = 0.07 + 0.04 * s["neck"]
    shoulder = tall + 0.12 + 0.16 * s["shoulder"]
    body = straight([(0, 0), (wide * 0.94, 0), (wide, 0.03), (wide, tall)], max(14, n // 3))
    top = smooth([(wide, tall), (wide * 0.88, tall + 0.08), (neck, shoulder), (neck, shoulder + 0.1)], max(8, n // 4))
    cap = straight([(neck * 1.25, 0), (neck * 1.25, 0.12), (0, 0.12)], 6)
    parts = [
        lathe(np.vstack([body, top[1:]]), look.plain(), n),
        lathe(cap, look.plain(second=True, gloss=0.3), n).moved(y=shoulder + 0.07),
    ]
    if look.pattern != "plain":
        band = straight([(wide * 1.01, tall * 0.22), (wide * 1.01, tall * 0.8)], max(10, n // 3))
        label = Paint((0.95, 0.94, 0.90), look.second, look.pattern, look.count, 0.1)
        parts.append(lathe(band, label, n, lift=0.03))
    return parts


def lamp(look: Look, n: int) -> list[Surface]:
    """A lamp: on a turned foot, on a tall pole, or with a bent arm."""
    s = look.shape
    shade_paint = Paint(look.main, look.second, look.pattern, look.count, 0.05, glow=0.45)
    low, high, tall = 0.30 + 0.1 * s["shade"], 0.17 + 0.12 * s["top"], 0.36 + 0.1 * s["shade"]
    shade = lathe(straight([(low, 0), (high, tall)], max(8, n // 4)), shade_paint, n, two_sided=True)
    metal = look.plain(second=True, gloss=0.4)
    if look.style == "desk":
        elbow, head = (-0.28, 0.62, 0.0), (0.22, 1.0, 0.0)
        arm = tube(straight([(0.0, 0.04, 0), elbow, head], 12), 0.03, metal, 8)
        cone = lathe(smooth([(0.26, 0), (0.2, 0.12), (0.07, 0.26), (0.0, 0.3)], 10), look.plain(), n, two_sided=True)
        bulb = ball(0.09, Paint((1.0, 0.95, 0.75), glow=1.0), 10)
        foot = lathe(straight([(0.26, 0), (0.25, 0.05), (0, 0.07)], 6), look.plain(), n)
        return [
            foot,
            arm,
            ball(0.05, metal, 10).moved(*elbow),
            *(part.turned("z", 28).moved(0.26, 0.82, 0) for part in (cone, bulb.moved(y=0.04))),
        ]
    height = 1.55 if look.style == "floor" else 0.42 + 0.25 * s["tall"]
    pole = tube(straight([(0, 0.04, 0), (0, height + 0.2, 0)], 8), 0.028, metal, 10)
    if look.style == "floor":
        foot = lathe(straight([(0.27, 0), (0.27, 0.03), (0, 0.06)], 6), metal, n)
    else:
        foot = lathe(
            smooth([(0.2, 0), (0.21, 0.03), (0.12 + 0.14 * s["belly"], height * 0.4), (0.04, height)], max(10, n // 3)),
            Paint(look.second, gloss=0.35),
            n,
        )
    return [foot, pole, shade.moved(y=height)]


def chair(look: Look, n: int) -> list[Surface]:
    """A chair: four legs, a seat and a back."""
    s = look.shape
    seat_y, wide, deep = 0.55 + 0.06 * s["tall"], 0.62, 0.58
    legs = METAL if look.style == "metal" else WOOD if look.style == "wood" else look.plain(0.8)
    thick = 0.028 if look.style == "metal" else 0.042
    splay = 0.1 * s["splay"]
    parts = [
        tube(straight([(x * (0.25 + splay), 0, z * (0.24 + splay)), (x * 0.25, seat_y, z * 0.24)], 5), thick, legs, 8)
        for x in (-1, 1)
        for z in (-1, 1)
    ]
    parts.append(box((wide, 0.09 + 0.06 * s["cushion"], deep), look.plain(), n, square=5).moved(y=seat_y - 0.02))
    back_y, back_tall = seat_y + 0.14, 0.42 + 0.25 * s["back"]
    if s["slats"] > 0.55:
        slats = 3 + round(2 * s["slats"])
        for x in np.linspace(-0.25, 0.25, slats):
            path = straight([(x, seat_y, -0.25), (x, back_y + back_tall, -0.33)], 6)
            parts.append(tube(path, 0.026, legs, 8))
        top = box((wide * 0.96, 0.12, 0.06), look.plain(), n, square=5)
        parts.append(top.moved(y=back_y + back_tall - 0.06, z=-0.33))
    else:
        posts = [tube(straight([(x, seat_y, -0.24), (x, back_y + 0.1, -0.28)], 4), thick, legs, 8) for x in (-0.2, 0.2)]
        back = box((wide * 0.94, back_tall, 0.08), look.paint(), n, square=5).turned("x", -8)
        parts += [*posts, back.moved(y=back_y, z=-0.28)]
    if s["arms"] > 0.65:
        for x in (-0.33, 0.33):
            path = straight([(x, seat_y, 0.2), (x, seat_y + 0.22, 0.2), (x, seat_y + 0.24, -0.28)], 10)
            parts.append(tube(path, 0.028, legs, 8))
    return parts


def _upper(n: int, tops: Array, widths: Array, xs: Array, paint: Paint, floor: float, lift: float = 0.0) -> Surface:
    angle = np.linspace(-np.pi / 2, 1.5 * np.pi, n + 1)
    c, sn = np.cos(angle), np.sin(angle)
    ring = (np.abs(c) ** 2.6 + np.abs(sn) ** 2.6) ** (-1 / 2.6)
    middle, half = (floor + tops)[:, None] / 2, (tops - floor)[:, None] / 2
    rings = np.stack(
        [np.broadcast_to(xs[:, None], (len(xs), n + 1)), middle + half * (sn * ring), widths[:, None] * (c * ring)], -1
    )
    return loft(rings, paint, lift=lift)


def _foot(look: Look, n: int, ankle: float, rise: float = 0.62) -> list[Surface]:
    s = look.shape
    m = max(18, n // 2)
    xs = np.concatenate([[-0.62], np.linspace(-0.615, 0.615, m), [0.62]])
    along = (xs + 0.62) / 1.24
    sole_width = 0.16 + 0.07 * np.sin(np.clip(along * 1.25, 0, 1) * np.pi * 0.9)
    round_ends = np.sqrt(np.clip(1 - (np.abs(xs) / 0.62) ** 6, 0, 1))
    sole_tall = 0.07 + 0.07 * s["sole"]
    sole = _upper(
        n,
        np.full(len(xs), sole_tall),
        sole_width * round_ends * 1.06 + 1e-4,
        xs,
        RUBBER if look.style != "leather" else STEEL_DARK,
        0.0,
    )
    toe = 0.26 + 0.05 * s["toe"]
    height = np.interp(
        along, [0, 0.06, 0.3, rise, 0.8, 1.0], [0.16, toe * 0.85, toe, ankle, ankle * 0.97, ankle * 0.86]
    )
    kernel = np.ones(5) / 5
    height = np.convolve(np.pad(height, 2, mode="edge"), kernel, mode="valid")
    upper = _upper(n, height, sole_width * round_ends * 0.98 + 1e-4, xs * 0.97, look.plain(), sole_tall * 0.6)
    cap_xs = xs[along < 0.22] * 0.985
    parts = [sole, upper]
    if s["cap"] > 0.5:
        k = len(cap_xs)
        parts.append(
            _upper(
                n,
                height[:k] * 1.02,
                sole_width[:k] * round_ends[:k] + 1e-4,
                cap_xs,
                look.plain(second=True),
                sole_tall * 0.6,
                0.05,
            )
        )
    return parts


def _laces(look: Look, low: tuple[float, float], high: tuple[float, float], count: int) -> list[Surface]:
    white = Paint((0.95, 0.95, 0.93)) if sum(look.main) < 2.2 else STEEL_DARK
    parts = []
    for t in np.linspace(0, 1, count):
        x, y = low[0] + (high[0] - low[0]) * t, low[1] + (high[1] - low[1]) * t
        path = smooth([(x, y - 0.03, -0.11), (x, y + 0.025, 0.0), (x, y - 0.03, 0.11)], 8)
        parts.append(tube(path, 0.02, white, 6, lift=0.06))
    return parts


def shoe(look: Look, n: int) -> list[Surface]:
    """A low shoe with laces, toe to the left."""
    parts = _foot(look, n, 0.46)
    collar = straight([(0.14, 0.0), (0.155, 0.1)], 5)
    parts.append(
        lathe(collar, look.plain(0.9), n, wide=1.6, deep=0.95, two_sided=True, lift=0.05)
        .turned("z", -6)
        .moved(0.3, 0.40, 0)
    )
    parts.append(
        lathe(straight([(0.14, 0), (0, 0.0)], 4), BLACK, n, wide=1.6, deep=0.92, lift=0.12)
        .turned("z", -6)
        .moved(0.3, 0.475, 0)
    )
    parts += _laces(look, (-0.2, 0.33), (0.06, 0.44), 4)
    if look.pattern != "plain":
        for side in (-1, 1):
            for k in range(3 if look.pattern == "stripes" else 1):
                x = 0.02 + 0.09 * k
                path = smooth(
                    [(x - 0.06, 0.15, side * 0.215), (x + 0.03, 0.28, side * 0.2), (x + 0.1, 0.4, side * 0.13)], 8
                )
                parts.append(tube(path, 0.026, look.plain(second=True), 6, lift=0.08))
    return parts


def boot(look: Look, n: int) -> list[Surface]:
    """A shoe with a shaft above the ankle, toe to the left."""
    s = look.shape
    tall = 0.42 + 0.5 * s["tall"]
    parts = _foot(look, n, 0.46, 0.52)
    shaft = smooth([(0.2, 0.16), (0.22, 0.38), (0.18, 0.4 + tall * 0.4), (0.2, 0.4 + tall)], max(12, n // 3))
    wide, deep = 1.35, 0.95
    parts.append(lathe(shaft, look.paint(reach=(0.4, 1.0)), n, wide=wide, deep=deep).moved(0.32))
    top = 0.4 + tall
    parts.append(
        lathe(straight([(0.205, top - 0.07), (0.205, top)], 3), look.plain(second=True), n, wide=wide, deep=deep).moved(
            0.32
        )
    )
    parts.append(
        lathe(straight([(0.2, 0), (0, 0)], 3), BLACK, n, lift=0.02, wide=wide, deep=deep).moved(0.32, top + 0.002)
    )
    if s["laces"] > 0.4:
        parts += _laces(look, (-0.1, 0.36), (0.09, 0.42 + tall * 0.8), 6)
    return parts


def handbag(look: Look, n: int) -> list[Surface]:
    """A handbag: a tapered body, a flap or a clasp, and arched handles."""
    s = look.shape
    tall, wide, deep = 0.55 + 0.2 * s["tall"], 0.46 + 0.08 * s["wide"], 0.15 + 0.06 * s["deep"]
    taper = 1 - 0.28 * s["taper"]
    body = np.vstack(
        [
            straight([(0, 0), (0.96, 0)], 3),
            straight([(1, 0.04), (taper, tall - 0.04)], max(12, n // 3)),
            straight([(taper * 0.94, tall), (0, tall)], 3),
        ]
    )
    parts = [lathe(body, look.paint(reach=(0.1, 0.9)), n, square=6, wide=wide, deep=deep)]
    rise = 0.22 + 0.3 * s["handle"]
    turn = np.linspace(0, np.pi, max(12, n // 3))
    for z in (-deep * 0.5, deep * 0.5) if s["two"] > 0.4 else (0.0,):
        path = np.stack(
            [wide * 0.55 * taper * np.cos(turn), tall - 0.03 + rise * np.sin(turn), np.full(len(turn), z)], 1
        )
        parts.append(tube(path, 0.03, look.plain(0.75), 8))
    if s["flap"] > 0.4:
        flap = box((wide * 1.8 * taper, tall * 0.5, 0.04), look.plain(0.86), n, square=4)
        parts.append(
            Surface(flap.points, flap.colour, flap.gloss, lift=0.12)
            .turned("x", -5 * (1 - taper) * 4)
            .moved(0, tall * 0.52, deep * 0.92)
        )
    parts.append(ball(0.045, BRASS, 12).moved(0, tall * 0.5, deep * 1.08 + 0.02))
    return [Surface(p.points, p.colour, p.gloss, p.alpha, p.lift + (0.2 if p is parts[-1] else 0)) for p in parts]


def backpack(look: Look, n: int) -> list[Surface]:
    """A backpack: a round-topped body, a front pocket, a top loop and shoulder straps."""
    s = look.shape
    tall, wide, deep = 0.95 + 0.25 * s["tall"], 0.36 + 0.06 * s["wide"], 0.2 + 0.05 * s["deep"]
    t = np.linspace(0, np.pi / 2, max(8, n // 5))
    dome = np.stack([0.55 + 0.45 * np.cos(t), tall * 0.72 + tall * 0.28 * np.sin(t)], axis=1)
    lid = np.array([[0.0, tall]])
    body = np.vstack(
        [straight([(0, 0), (0.92, 0)], 3), straight([(1, 0.06), (1, tall * 0.7)], max(10, n // 4)), dome, lid]
    )
    parts = [lathe(body, look.paint(reach=(0.1, 0.95)), n, square=3.4, wide=wide, deep=deep)]
    pocket_tall = tall * (0.36 + 0.12 * s["pocket"])
    pocket = box((wide * 1.5, pocket_tall, deep * 0.9), look.plain(0.9, second=s["cap"] > 0.5), n, square=4, soft=0.35)
    parts.append(pocket.moved(0, 0.06, deep * 0.85))
    zips = straight([(-wide * 0.66, 0, 0), (wide * 0.66, 0, 0)], 6)
    parts.append(tube(zips, 0.014, METAL, 6, lift=0.2).moved(0, 0.06 + pocket_tall * 0.78, deep * 1.31))
    arc = np.linspace(-0.3, np.pi + 0.3, max(14, n // 3))
    path = np.stack(
        [wide * 0.82 * np.cos(arc), tall * 0.68 + tall * 0.16 * np.sin(arc), np.full(len(arc), deep * 0.75)], 1
    )
    parts.append(tube(path, 0.014, look.plain(0.55), 6, lift=0.12))
    turn = np.linspace(0, np.pi, 12)
    parts.append(
        tube(
            np.stack([0.1 * np.cos(turn), tall - 0.03 + 0.12 * np.sin(turn), 0 * turn - deep * 0.5], 1),
            0.025,
            look.plain(0.6),
            8,
        )
    )
    for x in (-1, 1):
        strap = smooth(
            [
                (x * wide * 0.5, tall * 0.92, -deep),
                (x * wide * 1.12, tall * 0.7, -deep * 1.5),
                (x * wide * 1.15, tall * 0.35, -deep * 1.4),
                (x * wide * 0.85, 0.1, -deep),
            ],
            14,
        )
        parts.append(tube(strap, 0.06, look.plain(0.65), 8, flat=0.4))
    return parts


def _dial(look: Look, n: int, radius: float, *, square: float, numerals: bool) -> list[Surface]:
    s = look.shape
    dark_face = s["dark"] > 0.6
    face = Paint((0.12, 0.13, 0.16), gloss=0.1) if dark_face else Paint((0.97, 0.96, 0.93), gloss=0.05)
    ink = Paint((0.96, 0.95, 0.9)) if dark_face else Paint((0.1, 0.1, 0.12))
    parts = [disc(radius, face, n, square=square, lift=0.02)]
    edge = radius * 0.84
    for hour in range(12):
        a = hour * np.pi / 6
        long = 0.16 if hour % 3 == 0 else 0.08
        way = np.array([np.sin(a), np.cos(a), 0])
        path = straight([tuple(way * edge), tuple(way * (edge - long * radius))], 3)
        parts.append(tube(path, radius * (0.035 if numerals else 0.026), ink, 5, lift=0.08).moved(z=0.006))
    for a, reach, thick in ((s["hour"] * 2 * np.pi, 0.5, 0.045), (s["minute"] * 2 * np.pi, 0.74, 0.032)):
        way = np.array([np.sin(a), np.cos(a), 0.0])
        parts.append(
            tube(
                straight([tuple(-way * 0.1 * radius), tuple(way * reach * radius)], 4), radius * thick, ink, 5, lift=0.1
            ).moved(z=0.02)
        )
    parts.append(ball(radius * 0.06, look.plain(second=True), 8).moved(z=0.02))
    return parts


def watch(look: Look, n: int) -> list[Surface]:
    """A wristwatch, its strap closed to a loop, the face tilted up."""
    s = look.shape
    square = 5.0 if look.style == "square" else 2.0
    turn = np.linspace(0, 2 * np.pi, max(36, n))
    loop = np.stack([0 * turn, 0.46 + 0.46 * np.cos(turn), 0.38 * np.sin(turn)], axis=1)
    wide = (0.15 + 0.04 * s["wide"]) * (0.86 + 0.14 * np.cos(turn - np.pi / 2))
    across = np.array([-1.0, -0.94, 0.94, 1.0, 0.94, -0.94, -1.0])
    raised = np.array([0.0, 0.028, 0.028, 0.0, -0.028, -0.028, 0.0])
    outwards = np.stack([0 * turn, np.cos(turn), np.sin(turn)], axis=1)
    rings = loop[:, None, :] + raised[None, :, None] * outwards[:, None, :]
    rings[..., 0] = wide[:, None] * across[None, :]
    if look.style == "metal":
        strap = Paint((0.76, 0.76, 0.78), (0.5, 0.5, 0.53), "stripes", 26, 0.7)
    else:
        strap = look.plain(gloss=0.15)
    parts = [loft(rings, strap, two_sided=True)]
    radius = 0.27 + 0.05 * s["size"]
    metal = BRASS if s["gold"] > 0.6 else STEEL_DARK if s["gold"] < 0.2 else METAL
    rim = straight([(radius * 0.9, 0), (radius, 0.02), (radius, 0.09), (radius * 0.86, 0.12)], 8)
    case = [lathe(rim, metal, n, square=square).turned("x", 90)]
    case += [part.moved(z=0.115) for part in _dial(look, n, radius * 0.87, square=square, numerals=False)]
    case.append(box((0.07, 0.06, 0.06), metal, 12).moved(radius + 0.02, -0.03, 0.05))
    lifted = [Surface(p.points, p.colour, p.gloss, p.alpha, p.lift + 0.25, p.glow) for p in case]
    placed = [part.moved(z=0.39).turned("x", -18).moved(y=0.43) for part in lifted]
    return parts + placed


def clock(look: Look, n: int) -> list[Surface]:
    """A clock: round on the wall, boxy on the shelf, or with bells."""
    s = look.shape
    square = 6.0 if look.style == "mantel" else 2.0
    radius = 0.5
    rim = straight(
        [
            (radius * 0.5, -0.1),
            (radius * 0.97, -0.1),
            (radius, -0.06),
            (radius, 0.06),
            (radius * 0.95, 0.09),
            (radius * (0.86 - 0.06 * s["rim"]), 0.05),
        ],
        16,
    )
    parts = [lathe(rim, look.plain(), n, square=square).turned("x", 90)]
    parts += [p.moved(z=0.05) for p in _dial(look, n, radius * 0.88, square=square, numerals=True)]
    parts = [p.moved(y=radius) for p in parts]
    if look.style == "alarm":
        parts = [p.moved(y=0.08) for p in parts]
        for x in (-1, 1):
            parts.append(tube(straight([(x * 0.3, 0.2, 0), (x * 0.4, 0, 0.04)], 4), 0.04, look.plain(0.8), 8))
            bell = lathe(smooth([(0.19, 0), (0.17, 0.09), (0.0, 0.16)], 8), look.plain(second=True, gloss=0.6), n)
            parts.append(bell.turned("z", -x * 32).moved(x * 0.3, 1.0, 0))
        turn = np.linspace(0, np.pi, 10)
        parts.append(tube(np.stack([0.16 * np.cos(turn), 1.1 + 0.18 * np.sin(turn), 0 * turn], 1), 0.022, METAL, 8))
    elif look.style == "mantel":
        parts.append(box((1.15, 0.09, 0.34), look.plain(0.8), n).moved(y=-0.06))
        parts = [p.moved(y=0.06) for p in parts]
    return parts


def hat(look: Look, n: int) -> list[Surface]:
    """A hat: a cap with a visor, a hat with a brim, or a knitted one."""
    s = look.shape
    t = np.linspace(0, np.pi / 2, max(10, n // 4))
    if look.style == "brim":
        tall, brim = 0.36 + 0.14 * s["tall"], 0.66 + 0.2 * s["brim"]
        crown = smooth(
            [(0.42, 0.03), (0.41, tall * 0.6), (0.33, tall), (0.18, tall * 0.97), (0.0, tall * 0.9)], max(16, n // 3)
        )
        edge = smooth([(0.38, 0.05), (0.55, 0.03), (brim, 0.07 + 0.08 * s["curl"])], 10)
        band = straight([(0.427, 0.05), (0.421, 0.15)], 4)
        return [
            lathe(edge[::-1], look.plain(), n, deep=0.86, two_sided=True),
            lathe(crown, look.plain(), n, deep=0.86),
            lathe(band, look.plain(second=True), n, deep=0.86, lift=0.04),
        ]
    dome = np.stack([0.44 * np.cos(t), 0.1 + (0.4 + 0.1 * s["tall"]) * np.sin(t)], axis=1)
    if look.style == "knit":
        parts = [lathe(np.vstack([[[0.44, 0.0]], dome]), look.paint(), n)]
        cuff = straight([(0.44, 0), (0.48, 0.03), (0.48, 0.17), (0.44, 0.2)], 8)
        ribs = Paint(look.second, tuple(c * 0.86 for c in look.second), "columns", 16, 0.03)  # type: ignore[arg-type]
        parts.append(lathe(cuff, ribs, n, lift=0.03))
        if s["brim"] > 0.45:
            parts.append(ball(0.13, look.plain(second=True), 14).moved(y=dome[-1, 1] + 0.07))
        return parts
    parts = [lathe(np.vstack([[[0.44, 0.02]], dome]), look.paint(), n, deep=1.08)]
    a = np.linspace(-1.15, 1.15, 18)
    reach = 0.42 + 0.12 * s["brim"]
    rows = []
    for u in np.linspace(0, 1, 7):
        z = 0.44 * np.cos(a) + reach * u * np.cos(a * 0.9)
        rows.append(
            np.stack([0.44 * np.sin(a) * (1 + 0.1 * u), 0.1 - 0.10 * u**1.5 - 0.06 * (a / 1.15) ** 2 + 0 * a, z], 1)
        )
    parts.append(loft(np.array(rows), look.plain(second=look.pattern != "plain"), two_sided=True))
    parts.append(ball(0.035, look.plain(second=True), 8).moved(y=dome[-1, 1]))
    return parts


def shirt(look: Look, n: int) -> list[Surface]:
    """A shirt as if worn: short or long sleeves, a round neck or a collar with buttons."""
    s = look.shape
    waist = 0.36 + 0.04 * s["wide"]
    knots = [(waist, 0.0), (waist, 0.3), (0.39, 0.7), (0.40, 0.88), (0.31, 0.99), (0.15, 1.07), (0.125, 1.09)]
    body = smooth(knots, max(26, n // 2))
    parts = [lathe(body, look.paint(), n, square=2.3, deep=0.42)]
    neck = 0.13
    parts.append(
        lathe(straight([(neck, 0), (0, 0)], 3), Paint((0.25, 0.25, 0.27)), n, deep=0.5, lift=0.02).moved(y=1.088)
    )
    collar = look.plain(0.88, second=look.pattern != "plain" and s["collar"] < 0.5)
    parts.append(
        lathe(
            straight([(neck + 0.025, 1.06), (neck + 0.012, 1.11)], 3), collar, n, deep=0.55, two_sided=True, lift=0.03
        )
    )
    long = look.style == "long"
    for x in (-1, 1):
        tip = (x * (0.60 if long else 0.58), 0.28 if long else 0.66, 0.03)
        mid = (x * (0.54 if long else 0.48), 0.62 if long else 0.82, 0.0)
        path = smooth([(x * 0.12, 0.93, 0), (x * 0.26, 0.935, 0), mid, tip], max(14, n // 3))
        radius = np.interp(np.linspace(0, 1, len(path)), [0, 0.3, 1], [0.06, 0.145, 0.09 if long else 0.135])
        sleeve = tube(
            path,
            radius,
            Paint(
                look.main,
                look.second,
                "stripes" if look.pattern == "stripes" else "plain",
                look.count * 0.6,
                look.gloss,
            ),
            18,
        )
        parts.append(sleeve.stretched(z=0.8))
    if s["collar"] > 0.5:
        for x in (-1, 1):
            wing = np.array(
                [[(x * 0.02, 1.05, 0.10), (x * 0.15, 1.09, 0.05)], [(x * 0.05, 0.95, 0.155), (x * 0.19, 1.0, 0.13)]]
            )
            parts.append(loft(wing, look.plain(1.08), two_sided=True, lift=0.2))
        for y in np.linspace(0.18, 0.9, 5):
            depth = 0.42 * float(np.interp(y, body[:, 1], body[:, 0]))
            parts.append(ball(0.018, Paint((0.96, 0.96, 0.94)), 6).moved(0, y, depth))
    return parts


DRAW: Mapping[str, Callable[[Look, int], list[Surface]]] = {
    "backpacks": backpack,
    "boots": boot,
    "bottles": bottle,
    "bowls": bowl,
    "chairs": chair,
    "clocks": clock,
    "handbags": handbag,
    "hats": hat,
    "mugs": mug,
    "lamps": lamp,
    "shirts": shirt,
    "shoes": shoe,
    "vases": vase,
    "watches": watch,
}
