"""Hostile files run nothing, names steer nothing, and nobody is called over the network."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import featx
from featx.cli.output import Output
from featx.errors import FeatxError
from featx.files.cells import safe_cell
from featx.store import open_store
from tests.conftest import ROOT, command_environment, photo, run_here

# --- files that would run code if they were loaded naively -----------------------------------------------------------


class Bomb:
    """Writes a file as soon as somebody unpickles it."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_the_bomb_of_these_tests_works(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_weights_that_hold_code_are_refused_and_run_nothing(workplace, folder, suffix, form):
    import torch

    ran, weights = workplace / "ran", workplace / f"weights{suffix}"
    if form == "pickle":
        weights.write_bytes(pickle.dumps({"conv.weight": Bomb(ran)}))
    else:
        torch.save({"features.0.weight": torch.zeros(2), "bomb": Bomb(ran)}, weights)
    with pytest.raises(FeatxError) as caught:
        featx.extract(folder, backbone="squeezenet1_0", weights=str(weights), store="a.h5")
    assert caught.value.code.startswith("weights-") or caught.value.code == "bad-flag", caught.value
    assert not ran.exists() and not Path("a.h5").exists()


def trained(workplace: Path, folder: Path) -> Path:
    from featx.classifiers.model import load_classifier

    store = featx.extract(folder.relative_to(workplace), backbone="colour")
    words = ("fit", "--clf", "centroid", "--folds", "2", "--store", str(store.path))
    assert run_here(words, workplace, "", command_environment({})).returncode == 0
    (path,) = workplace.glob("artifacts/models/*.safetensors")
    load_classifier(path)
    return path


def sealed_anew(path: Path, data: bytes) -> None:
    """A hostile author mends the card as well."""
    import hashlib

    from featx.classifiers.card import seal

    path.write_bytes(data)
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(data).hexdigest()
    path.with_suffix(".json").write_bytes(seal(card))


def test_info_check_says_that_a_classifier_is_damaged_and_that_the_store_is_whole(featx, folder, tmp_path):
    assert featx("extract", "photos", "-b", "colour").returncode == 0
    assert featx("fit", "--clf", "centroid", "--folds", "2").returncode == 0
    for name in ("centroid.safetensors", "centroid.json"):
        path = tmp_path / "artifacts/models" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-70] + bytes([whole[-70] ^ 1]) + whole[-69:])
        ran = featx("info", "--check")
        assert ran.returncode == 5 and "the store is intact" in ran.stderr, ran.stderr
        assert "centroid.safetensors" in ran.stderr and "featx fit" in ran.stderr and "--replace" not in ran.stderr
        path.write_bytes(whole)
    assert featx("info", "--check").returncode == 0


def test_a_damaged_store_is_made_again_in_the_way_it_was_made_by_the_command_that_is_told(featx, folder, tmp_path):
    assert featx("extract", "photos", "-b", "colour", "--views", "2", "--store", "my photos.h5").returncode == 0
    path = tmp_path / "my photos.h5"
    made = open_store(path)
    features = made.features.tobytes()
    whole = path.read_bytes()
    at = whole.index(features[:64])
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    ran = featx("info", "--check", "--store", str(path.name))
    assert ran.returncode == 5 and "the features of rows" in ran.stderr and "not a feature store" not in ran.stderr
    named = re.search("`(featx extract .*)`", ran.stderr)
    assert named is not None, ran.stderr
    assert featx(*shlex.split(named[1])[1:]).returncode == 0
    assert open_store(path).features.tobytes() == features and open_store(path).fingerprint == made.fingerprint
    assert featx("info", "--check", "--store", str(path.name)).returncode == 0


