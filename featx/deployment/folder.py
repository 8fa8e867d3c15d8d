"""A classifier as a folder that runs without featx: written aside, compared with featx, then renamed into place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.deployment.comparison import COMPARED, TOLERANCE, Comparison, compare, photos_of, require_same_answers, worst
from featx.errors import FeatxError
from featx.files.atomic import cannot_write, temporary_path
from featx.files.regular import read_json

if TYPE_CHECKING:
    from featx.classifiers.model import Classifier
    from featx.deployment.agreement import Agreement
    from featx.prediction.predict import Predictor
    from featx.prediction.review import DecisionRule

MANIFEST, CARD, GOLDEN = "manifest.json", "card.md", "golden"
BROWSER = "browser"
MODEL, INT8, OPENVINO = "model.onnx", "model-int8.onnx", "model.xml"
FORMAT = "featx-deployment/1"
RUNNER = Path(__file__).parent / "runner"
# A larger classifier is of a kind that should not travel: another answers as well with a hundredth of it.
MOST_BYTES = 200 * 2**20
# A graph's probabilities may differ from those of featx by a tenth of it, so smaller ones flag nothing reliably.
LEAST_FLAG = 10 * TOLERANCE


@dataclass(frozen=True)
class Forms:
    """What is written beside `model.onnx` and the program that runs it."""

    int8: bool = False
    openvino: bool = False
    browser: bool = False


@dataclass
class DeploymentReport:
    """What was written, and how well it agrees with featx."""

    folder: Path
    classifier: str
    backbone: str
    categories: int
    n_bytes: int
    comparison: Comparison
    # The columns that it counts beside a photo.
    columns: list[str] = field(default_factory=list)
    # How far `model-int8.onnx` agrees, where it was asked for.
    int8: Agreement | None = None
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
    weights: str | Path | None = None,
    compared: int = COMPARED,
    int8: bool = False,
    openvino: bool = False,
    browser: bool = False,
    force: bool = False,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> DeploymentReport:
    """Write a classifier and its networks into a folder that needs neither featx nor torch.

    The folder appears only once its own runner has given the answers of featx, to drawn photos and to `compared` photos
    of the store it was trained on, as far as they are still there. `weights` is where the weights file of its backbone
    is, if it moved.

    `int8` adds a graph whose convolutions compute with integers, if it agrees well enough on these photos; `openvino`
    adds the graph in OpenVINO's own form; `browser` adds a page that classifies in a browser.
    """
    begun, output = time.monotonic(), Path(output)
    forms = Forms(int8, openvino, browser)
    _require_packages(forms)
    _require_free(output, force=force)
    from featx.prediction.predict import open_predictor
    from featx.prediction.review import decision_rule

    predictor = open_predictor(classifier, store, device="cpu", weights=weights)
    rule = decision_rule(predictor.model.card)
    temporary = temporary_path(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        comparison, agreement = _write(temporary, predictor, rule, forms, compared, on_stage)
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
        predictor.model.wants,
        agreement,
        files,
        time.monotonic() - begun,
    )


def _require_packages(forms: Forms) -> None:
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise FeatxError(
            "extra-missing", f"deploying needs {' and '.join(missing)}", "install them: pip install 'featx[deploy]'"
        )
    if forms.openvino:
        from featx.deployment.openvino_form import require_openvino

        require_openvino()
    if forms.browser:
        from featx.deployment.browser_page import runtime_archive

        runtime_archive()  # fetched before a minute is spent on the rest


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
    folder: Path,
    predictor: Predictor,
    rule: DecisionRule,
    forms: Forms,
    compared: int,
    on_stage: Callable[[str], object],
) -> tuple[Comparison, Agreement | None]:
    """Write everything into a folder, and compare its answers with those of featx."""
    from featx.deployment.card import card_page
    from featx.deployment.golden import EXPECTED, write_golden

    on_stage("the graph")
    _require_deployable(predictor)
    _require_exact_flags(rule, forms)
    _write_graphs(folder, predictor, rule, forms)
    _copy_runner(folder, predictor.model)
    _write_manifest(folder, predictor.model)
    on_stage("the golden photos")
    write_golden(folder / GOLDEN, predictor, rule)
    files = [folder / GOLDEN / EXPECTED]
    with tempfile.TemporaryDirectory(prefix="featx-") as aside:
        answered = Path(aside) / EXPECTED
        if paths := _answer_photos(predictor, rule, compared, answered, on_stage):
            files.append(answered)
        comparison = _compare_exact(folder, forms, files)
        agreement = _compare_int8(folder, predictor, files[-1], paths) if forms.int8 else None
    if forms.browser:
        from featx.deployment.browser_page import write_page

        fusion, expected = predictor.model.fusion, folder / GOLDEN / EXPECTED
        write_page(folder / BROWSER, folder / MODEL, folder / GOLDEN, expected, fusion.encoder if fusion else None)
    page = card_page(predictor, rule, comparison, agreement, browser=forms.browser)
    (folder / CARD).write_text(page, encoding="utf-8")
    _write_manifest(folder, predictor.model)
    return comparison, agreement


def _write_graphs(folder: Path, predictor: Predictor, rule: DecisionRule, forms: Forms) -> None:
    """The graph in every form that is wanted."""
    from featx.deployment.columns import FOLDER as COLUMNS
    from featx.deployment.columns import write_columns
    from featx.deployment.model import build_model

    model = build_model(predictor, rule)
    data = model.SerializeToString()
    if fusion := predictor.model.fusion:
        write_columns(folder / COLUMNS, fusion.encoder)
    n_bytes = len(data) + sum(path.stat().st_size for path in folder.rglob("*"))
    if n_bytes > MOST_BYTES:
        raise FeatxError(
            "bad-flag",
            f"the `{predictor.model.name}` classifier would make a model of {n_bytes / 2**20:,.0f} MB",
            "train a smaller one, such as `featx fit --clf lda`",
        )
    (folder / MODEL).write_bytes(data)
    if forms.openvino:
        from featx.deployment.openvino_form import write_openvino

        write_openvino(folder / MODEL, folder / OPENVINO)
    if forms.int8:
        from featx.deployment.int8 import int8_model

        (folder / INT8).write_bytes(int8_model(model, predictor.backbone).SerializeToString())


def _copy_runner(folder: Path, model: Classifier) -> None:
    """The files of the runner; what reads columns is there already, where the classifier counts some."""
    from featx.deployment import columns
    from featx.images import colours

    for file in RUNNER.iterdir():
        if file.is_file() and file != columns.OWN:
            shutil.copyfile(file, folder / file.name)
    if not model.wants:
        _without_line(folder / "Containerfile", f"COPY {columns.FOLDER} ")
    shutil.copyfile(str(colours.__file__), folder / "colours.py")
    pins = [f"{name}=={version(name)}\n" for name in _needs(folder)]
    (folder / "constraints.txt").write_text("".join(pins), encoding="utf-8")


def _without_line(file: Path, beginning: str) -> None:
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.startswith(beginning)), encoding="utf-8")


def _needs(folder: Path) -> dict[str, str]:
    """The packages that the runner needs, and the oldest version of each."""
    lines = (folder / "requirements.txt").read_text("utf-8").split()
    return dict(line.split(">=") for line in lines)


def _answer_photos(
    predictor: Predictor, rule: DecisionRule, most: int, target: Path, on_stage: Callable[[str], object]
) -> list[str]:
    """The answers of featx to photos of the store, in a file; the photos that have one."""
    from featx.deployment.golden import expected_answers

    photos = photos_of(predictor, most)
    if photos:
        on_stage(f"the answers to {len(photos):,} photos")
    answers = expected_answers(predictor, rule, photos) if photos else None
    if answers is None:
        return []
    answers.write(target, answers.paths)
    return answers.paths


def _compare_exact(folder: Path, forms: Forms, files: Sequence[Path]) -> Comparison:
    """The worst comparison of the graphs that must answer like featx."""
    comparisons = []
    for graph in (MODEL, OPENVINO) if forms.openvino else (MODEL,):
        comparisons.append(worst([compare(folder, graph, file) for file in files]))
        require_same_answers(comparisons[-1], graph)
    largest = worst(comparisons)
    return replace(largest, photos=comparisons[0].photos)


def _compare_int8(folder: Path, predictor: Predictor, file: Path, paths: Sequence[str]) -> Agreement:
    """How far the graph of integers agrees: on photos of the store, else on the golden ones."""
    from featx.deployment.agreement import agreement_of, require_agreement

    with tempfile.TemporaryDirectory(prefix="featx-") as aside:
        own = Path(aside) / "own.npz"
        n = compare(folder, INT8, file, own).photos
        agreement = agreement_of(predictor, paths or [""] * n, file, own)
    require_agreement(agreement, INT8)
    return agreement


def _write_manifest(folder: Path, model: Classifier) -> None:
    """The digest of every file, the versions of ONNX Runtime that run the graph, and the columns that it counts."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    digests = {name: _sha256(folder / name) for name in names if name != MANIFEST}
    runtime = {"oldest": _needs(folder)["onnxruntime"], "compared_with": version("onnxruntime")}
    manifest = {"format": FORMAT, "onnxruntime": runtime, "columns": model.wants, "files": digests}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _require_deployable(predictor: Predictor) -> None:
    from featx.deployment.columns import require_columns_travel

    require_columns_travel(predictor.model)
    precision = predictor.model.fingerprint.precision
    if precision != "fp32":
        raise FeatxError(
            "bad-flag",
            f"the classifier was trained on {precision} features, and a deployment computes in float32",
            "extract in float32 and train again: `featx extract IMAGES --precision fp32 --store NEW.h5`",
        )


def _require_exact_flags(rule: DecisionRule, forms: Forms) -> None:
    """Refuse flags that the numbers of a deployment are not exact enough for."""
    if rule.flagged_from and forms.int8:
        raise FeatxError(
            "bad-flag",
            "the classifier flags categories that must not be missed, and a graph of integers may miss them",
            "deploy it without `--int8`",
        )
    for category, threshold in rule.flagged_from.items():
        if threshold < LEAST_FLAG:
            raise FeatxError(
                "bad-flag",
                f"the classifier flags `{category}` from a probability of {threshold:.1g}, too small for a deployment,"
                f" whose probabilities differ by up to {TOLERANCE:g}",
                "ask for less when you train: a smaller `--min-recall`; or use `featx predict`",
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
