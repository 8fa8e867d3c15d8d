"""Train the built-in backbone: distillation from teachers on few photos, many views of them, and labels.

    python -m training.builtin --minutes 30 --photos DIR... --teachers NAME=FILE...
    python -m training.builtin --export --photos DIR...

A stopped training goes on with the same command: the checkpoint in ``training/work`` holds everything.
``--export`` writes the checkpoint's averaged weights into the package and stops.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load, save
from torch import nn
from torch.nn import functional as F

from featx.backbones.builtin import BuiltinEncoder, read_weights
from featx.backbones.builtin_network import BuiltinNetwork, folded
from training.generated import draw_picture
from training.photos import SIDE, Pictures, list_sources, open_all, read_photos
from training.student import WEIGHTS, Lesson, Readings, Scale, Student, unfolded
from training.teachers import Teacher, open_teacher
from training.views import Views, make_views

WORK = Path(__file__).parent / "work"
PACKAGE = Path(__file__).parent.parent / "featx" / "backbones"
LONGEST_STEP = 5.0
AVERAGE = 0.998
REMEMBERED = 48


@dataclass(frozen=True, slots=True)
class Phase:
    """What is seen until a share of the time is spent: pixels of network and teachers, the least part of a picture."""

    until: float
    side: int
    teacher_side: int
    least: float


PHASES = (Phase(0.4, 128, 192, 0.12), Phase(0.7, 160, 224, 0.15), Phase(1.01, 192, 256, 0.25))


@dataclass(frozen=True, slots=True)
class Batch:
    """Views as the network sees them, and what the teachers say of them."""

    views: Views
    lessons: list[Lesson]


class Classroom:
    """Pictures, teachers and the batches made from them."""

    def __init__(self, pictures: Pictures, teachers: Sequence[Teacher], device: str, batch: int, again: float) -> None:
        """Move the pictures to where the training runs."""
        self.names = sorted({label for label in pictures.labels if label})
        self.labels = torch.tensor([self.names.index(one) if one else -1 for one in pictures.labels], device=device)
        self.pixels = torch.from_numpy(pictures.pixels).permute(0, 3, 1, 2).contiguous().to(device)
        self.teachers, self.device, self.batch, self.again = teachers, device, batch, again
        self.rows = self._rows()
        self.told: deque[Batch] = deque(maxlen=REMEMBERED)
        self.chance = np.random.default_rng(int(torch.initial_seed() % 2**32))

    def _rows(self) -> Iterator[torch.Tensor]:
        """Endless rows in random order; a quarter of a batch comes twice, for two views of a photo are alike."""
        fresh = min(len(self.labels), self.batch - self.batch // 4)
        while True:
            order = torch.randperm(len(self.labels), device=self.device)
            for start in range(0, len(order) - fresh + 1, fresh):
                rows = order[start : start + fresh]
                yield torch.cat([rows, rows[: self.batch - fresh]])

    def draw(self, phase: Phase) -> Batch:
        """A fresh batch, or one the teachers have judged already: they cost more than the network."""
        if len(self.told) == REMEMBERED and self.chance.random() < self.again:
            return self.told[int(self.chance.integers(REMEMBERED))]
        self.told.append(self.fresh(phase))
        return self.told[-1]

    @torch.no_grad()
    def fresh(self, phase: Phase) -> Batch:
        """New views; the teachers see them larger, where they judge better."""
        rows = next(self.rows)
        views = make_views(self.pixels[rows], self.labels[rows], phase.teacher_side, phase.least)
        lessons = [Lesson(*teacher(views.pixels)) for teacher in self.teachers]
        side = (phase.side, phase.side)
        small = F.interpolate(views.pixels, size=side, mode="bilinear", antialias=True).clamp(0, 1)
        return Batch(Views(small, views.label, views.guest, views.own), lessons)


class Averaged:
    """A running average of all weights and normalisation statistics."""

    def __init__(self, model: nn.Module) -> None:
        """Start from the model as it is."""
        self.live = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
        self.state = {name: value.detach().clone() for name, value in self.live.items()}
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the model; faster in the beginning."""
        self.steps += 1
        keep = min(AVERAGE, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.state.values()), list(self.live.values()), 1 - keep)


