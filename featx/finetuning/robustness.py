"""How categories survive worse photos: blurred, noisy, squeezed, dark, cut, or changed to mislead the network."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from torch.nn import functional

from featx.backbones import Encoder
from featx.backbones.tunable import TunableNetwork
from featx.backbones.tuned_card import Robust
from featx.embedding.stream import Source, embed, read_source
from featx.finetuning.cut.front import FrontEncoder, as_prepared, even_part
from featx.finetuning.cut.tail import lda_head

# Photos are this large before they are changed, so that a change means the same for all of them.
SHORTER = 256
# Not more photos are changed than these, and so many at once are led astray.
MOST, AT_ONCE = 500, 16
BLUR, NOISE, QUALITY, DARK, KEPT = 2.0, 20.0, 30, 0.4, 0.8
# Steps of a byte by which every number of a photo is moved against the network (Goodfellow et al. 2015).
STEPS = (1, 2)
PLAIN = "as it is"


def blurred(image: Image.Image, digest: str) -> Image.Image:
    """Out of focus by two pixels."""
    return image.filter(ImageFilter.GaussianBlur(BLUR))


def noisy(image: Image.Image, digest: str) -> Image.Image:
    """The noise of a dark room; the same for the same photo."""
    random = np.random.Generator(np.random.Philox(key=int(digest[:16], 16)))
    pixels = np.asarray(image, dtype=np.float32) + random.normal(0, NOISE, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


def squeezed(image: Image.Image, digest: str) -> Image.Image:
    """A JPEG of poor quality."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def dark(image: Image.Image, digest: str) -> Image.Image:
    """Two fifths of the light."""
    return ImageEnhance.Brightness(image).enhance(DARK)


def cut(image: Image.Image, digest: str) -> Image.Image:
    """The middle, four fifths of each side."""
    w, h = max(1, round(image.width * KEPT)), max(1, round(image.height * KEPT))
    left, top = (image.width - w) // 2, (image.height - h) // 2
    return image.crop((left, top, left + w, top + h))


CHANGES: dict[str, Callable[[Image.Image, str], Image.Image]] = {
    PLAIN: lambda image, digest: image,
    "blur": blurred,
    "noise": noisy,
    f"JPEG {QUALITY}": squeezed,
    "dark": dark,
    "crop": cut,
}


@dataclass(frozen=True)
class Judged:
    """A network with the head that a discriminant analysis of its features found."""

    network: TunableNetwork
    weights: torch.Tensor
    offsets: torch.Tensor

    @classmethod
    def of(cls, network: TunableNetwork, features: NDArray[np.float32], truth: NDArray[np.intp]) -> Judged:
        """The head from photos that were learned from."""
        weights, offsets = lda_head(features[:, : network.width], truth)
        return cls(network, torch.from_numpy(weights), torch.from_numpy(offsets))

    def scores(self, prepared: torch.Tensor) -> torch.Tensor:
        """Scores of the categories for prepared photos."""
        device = next(self.network.network.parameters()).device
        rows = self.network.read(self.network.network(self.network.enter(prepared.to(device))))
        return functional.normalize(rows.float().cpu()) @ self.weights.T + self.offsets


def robustness(
    encoder: Encoder, before: Judged, after: Judged, paths: Sequence[str], truth: NDArray[np.intp]
) -> list[Robust]:
    """The share of photos that both networks get right after each change; of very many photos, of an even part."""
    chosen = even_part(len(paths), MOST)
    paths, wanted = [paths[i] for i in chosen], truth[chosen]
    rows: list[Robust] = []
    plain: NDArray[np.generic] = np.zeros(0)
    for name, change in CHANGES.items():
        photos = _prepared(encoder, paths, change)
        rows.append(Robust(name, _right(before, photos, wanted), _right(after, photos, wanted), len(wanted)))
        plain = photos if name == PLAIN else plain
    if plain.dtype == np.uint8:
        for step in STEPS:
            worse = _astray(before, plain, wanted, step), _astray(after, plain, wanted, step)
            rows.append(Robust(f"FGSM {step}/255", *worse, len(wanted)))
    return rows


def _prepared(
    encoder: Encoder, paths: Sequence[str], change: Callable[[Image.Image, str], Image.Image]
) -> NDArray[np.generic]:
    """Changed photos as the network takes them."""

    def read(path: str) -> Source:
        plain = read_source(path)
        return Source(plain.digest, lambda smallest: [change(_shrunk(plain.decode(smallest)[0]), plain.digest)])

    with embed(list(paths), lambda: FrontEncoder.of_photos(encoder), read=read) as stream:
        return as_prepared(encoder, [result.features for result in stream if result.features is not None])


def _shrunk(image: Image.Image) -> Image.Image:
    scale = SHORTER / min(image.size)
    return image if scale >= 1 else image.resize((round(image.width * scale), round(image.height * scale)))


def _right(judged: Judged, photos: NDArray[np.generic], truth: NDArray[np.intp]) -> float:
    with torch.inference_mode():
        answers = [judged.scores(batch).argmax(1).numpy() for batch, _ in _batches(photos, truth)]
    return float((np.concatenate(answers) == truth).mean())


def _astray(judged: Judged, photos: NDArray[np.generic], truth: NDArray[np.intp], step: int) -> float:
    """The share that is right although every byte was moved by so many steps in the direction of more doubt."""
    right = 0
    for batch, wanted in _batches(photos, truth):
        leaf = batch.float().requires_grad_()
        loss = functional.cross_entropy(judged.scores(leaf), wanted.clamp(min=0))
        (slope,) = torch.autograd.grad(loss, leaf)
        with torch.no_grad():
            answers = judged.scores((leaf + step * slope.sign()).clamp(0, 255)).argmax(1)
        right += int((answers == wanted).sum())
    return right / len(truth)


def _batches(photos: NDArray[np.generic], truth: NDArray[np.intp]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [
        (torch.from_numpy(photos[i : i + AT_ONCE].copy()), torch.from_numpy(truth[i : i + AT_ONCE]))
        for i in range(0, len(photos), AT_ONCE)
    ]
