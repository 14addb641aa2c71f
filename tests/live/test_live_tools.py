"""Tools of one's own at a running server: our own interface as one, and services that hang, flood, lie and die."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from live.live_server import STOP, Frame, Live, LiveServer, Person, chunk, free_port, settings_for, text_of
from servers.aimock_server import aimock
from servers.byte_server import ByteServer, Exchange, Script

TOOL_SECONDS = 2.0
FLOOD = 40_000_000
"""Bytes. Two millions of them are read, and the system takes some more."""
CLOSED = "127.0.0.3"
"""An address of this machine that no operator opened."""


@dataclass(frozen=True)
class Shared:
    """One server, whose network holds what is at 127.0.0.1; models of both vendors, and one that a test writes."""

    live: Live
    data_dir: Path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    data_dir, port = tmp_path_factory.mktemp("tools"), free_port()
    with aimock() as vendors:
        settings = settings_for(port, TOOL_TIMEOUT_SECONDS=TOOL_SECONDS)
        settings["NETWORK__ALLOW_PRIVATE"] = json.dumps(["127.0.0.1/32"])
        models = json.loads(str(settings["MODELS"]))
        models["fake"]["context_window"] = 100_000
        for name, provider, path in (("gpt", "openai_compatible", "/v1"), ("claude", "anthropic", "")):
            models[name] = {"provider": provider, "base_url": vendors + path, "api_key": "k", "context_window": 200_000}
        settings["MODELS"] = json.dumps(models)
        server = LiveServer(data_dir, settings)
        try:
            asyncio.run(server.start())
            yield Shared(Live(server, port), data_dir)
        finally:
            server.kill()


async def made(person: Person, path: str, body: object) -> Any:
    answer = await person.client.post(f"/api/v1{path}", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def agent_with(person: Person, tool_ids: list[str], **more: object) -> str:
    return str((await made(person, "/agent", {"name": "Equipped", "tool_ids": tool_ids, **more}))["agent_id"])


def last_steps(frames: list[Frame]) -> dict[str, dict[str, Any]]:
    """How each call ended, by the name of its tool."""
    ended = [frame.data for frame in frames if frame.event == "event" and frame.data["status"] in ("END", "ERROR")]
    return {step["tool_name"]: step for step in ended}


# Our own interface as a tool.


@pytest.mark.parametrize("vendor", ["gpt", "claude"])
async def test_an_agent_lists_its_owners_agents_through_our_own_interface(shared: Shared, vendor: str) -> None:
    async with httpx.AsyncClient(base_url=shared.live.server.url, timeout=30) as client:
        person = await Person.register(client, f"u{secrets.token_hex(6)}")
        stranger = await Person.register(client, f"u{secrets.token_hex(6)}")
        for one, name in ((person, "Harbour pilot"), (stranger, "Harbour thief")):
            await made(one, "/agent", {"name": name})
        document = (await client.get("/docs/openapi.json")).json()
        document["servers"] = [{"url": shared.live.server.url}]
        token = person.headers["Authorization"].removeprefix("Bearer ")
        auth = {"auth_type": "Bearer", "token": token}
        tool = await made(person, "/tool/create", {"en_name": "own", "openapi_schema": document, "auth_config": auth})
        agent_id = await agent_with(person, [tool["tool_id"], "calculator"], llm_id=vendor)
        frames = await person.answer("Which agents do I own?", agent_id=agent_id)
    steps = last_steps(frames)
    by_id = {f.data["tool_call_id"]: f.data["status"] for f in frames if f.event == "event"}
    assert text_of(frames) == "You own Harbour pilot and one that has your tools.", frames[-2:]
    assert frames[-1].data["status"] == "complete"
    assert by_id == {
        "call_sum": "END",
        "call_list": "END",
        "call_who": "END",
        "call_nobody": "ERROR",
        "call_page": "ERROR",
        "call_search": "END",
    }
    assert "Harbour pilot" in steps["ApiV1AgentSearchSearchAgents"]["message"]
    assert "limit must be" in steps["ApiV1AgentListAgents"]["message"]
    assert "agent_not_found" in steps["ApiV1AgentAgentIdShowAgent"]["message"]
    said = json.dumps([frame.data for frame in frames])
    assert "Harbour thief" not in said
    assert token not in said
    assert token not in json.dumps(tool)
    for file in shared.data_dir.rglob("*.db*"):
        assert token.encode() not in file.read_bytes(), file


# Services that misbehave.


def calling(*names: str, pages: Sequence[str] = ()) -> Script:
    """A model that calls them all at once, reads these pages, and then says that it got on."""
    wanted = [(name, name, {}) for name in names] + [(page, "web_fetch", {"url": page}) for page in pages]

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        if exchange.json["messages"][-1]["role"] == "tool":
            await exchange.events(chunk("It went on."), STOP)
        else:
            calls = [
                {
                    "index": at,
                    "id": call,
                    "type": "function",
                    "function": {"name": name, "arguments": json.dumps(given)},
                }
                for at, (call, name, given) in enumerate(wanted)
            ]
            await exchange.events({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}]})
            await exchange.events({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        await exchange.events(b"[DONE]")
        await exchange.end()

    return script


@dataclass
class Service:
    """What its operations do is their name; it counts the bytes that were taken of the flood."""

    elsewhere: str = ""
    poured: int = 0

    async def __call__(self, exchange: Exchange) -> None:
        ok = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        match exchange.path.strip("/"):
            case "fine":
                await exchange.refuse(200, {"weather": "fair"})
            case "hang":
                await exchange.closed.wait()
            case "stall":
                await exchange.raw(ok + b"content-length: 100\r\n\r\n{")
                await exchange.closed.wait()
            case "drip":
                await exchange.raw(ok + b"content-length: 1000000\r\n\r\n")
                while True:
                    await exchange.raw(b" ")
                    await asyncio.sleep(0.05)
            case "flood":
                await exchange.raw(ok + b"content-length: %d\r\n\r\n" % FLOOD)
                while self.poured < FLOOD:
                    await exchange.raw(b"abcdefghi " * 1000)
                    self.poured += 10_000
            case "garbage":
                await exchange.raw(b"\x00\xff\xfe nothing of the kind\r\n\r\n")
            case "die":
                await exchange.raw(ok + b"content-length: 100\r\n\r\n{")
                exchange.abort()
            case "binary":
                await exchange.raw(ok + b"content-length: 4\r\n\r\n\x00\x01\x02\xff")
            case "away":
                await exchange.refuse(302, b"", f"location: {self.elsewhere}/secret\r\n")


def document(url: str, *names: str) -> dict[str, object]:
    paths = {f"/{name}": {"get": {"operationId": name, "responses": {}}} for name in names}
    return {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "servers": [{"url": url}], "paths": paths}


async def equipped(person: Person, *documents: dict[str, object], built_in: Sequence[str] = ()) -> str:
    tools = [await made(person, "/tool/create", {"en_name": "t", "openapi_schema": one}) for one in documents]
    return await agent_with(person, [*(tool["tool_id"] for tool in tools), *built_in])


async def test_whatever_a_service_does_the_answer_goes_on_in_time(shared: Shared) -> None:
    names = ("fine", "hang", "stall", "drip", "flood", "garbage", "die", "binary")
    service = Service()
    async with ByteServer(service) as there, shared.live.model(calling(*names)) as (upstream, person):
        agent_id = await equipped(person, document(there.url, *names))
        began = time.monotonic()
        frames = await person.answer("Call them", agent_id=agent_id)
        took = time.monotonic() - began
    steps = last_steps(frames)
    assert (text_of(frames), frames[-1].data["status"]) == ("It went on.", "complete")
    assert {name: step["status"] for name, step in steps.items()} == {
        "fine": "END",
        "hang": "ERROR",
        "stall": "ERROR",
        "drip": "ERROR",
        "flood": "END",
        "garbage": "ERROR",
        "die": "ERROR",
        "binary": "END",
    }
    assert took < TOOL_SECONDS + 2
    assert "fair" in steps["fine"]["message"]
    assert "4 bytes that are no text" in steps["binary"]["message"]
    assert "Only the beginning is shown" in steps["flood"]["message"]
    assert service.poured < FLOOD / 2
    results = {one["tool_call_id"]: one["content"] for one in upstream.exchanges[-1].json["messages"][-len(names) :]}
    assert list(results) == list(names)
    assert all(0 < len(result) < 40_000 for result in results.values())
    assert f"within {TOOL_SECONDS:g} seconds" in results["hang"]


async def test_no_request_arrives_where_the_operator_opened_nothing(shared: Shared) -> None:
    arrived: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read(1))
        writer.close()

    listener = await asyncio.start_server(listen, CLOSED, 0)
    port = listener.sockets[0].getsockname()[1]
    service = Service(elsewhere=f"http://{CLOSED}:{port}")
    hosts = {"plain": CLOSED, "decimal": "2130706435", "octal": "0177.0.0.3", "mapped": f"[::ffff:{CLOSED}]"}
    async with listener, ByteServer(service) as there:
        pages = [f"http://{host}:{port}/" for host in hosts.values()]
        pages += [f"{there.url}/away", f"http://example.org@{CLOSED}:{port}/", f"http://{CLOSED}:{port}/\r\nX: 1"]
        opened = f"{there.url}/fine"
        async with shared.live.model(calling("away", *hosts, pages=[*pages, opened])) as (_, person):
            closed = [document(f"http://{host}:{port}", name) for name, host in hosts.items()]
            agent_id = await equipped(person, document(there.url, "away"), *closed, built_in=["web_fetch"])
            frames = await person.answer("Call them", agent_id=agent_id)
        assert sorted(asked.path for asked in there.exchanges) == ["/away", "/away", "/fine"]
    assert (text_of(frames), frames[-1].data["status"]) == ("It went on.", "complete")
    ended = [frame.data for frame in frames if frame.event == "event" and frame.data["status"] != "START"]
    refused = dict.fromkeys(("away", *hosts, *pages), "ERROR")
    assert {step["tool_call_id"]: step["status"] for step in ended} == {**refused, opened: "END"}
    assert arrived == []


async def test_a_stop_in_the_middle_of_a_call_closes_its_connection(shared: Shared) -> None:
    async with ByteServer(Service()) as there, shared.live.model(calling("hang", "stall")) as (upstream, person):
        agent_id = await equipped(person, document(there.url, "hang", "stall"))
        asking = asyncio.create_task(person.answer("Call them", agent_id=agent_id))
        calls = [await there.request(number) for number in range(2)]
        began = asyncio.get_running_loop().time()
        await made(person, "/chat/stop", {"dialog_id": "d"})
        async with asyncio.timeout(5):
            await asyncio.gather(*(one.closed.wait() for one in calls))
        frames = await asking
    assert all(one.closed_at - began < TOOL_SECONDS / 2 for one in calls)
    assert frames[-1].data["status"] == "stopped"
    assert len(upstream.exchanges) == 1


async def test_a_service_is_not_asked_before_the_person_said_so(shared: Shared) -> None:
    async with ByteServer(Service()) as there, shared.live.model(calling("fine", "binary")) as (upstream, person):
        one, other = [
            await made(person, "/tool/create", {"en_name": "t", "openapi_schema": document(there.url, name)})
            for name in ("fine", "binary")
        ]
        both = [one["tool_id"], other["tool_id"]]
        agent_id = await agent_with(person, both, require_approval=[one["tool_id"]])
        async with person.ask("Call them", agent_id=agent_id) as stream:
            async for frame in stream.frames():
                if frame.data.get("status") == "APPROVAL":
                    break
        assert (frame.data["tool_name"], [call.path for call in there.exchanges]) == ("fine", ["/binary"])
        run_id = frame.id.split(":")[0]
        word = {"run_id": run_id, "tool_call_id": frame.data["tool_call_id"], "approve": True}
        assert (await made(person, "/chat/approve", word))["status"] == "running"
        kept = await person.kept()
        assert [call.path for call in there.exchanges] == ["/binary", "/fine"]
        assert (kept["content"], kept["status"]) == ("It went on.", "complete")
        told = upstream.exchanges[-1].json["messages"][-2:]
        assert [message["tool_call_id"] for message in told] == ["fine", "binary"]
        assert "fair" in told[0]["content"]
