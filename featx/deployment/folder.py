"""A classifier as a folder that runs without featx: written aside, compared with featx, then renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.deployment.golden import EXPECTED, Comparison, expected_answers, write_golden
from featx.errors import FeatxError
from featx.files.atomic import cannot_write, temporary_path
from featx.files.regular import read_json

if TYPE_CHECKING:
    from featx.prediction.predict import Predictor
    from featx.prediction.review import DecisionRule

MANIFEST, MODEL, CARD, GOLDEN = "manifest.json", "model.onnx", "card.md", "golden"
FORMAT = "featx-deployment/1"
RUNNER = Path(__file__).parent / "runner"
# A larger classifier is of a kind that should not travel: another answers as well with a hundredth of it.
MOST_BYTES = 200 * 2**20
# The photos of the store that the deployment is compared on; more would tell no more, and take minutes.
COMPARED = 100


@dataclass
class DeploymentReport:
    """What was written, and how well it agrees with featx."""

    folder: Path
    classifier: str
    backbone: str
    categories: int
    n_bytes: int
    comparison: Comparison
    files: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of `featx deploy`."""
        record = asdict(self)
        record["bytes"] = record.pop("n_bytes")
        return record | {"folder": str(self.folder), "seconds": round(self.seconds, 1)}

    def __repr__(self) -> str:
        return f"DeploymentReport({self.folder}, {self.classifier} on {self.backbone}, {self.n_bytes:,} bytes)"


