"""Calls that wait for a person, at servers that are killed meanwhile, and words that make no sense."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from live.live_server import Live, LiveServer, Person, chunk, free_port, pair, settings_for
from servers.byte_server import Exchange
from servers.run_copy import RunCopy

CALLS = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
SAID = "Let me count. 一二三. It is 144, as you will have known. 完."
QUESTION = "How much is 12*12?"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Whoever lets go of a stream ends its run at once, unless it waits."""
    port = free_port()
    server = LiveServer(tmp_path_factory.mktemp("approvals"), settings_for(port, OFFLINE_DELAY_MS=0))
    try:
        asyncio.run(server.start())
        yield Live(server, port)
    finally:
        server.kill()


async def counting(exchange: Exchange) -> None:
    """It calls the calculator, and says what it found."""
    await exchange.head()
    if exchange.json["messages"][-1]["role"] == "tool":
        for word in (" It is ", exchange.json["messages"][-1]["content"], ", as you", " will have known", ". 完."):
            await exchange.events(chunk(word))
        finish = {"index": 0, "delta": {}, "finish_reason": "stop"}
    else:
        await exchange.events(chunk("Let me "), chunk("count. "), chunk("一二三."))
        function = {"name": "calculator", "arguments": '{"expression": "12*12"}'}
        called = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}
        await exchange.events({"choices": [{"index": 0, "delta": called, "finish_reason": None}]})
        finish = CALLS
    await exchange.events({"choices": [finish]}, b"[DONE]")
    await exchange.end()


async def careful_agent(person: Person, **more: object) -> str:
    """It asks before it counts."""
    body = {"name": "Careful", "tool_ids": ["calculator"], "require_approval": ["calculator"], **more}
    made = await person.client.post("/api/v1/agent", json=body, headers=person.headers)
    assert made.status_code == 200, made.text
    return str(made.json()["data"]["agent_id"])


