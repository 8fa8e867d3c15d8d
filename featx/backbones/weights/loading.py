"""Weights files read as plain numbers: no code in them ever runs."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from featx.backbones.weights.cache import SUFFIXES, pin_digest, unreadable, weights_folder
from featx.errors import FeatxError

if TYPE_CHECKING:
    import torch
    from torch import nn

# The names and shapes of some 80,000 tensors; the largest networks have a few thousand.
MOST_NAMES = 8 << 20


def weights_file(given: str | None) -> Path | None:
    """The file that a value of `--weights` names, by its suffix or because it exists; None for a weights name.

    A name alone may be that of a file in the weights folder.
    """
    if given is None or given == "random":
        return None
    path = Path(given)
    if path.is_file():
        return path
    kept = weights_folder() / path.name
    if path.name == given and path.suffix.lower() in SUFFIXES and kept.is_file():
        return kept
    return path if path.suffix.lower() in SUFFIXES else None


def load_state_dict(path: Path, *, sha256_prefix: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a weights file; its digest is checked before a byte is parsed, and no code in it ever runs."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise FeatxError(
            "bad-flag", f"featx cannot read `{path}` as weights", f"it reads {', '.join(SUFFIXES)} with a state dict"
        )
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FeatxError("weights-broken", f"`{path}` is not a regular file", "name a .pth or .safetensors file")
        # The bytes that are checked are the bytes that are parsed: nobody can swap the file in between.
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    pin_digest(path, hashlib.sha256(data).hexdigest(), sha256_prefix)
    loaded = _parse_safetensors(path, data) if path.suffix.lower() == ".safetensors" else _parse_torch(path, data)
    return _tensors_of(path, loaded, len(data))


def put_tensors(
    network: nn.Module, tensors: Mapping[str, torch.Tensor], file: Path, name: str, unused: Sequence[str] = ()
) -> None:
    """Load tensors into a network, but those that are `unused`; what is missing or does not fit is named."""
    own = require_tensors(network, tensors, file, name, unused)
    network.load_state_dict({key: tensors[key] for key in own}, strict=False)


def require_tensors(
    network: nn.Module, tensors: Mapping[str, torch.Tensor], file: Path, name: str, unused: Sequence[str] = ()
) -> list[str]:
    """The names of the tensors that a network wants; an error where one is missing or of another shape."""
    own = {key: value for key, value in network.state_dict().items() if key not in unused}
    missing = [key for key in own if key not in tensors]
    misshapen = [key for key in own if key in tensors and own[key].shape != tensors[key].shape]
    if missing or misshapen:
        raise FeatxError(
            "weights-misfit",
            f"{file} does not hold weights of {name}\n{len(missing)} missing, {len(misshapen)} of another shape: "
            + ", ".join([*missing, *misshapen][:3]),
            "name the network the file was made for",
            {"missing": missing, "of_another_shape": misshapen},
        )
    return list(own)


def _parse_safetensors(path: Path, data: bytes) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load

    if MOST_NAMES < int.from_bytes(data[:8], "little") < len(data):
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
        message = str(error)
        forbidden = re.search(r"GLOBAL ([\w.]+)", message) or re.search(
            r"Unsupported (?:global|class) ([\w.]+)", message
        )
        torchscript = "TorchScript" in message
        if isinstance(error, pickle.UnpicklingError) and (forbidden or torchscript):
            raise _more_than_weights(path, forbidden[1] if forbidden and not torchscript else "") from error
        inner = re.search(r"WeightsUnpickler error:\s*(\S.*)", message)
        reason = inner[1] if inner else message.splitlines()[0] if message else type(error).__name__
        raise _not_weights(path, reason[:160]) from error


def _must_be_flat(path: Path, data: bytes) -> None:
    """torch never compresses what it saves, so a file may not claim to expand."""
    import io
    import zipfile

    if not data.startswith(b"PK"):
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            parts = file.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise _not_weights(path, str(error)) from error
    if any("/code/" in part.filename for part in parts):  # which torch does compress
        raise _more_than_weights(path)
    if any(part.compress_type for part in parts) or sum(part.file_size for part in parts) > len(data):
        raise _not_weights(path, "it claims to expand beyond the file size")
    if any(part.file_size > MOST_NAMES for part in parts if part.filename.endswith(".pkl")):
        raise _not_weights(path, "it names more tensors than a network has")


def _more_than_weights(path: Path, found: str = "") -> FeatxError:
    """The error for a file with code in it: what a pickle would call, or else a TorchScript program."""
    what = f"`{found}`" if found else "a TorchScript program"
    return FeatxError(
        "weights-broken",
        f"`{path}` contains more than weights: loading it in full could run code ({what}); none of it was run",
        "if you trust its source, save its state dict alone, as .safetensors or with "
        "`torch.save(model.state_dict(), ...)`",
        {"path": str(path), "found": found or "TorchScript"},
    )


def _not_weights(path: Path, why: str) -> FeatxError:
    return FeatxError(
        "weights-broken",
        f"`{path}` cannot be read as weights: {why.rstrip('.')}",
        "the file is damaged or of another kind; download it again",
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
        raise _not_weights(path, f"it contains a {type(loaded).__name__}, not named tensors")
    odd = [
        str(name) for name, value in loaded.items() if not (isinstance(name, str) and isinstance(value, torch.Tensor))
    ]
    if odd:
        raise _not_weights(path, f"`{odd[0]}` is not a tensor")
    tensors = cast("Mapping[str, torch.Tensor]", loaded)
    for name, value in tensors.items():
        # A few numbers repeated by strides would expand without limit when copied.
        if value.layout != torch.strided or value.numel() * value.element_size() > size:
            raise _not_weights(path, f"`{name}` claims to be larger than the file")
    wrapped = all(name.startswith("module.") for name in tensors)  # so DataParallel names them
    return {name.removeprefix("module.") if wrapped else name: value.detach() for name, value in tensors.items()}
