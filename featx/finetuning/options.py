"""The flags of `featx tune` as one record, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from featx.errors import FeatxError, did_you_mean
from featx.images.views import AUGMENTATIONS

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("cosine", "onecycle", "step", "plateau", "constant")
MIXES = ("none", "maps")
AVERAGES = ("blend", "ema", "none")
LOSSES = ("ce", "arcface", "supcon", "triplet")
TRAINED = ("all", "norms", "biases")
NO_AUGMENTATION = "none"
MOST_TRIALS = 100
AUTO, ALL, HEAD = "auto", "all", "head"
PRECISIONS = ("auto", "fp32", "bf16")
# Rates that suit a network which was trained before: AdamW's, and SGD's with momentum.
RATES = {"adamw": 5e-4, "adam": 5e-4, "sgd": 1e-2}


@dataclass(frozen=True)
class TuneOptions:
    """How to tune; None stands for what suits the photos."""

    depth: str | int = AUTO
    views: int = 4
    minutes: float = 10.0
    epochs: int | None = None
    lr: float | None = None
    lr_head: float | None = None
    layer_decay: float = 0.75
    optimizer: str = "adamw"
    schedule: str = "cosine"
    warm_up: float = 0.1
    weight_decay: float = 0.01
    batch: int = 64
    augment: str = "default"
    mix: str = "none"
    smoothing: float = 0.1
    class_weight: str | None = None
    average: str = "blend"
    patience: int = 5
    val: str = "0.2"
    seed: int = 0
    cache: int | None = None
    keep: bool = False
    fresh: bool = False
    update: bool = False
    device: str = "auto"
    precision: str = "auto"
    loss: str = "ce"
    train: str = "all"
    # So many trainings more, each without a part of the products, for fair answers on all photos.
    folds: int = 0
    threads: int | None = None
    track: tuple[str, ...] = ()
    # So many recipes are tried; 0: none but this one.
    search: int = 0
    # How many of the blocks behind the cut are trained; None: all of them.
    last: int | None = None
    # The side of the square that photos become; None: that of the network.
    size: int | None = None
    # A column that a second head learns, as NAME=COLUMN.
    also: str | None = None
    # A backbone whose answers are followed.
    teacher: str | None = None
    # A folder of photos without categories.
    unlabelled: str | None = None
    # A folder of photos from where the network will be used.
    adapt_norms: str | None = None
    # Whether the same steps from random numbers, and worse photos, are judged too.
    from_scratch: bool = False
    robustness: bool = False

    def __post_init__(self) -> None:
        _known("optimizer", self.optimizer, OPTIMIZERS)
        _known("schedule", self.schedule, SCHEDULES)
        _known("mix", self.mix, MIXES)
        _known("average", self.average, AVERAGES)
        _known("precision", self.precision, PRECISIONS)
        _known("loss", self.loss, LOSSES)
        _known("part to train", self.train, TRAINED)
        _known("augment", self.augment, (*AUGMENTATIONS, NO_AUGMENTATION))
        if self.class_weight not in (None, "balanced"):
            raise FeatxError(
                "bad-flag", f"there is no class weight `{self.class_weight}`", "use `--class-weight balanced`"
            )
        if self.mix != "none" and self.loss in ("supcon", "triplet"):
            raise FeatxError(
                "bad-flag",
                f"`--loss {self.loss}` compares photos of one category, and a mixed pair has two",
                "leave `--mix` out, or take `--loss arcface`",
            )
        if self.folds == 1 or not 0 <= self.folds <= 20:
            raise FeatxError("bad-flag", f"`--folds {self.folds}` divides nothing", "from 2 to 20, such as `--folds 5`")
        if self.search == 1 or not 0 <= self.search <= MOST_TRIALS:
            raise FeatxError(
                "bad-flag", f"`--search {self.search}` tries nothing", f"from 2 to {MOST_TRIALS}, such as `--search 12`"
            )
        if self.folds and (self.teacher is not None or self.unlabelled is not None):
            raise FeatxError(
                "bad-flag",
                "`--folds` wants answers of networks that never saw a photo, and a teacher saw all of them",
                "leave `--folds` out, or `--teacher` and `--unlabelled`",
            )
        for flag in ("teacher", "unlabelled"):
            if getattr(self, flag) is not None and self.for_look_alikes:
                raise FeatxError(
                    "bad-flag",
                    f"`--{flag}` is about categories, and `--loss {self.loss}` about look-alikes",
                    f"leave one of the two out: `--loss` or `--{flag}`",
                )
        for name, least in (("views", 0), ("batch", 2), ("patience", 1), ("minutes", 0.01)):
            if getattr(self, name) < least:
                raise FeatxError("bad-flag", f"`--{name} {getattr(self, name)}` is less than {least}")

    @property
    def rate(self) -> float:
        """The rate of the last block: as requested, or the usual one of the optimizer."""
        return self.lr if self.lr is not None else RATES[self.optimizer]

    @property
    def views_used(self) -> int:
        """How many altered views of each photo are made."""
        return 0 if self.augment == NO_AUGMENTATION else self.views

    @property
    def for_look_alikes(self) -> bool:
        """Whether look-alikes judge, rather than categories."""
        return self.loss != "ce"

    def recipe(self) -> dict[str, str | int | float | None]:
        """What decides the outcome, for the card and for a training that goes on."""
        left_out = {"minutes", "cache", "keep", "fresh", "folds", "track", "device", "update"}
        left_out |= {"search", "from_scratch", "robustness"}
        return {name: value for name, value in asdict(self).items() if name not in left_out} | {
            "depth": str(self.depth)
        }


def _known(flag: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise FeatxError(
            "bad-flag",
            f"there is no {flag} `{value}`",
            did_you_mean(value, list(choices), f"choose {', '.join(choices)}"),
        )
