"""Any document: what it needs can be said, and what is sent is what it describes."""

import asyncio
import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.openapi import OpenApiDocuments
from adapters.scripted.guarded_web import ScriptedWeb, answered
from application.health import CheckHealth
from application.ports.tool_runner import ToolFailed, ToolRunner
from domain.ids import ToolId
from domain.tools.credentials import Credentials
from http_answers import http_alone
from unit.openapi_documents import arguments, documents, wrongs

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
VISIBLE = re.compile(r"[\x20-\x7e]*\Z")


def runners(document: Any, web: ScriptedWeb, credentials: Credentials | None = None) -> list[ToolRunner]:
    return list(OpenApiDocuments(web).runners(ToolId("t"), json.dumps(document), credentials or Credentials()))


def declared(document: Any) -> list[Any]:
    return [operation for item in document["paths"].values() for operation in item.values()]


@given(documents())
def test_names_are_unique_and_every_vendor_takes_them(document: Any) -> None:
    specs = [runner.spec for runner in runners(document, ScriptedWeb(answered()))]
    assert len({spec.name for spec in specs}) == len(specs) == len(declared(document))
    for spec in specs:
        jsonschema.Draft202012Validator.check_schema(spec.parameters)
        assert spec.parameters["type"] == "object"
        assert not spec.parameters.keys() & {"anyOf", "oneOf", "allOf", "$ref"}
        assert "$ref" not in json.dumps(spec.parameters)
        assert all(NAME.match(name) for name in [spec.name, *properties(spec.parameters)])


def properties(schema: Any) -> Any:
    return schema["properties"]


@given(documents())
def test_every_required_parameter_can_be_said_and_values_keep_their_rules(document: Any) -> None:
    for runner, operation in zip(runners(document, ScriptedWeb(answered())), declared(document), strict=True):
        parameters: Any = runner.spec.parameters
        needed = [one for one in operation["parameters"] if one["required"]]
        body = operation.get("requestBody", {"required": False})
        least, most = len(needed), len(needed) + (10 if body["required"] else 0)
        assert least <= len(parameters["required"]) <= most
        assert set(parameters["required"]) <= set(parameters["properties"])
        offered = [{**schema, "description": ""} for schema in parameters["properties"].values()]
        # Enums, defaults and limits too.
        assert all({**one["schema"], "description": ""} in offered for one in operation["parameters"])


@settings(max_examples=150)
@given(st.data())
def test_what_is_sent_is_what_the_document_describes(data: st.DataObject) -> None:
    document = data.draw(documents())
    web = ScriptedWeb(answered())
    for runner in runners(document, web):
        given_ = data.draw(arguments(runner.spec.parameters))
        assert jsonschema.Draft202012Validator(runner.spec.parameters).is_valid(given_)
        refused = refusal(runner, given_)
        if refused:
            assert re.search("must not be empty|ASCII|steps", refused)
        else:
            assert wrongs(document, web.requests[-1]) == []


def refusal(runner: ToolRunner, arguments: Any) -> str:
    try:
        asyncio.run(runner.run(arguments))
    except ToolFailed as problem:
        return str(problem)
    return ""


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["..", "\r\nA: b", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_whatever_a_model_writes_is_sent_safely_or_refused(data: st.DataObject) -> None:
    document = data.draw(documents())
    web = ScriptedWeb(answered())
    for runner in runners(document, web):
        names = sorted(properties(runner.spec.parameters))
        wild = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys([*names, "unknown"], json_like)))
        if refusal(runner, wild):
            continue
        sent = web.requests[-1]
        assert re.fullmatch(r"https://api\.example/v1/[\x21-\x7e]*", sent.url)
        assert "/../" not in f"{sent.url.partition('?')[0]}/"
        assert all(VISIBLE.match(value) and NAME.match(name) for name, value in sent.headers)


def test_our_own_interface_becomes_functions() -> None:
    with http_alone(CheckHealth(())) as http:
        document = http.get("/docs/openapi.json", headers={"authorization": ""}).json()
    document["servers"] = [{"url": "http://agents.example:8000"}]
    web = ScriptedWeb(answered('{"status_code":200,"data":[]}'))
    by_name = {runner.spec.name: runner for runner in runners(document, web)}
    assert len(by_name) > 60
    # A person's word on a call is never the model's to say.
    assert document["paths"]["/api/v1/chat/approve"]["post"]["operationId"] == "ApiV1ChatApproveApproveCall"
    assert not [name for name in by_name if "Approve" in name]
    listing = by_name["ApiV1AgentListAgents"]
    assert "agents" in listing.spec.description.lower() or "agent" in listing.spec.title.lower()
    found = asyncio.run(listing.run({"limit": 5}))
    assert web.requests[-1].url == "http://agents.example:8000/api/v1/agent?limit=5"
    assert '{"status_code":200,"data":[]}' in found.content
    asyncio.run(by_name["ApiV1AgentCreateAgent"].run({"name": "Ann", "description": None}))
    assert (web.requests[-1].method, web.requests[-1].body) == ("POST", b'{"name":"Ann","description":null}')


@pytest.mark.parametrize("where", ["query", "header", "cookie"])
def test_what_the_credentials_provide_is_not_asked_of_the_model(where: str) -> None:
    parameter = {"name": "X-Key", "in": where, "required": True, "schema": {"type": "string"}}
    document = {
        "openapi": "3.0.0",
        "servers": [{"url": "https://api.example"}],
        "paths": {"/a": {"get": {"parameters": [parameter]}}},
    }
    provided = {
        "query": Credentials(query=(("X-Key", "secret"),)),
        "header": Credentials(headers=(("x-key", "secret"),)),
        "cookie": Credentials(headers=(("Cookie", "X-Key=secret"),)),
    }[where]
    web = ScriptedWeb(answered())
    assert properties(runners(document, web)[0].spec.parameters) == {"X-Key": {"type": "string"}}
    runner = runners(document, web, provided)[0]
    assert runner.spec.parameters == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    asyncio.run(runner.run({"X-Key": "mine"}))
    assert web.requests[-1].credentials == provided
    assert "mine" not in repr(web.requests[-1])
    assert "secret" not in repr(web.requests[-1])
    assert "secret" not in repr(runner)
