"""MCP servers over HTTP that hang, flood, lie, or lead elsewhere: each costs itself, and is not asked too often."""

import asyncio
import itertools
import json
import logging
import resource
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.mcp.breaker import FAILURES, FIRST_PAUSE
from adapters.mcp.limits import McpLimits
from adapters.mcp.weights import MOST_VALUES
from application.ports.mcp_connections import McpUnavailable
from application.ports.tool_runner import ToolFailed
from application.tools.asking_depth import META_KEY, asking_depth
from domain.tools.mcp_servers import McpTransport
from domain.tools.tools import JsonValue
from guarded_scene import listening_at, saying, sending_to
from mcp_scene import PATHS, SECRET, connecting, http_server
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange, Script

LIMITS = McpLimits(connect_seconds=PATIENCE, listing_seconds=PATIENCE)
GREETING = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
JSON = "content-type: application/json\r\n"
MOST_MEMORY = 96 << 10
"""In KB: what a flood may take for a moment."""


def answering(method: str, script: Script, *, session: str = "s1", stream: Script | None = None) -> Script:
    """A server that is polite but for one method."""

    async def play(exchange: Exchange) -> None:
        if exchange.method == "GET" and stream is not None:
            await stream(exchange)
        elif exchange.method != "POST" or "id" not in exchange.json:
            await saying(b"", status=405 if exchange.method == "GET" else 202)(exchange)
        elif exchange.json["method"] == method:
            await script(exchange)
        elif exchange.json["method"] == "initialize":
            await result(GREETING, f"mcp-session-id: {session}\r\n")(exchange)
        else:
            await result({"tools": [], "content": [{"type": "text", "text": "done"}]})(exchange)

    return play


def result(value: object, headers: str = "") -> Script:
    async def script(exchange: Exchange) -> None:
        body = {"jsonrpc": "2.0", "id": exchange.json["id"], "result": value}
        await saying(json.dumps(body).encode(), JSON + headers)(exchange)

    return script


def error(code: int, message: str, data: object = None) -> Script:
    async def script(exchange: Exchange) -> None:
        said = {"code": code, "message": message, "data": data}
        body = {"jsonrpc": "2.0", "id": exchange.json["id"], "error": said}
        await saying(json.dumps(body).encode(), JSON)(exchange)

    return script


