"""The ways to turn a folder of photos into features that the extraction benchmarks compare."""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image

from featx.backbones import Encoder, open_backbone
from featx.backbones.builtin import MEAN, SIDE, STD, blocks_of
from featx.backbones.fingerprint import PLUS
from featx.backbones.layers import last_classifying_layer
from featx.catalogue.reading import read_catalogue
from featx.errors import FeatxError
from featx.extraction import ExtractionEvents, ExtractionOptions, run_extraction
from featx.images import decode_photo, read_bytes

BATCH = 32
TIMM = {
    "resnet50": "resnet50",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite2": "tf_efficientnet_lite2",
}


@dataclass
class Took:
    """What one pass over the photos cost, opening the network apart."""

    photos: int
    wall: float
    cpu: float
    setup: float = 0.0
    done: bool = True


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def sync(device: str) -> None:
    """Wait for the GPU, where there is one."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


# --- the textbook loop ------------------------------------------------------------------------------------------------


class BuiltinTextbook(torch.nn.Module):
    """The built-in backbone as one would write it by hand: float images in, the same features out."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.network = backbone.network.to(memory_format=torch.contiguous_format)
        self.joined = backbone.joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.network(x).cpu().numpy()
        mean, std = (torch.tensor(part, device=x.device).view(1, 3, 1, 1) for part in (MEAN, STD))
        pixels = ((x * std + mean) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return torch.from_numpy(self.joined(blocks_of(maps, pixels)))


def textbook_network(name: str, device: str) -> tuple[torch.nn.Module, Any]:
    """The network without its last layer and the transforms of its weights, as every tutorial does it."""
    if name == "builtin":
        from torchvision import transforms as t

        way = [
            t.Resize((SIDE, SIDE), interpolation=t.InterpolationMode.BICUBIC), t.ToTensor(), t.Normalize(MEAN, STD)
        ]  # fmt: skip
        return BuiltinTextbook(open_backbone("builtin", device=device)), t.Compose(way)
    if name.startswith("efficientnet_lite"):  # torchvision has none
        opened = timm_network(name, device)
        assert opened is not None, "timm is not installed"
        return opened
    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None).eval().to(device)
    head = last_classifying_layer(network)
    parent, _, last = head.rpartition(".")
    setattr(network.get_submodule(parent), last, torch.nn.Identity())
    weights = torchvision.models.get_model_weights(name)
    return network, weights["IMAGENET1K_V1"].transforms()


def textbook(folder: Path, network: Any, transforms: Any, *, workers: int, device: str) -> Took:
    """ImageFolder, DataLoader in batches of 32, eager float32."""
    photos = torchvision.datasets.ImageFolder(str(folder), transform=transforms)
    wall, cpu = time.perf_counter(), _cpu()
    kept = []
    loader = torch.utils.data.DataLoader(
        photos, batch_size=BATCH, num_workers=workers, pin_memory=device.startswith("cuda")
    )
    with torch.no_grad():
        for x, _ in loader:
            kept.append(network(x.to(device)).cpu().numpy())
    del loader
    assert len(np.concatenate(kept)) == len(photos)
    return Took(len(photos), time.perf_counter() - wall, _cpu() - cpu)


def timm_network(name: str, device: str) -> tuple[Any, Any] | None:
    """timm's network of the same kind with timm's own transforms; None where timm or the network is not there."""
    try:
        import timm
    except ImportError:
        return None
    if name not in TIMM:
        return None
    network = timm.create_model(TIMM[name], pretrained=False, num_classes=0).eval().to(device)
    return network, timm.data.create_transform(**timm.data.resolve_model_data_config(network), is_training=False)


def textbook_way(folder: Path, name: str, *, workers: int, device: str) -> Callable[[], Took]:
    """The textbook loop, its network opened; a joined backbone is a pass over the photos for each part."""
    networks = [textbook_network(part, device) for part in name.split(PLUS)]

    def run() -> Took:
        passes = [textbook(folder, *network, workers=workers, device=device) for network in networks]
        return Took(passes[0].photos, sum(took.wall for took in passes), sum(took.cpu for took in passes))

    return run


