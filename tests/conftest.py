"""What many tests share: small photos, a clean place to work in, and the command line."""

from __future__ import annotations

import copy
import functools
import gc
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

# Several test processes share the cores; a thread pool each would only make them wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("FEATX_OFFLINE", "1")

import msgspec
import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from PIL import Image

from featx.backbones import Fingerprint
from featx.classifiers.card import Card
from featx.compute.threads import cores
from featx.reporting.map_layout import _tsne
from featx.store import Store, open_store
from tests.browsing import browser, only_page, tab
from tests.sealing import seal_in_this_process, sealing_process

# Torch, scikit-learn and all tests stay until the end; to go through them while they arrive takes seconds.
gc.disable()
# Whichever test imports OpenVINO first, without featx: it would begin twenty processes for each network it converts.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
# Each of the hundreds of processes that tests start would compile the package anew, and each worker all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

__all__ = ["browser", "only_page", "seal_in_this_process", "sealing_process", "tab"]

# The same examples every time, so that a red suite means a change; `make test-long` looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("wandering", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker more than there are cores: some tests wait for a browser, a server or a process that they kill."""
    return cores() + 1


def pytest_collection_finish(session: pytest.Session) -> None:
    """The garbage collector need not go through what has arrived."""
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The workers of a run collect the same files at the same time: the first compiles each, the others read it."""
    base = collector.config.getoption("basetemp")
    if "PYTEST_XDIST_WORKER" not in os.environ or base is None or not isinstance(collector, pytest.Module):
        return (yield)
    compiled = Path(base).parent / "compiled" / collector.nodeid.replace("/", ".")
    compiled.parent.mkdir(exist_ok=True)
    with nullcontext() if compiled.exists() else FileLock(f"{compiled}.lock", poll_interval=0.01):
        report = yield
        compiled.touch()
    return report


ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

Ran = "subprocess.CompletedProcess[str]"
Run = Callable[..., Ran]


# What a process reads once, before its first command.
READ_AT_START = ("PYTHON", "LANG", "LC_", "TMPDIR", "HOME", "OMP_", "XDG_")
SEVERAL = """
import json, os, sys
from pathlib import Path
from tests.conftest import run_here
completed = []
for words in json.loads(sys.argv[1]):
    ran = run_here(tuple(words), Path.cwd(), "", dict(os.environ))
    completed.append([ran.args, ran.returncode, ran.stdout, ran.stderr])
print(json.dumps(completed))
"""


def command_environment(more: dict[str, str]) -> dict[str, str]:
    """The environment a command starts in: no store of whoever runs the tests, and no network."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FEATX_STORE")}
    return {**clean, "PYTHONPATH": str(ROOT), "FEATX_OFFLINE": "1", **more}


@pytest.fixture
def featx_process(tmp_path: Path) -> Run:
    """Run the real command in a process of its own, for promises about processes and how they start."""

    def run(*words: str, cwd: Path = tmp_path, stdin: str | None = None, **environment: str):
        return subprocess.run(
            [sys.executable, "-m", "featx", *words],
            cwd=cwd,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
            env=command_environment(environment),
            timeout=900,
        )

    return run


@pytest.fixture
def featx(tmp_path: Path) -> Run:
    """Run the real `main` in this process, where everything is imported already; answers as `featx_process` does."""

    def run(*words: str, cwd: Path = tmp_path, stdin: str | None = None, **environment: str):
        late = [name for name in environment if name.startswith(READ_AT_START)]
        assert not late, f"{late} are read when a process starts: use featx_process"
        return run_here(words, cwd, stdin or "", command_environment(environment))

    return run


@pytest.fixture
def featx_commands(tmp_path: Path) -> Callable[..., list[Ran]]:
    """Run several commands one after the other in one new process: begun once for all of them."""

    def run(
        *commands: Sequence[str], cwd: Path = tmp_path, prepare: Callable[[], None] | None = None, **environment: str
    ) -> list[Ran]:
        ran = subprocess.run(
            [sys.executable, "-c", SEVERAL, json.dumps(commands)],
            cwd=cwd, env=command_environment(environment), capture_output=True, text=True, timeout=900,
            preexec_fn=prepare,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        completed = [subprocess.CompletedProcess(*answer) for answer in json.loads(ran.stdout)]
        completed[-1].stderr += ran.stderr  # what was said outside of any command
        return completed

    return run


def run_here(words: tuple[str, ...], cwd: Path, given: str, environment: dict[str, str]) -> Ran:
    """What the command prints and how it ends; streams, folder and environment are its own meanwhile."""
    from featx.cli.app import main

    before, variables = Path.cwd(), dict(os.environ)
    kept = {name: getattr(sys, name) for name in ("argv", "stdin", "stdout", "stderr", "__stdout__", "__stderr__")}
    with tempfile.TemporaryFile() as read, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        read.write(given.encode("utf-8", "surrogateescape"))
        read.seek(0)
        streams = [io.TextIOWrapper(file, encoding="utf-8", write_through=True) for file in (read, out, err)]
        sys.argv, (sys.stdin, sys.stdout, sys.stderr) = ["featx", *words], streams
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environment)
        code: object = 0
        try:
            with warnings.catch_warnings():
                warn_as_a_process_does()
                main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            for name, value in kept.items():
                setattr(sys, name, value)
            os.chdir(before)
            os.environ.clear()
            os.environ.update(variables)
        texts = []
        for stream in streams[1:]:
            stream.flush()
            stream.buffer.seek(0)
            texts.append(stream.buffer.read().decode("utf-8", "surrogateescape"))
        return subprocess.CompletedProcess(["featx", *words], int(str(code)), *texts)


