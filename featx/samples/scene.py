"""A photo of some surfaces: camera, light, shadow and background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from featx.samples.solids import Array, Colour, Surface, rotation

DISTANCE = 5.0


@dataclass(frozen=True)
class Shot:
    """How one photo is taken."""

    yaw: float
    pitch: float
    roll: float
    light: tuple[float, float, float]
    warmth: float
    exposure: float
    fill: float
    shift: tuple[float, float]
    background: str
    tint: Colour
    grain: float


@dataclass(frozen=True)
class _Quads:
    corners: Array
    middle: Array
    normal: Array
    colour: Array
    gloss: Array
    alpha: Array
    lift: Array
    glow: Array
    two_sided: NDArray[np.bool_]


def _quads(surfaces: Sequence[Surface]) -> _Quads:
    corners, colours, rest = [], [], []
    for surface in surfaces:
        p = surface.points
        quad = np.stack([p[:-1, :-1], p[:-1, 1:], p[1:, 1:], p[1:, :-1]], axis=2).reshape(-1, 4, 3)
        corners.append(quad)
        colours.append(np.broadcast_to(surface.colour, (*surface.points[:-1, :-1].shape[:2], 3)).reshape(-1, 3))
        facts = [surface.gloss, surface.alpha, surface.lift, surface.glow, float(surface.two_sided)]
        rest.append(np.broadcast_to(np.array(facts), (len(quad), 5)))
    corner, colour, facts_all = np.concatenate(corners), np.concatenate(colours), np.concatenate(rest)
    # Across the rows × across the columns: outwards for turned and swept surfaces alike.
    up = corner[:, 3] + corner[:, 2] - corner[:, 0] - corner[:, 1]
    around = corner[:, 1] + corner[:, 2] - corner[:, 0] - corner[:, 3]
    normal = np.cross(up, around)
    length = np.linalg.norm(normal, axis=1)
    solid = length > 1e-10
    normal = normal[solid] / length[solid, None]
    corner, colour, facts_all = corner[solid], colour[solid], facts_all[solid]
    gloss, alpha, lift, glow, sides = facts_all.T
    return _Quads(corner, corner.mean(axis=1), normal, colour, gloss, alpha, lift, glow, sides > 0.5)


def cut_out(surfaces: Sequence[Surface], shot: Shot, size: int, over: int = 2) -> tuple[Array, Array, Array]:
    """The product alone: colour times coverage and coverage, and the shadow on the ground, each (size, size)."""
    quads = _quads(surfaces)
    view = rotation("z", shot.roll) @ rotation("x", shot.pitch) @ rotation("y", shot.yaw)
    corners, middle, normal = quads.corners @ view.T, quads.middle @ view.T, quads.normal @ view.T
    flat, placement = _framing(corners, shot, size)
    to_eye = np.array([0.0, 0.0, DISTANCE]) - middle
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    facing = (normal * to_eye).sum(axis=1)
    seen = np.flatnonzero(quads.two_sided | (facing > 0.0))
    seen = seen[np.argsort(middle[seen, 2] + quads.lift[seen], kind="stable")]
    turned = np.where(facing[seen] < 0, -1.0, 1.0)[:, None]
    colours = _shaded(quads, seen, normal[seen] * turned, to_eye[seen], shot)
    alpha = np.round(quads.alpha[seen] * 255).astype(int)
    canvas = Image.new("RGBA", (size * over, size * over))
    draw = ImageDraw.Draw(canvas)
    outlines = (flat[seen] * over).reshape(len(seen), 8).tolist()
    for outline, (red, green, blue), opaque in zip(outlines, colours.tolist(), alpha.tolist(), strict=True):
        draw.polygon(outline, fill=(red, green, blue, opaque))
    pixels = np.asarray(canvas, dtype=np.float32).reshape(size, over, size, over, 4) / 255.0
    coverage = pixels[..., 3:]
    image = (pixels[..., :3] * coverage).mean(axis=(1, 3))
    return image.astype(float), coverage.mean(axis=(1, 3)).astype(float), _shadow(quads, view, placement, shot, size)


def _framing(corners: Array, shot: Shot, size: int) -> tuple[Array, tuple[float, Array]]:
    flat = corners[..., :2] * (DISTANCE / (DISTANCE - corners[..., 2:]))
    low, high = flat.min(axis=(0, 1)), flat.max(axis=(0, 1))
    scale = shot.fill * size / float((high - low).max())
    centre = (low + high) / 2
    return _placed(flat, scale, centre, shot, size), (scale, centre)


def _placed(flat: Array, scale: float, centre: Array, shot: Shot, size: int) -> Array:
    shown = (flat - centre) * scale * np.array([1.0, -1.0])
    placed: Array = shown + size * (0.5 + np.array(shot.shift))
    return placed


def _shaded(quads: _Quads, seen: NDArray[np.intp], normal: Array, to_eye: Array, shot: Shot) -> NDArray[np.int64]:
    light = np.array(shot.light) / np.linalg.norm(shot.light)
    half = light + to_eye
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    lit = np.clip((normal @ light + 0.15) / 1.15, 0, 1)
    sky = 0.5 + 0.5 * normal[:, 1]
    # Near the ground and facing down it is darker.
    low = np.clip(quads.middle[seen, 1] / 0.35, 0, 1)
    ambient = (0.34 + 0.22 * sky) * (0.72 + 0.28 * low)
    shine = np.clip((normal * half).sum(axis=1), 0, 1)
    gloss = quads.gloss[seen]
    glint = gloss * (shine ** (12 + 90 * gloss))
    rim = 0.10 * (1 - np.clip((normal * to_eye).sum(axis=1), 0, 1)) ** 3
    glow = quads.glow[seen]
    amount = (ambient + 0.62 * lit) * (1 - glow) + 1.08 * glow
    warm = np.array([1 + shot.warmth, 1.0, 1 - shot.warmth])
    colour = (quads.colour[seen] * amount[:, None] + rim[:, None]) * warm + glint[:, None]
    colour = np.clip(colour * shot.exposure, 0, None)
    # A soft shoulder instead of clipped highlights.
    colour = np.where(colour > 0.8, 0.8 + 0.2 * np.tanh((colour - 0.8) / 0.2), colour)
    shown: NDArray[np.int64] = np.round(colour * 255).astype(np.int64)
    return shown


def _shadow(quads: _Quads, view: Array, placement: tuple[float, Array], shot: Shot, size: int) -> Array:
    light = np.array(shot.light) @ view
    slant = light[[0, 2]] / max(float(light[1]), 0.45)
    small = max(24, size // 2)

    def mask(corners: Array, lean: Array, blur: float) -> Array:
        ground = corners.copy()
        ground[..., [0, 2]] -= corners[..., 1:2] * lean
        ground[..., 1] = 0.0
        seen = ground @ view.T
        flat = seen[..., :2] * (DISTANCE / (DISTANCE - seen[..., 2:]))
        spots = _placed(flat, *placement, shot, size) * (small / size)
        image = Image.new("L", (small, small))
        draw = ImageDraw.Draw(image)
        for outline in spots.reshape(len(spots), 8).tolist():
            draw.polygon(outline, fill=255)
        image = image.filter(ImageFilter.GaussianBlur(blur * small)).resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(image, dtype=float)[..., None] / 255.0

    towards = (quads.normal @ np.array([slant[0], 1.0, slant[1]]) > 0) | quads.two_sided
    cast = mask(quads.corners[towards], slant, 0.022)
    near = quads.middle[:, 1] < 0.12
    contact = mask(quads.corners[near], np.zeros(2), 0.012) if near.any() else np.zeros_like(cast)
    return 1 - (1 - 0.34 * cast) * (1 - 0.42 * contact)


def _noise(random: np.random.Generator, size: int, cells: tuple[int, int]) -> Array:
    grid = Image.fromarray(random.integers(0, 256, (cells[1], cells[0]), dtype=np.uint8))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), dtype=float)[..., None] / 255.0 - 0.5


def background(shot: Shot, size: int, random: np.random.Generator) -> Array:
    """The background behind the product, (size, size, 3)."""
    y = np.linspace(0, 1, size)[:, None, None]
    x = np.linspace(0, 1, size)[None, :, None]
    tint = np.array(shot.tint)
    if shot.background == "white":
        white: Array = np.broadcast_to(0.985 - 0.03 * y + 0.0 * x, (size, size, 1)) * np.ones(3)
        return white
    if shot.background == "studio":
        spot = np.exp(-(((x - 0.5 - shot.light[0] * 0.2) / 0.6) ** 2) - ((y - 0.4) / 0.7) ** 2)
        studio: Array = np.clip((0.72 + 0.28 * tint) * (0.80 + 0.2 * spot) * (1 - 0.05 * y), 0, 1)
        return studio
    edge = 0.34 + 0.24 * random.random()
    wall = np.clip((0.55 + 0.45 * tint[::-1]) * (0.92 - 0.25 * np.abs(x - 0.5 + 0.3 * shot.light[0])), 0, 1)
    wall = wall + 0.03 * _noise(random, size, (5, 5))
    table = _table(shot, size, random, x, y, edge)
    backdrop = Image.fromarray((np.clip(np.where(y < edge, wall, table), 0, 1) * 255).astype(np.uint8))
    if shot.background == "clutter":
        _clutter(backdrop, size, random, edge)
    # The camera focuses on the product; the distance is blurred.
    far = np.asarray(backdrop.filter(ImageFilter.GaussianBlur(size * 0.02)), dtype=float) / 255.0
    near = np.asarray(backdrop, dtype=float) / 255.0
    blend = np.clip((y - edge) / 0.25, 0, 1)
    mixed: Array = far * (1 - blend) + near * blend
    return mixed


def _table(shot: Shot, size: int, random: np.random.Generator, x: Array, y: Array, edge: float) -> Array:
    depth = np.clip(y - edge, 0, 1) + 0.35
    across = (x - 0.5) / depth
    kind = random.integers(0, 4)
    if kind == 0:
        wood = np.array([(0.60, 0.42, 0.27), (0.74, 0.58, 0.40), (0.42, 0.29, 0.20)][random.integers(0, 3)])
        plank = np.floor(across * 2.5 + random.random())
        tone = 0.06 * np.sin(plank * 12.9) - 0.12 * ((across * 2.5 + 50) % 1.0 < 0.03)
        grain = 0.16 * _noise(random, size, (max(8, size // 3), 6)) + 0.10 * _noise(random, size, (24, 4))
        return wood * (1 + tone + grain)
    if kind == 1:
        tiles = ((across * 4 + 40) % 1.0 < 0.05) | (((1.0 / depth) * 5) % 1.0 < 0.06)
        return np.where(tiles, 0.62, 0.80 + 0.05 * _noise(random, size, (20, 20))) * (0.6 + 0.4 * np.array(shot.tint))
    if kind == 2:
        weave = ((across * 16 + 80) % 1.0 < 0.5) ^ (((1.0 / depth) * 12) % 1.0 < 0.5)
        return np.where(weave, 0.92, 0.78) * (0.45 + 0.55 * np.array(shot.tint)) + 0.04 * _noise(random, size, (60, 60))
    marble = np.sin(9 * across + 6 * y + 9 * _noise(random, size, (5, 5)) + 4 * _noise(random, size, (14, 14)))
    table: Array = (0.84 - 0.18 * np.exp(-8 * marble**2) + 0.04 * _noise(random, size, (40, 40))) * (
        0.85 + 0.15 * np.array(shot.tint)
    )
    return table


def _clutter(backdrop: Image.Image, size: int, random: np.random.Generator, edge: float) -> None:
    draw = ImageDraw.Draw(backdrop)
    for _ in range(int(random.integers(4, 9))):
        left, wide = random.random() * 1.2 - 0.1, 0.05 + 0.17 * random.random()
        tall = 0.10 + 0.34 * random.random()
        foot = edge + 0.10 * random.random()
        grey, hue = random.integers(60, 200), random.integers(40, 216, 3)
        colour = tuple(int(0.55 * grey + 0.45 * c) for c in hue)
        area = [left * size, (foot - tall) * size, (left + wide) * size, foot * size]
        kind = random.integers(0, 3)
        if kind == 0:
            draw.rectangle(area, fill=colour)
        elif kind == 1:
            draw.rounded_rectangle(area, radius=wide * size * 0.4, fill=colour)
        else:
            draw.ellipse(area, fill=colour)
        light = tuple(min(255, c + 40) for c in colour)
        draw.rectangle(
            [
                area[0] + wide * size * 0.15,
                area[1] + tall * size * 0.2,
                area[0] + wide * size * 0.3,
                area[3] - tall * size * 0.2,
            ],
            fill=light,
        )


def photograph(surfaces: Sequence[Surface], shot: Shot, size: int, random: np.random.Generator) -> Image.Image:
    """The finished photo: product, shadow, background, camera noise."""
    product, coverage, shadow = cut_out(surfaces, shot, size)
    around = background(shot, size, random) * shot.exposure**0.5
    picture = around * (1 - shadow) * (1 - coverage) + product
    if shot.grain:
        picture = picture + random.normal(0, shot.grain, (size, size, 1))
    return Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))


def transparent(surfaces: Sequence[Surface], shot: Shot, size: int) -> Image.Image:
    """The product alone on a transparent ground."""
    product, coverage, _ = cut_out(surfaces, shot, size)
    colour = product / np.maximum(coverage, 1e-6)
    both = np.concatenate([np.clip(colour, 0, 1), coverage], axis=2)
    return Image.fromarray(np.round(both * 255).astype(np.uint8))