def test_a_classifier_that_holds_code_is_refused_and_half_written_ones_are_never_loaded(workplace, folder):
    from featx.classifiers.model import load_classifier

    path, ran = trained(workplace, folder), workplace / "ran"
    good, card = path.read_bytes(), path.with_suffix(".json").read_bytes()

    def refused() -> None:
        with pytest.raises(FeatxError) as caught:
            load_classifier(path)
        assert caught.value.code == "model-broken" and not ran.exists()

    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        sealed_anew(path, pickle.dumps(Bomb(ran), protocol))
        refused()
    path.with_suffix(".json").write_bytes(card)
    for cut in range(0, len(good), max(1, len(good) // 25)):
        path.write_bytes(good[:cut])
        refused()
        sealed_anew(path, good[:cut])
        refused()
        path.with_suffix(".json").write_bytes(card)
    path.write_bytes(good)
    for cut in range(0, len(card) - 2, max(1, len(card) // 25)):
        path.with_suffix(".json").write_bytes(card[:cut])
        refused()
    path.with_suffix(".json").write_bytes(card)
    load_classifier(path)
    for bit in np.random.default_rng(1).integers(0, 8 * len(card), 60).tolist():
        flipped = bytearray(card)
        flipped[bit // 8] ^= 1 << bit % 8
        path.with_suffix(".json").write_bytes(flipped)
        refused()
    path.with_suffix(".json").write_bytes(card)
    flips = np.random.default_rng(0)
    for at in flips.integers(0, len(good), 40).tolist():
        path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        refused()


@pytest.mark.parametrize("where", ["attribute", "dataset", "object dataset"])
def test_a_store_that_holds_pickles_is_never_unpickled(tmp_path, where, monkeypatch):
    def unpickled(*words: object, **named: object) -> None:
        raise AssertionError("something was unpickled")

    featx_store = tmp_path / "a.h5"
    from tests.store.test_store import row, writer

    with writer(featx_store) as w:
        w.append([row(i) for i in range(3)])
        w.seal()
    bomb = np.void(pickle.dumps(Bomb(tmp_path / "ran")))
    with h5py.File(featx_store, "r+") as file:
        if where == "attribute":
            file.attrs["fingerprint"] = bomb
        elif where == "dataset":
            del file["label"]
            file["label"] = np.array([bomb] * 3)
        else:
            del file["label"]
            file.create_dataset("label", data=[b"x"] * 3, dtype=h5py.special_dtype(vlen=bytes))
    monkeypatch.setattr(pickle, "loads", unpickled)
    with pytest.raises(FeatxError) as caught:
        open_store(featx_store)
    assert caught.value.code == "store-broken" and not (tmp_path / "ran").exists()


# --- names that steer ------------------------------------------------------------------------------------------------

STEERING = ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b31m", "\x08\x08", "\x00", "\x7f", "\u202egpj.exe", "\u2066"]


@pytest.mark.parametrize("text", STEERING)
def test_no_control_character_reaches_the_terminal(text, capsys):
    Output().say(f"a{text}b")
    shown = capsys.readouterr().err
    assert all(character.isprintable() or character in "\n\t" for character in shown), repr(shown)


def test_hostile_names_and_labels_stay_text_in_every_output(featx, tmp_path):
    label = "\x1b[31m=cmd|'x'!A1"
    (tmp_path / "photos").mkdir()
    for i in range(2):
        photo(tmp_path / "photos" / f"@SUM(1){i}\x1b[2J.jpg", seed=i)
        photo(tmp_path / "photos" / "good" / f"plain{i}.jpg", seed=10 + i)
    (tmp_path / "photos" / label).mkdir()
    photo(tmp_path / "photos" / label / "-1+1.jpg", seed=5)
    (tmp_path / "photos" / "=bad\x1b[2J.jpg").write_bytes(b"no photo")
    extracted = featx("extract", "photos", "-b", "colour", "--store", "a.h5")
    assert extracted.returncode == 0, extracted.stderr
    for words in (("info",), ("similar", "plain0"), ("export", "--to", "csv", "-o", "all.csv")):
        ran = featx(*words, "--store", "a.h5")
        assert ran.returncode == 0, ran.stderr
        assert "\x1b" not in ran.stdout + ran.stderr
    assert "\x1b" not in extracted.stdout + extracted.stderr
    for table in (tmp_path / "artifacts").rglob("*.csv"):
        with table.open(newline="", encoding="utf-8-sig") as file:
            for cells in csv.reader(file):
                assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")], table


@pytest.mark.parametrize("start", list("=+-@\t\r"))
def test_no_cell_begins_a_formula(start):
    assert str(safe_cell(f"{start}cmd|' /C calc'!A0"))[0] == "'"


# --- the network -----------------------------------------------------------------------------------------------------

NO_SOCKETS = """
import socket, sys
def refused(*words, **named):
    sys.stderr.write("A SOCKET WAS OPENED\\n")
    raise OSError("no network in this test")
for name in ("connect", "connect_ex", "bind", "sendto"):
    setattr(socket.socket, name, refused)
socket.create_connection = socket.getaddrinfo = refused
"""


def some_photos(folder: Path) -> Path:
    """Eight photos of two categories; one of them."""
    for category in ("boots", "hats"):
        (folder / category).mkdir(parents=True)
        for path in sorted((ROOT / "data/train" / category).iterdir())[:8]:
            shutil.copy(path, folder / category)
    return next((folder / "boots").iterdir())


def flows(known: str, *drawn: str) -> list[tuple[str, ...]]:
    return [
        ("extract", "photos", "-b", "colour"), ("fit", "--clf", "centroid"), ("similar", known), ("info", "--check"),
        ("backbones",), ("export", "--to", "npy", "-o", "x.npy"), ("predict", "photos"),
        ("compare", "--clf", "knn", "--folds", "2"), ("report",), ("duplicates",), ("issues",),
        ("extract", "photos", "-b", "builtin"), ("demo", "--no-run", *drawn),
    ]  # fmt: skip


def test_the_main_flows_open_no_socket(featx, tmp_path, monkeypatch):
    def refused(*words: object, **named: object) -> None:
        opened.append(words)
        raise OSError("no network in this test")

    opened: list[tuple[object, ...]] = []
    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refused)
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refused)
    known = some_photos(tmp_path / "photos").relative_to(tmp_path)
    for words in flows(str(known), "--products", "7", "--shots", "1", "--size", "32"):
        ran = featx(*words)
        assert ran.returncode == 0, ran.stderr
    assert opened == []


@pytest.mark.long
def test_neither_do_they_while_their_libraries_are_loaded(featx_commands, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(NO_SOCKETS)
    probe = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"],
        env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "A SOCKET WAS OPENED" in probe.stderr
    commands = flows(str(some_photos(tmp_path / "photos").relative_to(tmp_path)))
    answers = featx_commands(*commands, PYTHONPATH=f"{site}:{ROOT}")
    assert [(ran.args, ran.stderr) for ran in answers if ran.returncode or "A SOCKET WAS OPENED" in ran.stderr] == []
    assert len(answers) == len(commands)


def test_openvino_comes_without_its_telemetry(tmp_path):
    pytest.importorskip("openvino", reason="openvino is not installed")
    ran = alone(
        tmp_path,
        "import sys\n"
        "from featx.backbones.engines.no_telemetry import import_without_telemetry\n"
        "import_without_telemetry('openvino').Core()\n"
        "assert sys.modules['openvino_telemetry'] is None",
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (tmp_path / "intel").exists()


def test_onnx_runtime_gives_this_machine_no_number(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    imported = "from featx.backbones.engines.no_telemetry import import_without_telemetry as without\n"
    ran = alone(tmp_path, imported + "without('onnxruntime')")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert not (tmp_path / ".cache").exists(), "where it keeps the number, and what it has not sent yet"


def alone(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code at home in a folder, without sockets, and without what tells libraries that they are tested."""
    (folder / "sitecustomize.py").write_text(NO_SOCKETS)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{folder}:{ROOT}", "HOME": str(folder)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "engine", [pytest.param(engine, marks=pytest.mark.long) for engine in ("openvino", "int8", "onnxruntime")]
)
def test_libraries_that_report_their_use_are_kept_from_it(featx_process, tmp_path, engine):
    for name in {"openvino": ["openvino"], "int8": ["openvino", "nncf"], "onnxruntime": ["onnxruntime", "onnx"]}[
        engine
    ]:
        pytest.importorskip(name, reason=f"{name} is not installed")
    site, home = tmp_path / "site", tmp_path / "home"
    site.mkdir()
    home.mkdir()
    (site / "sitecustomize.py").write_text(
        NO_SOCKETS
        + "from multiprocessing.process import BaseProcess\n"
        + "BaseProcess.start = lambda self: sys.stderr.write('A PROCESS WAS STARTED\\n')\n"
    )
    (tmp_path / "photos").mkdir()
    for path in sorted((ROOT / "data/train/boots").iterdir())[:3]:
        shutil.copy(path, tmp_path / "photos")
    options = ["--precision", "int8"] if engine == "int8" else ["--engine", engine]
    options += ["-b", "squeezenet1_1", "--weights", "random"]
    ran = featx_process("extract", "photos", *options, PYTHONPATH=f"{site}:{ROOT}", HOME=str(home))
    assert ran.returncode == 0, ran.stderr
    assert "WAS" not in ran.stderr
    # Where the libraries would keep the number by which they tell people apart.
    assert not (home / "intel").exists()


# --- what is handed out ----------------------------------------------------------------------------------------------


def build(target: Path, umask: int, **environment: str) -> tuple[Path, Path]:
    """A wheel and a source archive by the project's own settings; of a copy of the sources, so that nothing changes."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel and is not installed")
    sources = target / "sources"
    sources.mkdir(parents=True)
    for name in ("featx", "tests", "artifacts", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, sources)
    for path in sources.rglob("*"):
        path.chmod(0o777 & ~umask if path.is_dir() else 0o666 & ~umask)
    code = "import sys; from hatchling.build import *; build_wheel(sys.argv[1]); build_sdist(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(target)], cwd=sources, capture_output=True, text=True, check=False,
        env={**os.environ, **environment}, umask=umask,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return next(target.glob("*.whl")), next(target.glob("*.tar.gz"))


def test_the_wheel_holds_the_package_and_nothing_else_and_is_built_the_same_twice(featx_process, folder, tmp_path):
    first, archive = build(tmp_path / "one", 0o022, TZ="UTC")
    time.sleep(1.1)
    second, other = build(tmp_path / "two", 0o077, TZ="Asia/Tokyo", LC_ALL="C")
    assert first.read_bytes() == second.read_bytes()
    assert archive.read_bytes() == other.read_bytes()
    names = zipfile.ZipFile(first).namelist()
    sources = tmp_path / "one/sources"
    wanted = {path.relative_to(sources).as_posix() for path in (sources / "featx").rglob("*") if path.is_file()}
    inside = {name for name in names if name.startswith("featx/")}
    assert inside == wanted
    assert {
        "featx/backbones/builtin.safetensors",
        "featx/backbones/engines/int8_images.jpg",
        "featx/py.typed",
    } <= inside
    assert all(name.startswith("featx/") or ".dist-info/" in name for name in names)
    named = {"README.md", "Containerfile", "featx-serve.service"}
    suffixes = {Path(name).suffix for name in inside if Path(name).name not in named}
    assert suffixes <= {
        ".py",
        ".json",
        ".safetensors",
        ".typed",
        ".html",
        ".css",
        ".js",
        ".j2",
        ".svg",
        ".txt",
        ".jpg",
    }, suffixes
    with tarfile.open(archive) as file:
        tops = {name.split("/")[1] for name in file.getnames()}
    own = {"featx", "tests", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"}
    assert tops - {"PKG-INFO", ".gitignore"} == own
    zipfile.ZipFile(first).extractall(tmp_path / "site")
    ran = featx_process("extract", "photos", "-b", "colour", "--store", "a.h5", PYTHONPATH=str(tmp_path / "site"))
    assert ran.returncode == 0 and len(open_store(tmp_path / "a.h5")) == 12, ran.stderr


def test_every_dependency_names_the_lowest_version_that_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(requirement for extra in project["optional-dependencies"].values() for requirement in extra),
    ]
    for requirement in wanted:
        assert requirement.startswith("featx[") or re.fullmatch(
            r"[A-Za-z0-9_-]+(\[[a-z0-9]+\])?[>=]=[0-9][0-9.]*(,<[0-9.]+)?", requirement
        ), requirement
    ran = (ROOT / ".ci/lowest").read_text(encoding="utf-8")
    assert "lowest-direct" in ran and os.access(ROOT / ".ci/lowest", os.X_OK)
