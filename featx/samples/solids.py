"""Curved surfaces to build products from: turned, swept and stacked, each a grid of small coloured quads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """A grid of points (rows, columns, 3), y upwards, and the colour of each quad between them."""

    points: Array
    colour: Array
    gloss: float = 0.15
    alpha: float = 1.0
    # A thin detail on top of another surface is drawn as if it lay a little nearer.
    lift: float = 0.0
    glow: float = 0.0
    two_sided: bool = False

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Surface:
        """The same surface somewhere else."""
        return replace(self, points=self.points + np.array([x, y, z]))

    def turned(self, axis: str, degrees: float) -> Surface:
        """The same surface, turned about an axis through the origin."""
        return replace(self, points=self.points @ rotation(axis, degrees).T)

    def stretched(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Surface:
        """The same surface, wider, taller or deeper."""
        return replace(self, points=self.points * np.array([x, y, z]))


@dataclass(frozen=True)
class Paint:
    """How a surface is coloured: one colour, or two in a pattern."""

    main: Colour
    second: Colour = (1.0, 1.0, 1.0)
    pattern: str = "plain"
    count: float = 6.0
    gloss: float = 0.15
    alpha: float = 1.0
    glow: float = 0.0
    reach: tuple[float, float] = field(default=(0.0, 1.0))

    def over(self, rows: int, columns: int) -> Array:
        """The colour of each quad of a grid."""
        u = (np.arange(rows) + 0.5)[:, None] / rows + np.zeros((1, columns))
        v = (np.arange(columns) + 0.5)[None, :] / columns + np.zeros((rows, 1))
        low, high = self.reach
        inside = (u >= low) & (u <= high)
        mask = pattern_mask(self.pattern, (u - low) / max(high - low, 1e-6), v, self.count) & inside
        colours: Array = np.where(mask[..., None], np.array(self.second), np.array(self.main))
        return colours


def pattern_mask(kind: str, u: Array, v: Array, count: float) -> NDArray[np.bool_]:
    """The mask of a pattern's second colour; u runs upwards, v around."""
    if kind == "stripes":
        mask = (u * count) % 1.0 < 0.45
    elif kind == "columns":
        mask = (v * count * 2.5) % 1.0 < 0.4
    elif kind == "checks":
        mask = ((u * count) % 1.0 < 0.5) ^ ((v * count * 2) % 1.0 < 0.5)
    elif kind == "dots":
        row = np.floor(u * count)
        mask = ((u * count) % 1.0 - 0.5) ** 2 + ((v * count * 2.4 + row * 0.5) % 1.0 - 0.5) ** 2 < 0.085
    elif kind == "band":
        mask = (u > 0.38) & (u < 0.66)
    elif kind == "dipped":
        mask = u < 0.42
    elif kind == "zigzag":
        mask = np.abs(u - 0.5 - 0.16 * (np.abs((v * count * 2) % 1.0 - 0.5) * 4 - 1)) < 0.1
    else:
        mask = np.zeros(u.shape, dtype=bool)
    return np.asarray(mask, dtype=bool)


