"""Weights files: find them in torch's cache, fetch them, and never read one that is not what it should be."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from featx.aside import write_aside, written_aside
from featx.errors import FeatxError, did_you_mean
from featx.plain import open_plain, read_json

if TYPE_CHECKING:
    import torch

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has no advisory locks; two downloads at once there only cost time
    fcntl = None

PUBLISHER = "https://download.pytorch.org/models/"
SUFFIXES = (".pth", ".pt", ".safetensors")
_PREFIX = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])")
_BLOCK = 1 << 20
# The names and shapes of some 80,000 tensors; the largest networks have a few thousand.
_NAMES = 8 << 20
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)$")
# A body that stops moving is given longer than a server that never says a word: the bytes so far are worth waiting for.
_STALL = 3.0
_TRIES = 100

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Published:
    """One weights file that its makers offer for download."""

    backbone: str
    weights: str
    url: str
    size: int
    top1: float | None = None

    @property
    def file_name(self) -> str:
        """The name the file has in torch's cache."""
        return file_name(self.url)


def _ours(backbone: str, file: str, size: int, top1: float) -> Published:
    return Published(backbone, "IMAGENET1K_V1", PUBLISHER + file, size, top1)


# Small to large. Known here as well as in torchvision, so that listing them and choosing one wait for no torch import.
# All are the plain first recipes: the later ones score higher on ImageNet, but by smoothing that hurts fixed features.
RECOMMENDED = (
    _ours("squeezenet1_0", "squeezenet1_0-b66bff10.pth", 5_010_096, 58.092),
    _ours("shufflenet_v2_x1_0", "shufflenetv2_x1-5666bf0f80.pth", 9_218_031, 69.362),
    _ours("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", 10_306_454, 67.668),
    _ours("mobilenet_v2", "mobilenet_v2-b0353104.pth", 14_213_448, 71.878),
    _ours("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth", 21_444_428, 77.692),
    _ours("mobilenet_v3_large", "mobilenet_v3_large-8738ca79.pth", 22_139_633, 74.042),
    _ours("densenet121", "densenet121-a639ec97.pth", 32_342_921, 74.434),
    _ours("resnet18", "resnet18-f37072fd.pth", 46_830_453, 69.758),
    _ours("resnet34", "resnet34-b627a593.pth", 87_320_166, 73.314),
    _ours("resnet50", "resnet50-0676ba61.pth", 102_530_808, 76.13),
    _ours("swin_t", "swin_t-704ceda3.pth", 113_445_437, 81.474),
    _ours("convnext_tiny", "convnext_tiny-983f1562.pth", 114_419_564, 82.52),
)


def published_weights() -> list[Published]:
    """Every weights file torchvision publishes for classification, by network name (imports torchvision)."""
    from torchvision import models

    return [
        Published(
            name,
            entry.name,
            entry.url,
            round(float(entry.meta["_file_size"]) * 2**20),
            _accuracy(entry.meta["_metrics"]),
        )
        for name in models.list_models(module=models)
        for entry in models.get_model_weights(name)
    ]


def _accuracy(metrics: Mapping[str, Mapping[str, float]]) -> float | None:
    # Weights without a last layer have "nan" there, which is no number in JSON.
    top1 = metrics.get("ImageNet-1K", {}).get("acc@1")
    return None if top1 is None or math.isnan(top1) else top1


def published(backbone: str, weights: str | None = None) -> Published:
    """The published file of a network; without a weights name, its plain ImageNet-1K recipe."""
    for entry in RECOMMENDED:
        if entry.backbone == backbone and weights in (None, entry.weights):
            return entry
    every = published_weights()
    mine = [entry for entry in every if entry.backbone == backbone]
    if not mine:
        raise FeatxError(
            "unknown-backbone",
            f"there are no published weights for `{backbone}`",
            did_you_mean(
                backbone, sorted({entry.backbone for entry in every}), "`featx weights list --all` names all there are"
            ),
        )
    for entry in mine:
        if entry.weights == (weights or "IMAGENET1K_V1"):
            return entry
    if weights is None:
        return mine[0]
    names = [entry.weights for entry in mine]
    raise FeatxError("bad-flag", f"`{backbone}` has no weights `{weights}`", f"it has {', '.join(names)}")


def weights_folder() -> Path:
    """Where torch keeps downloaded weights: $TORCH_HOME, else the cache folder of this account."""
    home = os.environ.get("TORCH_HOME")
    if not home:
        home = str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def file_name(url: str) -> str:
    """The name under which the file of this address is kept."""
    name = unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    if not name or name in (".", "..") or "\\" in name or "\0" in name:
        raise FeatxError("bad-flag", f"the address `{url}` names no file")
    return name