def deploy(
    output: Path | str,
    classifier: str | None = None,
    *,
    store: Path | None = None,
    compared: int = COMPARED,
    force: bool = False,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> DeploymentReport:
    """Write a classifier and its networks into a folder that needs neither featx nor torch.

    The folder appears only once its own runner has given the answers of featx, to drawn photos and to `compared` photos
    of the store it was trained on, as far as they are still there.
    """
    begun, output = time.monotonic(), Path(output)
    _require_packages()
    _require_free(output, force=force)
    from featx.prediction.predict import open_predictor
    from featx.prediction.review import decision_rule

    predictor = open_predictor(classifier, store, device="cpu")
    rule = decision_rule(predictor.model.card)
    temporary = temporary_path(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        comparison = _write(temporary, predictor, rule, compared, on_stage)
        _replace(temporary, output)
    except OSError as error:
        raise cannot_write(output, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    files = sorted(str(path.relative_to(output)) for path in output.rglob("*") if path.is_file())
    return DeploymentReport(
        output,
        predictor.model.name,
        predictor.backbone.spec.name,
        len(predictor.model.classes),
        sum((output / name).stat().st_size for name in files),
        comparison,
        files,
        time.monotonic() - begun,
    )


def _require_packages() -> None:
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise FeatxError(
            "extra-missing", f"deploying needs {' and '.join(missing)}", "install them: pip install 'featx[deploy]'"
        )


def _require_free(output: Path, *, force: bool) -> None:
    """Refuse a folder that holds anything but an earlier deployment, and that too without `force`."""
    if not os.path.lexists(output):
        return
    if output.is_dir() and not any(output.iterdir()):
        return
    try:
        is_earlier = read_json(output / MANIFEST)["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        is_earlier = False
    if not is_earlier:
        raise FeatxError("bad-flag", f"`{output}` exists and is not a deployment of featx", "name a new folder")
    if not force:
        raise FeatxError("bad-flag", f"`{output}` holds an earlier deployment", "replace it: `--force`")


def _write(
    folder: Path, predictor: Predictor, rule: DecisionRule, compared: int, on_stage: Callable[[str], object]
) -> Comparison:
    """Write everything into a folder, and compare its answers with those of featx."""
    from featx.deployment.card import card_page
    from featx.deployment.model import build_model
    from featx.images import colours

    on_stage("the graph")
    _require_deployable(predictor)
    data = build_model(predictor, rule).SerializeToString()
    if len(data) > MOST_BYTES:
        raise FeatxError(
            "bad-flag",
            f"the `{predictor.model.name}` classifier would make a model of {len(data) / 2**20:,.0f} MB",
            "train a smaller one, such as `featx fit --clf lda`",
        )
    (folder / MODEL).write_bytes(data)
    for file in RUNNER.iterdir():
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    shutil.copyfile(str(colours.__file__), folder / "colours.py")
    (folder / MANIFEST).write_text(json.dumps({"files": {MODEL: _sha256(folder / MODEL)}}), encoding="utf-8")
    on_stage("the golden photos")
    write_golden(folder / GOLDEN, predictor, rule)
    comparisons = [_compare(folder, folder / GOLDEN / EXPECTED)]
    photos = _photos_of(predictor, compared)
    if photos:
        on_stage(f"the answers to {len(photos):,} photos")
        answers = expected_answers(predictor, rule, photos)
        answers.write(folder / EXPECTED, answers.paths)
        comparisons.append(_compare(folder, folder / EXPECTED))
        (folder / EXPECTED).unlink()
    comparison = _worst(comparisons)
    _require_agreement(comparison)
    (folder / CARD).write_text(card_page(predictor, rule, comparison), encoding="utf-8")
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    digests = {name: _sha256(folder / name) for name in names if name != MANIFEST}
    manifest = {"format": FORMAT, "files": digests}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return comparison


def _require_deployable(predictor: Predictor) -> None:
    if wants := ", ".join(predictor.model.wants):
        raise FeatxError(
            "bad-flag",
            f"the classifier counts {wants} beside the photo, and a deployment takes photos only",
            "train one for photos alone: `featx fit` without `--with`",
        )
    precision = predictor.model.fingerprint.precision
    if precision != "fp32":
        raise FeatxError(
            "bad-flag",
            f"the classifier was trained on {precision} features, and a deployment computes in float32",
            "extract in float32 and train again: `featx extract IMAGES --precision fp32 --store NEW.h5`",
        )


def _photos_of(predictor: Predictor, most: int) -> list[str]:
    """Photos of the store, evenly spread over its rows, as far as they are still there."""
    if predictor.store is None or most < 1:
        return []
    known = predictor.store.known()
    paths = [path for path in dict.fromkeys(str(known[i].path) for i in predictor.store.ids) if Path(path).is_file()]
    step = max(1, len(paths) // most)
    return [str(Path(path).resolve()) for path in paths[::step][:most]]


def _compare(folder: Path, expected: Path) -> Comparison:
    """The runner of a deployment, run as its users run it, on photos whose answers are known."""
    command = [sys.executable, str(folder / "run.py"), "--check", str(expected)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean_environment())
    try:
        return Comparison(**json.loads(done.stdout))
    except (ValueError, TypeError) as error:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise FeatxError("bug", f"the deployment does not run: {last}", "please report this") from error


def _clean_environment() -> dict[str, str]:
    """The environment without what could lend featx to the runner."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}


def _worst(comparisons: Sequence[Comparison]) -> Comparison:
    counts = {
        name: sum(getattr(comparison, name) for comparison in comparisons) for name in ("photos", "label", "sure")
    }
    largest = {
        name: max(getattr(comparison, name) for comparison in comparisons)
        for name in ("embedding", "probabilities", "similarity")
    }
    return Comparison(**counts, **largest)


# How far numbers may be from those of featx.
TOLERANCE = 1e-4


def _require_agreement(comparison: Comparison) -> None:
    far = max(comparison.embedding, comparison.probabilities) > TOLERANCE
    if far or comparison.label or comparison.sure:
        raise FeatxError(
            "answers-differ",
            f"the deployment disagrees with featx on {comparison.photos:,} photos: {comparison.label:,} get another"
            f" category, {comparison.sure:,} another decision, and probabilities differ by up to"
            f" {comparison.probabilities:.1g}",
            "nothing was written; deploy a classifier on another backbone, and please report this",
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _replace(temporary: Path, output: Path) -> None:
    """Give a finished folder its name; an earlier deployment goes first."""
    if os.path.lexists(output):
        earlier = temporary_path(output)
        output.rename(earlier)
        temporary.rename(output)
        shutil.rmtree(earlier, ignore_errors=True)
    else:
        temporary.rename(output)
