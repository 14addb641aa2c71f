"""The scripted model keeps to its script, and tells what was done with it."""

import asyncio
from contextlib import aclosing

import pytest

from adapters.scripted import ScriptedChatModel, call, delta, fail, finished, hold
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    UserTurn,
)
from domain.errors import ModelError

REQUEST = ModelRequest("m", "", (UserTurn("x"),))


async def turn_of(model: ScriptedChatModel) -> list[ModelEvent]:
    return [event async for event in model.stream(REQUEST)]


def test_a_script_falls_into_turns_after_its_calls() -> None:
    async def act() -> None:
        model = ScriptedChatModel([delta("Hi"), call("search", query="x"), call("time"), delta("found"), finished()])
        assert await turn_of(model) == [
            TextDelta("Hi"),
            ToolCallDelta(0, "call_0", "search", '{"query": "x"}'),
            ToolCallDelta(1, "call_1", "time", "{}"),
            ModelFinished(FinishReason.TOOL_CALLS),
        ]
        assert await turn_of(model) == [TextDelta("found"), ModelFinished(FinishReason.STOP)]
        with pytest.raises(AssertionError, match="2 turns"):
            await turn_of(model)
        assert model.requests[0] == REQUEST

    asyncio.run(act())


def test_a_held_stream_that_is_closed_counts_as_cancelled() -> None:
    async def act() -> None:
        gate = hold()
        model = ScriptedChatModel([delta("a"), gate, delta("b")], repeat=True)
        async with aclosing(model.stream(REQUEST)) as events:
            await anext(events)
            assert model.active == 1
        assert (model.active, model.closed, model.cancelled) == (0, 1, 1)
        reading = asyncio.create_task(turn_of(model))
        await gate.reached.wait()
        gate.release()
        assert (await reading)[:2] == [TextDelta("a"), TextDelta("b")]
        assert (model.closed, model.cancelled) == (2, 1)

    asyncio.run(act())


def test_a_failure_comes_where_it_is_written() -> None:
    async def act() -> None:
        model = ScriptedChatModel([delta("a"), fail("model_stalled"), delta("b")])
        events = model.stream(REQUEST)
        assert await anext(events) == TextDelta("a")
        with pytest.raises(ModelError) as caught:
            await anext(events)
        assert caught.value.code == "model_stalled"
        assert (await turn_of(model))[0] == TextDelta("b")
        assert model.cancelled == 0

    asyncio.run(act())
