"""A request that its provider found too long is put once more, shorter; and refused for good after that."""

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given

from adapters.scripted import ScriptedChatModel, call, delta, fail, finished
from agent_loops import loop
from application.chat.agent_loop import Equipment
from application.ports.tool_runner import ToolOutput
from domain.chat.chat_events import AnswerDelta, AttemptEnded, LoopEvent
from domain.chat.compacting import compacted
from domain.conversation.conversation import (
    AssistantTurn,
    Image,
    ModelRequest,
    ToolImage,
    ToolTurn,
    Turn,
    UserTurn,
    images_in,
    request_tokens,
    tokens_of,
)
from domain.errors import ModelError
from domain.ids import ToolId
from domain.models.attempts import ANSWERED
from domain.tools.tools import JsonValue, ToolCall, ToolResult, ToolSpec
from model_asking import alone
from unit.conversation_strategies import requests

TOO_LONG = fail("context_too_long")
LONG = "word " * 2000


def exchange(number: int) -> tuple[Turn, ...]:
    return UserTurn(f"q{number}?"), AssistantTurn(f"a{number}")


PAST = tuple(turn for number in range(9) for turn in exchange(number))
ASKED = ModelRequest("m", "Be kind.", (*PAST, UserTurn("now?")))


class Fetch:
    spec = ToolSpec(ToolId("fetch"), "fetch", "Fetch", "Fetches.", {"type": "object"})

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        del arguments
        return ToolOutput(LONG)


async def events_of(model: ScriptedChatModel, request: ModelRequest = ASKED) -> list[LoopEvent]:
    found: list[LoopEvent] = []
    async for event in loop().run(alone(model), request, Equipment({"fetch": Fetch()})):
        assert isinstance(event, LoopEvent)
        found.append(event)
    return found


@given(requests())
def test_what_is_compacted_is_shorter_and_still_a_conversation(request: ModelRequest) -> None:
    shorter = compacted(request)
    if shorter is None:
        return
    assert request_tokens(shorter) < request_tokens(request)
    assert isinstance(shorter.turns[0], UserTurn)
    questions = [turn for turn in request.turns if isinstance(turn, UserTurn)]
    assert [turn for turn in shorter.turns if isinstance(turn, UserTurn)] in ([questions[-1]], questions[-2:])
    assert shorter.tools == request.tools
    assert shorter.system == request.system
    for earlier, later in pairwise(shorter.turns):
        if isinstance(earlier, AssistantTurn) and earlier.tool_calls:
            assert isinstance(later, ToolTurn)
            assert [one.call_id for one in later.results] == [one.call_id for one in earlier.tool_calls]
        assert not (isinstance(earlier, UserTurn) and isinstance(later, UserTurn | ToolTurn))


@given(requests())
def test_compacting_comes_to_an_end(request: ModelRequest) -> None:
    shorter: ModelRequest | None = request
    for _ in range(40):
        if shorter is None:
            return
        shorter = compacted(shorter)
    raise AssertionError("it gets shorter for ever")


def test_a_question_alone_can_not_be_shortened() -> None:
    assert compacted(ModelRequest("m", "", (UserTurn(LONG),))) is None


def test_results_that_the_model_has_not_seen_keep_more_than_those_it_has() -> None:
    rounds: list[Turn] = []
    for number in range(2):
        made = ToolCall(f"c{number}", "fetch", "{}")
        rounds += AssistantTurn("", (made,)), ToolTurn((ToolResult(made.call_id, "fetch", LONG),))
    shorter = compacted(ModelRequest("m", "", (*PAST, UserTurn("now?"), *rounds)))
    assert shorter is not None
    seen, unseen = [tokens_of(turn) for turn in shorter.turns if isinstance(turn, ToolTurn)]
    assert seen <= 100
    assert 1000 < unseen <= 1300


def test_images_that_the_model_has_not_seen_are_the_last_to_go() -> None:
    rounds: list[Turn] = []
    for name in ("seen", "unseen"):
        made, image = ToolCall(name, "draw", "{}"), Image("image/png", name.encode())
        rounds += (
            AssistantTurn("", (made,)),
            ToolTurn((ToolResult(name, "draw", "[image 1]"),), (ToolImage(name, 1, image),)),
        )
    first = compacted(ModelRequest("m", "", (UserTurn("now?"), *rounds)))
    assert first is not None
    assert [image.data for image in images_in(first.turns)] == [b"unseen"]
    second = compacted(first)
    assert second is not None
    assert images_in(second.turns) == []
    assert compacted(second) is None


async def test_a_request_that_is_too_long_is_put_again_without_the_oldest_exchanges() -> None:
    model = ScriptedChatModel(turns=[[TOO_LONG], [delta("well"), finished()]])
    events = await events_of(model)
    assert [event.text for event in events if isinstance(event, AnswerDelta)] == ["well"]
    assert [event.attempt.outcome for event in events if isinstance(event, AttemptEnded)] == [
        "context_too_long",
        ANSWERED,
    ]
    assert model.requests[1].turns == (*exchange(8), UserTurn("now?"))


async def test_the_second_refusal_is_the_last() -> None:
    model = ScriptedChatModel(turns=[[TOO_LONG], [TOO_LONG]])
    with pytest.raises(ModelError) as refused:
        await events_of(model)
    assert refused.value.code == "context_too_long"
    assert len(model.requests) == 2


async def test_what_can_not_be_shortened_is_not_asked_again() -> None:
    model = ScriptedChatModel(turns=[[TOO_LONG]])
    with pytest.raises(ModelError):
        await events_of(model, ModelRequest("m", "", (UserTurn("now?"),)))
    assert len(model.requests) == 1


async def test_a_later_turn_of_the_run_is_shortened_too_and_stays_so() -> None:
    """Once in a run, whichever turn it is; what is asked after it goes on from the shorter request."""
    model = ScriptedChatModel(
        turns=[
            [call("fetch", url="a"), finished()],
            [TOO_LONG],
            [call("fetch", url="b"), finished()],
            [delta("done"), finished()],
        ]
    )
    events = await events_of(model)
    assert [event.text for event in events if isinstance(event, AnswerDelta)] == ["done"]
    first, second, third, fourth = (request.turns for request in model.requests)
    assert len(second) == len(first) + 2
    assert third[:3] == (*exchange(8), UserTurn("now?"))
    assert tokens_of(third[-1]) < tokens_of(second[-1])
    assert fourth[: len(third)] == third
    with pytest.raises(ModelError):
        await events_of(ScriptedChatModel(turns=[[TOO_LONG], [call("fetch", url="a"), finished()], [TOO_LONG]]))


async def test_after_the_first_word_nothing_is_put_again() -> None:
    model = ScriptedChatModel(turns=[[delta("w"), TOO_LONG]])
    with pytest.raises(ModelError):
        await events_of(model)
    assert len(model.requests) == 1
