"""Train the built-in backbone: distillation from a teacher on few photos, many crops, mixing and labels.

    python -m training.builtin --minutes 30 --photos DIR... --teacher FILE

A stopped training goes on with the same command: the checkpoint in ``training/work`` holds everything.
``--export`` writes the checkpoint's averaged weights into the package and stops.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from featx.backbones.builtin import BuiltinEncoder
from featx.backbones.builtin_network import HEAD_WIDTH, WIDTHS, BuiltinNetwork, folded
from training.generated import draw_picture
from training.photos import SHORT_SIDE, list_sources, open_all

WORK = Path(__file__).parent / "work"
PACKAGE = Path(__file__).parent.parent / "featx" / "backbones"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LONGEST_STEP = 5.0
AVERAGE = 0.998


class Student(nn.Module):
    """The network with the heads that only training needs."""

    def __init__(self, classes: int) -> None:
        """Build the student for so many retail labels."""
        super().__init__()
        self.network = BuiltinNetwork(normed=True)
        self.hint_early = nn.Conv2d(WIDTHS[2], 256, 1)
        self.hint_late = nn.Conv2d(WIDTHS[3], 512, 1)
        self.labels = nn.Linear(HEAD_WIDTH + WIDTHS[3], classes)


class Teacher(nn.Module):
    """The frozen teacher: two maps on the way, the last map, and its class scores."""

    def __init__(self, path: Path) -> None:
        """Load the teacher's weights."""
        super().__init__()
        net = torchvision.models.squeezenet1_0()
        net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.early, self.late, self.last = net.features[:7], net.features[7:12], net.features[12:]
        self.classifier = net.classifier[1]
        self.eval().requires_grad_(False)

    def scores(self, last: torch.Tensor) -> torch.Tensor:
        """Class scores of a last map."""
        result: torch.Tensor = F.relu(self.classifier(last)).mean((2, 3))
        return result

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the early, late and last maps."""
        early = self.early(x)
        late = self.late(early)
        return early, late, self.last(late)


def crop(image: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random crop, mirrored half of the time."""
    area = image.width * image.height * rng.uniform(0.15, 1.0)
    ratio = math.exp(rng.uniform(-0.3, 0.3))
    width, height = min(image.width, math.sqrt(area * ratio)), min(image.height, math.sqrt(area / ratio))
    left, top = rng.uniform(0, image.width - width + 1e-6), rng.uniform(0, image.height - height + 1e-6)
    box = (left, top, min(left + width, image.width), min(top + height, image.height))
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def batches(
    images: list[Image.Image], labels: np.ndarray, size: int, batch: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches of crops, prepared in threads ahead of their use."""
    ready: queue.Queue[tuple[torch.Tensor, torch.Tensor]] = queue.Queue(6)

    def fill() -> None:
        rng = np.random.default_rng(seed)
        with ThreadPoolExecutor(2) as pool:
            while True:
                order = rng.permutation(len(images))
                for start in range(0, len(order) - batch + 1, batch):
                    rows = order[start : start + batch]
                    seeds = rng.integers(0, 2**62, batch)
                    jobs = zip(rows, seeds, strict=True)
                    made = list(pool.map(lambda job: crop(images[job[0]], size, np.random.default_rng(job[1])), jobs))
                    ready.put((torch.from_numpy(np.stack(made)), torch.from_numpy(labels[rows])))

    threading.Thread(target=fill, daemon=True).start()
    while True:
        yield ready.get()


def jitter(pixels: torch.Tensor) -> torch.Tensor:
    """Normalised pixels with a little exposure, contrast and white-balance change; hue is left alone."""
    x = pixels.permute(0, 3, 1, 2).float() / 255

    def around_one(reach: float, channels: int = 1) -> torch.Tensor:
        return 1 + reach * (2 * torch.rand(len(x), channels, 1, 1, device=x.device) - 1)

    x = x * around_one(0.25) * around_one(0.05, 3)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = (middle + (x - middle) * around_one(0.25)).clamp(0, 1)
    mean, deviation = (torch.tensor(values, device=x.device).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (x - mean) / deviation


def mix(x: torch.Tensor, share_mixed: float, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mix each picture of a share of the batches with another: mostly by a pasted rectangle, some by blending."""
    other = torch.from_numpy(rng.permutation(x.shape[0])).to(x.device)
    kind = rng.random()
    if kind < 0.75 * share_mixed:
        share = rng.uniform(0.1, 0.5)
        side = x.shape[2]
        height = int(side * min(1.0, math.sqrt(share) * math.exp(rng.uniform(-0.4, 0.4))))
        width = min(side, int(share * side * side / max(1, height)))
        top, left = int(rng.integers(0, side - height + 1)), int(rng.integers(0, side - width + 1))
        mixed = x.clone()
        mixed[:, :, top : top + height, left : left + width] = x[other][:, :, top : top + height, left : left + width]
        return mixed, other, 1 - height * width / (side * side)
    if kind < share_mixed:
        keep = float(rng.uniform(0.5, 1))
        return keep * x + (1 - keep) * x[other], other, keep
    return x, other, 1.0


def fit_map(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Resample a teacher's map onto the student's grid."""
    return F.interpolate(x.float(), size=like.shape[2:], mode="bilinear", align_corners=False)


def learning_rate(share: float, peak: float) -> float:
    """Short warm-up, then a half cosine over the time budget."""
    warm = min(1.0, share / 0.03 + 0.02)
    return peak * warm * (0.5 * (1 + math.cos(math.pi * min(1.0, share))) + 0.003)


class Averaged:
    """A running average of all weights and normalisation statistics."""

    def __init__(self, model: nn.Module) -> None:
        """Start from the model as it is."""
        self.state = {name: value.detach().clone().float() for name, value in model.state_dict().items()}
        self.steps = 0

    def update(self, model: nn.Module) -> None:
        """Move towards the model; faster in the beginning."""
        self.steps += 1
        keep = min(AVERAGE, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, value in model.state_dict().items():
                self.state[name].mul_(keep).add_(value.float(), alpha=1 - keep)


def save_checkpoint(path: Path, **parts: Any) -> None:
    """Replace the checkpoint in one step."""
    temporary = path.with_suffix(".tmp")
    torch.save(parts, temporary)
    os.replace(temporary, path)


def export(
    state: dict[str, torch.Tensor], images: list[Image.Image], notes: dict[str, object], folder: Path = PACKAGE
) -> str:
    """Fold the averaged weights, centre the blocks on the training photos, write both with their SHA-256; return it."""
    network = BuiltinNetwork(normed=True)
    own = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    network.load_state_dict(own)
    plain = folded(network.eval())
    tensors = {name: value.half().contiguous() for name, value in plain.state_dict().items()}
    for name, centre in centres(plain, images).items():
        tensors[f"centre.{name}"] = torch.from_numpy(centre).half().contiguous()
    data = save(tensors)
    digest = hashlib.sha256(data).hexdigest()
    facts = {"file": "builtin.safetensors", "sha256": digest, "bytes": len(data), **notes}
    for name, content in (
        ("builtin.safetensors", data),
        ("builtin.json", (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode()),
    ):
        temporary = folder / f".{name}.tmp"
        temporary.write_bytes(content)
        os.replace(temporary, folder / name)
    return digest


def centres(network: BuiltinNetwork, images: list[Image.Image], batch: int = 32) -> dict[str, np.ndarray]:
    """The mean of each block of the package's own features over whole photos."""
    plain = BuiltinEncoder(network.to(memory_format=torch.channels_last), {}, "", "cpu", "")
    kept: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(images), batch):
        prepared = [plain.prepare(image) for image in images[start : start + batch]]
        for name, rows in plain.blocks(prepared).items():
            kept.setdefault(name, []).append(rows)
    return {name: np.concatenate(parts).mean(axis=0) for name, parts in kept.items()}


def measure_scales(
    teacher: Teacher, source: Iterator[tuple[torch.Tensor, torch.Tensor]], device: str
) -> list[torch.Tensor]:
    """Standard deviations of the teacher's maps and pooled features, per channel."""
    kept: list[list[torch.Tensor]] = [[], [], [], []]
    with torch.no_grad():
        for _ in range(6):
            x = jitter(next(source)[0].to(device)).contiguous(memory_format=torch.channels_last)
            maps = teacher(x)
            for place, found in enumerate(maps):
                kept[place].append(found.float().permute(0, 2, 3, 1).flatten(0, 2))
            kept[3].append(torch.sqrt(maps[2].float().mean((2, 3)) + 1e-3))
    return [torch.cat(part).std(0).clamp_min(1e-2) for part in kept]


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="time budget of the whole training, resumed runs too")
    parser.add_argument("--photos", type=Path, nargs="+", help="folders of photos")
    parser.add_argument("--teacher", type=Path, help="squeezenet1_0 state dict")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=128, help="pixels the network sees of a crop")
    parser.add_argument("--teacher-size", type=int, default=192, help="pixels the teacher sees of the same crop")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--generated", type=int, default=1000, help="generated pictures beside the photos")
    parser.add_argument("--again", type=float, default=0.35, help="share of steps that use a recent batch again")
    parser.add_argument("--label-weight", type=float, default=0.6)
    parser.add_argument("--mixing", type=float, default=0.5, help="share of batches whose pictures are mixed")
    parser.add_argument(
        "--restart", action="store_true", help="new cosine over --minutes from the checkpoint's weights"
    )
    parser.add_argument("--export", action="store_true", help="write the checkpoint into the package and stop")
    options = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    checkpoint = WORK / "checkpoint.pt"
    if not options.photos or not (options.teacher or options.export):
        parser.error("--photos are needed, and --teacher to train")

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sources = [source for source in list_sources(options.photos) if source.part == "train"]
    names = sorted({source.label for source in sources})
    images = open_all(sources, options.threads)
    photos = list(images)
    if options.export:
        held = torch.load(checkpoint, map_location="cpu", weights_only=True)
        print(export(held["averaged"], photos, held["notes"]), held["notes"])
        return
    with ThreadPoolExecutor(options.threads) as pool:
        images += list(pool.map(lambda seed: draw_picture(seed, SHORT_SIDE), range(options.generated)))
    labels = np.array([names.index(source.label) for source in sources] + [-1] * options.generated)
    print(
        f"{len(sources)} photos, {len(names)} labels, {options.generated} generated pictures, on {device}", flush=True
    )

    teacher = Teacher(options.teacher).to(device=device, memory_format=torch.channels_last)
    student = Student(len(names)).to(device=device, memory_format=torch.channels_last)
    decayed = [p for p in student.parameters() if p.ndim > 1]
    plain = [p for p in student.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))
    averaged = Averaged(student)
    spent, step = 0.0, 0
    if checkpoint.exists():
        held = torch.load(checkpoint, map_location=device, weights_only=True)
        student.load_state_dict(held["student"])
        optimiser.load_state_dict(held["optimiser"])
        averaged.state, averaged.steps = held["averaged"], held["step"]
        spent, step = (0.0 if options.restart else held["spent"]), held["step"]
        print(f"going on from step {step}, {spent / 60:.1f} minutes spent", flush=True)
    source = batches(images, labels, options.teacher_size, options.batch, seed=step + 1)
    scales = measure_scales(teacher, source, device)
    early_scale, late_scale, last_scale = (scale.view(1, -1, 1, 1) for scale in scales[:3])
    pooled_scale = scales[3]
    rng = np.random.default_rng(step + 7)
    budget = options.minutes * 60
    last_time = saved = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    notes: dict[str, object] = {}
    told: deque[tuple[Any, ...]] = deque(maxlen=64)
    while spent < budget:
        # The teacher costs as much as the student, so what it said of the last batches is used again.
        if len(told) == told.maxlen and rng.random() < options.again:
            x, target, other, keep, early, late, last = told[int(rng.integers(len(told)))]
        else:
            pixels, target = next(source)
            target = target.to(device)
            x, other, keep = mix(jitter(pixels.to(device)), options.mixing, rng)
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.no_grad(), torch.autocast(device, torch.bfloat16):
                early, late, last = teacher(x)
            # The teacher judges what it sees more sharply; the network is to say the same of less.
            x = F.interpolate(x, size=(options.size, options.size), mode="bilinear", antialias=True)
            x = x.contiguous(memory_format=torch.channels_last)
            told.append((x, target, other, keep, early, late, last))
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(spent / budget, options.rate)
        with torch.autocast(device, torch.bfloat16):
            with torch.no_grad():
                scores = teacher.scores(last).float()
                early, late, last = early.float() / early_scale, late.float() / late_scale, last.float()
            maps = student.network.maps(x)
            hint_early, hint_late = student.hint_early(maps[1]), student.hint_late(maps[2])
            pooled_stage = maps[2].float().mean((2, 3))
            head = maps[3].float()
            own_scores = teacher.scores(head * last_scale).float()
        pooled = head.mean((2, 3))
        guess = student.labels(torch.cat([pooled, pooled_stage], 1))
        losses = {
            "map": F.mse_loss(head, fit_map(last / last_scale, head)),
            # Square roots: the few strongest channels would otherwise be all that is learned.
            "pooled": F.mse_loss(
                torch.sqrt(pooled * last_scale.view(1, -1) + 1e-3) / pooled_scale,
                torch.sqrt(last.mean((2, 3)) + 1e-3) / pooled_scale,
            ),
            "early": 0.3 * F.mse_loss(hint_early.float(), fit_map(early, hint_early)),
            "late": 0.3 * F.mse_loss(hint_late.float(), fit_map(late, hint_late)),
            "scores": F.kl_div(own_scores.log_softmax(1), scores.softmax(1), reduction="batchmean"),
        }
        if options.label_weight and bool((target >= 0).any()):
            first = F.cross_entropy(guess, target, ignore_index=-1, label_smoothing=0.1)
            second = F.cross_entropy(guess, target[other], ignore_index=-1, label_smoothing=0.1)
            losses["labels"] = options.label_weight * (keep * first + (1 - keep) * second)
        total: torch.Tensor = torch.stack(list(losses.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimiser.step()
        averaged.update(student)
        step += 1
        now = time.monotonic()
        # A machine that slept or a stopped process spends none of the budget.
        spent, last_time = spent + min(now - last_time, LONGEST_STEP), now
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        counted += 1
        if step % 50 == 0:
            shown = " ".join(f"{name} {value / counted:.3f}" for name, value in sums.items())
            print(f"step {step} {spent / 60:.1f} min {shown}", flush=True)
            sums, counted = {}, 0
        if now - saved > 60 or spent >= budget:
            notes = {"photos": len(sources), "generated": options.generated, "steps": step, "batch": options.batch}
            save_checkpoint(
                checkpoint, student=student.state_dict(), optimiser=optimiser.state_dict(), averaged=averaged.state,
                spent=spent, step=step, notes=notes,
            )  # fmt: skip
            saved = now
    if not notes:
        raise SystemExit(f"the budget of {options.minutes:g} minutes is spent; give more minutes, or --restart")
    print(f"reached step {step}; sha256 {export(averaged.state, photos, notes)}")


if __name__ == "__main__":
    main()
