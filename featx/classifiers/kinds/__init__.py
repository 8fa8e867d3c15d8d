"""The classifiers there are, one record each. To add one, write its record in a file here and list it below.

linear      svm, logreg
kernel      svm-rbf
lda         lda
forests     rf, extra-trees
neighbours  knn
centroid    centroid
"""

from __future__ import annotations

from collections.abc import Sequence

from featx.classifiers.kinds.centroid import CENTROID
from featx.classifiers.kinds.forests import EXTRA_TREES, RANDOM_FOREST
from featx.classifiers.kinds.kernel import KERNEL_SVM
from featx.classifiers.kinds.lda import LDA
from featx.classifiers.kinds.linear import LOGISTIC_REGRESSION, SVM
from featx.classifiers.kinds.neighbours import KNN
from featx.classifiers.spec import CLASSIFIERS as CLASSIFIERS
from featx.classifiers.spec import register as register
from featx.errors import FeatxError, did_you_mean

# In the order in which they are shown.
BUILT_IN = (SVM, KERNEL_SVM, LOGISTIC_REGRESSION, LDA, RANDOM_FOREST, EXTRA_TREES, KNN, CENTROID)

for _spec in BUILT_IN:
    register(_spec)

NAMES = tuple(CLASSIFIERS)
COMPARED = tuple(spec.name for spec in BUILT_IN if spec.compared)


def aliases() -> dict[str, str]:
    """Other names of classifiers, and the name of each."""
    return {alias: spec.name for spec in CLASSIFIERS.values() for alias in spec.aliases}


def known_name(name: str) -> str:
    """The usual name of a classifier, or an error with the nearest one."""
    name = aliases().get(name, name)
    if name not in CLASSIFIERS:
        raise FeatxError(
            "unknown-classifier",
            f"no classifier called `{name}`",
            did_you_mean(name, [*CLASSIFIERS, *aliases()], f"choose one of {', '.join(CLASSIFIERS)}"),
        )
    return name


def names_of(requested: str | Sequence[str]) -> list[str]:
    """The requested classifiers, one or several with commas, each once; `all` is every one there is."""
    texts = [requested] if isinstance(requested, str) else requested
    parts = [part.strip() for text in texts for part in text.split(",")]
    names = [name for part in parts if part for name in (CLASSIFIERS if part == "all" else (known_name(part),))]
    if not names:
        raise FeatxError("bad-flag", "no classifier was named", f"name some: `--clf {','.join(COMPARED)}`")
    return list(dict.fromkeys(names))


def that_take_class_weights() -> list[str]:
    """The classifiers that can weight categories equally."""
    return [spec.name for spec in CLASSIFIERS.values() if spec.class_weights]
