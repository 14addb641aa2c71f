"""Servers of the SDK on all three transports: whatever carries the messages, calls are the same."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.mcp.connections import SdkMcpConnections
from adapters.mcp.limits import McpLimits
from adapters.mcp.words import DOTS
from application.ports.mcp_connections import McpUnavailable
from application.ports.tool_runner import ToolFailed
from domain.tools.mcp_servers import McpServer, McpTransport
from mcp_scene import (
    PATHS,
    SECRET,
    HttpProgram,
    connecting,
    http_server,
    is_alive,
    open_ends,
    rude_program,
    sdk_program,
    until,
)
from patience import PATIENCE

LIMITS = McpLimits(connect_seconds=PATIENCE, listing_seconds=PATIENCE)
Reached = tuple[SdkMcpConnections, McpServer]


@pytest.fixture(scope="module")
def http_program() -> Iterator[HttpProgram]:
    started = HttpProgram().start()
    yield started
    started.kill()


@pytest.fixture(scope="module")
async def connections() -> AsyncIterator[SdkMcpConnections]:
    async with connecting(LIMITS, alone=False) as connections:
        yield connections


@pytest.fixture(scope="module", params=list(McpTransport), ids=str)
async def server(request: pytest.FixtureRequest, http_program: HttpProgram) -> McpServer:
    """Each has one connection for all tests."""
    if request.param is McpTransport.STDIO:
        return sdk_program()
    return http_server(http_program.url, request.param)


async def test_tools_are_listed_with_what_the_server_says_of_them(
    connections: SdkMcpConnections, server: McpServer
) -> None:
    tools = {tool.name: tool for tool in await connections.tools(server)}
    add = tools["add"]
    assert (add.title, add.description) == ("Adds", "Adds two numbers.")
    assert add.parameters["type"] == "object"
    assert add.parameters["required"] == ["a", "b"]


async def test_a_call_answers(connections: SdkMcpConnections, server: McpServer) -> None:
    assert (await connections.call(server, "add", {"a": 20, "b": 22})).content == "42"


async def test_calls_of_one_server_run_at_once(connections: SdkMcpConnections, server: McpServer) -> None:
    async with asyncio.timeout(PATIENCE):
        met = await asyncio.gather(*(connections.call(server, "meet", {"count": 8}) for _ in range(8)))
    assert {one.content for one in met} == {"met"}


async def test_a_cancelled_call_ends_on_the_server_and_the_session_goes_on(
    connections: SdkMcpConnections, server: McpServer
) -> None:
    async def seen() -> str:
        return (await connections.call(server, "seen", {})).content

    cancelled = int((await seen()).split()[0].partition("=")[2])
    call = asyncio.create_task(connections.call(server, "wait", {"seconds": 60}))
    async with asyncio.timeout(PATIENCE):
        while not (await seen()).endswith("waiting=1"):
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while await seen() != f"cancelled={cancelled + 1} waiting=0":
            await asyncio.sleep(0.01)


async def test_a_tool_that_fails_says_why(connections: SdkMcpConnections, server: McpServer) -> None:
    with pytest.raises(ToolFailed, match="no such city"):
        await connections.call(server, "fail", {"reason": "no such city"})


async def test_a_tool_that_is_not_there_is_a_failed_call(connections: SdkMcpConnections, server: McpServer) -> None:
    with pytest.raises(ToolFailed, match="nowhere"):
        await connections.call(server, "nowhere", {})


async def test_results_of_all_kinds_are_text(connections: SdkMcpConnections, server: McpServer) -> None:
    assert (await connections.call(server, "structured", {})).content == '{"a":[1,"ü"]}'
    pictured = (await connections.call(server, "pictures", {})).content
    assert "[image 1, image/png, 3 KB" in pictured
    assert "above" in pictured
    long = (await connections.call(server, "long", {"characters": 300_000})).content
    assert len(long) == LIMITS.result_chars
    assert long.endswith("[cut: the result is longer]")


async def test_a_list_that_changed_is_asked_for_again(connections: SdkMcpConnections, server: McpServer) -> None:
    await connections.tools(server)
    name = f"grown_{server.server_id}"
    await connections.call(server, "grow", {"name": name})
    async with asyncio.timeout(PATIENCE):
        while name not in [tool.name for tool in await connections.tools(server)]:
            await asyncio.sleep(0.01)


async def test_what_a_server_asks_of_its_client_is_declined(connections: SdkMcpConnections, server: McpServer) -> None:
    assert (await connections.call(server, "ask", {})).content == "0 answered"


async def test_headers_and_variables_arrive(connections: SdkMcpConnections, server: McpServer) -> None:
    if server.address.transport is McpTransport.STDIO:
        assert (await connections.call(server, "env", {"name": "KEY"})).content == DOTS
        assert (await connections.call(server, "is", {"name": "KEY", "value": SECRET[::-1]})).content == "True"
        names = (await connections.call(server, "names", {})).content.split(",")
        assert set(names) <= {"PATH", "HOME", "LANG", "KEY", "LC_CTYPE"}
    else:
        assert (await connections.call(server, "header", {"name": "x-key"})).content == DOTS
        assert (await connections.call(server, "is", {"name": "x-key", "value": SECRET[::-1]})).content == "True"
    with pytest.raises(ToolFailed, match=f"no entry with {DOTS} today"):
        await connections.call(server, "fail", {"reason": f"no entry with {SECRET} today"})


async def test_a_message_larger_than_any_costs_its_call_alone(
    connections: SdkMcpConnections, server: McpServer
) -> None:
    with pytest.raises(McpUnavailable):
        await connections.call(server, "long", {"characters": 10 << 20})
    assert (await connections.call(server, "add", {"a": 1, "b": 1})).content == "2"


@pytest.mark.parametrize("transport", list(McpTransport), ids=str)
async def test_nothing_is_left_when_connections_are_closed(transport: McpTransport, http_program: HttpProgram) -> None:
    by_program = transport is McpTransport.STDIO
    server = rude_program("plain") if by_program else http_server(http_program.url, transport)
    before = open_ends()
    async with connecting(LIMITS) as connections:
        assert await connections.tools(server)
        calls = [asyncio.create_task(connections.call(server, "wait", {"seconds": 60})) for _ in range(3)]
        await connections.tools(server)
        assert open_ends() - before
        if not by_program:
            await connections.aclose()
            for ended in await asyncio.gather(*calls, return_exceptions=True):
                assert isinstance(ended, McpUnavailable)
        await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: open_ends() <= before)


@pytest.mark.parametrize("transport", list(PATHS), ids=str)
async def test_a_server_killed_in_mid_call_and_started_again_works_with_the_next_call(transport: McpTransport) -> None:
    running = HttpProgram().start()
    server = http_server(running.url, transport)
    try:
        async with connecting(LIMITS) as connections:
            assert (await connections.call(server, "add", {"a": 1, "b": 2})).content == "3"
            call = asyncio.create_task(connections.call(server, "wait", {"seconds": 60}))
            while not (await connections.call(server, "seen", {})).content.endswith("waiting=1"):
                await asyncio.sleep(0.01)
            running.kill()
            # It may have been carried out: so it fails, and is not sent again.
            with pytest.raises(McpUnavailable, match="in the middle of the call"):
                await call
            with pytest.raises(McpUnavailable):
                await connections.call(server, "add", {"a": 1, "b": 2})
            await asyncio.to_thread(running.start)
            assert (await connections.call(server, "seen", {})).content == "cancelled=0 waiting=0"
            running.kill()
            # What was never sent is sent to the new one, and nobody notices.
            await asyncio.to_thread(running.start)
            assert (await connections.call(server, "add", {"a": 3, "b": 4})).content == "7"
    finally:
        running.kill()


async def test_a_program_that_dies_in_a_call_is_started_again_and_ends_with_all_it_started() -> None:
    server = sdk_program(slow=0.3)
    async with connecting(LIMITS) as connections:
        first, child = map(int, (await connections.call(server, "spawn", {})).content.split())
        assert is_alive(child)
        with pytest.raises(McpUnavailable, match="in the middle of the call"):
            await connections.call(server, "die", {})
        await until(lambda: not is_alive(child))
        second, child = map(int, (await connections.call(server, "spawn", {})).content.split())
        assert first != second
        assert os.getpgid(second) not in (second, os.getpgid(0))
        await connections.forget(server.server_id)
        await until(lambda: not is_alive(second) and not is_alive(child))
