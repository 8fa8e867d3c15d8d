"""The description of the API is valid and complete."""

from __future__ import annotations


def test_the_description_is_openapi_3_1_with_the_errors_of_every_route():
    from featx.server.app import routes_of

    document = routes_of(None).openapi()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"] and operation["responses"], f"{method} {path}"
    assert {"token", "session"} == set(document["components"]["securitySchemes"])