async def word(person: Person, body: object) -> tuple[int, Any]:
    """The status, and the data or the error."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {**person.headers, "Content-Type": "application/json"}
    answer = await person.client.post("/api/v1/chat/approve", content=content, headers=headers)
    said = answer.json()
    return answer.status_code, said["data"] if answer.status_code == 200 else said["error"]


async def waits(person: Person, run_id: str) -> None:
    async with asyncio.timeout(10):
        while (await person.get(f"/chat/{run_id}"))["status"] != "waiting":
            await asyncio.sleep(0.01)


async def read_until_cut(copy: RunCopy, client: httpx.AsyncClient, **more: object) -> None:
    with pytest.raises(httpx.TransportError):
        await (copy.resume(client) if copy.run_id else copy.ask(client, QUESTION, **more))


async def asked(copy: RunCopy) -> None:
    """Until the client was shown the call."""
    async with asyncio.timeout(10):
        while not any(data.get("status") == "APPROVAL" for _, data in copy.events):
            await asyncio.sleep(0.01)


def whole(copy: RunCopy) -> bool:
    steps = [(data["status"], data["tool_call_id"]) for name, data in copy.events if name == "event"]
    assert copy.text == SAID
    assert steps == [("APPROVAL", "c1"), ("START", "c1"), ("END", "c1")]
    return copy.is_whole() and copy.done["status"] == "complete"


async def test_killed_while_it_waits_the_run_goes_on_after_the_restart(own: Live) -> None:
    async with own.model(counting) as (upstream, person):
        copy = RunCopy(person.headers)
        agent_id = await careful_agent(person)
        reading = asyncio.create_task(read_until_cut(copy, person.client, agent_id=agent_id))
        await asked(copy)
        await waits(person, copy.run_id)
        own.server.kill()
        await reading
        await own.server.start()
        assert (await person.get(f"/chat/{copy.run_id}"))["status"] == "waiting"
        status, run = await word(person, {"run_id": copy.run_id, "tool_call_id": "c1", "approve": True})
        assert (status, run["status"]) == (200, "running")
        await copy.resume(person.client)
        assert whole(copy)
        again = RunCopy(person.headers, copy.run_id)
        await again.resume(person.client)
        assert again.raw == copy.raw
        kept = await person.kept()
        assert (kept["content"], kept["status"]) == (SAID, "complete")
        assert len(upstream.exchanges) == 2


async def test_killed_while_it_waits_the_run_goes_on_at_another_process(tmp_path: Path, postgres_url: str) -> None:
    async with pair(tmp_path, postgres_url, LEASE_SECONDS=1) as both, both.model(counting) as (upstream, here, there):
        first, watching = RunCopy(here.headers), RunCopy(here.headers)
        agent_id = await careful_agent(here)
        reading = asyncio.create_task(read_until_cut(first, here.client, agent_id=agent_id))
        await asked(first)
        watching.run_id = first.run_id
        following = asyncio.create_task(watching.resume(there.client))
        await asked(watching)
        await waits(there, first.run_id)
        both.servers[0].kill()
        await reading
        status, run = await word(there, {"run_id": first.run_id, "tool_call_id": "c1", "approve": True})
        assert (status, run["status"]) == (200, "running")
        async with asyncio.timeout(15):
            await asyncio.gather(following, first.resume(there.client))
        assert whole(first)
        assert watching.raw == first.raw
        assert len(upstream.exchanges) == 2
        assert (await there.kept())["content"] == SAID


@dataclass
class Waiting:
    """A run of the offline model that waits for its person."""

    person: Person
    run_id: str
    tool_call_id: str

    @property
    def yes(self) -> dict[str, object]:
        return {"run_id": self.run_id, "tool_call_id": self.tool_call_id, "approve": True}

    async def answer(self) -> str:
        copy = RunCopy(self.person.headers, self.run_id)
        await copy.resume(self.person.client)
        assert copy.is_whole()
        return copy.text


async def waiting_call(person: Person, agent_id: str, dialog: str = "d") -> Waiting:
    """Whoever asked has hung up."""
    async with person.ask(QUESTION, dialog, agent_id=agent_id) as stream:
        async for frame in stream.frames():
            if frame.data.get("status") == "APPROVAL":
                return Waiting(person, frame.id.split(":")[0], frame.data["tool_call_id"])
    raise AssertionError("no call waits")


@asynccontextmanager
async def waiting(live: Live) -> AsyncIterator[Waiting]:
    async with live.model() as (_, person):
        yield await waiting_call(person, await careful_agent(person, llm_id="offline"))


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


async def test_rubbish_decides_nothing_and_is_told_what_is_wrong(own: Live) -> None:
    async with waiting(own) as run:
        stranger = await Person.register(run.person.client, "stranger")
        yes = json.dumps(run.yes).encode()
        changed = yes[:-1] + b', "arguments": '
        wrong = {
            b"": (400, "malformed_json"),
            b"{": (400, "malformed_json"),
            b"[]": (422, "invalid_value"),
            b"{}": (422, "invalid_value"),
            yes.replace(b"true", b'"yes"'): (422, "invalid_value"),
            yes.replace(b"true", b"null"): (422, "invalid_value"),
            yes.replace(run.run_id.encode(), b"nonsense"): (404, "run_not_found"),
            yes.replace(run.run_id.encode(), b"01ARZ3NDEKTSV4RRFFQ69G5FAV"): (404, "run_not_found"),
            yes.replace(run.tool_call_id.encode(), b"nobody"): (404, "tool_call_not_found"),
            yes.replace(run.tool_call_id.encode(), b"\\u0000"): (404, "tool_call_not_found"),
            yes.replace(run.tool_call_id.encode(), b"x" * 2000): (422, "invalid_value"),
            changed + b"[]}": (422, "invalid_value"),
            changed + b"{}}": (422, "invalid_value"),
            changed + b'{"expression": 5}}': (422, "invalid_value"),
            changed + b'{"expression": "1", "more": 1}}': (422, "invalid_value"),
            changed + nested(600) + b"}": (422, "invalid_value"),
            changed + b'{"expression": "' + b"1+" * 10_000_000 + b'1"}}': (413, "body_too_large"),
        }
        for depth in range(940, 1000):
            status, error = await word(run.person, changed + nested(depth) + b"}")
            assert (status, error["code"]) in {(422, "invalid_value"), (400, "malformed_json")}, depth
        for body, expected in wrong.items():
            status, error = await word(run.person, body)
            assert (status, error.get("code")) == expected, (body[:200], error)
        assert (await word(stranger, run.yes))[1]["code"] == "run_not_found"
        assert (await run.person.get(f"/chat/{run.run_id}"))["status"] == "waiting"
        assert (await word(run.person, run.yes))[0] == 200
        assert "144" in await run.answer()
        status, error = await word(run.person, run.yes)
        assert (status, error["code"]) == (409, "approval_not_awaited")


async def test_of_both_words_at_once_one_counts(own: Live) -> None:
    async with waiting(own) as run:
        no = {**run.yes, "approve": False}
        said = await asyncio.gather(*(word(run.person, body) for body in (run.yes, no) * 4))
        [accepted] = [number for number, (status, _) in enumerate(said) if status == 200]
        refusals = {said[number][1]["code"] for number in range(8) if number != accepted}
        assert refusals <= {"approval_not_awaited", "tool_call_decided"}
        assert ("144" in await run.answer()) == (accepted % 2 == 0)


async def test_whoever_answers_as_soon_as_they_are_asked_is_heard(own: Live) -> None:
    async with own.model() as (_, person):
        agent_id = await careful_agent(person, llm_id="offline")
        for number in range(10):
            run = await waiting_call(person, agent_id, f"d{number}")
            status, said = await word(person, run.yes)
            assert (status, said.get("status")) == (200, "running"), said
            assert "144" in await run.answer()


async def test_whoever_stays_with_the_stream_gets_the_rest(own: Live) -> None:
    async with own.model(counting) as (_, person):
        copy = RunCopy(person.headers)
        reading = asyncio.create_task(copy.ask(person.client, QUESTION, agent_id=await careful_agent(person)))
        await asked(copy)
        assert (await word(person, {"run_id": copy.run_id, "tool_call_id": "c1", "approve": True}))[0] == 200
        await reading
        assert whole(copy)


@pytest.mark.parametrize(("said", "content"), [(True, "144"), ({"expression": "12*13"}, "156"), (False, "declined")])
async def test_the_client_of_the_guide_works(own: Live, said: object, content: str) -> None:
    guide = (Path(__file__).parents[2] / "docs/guide.md").read_text()
    [written] = [part for part in guide.split("```python\n") if "def answered" in part[:100]]
    names: dict[str, Any] = {}
    exec(written.split("```")[0], names)
    async with own.model() as (_, person):
        question = {
            "user_input": QUESTION,
            "dialog_id": "d",
            "agent_id": await careful_agent(person, llm_id="offline"),
        }
        seen = []

        def answer() -> str:
            with httpx.Client(base_url=own.server.url, headers=person.headers, timeout=20) as client:
                return str(names["answered"](client, question, lambda *call: seen.append(call) or said))

        assert content in await asyncio.to_thread(answer)
        assert seen == [("calculator", {"expression": "12*12"})]
