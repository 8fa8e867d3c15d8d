"""The page that travels with a deployment: what it learned from, how good it is, its limits and licences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featx.backbones.registry import backbone_rows
from featx.classifiers.card import page
from featx.files.markdown import escape_markdown

if TYPE_CHECKING:
    from featx.classifiers.model import Classifier
    from featx.deployment.agreement import Agreement
    from featx.deployment.comparison import Comparison
    from featx.prediction.predict import Predictor
    from featx.prediction.review import DecisionRule

USAGE = """## Use it

    pip install -r requirements.txt
    python run.py --check            # the golden photos must get the answers they had when this was made
    python run.py photo.jpg folder/
    python run.py --model NAME photo.jpg    # another graph of this folder: model-int8.onnx, or model.xml with OpenVINO

`run.py` reads a photo upright, in sRGB and on white, makes the bytes that each network takes, and runs `model.onnx`.
A program in another language must do the same: the record `featx` in the model's metadata says how (`photo`), names
the categories (`labels`) and gives the confidence below which an answer needs a person (`review`). The outputs are
`label`, `probabilities`, `sure`, `similarity` to the nearest training photo, and `embedding`.
"""


def _columns(model: Classifier) -> list[str]:
    """How the columns that it counts are given."""
    if not model.wants:
        return []
    names = ", ".join(map(escape_markdown, model.wants))
    lines = [
        f"It counts {names} beside the photo: give a table (CSV or TSV in UTF-8) with a column `path`, or name them on",
        "the command line.",
        "",
        "    python run.py list.csv",
        "    python run.py --help             # lists the flags of the columns",
        "",
        "A photo without any of them gets the answer of the photo alone. The graph takes them as numbers, its input",
        "`columns`; the files in `columns/` make these from texts.",
    ]
    if model.fusion is not None and model.fusion.reads:
        lines.append("`text` is what was read off the photo; this program reads none, so give it as a column.")
    return [*lines, ""]


BROWSER = (
    "`browser/index.html` classifies in a browser, offline: a double click opens it, or any web server can serve the "
    'folder. Browsers decode photos in their own way; the button "Check this browser" compares the golden photos.'
)


def card_page(
    predictor: Predictor,
    rule: DecisionRule,
    comparison: Comparison,
    agreement: Agreement | None,
    *,
    browser: bool = False,
) -> str:
    """The page in Markdown."""
    model = predictor.model
    card = page(model.card).rstrip("\n")
    least = f"; also where `similarity` is below {model.novelty.threshold:.3f}" if rule.unlike else ""
    limits = [
        "## Limits",
        "",
        f"`sure` is false, so that a person looks, {rule.limit}{least}.",
        *(
            f"It is false too for photos whose probability of {escape_markdown(category)} is {threshold:.2g} or more."
            for category, threshold in rule.flagged_from.items()
        ),
        "The scores above hold for photos like those it learned from; measure on your own before you rely on them.",
        "",
        f"Compared with featx on {comparison.photos:,} photos when it was made: the same categories and decisions, "
        f"embeddings within {comparison.embedding:.1g}, probabilities within {comparison.probabilities:.1g}, and a "
        f"photo alone {_alone(comparison.alone)}.",
        *(["", *_integers(agreement)] if agreement is not None else []),
        *(["", BROWSER] if browser else []),
    ]
    return (
        "\n".join(
            [card, "", USAGE, *_columns(model), *limits, "", "## Licences", "", *_licences(predictor, browser=browser)]
        )
        + "\n"
    )


def _alone(largest: float) -> str:
    return f"within {largest:.1g} of the same photo among others" if largest else "as among others, to the last bit"


def _integers(agreement: Agreement) -> list[str]:
    """What `model-int8.onnx` costs."""
    from featx.deployment.agreement import agreement_sentence

    return [
        "`model-int8.onnx` computes its convolutions with integers: faster and less exact. "
        f"Of {agreement.photos:,} photos, {agreement_sentence(agreement)}."
    ]


def _licences(predictor: Predictor, *, browser: bool) -> list[str]:
    """A line for the weights of each network, and one for the code of featx."""
    known = {row["name"]: row["licence"] for row in backbone_rows()}
    lines = []
    for part in predictor.model.fingerprint.parts or (predictor.model.fingerprint,):
        licence = known.get(part.backbone, "unknown: ask whoever made them")
        lines.append(
            f"- weights of {escape_markdown(part.backbone)} ({escape_markdown(part.weights)}): "
            f"{escape_markdown(str(licence))}, SHA-256 `{part.weights_sha256}`"
        )
    if browser:
        lines.append("- `browser/runtime.js`, `browser/wasm.js`: ONNX Runtime Web, MIT, Microsoft Corporation")
    return [*lines, "- `run.py` and the files it imports: MIT, from featx"]
