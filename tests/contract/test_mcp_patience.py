"""A server that hangs is counted before those who wait for it give up, with the times of production, made shorter."""

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import replace

import pytest

import adapters.mcp.opening  # noqa: F401 - it takes most of a second, which is not to be part of what is timed
from adapters.mcp.breaker import FAILURES
from application.chat.toolbox import LISTING_SECONDS
from application.ports.mcp_connections import McpUnavailable
from entrypoints.graph.tools import mcp_limits
from guarded_scene import saying
from mcp_scene import connecting, http_server
from servers.byte_server import ByteServer, Exchange

TOOL_SECONDS = 30.0
SHORTER = 0.05
USUAL = mcp_limits(TOOL_SECONDS)
LIMITS = replace(
    USUAL,
    call_seconds=USUAL.call_seconds * SHORTER,
    listing_seconds=USUAL.listing_seconds * SHORTER,
    connect_seconds=USUAL.connect_seconds * SHORTER,
)
GREETING = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}


async def hanging(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def hanging_in_calls(exchange: Exchange) -> None:
    """And says which listing it is, as the name of a tool."""
    if exchange.method != "POST" or "id" not in exchange.json:
        await saying(b"", status=405 if exchange.method == "GET" else 202)(exchange)
        return
    method, number = exchange.json["method"], exchange.json["id"]
    if method == "tools/call":
        await hanging(exchange)
    tools = [{"name": f"t{number}", "inputSchema": {"type": "object"}}]
    said = {"jsonrpc": "2.0", "id": number, "result": GREETING if method == "initialize" else {"tools": tools}}
    await saying(json.dumps(said).encode(), "content-type: application/json\r\n")(exchange)


async def given_up(asked: Awaitable[object], seconds: float) -> str:
    """As those do who wait for a server. Raises TimeoutError when they gave up before the connection did."""
    with pytest.raises(McpUnavailable) as trouble:
        async with asyncio.timeout(seconds * SHORTER):
            await asked
    return str(trouble.value)


async def test_a_server_that_hangs_when_it_is_asked_for_its_tools_is_left_alone_after_a_while() -> None:
    async with ByteServer(hanging) as server, connecting(LIMITS) as connections:
        target = http_server(server.url)
        for _ in range(FAILURES):
            assert "did not answer within" in await given_up(connections.tools(target), LISTING_SECONDS)
        assert "asked again in" in await given_up(connections.tools(target), LISTING_SECONDS)


async def test_a_server_that_hangs_in_calls_is_left_alone_after_a_while() -> None:
    async with ByteServer(hanging_in_calls) as server, connecting(LIMITS) as connections:
        target = http_server(server.url)
        for _ in range(FAILURES):
            assert "did not answer within" in await given_up(connections.call(target, "t", {}), TOOL_SECONDS)
        assert "asked again in" in await given_up(connections.call(target, "t", {}), TOOL_SECONDS)


async def test_who_wants_to_know_now_is_told_what_the_server_says_now() -> None:
    async with ByteServer(hanging_in_calls) as server, connecting() as connections:
        target = http_server(server.url)
        (first,) = await connections.tools(target)
        assert list(await connections.tools(target)) == [first]
        (now,) = await connections.tools(target, fresh=True)
        assert now != first
        assert list(await connections.tools(target)) == [now]
