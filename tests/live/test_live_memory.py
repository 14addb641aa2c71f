"""Memory at a running server: told in one dialog, used in another, in both vendors' words, and killed in between."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from live.live_knowledge import sent, worker, working
from live.live_server import SECRETS, STOP, LiveServer, Person, chunk, free_port, text_of
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange

LESSON = "You keep notes about a user"
NAME = "The user is called Ada."


@dataclass
class Vendor:
    """A provider of either protocol. It answers questions with "Noted.", and lessons by `teaches`.

    The first `hangs` lessons get no answer. A lesson has its `said` as the request told it. `forms` are those of the
    answers that were asked for; a server that is `plain` refuses to be asked for any.
    """

    teaches: Callable[[dict[str, Any]], str]
    hangs: int = 0
    plain: bool = False
    forms: list[Any] = field(default_factory=list)
    lessons: list[dict[str, Any]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    async def __call__(self, exchange: Exchange) -> None:
        asked = exchange.json
        texts = _texts(asked)
        if LESSON not in texts[0]:
            self.questions.append(texts[-1])
            await _say(exchange, "Noted.")
            return
        self.forms.append(form := _form(asked))
        if form is not None and self.plain:
            await exchange.refuse(400, {"type": "error", "error": {"message": "response_format is not supported"}})
            return
        self.lessons.append(json.loads(texts[1]))
        if len(self.lessons) <= self.hangs:
            await exchange.closed.wait()
            return
        await _say(exchange, self.teaches(self.lessons[-1]), form is not None)


def _form(asked: dict[str, Any]) -> Any:
    """The schema of the answer that is asked for, in either vendor's words."""
    if "response_format" in asked:
        wanted = asked["response_format"]
        assert (wanted["type"], wanted["json_schema"]["strict"]) == ("json_schema", True)
        return wanted["json_schema"]["schema"]
    if "tool_choice" not in asked:
        return None
    (tool,) = asked["tools"]
    assert asked["tool_choice"] == {"type": "tool", "name": tool["name"]}
    return tool["input_schema"]


def _texts(asked: dict[str, Any]) -> list[str]:
    """Of the request, whichever vendor's, the system prompt first."""
    system = [_text(asked["system"])] if "system" in asked else []
    return [*system, *(_text(one["content"]) for one in asked["messages"])]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


async def _say(exchange: Exchange, text: str, formed: bool = False) -> None:
    """As Anthropic does, an answer that is `formed` is put into the tool that was asked for."""
    await exchange.head()
    if exchange.path.endswith("/messages"):
        block = {"type": "tool_use", "id": "toolu_1", "name": "notes_about_user", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": text} if formed else {"type": "text_delta", "text": text}
        await exchange.events(
            {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
            *([{"type": "content_block_start", "index": 0, "content_block": block}] if formed else []),
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use" if formed else "end_turn"},
                "usage": {"output_tokens": 3},
            },
            {"type": "message_stop"},
        )
    else:
        await exchange.events(chunk(text), STOP, b"[DONE]")
    await exchange.end()


def ada(lesson: dict[str, Any]) -> str:
    if any("I am Ada" in one["text"] for one in lesson["said"]):
        return json.dumps({"operations": [{"op": "add", "text": NAME, "quote": "I am Ada"}]})
    return '{"operations": []}'


def settings(port: int, **more: object) -> dict[str, object]:
    vendors = (("gpt", "openai_compatible", "/v1"), ("claude", "anthropic", ""))
    models = {
        name: {"provider": provider, "base_url": f"http://127.0.0.1:{port}{path}", "api_key": "k"}
        for name, provider, path in vendors
    }
    return {"MODELS": json.dumps(models), "EMBEDDING__KIND": "none", **more}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, int]]:
    port = free_port()
    server = LiveServer(tmp_path_factory.mktemp("memory"), settings(port))
    try:
        asyncio.run(server.start())
        yield server, port
    finally:
        server.kill()


async def agent(person: Person, llm_id: str) -> str:
    made = await sent(person, "POST", "/agent", {"name": llm_id, "llm_id": llm_id, "enable_memory": True})
    return str(made["agent_id"])


async def learnt(person: Person, *expected: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE):
        while True:
            found: list[dict[str, Any]] = await person.get("/memory")
            if sorted(one["content"] for one in found) == sorted(expected):
                return found
            await asyncio.sleep(0.05)


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not met():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("llm_id", ["gpt", "claude"])
async def test_told_in_one_dialog_a_provider_is_given_it_in_another(
    server: tuple[LiveServer, int], llm_id: str
) -> None:
    vendor = Vendor(ada)
    live, port = server
    async with ByteServer(vendor, port=port), httpx.AsyncClient(base_url=live.url, timeout=30) as client:
        person = await Person.register(client, f"ann-{llm_id}")
        agent_id = await agent(person, llm_id)
        assert text_of(await person.answer("Hello, I am Ada.", "first", agent_id=agent_id)) == "Noted."
        await learnt(person, NAME)
        await person.answer("Who am I?", "second", agent_id=agent_id)
        told = vendor.questions[-1]
        assert told.startswith("<memories>")
        assert f"- {NAME}\n</memories>" in told
        assert told.endswith("Who am I?")
        assert vendor.questions[0] == "Hello, I am Ada."
        other = await Person.register(client, f"bob-{llm_id}")
        await other.answer("Who am I?", "first", agent_id=await agent(other, llm_id))
        assert vendor.questions[-1] == "Who am I?"
        usage = await person.get("/usage", group_by="model")
        # Two answers, and one lesson at least.
        assert [row["model"] for row in usage if row["runs"] == 2 and row["attempts"] >= 3] == [llm_id]
        await sent(person, "DELETE", "/dialog", {"dialog_id": "first"})
        await person.answer("Who am I now?", "third", agent_id=agent_id)
        assert vendor.questions[-1] == "Who am I now?"