def timm_way(folder: Path, name: str, *, workers: int, device: str) -> Callable[[], Took]:
    """The same loop with timm's network and transforms."""
    network = timm_network(name, device)
    assert network is not None
    return partial(textbook, folder, *network, workers=workers, device=device)


def peers_missing() -> list[str]:
    """Which other extraction tools cannot be compared here."""
    from importlib.util import find_spec

    return [name for name in ("timm", "thingsvision", "img2vec_pytorch") if find_spec(name) is None]


# --- featx ------------------------------------------------------------------------------------------------------------


class _Opened(ExtractionEvents):
    def __init__(self) -> None:
        self.at, self.cpu = 0.0, 0.0
        self.why = ""

    def opened(self, backbone: Encoder) -> None:
        self.at, self.cpu = time.perf_counter(), _cpu()

    def other_engine(self, why: str) -> None:
        self.why = why


def featx_run(folder: Path, name: str, **options: Any) -> Took:
    """One whole `featx extract` into a new store, sealed; opening and converting the network is timed separately."""
    weights = None if name == "builtin" else "random"
    heard = _Opened()
    with tempfile.TemporaryDirectory() as place, _at(Path(place)):
        begun = time.perf_counter()
        summary = run_extraction(
            read_catalogue(str(folder)),
            ExtractionOptions(backbone=name, weights=weights, **options),
            store=Path(place) / "features.h5",
            listener=heard,
        )
        wall, cpu = time.perf_counter(), _cpu()
    return Took(summary.computed, wall - heard.at, cpu - heard.cpu, heard.at - begun)


def featx_way(folder: Path, name: str, **options: Any) -> Callable[[], Took]:
    """featx, with these options of `featx extract`."""
    return partial(featx_run, folder, name, **options)


@contextmanager
def _at(place: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


# --- the limits -------------------------------------------------------------------------------------------------------


def network_only(
    name: str, photo: Path, photos: int, *, engine: str, device: str, precision: str = "auto"
) -> Callable[[], Took]:
    """The network alone, on photos that are decoded and prepared already."""
    weights = None if name == "builtin" else "random"
    backbone: Any = open_backbone(name, weights=weights, device=device, precision=precision)
    size = 16 if device == "cpu" else 128
    backbone.use_engine(engine, photos=10**6, batch_size=size)
    size = max(size, 2 * backbone.spec.batch_hint)
    prepared = [backbone.prepare(decode_photo(read_bytes(photo)))] * size
    backbone.features(prepared)
    times = max(1, photos // size)

    def run() -> Took:
        wall, cpu = time.perf_counter(), _cpu()
        for _ in range(times):
            backbone.features(prepared)
        return Took(times * size, time.perf_counter() - wall, _cpu() - cpu)

    return run


def decode_only(name: str, paths: Sequence[Path], *, workers: int, device: str) -> Callable[[], Took]:
    """Reading, decoding and preparing alone, on all cores."""
    backbone = open_backbone(name, weights=None if name == "builtin" else "random", device=device)
    size = backbone.spec.decode_size

    def decode(path: Path) -> None:
        backbone.prepare(decode_photo(read_bytes(path), str(path), draft_size=size))

    def run() -> Took:
        wall, cpu = time.perf_counter(), _cpu()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(decode, paths))
        return Took(len(paths), time.perf_counter() - wall, _cpu() - cpu)

    return run


def peak_flops(kind: torch.dtype, device: str, side: int = 2048) -> float:
    """The most floating-point operations a second that a matrix product reaches here."""
    a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    best = 0.0
    for _ in range(6):
        sync(device)
        begun = time.perf_counter()
        a @ b
        sync(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - begun))
    return best