def warn_as_a_process_does() -> None:
    """Warnings go to stderr, as those of a command do; pytest would keep them to itself."""
    warnings.resetwarnings()
    for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning):
        warnings.simplefilter("ignore", kind)
    # Nobody would see what a command leaves open; here it fails the test.
    warnings.simplefilter("error", ResourceWarning)

    def show(message, category, filename, lineno, file=None, line=None):
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    warnings.showwarning = show


@pytest.fixture(autouse=True, scope="session")
def away_from_the_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a test leaves beside itself, such as which store was used last, is not left in the checkout."""
    # A command looks for the shop it is in from folder to folder upwards: no further than to where tests keep theirs.
    for folder in {tmp_path_factory.getbasetemp(), base_of_the_run(tmp_path_factory)}:
        (folder / "featx.toml").touch()
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """What a test writes need not outlive a power cut; the tests of that record each call to sync and replay them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        patch.setattr(os, "fdatasync", lambda fd: None, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def small_forests() -> Iterator[None]:
    """Three hundred trees show nothing on a few dozen rows that thirty do not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.classifiers.kinds.forests.TREES", 30)
        patch.setattr("featx.classifiers.kinds.forests.SEARCH_TREES", 10)
        yield


@pytest.fixture(autouse=True, scope="session")
def each_map_once() -> Iterator[None]:
    """The many reports on the same few catalogues share the second that t-SNE takes."""
    laid_out: dict[tuple[bytes, int], np.ndarray] = {}

    @functools.wraps(_tsne)
    def once(rows: np.ndarray, seed: int) -> np.ndarray:
        key = rows.tobytes(), seed
        if key not in laid_out:
            laid_out[key] = _tsne(rows, seed)
        return laid_out[key].copy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.reporting.map_layout._tsne", once)
        yield


@pytest.fixture(autouse=True, scope="session")
def random_networks_drawn_once() -> Iterator[None]:
    """The same seed gives the same random network: it is drawn once, and copied where a test opens it again."""
    from featx.backbones import torchvision_networks

    drawn: dict[tuple[str, str, int], Any] = {}
    build = torchvision_networks.build

    def once(name: str, weights: Any = None) -> Any:
        import torch

        if name not in ("squeezenet1_1", "resnet18"):  # the others are opened once or twice
            return build(name, weights)
        key = name, str(weights), torch.initial_seed()
        if key not in drawn:
            drawn[key] = build(name, weights)
        return copy.deepcopy(drawn[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torchvision_networks, "build", once)
        yield


@pytest.fixture(autouse=True)
def no_network_kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Converted networks are kept apart from those of whoever runs the tests, and each test begins without one."""
    folder = tmp_path_factory.mktemp("kept") / "networks"
    monkeypatch.setattr("featx.backbones.engines.conversion_cache.conversions_folder", lambda: folder)
    monkeypatch.setattr("featx.files.caches.cache_folder", lambda name: folder.with_name(name))
    return folder


def base_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of a run keep their folders in."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first test to ask for it makes; the others, in whichever process, only read or copy it."""
    base = base_of_the_run(factory)
    folder = base / name
    with FileLock(base / f"{name}.lock"):
        if not (base / f"{name}.made").exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            (base / f"{name}.made").touch()
    return folder


@pytest.fixture(scope="session")
def shared_networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted networks for tests that are not about converting them: each is made once a run."""
    return made_once(tmp_path_factory, "shared-networks", lambda _: None)


@pytest.fixture(scope="session")
def sample_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample catalogue in `data`, with its features by the built-in network; read it, or work in a copy."""

    def make(folder: Path) -> None:
        shutil.copytree(ROOT / "data", folder / "data")
        ran = run_here(("extract", "data", "-b", "builtin"), folder, "", command_environment({}))
        assert ran.returncode == 0, ran.stderr

    return made_once(tmp_path_factory, "sample-shop", make)


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (48, 40), noise: int | None = None) -> Path:
    """A small photo of noise around one colour; the same seed gives the same bytes, another `noise` other grains."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    colour = random.integers(0, 256, 3)
    if noise is not None:
        random = np.random.default_rng(noise)
    pixels = np.clip(colour + random.normal(0, 20, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return path


def many_photos(folder: Path, count: int) -> Path:
    """Photos that all differ, if only by what follows the picture: to draw each would take most of a test's time."""
    for i in range(count):
        path = folder / f"c{i % 5}" / f"p{i:04d}x.jpg"
        if i < 20:
            drawn = photo(path, seed=i, size=(96, 96)).read_bytes()
        else:
            path.write_bytes(b"%s%d" % (drawn, i))
    return folder


