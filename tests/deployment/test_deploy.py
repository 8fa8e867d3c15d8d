"""A deployment answers like featx, without featx, and says so when it is damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from featx.classifiers.card import RecallRow
from featx.classifiers.model import load_classifier, save
from featx.deployment.columns import OWN
from featx.deployment.folder import RUNNER, deploy
from featx.errors import FeatxError
from featx.images import colours
from tests.conftest import ROOT, Run, command_environment, run_here

# What the runner's users have.
ALLOWED = {"numpy", "onnxruntime", "openvino", "PIL", "check", "colours", "columns", "engine", "photo", "records"}
# As they lie in the package; `columns` is written with its neighbours, for classifiers that count some.
COPIED = sorted(path for path in RUNNER.glob("*.py") if path != OWN)


def run(out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The runner as its users run it: featx is not to be had."""
    blocked = "import runpy, sys; sys.modules.update(dict.fromkeys(('featx', 'torch', 'sklearn'))); "
    code = f"{blocked}sys.argv[0] = {str(out / 'run.py')!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=out)


def test_the_runner_leaves_nothing_at_home(shop: Path, tmp_path: Path) -> None:
    photo = next((shop / "data" / "test").rglob("*.jpg"))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}  # nothing says that this is a test
    words = [sys.executable, "-B", str(shop / "out" / "run.py"), str(photo)]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == [], "ONNX Runtime counts who uses it, and keeps it there until it is sent"


def test_the_runner_answers_like_predict_without_featx_or_torch(shop: Path, featx: Run) -> None:
    photos = sorted(str(path) for path in (shop / "data" / "test").rglob("*.*"))[:24]
    mine = [json.loads(line) for line in run(shop / "out", "--json", *photos).stdout.splitlines()]
    theirs = [json.loads(line) for line in featx("predict", *photos, "--json", cwd=shop).stdout.splitlines()]
    assert [record["path"] for record in mine] == photos and len(theirs) == len(photos)
    for own, other in zip(mine, theirs, strict=True):
        assert (own["category"], own["review"], own["doubt"]) == (other["category"], other["review"], other["doubt"])
        if own["category"]:
            assert own["sure"] == pytest.approx(other["sure"], abs=2e-4)
            assert own["similarity"] == pytest.approx(other["similarity"], abs=2e-4)


