"""The classifiers there are, and the settings of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from featx.errors import FeatxError, did_you_mean

NAMES = ("svm", "svm-rbf", "logreg", "lda", "rf", "extra-trees", "knn", "centroid")


USUAL = ("svm", "logreg", "lda", "rf", "knn")


ALSO = {"forest": "rf", "random-forest": "rf", "linear-svm": "svm", "lr": "logreg", "rbf": "svm-rbf"}


WEIGHED = ("svm", "svm-rbf", "logreg", "rf", "extra-trees")


# Those that do better in the few directions that tell the categories apart (docs/fit.md has by how much).
TOLD_APART = ("svm", "svm-rbf", "logreg", "rf", "extra-trees", "knn")


SIDE_BY_SIDE = ("svm", "svm-rbf", "logreg", "lda", "knn")


# One against the rest is thrown by rows that lie far out; see `Directions`.
DRAWN_IN = {"svm": 1.0, "svm-rbf": 1.0}


@dataclass(frozen=True)
class ClassifierSettings:
    """Which classifier, and how it is to be trained."""

    name: str = "svm"
    strength: float | None = None
    class_weight: str | None = None
    reduce: int | str | None = None
    seed: int = 0
    threads: int = -1
    width: float | None = None
    depth: int | None = None
    tried: float | None = None
    resample: bool = False

    @property
    def reduction(self) -> int | str:
        """So many principal directions, `lda` or `none`; what was not asked for is what usually does best."""
        return self.reduce or ("lda" if self.name in TOLD_APART else "none")

    def settings(self) -> dict[str, Any]:
        """What belongs on the card: everything that makes another classifier."""
        told: dict[str, Any] = {STRENGTH_NAMES.get(self.name, "C"): self.strength, "seed": self.seed}
        others = {
            "class_weight": self.class_weight,
            "resample": self.resample,
            "reduce": self.reduction if self.reduction != "none" or self.reduce else None,
            "kernel width": self.width,
            "depth": self.depth,
            "numbers tried": self.tried,
        }
        return told | {name: value for name, value in others.items() if value}


STRENGTH_NAMES = {"lda": "shrinkage", "knn": "neighbours", "rf": "smallest leaf", "extra-trees": "smallest leaf"}


def known_name(name: str) -> str:
    """The usual name of a classifier, or an error with the nearest one."""
    name = ALSO.get(name, name)
    if name not in NAMES:
        raise FeatxError(
            "unknown-classifier",
            f"no classifier called `{name}`",
            did_you_mean(name, [*NAMES, *ALSO], f"choose one of {', '.join(NAMES)}"),
        )
    return name


def known_reduction(asked: int | str | None) -> int | str | None:
    """`lda`, `none`, a number of principal directions, or nothing asked for."""
    if asked is None or asked in ("lda", "none"):
        return asked
    told = str(asked)
    if not (told.isascii() and told.isdigit() and 0 < int(told[:20]) < 10**9 and len(told) < 20):
        raise FeatxError("bad-flag", f"no reduction called `{told}`", "use `lda`, `none`, or a number of directions")
    return int(told)


def names_of(asked: str | Sequence[str]) -> list[str]:
    """The classifiers that were asked for, one or several with commas, each once; `all` is every one there is."""
    parts = [part.strip() for one in ([asked] if isinstance(asked, str) else asked) for part in one.split(",")]
    found = [name for part in parts if part for name in (NAMES if part == "all" else (known_name(part),))]
    if not found:
        raise FeatxError("bad-flag", "no classifier was named", f"name some: `--clf {','.join(USUAL)}`")
    return list(dict.fromkeys(found))


NEIGHBOURS = 10
TREES = 300
