"""`featx predict` beside the program of a deployment: one photo from a cold start, many photos, and their answers.

    python benchmarks/deployment.py [--backbone builtin] [--clf svm] [--rounds 5] [--photos FOLDER] [--many 200]

Extracts and trains on the sample catalogue, or on the photos of a folder, in a temporary folder first. Each figure is
the median of several, in turns. One photo is answered by a fresh process, whose memory is the most that it held; many
photos, none of them in the store, by networks that are open already, both of ONNX Runtime.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from featx.catalogue.items import Item
from featx.classifiers.fit import fit
from featx.classifiers.model import save
from featx.compute.threads import cores
from featx.deployment.folder import deploy
from featx.extraction import extract
from featx.prediction.predict import open_predictor
from featx.prediction.review import decision_rule

ROOT = Path(__file__).resolve().parents[1]
MEASURE = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); \
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"


def once(words: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and megabytes of one process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-S", "-c", MEASURE, sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, int(done.stdout) / 1024


def turned(source: Path, folder: Path, most: int) -> list[Path]:
    """Photos that no store knows: those of a folder, turned a little."""
    folder.mkdir()
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:most]
    for i, path in enumerate(paths):
        with Image.open(path) as photo:
            photo.convert("RGB").rotate(5).save(folder / f"{i:04}.jpg", quality=95)
    return sorted(folder.iterdir())


def seconds_for_many(out: Path, clf: str, photos: list[Path], rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds and CPU seconds for all photos by featx and by the program of a deployment, in this process."""
    predictor = open_predictor(clf, device="cpu")
    predictor.backbone.use_engine("onnxruntime", photos=len(photos), batch_size=16)
    rule, items = decision_rule(predictor.model.card), [Item(path.name, str(path)) for path in photos]
    sys.path.insert(0, str(out))
    from run import Model

    model = Model(out)
    programs = {
        "featx predict": lambda: [answer.label for answer in predictor.stream(items, rule, workers=cores())],
        "run.py": lambda: [record["category"] for record in model.predict(photos)],
    }
    answers = [program() for program in programs.values()]
    assert answers[0] == answers[1]
    taken: dict[str, list[tuple[float, ...]]] = {what: [] for what in programs}
    for _ in range(rounds):
        for what, program in programs.items():
            begun, cpu = time.perf_counter(), time.process_time()
            program()
            taken[what].append((time.perf_counter() - begun, time.process_time() - cpu))
    return {what: (median(figures, 0), median(figures, 1)) for what, figures in taken.items()}


def median(figures: list[tuple[float, ...]], i: int) -> float:
    """The median of the figures at one place of several records."""
    return statistics.median(record[i] for record in figures)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="builtin")
    parser.add_argument("--clf", default="svm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--photos", type=Path, default=ROOT / "data" / "train")
    parser.add_argument("--compare-on", type=int, default=500)
    parser.add_argument("--many", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        store = extract(options.photos.resolve(), backbone=options.backbone)
        save(fit(store, options.clf), folder / "artifacts" / "models" / f"{options.clf}.safetensors")
        report = deploy(folder / "out", options.clf, compared=options.compare_on)
        with Image.open(ROOT / "data/train/mugs/sku165.jpg") as photo:
            photo.rotate(5).save(folder / "new.jpg")
        programs = {
            "featx predict": ["-m", "featx", "predict", "new.jpg"],
            "run.py": [str(folder / "out" / "run.py"), "new.jpg"],
        }
        photos = turned(options.photos, folder / "many", options.many)
        many = seconds_for_many(folder / "out", options.clf, photos, options.rounds)
        rounds = [{what: once(words, folder) for what, words in programs.items()} for _ in range(options.rounds)]
    print(f"{options.clf} on {options.backbone}: {report.n_bytes / 1e6:.0f} MB, written in {report.seconds:.0f} s")
    print(f"{report.comparison}")
    print(f"one photo, median of {options.rounds} fresh processes:   seconds   CPU seconds   MB")
    for what in programs:
        seconds, cpu, memory = (median([figures[what] for figures in rounds], i) for i in range(3))
        print(f"{what:<46} {seconds:8.2f} {cpu:13.2f} {memory:6.0f}")
    print(f"{len(photos):,} photos, ONNX Runtime in both, median of {options.rounds}:   photos a second   CPU ms each")
    for what, (seconds, cpu) in many.items():
        print(f"{what:<46} {len(photos) / seconds:8.1f} {1000 * cpu / len(photos):13.1f}")


if __name__ == "__main__":
    main()