def flops_a_photo(name: str) -> float:
    """Floating-point operations the network needs for one photo."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for part in name.split(PLUS):
            network, transforms = textbook_network(part, "cpu")
            network(transforms(Image.new("RGB", (256, 256)))[None])
    return float(counter.get_total_flops())


# --- a process for each -----------------------------------------------------------------------------------------------


class Contestant:
    """A contestant in a process of its own, so that nobody's threads or settings are another's."""

    def __init__(self, make: Callable[[], Callable[[], Took]], *, patient: bool) -> None:
        # featx sets this when it is the first to import torch, see featx/backbones/devices.py; the plain loop does
        # not, but on busy cores it gains so much that the loop takes part with it as well.
        if patient:
            os.environ["OMP_WAIT_POLICY"] = "passive"
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make))
        self._process.start()
        os.environ.pop("OMP_WAIT_POLICY", None)
        theirs.close()

    def __call__(self) -> Took:
        try:
            self._pipe.send(True)
            answer = self._pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise Refused("its process ended, see above") from error
        if isinstance(answer, str):
            raise Refused(answer)
        assert isinstance(answer, Took)
        return answer

    def close(self) -> None:
        """End the process."""
        with suppress(OSError):
            self._pipe.send(False)
        self._process.join()


class Refused(Exception):
    """A contestant that cannot take part, and why."""


def _serve(pipe: Any, make: Callable[[], Callable[[], Took]]) -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    run: Callable[[], Took] | None = None
    while pipe.recv():
        try:
            run = run or make()
            pipe.send(run())
        except FeatxError as error:
            pipe.send(error.message)


# --- rounds -----------------------------------------------------------------------------------------------------------

Contest = dict[str, Callable[[], Callable[[], Took]]]


def interleaved(
    contest: Contest, rounds: int, say: Callable[[str], None], until: float = math.inf
) -> dict[str, list[Took]]:
    """Everyone in turn, so that a busy neighbour disturbs all alike; after `until` no further round begins."""
    took: dict[str, list[Took]] = {name: [] for name in contest}
    contestants = {
        name: Contestant(make, patient=not name.startswith(("textbook", "timm")) or "patient" in name)
        for name, make in contest.items()
    }
    try:
        for number in range(rounds):
            if number and time.monotonic() > until:
                say(f"no time left for round {number + 1}")
                break
            for name, run in contestants.items():
                if name not in took:
                    continue
                try:
                    timing = run()
                except Refused as why:
                    print(f"left out: {name}: {why}", flush=True)
                    del took[name]
                    continue
                took[name].append(timing)
                say(f"  round {number + 1} {name:32} {timing.photos / timing.wall:8.1f} photos/s")
    finally:
        for run in contestants.values():
            run.close()
    return took


def row_of(name: str, took: list[Took], base: list[Took] | None) -> dict[str, Any]:
    """Medians of one contestant, and its ratio to the textbook loop round by round."""
    row: dict[str, Any] = {
        "way": name,
        "photos_per_second": round(float(np.median([t.photos / t.wall for t in took])), 1),
        "cpu_ms_per_photo": round(float(np.median([1000 * t.cpu / t.photos for t in took])), 2),
        "setup_seconds": round(took[0].setup, 2),
        "setup_again_seconds": round(float(np.median([t.setup for t in took])), 2),
    }
    if base:
        pairs = list(zip(base, took, strict=True))
        row["times_textbook"] = round(float(np.median([b.wall / b.photos / (t.wall / t.photos) for b, t in pairs])), 2)
        row["times_textbook_cpu"] = round(
            float(np.median([b.cpu / b.photos / (t.cpu / t.photos) for b, t in pairs])), 2
        )
    return row


def print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    """A table for people."""
    print(
        f"\n{title}\n{'':34}{'photos/s':>10}{'CPU ms/photo':>14}{'set-up s':>10}{'again s':>9}"
        f"{'× textbook':>12}{'× in CPU':>10}"
    )
    for row in rows:
        ratios = [row.get("times_textbook", ""), row.get("times_textbook_cpu", "")]
        print(
            f"{row['way']:34}{row['photos_per_second']:>10}{row['cpu_ms_per_photo']:>14}{row['setup_seconds']:>10}"
            f"{row['setup_again_seconds']:>9}"
            f"{ratios[0]:>12}{ratios[1]:>10}",
            flush=True,
        )
