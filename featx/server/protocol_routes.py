"""`/v2/…`: the Open Inference Protocol, which clients of KServe, Triton and OpenVINO Model Server speak."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from pydantic import StringConstraints
from starlette.responses import Response

from featx.images import open_photo
from featx.server.answers import CategoryAnswer, json_answer
from featx.server.generations import Generation
from featx.server.problems import Problem
from featx.server.requests import answers, needs, service_of
from featx.server.search_routes import categories_of
from featx.server.service import in_thread
from featx.server.tokens import CLASSIFY, READ, Caller
from featx.server.uploads import Upload
from featx.version import __version__

router = APIRouter(prefix="/v2", tags=["open inference protocol"])
Reader = Annotated[Caller, Depends(needs(READ))]
Classifying = Annotated[Caller, Depends(needs(CLASSIFY))]
Model = Annotated[str, StringConstraints(max_length=200)]


@dataclass(frozen=True)
class ServerMetadata:
    """Which server this is."""

    name: str
    version: str
    extensions: list[str]


@dataclass(frozen=True)
class TensorMetadata:
    """The name, type and shape of an input or output; -1 stands for any number of photos."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True)
class ModelMetadata:
    """What a classifier takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


@dataclass(frozen=True)
class Tensor:
    """The values of an input or output; photos are the bytes of their files in base64."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


@dataclass(frozen=True)
class InferRequest:
    """Photos to classify."""

    inputs: list[Tensor]
    id: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    outputs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class InferAnswer:
    """A row for each photo in every output; `error` is empty where there is an answer."""

    model_name: str
    model_version: str
    outputs: list[Tensor]
    id: str = ""


@dataclass(frozen=True)
class Alive:
    """Whether the server answers."""

    live: bool = True


@dataclass(frozen=True)
class Ready:
    """Whether a classifier can answer."""

    ready: bool
    name: str = "featx"


OUTPUTS = (("category", "BYTES"), ("sure", "FP32"), ("review", "BOOL"), ("similarity", "FP32"), ("error", "BYTES"))


@router.get("", name="protocol_server", responses=answers(ServerMetadata, errors=(421,)))
async def server() -> Response:
    """Which server this is."""
    return json_answer(ServerMetadata("featx", __version__, []))


@router.get("/health/live", name="protocol_live", responses=answers(Alive, errors=(421,)))
async def live() -> Response:
    """The server answers at all."""
    return json_answer(Alive())


@router.get("/health/ready", name="protocol_ready", responses=answers(Ready, errors=(421, 503)))
async def ready(request: Request) -> Response:
    """A classifier can answer."""
    known = service_of(request).now.predictor is not None
    return json_answer(Ready(known), 200 if known else 503)


@router.get("/models/{model}", name="model", responses=answers(ModelMetadata))
async def metadata(request: Request, model: Model, caller: Reader) -> Response:
    """What a classifier takes and gives; `featx` names the one of now."""
    generation = _require(service_of(request).now, model)
    outputs = [TensorMetadata(name, kind, [-1]) for name, kind in OUTPUTS]
    inputs = [TensorMetadata("photo", "BYTES", [-1])]
    name = generation.classifier.model.name
    return json_answer(ModelMetadata(name, [generation.name], "featx", inputs, outputs))


@router.get("/models/{model}/ready", responses=answers(Ready))
async def model_ready(request: Request, model: Model, caller: Reader) -> Response:
    """The classifier can answer."""
    generation = _require(service_of(request).now, model)
    return json_answer(Ready(True, generation.classifier.model.name))


@router.post("/models/{model}/infer", responses=answers(InferAnswer))
async def infer(
    request: Request, model: Model, caller: Classifying, wanted: Annotated[InferRequest, Body()]
) -> Response:
    """The category of every photo, in their order."""
    service = service_of(request)
    generation = _require(service.now, model)
    uploads = await in_thread(_photos, wanted, service.settings.limits.photos_in_form)
    computed = await service.computed(generation, uploads, caller)
    found = await in_thread(categories_of, generation, computed, 1)
    return json_answer(InferAnswer(generation.classifier.model.name, generation.name, _outputs(found), wanted.id))


def _require(generation: Generation, model: str) -> Generation:
    name = generation.classifier.model.name
    if model not in ("featx", name):
        raise Problem(404, "not-in-store", f"no classifier `{model}`", f"there is `{name}`")
    return generation


def _photos(wanted: InferRequest, most: int) -> list[Upload]:
    tensors = [tensor for tensor in wanted.inputs if tensor.name == "photo" and tensor.datatype == "BYTES"]
    if len(tensors) != 1 or len(wanted.inputs) != 1:
        raise Problem(400, "bad-request", "one input `photo` of BYTES is wanted", "photos are files in base64")
    data = tensors[0].data
    if not 1 <= len(data) <= most or tensors[0].shape not in ([len(data)], [len(data), 1]):
        raise Problem(400, "bad-request", f"{len(data)} photos of shape {tensors[0].shape}", f"send 1 to {most}")
    return [_upload(number, text) for number, text in enumerate(data)]


def _upload(number: int, text: Any) -> Upload:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise Problem(400, "bad-request", f"photo {number} is not base64", "encode the file's bytes") from error
    return Upload(f"photo {number}", open_photo(data, f"photo {number}"))


def _outputs(found: list[CategoryAnswer]) -> list[Tensor]:
    columns: dict[str, list[Any]] = {
        "category": [answer.category or "" for answer in found],
        "sure": [answer.sure or 0.0 for answer in found],
        "review": [answer.review for answer in found],
        "similarity": [answer.similarity or 0.0 for answer in found],
        "error": ["" if answer.error is None else answer.error.code for answer in found],
    }
    return [Tensor(name, [len(found)], kind, columns[name]) for name, kind in OUTPUTS]