def learning_rate(share: float, peak: float) -> float:
    """Short warm-up, then a half cosine over the time budget."""
    warm = min(1.0, share / 0.03 + 0.02)
    return peak * warm * (0.5 * (1 + math.cos(math.pi * min(1.0, share))) + 0.003)


def shipped_network(device: str) -> BuiltinNetwork:
    """The network as it is in the package."""
    network = BuiltinNetwork()
    tensors = {name: value.float() for name, value in load(read_weights()[0]).items()}
    network.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("centre.")})
    return network.to(device)


def started_network(room: Classroom, options: argparse.Namespace, pixels: Sequence[torch.Tensor]) -> BuiltinNetwork:
    """A new network, that of the package, or that of an earlier training."""
    if options.start is None:
        return unfolded(shipped_network(room.device), pixels) if options.from_shipped else BuiltinNetwork(normed=True)
    network = BuiltinNetwork(normed=True)
    load_averaged(network, torch.load(options.start, map_location="cpu", weights_only=True)["averaged"])
    if options.fresh_head:
        network.head = BuiltinNetwork(normed=True).head
    return network


def load_averaged(network: BuiltinNetwork, state: dict[str, torch.Tensor]) -> None:
    """Fill a network from a student's averaged weights, which hold all but numbers that nothing uses."""
    own = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    network.load_state_dict(own, strict=False)


def new_student(room: Classroom, options: argparse.Namespace) -> Student:
    """The student before its first step, its scales measured on a few batches."""
    batches = [room.fresh(phases_of(options)[0]) for _ in range(6)]
    network = started_network(room, options, [batch.views.pixels for batch in batches])
    readings = [
        Readings(teacher, Scale([batch.lessons[number] for batch in batches]))
        for number, teacher in enumerate(room.teachers)
    ]
    return Student(network, readings, len(room.names)).to(device=room.device, memory_format=torch.channels_last)


def phases_of(options: argparse.Namespace) -> Sequence[Phase]:
    """All, or the last alone."""
    return PHASES[-1:] if options.late else PHASES


