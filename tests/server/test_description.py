"""The description of the API is valid and complete, and the server answers as it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from featx import open_store
from featx.server.app import routes_of
from featx.text.reading import read_store
from tests.server.conftest import Served
from tests.server.test_review import worked
from tests.server.test_safety import listening
from tests.server.test_search import a_photo
from tests.text.readers import ListReader

BINARY = {"photo", "map_points"}
# What the examples call by other names than the shop of these tests.
HERE = {"sku123": "hats1-0", "sku874": "boots0-0"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return routes_of(None).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def fits(document: dict[str, Any], schema: dict[str, Any], value: object) -> None:
    import jsonschema

    jsonschema.Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_the_description_is_openapi_3_1_with_a_name_and_the_errors_of_every_route(document):
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names) and all(name.isidentifier() for name in names)
    for path, method, operation in operations(document):
        assert operation["summary"] and operation["responses"], f"{method} {path}"
    assert {"token", "session"} == set(document["components"]["securitySchemes"])


def test_every_parameter_body_answer_and_error_has_an_example_that_fits_its_schema(document):
    for _, _, operation in operations(document):
        name = operation["operationId"]
        for parameter in operation.get("parameters", ()):
            fits(document, parameter["schema"], parameter["example"])
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            if kind == "application/json":
                fits(document, content["schema"], content["example"])
        for status, answer in operation["responses"].items():
            for kind, content in answer["content"].items():
                if name in BINARY and status == "200":
                    continue
                assert "example" in content, (name, status)
                if kind.endswith("json"):
                    fits(document, content["schema"], content["example"])
                if kind == "application/problem+json":
                    assert content["example"]["status"] == int(status)


def test_every_operation_answers_its_own_example_as_described(document, shop, serve):
    read_store(open_store(), reader=ListReader(lambda image: ["RED DRESS"]))
    served = serve(classifier="centroid")
    headers = served.as_program("read", "classify", "review")
    worked(served, "/v1/map", headers)
    for path, method, operation in operations(document):
        if operation["operationId"] in ("begin_update", "infer", "take_back"):
            continue
        answer = served.client.request(method, **request_of(path, operation, headers))
        assert answer.status_code in (200, 201, 202), (path, answer.text)
        described = operation["responses"][str(answer.status_code)]["content"]
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in described, path
        if kind == "application/json":
            fits(document, described[kind]["schema"], answer.json())


def request_of(path: str, operation: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """A request by the examples of an operation, in the words of this shop."""
    given: dict[str, dict[str, Any]] = {place: {} for place in ("path", "query", "header")}
    for parameter in operation.get("parameters", ()):
        if parameter["name"] not in ("q", "label", "against"):
            given[parameter["in"]][parameter["name"]] = here(parameter["example"])
    request = {"url": path.format(**given["path"]), "params": given["query"], "headers": headers}
    body = operation.get("requestBody", {}).get("content", {})
    if "application/json" in body:
        example = body["application/json"]["example"]
        return request | {"json": {name: here(value) for name, value in example.items() if name != "digest"}}
    photo = {"content": a_photo(), "headers": headers | {"Content-Type": "image/jpeg"}}
    return request | (photo if body else {})


def here(value: Any) -> Any:
    if isinstance(value, list):
        return [here(one) for one in value]
    return HERE.get(value, value) if isinstance(value, str) else value


MANY = int(os.environ.get("FEATX_TEST_EXAMPLES", "60"))


@pytest.mark.parametrize(
    ("examples", "named"),
    [
        pytest.param(1, {"similar_to_item", "decide"}, id="few"),
        pytest.param(MANY, set(), marks=pytest.mark.long, id="many"),
    ],
)
def test_whatever_is_sent_is_answered_as_described(serve, document, examples: int, named: set[str]):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.config import SchemathesisConfig
    from schemathesis.generation import GenerationMode

    # A description cannot say which of all byte strings are photos, or which columns a shop has.
    config = SchemathesisConfig.from_dict({"checks": {"positive_data_acceptance": {"enabled": False}}})
    served: Served = serve(classifier="centroid")
    headers = served.as_program("read", "classify", "review")
    worked(served, "/v1/map", headers)
    schema = schemathesis.openapi.from_dict(document, config=config)
    quietly = settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate], report_multiple_bugs=False,
    )  # fmt: skip
    failures = []
    with listening(served) as (host, port):
        for operation in (result.ok() for result in schema.get_all_operations()):
            if named and operation.definition.raw["operationId"] not in named:
                continue
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

                @quietly
                @given(case=operation.as_strategy(generation_mode=mode))
                def answers(case: Any) -> None:
                    case.call_and_validate(base_url=f"http://{host}:{port}", headers=headers)

                try:
                    answers()
                except Unsatisfiable:
                    # Nothing about a request without parameters and body can be wrong.
                    assert mode is GenerationMode.NEGATIVE and "requestBody" not in operation.definition.raw
                except BaseExceptionGroup as group:
                    failures.append((operation.label, [str(error) for error in group.exceptions]))
    assert not failures, "\n\n".join(map(str, failures))


@pytest.mark.long
def test_a_generated_client_asks_the_server(served: Served, document, tmp_path: Path):
    """`openapi-python-client` needs an older typer than featx, so it stands in an environment of its own."""
    import json

    program = shutil.which(os.environ.get("FEATX_OPENAPI_CLIENT", "openapi-python-client"))
    if program is None:
        pytest.skip("openapi-python-client is not here: set FEATX_OPENAPI_CLIENT to the program")
    (tmp_path / "api.json").write_text(json.dumps(document))
    words = ["generate", "--path", "api.json", "--meta", "none", "--output-path", "made/shop_api"]
    made = subprocess.run([program, *words], cwd=tmp_path, capture_output=True, text=True)
    warnings = [line for line in made.stdout.splitlines() if line.startswith(("Unsupported", "Cannot", "ERROR"))]
    # It knows forms and bare bytes, and passes over bodies of kind image/….
    assert made.returncode == 0 and all(line.startswith("Unsupported content type image/") for line in warnings)
    token = served.service.access.tokens.add("program", ["read", "classify", "review"])
    script = f"""
from io import BytesIO
from shop_api import AuthenticatedClient
from shop_api.api.search import classify_photos, similar_to_item
from shop_api.api.catalogue import items
from shop_api.api.review import decide
from shop_api.models import NewDecision, Verdict
from shop_api.types import File
import sys
client = AuthenticatedClient(base_url=sys.argv[1], token={token!r})
found = similar_to_item.sync(client=client, id="boots0-0", k=3)
print([match.id for match in found.answers[0].results], found.answers[0].results[0].score)
(answer,) = classify_photos.sync(client=client, body=File(payload=BytesIO({a_photo()!r}))).answers
print(answer.category in ("boots", "hats", "mugs"))
print(items.sync(client=client, label="hats").total)
print(decide.sync(client=client, body=NewDecision(id="boots0-0", decision=Verdict.KEEP)).decision)
print(similar_to_item.sync(client=client, id="none").code)
"""
    with listening(served) as (host, port):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "made")}
        python = Path(program).with_name("python")
        ran = subprocess.run(
            [python if python.exists() else sys.executable, "-c", script, f"http://{host}:{port}"],
            capture_output=True, text=True, env=environment,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "boots" in ran.stdout and "True" in ran.stdout and "keep" in ran.stdout and "not-in-store" in ran.stdout
