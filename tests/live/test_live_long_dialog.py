"""Dialogs that outgrow their model's window, on a running server and over a provider's protocol."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from domain.dialogs.summaries import INSTRUCTION
from live.live_server import STOP, Live, LiveServer, Person, chunk, free_port, settings_for, text_of
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange, Script

SMALL = {"context_window": 1600, "tools": False}
FILLER = "word " * 80


@asynccontextmanager
async def small_models(folder: Path, *scripts: Script) -> AsyncIterator[tuple[ByteServer, Person]]:
    port = free_port()
    fake = {"provider": "openai_compatible", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "k", **SMALL}
    models = {"fake": fake, "tiny": {"provider": "offline", **SMALL}}
    server = LiveServer(folder, settings_for(port, MODELS=json.dumps(models), OFFLINE_DELAY_MS=0))
    try:
        await server.start()
        async with Live(server, port).model(*scripts) as (upstream, person):
            yield upstream, person
    finally:
        server.kill()


async def sums_up(exchange: Exchange) -> None:
    said = "Their dog is called Rex." if is_for_summary(exchange) else FILLER
    await exchange.head()
    await exchange.events(chunk(said), STOP, b"[DONE]")
    await exchange.end()


def messages(exchange: Exchange) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = exchange.json["messages"]
    return found


def is_for_summary(exchange: Exchange) -> bool:
    return str(messages(exchange)[0]["content"]).startswith(INSTRUCTION)


async def test_the_provider_is_told_a_summary_of_what_fell_out(tmp_path: Path) -> None:
    async with small_models(tmp_path, sums_up) as (upstream, person):
        asked = 0
        while not any(map(is_for_summary, upstream.exchanges)):
            assert asked < 15, "nothing was summed up"
            await person.answer(f"question {asked}?")
            asked += 1
        async with asyncio.timeout(PATIENCE):
            while True:
                await person.answer("What is my dog called?")
                # The next summary may have been asked for meanwhile.
                told = [messages(one) for one in upstream.exchanges if not is_for_summary(one)][-1]
                last = str(told[-1]["content"])
                if "Their dog is called Rex." in last:
                    break
                await asyncio.sleep(0.05)
        assert last.startswith("<earlier_conversation>")
        assert last.endswith("What is my dog called?")
        shown = [one["content"] for one in told if one["role"] == "user"]
        assert "question 0?" not in shown


async def test_the_offline_model_remembers_by_its_own_summary(tmp_path: Path) -> None:
    async with small_models(tmp_path, sums_up) as (_, person):
        body = {"name": "Tiny", "llm_id": "tiny", "system_prompt": "Be brief."}
        made = await person.client.post("/api/v1/agent", json=body, headers=person.headers)
        agent_id = made.json()["data"]["agent_id"]
        await person.answer("My dog is called Rex. He lives in Bern.", agent_id=agent_id)
        for number in range(6):
            await person.answer(f"{FILLER} number {number}.", agent_id=agent_id)
        async with asyncio.timeout(PATIENCE):
            while True:
                found = text_of(await person.answer("What is my dog called?", agent_id=agent_id))
                if "My dog is called Rex." in found:
                    return
                await asyncio.sleep(0.05)


async def refuses_the_long(exchange: Exchange) -> None:
    if len(messages(exchange)) > 4:
        error = {
            "message": "maximum context length",
            "type": "invalid_request_error",
            "code": "context_length_exceeded",
        }
        await exchange.refuse(400, {"error": error})
        return
    await exchange.head()
    await exchange.events(chunk("fine"), STOP, b"[DONE]")
    await exchange.end()


async def test_what_a_provider_finds_too_long_is_asked_once_more_and_shorter(tmp_path: Path) -> None:
    async with small_models(tmp_path, refuses_the_long) as (upstream, person):
        for number in range(4):
            frames = await person.answer(f"question {number}?")
            assert [frame.event for frame in frames] == ["response_chunk", "done"]
            assert frames[-1].data["status"] == "complete"
        told = [[one["content"] for one in messages(one) if one["role"] == "user"] for one in upstream.exchanges]
        assert told[-1] == ["question 2?", "question 3?"]
        assert told[-2] == [f"question {number}?" for number in range(4)]
