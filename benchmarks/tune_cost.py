"""What keeping activations saves: CPU seconds of the same fine-tuning with and without it, photo by photo.

    python benchmarks/tune_cost.py PHOTOS -b squeezenet1_0 --weights FILE [--photos 96] [--depth 2]

Without a cache every pass decodes, alters and prepares each photo, runs the whole network and goes back through the
part that is trained, or through all of it. With one, that is done once for each view, and a pass reads what is kept.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from featx.backbones import Encoder, open_backbone
from featx.backbones.cuts import CutNetwork
from featx.catalogue.reading import read_catalogue
from featx.finetuning.cut.tail import Tail, Whole, as_tensor
from featx.images import read_photo
from featx.images.views import AUGMENTATIONS

BATCH, VIEWS, EPOCHS = 16, 4, 10


def cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def altered(encoder: Encoder, paths: list[str], view: int) -> torch.Tensor:
    """A view of each photo, decoded and prepared as a training would."""
    policy, photos = AUGMENTATIONS["default"], []
    for path in paths:
        image = read_photo(path, draft_size=encoder.spec.decode_size).image
        digest = hashlib.sha256(path.encode()).hexdigest()
        photos.append(np.asarray(encoder.prepare(policy.view(image, digest, view, 0))))
    return torch.from_numpy(np.stack(photos))


def batches(paths: list[str]) -> list[list[str]]:
    return [paths[i : i + BATCH] for i in range(0, len(paths), BATCH)]


def step(tail: Tail, optimizer: torch.optim.Optimizer, inputs: torch.Tensor) -> None:
    loss = functional.cross_entropy(tail(inputs), torch.arange(len(inputs)) % tail.head.out_features)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("-b", "--backbone", default="squeezenet1_0")
    parser.add_argument("--weights")
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--depth", type=int, default=2)
    given = parser.parse_args()
    paths = [item.path for item in read_catalogue(given.images).items]
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, given.photos).astype(int)]
    encoder = open_backbone(given.backbone, weights=given.weights, device="cpu")
    network = encoder.tunable()
    example = torch.from_numpy(np.asarray(encoder.prepare(Image.new("RGB", (256, 256))))[None])
    parts = CutNetwork(network.network, network.enter(example), given.backbone)
    cut = parts.at_depth(given.depth)
    front, back = parts.halves(cut)
    width, n = encoder.spec.width, len(paths)
    whole, tail = Tail(Whole(network), network.read, 81, width), Tail(back, network.read, 81, width)
    kept: list[torch.Tensor] = []

    def uncached(model: Tail, trained: torch.nn.Module) -> None:
        optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6, foreach=False)
        for some in batches(paths):
            step(model, optimizer, altered(encoder, some, 1))

    def fill() -> None:
        for some in batches(paths):
            with torch.inference_mode():
                kept.append(front(network.enter(altered(encoder, some, 1))).half().clone())

    def cached() -> None:
        optimizer = torch.optim.AdamW(tail.parameters(), lr=1e-6, foreach=False)
        for maps in kept:
            step(tail, optimizer, as_tensor(maps.float().numpy()))

    full = 1000 * cpu_seconds(lambda: uncached(whole, whole)) / n
    network.network.requires_grad_(False)
    back.requires_grad_(True)
    last = 1000 * cpu_seconds(lambda: uncached(whole, tail)) / n
    view = 1000 * cpu_seconds(fill) / n
    each = 1000 * cpu_seconds(cached) / n
    print(
        f"{given.backbone}, cut at {cut.name}, {given.depth} blocks trained, {n} photos, "
        f"{torch.get_num_threads()} threads"
    )
    print(f"a pass, all layers, no cache       {full:7.1f} CPU ms a photo")
    print(f"a pass, the last blocks, no cache  {last:7.1f}")
    print(f"a view, once                       {view:7.1f}")
    print(f"a pass on what is kept             {each:7.1f}")
    first = (VIEWS + 1) * view + EPOCHS * each
    for name, other in (("all layers", full), ("the last blocks", last)):
        print(
            f"against {name}: {EPOCHS} passes with {VIEWS} views {EPOCHS * other / first:.1f} times cheaper, "
            f"every further run {other / each:.1f} times"
        )


if __name__ == "__main__":
    main()
