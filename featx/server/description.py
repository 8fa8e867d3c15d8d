"""The description of the API: OpenAPI 3.1, with an example of every parameter, body, answer and error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from featx.server.answers import (
    CatalogueAnswer,
    CategoryAnswer,
    CategoryAnswers,
    ItemAnswer,
    ItemPage,
    ItemRecord,
    Share,
    SimilarAnswer,
    SimilarAnswers,
    SimilarItem,
    photo_address,
)
from featx.server.explain_routes import ExplanationAnswer
from featx.server.guard import is_open
from featx.server.health_routes import Health
from featx.server.map_routes import MapAnswer
from featx.server.problems import MEDIA_TYPE, Problem, too_large
from featx.server.protocol_routes import (
    OUTPUTS,
    Alive,
    InferAnswer,
    ModelMetadata,
    Ready,
    ServerMetadata,
    Tensor,
    TensorMetadata,
)
from featx.server.report_routes import ReportAnswer
from featx.server.review_routes import (
    DecisionRecord,
    DecisionsAnswer,
    DuplicateCase,
    DuplicatesAnswer,
    ReviewAnswer,
    ReviewCase,
)
from featx.server.updates import UpdateAnswer
from featx.version import __version__

Json = dict[str, Any]
SECURITY: Json = {
    "token": {"type": "http", "scheme": "bearer"},
    "session": {"type": "apiKey", "in": "cookie", "name": "featx-session"},
}

STATE, DIGEST = "3f9a1c07be52", "9b0c7f1d2a4e" + "0" * 52
MUG = ItemRecord(
    "sku874", "mug-blue", "mugs", DIGEST, photo_address("sku874", DIGEST), {"title": "Blue mug", "price": 12.5}
)
OTHER = replace(MUG, id="sku874-2", photo=photo_address("sku874-2", DIGEST))
ALIKE = SimilarItem(
    1, 0.9312, MUG.id, MUG.product, MUG.label, "very similar", 0.97, MUG.photo, {"title": "Blue mug", "price": 12.5}
)
CATEGORY = CategoryAnswer(
    "new.jpg", None, "mugs", 0.9541, False, None, 0.8817, [Share("mugs", 0.9541), Share("bowls", 0.0342)]
)
DECISION = DecisionRecord(
    "0b9f6d52c1", MUG.id, "change", "bowls", "mugs", "2026-03-02T09:15:00Z", "Ada"
)  # fmt: skip
SIMILAR = SimilarAnswers(STATE, [SimilarAnswer("new.jpg", None, [ALIKE], 1)])
EXPLANATION = ExplanationAnswer(
    STATE,
    {
        "category": "mugs",
        "sure": 0.9541,
        "runner_up": "bowls",
        "runner_up_sure": 0.0342,
        "log_odds": 3.3284,
        "parts": {"the whole shape": 2.1042, "colours": 1.2242},
        "rest": None,
        "words": [],
        "regions": {},
        "border": {
            "decides": False,
            "border_blurred": {"category": "mugs", "sure": 0.9213},
            "middle_blurred": {"category": "bowls", "sure": 0.4127},
        },
        "nearest": {"mugs": [{"id": MUG.id, "similarity": 0.9312}], "bowls": []},
    },
    None,
)
HEALTHY = Health("ok", STATE)
UPDATED = UpdateAnswer("ready", "", 0.941, 0.953, {"trainings": ["trained again: svm"]})
OUTPUT = {"category": "mugs", "sure": 0.9541, "review": False, "similarity": 0.8817, "error": ""}
PHOTO = Tensor("photo", [1], "BYTES", ["/9j/4AAQSkZJRgABAQ…"])

# The answer of every operation that answers in JSON or as text.
ANSWERS: Mapping[str, object] = {
    "similar_to_item": replace(SIMILAR, answers=[replace(SIMILAR.answers[0], query="sku123", id="sku123")]),
    "similar_to_photos": SIMILAR,
    "classify_photos": CategoryAnswers(STATE, "svm", "a person looks at answers below 0.62", [CATEGORY]),
    "explain_item": EXPLANATION,
    "explain_photo": EXPLANATION,
    "catalogue": CatalogueAnswer(
        STATE, __version__, 12_418, 9_210, ["bowls", "mugs"], ["price", "title"], {"material": ["clay", "glass"]},
        "svm", None, 0.953, False, ["read"], False, False,
    ),
    "items": ItemPage(STATE, 2, [MUG, OTHER], None),
    "item": ItemAnswer(STATE, MUG, [OTHER], replace(CATEGORY, query=MUG.id, id=MUG.id)),
    "review": ReviewAnswer(
        STATE, "ready", 1.0, 38, 7, [ReviewCase(replace(MUG, label="bowls"), [Share("mugs", 0.91)], "look", 5, 5)]
    ),
    "duplicates": DuplicatesAnswer(
        STATE, "ready", 1.0, 1, [DuplicateCase("same file", 1.0, ["mugs"], [MUG, OTHER])]
    ),
    "decide": DECISION,
    "take_back": replace(DECISION, key="undo-0b9f6d52c1", decision="undo", undone=True),
    "decisions": DecisionsAnswer(1, {"change": 1}, [DECISION]),
    "map": MapAnswer(STATE, "ready", 12_418, ["bowls", "mugs"]),
    "report": ReportAnswer("2026-03-02-091500", "/report"),
    "begin_update": UpdateAnswer("working", "starting", 0.941),
    "update": UPDATED,
    "protocol_server": ServerMetadata("featx", __version__, []),
    "protocol_live": Alive(),
    "protocol_ready": Ready(True),
    "model": ModelMetadata(
        "svm", [STATE], "featx", [TensorMetadata("photo", "BYTES", [-1])],
        [TensorMetadata(name, kind, [-1]) for name, kind in OUTPUTS],
    ),
    "model_ready": Ready(True, "svm"),
    "infer": InferAnswer("svm", STATE, [Tensor(name, [1], kind, [OUTPUT[name]]) for name, kind in OUTPUTS], "1"),
    "health_live": HEALTHY,
    "health": HEALTHY,
    "health_ready": HEALTHY,
    "metrics": 'featx_answers_total{route="/v1/similar",status="200"} 12\n',
}  # fmt: skip

# What is worked on when somebody asks.
WORKING: Mapping[str, object] = {
    "review": ReviewAnswer(STATE, "working", 0.4, 0, 0, []),
    "duplicates": DuplicatesAnswer(STATE, "working", 0.0, 0, []),
    "map": MapAnswer(STATE, "working", 12_418, ["bowls", "mugs"]),
}

# Every body that is JSON.
BODIES: Mapping[str, Json] = {
    "decide": {"id": MUG.id, "decision": "change", "new_label": "mugs", "digest": DIGEST},
    "infer": {"id": "1", "inputs": [asdict(PHOTO)]},
}

# A parameter of one name means the same everywhere.
PARAMETERS: Mapping[str, Any] = {
    "against": "bowls",
    "copies": False,
    "diverse": False,
    "id": "sku123",
    "idempotency-key": "0b9f6d52c1",
    "item_id": MUG.id,
    "k": 5,
    "key": "0b9f6d52c1",
    "label": "mugs",
    "like": ["sku123"],
    "limit": 50,
    "min_similarity": 0.5,
    "model": "featx",
    "q": "mug",
    "queue": "labels",
    "row": [0, 17],
    "side": 256,
    "start": 0,
    "text": "red dress",
    "top": 3,
    "unlike": [MUG.id],
    "v": DIGEST[:12],
    "where": "price < 20",
}

PROBLEMS = (
    Problem(400, "bad-column", "the catalogue has no column `prize`", "did you mean `price`?"),
    Problem(401, "not-logged-in", "this needs a login", "send `Authorization: Bearer TOKEN`"),
    Problem(403, "forbidden", "this needs the scope `read`", "make a token with `--scope read`"),
    Problem(404, "not-in-store", "no item or product `sku1`", "`/v1/items` lists them"),
    Problem(408, "too-slow", "the body took too long to arrive", "send it again"),
    Problem(409, "no-model", "there is no classifier yet", "train one: `featx fit`"),
    too_large(20 * 2**20),
    Problem(415, "unsupported-type", "a body of type `text/plain` is no photo", "send the file as `image/jpeg`"),
    Problem(421, "wrong-host", "the server has another name", "`featx serve --name NAME` allows one more"),
    Problem(422, "bad-request", "`k`: Input should be less than or equal to 200", "`/openapi.json` has the limits"),
    Problem(429, "too-many", "too many of your photos wait", "send fewer at a time", retry_after=1),
    Problem(500, "bug", "featx broke (ValueError)", "the trace is in the log"),
    Problem(503, "overloaded", "64 photos wait already", "try again", retry_after=1),
)  # fmt: skip


def description(app: FastAPI) -> Json:
    """The OpenAPI document, with the ways to log in."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        document["components"]["schemas"]["ProblemDetails"] = _problem_schema()
        document["components"]["securitySchemes"] = SECURITY
        document["security"] = [{"token": []}, {"session": []}]
        for path, operation in _operations(document):
            _add_examples(operation)
            if is_open(path):
                operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema


def _operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _add_examples(operation: Json) -> None:
    name = operation["operationId"]
    for parameter in operation.get("parameters", ()):
        parameter["example"] = PARAMETERS[parameter["name"]]
    if name in BODIES:
        operation["requestBody"]["content"]["application/json"]["example"] = BODIES[name]
    problems = {str(problem.status): vars(problem.details) for problem in PROBLEMS}
    for status, answer in operation["responses"].items():
        for kind, content in answer.get("content", {}).items():
            if kind == MEDIA_TYPE:
                content["example"] = problems[status]
            elif name in ANSWERS:
                content["example"] = _plain(WORKING[name] if name in WORKING and status == "202" else ANSWERS[name])


def _plain(answer: object) -> object:
    return answer if isinstance(answer, str) else asdict(answer)  # type: ignore[call-overload]


def _problem_schema() -> Json:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "The body of every error.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": text,
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "code": text,
            "hint": {"type": ["string", "null"]},
        },
    }
