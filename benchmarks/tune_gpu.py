"""Training on a GPU: photos in its memory and views made there, beside an eager loop over a DataLoader, in one run.

    python benchmarks/tune_gpu.py [PHOTOS] [--photos 2640] [--epochs 3] [--compile] [--dry-run]

All layers of a ResNet-50 with random weights, for only the pace is measured, are trained in four ways:

- eager: ImageFolder's usual loop, float32, crops and mirrors by torchvision in a worker for each core;
- device: every photo decoded once into the GPU's memory as 256 × 256 bytes, crops, mirrors and light there for a whole
  batch at once, bfloat16, channels last;
- compiled: the same through `torch.compile`, with --compile; it takes half a minute before the first step;
- network: the same steps on one batch that never changes: the limit.

The first three pay for their JPEG files; `30 epochs` is what reading once and thirty passes would take. Then
`featx tune --depth 2` runs as a person would run it, with its cache empty and again with it full. With --dry-run all of
it runs on the CPU with a ResNet-18 and a few photos: it shows that the program works and says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.images import read_photo

os.environ.setdefault("FEATX_OFFLINE", "1")
ROOT = Path(__file__).resolve().parents[1]
KEPT, SIDE, CATEGORIES, PASSES = 256, 224, 81, 30
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEAST_AREA, MIRRORED, LIGHT = 0.35, 0.5, 0.3


@dataclass
class Took:
    """What one way cost."""

    way: str
    reading: float
    epoch: float
    photos: int
    memory: float

    @property
    def pace(self) -> float:
        """Photos a second while it trains."""
        return self.photos / self.epoch

    @property
    def whole(self) -> float:
        """Seconds for reading and thirty passes."""
        return self.reading + PASSES * self.epoch


@dataclass
class Bench:
    """The photos and how they are trained on."""

    paths: Sequence[str]
    network: str
    device: torch.device
    batch: int
    epochs: int
    workers: int

    def model(self) -> torch.nn.Module:
        """The network in training order, in eval mode as `featx tune` trains it."""
        torch.manual_seed(0)
        net: torch.nn.Module = getattr(torchvision.models, self.network)(num_classes=CATEGORIES)
        return net.to(self.device, memory_format=torch.channels_last).eval()

    def wait(self) -> None:
        """Until the GPU has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def memory(self) -> float:
        """GiB of the GPU that were taken at most since the last time."""
        if self.device.type != "cuda":
            return 0.0
        most = torch.cuda.max_memory_allocated() / 2**30
        torch.cuda.reset_peak_memory_stats()
        return most


class Photos(Dataset[tuple[Any, int]]):
    """As ImageFolder gives them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        usual = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        light = transforms.ColorJitter(LIGHT, LIGHT)
        crop = transforms.RandomResizedCrop(SIDE, (LEAST_AREA, 1))
        self.views = transforms.Compose([crop, transforms.RandomHorizontalFlip(), light, *usual])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[Any, int]:
        with Image.open(self.paths[i]) as image:
            return self.views(image.convert("RGB")), i % CATEGORIES


def trained(
    bench: Bench, net: Callable[[Any], Any], parameters: Any, batches: Callable[[], Iterator[Any]], halves: bool
) -> float:
    """Seconds of an epoch, the first one left out where there are several."""
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    seconds = []
    for _ in range(bench.epochs):
        begun = time.perf_counter()
        for images, wanted in batches():
            with torch.autocast(bench.device.type, torch.bfloat16, enabled=halves):
                loss = functional.cross_entropy(net(images), wanted, label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        bench.wait()
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:] or seconds)


def eager(bench: Bench) -> Took:
    """The loop of the tutorials."""
    net = bench.model()

    def batches() -> Iterator[Any]:
        loader = DataLoader(
            Photos(bench.paths),
            bench.batch,
            shuffle=True,
            num_workers=bench.workers,
            pin_memory=bench.device.type == "cuda",
        )
        for images, wanted in loader:
            yield images.to(bench.device), wanted.to(bench.device)

    epoch = trained(bench, net, net.parameters(), batches, halves=False)
    return Took("eager", 0.0, epoch, len(bench.paths), bench.memory())


def decoded(bench: Bench) -> torch.Tensor:
    """Every photo as bytes on the device."""

    def square(path: str) -> np.ndarray[Any, Any]:
        image = read_photo(path, draft_size=(KEPT, KEPT)).image
        return np.asarray(image.resize((KEPT, KEPT), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(max(1, bench.workers)) as pool:
        photos = np.stack(list(pool.map(square, bench.paths)))
    return torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous().to(bench.device)


def views(photos: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Random crops, mirrors and light for a whole batch at once."""
    n, device = len(photos), photos.device

    def between(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n, generator=random, device=device)

    share, ratio = between(LEAST_AREA, 1).sqrt(), torch.exp(between(-0.1438, 0.1438))
    wide, high = (share * ratio).clamp(max=1), (share / ratio).clamp(max=1)
    mirror = torch.where(between(0, 1) < MIRRORED, -1.0, 1.0)
    turn = torch.zeros(n, 2, 3, device=device)
    turn[:, 0, 0], turn[:, 1, 1] = wide * mirror, high
    turn[:, 0, 2], turn[:, 1, 2] = between(-1, 1) * (1 - wide), between(-1, 1) * (1 - high)
    grid = functional.affine_grid(turn, [n, 3, SIDE, SIDE], align_corners=False)
    seen = functional.grid_sample(photos.float() / 255, grid, align_corners=False, padding_mode="reflection")
    seen = seen * between(1 - LIGHT, 1 + LIGHT)[:, None, None, None]
    middle = seen.mean(dim=(1, 2, 3), keepdim=True)
    seen = middle + (seen - middle) * between(1 - LIGHT, 1 + LIGHT)[:, None, None, None]
    mean, std = (torch.tensor(each, device=device)[:, None, None] for each in (MEAN, STD))
    return ((seen.clamp(0, 1) - mean) / std).contiguous(memory_format=torch.channels_last)