@pytest.mark.long
def test_what_must_not_be_missed_is_flagged_as_by_predict_or_refused(
    shop: Path, featx: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    model = load_classifier("artifacts/models/lda.safetensors")
    category = model.classes[0]
    share = {"recall": 0.9, "low": 0.8, "high": 1.0, "n": 50, "false_alarms": 0.1, "false_alarms_low": 0.0}
    row = {"category": category, "target": 0.9, "threshold": 0.02, "false_alarms_high": 0.2, "others": 9} | share

    def deployed_from(threshold: float, **forms: bool) -> Path:
        rows = msgspec.convert([row | {"threshold": threshold, "measured_on": "cross-validation"}], list[RecallRow])
        model.card = msgspec.structs.replace(model.card, min_recall=rows)
        save(model, tmp_path / "flags.safetensors")
        deploy(tmp_path / "out", str(tmp_path / "flags.safetensors"), compared=0, **forms)
        return tmp_path / "out"

    with pytest.raises(FeatxError, match="a graph of integers may miss them"):
        deployed_from(0.02, int8=True)
    with pytest.raises(FeatxError, match="too small for a deployment"):
        deployed_from(1e-5)
    out = deployed_from(0.02)
    photos = sorted(str(path.absolute()) for path in Path("data/test").rglob("*.*"))[:24]
    mine = [json.loads(line) for line in run(out, "--json", *photos).stdout.splitlines()]
    ran = featx("predict", *photos, "--json", "--clf", str(tmp_path / "flags.safetensors"), cwd=shop)
    theirs = [json.loads(line) for line in ran.stdout.splitlines()]
    fields = ("category", "review", "doubt", "flags")
    assert [[own[name] for name in fields] for own in mine] == [[other[name] for name in fields] for other in theirs]
    flagged = [own["flags"] == [category] for own in mine]
    assert any(flagged) and not all(flagged)


def test_the_comparison_with_featx_is_part_of_the_answer(shop: Path) -> None:
    report = json.loads((shop / "deploy.json").read_text())
    comparison = report["comparison"]
    assert comparison["photos"] == 32 and comparison["label"] == comparison["sure"] == 0
    assert max(comparison["embedding"], comparison["probabilities"]) <= 1e-4
    assert comparison["alone"] <= 1e-6
    assert {"model.onnx", "run.py", "photo.py", "colours.py", "card.md", "Containerfile"} <= set(report["files"])
    # Neither what Python keeps of the runner, nor what only columns need.
    assert not any("cache" in name or "columns" in name for name in report["files"])


def test_golden_photos_hold_the_hard_kinds_and_pass_their_check(shop: Path) -> None:
    ran = run(shop / "out", "--check")
    assert ran.returncode == 0 and json.loads(ran.stdout)["photos"] == 20, ran.stderr
    from PIL import Image

    kinds = set()
    for path in (shop / "out" / "golden").glob("*.[jp][pn]g"):
        with Image.open(path) as image:
            kinds |= {image.mode, f"turned {image.getexif().get(0x0112, 1)}"}
    assert {"CMYK", "RGBA", "turned 6"} <= kinds


def test_a_golden_photo_that_changed_fails_the_check(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(shop / "out", out)
    names = sorted(path for path in (out / "golden").glob("*.jpg"))
    shutil.copyfile(names[0], names[-1])
    ran = run(out, "--check")
    assert ran.returncode != 0 and "differ" in ran.stderr


def test_a_flipped_byte_in_the_model_is_refused_in_a_sentence(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(shop / "out", out)
    data = bytearray((out / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (out / "model.onnx").write_bytes(data)
    ran = run(out, "--check")
    assert ran.returncode != 0 and "damaged" in ran.stderr and "Traceback" not in ran.stderr


@pytest.fixture(scope="module")
def all_forms(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with a deployment that has a graph of integers and OpenVINO's own form too."""
    pytest.importorskip("openvino")
    folder = tmp_path_factory.mktemp("forms") / "shop"
    shutil.copytree(shop, folder)
    words = ("deploy", "out", "--force", "--compare-on", "12", "--int8", "--openvino", "--json")
    ran = run_here(words, folder, "", command_environment({}))
    assert ran.returncode == 0, ran.stderr
    (folder / "deploy.json").write_text(ran.stdout)
    return folder


@pytest.mark.long
def test_a_graph_of_integers_comes_with_its_agreement_on_real_photos(all_forms: Path) -> None:
    shop = all_forms
    report, card = json.loads((shop / "deploy.json").read_text()), (shop / "out" / "card.md").read_text()
    agreement = report["int8"]
    assert agreement["photos"] == 12 and agreement["same_category"] >= 11 / 12 and agreement["neighbours"] >= 0.9
    assert agreement["n_labelled"] == 6  # the photos that were held out
    assert "Of 12 photos" in card and "nearest photos are the same" in card
    assert (shop / "out" / "model-int8.onnx").stat().st_size < (shop / "out" / "model.onnx").stat().st_size
    ran = run(shop / "out", "--check", "--model", "model-int8.onnx")
    assert ran.returncode == 0 and json.loads(ran.stdout)["embedding"] > 1e-4, ran.stderr


@pytest.mark.long
def test_openvino_answers_from_its_own_form_and_refuses_a_damaged_one(all_forms: Path, tmp_path: Path) -> None:
    shop = all_forms
    out = tmp_path / "out"
    shutil.copytree(shop / "out", out)
    photo = sorted((out / "golden").glob("*.jpg"))[0].name
    own, other = (run(out, "--model", name, f"golden/{photo}").stdout for name in ("model.xml", "model.onnx"))
    assert own and own == other
    data = bytearray((out / "model.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (out / "model.bin").write_bytes(data)
    ran = run(out, "--model", "model.xml", "--check")
    assert ran.returncode != 0 and "model.bin is damaged" in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.long
def test_the_oldest_runtime_that_the_manifest_names_gives_the_same_answers(all_forms: Path, tmp_path: Path) -> None:
    shop = all_forms
    oldest = json.loads((shop / "out" / "manifest.json").read_text())["onnxruntime"]["oldest"]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "old"], check=True)
    python = tmp_path / "old" / "bin" / "python"
    wanted = [f"onnxruntime=={oldest}.*", "numpy", "pillow"]
    installed = subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=False, capture_output=True)
    if installed.returncode:
        pytest.skip("the oldest ONNX Runtime cannot be installed here")
    for graph in ("model.onnx", "model-int8.onnx"):
        words = [python, shop / "out" / "run.py", "--check", "--model", graph]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        assert ran.returncode == 0 and json.loads(ran.stdout)["photos"] == 20, ran.stderr


def test_a_graph_that_was_not_deployed_is_refused_in_a_sentence(shop: Path) -> None:
    ran = run(shop / "out", "--model", "other.onnx", "--check")
    assert ran.returncode != 0 and "not part of this deployment" in ran.stderr and "Traceback" not in ran.stderr


def test_a_container_has_every_file_the_runner_reads_and_no_root(shop: Path) -> None:
    lines = (shop / "out" / "Containerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]}
    assert {path.name for path in COPIED} | {"colours.py", "model.onnx", "manifest.json"} <= copied
    assert all((shop / "out" / name).exists() for name in copied)
    assert lines.index("USER nobody") < min(i for i, line in enumerate(lines) if "run.py" in line and "RUN" in line)
    pins = dict(line.split("==") for line in (shop / "out" / "constraints.txt").read_text().split())
    assert pins.keys() == {"numpy", "onnxruntime", "pillow"} and pins["numpy"] == np.__version__


def test_the_manifest_tells_which_versions_run_the_graph(shop: Path) -> None:
    import onnxruntime

    manifest = json.loads((shop / "out" / "manifest.json").read_text())
    assert manifest["onnxruntime"] == {"oldest": "1.20", "compared_with": onnxruntime.__version__}


def test_a_damaged_photo_gets_its_reason_and_the_others_their_answers(shop: Path, tmp_path: Path) -> None:
    good = next((shop / "data" / "test").rglob("*.jpg"))
    (tmp_path / "bad.jpg").write_bytes(good.read_bytes()[:200])
    (tmp_path / "text.jpg").write_text("no photo")
    os.mkfifo(tmp_path / "pipe.jpg")
    shutil.copyfile(good, tmp_path / "good.jpg")
    records = [json.loads(line) for line in run(shop / "out", "--json", str(tmp_path)).stdout.splitlines()]
    by_name = {Path(record["path"]).name: record for record in records}
    assert by_name["good.jpg"]["category"] and not by_name["good.jpg"]["error"]
    for name in ("bad.jpg", "pipe.jpg", "text.jpg"):
        assert by_name[name]["error"] and by_name[name]["review"] and by_name[name]["category"] is None
    assert by_name["text.jpg"]["error"].startswith("no photo in a format that is read: JPEG, PNG")


def test_a_run_without_a_readable_photo_ends_with_a_sentence_and_a_code(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "empty").mkdir()
    for words, why in ((["text.jpg"], "no photo could be read"), (["empty"], "there is no photo")):
        ran = run(shop / "out", str(tmp_path / words[0]))
        assert ran.returncode == 1 and why in ran.stderr and "Traceback" not in ran.stderr


def test_what_is_missing_or_damaged_in_the_folder_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(RUNNER))
    from check import read_expected  # type: ignore[import-not-found]
    from engine import refuse_if_changed  # type: ignore[import-not-found]

    with pytest.raises(SystemExit, match=r"manifest\.json cannot be read: No such file"):
        refuse_if_changed(tmp_path, "model.onnx")
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(SystemExit, match=r"it is no JSON; copy the whole folder again"):
        refuse_if_changed(tmp_path, "model.onnx")
    (tmp_path / "manifest.json").write_text('{"files": {"model.onnx": "", "golden/expected.npz": ""}}')
    with pytest.raises(SystemExit, match=r"model\.onnx is missing"):
        refuse_if_changed(tmp_path, "model.onnx")
    with pytest.raises(SystemExit, match=r"which has model\.onnx$"):
        refuse_if_changed(tmp_path, "other.onnx")
    for name, why in (("none.npz", "No such file"), ("manifest.json", r"no \.npz file")):
        with pytest.raises(SystemExit, match=f"{name} holds no known answers .*{why}"):
            read_expected(tmp_path / name)


def test_a_name_ends_no_line_and_commands_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RUNNER))
    from records import line_of  # type: ignore[import-not-found]

    record = {"path": "a\n\x1b[31m\udcff.jpg", "category": "mugs", "sure": 0.5, "error": None, "doubt": "unsure"}
    assert line_of(record) == "a??[31m?.jpg\tmugs\t0.5\tunsure"


def test_one_photo_alone_gets_the_numbers_it_has_among_others(shop: Path) -> None:
    sys.path.insert(0, str(shop / "out"))
    try:
        import run as runner
    finally:
        sys.path.remove(str(shop / "out"))
    model = runner.Model()
    photos = [model.read(path) for path in sorted((shop / "out" / "golden").glob("*.jpg"))]
    together = model.run(photos)
    for i in (0, 7):
        alone = model.run(photos[i : i + 1])
        for name in ("probabilities", "embedding", "similarity"):
            np.testing.assert_allclose(alone[name][0], together[name][i], atol=1e-6)


def test_the_model_tells_other_programs_all_they_need(shop: Path) -> None:
    model = onnx.load(str(shop / "out" / "model.onnx"))
    contract = json.loads({prop.key: prop.value for prop in model.metadata_props}["featx"])
    assert [value.name for value in model.graph.input] == [form["name"] for form in contract["photo"]["inputs"]]
    assert len(contract["review"]["limits"]) == len(contract["labels"]) == 14
    assert contract["fingerprint"]["backbone"] == "builtin"
    assert {value.name for value in model.graph.output} == {
        "label", "probabilities", "sure", "similarity", "embedding",
    }  # fmt: skip


def test_the_runner_is_short_and_imports_only_what_it_says() -> None:
    import ast

    assert len((RUNNER / "run.py").read_text().splitlines()) <= 150
    for path in (*COPIED, Path(str(colours.__file__))):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in ALLOWED or top in sys.stdlib_module_names, (path.name, name)


def test_a_folder_with_other_files_is_never_touched(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for force in (False, True):
        with pytest.raises(FeatxError, match="not a deployment"):
            deploy(tmp_path / "mine", force=force)
    with pytest.raises(FeatxError, match="earlier deployment"):
        deploy(shop / "out")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_nothing_is_written_where_the_answers_would_differ(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setattr("featx.deployment.comparison.TOLERANCE", -1.0)
    with pytest.raises(FeatxError, match="disagrees with featx") as error:
        deploy(tmp_path / "new", compared=0)
    assert error.value.code == "answers-differ" and not list(tmp_path.iterdir())


def test_a_classifier_too_large_to_travel_is_refused_in_a_sentence(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    monkeypatch.setattr("featx.deployment.folder.MOST_BYTES", 2**20)
    with pytest.raises(FeatxError, match=r"`lda` classifier would make a model of \d+ MB") as error:
        deploy(tmp_path / "new", compared=0)
    assert "train a smaller one" in str(error.value.hint) and not list(tmp_path.iterdir())


def test_a_backbone_without_a_network_is_refused_in_a_sentence(colour_shop, tmp_path: Path, featx: Run) -> None:
    shutil.copytree(colour_shop.path.parent, tmp_path / "shop")
    shop = tmp_path / "shop"
    assert featx("fit", "--clf", "lda", "-s", "store.h5", cwd=shop).returncode == 0
    ran = featx("deploy", "out", "-s", "store.h5", cwd=shop)
    assert ran.returncode == 2 and "colour" in ran.stderr and not (shop / "out").exists()


def test_the_wheel_brings_the_runner() -> None:
    assert {path.name for path in RUNNER.iterdir() if path.is_file()} >= {
        "Containerfile", "photo.py", "requirements.txt", "run.py",
    }  # fmt: skip
    assert "runner" in (ROOT / "featx" / "deployment" / "__init__.py").read_text()
