"""The ChatModel contract, the same for every adapter."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from adapters.offline import OfflineChatModel
from adapters.scripted import ScriptedChatModel, call, delta, finished
from application.ports.chat_model import ChatModel
from contract.chat_model_fixtures import CALCULATOR, CLOCK, assembled, collect, model_at, question, text_of
from domain.conversation.conversation import (
    AssistantTurn,
    FinishReason,
    ModelFinished,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    ToolTurn,
    Usage,
    UserTurn,
)
from domain.tools.tools import ToolCall, ToolResult
from servers.aimock_server import aimock

ADAPTERS = ["openai", "openai_compatible", "anthropic", "offline", "scripted"]
SUM = "What time is it in Tokyo, and how much is 12 * 12?"
ONE_AFTER_ANOTHER = [delta(f"word{n} ") for n in range(20)]


@pytest.fixture(scope="module")
def aimock_url() -> Iterator[str]:
    with aimock() as url:
        yield url


@asynccontextmanager
async def opened(adapter: str, url: str, *script: object) -> AsyncIterator[ChatModel]:
    if adapter == "offline":
        yield OfflineChatModel(delay_seconds=0)
    elif adapter == "scripted":
        yield ScriptedChatModel([*script, finished(usage=Usage(9, 3))], repeat=True)  # type: ignore[list-item]
    else:
        async with model_at(url, adapter, compatible=adapter == "openai_compatible") as model:
            yield model


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_text_comes_in_pieces_and_ends_with_one_finish(adapter: str, aimock_url: str) -> None:
    async def act() -> None:
        async with opened(adapter, aimock_url, delta("Hello"), delta("!")) as model:
            events = await collect(model, question("Hello there"))
        assert [type(event) for event in events].count(ModelFinished) == 1
        assert text_of(events).startswith("Hello!")
        assert all(event.text for event in events if isinstance(event, TextDelta))
        last = events[-1]
        assert isinstance(last, ModelFinished)
        assert last.reason is FinishReason.STOP

    asyncio.run(act())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_usage_is_reported(adapter: str, aimock_url: str) -> None:
    async def act() -> None:
        async with opened(adapter, aimock_url, delta("Counted.")) as model:
            last = (await collect(model, question("Count my tokens")))[-1]
        assert isinstance(last, ModelFinished)
        assert last.usage is not None
        assert last.usage.input_tokens > 0
        assert last.usage.output_tokens > 0

    asyncio.run(act())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_several_tools_are_called_in_one_turn(adapter: str, aimock_url: str) -> None:
    async def act() -> None:
        script = (call("current_time", timezone="Asia/Tokyo"), call("calculator", expression="12 * 12"))
        async with opened(adapter, aimock_url, *script) as model:
            events = await collect(model, question(SUM, tools=(CLOCK, CALCULATOR)))
        turn = assembled(events)
        assert [c.name for c in turn.tool_calls] == ["current_time", "calculator"]
        assert "Asia/Tokyo" in turn.tool_calls[0].arguments
        assert "12 * 12" in turn.tool_calls[1].arguments
        assert len({c.call_id for c in turn.tool_calls}) == 2
        last = events[-1]
        assert isinstance(last, ModelFinished)
        assert last.reason is FinishReason.TOOL_CALLS
        named = [event for event in events if isinstance(event, ToolCallDelta) and event.name]
        assert len(named) == 2

    asyncio.run(act())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_results_of_tools_are_answered(adapter: str, aimock_url: str) -> None:
    calls = (
        ToolCall("a", "current_time", '{"timezone": "Asia/Tokyo"}'),
        ToolCall("b", "calculator", '{"expression": "12 * 12"}'),
    )
    results = (ToolResult("a", "current_time", "12:00"), ToolResult("b", "calculator", "144"))
    request = ModelRequest(
        "some-model", "", (UserTurn(SUM), AssistantTurn("", calls), ToolTurn(results)), (CLOCK, CALCULATOR)
    )

    async def act() -> None:
        async with opened(adapter, aimock_url, delta("12 * 12 = 144")) as model:
            events = await collect(model, request)
        assert "12 * 12 = 144" in text_of(events)
        assert not assembled(events).tool_calls

    asyncio.run(act())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_the_system_text_and_the_history_reach_the_model(adapter: str, aimock_url: str) -> None:
    turns = (UserTurn("My name is Ada."), AssistantTurn("Nice to meet you."), UserTurn("What is my name?"))

    async def act() -> None:
        async with opened(adapter, aimock_url, delta("Ada")) as model:
            events = await collect(model, ModelRequest("some-model", "Answer in one short sentence.", turns))
        assert "Ada" in text_of(events)

    asyncio.run(act())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_closing_in_mid_answer_ends_the_stream(adapter: str, aimock_url: str) -> None:
    async def act() -> None:
        async with opened(adapter, aimock_url, *ONE_AFTER_ANOTHER) as model:
            async with aclosing(model.stream(question("Speak slowly"))) as events:
                first = await anext(events)
            assert isinstance(first, TextDelta)
            with pytest.raises(StopAsyncIteration):
                await anext(events)
            # The model is as good as new.
            assert text_of(await collect(model, question("Hello there")))

    asyncio.run(act())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_one_model_serves_many_streams_at_once(adapter: str, aimock_url: str) -> None:
    async def act() -> None:
        async with opened(adapter, aimock_url, delta("Hello!")) as model:
            answers = await asyncio.gather(*(collect(model, question("Hello there")) for _ in range(20)))
        assert len({text_of(events) for events in answers}) == 1

    asyncio.run(act())


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_cancelled_reader_is_cancelled(adapter: str, aimock_url: str) -> None:
    async def act() -> None:
        async with opened(adapter, aimock_url, *ONE_AFTER_ANOTHER) as model:
            begun = asyncio.Event()

            async def read() -> None:
                async with aclosing(model.stream(question("Speak slowly"))) as events:
                    async for _ in events:
                        begun.set()
                        await asyncio.sleep(60)

            reader = asyncio.create_task(read())
            await begun.wait()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader

    asyncio.run(act())