def on_device(bench: Bench, *, compiled: bool) -> Took:
    """Photos in the device's memory, views made there, bfloat16."""
    begun = time.perf_counter()
    photos = decoded(bench)
    reading = time.perf_counter() - begun
    wanted = torch.arange(len(photos), device=bench.device) % CATEGORIES
    random = torch.Generator(bench.device).manual_seed(0)
    net = bench.model()
    run: Callable[[Any], Any] = torch.compile(net) if compiled else net

    def batches() -> Iterator[Any]:
        # Whole batches only: a compiled network is made for one shape.
        order = torch.randperm(len(photos), generator=random, device=bench.device)
        for start in range(0, len(order) - bench.batch + 1, bench.batch):
            rows = order[start : start + bench.batch]
            yield views(photos[rows], random), wanted[rows]

    epoch = trained(bench, run, net.parameters(), batches, halves=True)
    n = len(photos) // bench.batch * bench.batch
    return Took("compiled" if compiled else "device", reading, epoch, n, bench.memory())


def network_alone(bench: Bench) -> Took:
    """As many steps on one batch that is there already."""
    net, steps = bench.model(), len(bench.paths) // bench.batch
    images = torch.randn(bench.batch, 3, SIDE, SIDE, device=bench.device).contiguous(memory_format=torch.channels_last)
    wanted = torch.arange(bench.batch, device=bench.device) % CATEGORIES
    epoch = trained(bench, net, net.parameters(), lambda: ((images, wanted) for _ in range(steps)), halves=True)
    return Took("network", 0.0, epoch, steps * bench.batch, bench.memory())


def tuned(folder: Path, network: str, device: str, epochs: int) -> list[float]:
    """Seconds of `featx tune --depth 2`, with the cache empty and again with it full."""
    from featx.finetuning import TuneOptions, tune

    seconds = []
    catalogue = read_catalogue(folder)
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"XDG_CACHE_HOME": place, "FEATX_ARTIFACTS": str(Path(place) / "artifacts")}
        for _ in range(2):
            begun = time.perf_counter()
            options = TuneOptions(depth=2, views=2, epochs=epochs, device=device, keep=True, fresh=True, lr=1e-4)
            tune(catalogue, backbone=network, weights="random", options=options)
            seconds.append(time.perf_counter() - begun)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "data" / "train", metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=2640, help="so many, the same ones again where there are fewer")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    dry = given.dry_run
    if not dry and not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU; `--dry-run` tries the program on the CPU")
    usable = []
    for item in read_catalogue(given.folder).items:
        try:
            read_photo(item.path, draft_size=(64, 64))
            usable.append(item.path)
        except FeatxError:
            continue
        if dry and len(usable) == 8:
            break
    n = 8 if dry else given.photos
    bench = Bench(
        [usable[i % len(usable)] for i in range(n)],
        "resnet18" if dry else "resnet50",
        torch.device("cpu" if dry else "cuda"),
        4 if dry else given.batch,
        1 if dry else given.epochs,
        0 if dry else max(1, (os.cpu_count() or 2) - 1),
    )
    ways = [network_alone(bench), on_device(bench, compiled=False)]
    ways += [on_device(bench, compiled=True)] if given.compile else []
    ways.append(eager(bench))
    limit, slow = ways[0].pace, ways[-1]
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else "CPU"
    print(f"{bench.network}, {n} photos, batches of {bench.batch}, {name}, torch {torch.__version__}")
    print(f"{'way':<10}{'photos/s':>10}{'of the limit':>14}{'30 epochs':>12}{'GiB':>7}{'against eager':>15}")
    for took in ways:
        print(
            f"{took.way:<10}{took.pace:>10.0f}{took.pace / limit:>14.0%}{took.whole:>10.0f} s{took.memory:>7.1f}"
            f"{slow.whole / took.whole:>14.1f}×"
        )
        print(json.dumps(asdict(took)))
    if not dry:
        first, again = tuned(given.folder, bench.network, "cuda", 10)
        print(f"featx tune --depth 2, {len(usable)} photos, 10 epochs: {first:.0f} s, again on its cache {again:.0f} s")


if __name__ == "__main__":
    main()
