"""An OpenAPI tool over the guarded web and a real socket: what arrives there, and what the model reads."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from adapters.openapi import OpenApiDocuments
from application.ports.guarded_web import GuardedWeb
from application.ports.tool_runner import ToolFailed, ToolRunner
from domain.ids import ToolId
from domain.tools.credentials import Credentials
from guarded_scene import guarded, saying
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange

KEY = Credentials((("Authorization", "Bearer s3cret-token"),), (("api_key", "s3 cret&"),))


def runner(url: str, web: GuardedWeb, credentials: Credentials = KEY) -> ToolRunner:
    parameters: list[dict[str, Any]] = [
        {"name": "city", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "q", "in": "query", "schema": {"type": "string"}},
        {"name": "X-Unit", "in": "header", "schema": {"type": "string"}},
        {"name": "session", "in": "cookie", "schema": {"type": "string"}},
    ]
    schema = {"type": "object", "properties": {"note": {"type": "string"}}}
    operation = {
        "parameters": parameters,
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
    }
    document = {"openapi": "3.1.0", "servers": [{"url": f"{url}/v1"}], "paths": {"/at/{city}": {"put": operation}}}
    return OpenApiDocuments(web).runners(ToolId("t"), json.dumps(document), credentials)[0]


async def test_the_request_arrives_as_it_was_described_with_the_credentials() -> None:
    async with ByteServer(saying(b'{"ok": true}', "Content-Type: application/json\r\n")) as server, guarded() as web:
        found = await runner(server.url, web).run(
            {"city": "a/b ü%2F", "q": "x&api_key=mine", "X-Unit": "K", "session": "a;b", "note": "天"}
        )
    (asked,) = server.exchanges
    assert asked.method == "PUT"
    assert asked.path.startswith("/v1/at/a%2Fb%20%C3%BC%252F?")
    assert sorted(parse_qsl(asked.path.partition("?")[2])) == [("api_key", "s3 cret&"), ("q", "x&api_key=mine")]
    assert (asked.headers["x-unit"], asked.headers["cookie"]) == ("K", "session=a%3Bb")
    assert asked.headers["authorization"] == "Bearer s3cret-token"
    assert asked.headers["content-type"] == "application/json"
    assert asked.body == '{"note":"天"}'.encode()
    assert '{"ok":true}' in found.content


async def test_what_a_server_repeats_of_the_credentials_is_masked_also_when_it_fails() -> None:
    async def echo(exchange: Exchange) -> None:
        await saying(f"{exchange.path} {exchange.headers['authorization']}".encode(), "", 401)(exchange)

    async with ByteServer(echo) as server, guarded() as web:
        with pytest.raises(ToolFailed, match="401 Unauthorized") as caught:
            await runner(server.url, web).run({"city": "x"})
    assert "***" in str(caught.value)
    assert "s3" not in str(caught.value)


async def test_an_address_that_is_closed_to_users_is_a_failed_call_and_nothing_arrives() -> None:
    async with ByteServer(saying(b"")) as server, guarded(opened=()) as web:
        with pytest.raises(ToolFailed):
            await runner(server.url, web).run({"city": "x"})
    assert server.exchanges == []


async def test_a_cancelled_call_closes_its_connection() -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.closed.wait()

    async with ByteServer(hang) as server, guarded() as web:
        task = asyncio.create_task(runner(server.url, web).run({"city": "x"}))
        while not server.exchanges:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(PATIENCE):
            await server.exchanges[0].closed.wait()