def rotation(axis: str, degrees: float) -> Array:
    """A rotation matrix about the x, y or z axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.array(rows[axis], dtype=float)


def smooth(points: Sequence[Sequence[float]], n: int) -> Array:
    """A smooth curve (Catmull-Rom) through points, sampled n times at even distances."""
    knots = np.array(points, dtype=float)
    padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
    fine = _catmull_rom(padded, np.linspace(0, len(knots) - 1, 8 * n))
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    distances = np.linspace(0, travelled[-1], n)
    return np.stack([np.interp(distances, travelled, column) for column in fine.T], axis=1)


def _catmull_rom(padded: Array, distances: Array) -> Array:
    i = np.minimum(distances.astype(int), len(padded) - 4)
    t = (distances - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    curve: Array = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve


def straight(points: Sequence[Sequence[float]], n: int) -> Array:
    """Straight pieces through points, sampled about n times, corners kept."""
    knots = np.array(points, dtype=float)
    lengths = np.hypot(*np.diff(knots, axis=0)[:, :2].T) if knots.shape[1] == 2 else None
    if lengths is None:
        lengths = np.linalg.norm(np.diff(knots, axis=0), axis=1)
    pieces = np.maximum(1, np.round(n * lengths / max(lengths.sum(), 1e-9))).astype(int)
    parts = [
        knots[i] + (knots[i + 1] - knots[i]) * np.linspace(0, 1, pieces[i], endpoint=False)[:, None]
        for i in range(len(pieces))
    ]
    return np.vstack([*parts, knots[-1:]])


def loft(rings: Array, paint: Paint, *, lift: float = 0.0, two_sided: bool = False) -> Surface:
    """A skin over rings of points (rows, columns, 3)."""
    colour = paint.over(rings.shape[0] - 1, rings.shape[1] - 1)
    return Surface(rings, colour, paint.gloss, paint.alpha, lift, paint.glow, two_sided)


def lathe(
    profile: Array,
    paint: Paint,
    n: int,
    *,
    square: float = 2.0,
    wide: float = 1.0,
    deep: float = 1.0,
    lift: float = 0.0,
    two_sided: bool = False,
) -> Surface:
    """A profile of (radius, height) turned about the y axis; `square` above 2 makes the ring boxy."""
    angle = np.linspace(0, 2 * np.pi, n + 1)
    c, s = np.cos(angle), np.sin(angle)
    ring = (np.abs(c) ** square + np.abs(s) ** square) ** (-1 / square)
    radius, height = profile[:, :1], profile[:, 1:]
    rings = np.stack(
        [radius * (ring * c) * wide, np.broadcast_to(height, (len(profile), n + 1)), radius * (ring * s) * deep],
        axis=-1,
    )
    return loft(rings, paint, lift=lift, two_sided=two_sided)


def box(
    size: tuple[float, float, float],
    paint: Paint,
    n: int,
    *,
    square: float = 6.0,
    soft: float = 0.12,
    lift: float = 0.0,
) -> Surface:
    """A box with soft edges, standing on y = 0."""
    width, height, depth = size
    edge = soft * min(size)
    profile = straight([(0, 0), (1 - edge / width, 0)], 3)
    side = straight([(1, edge), (1, height - edge)], max(4, n // 3))
    top = straight([(1 - edge / width, height), (0, height)], 3)
    return lathe(np.vstack([profile, side, top]), paint, n, square=square, wide=width / 2, deep=depth / 2, lift=lift)


def disc(radius: float, paint: Paint, n: int, *, square: float = 2.0, lift: float = 0.0) -> Surface:
    """A flat disc in the x-y plane that faces +z."""
    rings = max(3, n // 8)
    profile = np.stack([np.linspace(radius, 0, rings), np.zeros(rings)], axis=1)
    return lathe(profile, paint, n, square=square, lift=lift).turned("x", 90)


def tube(
    path: Array, radius: float | Array, paint: Paint, n: int = 10, *, flat: float = 1.0, lift: float = 0.0
) -> Surface:
    """A round bar along a path; `flat` below 1 presses it into a strap."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-12
    mean = tangent.mean(axis=0)
    spread = path - path.mean(axis=0)
    # The strap's flat side follows the plane in which the path bends.
    helper = np.linalg.svd(spread, full_matrices=False)[2][-1] if len(path) > 2 else np.array([0.0, 0.0, 1.0])
    if abs(float(helper @ mean)) > 0.95 or np.linalg.norm(np.cross(tangent, helper), axis=1).min() < 0.2:
        helper = np.eye(3)[int(np.argmin(np.abs(mean)))]
    normal = np.cross(tangent, helper)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    binormal = np.cross(tangent, normal)
    angle = -np.linspace(0, 2 * np.pi, n + 1)
    size = np.broadcast_to(np.asarray(radius, dtype=float), (len(path),))[:, None, None]
    around = (
        np.cos(angle)[None, :, None] * normal[:, None, :] * flat + np.sin(angle)[None, :, None] * binormal[:, None, :]
    )
    rings = path[:, None, :] + size * around
    ends = [np.broadcast_to(path[:1, None], rings[:1].shape), rings, np.broadcast_to(path[-1:, None], rings[:1].shape)]
    return loft(np.concatenate(ends), paint, lift=lift)


def ball(radius: float, paint: Paint, n: int) -> Surface:
    """A ball around the origin."""
    t = np.linspace(-np.pi / 2, np.pi / 2, max(6, n // 2))
    return lathe(np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1), paint, n)