def optimiser_of(student: Student, rate: float) -> torch.optim.Optimizer:
    """AdamW; biases and normalisation are not decayed."""
    groups = [
        {"params": [p for p in student.parameters() if p.ndim > 1], "weight_decay": 0.02},
        {"params": [p for p in student.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def learn(student: Student, optimiser: torch.optim.Optimizer, batch: Batch, device: str) -> dict[str, torch.Tensor]:
    """One step; the losses are left on the device."""
    with torch.autocast(device, torch.bfloat16):
        seen = student.see(batch.views.pixels)
        losses = student.losses(seen, batch.lessons)
        losses["labels"] = student.label_loss(seen, batch.views.label, batch.views.guest, batch.views.own)
    total = torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
    optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(student.parameters(), 5.0)
    optimiser.step()
    return {name: loss.detach() for name, loss in losses.items()}


def save_checkpoint(path: Path, **parts: Any) -> None:
    """Replace the checkpoint in one step."""
    temporary = path.with_suffix(".tmp")
    torch.save(parts, temporary)
    os.replace(temporary, path)


def train(room: Classroom, options: argparse.Namespace, notes: dict[str, object]) -> None:
    """Learn until the time is spent."""
    checkpoint = options.work / "checkpoint.pt"
    student = new_student(room, options)
    optimiser = optimiser_of(student, options.rate)
    averaged = Averaged(student)
    spent, step = 0.0, 0
    if checkpoint.exists():
        held = torch.load(checkpoint, map_location=room.device, weights_only=True)
        student.load_state_dict(held["student"])
        optimiser.load_state_dict(held["optimiser"])
        averaged = Averaged(student)
        averaged.state, averaged.steps = held["averaged"], held["step"]
        spent, step = (0.0 if options.restart else held["spent"]), held["step"]
        print(f"going on from step {step}, {spent / 60:.1f} minutes spent", flush=True)
    budget = options.minutes * 60
    if spent >= budget:
        raise SystemExit(f"the budget of {options.minutes:g} minutes is spent; give more minutes, or --restart")
    last_time = saved = time.monotonic()
    sums: dict[str, torch.Tensor] = {}
    while spent < budget:
        phase = next(one for one in phases_of(options) if spent / budget < one.until)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(spent / budget, options.rate)
        losses = learn(student, optimiser, room.draw(phase), room.device)
        averaged.update()
        step += 1
        for name, value in losses.items():
            sums[name] = sums.get(name, torch.zeros_like(value)) + value
        if step % options.every == 0:
            shown = " ".join(f"{name} {float(value) / options.every:.3f}" for name, value in sums.items())
            print(f"step {step} {spent / 60:.2f} min {phase.side} px {shown}", flush=True)
            sums = {}
        now = time.monotonic()
        # A machine that slept or a stopped process spends none of the budget.
        spent, last_time = spent + min(now - last_time, LONGEST_STEP), now
        if now - saved > 60 or spent >= budget:
            save_checkpoint(
                checkpoint, student=student.state_dict(), optimiser=optimiser.state_dict(), averaged=averaged.state,
                spent=spent, step=step, notes=notes | {"steps": step},
            )  # fmt: skip
            own = {name: value for name, value in averaged.state.items() if name.startswith("network.")}
            save_checkpoint(options.work / "averaged.pt", averaged=own, notes=notes | {"steps": step})
            saved = now
    print(f"reached step {step}; now --export", flush=True)


def export(
    state: dict[str, torch.Tensor], images: list[Image.Image], notes: dict[str, object], folder: Path = PACKAGE
) -> str:
    """Fold the averaged weights, centre the blocks on the training photos, write both with their SHA-256; return it."""
    network = BuiltinNetwork(normed=True)
    load_averaged(network, state)
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


def drawn(count: int, threads: int) -> Pictures:
    """Generated pictures, without labels."""
    with ProcessPoolExecutor(threads) as pool:
        made = list(pool.map(partial(draw_picture, size=SIDE), range(count), chunksize=8))
    pixels = np.stack([np.asarray(one) for one in made]) if made else np.zeros((0, SIDE, SIDE, 3), np.uint8)
    return Pictures(pixels, ("",) * count)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="time budget of the whole training, resumed runs too")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders, or what training.photos packed")
    parser.add_argument("--teachers", nargs="+", default=[], metavar="NAME=FILE", help="ImageNet networks")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--generated", type=int, default=1000, help="generated pictures beside the photos")
    parser.add_argument("--again", type=float, default=0.5, help="share of steps that use a recent batch again")
    parser.add_argument("--every", type=int, default=50, help="steps from one line of losses to the next")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the checkpoint")
    parser.add_argument("--start", type=Path, metavar="FILE", help="start from the averaged.pt of an earlier training")
    parser.add_argument("--fresh-head", action="store_true", help="with --start: but draw the head anew")
    parser.add_argument("--late", action="store_true", help="only the last phase, with the largest pictures")
    parser.add_argument("--from-shipped", action="store_true", help="start from the weights in the package")
    parser.add_argument(
        "--restart", action="store_true", help="new cosine over --minutes from the checkpoint's weights"
    )
    parser.add_argument("--export", action="store_true", help="write the checkpoint into the package and stop")
    options = parser.parse_args()
    if not (options.teachers or options.export):
        parser.error("--teachers are needed to train")
    return options


def main() -> None:
    """Run the recipe."""
    options = parsed()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.export:
        held = torch.load(options.work / "averaged.pt", map_location="cpu", weights_only=True)
        sources = [one for one in list_sources(options.photos) if one.part == "train"]
        print(export(held["averaged"], open_all(sources, options.threads), held["notes"]), held["notes"])
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    started = time.monotonic()
    photos = read_photos(options.photos, options.threads)
    extra = drawn(options.generated, options.threads)
    pictures = Pictures(np.concatenate([photos.pixels, extra.pixels]), photos.labels + extra.labels)
    teachers = [open_teacher(one, device) for one in options.teachers]
    room = Classroom(pictures, teachers, device, options.batch, options.again)
    took = time.monotonic() - started
    print(
        f"{len(photos)} photos, {len(room.names)} labels, {len(extra)} generated, {took:.0f} s, on {device}", flush=True
    )
    train(room, options, {
        "photos": len(photos), "generated": len(extra), "batch": options.batch,
        "teachers": [one.partition("=")[0] for one in options.teachers],
    })  # fmt: skip


if __name__ == "__main__":
    main()
