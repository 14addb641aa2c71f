"""Our own MCP server at a running server, with the clients of the MCP SDK."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from live.live_knowledge import filled, status
from live.live_server import UNLIMITED, LiveServer, Person

SETTINGS: Mapping[str, object] = {
    "EMBEDDING__KIND": "none",
    "HEARTBEAT_SECONDS": 0.2,
    "DISCONNECT_GRACE_SECONDS": 60,
}
MODES = ["legacy", "auto"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = LiveServer(tmp_path_factory.mktemp("mcp"), SETTINGS)
    try:
        asyncio.run(made.start())
        yield made
    finally:
        made.kill()


@asynccontextmanager
async def person(server: LiveServer) -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=UNLIMITED) as client:
        yield await Person.register(client, f"u{secrets.token_hex(6)}")


@asynccontextmanager
async def speaking(server: LiveServer, user: Person, mode: str) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(headers=user.headers, timeout=30) as http:
        async with Client(streamable_http_client(f"{server.url}/mcp", http_client=http), mode=mode) as client:
            yield client


def said(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def shown(result: CallToolResult) -> Any:
    return result.structured_content


async def agent(user: Person, **fields: Any) -> str:
    made = await user.client.post("/api/v1/agent", json={"name": "a", **fields}, headers=user.headers)
    assert made.status_code == 200, made.text
    return str(made.json()["data"]["agent_id"])


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_lists_searches_and_asks(server: LiveServer, mode: str) -> None:
    async with person(server) as ann, person(server) as bob:
        base, file = await filled(ann, "b", "涡轮机 The turbine has 42 blades.".encode(), "notes.md")
        while (await status(ann, file))["status"] == "process":
            await asyncio.sleep(0.05)
        made = await agent(ann, knowledge_ids=[base])
        async with speaking(server, ann, mode) as client, speaking(server, bob, mode) as other:
            assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
            assert len((await client.list_tools()).tools) == 3
            listed = await client.call_tool("list_agents", {})
            assert made in {one["agent_id"] for one in shown(listed)["agents"]}
            found = await client.call_tool("search_knowledge", {"agent": "a", "query": "turbine"})
            (passage,) = shown(found)["passages"]
            assert (passage["index"], passage["file_name"]) == (1, "notes.md")
            assert "42 blades" in said(found)
            asked = await client.call_tool("ask_agent", {"agent": made, "question": "How many blades?"})
            assert not asked.is_error
            assert "42 blades" in said(asked)
            assert shown(asked)["citations"][0]["knowledge_id"] == base
            hidden = await other.call_tool("search_knowledge", {"agent": made, "query": "turbine"})
            assert (hidden.is_error, shown(hidden)["code"]) == (True, "agent_not_found")


@pytest.mark.parametrize("mode", MODES)
async def test_a_cancelled_call_stops_its_run_at_once(server: LiveServer, mode: str) -> None:
    """The grace of the server is much longer than the test."""
    async with person(server) as ann, speaking(server, ann, mode) as client:
        arguments = {"agent": "default", "question": "wait 60", "dialog_id": "d"}
        call = asyncio.create_task(client.call_tool("ask_agent", arguments))
        while not await started(ann):
            await asyncio.sleep(0.02)
        call.cancel()
        assert (await ann.kept("d"))["status"] == "stopped"
        again = await client.call_tool("ask_agent", {"agent": "default", "question": "count to 3"})
        assert "1 2 3" in said(again)


async def started(user: Person) -> bool:
    listed = await user.client.get("/api/v1/dialog/list", headers=user.headers)
    return bool(listed.json()["data"])


@pytest.mark.parametrize("mode", MODES)
async def test_who_waits_is_told_how_far_it_is(server: LiveServer, mode: str) -> None:
    told: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        assert message is not None
        told.append(progress)

    async with person(server) as ann, speaking(server, ann, mode) as client:
        question = {"agent": "default", "question": "wait 1.5"}
        answer = await client.call_tool("ask_agent", question, progress_callback=note)
    assert not answer.is_error
    assert len(told) >= 3
    assert told == sorted(set(told))


async def test_a_call_whose_connection_broke_may_come_again(server: LiveServer) -> None:
    """Before requests stood alone, a lost connection was no cancellation."""
    call = {"name": "ask_agent", "arguments": {"agent": "default", "question": "wait 1"}}
    message = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": call}
    async with person(server) as ann:
        headers = {**ann.headers, "mcp-session-id": secrets.token_hex(16), "accept": "text/event-stream"}
        async with ann.client.stream("POST", "/mcp", json=message, headers=headers) as response:
            assert await anext(response.aiter_raw()) == b": ping\n\n"
        again = await ann.client.post("/mcp", json=message, headers=headers)
        frames = [json.loads(line[6:]) for line in again.text.split("\n") if line.startswith("data: ")]
        assert (frames[-1]["id"], frames[-1]["result"]["structuredContent"]["status"]) == (7, "complete")
        (dialog,) = await ann.get("/dialog/list")
        assert [one["role"] for one in await ann.history(dialog["dialog_id"])] == ["user", "assistant"]


async def test_twenty_calls_at_once_get_their_own_answers(server: LiveServer) -> None:
    async with person(server) as ann, speaking(server, ann, "legacy") as client:
        questions = [{"agent": "default", "question": f"count to {number}"} for number in range(1, 21)]
        answers = await asyncio.gather(*(client.call_tool("ask_agent", one) for one in questions))
    assert [said(answer).split()[-1] for answer in answers] == [str(number) for number in range(1, 21)]


async def test_one_call_more_than_a_user_may_have_is_refused_in_words(server: LiveServer) -> None:
    async with person(server) as ann, speaking(server, ann, "auto") as client:
        waiting = [client.call_tool("ask_agent", {"agent": "default", "question": "wait 2"}) for _ in range(21)]
        answers = await asyncio.gather(*waiting)
    refused = [one for one in answers if one.is_error]
    assert [shown(one)["code"] for one in refused] == ["too_many_runs"]


async def test_a_wrong_token_opens_nothing(server: LiveServer) -> None:
    async with person(server) as ann:
        stranger = Person(ann.client, {"Authorization": "Bearer wrong"})
        with pytest.raises(BaseExceptionGroup):
            async with speaking(server, stranger, "legacy"):
                pytest.fail("the server let a stranger in")
