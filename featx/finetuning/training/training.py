"""One training of a tail on kept activations: epochs, early stopping, averages, and a way back from NaN."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from featx.backbones.cuts import CutNetwork
from featx.backbones.tuned_card import Epoch
from featx.errors import FeatxError
from featx.finetuning.cut.activations import Activations
from featx.finetuning.cut.processes import ALONE, started
from featx.finetuning.cut.tail import Answers, Maps, Tail, answers_again, as_tensor
from featx.finetuning.events import TuneEvents
from featx.finetuning.judgement.lookalikes import look_alikes
from featx.finetuning.options import TuneOptions
from featx.finetuning.training.checkpoints import Checkpoint, Progress
from featx.finetuning.training.losses import Objective, Targets
from featx.finetuning.training.optimizers import Optimizer, State
from featx.finetuning.training.schedules import factor_at, parameter_groups
from featx.finetuning.training.teacher import Teacher

# As many epochs as make so many steps, within bounds.
STEPS, LEAST, MOST = 400, 8, 40
# Rates that are tried for an epoch each, as multiples of the usual one.
TRIED = (1 / 3, 1.0, 3.0)
# A rate counts as no worse while its doubt about the judging photos is within this factor of the least: so few photos
# judge that their number right would choose by chance.
NO_WORSE = 1.01
# So many photos go through the network at once on a CPU: their layers take memory until the slopes are known. Fewer are
# no slower, for its caches hold more of them.
AT_ONCE = 4
# So many photos are enough to judge an epoch from.
ENOUGH = 1500
# Averages begin in the last fifth, and follow the weights over some fifty steps.
AVERAGED, DECAY = 0.8, 0.98
# With fewer photos of a category than this, weights are pulled back to where they began.
FEW, PULL = 10, 0.01
MIXED = 0.2
SPREAD_OF_LENGTH = 5.0


@dataclass(frozen=True)
class Lessons:
    """What a training learns from and is judged by: photos, their categories, and how many views each has."""

    digests: Sequence[str]
    truth: NDArray[np.intp]
    judge_digests: Sequence[str]
    judge_truth: NDArray[np.intp]
    views: int
    categories: int
    # The product of each photo that is learned from, then of each that judges.
    products: NDArray[np.intp]
    # How far the discriminant analysis that judges shrinks its covariances.
    shrinkage: float = 0.1
    # Of each photo that is learned from the value of a second level, -1 for none; and how many values there are.
    second: NDArray[np.intp] | None = None
    seconds: int = 0
    teacher: Teacher | None = None
    # Photos that nobody labelled, and what the network takes them for; -1: nothing.
    extra: Sequence[str] = ()
    extra_truth: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    @cached_property
    def shown(self) -> Sequence[str]:
        """All photos of a pass: those with labels, then the others."""
        return [*self.digests, *self.extra]

    @cached_property
    def shown_truth(self) -> NDArray[np.intp]:
        """Their categories; -1 where there is none."""
        return np.concatenate([self.truth, self.extra_truth])

    def targets(self, rows: NDArray[np.intp], keys: Sequence[tuple[str, int]]) -> Targets:
        """What is known of some of the photos of a pass, and of these views of them."""
        second = None
        if self.second is not None:
            second = torch.from_numpy(np.append(self.second, np.full(len(self.extra), -1))[rows])
        taught = None if self.teacher is None else self.teacher.of(keys)
        return Targets(torch.from_numpy(self.shown_truth[rows]), second, taught)

    @cached_property
    def some(self) -> NDArray[np.intp]:
        """The photos that an epoch is judged from: all, or of many an even part of each category."""
        by_category = np.argsort(self.truth, kind="stable")
        return np.sort(by_category[:: max(1, -(-len(by_category) // ENOUGH))])

    def epochs(self, options: TuneOptions) -> int:
        """How many epochs are worth it: so many as make enough steps."""
        if options.epochs is not None:
            return options.epochs
        return min(MOST, max(LEAST, round(STEPS / self.steps(options))))

    def steps(self, options: TuneOptions) -> int:
        """How many steps an epoch has; a last batch of one photo is left out."""
        return max(1, math.ceil((len(self.shown) - 1) / options.batch))


class Training:
    """A tail, the activations it learns from, and how."""

    def __init__(
        self,
        tail: Tail,
        parts: CutNetwork | None,
        activations: Activations,
        lessons: Lessons,
        options: TuneOptions,
        events: TuneEvents,
        *,
        pulls: bool = True,
    ) -> None:
        self.tail, self.parts, self.activations = tail, parts, activations
        self.lessons, self.options, self.events = lessons, options, events
        self.start = tail.state()
        self.epochs = lessons.epochs(options)
        sizes = np.bincount(lessons.truth, minlength=lessons.categories)
        weights = _class_weights(sizes) if options.class_weight else None
        self._objective = Objective(options.loss, tail.head, options.smoothing, weights, tail.second_head)
        self._pull = PULL if pulls and float(np.median(sizes)) < FEW else 0.0
        # A loss that weighs or compares the photos of a batch, or knows only some, needs all of them: then every
        # process sees them all.
        every = lessons.second is None and not len(lessons.extra)
        divides = weights is None and not self._objective.compares_photos() and every
        self._processes = started() if divides else ALONE
        self._clock = started()

    def run(self, checkpoint: Checkpoint, seconds: float) -> tuple[State, Progress]:
        """Train until the last epoch, until nothing gets better, or until the time is over; the best weights."""
        progress = checkpoint.read()
        if progress is None or not _fits(progress, self.start):
            rate, tried = self._chosen_rate()
            progress = self._begun(rate, tried)
        elif len(progress.history) < self.epochs:
            self.events.going_on(len(progress.history) + 1, self.epochs)
        self.events.rates(progress.rate, progress.tried)
        while len(progress.history) < self.epochs:
            if reason := self._clock.agreed(self._reason_to_stop(progress, seconds)):
                self.events.stopped(reason)
                break
            begun = time.monotonic()
            advanced = self._epoch(progress)
            if advanced is None:
                progress = self._calmer(progress)
                continue
            progress = advanced
            progress.seconds += time.monotonic() - begun
            checkpoint.write(progress)
            last = progress.history[-1]
            self.events.epoch(last, self.epochs, best=progress.best == last.number)
        name = "ema" if self.options.average == "ema" and progress.best > AVERAGED * self.epochs else "best"
        return _part(progress.tensors, name), progress

    def again(self, *, options: TuneOptions | None = None, lessons: Lessons | None = None) -> Training:
        """The same training from the same start, by another recipe or on other photos."""
        self.tail.load_state_dict(self.start)
        lessons, options = lessons or self.lessons, options or self.options
        return Training(self.tail, self.parts, self.activations, lessons, options, self.events)

    def attempt(self, options: TuneOptions) -> Epoch | None:
        """How a short training with other options ends; None where it diverges. It leaves nothing behind."""
        trial = self.again(options=options)
        progress = trial._begun(options.rate, [])
        for _ in range(trial.epochs):
            advanced = trial._epoch(progress, judges=len(progress.history) + 1 == trial.epochs)
            if advanced is None:
                return None
            progress = advanced
        return progress.history[-1]

    def run_for(self, rate: float, epochs: int) -> State:
        """The weights after so many epochs at this rate, whatever they are worth."""
        progress = self._begun(rate, [])
        for _ in range(epochs):
            advanced = self._epoch(progress, judges=False)
            if advanced is None:
                raise self._no_number(rate)
            progress = advanced
        return _part(progress.tensors, "now")

    def _begun(self, rate: float, tried: list[float]) -> Progress:
        self.tail.load_state_dict(self.start)
        tensors = {f"{name}.{key}": value for name in ("now", "best", "ema") for key, value in self.start.items()}
        return Progress(rate, tried, tensors=tensors)

    def _reason_to_stop(self, progress: Progress, seconds: float) -> str:
        epochs = len(progress.history)
        if epochs - progress.best >= self.options.patience and epochs:
            return f"nothing better for {self.options.patience} epochs"
        if epochs and progress.seconds + progress.seconds / epochs > seconds:
            return "the time is over"
        return ""

    def _epoch(self, progress: Progress, *, judges: bool = True) -> Progress | None:
        """One more pass over the photos; None where the loss is no number any more."""
        number = len(progress.history) + 1
        self.tail.load_state_dict(_part(progress.tensors, "now"))
        optimizer = self._optimizer(progress.rate)
        optimizer.remember(_part(progress.tensors, "optim"))
        average = _part(progress.tensors, "ema")
        loss = self._pass(number, optimizer, [epoch.judged for epoch in progress.history], average)
        answers = self._judged() if judges else Answers(0.0, 0.0)
        if not (math.isfinite(loss) and math.isfinite(answers.log_loss)):
            return None
        epoch = Epoch(number, round(loss, 6), round(answers.accuracy, 6), round(answers.log_loss, 6))
        now = self.tail.state()
        is_best = not progress.best or _better(epoch, progress.history[progress.best - 1])
        best = now if is_best else _part(progress.tensors, "best")
        parts = {"now": now, "best": best, "ema": average, "optim": optimizer.remembered()}
        tensors = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()}
        return replace(
            progress,
            history=[*progress.history, epoch],
            best=number if is_best else progress.best,
            tensors=tensors,
        )

    def _calmer(self, progress: Progress) -> Progress:
        """From the last good epoch with half the rate, once."""
        if progress.halved:
            raise self._no_number(progress.rate)
        return replace(progress, rate=progress.rate / 2, halved=True)

    def _no_number(self, rate: float) -> FeatxError:
        return FeatxError(
            "bad-flag",
            f"the loss is no number any more, with rate {rate:.1e} as with twice of it",
            "name a lower rate: `--lr 1e-4`",
        )

    def _optimizer(self, rate: float) -> Optimizer:
        return Optimizer(self.options.optimizer, parameter_groups(self.tail, self.parts, self.options, rate))

    def _pass(
        self, number: int, optimizer: Optimizer, judged: Sequence[float], average: State, factor: float = 0
    ) -> float:
        """Every photo once, by one of its views; the mean loss. With a `factor` all rates are as they are times it."""
        options, lessons = self.options, self.lessons
        random = np.random.Generator(np.random.Philox(key=[options.seed, number]))
        order = self._objective.order(random.permutation(len(lessons.shown)), lessons.shown_truth)
        views = random.integers(0, lessons.views + 1, len(order))
        steps, losses = lessons.steps(options), []
        for i in range(steps):
            rows = order[i * options.batch : (i + 1) * options.batch]
            keys = [(lessons.shown[row], int(views[row])) for row in rows]
            step, whole = (number - 1) * steps + i, self.epochs * steps
            for group in optimizer.groups:
                group["lr"] = group["rate"] * (factor or factor_at(step, whole, options, judged))
            losses.append(self._step(optimizer, self.activations.take(keys), lessons.targets(rows, keys), random))
            if not math.isfinite(losses[-1]):
                break
            if step >= AVERAGED * whole:
                _follow(average, self.tail, step - AVERAGED * whole)
        return float(np.mean(losses))

    def _step(self, optimizer: Optimizer, maps: Maps, wanted: Targets, random: np.random.Generator) -> float:
        inputs = as_tensor(maps)
        share, others = 1.0, wanted
        if self.options.mix == "maps":
            share, turned = float(random.beta(MIXED, MIXED)), torch.from_numpy(random.permutation(len(inputs)))
            inputs, others = torch.lerp(inputs[turned], inputs, share), wanted.of(turned)
        optimizer.forget_gradients()
        loss = 0.0
        for part in self._parts_of(len(inputs)):
            rows = self.tail.directions(inputs[part])
            doubt = share * self._objective(rows, wanted.of(part))
            if share < 1:
                doubt = doubt + (1 - share) * self._objective(rows, others.of(part))
            doubt = doubt * (len(rows) / len(inputs))
            torch.autograd.backward(doubt)
            loss += float(doubt.detach())
        loss = self._processes.summed(self.tail.parameters(), loss)
        self._pull_back()
        torch.nn.utils.clip_grad_norm_(self.tail.parameters(), SPREAD_OF_LENGTH, foreach=False)
        optimizer.step()
        return loss

    def _parts_of(self, photos: int) -> list[slice]:
        """A batch in parts, for the sake of memory; whole on a GPU, and where the loss compares its photos."""
        at_once = photos if self._objective.compares_photos() or not self.tail.is_on_cpu else AT_ONCE
        mine = self._processes.share(photos)
        return [slice(start, min(start + at_once, mine.stop)) for start in mine[::at_once]]

    def _pull_back(self) -> None:
        """Where photos are few: towards the weights that saw many."""
        if not self._pull:
            return
        for name, parameter in self.tail.named_parameters():
            if parameter.grad is not None:
                start = self.start[name].to(parameter.device)
                parameter.grad.add_(parameter.detach() - start, alpha=self._pull)

    def _judged(self) -> Answers:
        if self.options.for_look_alikes:
            return self._judged_by_look_alikes()
        lessons, some = self.lessons, self.lessons.some
        learned = self.tail.features(self.plain([lessons.digests[i] for i in some]))
        judged = self.tail.features(self.plain(lessons.judge_digests))
        if not (np.isfinite(learned).all() and np.isfinite(judged).all()):
            return Answers(0.0, math.nan)
        return answers_again(learned, lessons.truth[some], judged, lessons.judge_truth, lessons.shrinkage)

    def _judged_by_look_alikes(self) -> Answers:
        lessons = self.lessons
        rows = self.tail.features(self.plain([*lessons.digests, *lessons.judge_digests]))
        truth = np.concatenate([lessons.truth, lessons.judge_truth])
        everything = np.arange(len(rows))
        alike = look_alikes(rows, truth, lessons.products, everything[len(lessons.digests) :], everything)
        return Answers(float(alike.right.mean()), alike.doubt)

    def plain(self, digests: Sequence[str]) -> Iterator[Maps]:
        """The activations of photos as they are, some at a time."""
        return self.activations.batches(digests)

    def _chosen_rate(self) -> tuple[float, list[float]]:
        """The largest of a few rates that is no worse after an epoch."""
        usual = self.options.rate
        if self.options.lr is not None:
            return usual, []
        rates = [usual * times for times in TRIED]
        doubts = [self._doubt_after_an_epoch(rate) for rate in rates]
        most = min(doubts) * NO_WORSE
        return max(rate for rate, doubt in zip(rates, doubts, strict=True) if doubt <= most), rates

    def _doubt_after_an_epoch(self, rate: float) -> float:
        self.tail.load_state_dict(self.start)
        optimizer = self._optimizer(rate)
        loss = self._pass(1, optimizer, [], {}, factor=1.0)
        answers = self._judged()
        return answers.log_loss if math.isfinite(loss) and math.isfinite(answers.log_loss) else math.inf


def _better(epoch: Epoch, other: Epoch) -> bool:
    """More photos right, or as many with less doubt."""
    return (epoch.judged, -epoch.log_loss) > (other.judged, -other.log_loss)


def _class_weights(sizes: NDArray[np.intp]) -> torch.Tensor:
    """Rare categories count more, by the root of how rare they are; the mean weight of a photo is one."""
    weights = 1 / np.sqrt(np.maximum(sizes, 1))
    weights *= sizes.sum() / (weights * sizes).sum()
    return torch.from_numpy(weights.astype(np.float32))


def _follow(average: State, tail: Tail, step: float) -> None:
    """Move an average towards the weights; the first steps count more, or it would lag behind."""
    if not average:
        return
    decay = min(DECAY, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, tensor in tail.state_dict().items():
            if tensor.is_floating_point():
                average[name].lerp_(tensor.to(average[name].device), 1 - decay)


def _fits(progress: Progress, start: State) -> bool:
    """Whether what was kept is of this network; a file can say so and hold something else."""
    shapes = {tensor.shape for tensor in start.values()} | {torch.Size([])}
    whole = all(
        progress.tensors.get(f"{name}.{key}", torch.empty(0, 0)).shape == tensor.shape
        for name in ("now", "best", "ema")
        for key, tensor in start.items()
    )
    return whole and all(tensor.shape in shapes for tensor in progress.tensors.values())


def _part(tensors: Mapping[str, torch.Tensor], name: str) -> State:
    """The tensors under one name, as a copy."""
    start = f"{name}."
    return {key.removeprefix(start): value.clone() for key, value in tensors.items() if key.startswith(start)}