def hash_prefix(name: str) -> str | None:
    """The beginning of the SHA-256 that publishers write into a file's name, such as the end of `resnet50-0676ba61`."""
    found = _PREFIX.search(name)
    return found[1] if found and not _DATE.fullmatch(found[1]) else None


def file_sha256(path: Path | str) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_url(url: str) -> str:
    """The address to fetch from: the publisher's, or the mirror's if `FEATX_WEIGHTS_MIRROR` names one."""
    mirror = os.environ.get("FEATX_WEIGHTS_MIRROR", "").strip()
    if mirror and url.startswith(PUBLISHER):
        url = mirror.rstrip("/") + "/" + url.removeprefix(PUBLISHER)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise FeatxError(
            "bad-config" if mirror else "bad-flag",
            f"`{url}` is no web address",
            "`FEATX_WEIGHTS_MIRROR` must begin with https:// or http://" if mirror else "it must begin with https://",
        )
    return url


def offline() -> bool:
    """Whether the person asked for no network at all, with `FEATX_OFFLINE=1`."""
    return os.environ.get("FEATX_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


# --- finding and checking -------------------------------------------------------------------------------------------


def find_weights(url: str) -> Path | None:
    """The file of this address in torch's cache, checked; None where there is none."""
    path = weights_folder() / file_name(url)
    if not path.is_file():
        return None
    verify_weights(path)
    return path


def verify_weights(path: Path, *, sha256_prefix: str | None = None) -> str:
    """The file's SHA-256, after holding it to its name and to what it was when it was first checked."""
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    _hold(path, digest, sha256_prefix)
    return digest


def state_folder() -> Path:
    """Where featx notes the full SHA-256 of each published file it has checked."""
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "featx" / "weights"


def _hold(path: Path, digest: str, sha256_prefix: str | None = None) -> None:
    published_prefix = hash_prefix(path.name)
    wanted = (sha256_prefix or published_prefix or "").lower()
    if not digest.startswith(wanted):
        raise FeatxError(
            "weights-broken",
            f"`{path}` is damaged or not what its name says: "
            f"its SHA-256 begins with {digest[: len(wanted)]}, not {wanted}",
            f"delete it and get it again with `featx weights get`; if the file is your own and `{wanted}` is no "
            "checksum, rename it",
            {"path": str(path), "sha256": digest, "wanted": wanted},
        )
    if not published_prefix:
        return
    # Eight characters stop accidents, not a forger; the whole digest, once seen, stops both.
    note = state_folder() / f"{path.name}.json"
    try:
        noted = read_json(note)["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        noted = None
    if noted is None:
        # A read-only home is no reason to stop: the published beginning has been checked.
        with suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            write_aside(note, (json.dumps({"sha256": digest, "first_seen_at": str(path)}) + "\n").encode())
    elif noted != digest:
        raise FeatxError(
            "weights-broken",
            f"`{path}` has changed since featx first checked it, though its published checksum still fits",
            f"someone may have tampered with it: delete it and get it again with `featx weights get`; if you trust "
            f"the file as it is now, delete {note}",
            {"path": str(path), "sha256": digest, "wanted": noted},
        )


def _unreadable(path: Path, error: OSError) -> FeatxError:
    if isinstance(error, FileNotFoundError):
        return FeatxError("no-such-file", f"there is no weights file `{path}`", "check the path")
    if isinstance(error, PermissionError):
        return FeatxError("no-permission", f"cannot read `{path}`: permission denied", "make the file readable for you")
    return FeatxError("weights-broken", f"cannot read `{path}`: {error.strerror or error}", "get the file again")


# --- loading --------------------------------------------------------------------------------------------------------


def load_state_dict(path: Path, *, sha256_prefix: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a weights file; its digest is checked before a byte is parsed, and no code in it ever runs."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise FeatxError(
            "bad-flag", f"`{path}` is no weights file featx reads", f"it reads {', '.join(SUFFIXES)} with a state dict"
        )
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FeatxError("weights-broken", f"`{path}` is not a regular file", "name a .pth or .safetensors file")
        # The bytes that are checked are the bytes that are parsed: nobody can swap the file in between.
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    _hold(path, hashlib.sha256(data).hexdigest(), sha256_prefix)
    loaded = _parse_safetensors(path, data) if path.suffix.lower() == ".safetensors" else _parse_torch(path, data)
    return _tensors_of(path, loaded, len(data))


def _parse_safetensors(path: Path, data: bytes) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if _NAMES < int.from_bytes(data[:8], "little") < len(data):
        raise _not_weights(path, "it names more tensors than a network has")
    try:
        return load(data)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise _not_weights(path, str(error)) from error


def _parse_torch(path: Path, data: bytes) -> object:
    import io
    import pickle

    import torch

    _must_be_flat(path, data)
    try:
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # damaged archives let a dozen kinds of error escape
        told = str(error)
        forbidden = re.search(r"GLOBAL ([\w.]+)", told) or re.search(r"Unsupported (?:global|class) ([\w.]+)", told)
        torchscript = "TorchScript" in told
        if isinstance(error, pickle.UnpicklingError) and (forbidden or torchscript):
            what = "a TorchScript program" if torchscript else f"`{forbidden[1]}`" if forbidden else "code"
            raise FeatxError(
                "weights-broken",
                f"`{path}` holds more than weights: loading it in full could run code ({what}); nothing of it was run",
                "use it only if you know where it comes from: save its state dict alone, as .safetensors or with "
                "`torch.save(model.state_dict(), ...)`",
                {"path": str(path), "found": forbidden[1] if forbidden else "TorchScript"},
            ) from error
        inner = re.search(r"WeightsUnpickler error:\s*(\S.*)", told)
        said = inner[1] if inner else told.splitlines()[0] if told else type(error).__name__
        raise _not_weights(path, said[:160]) from error


def _must_be_flat(path: Path, data: bytes) -> None:
    """torch never squeezes what it saves: a file unfolds to no more than itself."""
    import io
    import zipfile

    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            parts = file.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise _not_weights(path, str(error)) from error
    if any(part.compress_type for part in parts) or sum(part.file_size for part in parts) > len(data):
        raise _not_weights(path, "it says that it unfolds to more than it holds")
    if any(part.file_size > _NAMES for part in parts if part.filename.endswith(".pkl")):
        raise _not_weights(path, "it names more tensors than a network has")


def _not_weights(path: Path, why: str) -> FeatxError:
    return FeatxError(
        "weights-broken",
        f"`{path}` cannot be read as weights: {why.rstrip('.')}",
        "the file is damaged or of another kind; get it again",
        {"path": str(path)},
    )


def _tensors_of(path: Path, loaded: object, size: int) -> dict[str, torch.Tensor]:
    import torch

    # Training scripts keep the optimizer and the epoch beside the weights.
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise _not_weights(path, f"it holds a {type(loaded).__name__}, not named tensors")
    odd = [
        str(name) for name, value in loaded.items() if not (isinstance(name, str) and isinstance(value, torch.Tensor))
    ]
    if odd:
        raise _not_weights(path, f"`{odd[0]}` is no tensor")
    tensors = cast("Mapping[str, torch.Tensor]", loaded)
    for name, value in tensors.items():
        # The same few numbers told again and again would be any number of them as soon as somebody copies them.
        if value.layout != torch.strided or value.numel() * value.element_size() > size:
            raise _not_weights(path, f"`{name}` says that it is larger than the file")
    wrapped = all(name.startswith("module.") for name in tensors)  # so DataParallel names them
    return {name.removeprefix("module.") if wrapped else name: value.detach() for name, value in tensors.items()}


# --- fetching -------------------------------------------------------------------------------------------------------


class _NoAnswer(Exception):
    """The server could not be reached, or did not begin to answer in time."""


class _Refused(Exception):
    """The server answered, but not with the file."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class _CutOff(Exception):
    """The body ended, or stood still, before it was complete."""


_watcher: ContextVar[Progress | None] = ContextVar("watcher", default=None)


@contextmanager
def watched_downloads(progress: Progress) -> Iterator[None]:
    """Tell `progress` of every download that opening a backbone begins meanwhile."""
    before = _watcher.set(progress)
    try:
        yield
    finally:
        _watcher.reset(before)


def fetch_weights(
    url: str, *, progress: Progress | None = None, timeout: float = 5.0, backbone: str | None = None
) -> Path:
    """The file of this address: from torch's cache, else downloaded into it, checked and whole or not at all.

    `timeout` is how long the server may take to begin its answer, in seconds; it is asked once.
    An interrupted download is continued by the next call, in this process or another.
    """
    name = file_name(url)
    target = weights_folder() / name
    progress = progress or _watcher.get()
    broken: FeatxError | None = None
    try:
        found = find_weights(url)
    except FeatxError as error:
        if error.code != "weights-broken":
            raise
        broken = error
    else:
        if found is not None:
            return found
    if offline():
        raise broken or weights_missing(url, "`FEATX_OFFLINE` forbids fetching them", backbone=backbone)
    source = source_url(url)
    host = urlsplit(source).hostname or source
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _part_of(target, source) as part:
            # Another process may have finished the download while this one waited for its turn.
            if broken is None and (found := find_weights(url)) is not None:
                part.drop()
                return found
            part.fill(source, timeout, progress)
            digest = part.check(hash_prefix(name), source, timeout, progress)
            _hold(target, digest)
            part.finish(target)
    except _NoAnswer as error:
        raise broken or weights_missing(
            url, f"{host} did not answer ({timeout:g} s)" if not str(error) else f"{host} {error}", backbone=backbone
        ) from error
    except _Refused as error:
        raise broken or weights_missing(url, f"{host} answered {error}", backbone=backbone) from error
    except _CutOff as error:
        raise broken or weights_missing(
            url,
            f"the download from {host} broke off ({error}); what came is kept and will be continued",
            backbone=backbone,
        ) from error
    except OSError as error:
        raise _cannot_write(target, error) from error
    return target


def weights_missing(url: str, why: str, *, backbone: str | None = None) -> FeatxError:
    """The error for weights that are neither here nor to be had: which file, from where, and what works without."""
    name = file_name(url)
    target = weights_folder() / name
    known = next((entry.backbone for entry in RECOMMENDED if entry.url == url), None)
    shown = backbone or known or name.removesuffix(f"-{hash_prefix(name)}{target.suffix}")
    instead = "builtin" if builtin_weights() is not None else "colour"
    return FeatxError(
        "weights-missing",
        f"the weights for `{shown}` are not on this machine, and {why}\nlooked in: {target}",
        f"on a machine with internet download {url}, copy that file here, then `featx weights add {name}`\n"
        f"or try without a download now: `--backbone {instead}`",
        {"backbone": shown, "url": url, "looked_in": str(target), "instead": instead},
    )


def builtin_weights() -> Path | None:
    """The weights file that travels with featx, where this installation has it."""
    path = Path(__file__).with_name("builtin.safetensors")
    return path if path.is_file() else None


def answers(url: str, *, timeout: float = 3.0) -> str:
    """Whether the file of this address could be fetched now: "" if so, else why not, within `timeout` seconds."""
    source = source_url(url)
    host = urlsplit(source).hostname or source
    try:
        _open(urllib.request.Request(source, method="HEAD"), timeout).close()
    except _NoAnswer as error:
        return f"{host} {error}" if str(error) else f"{host} did not answer ({timeout:g} s)"
    except _Refused as error:
        return f"{host} answered {error}"
    return ""


def _cannot_write(target: Path, error: OSError) -> FeatxError:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FeatxError(
            "disk-full", f"no room for `{target}`", "free some space, or set `TORCH_HOME` to a folder on another disk"
        )
    return FeatxError(
        "no-permission",
        f"cannot write `{target}`: {error.strerror or error}",
        "make the folder writable, or set `TORCH_HOME` to another folder",
    )


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to the web, and never from an encrypted page to a plain one."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The request to follow with, or an error for a target that is none of ours."""
        if urlsplit(newurl).scheme not in (("https",) if req.type == "https" else ("http", "https")):
            raise urllib.error.HTTPError(req.full_url, code, "a redirect to another kind of address", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(request: urllib.request.Request, timeout: float) -> HTTPResponse:
    """Ask once; an answer must begin within `timeout` seconds in all, however many addresses the name has."""
    opener = urllib.request.build_opener(_WebOnly)
    request.add_header("User-Agent", "featx")
    request.add_header("Accept-Encoding", "identity")
    outcome: list[HTTPResponse | BaseException] = []
    lock, given_up = threading.Lock(), threading.Event()

    def ask() -> None:
        result: HTTPResponse | BaseException
        try:
            result = cast("HTTPResponse", opener.open(request, timeout=timeout * _STALL))
        except BaseException as error:  # told to the thread that waits
            result = error
        with lock:
            if given_up.is_set():
                _close(result)
            else:
                outcome.append(result)

    # Looking up a name and trying its addresses one by one cannot be bounded from within; waiting for it can.
    thread = threading.Thread(target=ask, name="featx-weights", daemon=True)
    thread.start()
    thread.join(timeout)
    with lock:
        if not outcome:
            given_up.set()
            raise _NoAnswer
    answer = outcome[0]
    if isinstance(answer, HTTPResponse):
        return answer
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        raise _Refused(answer.code, f"{answer.code} ({answer.reason})") from answer
    if isinstance(answer, urllib.error.URLError):
        if isinstance(answer.reason, TimeoutError):
            raise _NoAnswer from answer
        raise _NoAnswer(f"cannot be reached ({_reason(answer.reason)})") from answer
    if isinstance(answer, OSError | HTTPException | ValueError):
        raise _NoAnswer(f"gave no proper answer ({_reason(answer)})") from answer
    raise answer


def _close(result: Any) -> None:
    if hasattr(result, "close"):
        result.close()


def _reason(reason: object) -> str:
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason) or type(reason).__name__


@contextmanager
def _part_of(target: Path, source: str) -> Iterator[_Part]:
    """The unfinished download of this address, held by this process alone while it is open."""
    key = hashlib.sha256(source.encode()).hexdigest()[:8]
    path = target.with_name(f".{target.name}.{key}.part")
    while True:
        file = path.open("a+b")
        _wait_for_turn(file)
        try:
            # Whoever held it before may have finished and renamed it: then this is a name for another file.
            current = path.stat()
        except FileNotFoundError:
            current = None
        held = os.fstat(file.fileno())
        if current is not None and (current.st_ino, current.st_dev) == (held.st_ino, held.st_dev):
            break
        file.close()
    part = _Part(path, file)
    try:
        yield part
    finally:
        part.tidy()
        file.close()


def _wait_for_turn(file: IO[bytes]) -> None:
    if fcntl is None:
        return
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:  # some network file systems have no locks; the download is checked before it counts anyway
            return


class _Part:
    """The bytes of a download so far, and a note of which version of the remote file they belong to."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self.file = file
        self.note = path.with_name(path.name + ".json")
        self.resumed = False
        self.finished = False

    @property
    def size(self) -> int:
        return self.file.seek(0, os.SEEK_END)

    def fill(self, source: str, timeout: float, progress: Progress | None) -> None:
        """Bring the file to its full length, going on where a line broke as long as each try brings something new."""
        for attempt in range(_TRIES):
            before = self.size
            try:
                self._try(source, timeout, progress)
                return
            except _CutOff:
                if self.size <= before or attempt == _TRIES - 1:
                    raise
            except _Refused as error:
                if error.status not in (206, 416) or not before:
                    raise
                self.drop()  # the remote file is no longer the one these bytes came from: begin anew
            except _NoAnswer as error:
                if not before:
                    raise
                raise _CutOff(str(error) or f"no answer for {timeout:g} s") from error

    def check(self, prefix: str | None, source: str, timeout: float, progress: Progress | None) -> str:
        """The digest of the whole file; a wrong one that grew in pieces gets one fresh try."""
        digest = file_sha256(self.path)
        if prefix and not digest.startswith(prefix) and self.resumed:
            self.drop()
            self.fill(source, timeout, progress)
            digest = file_sha256(self.path)
        if prefix and not digest.startswith(prefix):
            self.drop()
            raise FeatxError(
                "weights-broken",
                f"what {source} sent is not the published file: "
                f"its SHA-256 begins with {digest[: len(prefix)]}, not {prefix}",
                "nothing was kept; try again later, or check the mirror in `FEATX_WEIGHTS_MIRROR`"
                if os.environ.get("FEATX_WEIGHTS_MIRROR")
                else "nothing was kept; try again, or from another network: something on the way changes files",
                {"url": source, "sha256": digest, "wanted": prefix},
            )
        return digest

    def finish(self, target: Path) -> None:
        """Give the complete file its name, so that it survives a power loss whole or not at all."""
        os.fsync(self.file.fileno())
        if fcntl is None:
            self.file.close()
        self.path.replace(target)
        self.finished = True
        self.note.unlink(missing_ok=True)
        if fcntl is not None:
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def drop(self) -> None:
        """Forget the bytes so far."""
        self.note.unlink(missing_ok=True)
        self.file.truncate(0)
        self.resumed = False

    def tidy(self) -> None:
        """Leave nothing behind that the next try could not use."""
        if self.finished:
            return
        with suppress(OSError):
            if self.size == 0:
                self.path.unlink()
                self.note.unlink(missing_ok=True)

    def _try(self, source: str, timeout: float, progress: Progress | None) -> None:
        request = urllib.request.Request(source)
        noted = self._noted(source)
        if self.size and noted.get("validator"):
            request.add_header("Range", f"bytes={self.size}-")
            request.add_header("If-Range", str(noted["validator"]))
            if self.size == noted.get("length"):
                return
        with _open(request, timeout) as response:
            total = self._begin(source, response, noted)
            if progress:
                progress(self.size, total or 0)
            self._pour(response, total, progress)
        self.file.flush()
        if total is not None and self.size != total:
            raise _CutOff(f"{self.size:,} of {total:,} bytes")

    def _begin(self, source: str, response: HTTPResponse, noted: Mapping[str, object]) -> int | None:
        """Line the file up with what the server is about to send; how long the whole will be, if it says so."""
        length = response.headers.get("Content-Length", "")
        body = int(length) if length.isdigit() else None
        if response.status == 206:
            span = _RANGE.match(response.headers.get("Content-Range", ""))
            if span and int(span[1]) == self.size and (span[3] == "*" or int(span[3]) == noted.get("length")):
                self.resumed = True
                return cast("int | None", noted.get("length"))
            self.drop()
            raise _Refused(206, "206 with another part than was asked for")
        if response.status != 200:
            raise _Refused(response.status, f"{response.status} ({response.reason})")
        self.drop()
        if body is not None and shutil.disk_usage(self.path.parent).free < body:
            import errno

            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # A weak tag promises the same meaning, not the same bytes.
        tag = response.headers.get("ETag", "")
        validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        if validator and body is not None:
            told = json.dumps({"url": source, "validator": validator, "length": body}) + "\n"
            write_aside(self.note, told.encode())
        return body

    def _pour(self, response: HTTPResponse, total: int | None, progress: Progress | None) -> None:
        done = self.size
        try:
            while block := _arrived(response):
                self.file.write(block)
                done += len(block)
                if progress:
                    progress(done, total or done)
        finally:
            self.file.flush()

    def _noted(self, source: str) -> Mapping[str, object]:
        try:
            noted = read_json(self.note)
        except (OSError, ValueError):
            return {}
        return noted if isinstance(noted, dict) and noted.get("url") == source else {}


def _arrived(response: HTTPResponse) -> bytes:
    try:
        # What has arrived, not a full block: so a slow line shows its progress and keeps what it brought.
        return response.read1(_BLOCK)
    except TimeoutError as error:
        raise _CutOff("it stood still") from error
    except (HTTPException, OSError) as error:
        raise _CutOff(_reason(error)) from error


# --- bringing in, listing -------------------------------------------------------------------------------------------


def add_weights(file: Path, every: Sequence[Published] | None = None) -> Path:
    """Put a file that was downloaded elsewhere into torch's cache, under its published name, after checking it."""
    try:
        digest = file_sha256(file)
    except OSError as error:
        raise _unreadable(file, error) from error
    # Browsers rename downloads ("resnet50-0676ba61 (1).pth"); the content tells which file it is.
    name = _name_by_content(file, digest, RECOMMENDED)
    if name is None:
        name = _name_by_content(file, digest, published_weights() if every is None else every)
    prefix = hash_prefix(file.name)
    if name is None and prefix and digest.startswith(prefix):
        name = file.name
    if name is None and prefix:
        _hold(file, digest)
    if name is None:
        raise FeatxError(
            "weights-broken",
            f"`{file}` is none of the published weights files, or was damaged on its way",
            "to use weights of your own, leave the file where it is: "
            f"`featx extract IMAGES --backbone NAME --weights {file}`",
            {"path": str(file), "sha256": digest},
        )
    target = weights_folder() / name
    _hold(target, digest)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and file.samefile(target)):
            _copy_checked(file, target, digest)
    except OSError as error:
        raise _cannot_write(target, error) from error
    return target


def _name_by_content(file: Path, digest: str, known: Sequence[Published]) -> str | None:
    names = [entry.file_name for entry in known if digest.startswith(hash_prefix(entry.file_name) or "-")]
    return file.name if file.name in names else names[0] if names else None


def _copy_checked(file: Path, target: Path, digest: str) -> None:
    with file.open("rb") as source, written_aside(target) as copy:
        shutil.copyfileobj(source, copy, _BLOCK)
        copy.flush()
        if file_sha256(Path(copy.name)) != digest:
            raise FeatxError("weights-broken", f"`{file}` changed while it was copied", "add it again")


def weights_here() -> list[Path]:
    """The weights files in torch's cache, by name; none of them read."""
    folder = weights_folder()
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
