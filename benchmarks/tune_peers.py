"""`featx tune` beside four usual ways to fine-tune the same weights on the same photos: accuracy against CPU seconds.

    python benchmarks/tune_peers.py PHOTOS --weights squeezenet1_0.pth --python PEERS/bin/python

PHOTOS is a folder or a table with a column `split`; its held-out photos (`val`, `test`) score all, choose nothing, and
cost nothing: the clock stands while they are scored. Each way runs in a process of its own, begins from the same
SqueezeNet and takes batches of 32 on one thread:

- textbook: a new last layer, Adam over all layers with a tenth of the rate in front, random crops and mirrors;
- skorch: the same with the blocks up to the tenth frozen (`Freezer`);
- lightning: `BackboneFinetuning`, the last layer alone for an epoch, then all;
- fastai: `vision_learner(...).fine_tune(epochs - 1)` after an epoch of its head alone, rates and views as it chooses;
- featx: `featx tune` with its defaults; a fifth of the products it may learn from judge it, as in every run of a user.

`--python` is a Python that has skorch, lightning and fastai beside torch; what it lacks is left out, by name.
`--folds 3` adds grouped folds over all photos, which split no product and no near-copies. What is measured goes to
`--results` line by line; a run that was interrupted goes on there.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

BATCH, SIDE = 32, 224
HELD_OUT = ("val", "test")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RATE, FRONT_RATE = 1e-3, 1e-4


@dataclass(frozen=True)
class Point:
    """How many held-out photos were right after so many CPU seconds."""

    trial: str
    way: str
    cpu: float
    accuracy: float
    what: str = ""


@dataclass(frozen=True)
class Photo:
    """A photo, its category, and whether it is held out."""

    path: str
    label: str
    product: str
    held: bool


@dataclass(frozen=True)
class Task:
    """What one way gets: the photos, the weights, and how long it may learn."""

    trial: str
    way: str
    photos: Sequence[Photo]
    weights: str
    epochs: int
    depth: str
    minutes: float

    @property
    def labels(self) -> list[str]:
        """The categories, in order."""
        return sorted({photo.label for photo in self.photos if not photo.held})


class Clock:
    """CPU seconds of this process; it stands while something is scored."""

    def __init__(self) -> None:
        self._begun, self._stood = time.process_time(), 0.0

    @property
    def seconds(self) -> float:
        """So far."""
        return time.process_time() - self._begun - self._stood

    @contextmanager
    def standing(self) -> Iterator[None]:
        """While this goes on nothing is counted."""
        begun = time.process_time()
        yield
        self._stood += time.process_time() - begun


class Scores:
    """Prints a point after each epoch."""

    def __init__(self, task: Task) -> None:
        self.task, self.clock = task, Clock()

    def add(self, accuracy: float, what: str, cpu: float | None = None) -> None:
        """One more point."""
        seconds = self.clock.seconds if cpu is None else cpu
        point = Point(self.task.trial, self.task.way, round(seconds, 1), round(accuracy, 4), what)
        print(json.dumps(asdict(point)), flush=True)


# --- the ways -------------------------------------------------------------------------------------------------------


def network(task: Task) -> Any:
    """SqueezeNet with the given weights and a new last layer."""
    import torch
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.squeezenet1_0()
    net.load_state_dict(torch.load(task.weights, weights_only=True))
    net.classifier[1] = torch.nn.Conv2d(512, len(task.labels), 1)
    return net


def datasets(task: Task) -> tuple[Any, Any]:
    """Photos to learn from, as random views, and held-out ones as they are."""
    from PIL import Image
    from torch.utils.data import Dataset
    from torchvision import transforms as t

    usual = [t.ToTensor(), t.Normalize(MEAN, STD)]
    views = t.Compose([t.RandomResizedCrop(SIDE, (0.35, 1)), t.RandomHorizontalFlip(), *usual])
    plain = t.Compose([t.Resize(256), t.CenterCrop(SIDE), *usual])
    number = {label: i for i, label in enumerate(task.labels)}

    class Photos(Dataset):  # type: ignore[misc]
        def __init__(self, held: bool, transform: Callable[[Any], Any]) -> None:
            self.photos, self.transform = [photo for photo in task.photos if photo.held == held], transform

        def __len__(self) -> int:
            return len(self.photos)

        def __getitem__(self, i: int) -> tuple[Any, int]:
            with Image.open(self.photos[i].path) as image:
                return self.transform(image.convert("RGB")), number.get(self.photos[i].label, -1)

    return Photos(False, views), Photos(True, plain)


def scored(net: Any, held: Any) -> float:
    """The share of held-out photos that are right."""
    import torch
    from torch.utils.data import DataLoader

    was, right = net.training, 0
    net.eval()
    with torch.inference_mode():
        for images, wanted in DataLoader(held, batch_size=64):
            right += int((net(images).argmax(1) == wanted).sum())
    net.train(was)
    return right / len(held)


def textbook(task: Task, scores: Scores) -> None:
    """The loop of the tutorials."""
    import torch
    from torch.utils.data import DataLoader

    net, (learned, held) = network(task), datasets(task)
    groups = [{"params": net.features.parameters(), "lr": FRONT_RATE}, {"params": net.classifier.parameters()}]
    optimizer, loss = torch.optim.Adam(groups, lr=RATE), torch.nn.CrossEntropyLoss()
    for epoch in range(task.epochs):
        net.train()
        for images, wanted in DataLoader(learned, batch_size=BATCH, shuffle=True):
            optimizer.zero_grad()
            loss(net(images), wanted).backward()
            optimizer.step()
        spent = scores.clock.seconds
        with scores.clock.standing():
            scores.add(scored(net, held), f"epoch {epoch + 1}", spent)


def skorch(task: Task, scores: Scores) -> None:
    """skorch with its Freezer."""
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Freezer

    net, (learned, held) = network(task), datasets(task)
    model = NeuralNetClassifier(
        net,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=RATE / 2,
        batch_size=BATCH,
        train_split=None,
        iterator_train__shuffle=True,
        callbacks=[Freezer("features.?.*")],
        verbose=0,
    )
    for epoch in range(task.epochs):
        model.partial_fit(learned, y=None, epochs=1) if epoch else model.fit(learned, y=None, epochs=1)
        spent = scores.clock.seconds
        with scores.clock.standing():
            scores.add(scored(model.module_, held), f"epoch {epoch + 1}", spent)


def lightning(task: Task, scores: Scores) -> None:
    """Lightning with BackboneFinetuning."""
    import lightning.pytorch as pl
    import torch
    from lightning.pytorch.callbacks import BackboneFinetuning
    from torch.utils.data import DataLoader

    whole, (learned, held) = network(task), datasets(task)

    class Net(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = whole.features, whole.classifier

        def forward(self, images: Any) -> Any:
            return self.head(self.backbone(images)).flatten(1)

        def training_step(self, batch: Any, _: int) -> Any:
            return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam([p for p in self.parameters() if p.requires_grad], lr=RATE)

        def on_train_epoch_end(self) -> None:
            spent = scores.clock.seconds
            with scores.clock.standing():
                scores.add(scored(self, held), f"epoch {self.current_epoch + 1}", spent)

    finetuning = BackboneFinetuning(
        unfreeze_backbone_at_epoch=1, lambda_func=lambda _: 2.0, backbone_initial_ratio_lr=0.1, should_align=True
    )
    trainer = pl.Trainer(
        max_epochs=task.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[finetuning],
    )
    trainer.fit(Net(), DataLoader(learned, batch_size=BATCH, shuffle=True))


def fastai(task: Task, scores: Scores) -> None:
    """fastai with `fine_tune`."""
    import torch
    from fastai.callback.core import Callback
    from fastai.vision import all as v

    torch.manual_seed(0)
    block = v.DataBlock(
        blocks=(v.ImageBlock, v.CategoryBlock(vocab=task.labels)),
        get_x=lambda photo: photo.path,
        get_y=lambda photo: photo.label,
        splitter=v.FuncSplitter(lambda photo: photo.held),
        item_tfms=v.Resize(256),
        batch_tfms=[*v.aug_transforms(size=SIDE, min_scale=0.75), v.Normalize.from_stats(MEAN, STD)],
    )
    known = set(task.labels)
    photos = [photo for photo in task.photos if photo.label in known]
    loaders = block.dataloaders(photos, bs=BATCH, num_workers=0)

    class Scored(Callback):  # type: ignore[misc]
        def before_validate(self) -> None:
            self.spent, self.right, self.pause = scores.clock.seconds, 0, scores.clock.standing()
            self.pause.__enter__()

        def after_batch(self) -> None:
            if not self.training:
                self.right += int((self.pred.argmax(1) == self.y).sum())

        def after_validate(self) -> None:
            self.pause.__exit__(None, None, None)
            n = sum(photo.held for photo in task.photos)
            scores.add(self.right / n, f"epoch {self.epoch + 1}", self.spent)

    learner = v.vision_learner(loaders, v.squeezenet1_0, pretrained=False, cbs=[Scored()])
    state = torch.load(task.weights, weights_only=True)
    learner.model[0][0].load_state_dict(
        {name.removeprefix("features."): value for name, value in state.items() if name.startswith("features.")}
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(max(1, task.epochs - 1))


def featx_tune(task: Task, scores: Scores) -> None:
    """`featx tune`, everything it does counted: reading, the bar, the cache, the rate test, the verdict."""
    from featx.catalogue.reading import read_catalogue
    from featx.finetuning import TuneOptions, tune
    from featx.finetuning.events import TuneEvents

    spent: list[float] = []

    class Watched(TuneEvents):
        def before(self, reached: Any) -> None:
            spent.append(scores.clock.seconds)

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = folder
        table = Path("photos.csv")
        with table.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "label", "product", "split"])
            rows.writerows([p.path, p.label, p.product, "test" if p.held else "train"] for p in task.photos)
        catalogue = read_catalogue(table, allow_outside=True)
        options = TuneOptions(depth=task.depth, minutes=task.minutes, keep=True)
        tuned = tune(catalogue, backbone="squeezenet1_0", weights=task.weights, options=options, events=Watched())
        assert tuned.card.tested is not None
        before, after = tuned.card.tested
        scores.add(before.accuracy, f"frozen, {before.classifier}", spent[0])
        scores.add(after.accuracy, f"tuned, {after.classifier}")


WAYS: dict[str, Callable[[Task, Scores], None]] = {
    "textbook": textbook,
    "skorch": skorch,
    "lightning": lightning,
    "fastai": fastai,
    "featx": featx_tune,
}
LIBRARIES = {"skorch": "skorch", "lightning": "lightning", "fastai": "fastai"}


def run_alone(file: str) -> None:
    """One way in this process; its libraries are loaded before the clock starts."""
    import torch
    import torchvision  # noqa: F401

    given = json.loads(Path(file).read_text())
    task = Task(**{**given, "photos": [Photo(**photo) for photo in given["photos"]]})
    match task.way:
        case "fastai":
            from fastai.vision import all as _fastai  # noqa: F401
        case "lightning":
            import lightning.pytorch as _lightning  # noqa: F401
        case "skorch":
            import skorch as _skorch  # noqa: F401
        case "featx":
            from featx.finetuning import run as _run  # noqa: F401
    torch.set_num_threads(1)
    WAYS[task.way](task, Scores(task))


# --- all of them ----------------------------------------------------------------------------------------------------


def chosen(photos: Sequence[Photo], most: int) -> list[Photo]:
    """All held-out photos, and about so many of the others, evenly from every category."""
    others: dict[str, list[Photo]] = {}
    for photo in photos:
        if not photo.held:
            others.setdefault(photo.label, []).append(photo)
    each = max(1, most // max(1, len(others)))
    some = [own[i * len(own) // min(each, len(own))] for own in others.values() for i in range(min(each, len(own)))]
    return some + [photo for photo in photos if photo.held and photo.label in others]


def in_folds(photos: Sequence[Photo], folds: int, weights: str) -> list[list[Photo]]:
    """The photos with another share held out each time, near-copies on one side."""
    import numpy as np

    from featx.backbones import open_backbone
    from featx.embedding.stream import embed
    from featx.labels.folds import grouped_folds, groups_of

    encoder = open_backbone("squeezenet1_0", weights=weights, device="cpu")
    encoder.use_engine("auto", photos=len(photos), batch_size=32)
    with embed([photo.path for photo in photos], lambda: encoder) as stream:
        results = [(result.features, result.digest) for result in stream]
    features = np.stack([features for features, _ in results if features is not None])
    groups = groups_of([photo.product for photo in photos], [digest for _, digest in results], features)
    trials = []
    for _, held in grouped_folds([photo.label for photo in photos], groups, folds, 0):
        rows = set(held.tolist())
        trials.append([replace(photo, held=i in rows) for i, photo in enumerate(photos)])
    return trials


def measured(python: str, task: Task) -> list[Point]:
    """What one way reached, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "task.json"
        file.write_text(json.dumps(asdict(task)))
        command = [python, str(Path(__file__).resolve()), "--alone", str(file)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if ran.returncode:
        print(f"{task.way} failed: {ran.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    lines = [line for line in ran.stdout.splitlines() if line.startswith('{"trial"')]
    return [Point(**json.loads(line)) for line in lines]


def has(python: str, library: str) -> bool:
    """Whether a Python can import a library."""
    return subprocess.run([python, "-c", f"import {library}"], capture_output=True, check=False).returncode == 0


def print_table(points: Sequence[Point]) -> None:
    """What each way reached, and what its best peer would have cost."""
    for trial in dict.fromkeys(point.trial for point in points):
        of_trial = [point for point in points if point.trial == trial]
        print(f"\n{trial:<12}{'right':>8}{'CPU s':>8}")
        for way in dict.fromkeys(point.way for point in of_trial):
            for point in [point for point in of_trial if point.way == way]:
                print(f"{way:<12}{point.accuracy:>8.1%}{point.cpu:>8.0f}  {point.what}")
        peers = [point for point in of_trial if point.way != "featx"]
        own = [point for point in of_trial if point.way == "featx"]
        if not peers or not own:
            continue
        best = max(peers, key=lambda point: (point.accuracy, -point.cpu))
        print(f"best peer: {best.way}, {best.accuracy:.1%} after {best.cpu:.0f} CPU s")
        reached = next((point for point in own if point.accuracy >= best.accuracy), None)
        if reached is not None:
            print(
                f"featx reaches that after {reached.cpu:.0f} ({reached.what}): {best.cpu / reached.cpu:.1f} times fewer"
            )
        for point in own:
            until = [peer.accuracy for peer in peers if peer.cpu <= point.cpu]
            if until:
                gain = 100 * (point.accuracy - max(until))
                print(f"at {point.cpu:.0f} CPU s: featx ({point.what}) {gain:+.1f} points over the best peer by then")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?")
    parser.add_argument("--weights", help="weights of squeezenet1_0")
    parser.add_argument("--python", default=sys.executable, help="a Python that has the peers")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--photos", type=int, default=650, help="photos to learn from; 100000 for all")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of the peers")
    parser.add_argument("--depth", default="auto", help="of featx")
    parser.add_argument("--minutes", type=float, default=60.0, help="of featx")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--only-folds", action="store_true", help="leave the held-out photos as they are")
    parser.add_argument("--results", type=Path, default=Path("tune_peers.jsonl"))
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        run_alone(given.alone)
        return
    from featx.catalogue.reading import read_catalogue

    items = [item for item in read_catalogue(given.source, allow_outside=True).items if item.label]
    every = [
        Photo(str(Path(i.path).resolve()), str(i.label), i.product or i.item_id, i.split in HELD_OUT) for i in items
    ]
    photos, weights = chosen(every, given.photos), str(Path(given.weights).resolve())
    trials: dict[str, list[Photo]] = {} if given.only_folds else {"held-out": photos}
    if given.folds:
        folds = in_folds(photos, given.folds, weights)
        trials.update({f"fold {i + 1}/{given.folds}": fold for i, fold in enumerate(folds)})
    done: list[Point] = []
    if given.results.exists():
        done = [Point(**json.loads(line)) for line in given.results.read_text().splitlines()]
    for trial, own in trials.items():
        print(f"{trial}: {sum(not p.held for p in own)} photos to learn from, {sum(p.held for p in own)} held out")
        for way in given.ways.split(","):
            python = sys.executable if way == "featx" else given.python
            if any(point.trial == trial and point.way == way for point in done):
                continue
            if way in LIBRARIES and not has(python, LIBRARIES[way]):
                print(f"{way} is not installed in {python}: left out")
                continue
            task = Task(trial, way, own, weights, given.epochs, given.depth, given.minutes)
            points = measured(python, task)
            with given.results.open("a") as file:
                file.writelines(json.dumps(asdict(point)) + "\n" for point in points)
            done += points
    print_table(done)


if __name__ == "__main__":
    main()
