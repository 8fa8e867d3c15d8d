"""Which device a network runs on, and why."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ParamSpec, TypeVar

from featx.backbones.base import OutOfMemory
from featx.compute.threads import cores
from featx.errors import FeatxError

P = ParamSpec("P")
R = TypeVar("R")


def import_torch() -> tuple[Any, Any]:
    """torch and torchvision; builds that do not fit together become a sentence instead of a missing operator."""
    torch = import_torch_alone()
    with _fitting_together():
        import torchvision
    return torch, torchvision


def import_torch_alone() -> Any:
    """torch, for networks that do without torchvision: importing that too takes as long as a photo."""
    with _fitting_together(), _patient_threads():
        import torch
    return torch


@contextmanager
def _fitting_together() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        installed = [f"{name} {number}" if number else f"no {name}" for name, number in torch_versions().items()]
        raise FeatxError(
            "torch-mismatch",
            f"{' and '.join(installed)} cannot work together: {type(error).__name__}: {error}",
            "reinstall both from one place: `pip install --force-reinstall torch torchvision`",
        ) from error


def torch_versions() -> dict[str, str]:
    """Which torch and torchvision are installed, without importing them; "" for one that is not."""
    versions = {}
    for name in ("torch", "torchvision"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    return versions


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Let torch's threads sleep while they wait for each other, unless the environment says otherwise.

    They would spin, which takes the cores from the threads that decode photos and from every neighbour. OpenMP reads
    this once, when it is loaded.
    """
    name = "OMP_WAIT_POLICY"
    if name in os.environ or "torch" in sys.modules:
        yield
        return
    os.environ[name] = "passive"
    try:
        yield
    finally:
        del os.environ[name]


def choose_device(requested: str) -> tuple[str, str]:
    """A device that exists, and a few words on which and why."""
    torch = import_torch_alone()
    threads = cores()
    cpu = f"CPU, {threads} thread{'' if threads == 1 else 's'}"
    kind, _, number = requested.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and (kind != "cuda" or not number.isdecimal())):
        raise FeatxError("bad-flag", f"there is no device `{requested}`", "choose auto, cpu, cuda, cuda:1 or mps")
    if kind == "cpu":
        return "cpu", cpu
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if kind == "cuda" and (not has_cuda or int(number or 0) >= torch.cuda.device_count()):
        build = (
            f"torch {torch.__version__} is a CPU-only build" if not torch.version.cuda else "no driver or no such GPU"
        )
        raise FeatxError(
            "no-gpu",
            f"torch sees no GPU for `--device {requested}`\n{build}",
            "`--device auto` uses what is available",
        )
    if kind == "mps" and not has_mps:
        raise FeatxError("no-gpu", "`--device mps` needs an Apple GPU, and there is none", "use `--device auto`")
    if kind == "cuda" or (kind == "auto" and has_cuda):
        device = requested if kind == "cuda" else "cuda"
        return device, f"GPU ({torch.cuda.get_device_name(device)})"
    if kind == "mps" or has_mps:
        return "mps", "the Apple GPU"
    return "cpu", f"{cpu} (no GPU found)"


def raises_out_of_memory(work: Callable[P, R]) -> Callable[P, R]:
    """Turn the several ways torch reports exhausted memory into `OutOfMemory`."""

    @wraps(work)
    def tried(*words: P.args, **named: P.kwargs) -> R:
        try:
            return work(*words, **named)
        except RuntimeError as error:
            message = str(error).lower()
            if type(error).__name__ == "OutOfMemoryError" or "out of memory" in message or "allocate memory" in message:
                raise OutOfMemory(str(error)) from error
            raise

    return tried