@pytest.fixture(scope="session")
def colour_shop(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three categories of five products with two shots each, differing in colour; a test split; a coarser category."""

    def make(root: Path) -> None:
        lines = ["path,label,product,split,kind"]
        for c, category in enumerate(["boots", "hats", "mugs"]):
            for product in range(5):
                for shot in range(2):
                    name = f"{category}{product}-{shot}.jpg"
                    photo(root / name, seed=100 * c + 10 * (product % 2) + shot)
                    split = "test" if product == 4 else "train"
                    lines.append(f"{name},{category},{category}{product},{split},{'worn' if c < 2 else 'used'}")
        (root / "list.csv").write_text("\n".join(lines) + "\n")
        from featx.extraction import extract

        extract(root / "list.csv", backbone="colour", store=root / "store.h5")

    return open_store(made_once(tmp_path_factory, "colour-shop", make) / "store.h5")


FLAVOURS = {
    "blueberry": ["blue", "berries", "wild"],
    "vanilla": ["bourbon", "pods", "sweet"],
    "plain": ["mild", "white"],
}


@pytest.fixture(scope="session")
def carton_shop(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Cartons of any colour in every category, whose titles tell; a price, a brand, and a test split."""

    def make(root: Path) -> None:
        random = np.random.default_rng(0)
        lines = ["path,label,split,title,price,brand,notes,kind"]
        for c, (label, words) in enumerate(FLAVOURS.items()):
            for i in range(16):
                name = f"{label}{i}.jpg"
                photo(root / name, seed=100 * c + i, size=(16, 16))
                title = "" if i % 8 == 7 else f"{random.choice(words)} yoghurt {random.choice(words)} {i}00 g"
                split = "test" if i % 4 == 3 else "train"
                lines.append(f"{name},{label},{split},{title},{9 + c}.{i},{'Arla' if i % 2 else 'Oatly'},,{label[:2]}")
        (root / "list.csv").write_text("\n".join(lines) + "\n")
        from featx.extraction import extract

        extract(root / "list.csv", backbone="colour", store=root / "store.h5")

    return open_store(made_once(tmp_path_factory, "carton-shop", make) / "store.h5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve photos in three categories."""
    for i, category in enumerate(["boots", "hats", "mugs"]):
        for shot in range(4):
            photo(tmp_path / "photos" / category / f"{category}{shot}.jpg", seed=10 * i + shot)
    return tmp_path / "photos"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, so that artifacts/ is nobody else's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEATX_STORE", raising=False)
    monkeypatch.delenv("FEATX_ARTIFACTS", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def few_trees() -> Iterator[None]:
    """Growing hundreds of trees would take most of a test's time; what is promised of a forest holds for any number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featx.classifiers.kinds.forests.TREES", 20)
        patch.setattr("featx.classifiers.kinds.forests.SEARCH_TREES", 10)
        yield


def toy_fingerprint(width: int, **fields: object) -> Fingerprint:
    """The fingerprint of features that were made by hand."""
    return Fingerprint.from_dict({"backbone": "toy", "width": width, **fields})


def card_of(classes: list[str], width: int, **more: object) -> Card:
    """The card of a classifier that was made by hand."""
    share = {"accuracy": 0.5, "ci95": [0.4, 0.6], "n": 40, "folds": 5, "grouped_by": "none", "groups": 40}
    record = {
        "version": 1, "clf": "x", "n": 40, "classes": len(classes), "labels": classes, "backbone": "toy",
        "written": "now", "test": None, "cv": share, "baseline": 0.5, "store": "a.h5", "settings": {}, "level": None,
        "automation": {"target": 0.98, "coverage": None, "threshold": None, "measured_on": "", "n": 40},
        "coverage": [], "coverage_on": "", "thresholds": [], "fingerprint": {"backbone": "toy", "width": width},
        "unlike": {"threshold": 0.5, "false_alarms": 0.02}, "weakest": [], "small": {}, "checks": [],
        "held_out_categories": 0, "held_out": [], "test_store": None, "learned_in_test": 0,
        "calibrated_on": "cross-validation", "asked_folds": 5, "tuned": False, "seconds": 1.0,
    }  # fmt: skip
    return msgspec.convert(record | more, Card)