@pytest.mark.parametrize("llm_id", ["gpt", "claude"])
async def test_the_answer_to_a_lesson_is_asked_for_as_json_of_one_form(
    server: tuple[LiveServer, int], llm_id: str
) -> None:
    vendor = Vendor(ada)
    live, port = server
    async with ByteServer(vendor, port=port), httpx.AsyncClient(base_url=live.url, timeout=30) as client:
        person = await Person.register(client, f"eve-{llm_id}")
        await person.answer("Hello, I am Ada.", "d", agent_id=await agent(person, llm_id))
        await learnt(person, NAME)
        # The server is the module's: a lesson that another test put off may come too.
        form, *others = vendor.forms
        assert others == [form] * len(others)
        operations = form["properties"]["operations"]["items"]["anyOf"]
        assert [one["properties"]["op"]["enum"] for one in operations] == [["add"], ["replace"], ["repeat"]]
        assert form["additionalProperties"] is False


@pytest.mark.parametrize("llm_id", ["gpt", "claude"])
async def test_a_server_that_refuses_forms_is_asked_without_and_teaches(tmp_path: Path, llm_id: str) -> None:
    vendor, port = Vendor(ada, plain=True), free_port()
    server = LiveServer(tmp_path, settings(port))
    async with ByteServer(vendor, port=port):
        try:
            await server.start()
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
                person = await Person.register(client)
                await person.answer("Hello, I am Ada.", "d", agent_id=await agent(person, llm_id))
                await learnt(person, NAME)
                assert [form is None for form in vendor.forms] == [False, True]
                assert await person.get("/usage", group_by="model")
        finally:
            server.kill()


@pytest.mark.parametrize("llm_id", ["gpt", "claude"])
async def test_a_provider_that_writes_anything_else_teaches_nothing_and_the_next_answer_comes(
    server: tuple[LiveServer, int], llm_id: str
) -> None:
    vendor = Vendor(lambda _: "Sure! I will remember that you are Ada.")
    live, port = server
    async with ByteServer(vendor, port=port), httpx.AsyncClient(base_url=live.url, timeout=30) as client:
        person = await Person.register(client, f"cid-{llm_id}")
        agent_id = await agent(person, llm_id)
        own = f"I am Ada, and like {llm_id}."
        await person.answer(own, "d", agent_id=agent_id)
        # The server is the module's: a lesson that another test put off may come too.
        await until(lambda: [own for one in vendor.lessons if one["said"][0]["text"] == own] == [own] * 2)
        assert text_of(await person.answer("Who am I?", "d", agent_id=agent_id)) == "Noted."
        assert "memories" not in vendor.questions[-1]
        assert await person.get("/memory") == []


async def test_a_lesson_whose_worker_was_killed_is_learnt_once_by_another(postgres_url: str, tmp_path: Path) -> None:
    vendor, port = Vendor(ada, hangs=1), free_port()
    given = settings(
        port,
        DATABASE_URL=postgres_url,
        SECRET_KEYS=SECRETS,
        VECTOR__KIND="embedded",
        INGESTION__IN_SERVER="false",
    )
    server = LiveServer(tmp_path, given)
    async with ByteServer(vendor, port=port):
        with ExitStack() as processes:
            processes.callback(server.kill)
            await server.start()
            killed = processes.enter_context(worker(server, "killed"))
            await working(tmp_path / "killed")
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
                person = await Person.register(client)
                await person.answer("I am Ada.", "d", agent_id=await agent(person, "gpt"))
                await until(lambda: len(vendor.lessons) == 1)
                processes.enter_context(worker(server, "other"))
                await working(tmp_path / "other")
                os.kill(killed.pid, signal.SIGKILL)
                killed.wait()
                (kept,) = await learnt(person, NAME)
                assert [lesson["said"][0]["text"] for lesson in vendor.lessons] == ["I am Ada."] * 2
                # It is done: what comes next is learnt from there on.
                await person.answer("I like tea.", "d", agent_id=kept["agent_id"])
                await until(lambda: len(vendor.lessons) == 3)
                assert [one["text"] for one in vendor.lessons[2]["said"]] == ["I like tea."]
                assert vendor.lessons[2]["notes"] == [{"number": 1, "text": NAME}]


async def test_a_server_killed_in_mid_lesson_learns_it_when_it_is_back(tmp_path: Path) -> None:
    vendor, port = Vendor(ada, hangs=1), free_port()
    server = LiveServer(tmp_path, settings(port))
    async with ByteServer(vendor, port=port):
        try:
            await server.start()
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
                person = await Person.register(client)
                await person.answer("I am Ada.", "d", agent_id=await agent(person, "claude"))
                await until(lambda: len(vendor.lessons) == 1)
                await server.restart()
                await learnt(person, NAME)
                assert len(vendor.lessons) == 2
                # The answer, the lesson that was cut off, and the other one.
                (row,) = await person.get("/usage", group_by="model")
                assert (row["runs"], row["attempts"]) == (1, 3)
        finally:
            server.kill()
