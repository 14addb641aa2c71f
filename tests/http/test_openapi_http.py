"""The API describes itself, truly, and its page loads nothing from anywhere else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from adapters.openapi import OpenApiDocuments
from adapters.scripted.guarded_web import ScriptedWeb, answered
from application.agents.agents import ListAgents
from application.health import CheckHealth
from application.paging import Page
from http_answers import Client, http_alone

PUBLIC = {
    "/api/v1/user/register",
    "/api/v1/user/login",
    "/api/v1/user/refresh",
    "/api/v1/user/icons/{name}",
    "/api/v1/files/{file_id}/{name}",
    "/health",
    "/health/ready",
    "/metrics",
}


class NoAgents:
    async def __call__(self, *_: object) -> Page[Any]:
        return Page((), "more")


@pytest.fixture(scope="module")
def http() -> Iterator[Client]:
    with http_alone(CheckHealth(()), (ListAgents, NoAgents())) as client:
        yield client


@pytest.fixture(scope="module")
def document(http: Client) -> dict[str, Any]:
    response = http.get("/docs/openapi.json", headers={"authorization": ""})
    assert response.status_code == 200
    described: dict[str, Any] = response.json()
    return described


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, verb, operation)
        for path, item in document["paths"].items()
        for verb, operation in item.items()
        if verb in {"get", "post", "put", "delete", "head"}
    ]


def validator(document: dict[str, Any], pointer: str) -> jsonschema.Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource("urn:api", Resource(document, DRAFT202012))
    return jsonschema.Draft202012Validator({"$ref": f"urn:api#{pointer}"}, registry=registry)


def test_it_describes_what_the_reference_shows(document: dict[str, Any]) -> None:
    described = {(path, verb) for path, verb, _ in operations(document)}
    assert described >= {
        ("/api/v1/user/register", "post"),
        ("/api/v1/user/login", "post"),
        ("/api/v1/user/info", "get"),
        ("/api/v1/user/update", "put"),
        *(("/api/v1/agent", verb) for verb in ("get", "post", "put", "delete")),
        ("/api/v1/agent/search", "post"),
        ("/api/v1/chat", "post"),
        ("/health", "get"),
    }
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == "1.2.3"


def test_every_reference_leads_somewhere_and_every_schema_is_one(document: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_operation_says_what_it_is_and_how_it_fails(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, verb, operation in operations(document):
        assert operation["summary"], (path, verb)
        assert operation["tags"], (path, verb)
        kind = "OpenAIError" if path.startswith("/api/v1/openai/") else "Error"
        assert operation["responses"]["default"] == {"$ref": f"#/components/responses/{kind}"}, (path, verb)
        assert "400" not in operation["responses"]
        assert ("401" in operation["responses"]) is (path not in PUBLIC), (path, verb)


def test_a_model_that_has_this_document_as_a_tool_is_not_offered_the_word_of_a_person(document: dict[str, Any]) -> None:
    described = OpenApiDocuments(ScriptedWeb(answered())).read(
        json.dumps({**document, "servers": [{"url": "http://a"}]})
    )
    assert "ApiV1AgentCreateAgent" in described.operations
    assert not [name for name in described.operations if "approve" in name.lower() or name == "McpServeMcp"]


def test_a_bearer_token_is_what_it_takes(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearerAuth": []}]
    scheme = document["components"]["securitySchemes"]["bearerAuth"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    public = {path for path, _, operation in operations(document) if operation.get("security") == [{}]}
    assert public == PUBLIC


def test_answers_are_as_described(http: Client, document: dict[str, Any]) -> None:
    listed = http.get("/api/v1/agent").json()
    validator(document, "/components/schemas/PageEnvelope_AgentView").validate(listed)
    for path in ("/nope", "/api/v1/agent?limit=x"):
        validator(document, "/components/schemas/ErrorEnvelope").validate(http.get(path).json())


def test_a_body_that_may_be_left_out_is_not_required(document: dict[str, Any]) -> None:
    assert document["paths"]["/api/v1/agent"]["delete"]["requestBody"]["required"] is False
    assert document["paths"]["/api/v1/agent"]["post"]["requestBody"]["required"] is True


def test_the_page_names_no_other_host(http: Client) -> None:
    page = http.get("/docs", headers={"authorization": ""})
    assert page.headers["content-type"].startswith("text/html")
    assert "//" not in page.text.replace("<!doctype html>", "")
    assert "<script>" not in page.text
    for asset in re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text):
        assert http.get(f"/{asset}", headers={"authorization": ""}).status_code == 200, asset


def test_the_page_may_load_from_here_only(http: Client) -> None:
    policy = http.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert not re.search(r"https?:|\*", policy)
    assert "script-src 'self';" in policy


def test_the_script_loads_nothing_by_itself(http: Client) -> None:
    """Addresses in it are words of its texts: an example, the homepage of a library."""
    script = http.get("/docs/assets/openapi-explorer.min.js").text
    hosts = set(re.findall(r"https?://([\w.-]+)", script))
    assert hosts <= {"example.com", "localhost", "github.com", "marked.js.org"}


def test_no_file_leaves_the_folder(http: Client) -> None:
    for name in ("..%2F..%2Fapp.py", "openapi-explorer.LICENSE", "%2Fetc%2Fpasswd", "docs.css%00"):
        assert http.get(f"/docs/assets/{name}").status_code == 404
