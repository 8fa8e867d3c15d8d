"""Generated pictures: dead leaves whose fills are colours, noise of natural spectrum, stripes and shading."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw


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


def draw_picture(seed: int, size: int) -> Image.Image:
    """Draw one picture; the same seed always gives the same one."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(_noise(rng, size))
    for _ in range(int(rng.integers(4, 60))):
        radius = min(size / 2, 6 * (1 - rng.random()) ** (-1 / 1.5))
        x, y = rng.uniform(0, size, 2)
        mask = Image.new("L", (size, size), 0)
        pen = ImageDraw.Draw(mask)
        if rng.random() < 0.5:
            tall = radius * rng.uniform(0.4, 1)
            pen.ellipse((x - radius, y - tall, x + radius, y + tall), fill=255)
        else:
            corners = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            reach = radius * rng.uniform(0.5, 1.2, corners.size)
            points = [(x + r * np.cos(a), y + r * np.sin(a)) for r, a in zip(reach, corners, strict=True)]
            pen.polygon([(float(px), float(py)) for px, py in points], fill=255)
        kind = rng.random()
        if kind < 0.5:
            fill = Image.new("RGB", (size, size), tuple(int(v) for v in rng.integers(0, 256, 3)))
        else:
            fill = Image.fromarray(_noise(rng, size) if kind < 0.75 else _stripes(rng, size))
        image.paste(fill, (0, 0), mask)
    return image
