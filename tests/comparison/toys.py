"""Backbones to check by eye: one sees which colour a photo is, one whether it has stripes; neither sees both."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from featx.backbones import Fingerprint
from featx.errors import FeatxError


class Toy:
    device, device_reason = "cpu", "CPU"
    # What it sees is three numbers; the others are noise, or all photos of a colour would be copies of one another.
    width = 19

    def __init__(self, name: str) -> None:
        self.versions = {"numpy": np.__version__}
        self.name = f"tests.comparison.toys:{name}"
        self.fingerprint = Fingerprint(self.name, "v1", "", "mean", "avg", "none", "fp32", self.width)

    def prepare(self, image) -> np.ndarray:
        return np.asarray(image.convert("RGB").resize((16, 16)), dtype=np.float32) / 255

    def features(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        rows = [np.concatenate([self.see(photo), self.noise * grains(photo)]) for photo in prepared]
        return np.stack(rows).astype(np.float32)

    noise = 0.1

    def see(self, photo: np.ndarray) -> np.ndarray:
        return photo.mean((0, 1))


def grains(photo: np.ndarray) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(photo.tobytes())).normal(size=16)


class Stripes(Toy):
    noise = 0.04

    def see(self, photo: np.ndarray) -> np.ndarray:
        brightness = photo.mean(2)
        across, down = brightness.mean(1).std(), brightness.mean(0).std()
        return np.array([across, down, 0.05 + np.abs(across - down)])


def hue(weights=None, device="auto") -> Toy:
    return Toy("hue")


def stripes(weights=None, device="auto") -> Toy:
    return Stripes("stripes")


def broken(weights=None, device="auto") -> Toy:
    raise FeatxError("weights-broken", "the weights of this toy are damaged", "get another")
