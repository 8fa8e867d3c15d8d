"""Generated pictures: dead leaves, shelves of like things, cells, and the products of the sample catalogue.

The kinds of clothing that are kept out of the training are not drawn either.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from featx.samples import CATEGORIES, draw_photo, product

KEPT_OUT = ("hats", "shoes", "boots")
# The sample catalogue itself is drawn from seed 0, and is not learned from.
FIRST_SEED = 1000


def draw_picture(seed: int, size: int) -> Image.Image:
    """Draw one picture; the same seed always gives the same one."""
    rng = np.random.default_rng(seed)
    kind = rng.random()
    if kind < 0.5:
        return _leaves(rng, size)
    if kind < 0.75:
        return _product(rng, seed, size)
    return _shelf(rng, size) if kind < 0.9 else _cells(rng, size)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """Coloured noise with a power spectrum like that of photos."""
    fx = np.fft.fftfreq(size)[:, None]
    fy = np.fft.rfftfreq(size)[None, :]
    power = np.sqrt(fx * fx * rng.uniform(0.3, 3) + fy * fy * rng.uniform(0.3, 3))
    power[0, 0] = 1
    spectrum = power ** -rng.uniform(0.6, 1.8)
    base = rng.normal(size=(3, *spectrum.shape)) + 1j * rng.normal(size=(3, *spectrum.shape))
    field = np.fft.irfft2(base * spectrum, s=(size, size))
    field = (field - field.mean((1, 2), keepdims=True)) / (field.std((1, 2), keepdims=True) + 1e-6)
    mixing = rng.normal(size=(3, 3)) * rng.uniform(5, 30) + rng.uniform(10, 50)
    pixels = np.einsum("ij,jhw->hwi", mixing, field) + rng.uniform(20, 235, size=3)
    return np.asarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    phase = (rows * np.sin(angle) + columns * np.cos(angle)) * rng.uniform(0.05, 0.8)
    wave = np.sin(phase) if rng.random() < 0.5 else np.sign(np.sin(phase))
    if rng.random() < 0.4:
        wave = wave * np.sign(np.sin((columns * np.sin(angle) - rows * np.cos(angle)) * rng.uniform(0.05, 0.8)))
    first, second = rng.uniform(0, 255, size=(2, 3))
    return np.asarray((first + (second - first) * (wave[..., None] + 1) / 2).astype(np.uint8))


def _ball(rng: np.random.Generator, size: int) -> np.ndarray:
    """Light from one side, with a highlight: what is cut out of it looks round."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    y, x = rng.uniform(0.2, 0.8, 2)
    near = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / rng.uniform(0.02, 0.3))
    shade = near[..., None] * rng.uniform(60, 220, 3) + rng.uniform(0, 120, 3)
    return np.asarray(np.clip(shade + 160 * near[..., None] ** rng.uniform(8, 40), 0, 255).astype(np.uint8))


def _fills(rng: np.random.Generator, size: int) -> list[Image.Image]:
    """What shapes are filled with: plain colours mostly, and a few textures."""
    plain = [Image.new("RGB", (size, size), tuple(int(v) for v in rng.integers(0, 256, 3))) for _ in range(6)]
    textures = [_noise(rng, size), _noise(rng, size), _stripes(rng, size), _stripes(rng, size)]
    return plain + [Image.fromarray(one) for one in (*textures, _ball(rng, size), _ball(rng, size))]


def _outline(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, radius: float) -> None:
    """An ellipse or a polygon."""
    if rng.random() < 0.5:
        tall = radius * rng.uniform(0.4, 1)
        pen.ellipse((x - radius, y - tall, x + radius, y + tall), fill=255)
        return
    corners = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
    reach = radius * rng.uniform(0.5, 1.2, corners.size)
    points = [(x + r * np.cos(a), y + r * np.sin(a)) for r, a in zip(reach, corners, strict=True)]
    pen.polygon([(float(px), float(py)) for px, py in points], fill=255)


def _leaves(rng: np.random.Generator, size: int) -> Image.Image:
    """Shapes of all sizes, one over the other."""
    image = Image.fromarray(_noise(rng, size))
    fills = _fills(rng, size)
    for _ in range(int(rng.integers(4, 60))):
        radius = min(size / 2, 6 * (1 - rng.random()) ** (-1 / 1.5))
        x, y = rng.uniform(0, size, 2)
        mask = Image.new("L", (size, size), 0)
        _outline(ImageDraw.Draw(mask), rng, x, y, radius)
        image.paste(fills[int(rng.integers(len(fills)))], (0, 0), mask)
    return image


def _shelf(rng: np.random.Generator, size: int) -> Image.Image:
    """One small thing in rows and columns, a little out of place each time."""
    image = Image.fromarray(_noise(rng, size))
    count = int(rng.integers(2, 7))
    step = size // count
    small = _leaves(rng, 2 * step).resize((step, step), Image.Resampling.BILINEAR)
    mask = Image.new("L", (step, step), 0)
    _outline(ImageDraw.Draw(mask), rng, step / 2, step / 2, step * rng.uniform(0.35, 0.55))
    for row in range(count):
        for column in range(count):
            x, y = (int(v * step + rng.normal(0, step / 12)) for v in (column, row))
            image.paste(small.rotate(float(rng.normal(0, 8))), (x, y), mask)
    return image


def _cells(rng: np.random.Generator, size: int) -> Image.Image:
    """Cells around random points, each of one texture, as tiles and skins have them."""
    points = rng.uniform(0, size, (int(rng.integers(8, 60)), 2))
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    far = (rows[..., None] - points[:, 0]) ** 2 + ((columns[..., None] - points[:, 1]) * rng.uniform(0.5, 2)) ** 2
    nearest = far.argmin(-1)
    fills = np.stack([np.asarray(one) for one in _fills(rng, size)])
    choice = rng.integers(0, len(fills), len(points))[nearest]
    pixels = np.take_along_axis(fills, choice[None, ..., None], 0)[0]
    if rng.random() < 0.5:
        first, second = np.partition(far, 1, axis=-1)[..., :2].transpose(2, 0, 1)
        pixels = np.where((np.sqrt(second) - np.sqrt(first) < 3)[..., None], rng.integers(0, 256, 3), pixels)
    return Image.fromarray(pixels.astype(np.uint8))


def _product(rng: np.random.Generator, seed: int, size: int) -> Image.Image:
    """A photo of a product of another made-up shop."""
    places = [i for i, name in enumerate(CATEGORIES) if name not in KEPT_OUT]
    position = places[int(rng.integers(len(places)))] + len(CATEGORIES) * int(rng.integers(12))
    item = product(position, FIRST_SEED + seed)
    return draw_photo(item, int(rng.integers(1, 6)), size=size, seed=FIRST_SEED + seed)