def pouring(piece: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        with suppress(ConnectionError):
            await exchange.head()
            while True:
                await exchange.chunk(piece)

    return script


async def hanging(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def ending(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.end()


async def breaking(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{")
    exchange.abort()


async def posted(server: ByteServer, method: str) -> Exchange:
    async with asyncio.timeout(PATIENCE):
        for number in itertools.count():
            exchange = await server.request(number)
            if exchange.method == "POST" and exchange.json["method"] == method:
                return exchange
    raise AssertionError


NOTICE = b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n'
FAULTS: dict[str, tuple[Script, str]] = {
    "a page": (saying(b"<html>", "content-type: text/html\r\n"), "what it sends is not MCP"),
    "no JSON": (saying(b"{]", JSON), "what it sends is not MCP"),
    "no tools": (result({"tools": 5}), "what it sends is not MCP"),
    "nothing": (saying(b"", status=202), "it lists|does not list"),
    "refusal": (saying(b"no", status=401), r"refused the credentials \(HTTP 401\)"),
    "breakdown": (saying(b"oh", status=503), "HTTP 503"),
    "huge": (saying(b" " * (10 << 20), JSON), "more than 2 MB"),
    "endless line": (pouring(b"x" * 65_536), "more than 2 MB"),
    "endless event": (pouring(b"data: x\n" * 8_192), "more than 2 MB"),
    "values": (saying(b"[%b[]]" % (b"[]," * MOST_VALUES), JSON), "more values than"),
    "values in an event": (pouring(b"data: [%b[]]\n\n" % (b"[]," * MOST_VALUES)), "more values than"),
    "comments": (pouring(b": hello\n\n" * 8_192), "cut|more than"),
    "notices": (pouring(NOTICE * 1_000), "far more than"),
    "cut": (breaking, "cut"),
    "no answer": (ending, "cut"),
    "own error": (error(-32000, f"broken {SECRET}"), "does not list its tools: broken ••••"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_a_server_answers_costs_itself_alone(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script, why = FAULTS[fault]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with ByteServer(answering("tools/list", script)) as server, ByteServer(answering("", hanging)) as other:
        async with asyncio.timeout(PATIENCE), connecting(LIMITS) as connections:
            with pytest.raises(McpUnavailable, match=why) as trouble:
                await connections.tools(http_server(server.url))
            assert (await connections.call(http_server(other.url), "tool", {})).content == "done"
    assert SECRET not in str(trouble.value) + caplog.text
    assert len(str(trouble.value)) < 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY


async def test_a_server_may_use_any_number_for_its_errors() -> None:
    for code in (-32950, -32000, -32700, -1):
        async with ByteServer(answering("tools/call", error(code, "not today", "x"))) as server:
            async with connecting(LIMITS) as connections:
                expected = McpUnavailable if code == -32700 else ToolFailed
                with pytest.raises(expected):
                    await connections.call(http_server(server.url), "tool", {})


async def test_a_call_that_hangs_is_given_up_in_time_and_cancelled() -> None:
    async with ByteServer(answering("tools/call", hanging)) as server:
        async with connecting(McpLimits(call_seconds=1, listing_seconds=PATIENCE)) as connections:
            target = http_server(server.url)
            # The call's time is for the connection, too: it is there by then.
            await connections.tools(target)
            with pytest.raises(McpUnavailable, match=r"within 1 seconds"):
                await connections.call(target, "tool", {})
            called, cancelled = await posted(server, "tools/call"), await posted(server, "notifications/cancelled")
            assert cancelled.json["params"]["requestId"] == called.json["id"]
            async with asyncio.timeout(PATIENCE):
                await called.closed.wait()


@pytest.mark.parametrize("transport", list(PATHS), ids=str)
async def test_a_server_that_does_not_begin_is_given_up_in_time(transport: McpTransport) -> None:
    async with ByteServer(hanging) as server, connecting(McpLimits(connect_seconds=0.3)) as connections:
        with pytest.raises(McpUnavailable, match=r"within 0\.3 seconds"):
            await connections.tools(http_server(server.url, transport))


@pytest.mark.parametrize("transport", list(PATHS), ids=str)
async def test_a_server_that_is_not_there_is_said_so(transport: McpTransport) -> None:
    async with ByteServer(hanging) as server:
        url = server.url
    async with connecting(LIMITS) as connections:
        with pytest.raises(McpUnavailable, match=r"^no connection could be made to it\.$"):
            await connections.tools(http_server(url, transport))


@pytest.mark.parametrize("transport", list(PATHS), ids=str)
async def test_a_private_address_is_not_asked(transport: McpTransport) -> None:
    async with listening_at("127.0.0.1") as (listener, port), connecting(LIMITS, opened=()) as connections:
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]"):
            with pytest.raises(McpUnavailable, match="may not be asked"):
                await connections.tools(http_server(f"http://{host}:{port}", transport))
        assert listener.connections == 0


@pytest.mark.parametrize("transport", list(PATHS), ids=str)
async def test_a_redirect_elsewhere_gets_nothing(transport: McpTransport) -> None:
    async with listening_at("127.0.0.1") as (listener, port):
        async with (
            ByteServer(sending_to(f"http://127.0.0.1:{port}/", 307)) as server,
            connecting(LIMITS) as connections,
        ):
            with pytest.raises(McpUnavailable, match="redirects to another address"):
                await connections.tools(http_server(server.url, transport))
        assert listener.connections == 0


async def test_messages_of_sse_go_to_no_other_origin() -> None:
    async with listening_at("127.0.0.1") as (listener, port):

        async def lead(exchange: Exchange) -> None:
            await exchange.head()
            await exchange.chunk(f"event: endpoint\ndata: http://127.0.0.1:{port}/\n\n".encode())
            await exchange.closed.wait()

        async with ByteServer(lead) as server, connecting(McpLimits(connect_seconds=2)) as connections:
            with pytest.raises(McpUnavailable):
                await connections.tools(http_server(server.url, McpTransport.SSE))
        assert listener.connections == 0


async def test_a_session_that_is_over_is_begun_again_and_the_call_is_carried_out_once() -> None:
    called: list[str] = []

    async def forgetful(exchange: Exchange) -> None:
        called.append(exchange.headers["mcp-session-id"])
        if len(called) == 2:
            await exchange.refuse(404, {"error": "no such session"})
        else:
            await result({"content": [{"type": "text", "text": "done"}]})(exchange)

    async with ByteServer(answering("tools/call", forgetful)) as server, connecting(LIMITS) as connections:
        target = http_server(server.url)
        for _ in range(2):
            assert (await connections.call(target, "tool", {})).content == "done"
    assert len(called) == 3


async def test_a_call_that_may_have_been_carried_out_is_not_sent_again() -> None:
    called = 0

    async def cut(exchange: Exchange) -> None:
        nonlocal called
        called += 1
        exchange.abort()

    async with ByteServer(answering("tools/call", cut)) as server, connecting(LIMITS) as connections:
        with pytest.raises(McpUnavailable, match="cut"):
            await connections.call(http_server(server.url), "tool", {})
    assert called == 1


async def test_a_stream_that_ends_at_once_is_not_asked_for_again_and_again() -> None:
    streams = 0

    async def hasty(exchange: Exchange) -> None:
        nonlocal streams
        streams += 1
        await exchange.head()
        await exchange.chunk(b"retry: 0\n\n")
        await exchange.end()

    async with ByteServer(answering("", hanging, stream=hasty)) as server, connecting(LIMITS) as connections:
        await connections.tools(http_server(server.url))
        await asyncio.sleep(0.5)
    assert streams == 1


async def test_a_server_that_keeps_failing_is_left_alone_and_then_asked_again() -> None:
    now = 0.0
    scripts: list[Script] = [saying(b"", status=500)]

    async def play(exchange: Exchange) -> None:
        await scripts[0](exchange)

    clock: Callable[[], float] = lambda: now  # noqa: E731
    async with ByteServer(play) as server, connecting(LIMITS, clock=clock) as connections:
        target = http_server(server.url)
        for _ in range(FAILURES):
            with pytest.raises(McpUnavailable, match="HTTP 500"):
                await connections.tools(target)
        asked = posts(server)
        with pytest.raises(McpUnavailable, match="asked again in 5 seconds"):
            await connections.tools(target)
        assert posts(server) == asked
        now += FIRST_PAUSE
        scripts[0] = answering("", hanging)
        assert await connections.tools(target) == ()
        assert posts(server) > asked


async def test_a_server_that_was_changed_is_asked_at_once() -> None:
    async with ByteServer(saying(b"", status=500)) as server, connecting(LIMITS, clock=lambda: 0.0) as connections:
        target = http_server(server.url)
        for _ in range(FAILURES):
            with pytest.raises(McpUnavailable):
                await connections.tools(target)
        await connections.forget(target.server_id)
        with pytest.raises(McpUnavailable, match="HTTP 500"):
            await connections.tools(target)


def posts(server: ByteServer) -> int:
    """A session that is closed says goodbye by DELETE."""
    return sum(one.method == "POST" for one in server.exchanges)


async def test_a_server_is_not_reached_any_more_as_it_was_before_it_was_changed_or_removed() -> None:
    """A run that began before still has its old address, with the old secrets."""
    script = answering("tools/call", result({"content": []}))
    async with ByteServer(script) as server, connecting(LIMITS) as connections:
        old = http_server(server.url)
        await connections.call(old, "tool", {})
        asked = posts(server)
        await connections.forget(old.server_id, old)
        for _ in range(2):
            with pytest.raises(McpUnavailable, match="changed or removed"):
                await connections.call(old, "tool", {})
        assert posts(server) == asked
        # Back at that address, at whatever process.
        again = replace(old, updated_at=old.updated_at + timedelta(seconds=1))
        await connections.call(again, "tool", {})
        assert posts(server) > asked
        with pytest.raises(McpUnavailable, match="changed or removed"):
            await connections.call(old, "tool", {})


async def test_lists_are_remembered_for_some_minutes_only() -> None:
    now = 0.0
    clock: Callable[[], float] = lambda: now  # noqa: E731
    async with ByteServer(answering("", hanging)) as server, connecting(LIMITS, clock=clock) as connections:
        target = http_server(server.url)

        async def listings() -> int:
            await connections.tools(target)
            return sum(b"tools/list" in one.body for one in server.exchanges)

        assert [await listings() for _ in range(3)] == [1, 1, 1]
        now += LIMITS.remember_seconds / 2
        assert await listings() == 1
        now += LIMITS.remember_seconds / 2
        assert await listings() == 2


async def test_a_server_that_knows_only_the_newest_protocol_is_spoken_to_in_it() -> None:
    modern = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}

    async def play(exchange: Exchange) -> None:
        match exchange.json["method"]:
            case "server/discover":
                said = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
                await result(modern | said)(exchange)
            case "tools/list":
                await result(modern | {"tools": [{"name": "new", "inputSchema": {"type": "object"}}]})(exchange)
            case "tools/call":
                await result({"resultType": "input_required", "inputRequests": {}, "requestState": "x"})(exchange)
            case _:
                await error(-32601, "not here")(exchange)

    async with ByteServer(play) as server, connecting(LIMITS) as connections:
        target = http_server(server.url)
        assert [tool.name for tool in await connections.tools(target)] == ["new"]
        with pytest.raises(ToolFailed, match="nobody can answer"):
            await connections.call(target, "new", {})
    assert server.exchanges[-1].headers["mcp-protocol-version"] == "2026-07-28"


async def test_a_call_tells_how_many_agents_asked_each_other_before_it() -> None:
    async with ByteServer(answering("", hanging)) as server, connecting(LIMITS) as connections:
        target = http_server(server.url)
        await connections.call(target, "tool", {})
        before = asking_depth.set(2)
        await connections.call(target, "tool", {})
        asking_depth.reset(before)
    calls = [one.json["params"] for one in server.exchanges if b"tools/call" in one.body]
    assert [one.get("_meta", {}).get(META_KEY) for one in calls] == [None, 2]


async def test_requests_say_who_we_are() -> None:
    async with ByteServer(answering("", hanging)) as server, connecting(LIMITS) as connections:
        await connections.tools(http_server(server.url))
    assert {one.headers["user-agent"].partition("/")[0] for one in server.exchanges} == {"agentchat"}
    assert {one.headers["x-key"] for one in server.exchanges} == {SECRET}


def nested(levels: int) -> JsonValue:
    value: JsonValue = 1
    for _ in range(levels):
        value = [value]
    return value


UNSENDABLE: dict[str, JsonValue] = {
    "no number": float("nan"),
    "half a character": "\ud800",
    "deep": nested(65),
    "deeper": nested(5_000),
    "endless number": 10**5_000,
}


@pytest.mark.parametrize("value", UNSENDABLE)
async def test_arguments_that_can_not_be_sent_cost_their_call_alone(value: str) -> None:
    async with ByteServer(answering("", hanging)) as server, connecting(LIMITS) as connections:
        target = http_server(server.url)
        async with asyncio.timeout(PATIENCE):
            assert (await connections.call(target, "tool", {"a": nested(60), "b": "ü😀"})).content == "done"
            for tool, arguments in (("tool", {"a": UNSENDABLE[value]}), ("\ud800", {})):
                with pytest.raises(ToolFailed, match="can't be sent"):
                    await connections.call(target, tool, arguments)
            assert (await connections.call(target, "tool", {})).content == "done"
    assert sum(b'"initialize"' in one.body for one in server.exchanges) == 1


async def test_forgetting_a_server_ends_its_calls() -> None:
    async with ByteServer(answering("tools/call", hanging)) as server, connecting(LIMITS) as connections:
        target = http_server(server.url)
        call = asyncio.create_task(connections.call(target, "tool", {}))
        await posted(server, "tools/call")
        async with asyncio.timeout(PATIENCE):
            await connections.forget(target.server_id)
            with pytest.raises(McpUnavailable, match="changed or removed"):
                await call
