"""Closing our stream closes the provider's connection at once; a complete answer keeps it."""

import asyncio

import pytest

from contract.chat_model_fixtures import (
    STOP,
    TEXT,
    after,
    answering,
    collect,
    openai_call,
    question,
    scene,
    silence,
    text_of,
)
from domain.conversation.conversation import ToolCallDelta
from patience import PATIENCE
from servers.byte_server import Exchange, Script

PROTOCOLS = ["openai", "anthropic"]


async def no_head(exchange: Exchange) -> None:
    await exchange.closed.wait()


def half_a_call(protocol: str) -> Script:
    if protocol == "openai":
        piece = {"index": 0, "id": "c", "function": {"name": "search", "arguments": '{"que'}}
        return after(openai_call(piece), then=silence)
    return after(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c", "name": "search"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"que'}},
        then=silence,
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("phase", ["head", "first", "middle", "call"])
def test_cancelling_closes_the_connection_at_once(protocol: str, phase: str) -> None:
    script = {
        "head": no_head,
        "first": after(then=silence),
        "middle": after(TEXT[protocol]("Well, "), then=silence),
        "call": half_a_call(protocol),
    }[phase]

    async def act() -> None:
        async with scene(script, protocol=protocol) as (server, model):
            seen = asyncio.Event()

            async def read() -> None:
                async for _ in model.stream(question()):
                    seen.set()

            reader = asyncio.create_task(read())
            exchange = await server.request()
            if phase in {"middle", "call"}:
                await seen.wait()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            await asyncio.wait_for(exchange.closed.wait(), PATIENCE)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("phase", ["middle", "call"])
def test_closing_the_generator_closes_the_connection_at_once(protocol: str, phase: str) -> None:
    script = after(TEXT[protocol]("Well, "), then=silence) if phase == "middle" else half_a_call(protocol)

    async def act() -> None:
        async with scene(script, protocol=protocol) as (server, model):
            events = model.stream(question())
            first = await anext(events)
            assert isinstance(first, ToolCallDelta) == (phase == "call")
            await events.aclose()
            await asyncio.wait_for(server.exchanges[0].closed.wait(), PATIENCE)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_connection_of_a_complete_answer_serves_the_next(protocol: str) -> None:
    async def end_later(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.events(TEXT[protocol]("Hi"), *STOP[protocol])
        await asyncio.sleep(0.01)
        await exchange.end()

    async def act() -> None:
        async with scene(end_later, answering(TEXT[protocol]("Hi"), *STOP[protocol]), protocol=protocol) as (
            server,
            model,
        ):
            for _ in range(3):
                assert text_of(await collect(model, question())) == "Hi"
            assert server.connections == 1

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_more_streams_than_a_default_pool_holds_run_at_once(protocol: str) -> None:
    count = 150

    async def act() -> None:
        everybody = asyncio.Event()
        waiting = 0

        async def wait_for_all(exchange: Exchange) -> None:
            nonlocal waiting
            waiting += 1
            if waiting == count:
                everybody.set()
            await exchange.head()
            await exchange.events(TEXT[protocol]("Hi"))
            await everybody.wait()
            await exchange.events(*STOP[protocol])
            await exchange.end()

        async with scene(wait_for_all, protocol=protocol) as (_, model):
            answers = await asyncio.gather(*(collect(model, question()) for _ in range(count)))
        assert {text_of(answer) for answer in answers} == {"Hi"}

    asyncio.run(act())
