"""Which servers of a document are told the credentials."""

import asyncio
import json
from typing import Any

import pytest

from adapters.openapi import OpenApiDocuments
from adapters.scripted.guarded_web import ScriptedWeb, answered
from domain.ids import ToolId
from domain.tools.credentials import Credentials

SECRET = Credentials(headers=(("X-Key", "a-secret"),))
HOME = "https://api.example/v1"


def document(*operations: dict[str, Any], **more: Any) -> str:
    parameter = {"name": "X-Key", "in": "header", "required": True, "schema": {"type": "string"}}
    paths = {f"/{at}": {"get": {"parameters": [parameter], **one}} for at, one in enumerate(operations)}
    return json.dumps({"openapi": "3.1.0", "servers": [{"url": HOME}], "paths": paths, **more})


def told(text: str) -> list[bool]:
    """For each operation, whether the request carries the credentials."""
    web = ScriptedWeb(answered())
    runners = OpenApiDocuments(web).runners(ToolId("t"), text, SECRET)
    for runner in runners:
        provided = "X-Key" not in runner.spec.parameters["properties"]  # type: ignore[operator]
        asyncio.run(runner.run({} if provided else {"X-Key": "of the model"}))
        assert provided == bool(web.requests[-1].credentials)
        assert ("X-Key", "of the model") not in web.requests[-1].headers or not provided
    return [bool(one.credentials) for one in web.requests]


def at(url: str) -> dict[str, Any]:
    return {"servers": [{"url": url}]}


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("https://api.example/v2", True),
        ("https://API.example:443/other", True),
        ("https://api.example:8443/v1", False),
        ("http://api.example/v1", False),
        ("https://evil.example/v1", False),
        ("https://api.example.evil.example", False),
        ("https://sub.api.example", False),
    ],
)
def test_only_the_origin_of_the_documents_first_server_is_told_the_credentials(url: str, is_told: bool) -> None:
    assert told(document({}, at(url))) == [True, is_told]


def test_also_a_path_and_a_second_server_of_the_document_are_another_origin() -> None:
    whole = json.loads(document({}, {}))
    whole["servers"].append({"url": "https://evil.example"})
    whole["paths"]["/1"]["servers"] = [{"url": "https://evil.example"}]
    assert told(json.dumps(whole)) == [True, False]


def test_an_operation_that_asks_for_no_proof_is_given_none() -> None:
    assert told(document({"security": []}, {"security": [{"k": []}]}, {})) == [False, True, True]
    assert told(document({}, security=[])) == [True]


def test_without_a_server_of_the_document_the_first_operation_says_whose_they_are() -> None:
    for servers in ([], [{"url": "/relative"}]):
        one, other = at("https://one.example"), at("https://other.example")
        assert told(document(one, other, one, servers=servers)) == [True, False, True]


def test_a_server_that_is_not_told_them_does_not_show_them_either() -> None:
    web = ScriptedWeb(answered("you are a-secret"))
    [runner] = OpenApiDocuments(web).runners(ToolId("t"), document({"security": []}), SECRET)
    assert "a-secret" not in asyncio.run(runner.run({"X-Key": "x"})).content
